//! What becomes of wishes: a value is changed by them, and what is to be said is noted.

use super::{Change, Left, Own, Said, Shelves, Wish, is_old};
use crate::collections::Map;
use crate::effect::{ConnId, Millis};
use crate::http::streams::DEFAULT_STREAM;
use crate::http::{ApiError, Reply};
use crate::limits::Limits;
use crate::log::PresencePart;
use crate::presence::{Entry, Judged, Kept, PresenceError, Roster, Sender, Writer, read_entries};
use crate::request::PresenceOp;
use bytes::Bytes;

/// Milliseconds after which a client that moves is stored, however often others are.
const PATIENCE: u64 = 5_000;

/// Everything that a wish is judged by.
struct Judge<'a> {
    now: Millis,
    limits: &'a Limits,
    own: &'a Map<u64, Own>,
    left: &'a Map<u64, Left>,
    kept: &'a mut Kept,
    said: &'a mut Said,
}

impl Shelves {
    /// Changes a value by wishes; whether it is to be written. `shown`: when something of a connection was stored last.
    pub(super) fn judge(
        &self,
        now: Millis,
        part: PresencePart,
        change: &mut Change,
        shown: &dyn Fn(ConnId) -> Option<Millis>,
        limits: &Limits,
    ) -> bool {
        let before = change.kept.streams.len();
        let had_default = change.kept.streams.contains_key(DEFAULT_STREAM);
        if part == PresencePart::Named {
            change.kept.forget_unused(now, limits);
        }
        let mut changed = change.kept.streams.len() < before;
        let (own, left) = (&self.own, &self.left);
        let mut judge = Judge { now, limits, own, left, kept: &mut change.kept, said: &mut change.said };
        for roster in judge.kept.streams.values_mut() {
            for (client, clock) in roster.expire(now, limits) {
                judge.said.relay.push(client, clock, None);
            }
        }
        for wanted in &change.wishes {
            changed |= judge.wish(&wanted.wish);
        }
        if part == PresencePart::Default {
            judge.moves(shown);
            judge.moves_left();
        }
        for roster in change.kept.streams.values_mut() {
            changed |= roster.seal(now);
        }
        if !changed && !had_default {
            // It has no place yet that another room would know.
            change.kept.streams.remove(DEFAULT_STREAM);
        }
        changed
    }
}

