//! What servers say, as it may be shown to people: in a terminal, and on a page.

/// Letters that are shown of one saying.
const LETTERS_MAX: usize = 400;

/// What somebody else says: it moves no cursor, turns no line around, and comes to an end.
pub(crate) fn legible(text: &str) -> String {
    let mut legible: String = text.chars().take(LETTERS_MAX).map(shown).collect();
    if text.chars().nth(LETTERS_MAX).is_some() {
        legible.push_str(" ..");
    }
    legible
}

/// A letter, or the sign for one that cannot be shown: control characters, and those that turn the direction of others, so
/// that a name would look like another one.
pub(crate) fn shown(letter: char) -> char {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if turns || letter.is_control() { '\u{fffd}' } else { letter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_harmless_in_a_terminal() {
        let said = legible(&format!("\u{1b}[2J\u{202e}gone{}\r\n", "x".repeat(1000)));
        assert!(said.starts_with("\u{fffd}[2J\u{fffd}gonexxx") && said.ends_with("x .."), "{said}");
        assert_eq!(said.chars().count(), LETTERS_MAX + 3);
        assert_eq!(legible("ä token\u{7}"), "ä token\u{fffd}");
    }
}
