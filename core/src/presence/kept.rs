//! Who is there, as it is kept in a store that any number of instances share ([`LogOp::ReadPresence`]).
//!
//! A value holds one generation of the document, and of each presence stream the last value of each client. Whoever
//! changes it has read it just before, and writes all of it: the last writer wins. It is bounded, and what cannot be
//! read counts as empty.
//!
//! ```text
//! value   magic, form, generation, written, streams, crc-32 of all before
//! stream  name, life, version, used, clients
//! client  id, clock, heard, changed, owner, JSON           JSON: empty for a client that was removed
//! ```
//! Integers are varUints; lists have their length in front. `version` rises with every change, on whatever instance: so
//! a place in a stream means the same everywhere. Its high bits are the time, its low ones tell apart what two instances
//! made of one and the same value at once.
//!
//! An `owner` is the version with which a connection brought the client: it is parked with the connection, and whoever
//! sees it close removes exactly the clients that still have it. 0 stands for HTTP requests.
//!
//! Clocks of instances may differ: a state expires by when this room noticed it, if it was there to notice.

use super::{Entry, Writer};
use crate::collections::Map;
use crate::effect::Millis;
use crate::kv::crc::{crc32, digest};
use crate::limits::Limits;
use crate::request::PresenceOffset;
use crate::wire::{MAX_INTEGER, Reader, WireError, put_var_bytes, put_var_uint};
use bytes::Bytes;

#[cfg(doc)]
use crate::log::LogOp;

const MAGIC: [u8; 2] = [b'a', 1];
const CRC: usize = 4;
/// By how much a clock is higher that is surely no repetition of what was told and is not stored yet.
const REPEATED: u64 = 1_000;
/// Low bits of a version that are made of what changed.
const SALT_BITS: u32 = 6;
/// Of a client beside its state, at most; and of a stream beside its clients.
const CLIENT_BYTES: usize = 48;
const STREAM_BYTES: usize = 288;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    pub(crate) generation: u64,
    /// When it was written, by its writer's clock.
    pub(crate) written: Millis,
    pub(crate) streams: Map<String, Roster>,
}

/// One presence stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Roster {
    /// When it was made.
    life: Millis,
    version: u64,
    /// When it was last used.
    pub(crate) used: Millis,
    clients: Map<u64, Known>,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) clock: u64,
    /// None if it was removed.
    pub(crate) state: Option<Bytes>,
    /// When it was last heard of, by the clock of who heard it.
    heard: Millis,
    /// The same by the clock of who reads it. Not stored.
    seen: Millis,
    changed: u64,
    pub(crate) owner: u64,
}

/// What is made of an entry of an awareness update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new; whether its sender owns the client from now on.
    Take {
        owns: bool,
    },
    /// The same as is known, from a connection that introduces itself: it is told to all, and changes nothing.
    Claim,
    /// Announced, yet known to be gone, at this clock.
    TellRemoved(u64),
    Ignore,
}

/// Who sent an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sender {
    /// It announced nothing before.
    pub(crate) introduces: bool,
    /// And this is all.
    pub(crate) alone: bool,
    /// It hears what others say.
    pub(crate) repeats: bool,
    /// It owned the client when it last heard of it.
    pub(crate) owned: bool,
    /// How many more clients it may show.
    pub(crate) room: usize,
}

