//! Entries: what the lowerings store under a key, and how it is written.
//!
//! An entry is a batch of updates that were stored together, or a snapshot: one update that covers other entries, and
//! names them. The state of a document is the merge of all entries that no other one covers.
//!
//! ```text
//! value  magic, form, kind, time, [names, layers], body, crc-32 of all before
//! body   0, frames                        frames: of each update its length, and its bytes
//!        parts, bytes and crc-32 of the frames, which stand in so many values of their own
//! ```
//! Integers are varUints, CRCs are four bytes, ids eight, little end first.

use super::crc::crc32;
use crate::effect::Millis;
use crate::wire::{MAX_INTEGER, Reader, WireError, put_var_bytes, put_var_uint};
use bytes::Bytes;

/// What every value begins with, and its form: another number is another form.
const MAGIC: [u8; 2] = [b'y', 1];
const UPDATES: u8 = 0;
const SNAPSHOT: u8 = 1;
/// Entries that a snapshot names, and those in its layers: so that the value stays a small one.
pub const NAMES_MAX: usize = 4_096;
/// See [`NAMES_MAX`].
pub const LAYER_NAMES_MAX: usize = 512;
/// Parts of a body.
const PARTS_MAX: u64 = 4_096;
/// Bytes of a CRC.
const CRC: usize = 4;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was made, by its writer's clock.
    pub time: Millis,
    /// What it covers, if it is a snapshot.
    pub covers: Option<Covers>,
    /// Its updates; of a snapshot, one.
    pub updates: Vec<Bytes>,
}

/// What a snapshot covers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Covers {
    /// `listed`: the entries that were merged into it, snapshots among them, by their ids. `sequenced`: the numbers below
    /// its own that it does *not* cover, as runs: the first in the low 36 bits, how many follow it in the others.
    pub names: Vec<u64>,
    /// What some of those snapshots had covered, newest first: a reader that has these entries lacks nothing of this
    /// snapshot, although it knows none of the snapshots (`listed`). What it replaced and is still to be deleted
    /// (`sequenced`).
    pub layers: Vec<Layer>,
}

/// What an earlier snapshot had covered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layer {
    /// The snapshot.
    pub id: u64,
    /// What was merged into it.
    pub names: Vec<u64>,
}

/// The value of an entry, and its parts, which are to be stored first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The value.
    pub value: Bytes,
    /// Values of its parts, in their order; most often none.
    pub parts: Vec<Bytes>,
}

/// A value, read; the updates are perhaps in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// See [`Entry::time`].
    pub time: Millis,
    /// See [`Entry::covers`].
    pub covers: Option<Covers>,
    /// Its updates.
    pub body: Body,
}

/// Where the updates of an entry stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// In the value.
    Here(Vec<Bytes>),
    /// In values of their own.
    Parts(Parts),
}

/// The parts of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// How many.
    pub count: usize,
    /// Their bytes together.
    pub bytes: u64,
    crc: u32,
}

/// A value that is none of ours, or was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl core::fmt::Display for Damaged {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the stored value cannot be read")
    }
}

impl std::error::Error for Damaged {}

impl From<WireError> for Damaged {
    fn from(_: WireError) -> Self {
        Self
    }
}