impl Judge<'_> {
    /// Whether something changed beside the clients of a stream.
    fn wish(&mut self, wish: &Wish) -> bool {
        match wish {
            Wish::Announce { conn, introduces, update } => {
                self.announce(*conn, *introduces, update);
                false
            }
            Wish::Gone { clients, .. } => {
                clients.iter().for_each(|gone| self.gone(*gone));
                false
            }
            Wish::Request { conn, stream, what } => {
                let (changed, reply) = self.request(stream, what);
                self.said.replies.push((*conn, stream.clone(), reply));
                changed
            }
            Wish::Touch { stream } => self.touch(stream),
        }
    }

    fn default(&mut self) -> &mut Roster {
        self.kept.streams.get_or_insert_with(DEFAULT_STREAM.to_owned(), || Roster::new(self.now))
    }

    /// How many more clients a connection, or requests, may show in a stream.
    fn room(&self, stream: &str, conn: Option<ConnId>, state: usize) -> usize {
        let roster = self.kept.streams.get(stream);
        let left = self.limits.awareness_states.saturating_sub(roster.map_or(0, Roster::shown));
        let own = match conn {
            Some(conn) => {
                let coming = self.said.owned.iter().filter(|(_, owner, _)| *owner == conn).count();
                let there = self.own.values().filter(|own| own.conn == conn).count();
                self.limits.awareness_per_connection.saturating_sub(coming + there)
            }
            None => {
                let there = roster.map_or(0, |roster| roster.by_request().count());
                self.limits.awareness_over_requests.saturating_sub(there)
            }
        };
        if self.kept.bytes() + state > self.limits.presence_bytes { 0 } else { left.min(own) }
    }

    fn announce(&mut self, conn: ConnId, introduces: bool, update: &Bytes) {
        // It was checked when it came.
        let Ok(entries) = read_entries(update, self.limits) else { return };
        let mut gone = Writer::default();
        for entry in &entries {
            let sender = Sender {
                introduces,
                repeats: true,
                alone: introduces && entries.len() == 1,
                owned: self.own.get(&entry.client).is_some_and(|own| own.conn == conn),
                room: self.room(DEFAULT_STREAM, Some(conn), entry.state.map_or(0, str::len)),
            };
            if let Some(clock) = self.take(DEFAULT_STREAM, Some(conn), entry, sender) {
                gone.push(entry.client, clock, None);
            }
        }
        self.said.tells.extend(gone.finish().map(|gone| (conn, gone)));
    }

    /// Takes an entry if it is new; the clock at which its sender has to be told that it is gone.
    fn take(&mut self, stream: &str, conn: Option<ConnId>, entry: &Entry<'_>, sender: Sender) -> Option<u64> {
        let now = self.now;
        let roster = self.kept.streams.get_or_insert_with(stream.to_owned(), || Roster::new(now));
        match roster.judge(entry, sender) {
            Judged::Take { owns } => {
                let was_there = roster.get(entry.client).is_some_and(|known| known.state.is_some());
                let state = entry.state.map(|json| Bytes::copy_from_slice(json.as_bytes()));
                self.said.urgent |= state.is_none() || !was_there || conn.is_some();
                self.said.relay.push(entry.client, entry.clock, state.as_deref());
                let owner = match conn {
                    Some(_) if owns => Some(roster.next_version(now)),
                    Some(_) => None,
                    None => Some(0),
                };
                if let Some(conn) = conn.filter(|_| owns && state.is_some()) {
                    self.said.owned.push((entry.client, conn, entry.clock));
                }
                roster.put(now, entry.client, entry.clock, state, owner);
                None
            }
            Judged::Claim => {
                self.said.relay.push(entry.client, entry.clock, entry.state.map(str::as_bytes));
                self.said.claimed.extend(conn.map(|conn| (entry.client, conn, entry.clock)));
                None
            }
            Judged::TellRemoved(clock) => Some(clock),
            Judged::Ignore => None,
        }
    }

    /// Removes a client whose connection closed, unless another has brought it since.
    fn gone(&mut self, (client, clock, token): (u64, u64, u64)) {
        let now = self.now;
        match self.default().get(client).cloned() {
            Some(known) if known.state.is_some() && known.owner == token => {
                let clock = clock.max(known.clock);
                self.default().put(now, client, clock, None, None);
                self.said.relay.push(client, clock, None);
                self.said.urgent = true;
            }
            // It was lost, and sockets show it perhaps.
            None => self.said.relay.push(client, clock, None),
            Some(_) => {}
        }
    }

    /// Takes what the connections of this room have moved.
    fn moves(&mut self, shown: &dyn Fn(ConnId) -> Option<Millis>) {
        let now = self.now;
        for (client, own) in self.own.iter() {
            let Some(state) = &own.unstored else { continue };
            let known = self.default().get(*client).cloned();
            self.said.moved.push((*client, own.clock));
            if let Some(known) = known.as_ref().filter(|known| known.clock >= own.clock) {
                if known.state.is_none() {
                    let mut gone = Writer::default();
                    gone.push(*client, known.clock, None);
                    self.said.tells.extend(gone.finish().map(|gone| (own.conn, gone)));
                }
                continue;
            }
            let before = known.as_ref().and_then(|known| known.state.as_ref());
            let grows = state.len().saturating_sub(before.map_or(0, Bytes::len));
            if self.kept.bytes() + grows > self.limits.presence_bytes {
                continue;
            }
            let is_ours = before.is_some() && known.as_ref().is_some_and(|known| known.owner == own.token);
            let owner = if is_ours { own.token } else { self.default().next_version(now) };
            self.default().put(now, *client, own.clock, Some(state.clone()), Some(owner));
            // All who were there have it; who came since may have read the value as it was.
            self.said.relay.push(*client, own.clock, Some(state));
            if !is_ours {
                self.said.owned.push((*client, own.conn, own.clock));
            }
            let is_late = shown(own.conn).is_none_or(|shown| now.since(shown) >= PATIENCE);
            self.said.urgent |= before.is_none() || is_late;
        }
    }

    /// Takes what those have moved who are not here any more, if it is still theirs.
    fn moves_left(&mut self) {
        let now = self.now;
        for (client, Left { clock, token, state }) in self.left.iter() {
            self.said.moved.push((*client, *clock));
            let Some(known) = self.default().get(*client).cloned() else { continue };
            let Some(before) = known.state.filter(|_| known.owner == *token && known.clock < *clock) else {
                continue;
            };
            let grows = state.len().saturating_sub(before.len());
            if self.kept.bytes() + grows <= self.limits.presence_bytes {
                self.default().put(now, *client, *clock, Some(state.clone()), Some(*token));
                self.said.relay.push(*client, *clock, Some(state));
                self.said.urgent = true;
            }
        }
    }

    fn touch(&mut self, stream: &str) -> bool {
        let (now, limits) = (self.now, self.limits);
        let roster = self.kept.streams.get_mut(stream).filter(|roster| is_old(now, roster.used, limits));
        let is_old = roster.is_some() && stream != DEFAULT_STREAM;
        if let Some(roster) = roster {
            roster.used = now;
        }
        is_old
    }

    fn request(&mut self, stream: &str, what: &PresenceOp) -> (bool, Result<Reply, ApiError>) {
        let is_default = stream == DEFAULT_STREAM;
        let is_there = is_default || self.kept.streams.contains_key(stream);
        let touched = self.touch(stream);
        match what {
            PresenceOp::Head if is_there => {
                (touched, Ok(Reply::empty(200).with("cache-control", "no-store")))
            }
            PresenceOp::Head => (false, Err(ApiError::no_stream())),
            PresenceOp::Create { .. } if is_there => (touched, Ok(Reply::empty(200))),
            PresenceOp::Create { path } => match self.make(stream) {
                Ok(()) => {
                    let mut location = format!("{path}?awareness=");
                    crate::http::percent_encode(stream, &mut location);
                    (true, Ok(Reply::empty(201).with("location", location)))
                }
                Err(error) => (false, Err(error)),
            },
            PresenceOp::Delete if is_default => {
                let clients: Vec<_> = self.default().by_request().collect();
                for client in clients {
                    self.gone((client, 0, 0));
                }
                (false, Ok(Reply::empty(204)))
            }
            PresenceOp::Delete if is_there => {
                self.kept.streams.remove(stream);
                self.said.ended.push(stream.to_owned());
                self.said.urgent = true;
                (true, Ok(Reply::empty(204)))
            }
            PresenceOp::Delete => (false, Err(ApiError::no_stream())),
            PresenceOp::Append(updates) => self.append(stream, is_there, updates),
        }
    }

    fn make(&mut self, stream: &str) -> Result<(), ApiError> {
        if self.kept.streams.len() >= self.limits.presence_streams {
            return Err(ApiError::rate_limited("the document has too many awareness streams"));
        }
        self.kept.streams.insert(stream.to_owned(), Roster::new(self.now));
        self.said.urgent = true;
        Ok(())
    }

    fn append(&mut self, stream: &str, is_there: bool, updates: &[Bytes]) -> (bool, Result<Reply, ApiError>) {
        let mut read = Vec::with_capacity(updates.len());
        for update in updates {
            match read_entries(update, self.limits) {
                Ok(entries) => read.push(entries),
                Err(error @ PresenceError::TooBig) => {
                    return (false, Err(ApiError::too_large(format!("awareness: {error}"))));
                }
                Err(error @ (PresenceError::Wire(_) | PresenceError::Json)) => {
                    return (false, Err(ApiError::invalid(format!("awareness: {error}"))));
                }
            }
        }
        if !is_there && let Err(error) = self.make(stream) {
            return (false, Err(error));
        }
        for entry in read.iter().flatten() {
            let room = self.room(stream, None, entry.state.map_or(0, str::len));
            self.take(stream, None, entry, Sender { room, ..Sender::default() });
        }
        (!is_there, Ok(Reply::empty(204)))
    }
}
