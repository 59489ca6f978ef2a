//! Awareness: the last state of every client, with the time injected.
//!
//! States are JSON that is checked and passed on, never interpreted. Presence is not the log: it expires, may
//! be lost, and never touches the document. The rules are those of y-protocols' `applyAwarenessUpdate`, seen
//! from a server:
//!
//! - A state is taken if its clock is higher than the known one; a removal also if it is equal.
//! - A state belongs to the connection that last brought a newer one, and goes when that connection closes.
//!   Clients repeat the states of others with the same clock (y-websocket does); that changes no owner.
//! - The first states that a new connection announces may be its own: a client came back before its old
//!   connection was found dead. When that one closes, the new one is told of the removal first: a client whose
//!   state it is announces it anew with a higher clock, as y-protocols has it, and nobody else notices.
//! - A client that comes back after its removal is told of it likewise.
//! - A state that came by an HTTP request belongs to no connection: it goes when it is not renewed.
//!
//! Readers over HTTP ask for what changed since a version: the last value of each client, not every value.

mod kept;

pub(crate) use kept::{Kept, Roster, Sender, Verdict as Judged};

use crate::collections::Map;
use crate::effect::{ConnId, Millis};
use crate::limits::Limits;
use crate::session::ParkedClient;
use crate::update::is_json;
use crate::wire::{Reader, WireError, put_var_bytes, put_var_uint};
use bytes::Bytes;

/// The awareness states of one document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Presence {
    clients: Map<u64, Client>,
    /// Counts the changes that everyone is told of.
    version: u64,
    /// No state is due for removal before this. It may be early, never late.
    next_expiry: Option<Millis>,
}

#[derive(Debug, Clone)]
struct Client {
    clock: u64,
    state: State,
    owner: Option<ConnId>,
    /// Another connection that introduced itself with this very state: perhaps the same client, come back.
    claimed_by: Option<ConnId>,
    seen: Millis,
    /// The version with which it last changed.
    changed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Shown(Bytes),
    /// Its connection parked the client's id and clock, but the state did not fit.
    Forgotten,
    /// Remembered for a while, so that a repetition of an old state does not bring the client back.
    Removed,
}

/// What became of an awareness update.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The entries that were taken, as an awareness update for everyone.
    pub(crate) relay: Option<Bytes>,
    /// Removals that the sender has to know of: it announced what counts as gone.
    pub(crate) answer: Option<Bytes>,
}

/// What a connection that closed leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Its removals, for everyone.
    pub(crate) relay: Option<Bytes>,
    /// Removals for single connections: each of these may be the same client, and says so within
    /// [`CLAIM_PATIENCE`].
    pub(crate) questions: Vec<(ConnId, Bytes)>,
}

/// Milliseconds that a client has to say that a state is its own.
const CLAIM_PATIENCE: u64 = 3_000;

/// Why an awareness update was not taken. Nothing of it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PresenceError {
    /// It cannot be read.
    Wire(WireError),
    /// A state is not JSON: every client that got it would fail to parse it.
    Json,
    /// A state exceeds [`Limits::awareness_bytes`].
    TooBig,
}

impl From<WireError> for PresenceError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl core::fmt::Display for PresenceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Json => f.write_str("an awareness state is not JSON"),
            Self::TooBig => f.write_str("an awareness state exceeds its limit"),
        }
    }
}

/// One client's part of an awareness update.
pub(crate) struct Entry<'a> {
    pub(crate) client: u64,
    pub(crate) clock: u64,
    /// JSON; none for a removal.
    pub(crate) state: Option<&'a str>,
}

/// How a client that sent an entry relates to what is known.
enum Verdict {
    Take,
    /// The same as is known, from a connection that introduces itself.
    Claim,
    /// Announced, yet known to be gone.
    TellRemoved,
    Ignore,
}

