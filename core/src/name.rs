//! Names of documents, as users write them and as keys hold them.

/// Bytes of a name, percent-decoding done.
pub const NAME_MAX: usize = KEY_MAX;
/// Bytes of a name's key form. Keys are at most 255 bytes on every host, and updates add to the name.
pub const KEY_MAX: usize = 200;

/// The service whose documents the WebSocket route and y-sweet's API serve.
pub(crate) const DEFAULT_SERVICE: &str = "default";
/// Bytes of a service's name.
const SERVICE_MAX: usize = 64;
/// Stands around the service in the internal form of a name; no part of a name has it.
const MARK: char = '\u{1f}';

/// The name of a document: a path (any UTF-8 without control characters, segments divided by slashes) within a
/// service (`[A-Za-z0-9_-]`), which is a namespace.
///
/// Internally it is one text: the path itself for the service `default`, else the service between two U+001F and
/// the path. So names of a service lie together, and those of `default` behind all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocName(String);

/// Why something is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing at all, or nothing between two slashes.
    Empty,
    /// Too long, as it is or as a key.
    TooLong,
    /// `.` or `..` as a segment: proxies and clients resolve these.
    DotSegment,
    /// A control character.
    Control,
    /// A percent sign without two hexadecimal digits, or bytes that are not UTF-8.
    Encoding,
    /// A service that is empty, too long, or has other characters than `[A-Za-z0-9_-]`.
    Service,
}

impl core::fmt::Display for NameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Empty => f.write_str("the document's name is empty or has an empty segment"),
            Self::TooLong => {
                write!(f, "the document's name is longer than {KEY_MAX} bytes, or is as a key")
            }
            Self::DotSegment => f.write_str("the document's name has a segment '.' or '..'"),
            Self::Control => f.write_str("the document's name has a control character"),
            Self::Encoding => f.write_str("the document's name is not percent-encoded UTF-8"),
            Self::Service => {
                write!(f, "a service's name is 1 to {SERVICE_MAX} characters of A-Z, a-z, 0-9, '_' and '-'")
            }
        }
    }
}

impl std::error::Error for NameError {}

impl DocName {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name: String = name.into();
        if name.len() > NAME_MAX {
            return Err(NameError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        for segment in name.split('/') {
            match segment {
                "" => return Err(NameError::Empty),
                "." | ".." => return Err(NameError::DotSegment),
                _ => {}
            }
        }
        Self(name).checked()
    }

    /// Refuses a name that is too long as a key.
    fn checked(self) -> Result<Self, NameError> {
        if self.to_key().len() > KEY_MAX { Err(NameError::TooLong) } else { Ok(self) }
    }

    /// Reads a name from a percent-encoded path.
    pub fn from_path(path: &str) -> Result<Self, NameError> {
        let decoded = percent_decode(path).ok_or(NameError::Encoding)?;
        Self::new(String::from_utf8(decoded).map_err(|_| NameError::Encoding)?)
    }

    /// A name in a service.
    pub fn in_service(service: &str, path: &str) -> Result<Self, NameError> {
        check_service(service)?;
        let path = Self::from_path(path)?;
        if service == DEFAULT_SERVICE {
            return Ok(path);
        }
        Self(format!("{MARK}{service}{MARK}{}", path.0)).checked()
    }

    /// The service.
    pub fn service(&self) -> &str {
        self.split().map_or(DEFAULT_SERVICE, |(service, _)| service)
    }

    /// The path as users write it, without the service.
    pub fn as_str(&self) -> &str {
        self.split().map_or(&self.0, |(_, path)| path)
    }

    /// Service and path in one text: what a store sorts by.
    pub fn internal(&self) -> &str {
        &self.0
    }

    /// Reads [`DocName::internal`].
    pub fn from_internal(name: &str) -> Result<Self, NameError> {
        let Some((service, path)) = split(name) else { return Self::new(name) };
        check_service(service)?;
        if service == DEFAULT_SERVICE {
            // Its documents have no service there: a document has one name.
            return Err(NameError::Service);
        }
        Self::new(path)?;
        Self(name.to_owned()).checked()
    }

    fn split(&self) -> Option<(&str, &str)> {
        split(&self.0)
    }

    /// The name in the letters that every host's keys may have, `[a-z0-9_-]`. `[a-z0-9-]` stand for
    /// themselves; a run of anything else is `_`, its bytes in base 32, `_`.
    pub fn to_key(&self) -> String {
        let mut key = String::with_capacity(self.0.len() + 16);
        for run in self.0.as_bytes().chunk_by(|a, b| is_plain(*a) == is_plain(*b)) {
            if run.first().copied().is_some_and(is_plain) {
                key.extend(run.iter().map(|byte| char::from(*byte)));
            } else {
                key.push('_');
                base32(run, &mut key);
                key.push('_');
            }
        }
        key
    }

    /// Reads a key form; none if no name has that form.
    pub fn from_key(key: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(key.len());
        for (index, run) in key.split('_').enumerate() {
            if index % 2 == 0 {
                bytes.extend_from_slice(run.as_bytes());
            } else {
                bytes.extend_from_slice(&unbase32(run)?);
            }
        }
        let name = Self::from_internal(&String::from_utf8(bytes).ok()?).ok()?;
        (name.to_key() == key).then_some(name)
    }
}

impl core::fmt::Display for DocName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.split() {
            None => f.write_str(&self.0),
            Some((service, path)) => write!(f, "{service}: {path}"),
        }
    }
}

/// What the internal names of a service's documents begin with, and a text behind which all of them lie.
pub(crate) fn range_of(service: &str) -> Result<(String, String), NameError> {
    check_service(service)?;
    Ok(if service == DEFAULT_SERVICE {
        // A path has no control characters, and a service nothing above 'z'.
        (String::new(), format!("{MARK}\u{7f}"))
    } else {
        let prefix = format!("{MARK}{service}{MARK}");
        (prefix.clone(), prefix)
    })
}

