//! Which generation lives, and where its newest snapshot is.
//!
//! The head is a hint that anyone overwrites: whatever it ever said leads to the living generation and to the newest
//! snapshot, only with more reads. What decides is that a generation's tombstone is there, or is not.

use super::Work;
use super::seen::{GENERATION_MAX, Seen};
use crate::effect::Millis;
use crate::kv::entry::{Body, Entry, Value};
use crate::kv::{CountKv, Kv as _};
use crate::log::{LogError, Offset};
use bytes::Bytes;

/// The head, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Generation and number of the snapshot, 0 if there is none, and what that leaves open.
    pub(super) seen: Seen,
    /// The snapshot's bytes.
    pub(super) bytes: u64,
    /// The generation before, and what may still come to be stored there.
    pub(super) left: Option<Seen>,
}

impl Head {
    fn encode(&self, time: Millis) -> Bytes {
        let place = |seen: &Seen| Bytes::from(seen.offset().to_string());
        let mut updates = vec![place(&self.seen), Bytes::copy_from_slice(&self.bytes.to_le_bytes())];
        updates.extend(self.left.as_ref().map(place));
        Entry { time, covers: None, updates }.encode(usize::MAX, usize::MAX).value
    }

    fn decode(value: &Bytes) -> Option<Self> {
        let Body::Here(updates) = Value::decode(value).ok()?.body else { return None };
        let [place, bytes, left @ ..] = updates.as_slice() else { return None };
        let seen = |place: &Bytes| Some(Seen::parse(&Offset::parse(core::str::from_utf8(place).ok()?)?));
        let bytes = u64::from_le_bytes(bytes.as_ref().try_into().ok()?);
        Some(Self { seen: seen(place)?, bytes, left: left.first().and_then(seen) })
    }
}

impl<K: CountKv> Work<'_, K> {
    /// The generation that lives or would be the next to live, as of at most `trust` milliseconds ago.
    pub(super) async fn generation(&self, trust: u64) -> Result<u64, LogError> {
        let mut began = self.kv.now();
        let is_fresh = self.known().checked.is_some_and(|at| began.since(at) < trust);
        if is_fresh {
            return Ok(self.known().generation);
        }
        if !self.known().asked {
            let head = self.read_head().await?;
            let mut known = self.known_mut();
            if let Some(head) = &head
                && head.seen.generation > known.generation
            {
                known.turn(head.seen.generation);
            }
            known.asked = true;
            known.learn_head(head);
        }
        let mut generation = self.known().generation;
        while self.kv.get(&self.keys().tombstone(generation)).await?.is_some() {
            generation += 1;
            if generation > GENERATION_MAX {
                return Err(LogError::Refused);
            }
            began = self.kv.now();
        }
        let mut known = self.known_mut();
        // Another operation of this instance may have come further meanwhile.
        if known.generation <= generation {
            known.check(generation, began);
        }
        Ok(known.generation)
    }

    /// Whether a generation was deleted; what is known of it is forgotten then.
    pub(super) async fn is_dead(&self, generation: u64) -> Result<bool, LogError> {
        let began = self.kv.now();
        if self.kv.get(&self.keys().tombstone(generation)).await?.is_some() {
            let mut known = self.known_mut();
            if known.generation == generation && generation < GENERATION_MAX {
                known.turn(generation + 1);
            }
            return Ok(true);
        }
        if self.known().generation == generation {
            self.known_mut().check(generation, began);
        }
        Ok(false)
    }

    /// The head as it stands; none if there is none, or one that cannot be read, which is as good.
    pub(super) async fn read_head(&self) -> Result<Option<Head>, LogError> {
        Ok(self.kv.get(&self.keys().head()).await?.and_then(|value| Head::decode(&value)))
    }

    /// Writes the head and reads it back: what stands there then, perhaps another's.
    pub(super) async fn write_head(&self, head: &Head) -> Result<Option<Head>, LogError> {
        self.kv.set(&self.keys().head(), head.encode(self.kv.now())).await?;
        let read = self.read_head().await?;
        self.known_mut().learn_head(read.clone());
        Ok(read)
    }
}