impl Presence {
    /// Takes what is new in an update that `conn` sent; none for an HTTP request.
    ///
    /// `introduces` tells that this connection announced nothing before.
    pub(crate) fn apply(
        &mut self,
        now: Millis,
        conn: Option<ConnId>,
        introduces: bool,
        update: &Bytes,
        limits: &Limits,
    ) -> Result<Applied, PresenceError> {
        let entries = read_entries(update, limits)?;
        self.version += 1;
        let mut taken = Writer::default();
        let mut gone = Writer::default();
        for entry in &entries {
            let alone = introduces && entries.len() == 1;
            match self.judge(entry, conn, introduces, alone, limits) {
                Verdict::Take => {
                    let state = entry.state.map(|json| update.slice_ref(json.as_bytes()));
                    taken.push(entry.client, entry.clock, state.as_deref());
                    self.put(now, entry, conn, state, limits);
                }
                Verdict::Claim => {
                    if let Some(known) = self.clients.get_mut(&entry.client) {
                        known.claimed_by = conn;
                    }
                    taken.push(entry.client, entry.clock, entry.state.map(str::as_bytes));
                }
                Verdict::TellRemoved => {
                    let clock = self.clients.get(&entry.client).map_or(entry.clock, |known| known.clock);
                    gone.push(entry.client, clock, None);
                }
                Verdict::Ignore => {}
            }
        }
        if taken.count == 0 {
            self.version -= 1;
        }
        let relay = if taken.count == entries.len() as u64 && taken.count > 0 {
            Some(update.clone())
        } else {
            taken.finish()
        };
        Ok(Applied { relay, answer: gone.finish() })
    }

    /// Everything shown, as one awareness update; none if nobody is there.
    pub(crate) fn states(&self) -> Option<Bytes> {
        let mut all = Writer::default();
        for (client, known) in self.clients.iter() {
            if let State::Shown(state) = &known.state {
                all.push(*client, known.clock, Some(state));
            }
        }
        all.finish()
    }

    /// Nobody, with versions that go on from here.
    pub(crate) fn starting_at(version: u64) -> Self {
        Self { version, ..Self::default() }
    }

    /// Removes what belongs to no connection; the removals, for everyone.
    pub(crate) fn clear_requests(&mut self, now: Millis, limits: &Limits) -> Option<Bytes> {
        self.remove(now, limits, |known| known.owner.is_none())
    }

    /// The version that readers have when they were told of everything.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What changed since a version, removals included, as one awareness update; none if nothing did.
    pub(crate) fn since(&self, version: u64) -> Option<Bytes> {
        let mut changes = Writer::default();
        for (client, known) in self.clients.iter().filter(|(_, known)| known.changed > version) {
            match &known.state {
                State::Shown(state) => changes.push(*client, known.clock, Some(state)),
                State::Removed => changes.push(*client, known.clock, None),
                State::Forgotten => {}
            }
        }
        changes.finish()
    }

    /// Removes what belongs to a connection that closed.
    pub(crate) fn close(&mut self, now: Millis, conn: ConnId, limits: &Limits) -> Closed {
        let mut questions = Vec::new();
        for (client, known) in self.clients.iter_mut() {
            if known.claimed_by == Some(conn) {
                known.claimed_by = None;
            }
            if known.owner == Some(conn)
                && let Some(claimant) = known.claimed_by.take()
            {
                known.owner = Some(claimant);
                // Due for removal when the patience ends.
                known.seen = Millis(now.after(CLAIM_PATIENCE).0.saturating_sub(limits.awareness_timeout));
                let mut removal = Writer::default();
                removal.push(*client, known.clock, None);
                questions.extend(removal.finish().map(|removal| (claimant, removal)));
            }
        }
        if !questions.is_empty() {
            self.expect_expiry(now.after(CLAIM_PATIENCE));
        }
        Closed { relay: self.remove(now, limits, |known| known.owner == Some(conn)), questions }
    }