impl Entry {
    /// Writes the entry. Updates beyond `inline` bytes go into parts of `part` bytes.
    pub fn encode(&self, inline: usize, part: usize) -> Encoded {
        let mut value = MAGIC.to_vec();
        value.push(if self.covers.is_some() { SNAPSHOT } else { UPDATES });
        put_var_uint(&mut value, self.time.0.min(MAX_INTEGER));
        if let Some(covers) = &self.covers {
            put_names(&mut value, &covers.names);
            put_var_uint(&mut value, covers.layers.len() as u64);
            for layer in &covers.layers {
                value.extend_from_slice(&layer.id.to_le_bytes());
                put_names(&mut value, &layer.names);
            }
        }
        let mut body = Vec::with_capacity(self.updates.iter().map(|update| update.len() + 8).sum());
        for update in &self.updates {
            put_var_bytes(&mut body, update);
        }
        let mut parts = Vec::new();
        if body.len() <= inline {
            put_var_uint(&mut value, 0);
            value.extend_from_slice(&body);
        } else {
            let body = Bytes::from(body);
            let part = part.max(body.len().div_ceil(PARTS_MAX as usize)).max(1);
            parts.extend((0..body.len()).step_by(part).map(|at| body.slice(at..body.len().min(at + part))));
            put_var_uint(&mut value, parts.len() as u64);
            put_var_uint(&mut value, body.len() as u64);
            value.extend_from_slice(&crc32(&body).to_le_bytes());
        }
        let crc = crc32(&value);
        value.extend_from_slice(&crc.to_le_bytes());
        Encoded { value: value.into(), parts }
    }
}

impl Value {
    /// Reads a value.
    ///
    /// # Errors
    /// If it is not exactly what [`Entry::encode`] writes.
    pub fn decode(value: &Bytes) -> Result<Self, Damaged> {
        let (read, crc) = value.split_last_chunk::<CRC>().ok_or(Damaged)?;
        if crc32(read) != u32::from_le_bytes(*crc) {
            return Err(Damaged);
        }
        let mut reader = Reader::new(read.strip_prefix(&MAGIC).ok_or(Damaged)?);
        let kind = reader.byte()?;
        let time = Millis(reader.var_uint()?);
        let covers = match kind {
            UPDATES => None,
            SNAPSHOT => Some(Covers::read(&mut reader)?),
            _ => return Err(Damaged),
        };
        let body = match reader.var_uint()? {
            0 => Body::Here(frames(value, &mut reader)?),
            count if count <= PARTS_MAX => {
                let bytes = reader.var_uint()?;
                Body::Parts(Parts {
                    count: count as usize,
                    bytes,
                    crc: u32::from_le_bytes(array(&mut reader)?),
                })
            }
            _ => return Err(Damaged),
        };
        if reader.is_empty() { Ok(Self { time, covers, body }) } else { Err(Damaged) }
    }
}

impl Parts {
    /// Reads the updates from the parts.
    ///
    /// # Errors
    /// If these are not the parts that were written.
    pub fn join(&self, parts: &[Bytes]) -> Result<Vec<Bytes>, Damaged> {
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if parts.len() != self.count || bytes != self.bytes {
            return Err(Damaged);
        }
        let body: Bytes = match parts {
            [single] => single.clone(),
            several => several.concat().into(),
        };
        if crc32(&body) != self.crc {
            return Err(Damaged);
        }
        frames(&body, &mut Reader::new(&body))
    }
}

impl Covers {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let names = names(reader, NAMES_MAX)?;
        let count = reader.var_uint()?;
        let (mut layers, mut left) = (Vec::new(), LAYER_NAMES_MAX);
        for _ in 0..count {
            let id = u64::from_le_bytes(array(reader)?);
            let names = names_of_layer(reader, &mut left)?;
            layers.push(Layer { id, names });
        }
        Ok(Self { names, layers })
    }
}

fn names_of_layer(reader: &mut Reader<'_>, left: &mut usize) -> Result<Vec<u64>, Damaged> {
    // Its own id counts as well, so that no number of empty layers is without bound.
    *left = left.checked_sub(1).ok_or(Damaged)?;
    let names = names(reader, *left)?;
    *left -= names.len();
    Ok(names)
}

fn put_names(out: &mut Vec<u8>, names: &[u64]) {
    put_var_uint(out, names.len() as u64);
    names.iter().for_each(|name| out.extend_from_slice(&name.to_le_bytes()));
}

