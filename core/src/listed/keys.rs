//! The keys of one document, and what they tell without a read.
//!
//! ```text
//! d{document}__{generation}b                       it was made
//! d{document}__{generation}t                       this generation and all before are deleted
//! d{document}__{generation}u{time}{id}{bytes}      an entry: updates that were stored together
//! d{document}__{generation}s{time}{id}{bytes}      an entry: a snapshot
//! p{document}__{generation}{time}{id}{index}       a part of an entry
//! v{document}__{generation}{version}               what is told about a version
//! w{document}__{generation}{version}[_{index}]     its state, or a part of it
//! i{document}__{generation}                        the document's line in the catalogue
//! a{document}__[n]                                 who is there, see `presence::kept`
//! ```
//! Numbers are lower-case hexadecimal: a generation has 5 digits, a time 11, an id 16, an index 4, bytes as many as
//! they need. `__` is in no document's key form, so one document's prefix is never another's.

use crate::effect::Millis;
use crate::kv::{Place, presence_key};
use crate::log::PresencePart;
use crate::name::DocName;

/// The largest generation, in its 20 bits.
pub(super) const GENERATION_MAX: u32 = 0xf_ffff;
/// The largest time that a key can hold, in its 44 bits.
pub(super) const TIME_MAX: u64 = (1 << 44) - 1;
/// Letters of a version's id.
const VERSION_MAX: usize = 32;

/// What every key of a document has in the middle.
#[derive(Debug)]
pub(super) struct Keys {
    document: String,
}

/// A key of the document's own list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The generation was made.
    Birth(u32),
    /// The generation, and all before, are deleted.
    Tombstone(u32),
    /// An entry of a generation.
    Entry(u32, EntryKey),
}

/// An entry as its key has it. They sort by their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryKey {
    pub(super) time: Millis,
    /// What it is called everywhere: 64 random bits.
    pub(super) id: u64,
    pub(super) is_snapshot: bool,
    /// Of its updates.
    pub(super) bytes: u64,
}

/// Where an entry is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) keys: &'a Keys,
    pub(super) generation: u32,
    pub(super) entry: EntryKey,
}

/// Where the state of a version is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct VersionAt<'a> {
    pub(super) keys: &'a Keys,
    pub(super) generation: u32,
    pub(super) id: &'a str,
}

impl Key {
    pub(super) fn generation(self) -> u32 {
        match self {
            Self::Birth(generation) | Self::Tombstone(generation) | Self::Entry(generation, _) => generation,
        }
    }
}

impl Keys {
    pub(super) fn new(name: &DocName) -> Self {
        Self { document: name.to_key() }
    }

    /// What all keys of a kind begin with: `d`, `p`, `v`, `w` or `i`.
    pub(super) fn prefix(&self, kind: char) -> String {
        format!("{kind}{}__", self.document)
    }

    pub(super) fn presence(&self, part: PresencePart) -> String {
        presence_key(&self.document, part)
    }

    pub(super) fn index(&self, generation: u32) -> String {
        format!("{}{generation:05x}", self.prefix('i'))
    }

    pub(super) fn version(&self, generation: u32, id: &str) -> String {
        format!("{}{generation:05x}{id}", self.prefix('v'))
    }

    pub(super) fn write(&self, key: Key) -> String {
        let prefix = self.prefix('d');
        match key {
            Key::Birth(generation) => format!("{prefix}{generation:05x}b"),
            Key::Tombstone(generation) => format!("{prefix}{generation:05x}t"),
            Key::Entry(generation, entry) => {
                let EntryKey { time, id, is_snapshot, bytes } = entry;
                let kind = if is_snapshot { 's' } else { 'u' };
                format!("{prefix}{generation:05x}{kind}{:011x}{id:016x}{bytes:x}", time.0)
            }
        }
    }

    /// Reads a key of the document's own list; none if it is none of ours.
    pub(super) fn read(&self, key: &str) -> Option<Key> {
        let (generation, rest) = self.split('d', key)?;
        let (kind, rest) = rest.split_at_checked(1)?;
        let read = match kind {
            "b" => Key::Birth(generation),
            "t" => Key::Tombstone(generation),
            "u" | "s" => {
                let (time, rest) = rest.split_at_checked(11)?;
                let (id, bytes) = rest.split_at_checked(16)?;
                let (time, id, bytes) = (Millis(number(time)?), number(id)?, number(bytes)?);
                Key::Entry(generation, EntryKey { time, id, is_snapshot: kind == "s", bytes })
            }
            _ => return None,
        };
        // Exactly as we write it: what is deleted is written anew from what was read.
        (self.write(read) == key).then_some(read)
    }

    /// The generation, time and id of the entry whose part this is.
    pub(super) fn read_part(&self, key: &str) -> Option<(u32, Millis, u64)> {
        let (generation, rest) = self.split('p', key)?;
        let (time, rest) = rest.split_at_checked(11)?;
        let (id, index) = rest.split_at_checked(16)?;
        (index.len() == 4 && number(index).is_some())
            .then_some(())
            .and_then(|()| Some((generation, Millis(number(time)?), number(id)?)))
    }