    /// Removes what was not renewed in time, and forgets removals of long ago; the removals, for everyone.
    pub(crate) fn expire(&mut self, now: Millis, limits: &Limits) -> Option<Bytes> {
        if self.next_expiry.is_none_or(|at| now < at) {
            return None;
        }
        let late = |known: &Client| now.since(known.seen) >= limits.awareness_timeout;
        self.clients.retain(|_, known| known.state != State::Removed || !late(known));
        let removals = self.remove(now, limits, late);
        self.next_expiry =
            self.clients.values().map(|known| known.seen.after(limits.awareness_timeout)).min();
        removals
    }

    /// When [`Presence::expire`] is worth a call.
    pub(crate) fn next_expiry(&self) -> Option<Millis> {
        self.next_expiry
    }

    /// The clients that a connection announced: what is parked.
    pub(crate) fn of(&self, conn: ConnId) -> impl Iterator<Item = ParkedClient> {
        self.clients.iter().filter(move |(_, known)| known.owner == Some(conn)).filter_map(
            |(client, known)| {
                let state = match &known.state {
                    State::Shown(state) => Some(state.clone()),
                    State::Forgotten => None,
                    State::Removed => return None,
                };
                Some(ParkedClient { client: *client, clock: known.clock, seen: known.seen, state, owner: 0 })
            },
        )
    }

    /// Puts back what a connection had parked. Without a state the client is known, but not shown.
    pub(crate) fn restore(&mut self, conn: ConnId, parked: ParkedClient, limits: &Limits) {
        if self.clients.len() >= limits.awareness_states {
            return;
        }
        let ParkedClient { client, clock, seen, state, owner: _ } = parked;
        let state = state.map_or(State::Forgotten, State::Shown);
        self.version += 1;
        let owner = Some(conn);
        let changed = self.version;
        self.clients.insert(client, Client { clock, state, owner, claimed_by: None, seen, changed });
        self.expect_expiry(seen.after(limits.awareness_timeout));
    }

    /// `introduces`: the connection announced nothing before; `alone`: and announces only this.
    fn judge(
        &self,
        entry: &Entry<'_>,
        conn: Option<ConnId>,
        introduces: bool,
        alone: bool,
        limits: &Limits,
    ) -> Verdict {
        let Some(known) = self.clients.get(&entry.client) else {
            // A removal of nobody is news to nobody.
            let fits = entry.state.is_some() && self.has_room(conn, limits);
            return if fits { Verdict::Take } else { Verdict::Ignore };
        };
        match (&known.state, entry.state) {
            _ if entry.clock > known.clock => Verdict::Take,
            (State::Shown(_) | State::Forgotten, None) if entry.clock == known.clock => Verdict::Take,
            (State::Forgotten, Some(_)) if entry.clock == known.clock => Verdict::Take,
            (State::Shown(state), Some(json))
                if introduces && entry.clock == known.clock && state == json.as_bytes() =>
            {
                Verdict::Claim
            }
            (State::Removed, Some(_)) if introduces => Verdict::TellRemoved,
            // A client that came back with an old clock. Were it not its own state, it would pass the removal
            // on, and end someone else's.
            (State::Shown(_), Some(_)) if alone => Verdict::TellRemoved,
            _ => Verdict::Ignore,
        }
    }

    /// Whether one more client may be shown, and shown by this connection.
    fn has_room(&self, conn: Option<ConnId>, limits: &Limits) -> bool {
        let (mut shown, mut owned) = (0, 0);
        for known in self.clients.values() {
            shown += usize::from(known.state != State::Removed);
            owned += usize::from(known.state != State::Removed && known.owner == conn);
        }
        let own =
            if conn.is_some() { limits.awareness_per_connection } else { limits.awareness_over_requests };
        shown < limits.awareness_states && owned < own
    }