/// What the key forms of all names have in common whose internal form begins with this.
pub(crate) fn key_beginning(prefix: &str) -> String {
    let mut key = String::with_capacity(prefix.len() + 16);
    let mut runs = prefix.as_bytes().chunk_by(|a, b| is_plain(*a) == is_plain(*b)).peekable();
    while let Some(run) = runs.next() {
        if run.first().copied().is_some_and(is_plain) {
            key.extend(run.iter().map(|byte| char::from(*byte)));
            continue;
        }
        key.push('_');
        let begun = key.len();
        base32(run, &mut key);
        if runs.peek().is_some() {
            key.push('_');
        } else {
            // The run may go on, and its last letter with it.
            key.truncate(begun + run.len() * 8 / 5);
        }
    }
    key
}

fn check_service(service: &str) -> Result<(), NameError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let fits = !service.is_empty() && service.len() <= SERVICE_MAX && service.bytes().all(plain);
    if fits { Ok(()) } else { Err(NameError::Service) }
}

fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(MARK)?.split_once(MARK)
}

/// Decodes `%xx`; none where a percent sign is not followed by two hexadecimal digits.
pub(crate) fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
            out.push(u8::try_from(value).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// RFC 4648's "extended hex" alphabet in lower case, unpadded.
fn base32(bytes: &[u8], out: &mut String) {
    for group in bytes.chunks(5) {
        let bits =
            group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)) << (8 * (5 - group.len()));
        for index in 0..(group.len() * 8).div_ceil(5) {
            let value = (bits >> (35 - 5 * index)) as u32 & 31;
            out.extend(char::from_digit(value, 32));
        }
    }
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for letter in text.chars() {
        bits = bits << 5 | letter.to_digit(32)?;
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_their_keys() {
        for name in ["notes", "team/plan", "Über/Grün", "a_b-c", "日本語のノート", "50% off?", "A", "a/B/c d"]
        {
            let parsed = DocName::new(name).unwrap();
            let key = parsed.to_key();
            assert!(key.bytes().all(|b| is_plain(b) || b == b'_'), "{key}");
            assert_eq!(DocName::from_key(&key), Some(parsed), "{key}");
        }
    }

    #[test]
    fn keys_begin_as_their_names_do() {
        for name in ["notes/b", "Über/Grün", "日本語のノート", "A", "a/B/c d", "\u{1f}no_tes\u{1f}a/b"]
        {
            let key = DocName::from_internal(name).unwrap().to_key();
            for (end, _) in name.char_indices() {
                let beginning = key_beginning(&name[..end]);
                assert!(key.starts_with(&beginning), "{key} {beginning} {}", &name[..end]);
            }
        }
    }

    #[test]
    fn services_are_namespaces() {
        let notes = DocName::in_service("notes", "a%2Fb/c").unwrap();
        assert_eq!((notes.service(), notes.as_str()), ("notes", "a/b/c"));
        assert_eq!(DocName::from_key(&notes.to_key()), Some(notes.clone()));
        assert_eq!(DocName::from_internal(notes.internal()), Ok(notes.clone()));
        let plain = DocName::in_service("default", "a/b/c").unwrap();
        assert_eq!((plain.service(), &plain), ("default", &DocName::new("a/b/c").unwrap()));
        assert!(notes < plain && notes.internal() > range_of("notes").unwrap().1.as_str());
        assert!(notes.internal() < range_of("default").unwrap().1.as_str());
        assert_eq!(DocName::from_internal("\u{1f}default\u{1f}a"), Err(NameError::Service));
        for service in ["", "a b", "ä", "\u{1f}", &"a".repeat(65)] {
            assert_eq!(DocName::in_service(service, "a"), Err(NameError::Service), "{service}");
        }
    }

    #[test]
    fn a_name_in_a_service_is_as_long_as_its_key_may_be() {
        let internal = format!("\u{1f}notes\u{1f}{}", "a".repeat(KEY_MAX));
        assert_eq!(DocName::from_internal(&internal), Err(NameError::TooLong));
        assert_eq!(DocName::in_service("notes", &"a".repeat(KEY_MAX)), Err(NameError::TooLong));
        let longest = DocName::in_service("notes", &"a".repeat(KEY_MAX - "_3s_notes_3s_".len())).unwrap();
        assert_eq!(longest.to_key().len(), KEY_MAX, "{}", longest.to_key());
        assert_eq!(DocName::from_internal(longest.internal()), Ok(longest));
    }

    #[test]
    fn keys_that_no_name_has_are_refused() {
        for key in ["", "A", "_", "__", "a_b", "_0_", "_00_b", "_zz_", "a__b"] {
            assert_eq!(DocName::from_key(key), None, "{key}");
        }
    }

    #[test]
    fn paths_that_name_nothing_are_refused() {
        for (path, error) in [
            ("", NameError::Empty),
            ("a//b", NameError::Empty),
            ("a/", NameError::Empty),
            ("a/%2e%2E/b", NameError::DotSegment),
            (".", NameError::DotSegment),
            ("a%0ab", NameError::Control),
            ("%ff", NameError::Encoding),
            ("%f", NameError::Encoding),
            ("%zz", NameError::Encoding),
        ] {
            assert_eq!(DocName::from_path(path), Err(error), "{path}");
        }
        assert_eq!(DocName::from_path(&"a".repeat(256)), Err(NameError::TooLong));
        assert_eq!(DocName::from_path("caf%C3%A9/a%20b").unwrap().as_str(), "café/a b");
    }
}