fn names(reader: &mut Reader<'_>, most: usize) -> Result<Vec<u64>, Damaged> {
    let count = usize::try_from(reader.var_uint()?).ok().filter(|count| *count <= most).ok_or(Damaged)?;
    (0..count).map(|_| Ok(u64::from_le_bytes(array(reader)?))).collect()
}

fn array<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], Damaged> {
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *byte = reader.byte()?;
    }
    Ok(bytes)
}

/// The rest of a reader as frames, without a copy.
fn frames(whole: &Bytes, reader: &mut Reader<'_>) -> Result<Vec<Bytes>, Damaged> {
    let mut frames = Vec::new();
    while !reader.is_empty() {
        frames.push(whole.slice_ref(reader.var_bytes()?));
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn updates() -> impl Strategy<Value = Vec<Bytes>> {
        let update = proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        proptest::collection::vec(update, 0..6)
    }

    fn names() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(any::<u64>(), 0..5)
    }

    fn covers() -> impl Strategy<Value = Option<Covers>> {
        let layer = (any::<u64>(), names()).prop_map(|(id, names)| Layer { id, names });
        let layers = proptest::collection::vec(layer, 0..4);
        proptest::option::of((names(), layers).prop_map(|(names, layers)| Covers { names, layers }))
    }

    fn entry() -> impl Strategy<Value = Entry> {
        (0..=MAX_INTEGER, covers(), updates()).prop_map(|(time, covers, updates)| Entry {
            time: Millis(time),
            covers,
            updates,
        })
    }

    fn read(encoded: &Encoded) -> Result<Entry, Damaged> {
        let Value { time, covers, body } = Value::decode(&encoded.value)?;
        let updates = match body {
            Body::Here(updates) => updates,
            Body::Parts(parts) => parts.join(&encoded.parts)?,
        };
        Ok(Entry { time, covers, updates })
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(entry in entry(), inline in 0_usize..100, part in 1_usize..50) {
            let encoded = entry.encode(inline, part);
            prop_assert_eq!(read(&encoded), Ok(entry));
            prop_assert!(encoded.parts.iter().all(|bytes| !bytes.is_empty() && bytes.len() <= part));
        }

        #[test]
        fn what_was_damaged_is_never_read(entry in entry(), inline in 0_usize..100, at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let encoded = entry.encode(inline, 20);
            let damage = |bytes: &Bytes| {
                let mut damaged = bytes.to_vec();
                let at = at.index(damaged.len());
                damaged[at] ^= 1 << bit;
                Bytes::from(damaged)
            };
            let value = damage(&encoded.value);
            prop_assert_eq!(read(&Encoded { value, ..encoded.clone() }), Err(Damaged));
            let cut = encoded.value.slice(..at.index(encoded.value.len()));
            prop_assert_eq!(read(&Encoded { value: cut, ..encoded.clone() }), Err(Damaged));
            if let Some((first, rest)) = encoded.parts.split_first() {
                let parts = core::iter::once(damage(first)).chain(rest.iter().cloned()).collect();
                prop_assert_eq!(read(&Encoded { parts, ..encoded.clone() }), Err(Damaged));
                prop_assert_eq!(read(&Encoded { parts: rest.to_vec(), ..encoded.clone() }), Err(Damaged));
            }
        }
    }

    #[test]
    fn a_value_names_no_more_than_its_bound() {
        let named = |names, layers| Entry {
            time: Millis(1),
            covers: Some(Covers {
                names: vec![7; names],
                layers: vec![Layer { id: 1, names: vec![7] }; layers],
            }),
            updates: Vec::new(),
        };
        for (names, layers, fits) in [
            (NAMES_MAX, LAYER_NAMES_MAX / 2, true),
            (NAMES_MAX + 1, 0, false),
            (0, LAYER_NAMES_MAX / 2 + 1, false),
        ] {
            assert_eq!(read(&named(names, layers).encode(100, 100)).is_ok(), fits, "{names} {layers}");
        }
    }
}