    fn put(
        &mut self,
        now: Millis,
        entry: &Entry<'_>,
        conn: Option<ConnId>,
        state: Option<Bytes>,
        limits: &Limits,
    ) {
        // A state that fills a gap after a restart stays its owner's, whoever knew it.
        let owner = match self.clients.get(&entry.client) {
            Some(known) if known.state == State::Forgotten && known.clock == entry.clock => known.owner,
            Some(_) | None => conn,
        };
        // A slice would keep the whole frame alive for as long as the state is shown.
        let state = state.map_or(State::Removed, |json| State::Shown(Bytes::copy_from_slice(&json)));
        let changed = self.version;
        self.clients.insert(
            entry.client,
            Client { clock: entry.clock, state, owner, claimed_by: None, seen: now, changed },
        );
        self.expect_expiry(now.after(limits.awareness_timeout));
    }

    fn remove(&mut self, now: Millis, limits: &Limits, gone: impl Fn(&Client) -> bool) -> Option<Bytes> {
        let mut removals = Writer::default();
        let changed = self.version + 1;
        for (client, known) in self.clients.iter_mut() {
            if known.state != State::Removed && gone(known) {
                removals.push(*client, known.clock, None);
                (known.state, known.owner, known.seen) = (State::Removed, None, now);
                known.changed = changed;
            }
        }
        if removals.count > 0 {
            self.version = changed;
            self.expect_expiry(now.after(limits.awareness_timeout));
        }
        // Connections that come and go must not fill the memory with what they leave.
        if self.clients.len() > limits.awareness_states.saturating_mul(2) {
            self.clients.retain(|_, known| known.state != State::Removed);
        }
        removals.finish()
    }

    fn expect_expiry(&mut self, at: Millis) {
        self.next_expiry = Some(self.next_expiry.map_or(at, |known| known.min(at)));
    }
}

/// Reads and checks an awareness update.
pub(crate) fn read_entries<'a>(update: &'a [u8], limits: &Limits) -> Result<Vec<Entry<'a>>, PresenceError> {
    let mut reader = Reader::new(update);
    let count = reader.var_uint()?;
    // An entry takes at least three bytes.
    if count.saturating_mul(3) > reader.remaining() as u64 {
        return Err(WireError::Truncated.into());
    }
    let mut entries = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for _ in 0..count {
        let (client, clock, json) = (reader.var_uint()?, reader.var_uint()?, reader.var_str()?);
        if json.len() > limits.awareness_bytes {
            return Err(PresenceError::TooBig);
        }
        if !is_json(json) {
            return Err(PresenceError::Json);
        }
        let state = (json.trim_ascii() != "null").then_some(json);
        entries.push(Entry { client, clock, state });
    }
    if reader.is_empty() { Ok(entries) } else { Err(WireError::Truncated.into()) }
}

/// Two updates as one. What is beyond `most` clients is left out.
pub(crate) fn last_of_each(earlier: &[u8], later: &[u8], most: usize, limits: &Limits) -> Bytes {
    let mut last = Map::new();
    for update in [earlier, later] {
        for entry in read_entries(update, limits).unwrap_or_default() {
            let fits = last.len() < most;
            let is_newer = last.get(&entry.client).map_or(fits, |(clock, _)| *clock <= entry.clock);
            if is_newer {
                last.insert(entry.client, (entry.clock, entry.state));
            }
        }
    }
    let mut out = Writer::default();
    for (client, (clock, state)) in last {
        out.push(client, clock, state.map(str::as_bytes));
    }
    out.finish().unwrap_or_default()
}

/// Writes an awareness update entry by entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writer {
    count: u64,
    entries: Vec<u8>,
}

impl Writer {
    /// How many entries there are.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    pub(crate) fn push(&mut self, client: u64, clock: u64, state: Option<&[u8]>) {
        self.count += 1;
        put_var_uint(&mut self.entries, client);
        put_var_uint(&mut self.entries, clock);
        put_var_bytes(&mut self.entries, state.unwrap_or(b"null"));
    }

    pub(crate) fn finish(self) -> Option<Bytes> {
        if self.count == 0 {
            return None;
        }
        let mut out = Vec::with_capacity(self.entries.len() + 4);
        put_var_uint(&mut out, self.count);
        out.extend_from_slice(&self.entries);
        Some(out.into())
    }
}

#[cfg(test)]
mod tests;
