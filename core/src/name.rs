//! Names of documents, as users write them and as keys hold them.

/// Bytes of a name, percent-decoding done.
pub const NAME_MAX: usize = 255;
/// Bytes of a name's key form. Keys are at most 255 bytes on every host, and updates add to the name.
pub const KEY_MAX: usize = 200;

/// The name of a document: any UTF-8 without control characters, segments divided by slashes.
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
}

impl core::fmt::Display for NameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Empty => f.write_str("the document's name is empty or has an empty segment"),
            Self::TooLong => {
                write!(f, "the document's name is longer than {NAME_MAX} bytes, or {KEY_MAX} as a key")
            }
            Self::DotSegment => f.write_str("the document's name has a segment '.' or '..'"),
            Self::Control => f.write_str("the document's name has a control character"),
            Self::Encoding => f.write_str("the document's name is not percent-encoded UTF-8"),
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
        let name = Self(name);
        if name.to_key().len() > KEY_MAX { Err(NameError::TooLong) } else { Ok(name) }
    }

    /// Reads a name from a percent-encoded path.
    pub fn from_path(path: &str) -> Result<Self, NameError> {
        let decoded = percent_decode(path).ok_or(NameError::Encoding)?;
        Self::new(String::from_utf8(decoded).map_err(|_| NameError::Encoding)?)
    }

    /// The name as users write it.
    pub fn as_str(&self) -> &str {
        &self.0
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
        let name = Self::new(String::from_utf8(bytes).ok()?).ok()?;
        (name.to_key() == key).then_some(name)
    }
}

impl core::fmt::Display for DocName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
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