impl Kept {
    pub(crate) fn empty(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Reads a value. One that is damaged, or of another generation, is empty. `before`: what this room read last.
    pub(crate) fn read(
        value: Option<&Bytes>,
        generation: u64,
        now: Millis,
        before: Option<&Self>,
        limits: &Limits,
    ) -> Self {
        let fits = value.filter(|value| value.len() <= 2 * limits.presence_bytes);
        let kept = fits.and_then(|value| Self::decode(value).ok());
        let Some(mut kept) = kept.filter(|kept| kept.generation == generation) else {
            return Self::empty(generation);
        };
        for (name, roster) in kept.streams.iter_mut() {
            for (id, known) in roster.clients.iter_mut() {
                let earlier = before.and_then(|before| before.streams.get(name)?.clients.get(id));
                known.seen = match earlier {
                    Some(earlier) if earlier.clock == known.clock && earlier.heard == known.heard => {
                        earlier.seen
                    }
                    Some(_) => now,
                    None if before.is_some() => now,
                    None => known.heard.min(now),
                };
            }
        }
        kept
    }

    fn decode(value: &Bytes) -> Result<Self, WireError> {
        let (read, crc) = value.split_last_chunk::<CRC>().ok_or(WireError::Truncated)?;
        if crc32(read) != u32::from_le_bytes(*crc) {
            return Err(WireError::Truncated);
        }
        let mut reader = Reader::new(read.strip_prefix(&MAGIC).ok_or(WireError::Truncated)?);
        let (generation, written) = (reader.var_uint()?, Millis(reader.var_uint()?));
        let mut streams = Map::new();
        for _ in 0..reader.var_uint()? {
            let name = reader.var_str()?.to_owned();
            let (life, version) = (Millis(reader.var_uint()?), reader.var_uint()?);
            let used = Millis(reader.var_uint()?);
            let mut clients = Map::new();
            for _ in 0..reader.var_uint()? {
                let (id, clock, heard) = (reader.var_uint()?, reader.var_uint()?, Millis(reader.var_uint()?));
                let (changed, owner) = (reader.var_uint()?, reader.var_uint()?);
                let json = reader.var_str()?;
                if !json.is_empty() && !crate::update::is_json(json) {
                    return Err(WireError::Truncated);
                }
                let state = (!json.is_empty()).then(|| value.slice_ref(json.as_bytes()));
                clients.insert(id, Known { clock, state, heard, seen: heard, changed, owner });
            }
            streams.insert(name, Roster { life, version, used, clients });
        }
        if reader.is_empty() { Ok(Self { generation, written, streams }) } else { Err(WireError::Truncated) }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.bytes());
        out.extend_from_slice(&MAGIC);
        put_var_uint(&mut out, self.generation);
        put_var_uint(&mut out, self.written.0.min(MAX_INTEGER));
        put_var_uint(&mut out, self.streams.len() as u64);
        for (name, roster) in self.streams.iter() {
            put_var_bytes(&mut out, name.as_bytes());
            for number in [roster.life.0, roster.version, roster.used.0, roster.clients.len() as u64] {
                put_var_uint(&mut out, number.min(MAX_INTEGER));
            }
            for (id, known) in roster.clients.iter() {
                for number in [*id, known.clock, known.heard.0, known.changed, known.owner] {
                    put_var_uint(&mut out, number.min(MAX_INTEGER));
                }
                put_var_bytes(&mut out, known.state.as_deref().unwrap_or_default());
            }
        }
        let crc = crc32(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.into()
    }

    /// Bytes of the value, at most.
    pub(crate) fn bytes(&self) -> usize {
        let known = |known: &Known| CLIENT_BYTES + known.state.as_ref().map_or(0, Bytes::len);
        let stream = |stream: &Roster| STREAM_BYTES + stream.clients.values().map(known).sum::<usize>();
        self.streams.values().map(stream).sum::<usize>() + CLIENT_BYTES
    }

    /// The place of each stream.
    pub(crate) fn places(&self) -> Vec<(&str, PresenceOffset)> {
        self.streams.iter().map(|(name, roster)| (name.as_str(), roster.offset())).collect()
    }

    /// When the next state is due for removal.
    pub(crate) fn next_expiry(&self, limits: &Limits) -> Option<Millis> {
        self.streams.values().filter_map(|roster| roster.next_expiry(limits)).min()
    }

    /// Forgets streams that nobody has used for a while.
    pub(crate) fn forget_unused(&mut self, now: Millis, limits: &Limits) {
        self.streams.retain(|_, roster| now.since(roster.used) < limits.presence_stream_kept);
    }
}

impl Roster {
    /// A stream that begins now.
    pub(crate) fn new(now: Millis) -> Self {
        Self { life: now, version: now.0 << SALT_BITS, used: now, clients: Map::new() }
    }

    /// The place of who was told all of it.
    pub(crate) fn offset(&self) -> PresenceOffset {
        PresenceOffset { life: self.life, version: self.version }
    }

    /// Everyone shown, as one awareness update.
    pub(crate) fn states(&self, now: Millis, limits: &Limits) -> Option<Bytes> {
        self.write(|known| known.state.is_some() && !known.is_late(now, limits))
    }

    /// What changed since a place, removals included; everyone, for who has none of this stream.
    pub(crate) fn news(&self, since: Option<PresenceOffset>, now: Millis, limits: &Limits) -> Option<Bytes> {
        match since {
            Some(since) if since.life == self.life && since.version <= self.version => {
                self.write(|known| known.changed > since.version)
            }
            Some(_) | None => self.states(now, limits),
        }
    }

    fn write(&self, which: impl Fn(&Known) -> bool) -> Option<Bytes> {
        let mut out = Writer::default();
        for (id, known) in self.clients.iter().filter(|(_, known)| which(known)) {
            out.push(*id, known.clock, known.state.as_deref());
        }
        out.finish()
    }

