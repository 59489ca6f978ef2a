//! Text that came from a server, a URL or a file, as it may stand in HTML: between tags, and in quoted attributes.

use crate::legible::shown;
use std::fmt::{self, Display, Formatter, Write as _};

/// Shows text with everything escaped that HTML would read as its own.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                letter => f.write_char(shown(letter))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_read_as_html() {
        let text = "<script>&\"'</script>\n\0\u{202e}ä 😀";
        assert_eq!(
            Text(text).to_string(),
            "&lt;script&gt;&amp;&quot;&#39;&lt;/script&gt;\u{fffd}\u{fffd}\u{fffd}ä 😀"
        );
    }
}