    /// The generation and id of the version that a key of the kind `v` or `w` is about.
    pub(super) fn read_version<'a>(&self, kind: char, key: &'a str) -> Option<(u32, &'a str)> {
        let (generation, rest) = self.split(kind, key)?;
        let id = rest.split_once('_').map_or(rest, |(id, _)| id);
        is_version(id).then_some((generation, id))
    }

    /// The generation in a key of this kind, and what follows it.
    pub(super) fn split<'a>(&self, kind: char, key: &'a str) -> Option<(u32, &'a str)> {
        let key = key.strip_prefix(kind)?.strip_prefix(self.document.as_str())?.strip_prefix("__")?;
        let (generation, rest) = key.split_at_checked(5)?;
        Some((u32::try_from(number(generation)?).ok()?, rest))
    }
}

/// The name and generation that a line of the catalogue is about.
pub(super) fn read_index(key: &str) -> Option<(DocName, u32)> {
    let (document, generation) = key.strip_prefix('i')?.rsplit_once("__")?;
    let generation = number(generation).filter(|_| generation.len() == 5)?;
    Some((DocName::from_key(document)?, u32::try_from(generation).ok()?))
}

/// Whether this can be a version's id.
pub(super) fn is_version(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !id.is_empty() && id.len() <= VERSION_MAX && id.bytes().all(plain)
}

/// When a version was made, as far as its id says so.
pub(super) fn version_time(id: &str) -> Option<Millis> {
    number(id.get(..11)?).map(Millis)
}

impl Place for At<'_> {
    fn key(&self) -> String {
        self.keys.write(Key::Entry(self.generation, self.entry))
    }

    fn part(&self, index: usize) -> String {
        let Self { keys, generation, entry } = self;
        format!("{}{generation:05x}{:011x}{:016x}{index:04x}", keys.prefix('p'), entry.time.0, entry.id)
    }
}

impl Place for VersionAt<'_> {
    fn key(&self) -> String {
        format!("{}{:05x}{}", self.keys.prefix('w'), self.generation, self.id)
    }

    fn part(&self, index: usize) -> String {
        format!("{}_{index:04x}", self.key())
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if digits { u64::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_their_text() {
        let name = DocName::new("Ä/notes".repeat(2)).unwrap();
        let keys = Keys::new(&name);
        let entry =
            EntryKey { time: Millis(TIME_MAX), id: u64::MAX, is_snapshot: true, bytes: 0xffff_ffff_ffff };
        for key in [
            Key::Birth(0),
            Key::Tombstone(GENERATION_MAX),
            Key::Entry(3, entry),
            Key::Entry(4, EntryKey { is_snapshot: false, id: 1, bytes: 0, time: Millis(0) }),
        ] {
            assert_eq!(keys.read(&keys.write(key)), Some(key));
        }
        let at = At { keys: &keys, generation: 3, entry };
        assert_eq!(keys.read_part(&at.part(2)), Some((3, entry.time, entry.id)));
        let at = VersionAt { keys: &keys, generation: 3, id: "00a" };
        assert_eq!(keys.read_version('w', &at.part(2)), Some((3, "00a")));
        assert_eq!(keys.read_version('w', &at.key()), Some((3, "00a")));
        assert_eq!(read_index(&keys.index(3)), Some((name, 3)));
    }

    #[test]
    fn keys_of_the_longest_name_fit_everywhere() {
        let name = DocName::new("a".repeat(crate::KEY_MAX)).unwrap();
        let keys = Keys::new(&name);
        let entry = EntryKey { time: Millis(TIME_MAX), id: u64::MAX, is_snapshot: true, bytes: u64::MAX };
        let at = At { keys: &keys, generation: GENERATION_MAX, entry };
        let id = "f".repeat(VERSION_MAX);
        let version = VersionAt { keys: &keys, generation: GENERATION_MAX, id: &id };
        for key in [at.key(), at.part(0xffff), version.key(), version.part(0xffff)] {
            assert!(key.len() <= 255, "{} {key}", key.len());
            assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b)));
        }
    }

    #[test]
    fn keys_of_others_are_none_of_ours() {
        let keys = Keys::new(&DocName::new("a").unwrap());
        for key in [
            "da__00000x",
            "da__0000bb",
            "da__0000g b",
            "da__00000b0",
            "db__00000b",
            "da__00000u0000000000100000000000000010",
            "da__00000u000000000010000000000000001",
            "da__00000u00000000001000000000000000100",
            "da__00000u+0000000001000000000000000100",
            "",
            "d",
        ] {
            let read = keys.read(key);
            assert!(read.is_none() || keys.write(read.unwrap()) == key, "{key}");
        }
        assert_eq!(keys.read("da__00000u+00000000010000000000000001ff"), None);
        assert_eq!(keys.read("da__00000b0"), None);
        // A name that ends in an escape, and one that is its beginning.
        let (long, short) = (DocName::new("aÄ").unwrap(), DocName::new("a").unwrap());
        let key = Keys::new(&long).write(Key::Birth(0));
        assert!(!key.starts_with(&Keys::new(&short).prefix('d')), "{key}");
        assert_eq!(Keys::new(&short).read(&key), None);
    }
}