    pub(crate) fn get(&self, client: u64) -> Option<&Known> {
        self.clients.get(&client)
    }

    /// Who came by HTTP requests.
    pub(crate) fn by_request(&self) -> impl Iterator<Item = u64> {
        self.clients.iter().filter(|(_, known)| known.state.is_some() && known.owner == 0).map(|(id, _)| *id)
    }

    /// How many are shown.
    pub(crate) fn shown(&self) -> usize {
        self.clients.values().filter(|known| known.state.is_some()).count()
    }

    fn next_expiry(&self, limits: &Limits) -> Option<Millis> {
        let shown = self.clients.values().filter(|known| known.state.is_some());
        shown.map(|known| known.seen.after(limits.awareness_timeout)).min()
    }

    /// How an entry relates to what is known. The rules are those of the [module above](super).
    pub(crate) fn judge(&self, entry: &Entry<'_>, sender: Sender) -> Verdict {
        let Some(known) = self.clients.get(&entry.client) else {
            let fits = entry.state.is_some() && sender.room > 0;
            return if fits { Verdict::Take { owns: true } } else { Verdict::Ignore };
        };
        match (&known.state, entry.state) {
            (None, Some(_)) if entry.clock > known.clock => {
                if sender.room > 0 {
                    Verdict::Take { owns: true }
                } else {
                    Verdict::Ignore
                }
            }
            (Some(_), _) if entry.clock > known.clock => {
                // Clients pass on what they hear, perhaps before it is stored: it was told to all, and its owner has it
                // stored.
                let owns = sender.introduces || sender.owned;
                let is_repeated = sender.repeats && !owns && entry.clock - known.clock < REPEATED;
                if is_repeated { Verdict::Ignore } else { Verdict::Take { owns } }
            }
            (None, None) if entry.clock > known.clock => Verdict::Take { owns: false },
            (Some(_), None) if entry.clock == known.clock => Verdict::Take { owns: false },
            (Some(state), Some(json))
                if sender.introduces && entry.clock == known.clock && state == json.as_bytes() =>
            {
                Verdict::Claim
            }
            (None, Some(_)) if sender.introduces || sender.owned => Verdict::TellRemoved(known.clock),
            (Some(_), Some(_)) if sender.alone => Verdict::TellRemoved(known.clock),
            _ => Verdict::Ignore,
        }
    }

    /// The version of the changes that are made now; [`Roster::seal`] ends them.
    pub(crate) fn next_version(&self, now: Millis) -> u64 {
        ((self.version >> SALT_BITS) + 1).max(now.0) << SALT_BITS
    }

    /// Takes a state, or a removal. `owner`: none for who it was.
    pub(crate) fn put(
        &mut self,
        now: Millis,
        client: u64,
        clock: u64,
        state: Option<Bytes>,
        owner: Option<u64>,
    ) {
        let changed = self.next_version(now);
        let before = self.clients.get(&client);
        let owner = owner.or(before.map(|known| known.owner)).unwrap_or_default();
        self.clients.insert(client, Known { clock, state, heard: now, seen: now, changed, owner });
    }

    /// Removes who was not renewed in time, and forgets removals of long ago; the removals.
    pub(crate) fn expire(&mut self, now: Millis, limits: &Limits) -> Vec<(u64, u64)> {
        self.clients.retain(|_, known| known.state.is_some() || !known.is_late(now, limits));
        let late = self.clients.iter().filter(|(_, known)| known.is_late(now, limits));
        let late: Vec<_> = late.map(|(id, known)| (*id, known.clock)).collect();
        late.iter().for_each(|(id, clock)| self.put(now, *id, *clock, None, None));
        late
    }

    /// Ends what was changed; whether anything was.
    pub(crate) fn seal(&mut self, now: Millis) -> bool {
        let next = self.next_version(now);
        let mut hash = digest();
        for (id, known) in self.clients.iter().filter(|(_, known)| known.changed == next) {
            hash.update(&id.to_le_bytes());
            hash.update(&known.clock.to_le_bytes());
            hash.update(known.state.as_deref().unwrap_or_default());
        }
        let sealed = next | u64::from(hash.finalize()) & ((1 << SALT_BITS) - 1);
        let mut any = false;
        for known in self.clients.values_mut().filter(|known| known.changed == next) {
            any = true;
            known.changed = sealed;
            if known.owner == next {
                known.owner = sealed;
            }
        }
        if any {
            self.version = sealed;
        }
        any
    }
}

impl Known {
    fn is_late(&self, now: Millis, limits: &Limits) -> bool {
        now.since(self.seen) >= limits.awareness_timeout
    }
}
