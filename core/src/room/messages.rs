//! Frames of sockets: y-protocols messages, and what follows from each.

use super::{Owed, Room};
use crate::effect::{Close, ConnId, Effects, Millis, To};
use crate::presence::PresenceError;
use crate::replica;
use crate::update;
use crate::wire::{self, Message, Messages, WireError};
use bytes::Bytes;

/// Bytes of a payload of message 102. y-sweet's clients send a counter.
const ECHO_MAX: usize = 256;

impl Room {
    pub(super) fn frame(&mut self, now: Millis, conn: ConnId, frame: &Bytes, effects: &mut Effects) {
        if frame.len() > self.config.limits.frame_bytes {
            self.close(now, conn, Close::new(Close::TOO_BIG, "the frame exceeds its limit"), effects);
            return;
        }
        self.readers.touch(now, conn);
        let mut told_who_is_here = false;
        for message in Messages::new(frame) {
            // A message may have closed its connection; what follows it in the frame counts no more.
            if !self.sessions.contains_key(&conn) {
                return;
            }
            let result = match message {
                // A question is a byte, and an answer may be large: one answers all of a frame.
                Ok(Message::QueryAwareness) if core::mem::replace(&mut told_who_is_here, true) => Ok(()),
                Ok(message) => self.message(now, conn, frame, message, effects),
                Err(error @ WireError::UnknownType(_)) => {
                    Err(Close::new(Close::UNSUPPORTED, error.to_string()))
                }
                Err(error) => Err(Close::new(Close::MALFORMED, error.to_string())),
            };
            if let Err(reason) = result {
                self.close(now, conn, reason, effects);
            }
        }
    }

    fn message(
        &mut self,
        now: Millis,
        conn: ConnId,
        frame: &Bytes,
        message: Message<'_>,
        effects: &mut Effects,
    ) -> Result<(), Close> {
        match message {
            Message::SyncStep1(state_vector) => {
                update::read_state_vector(state_vector)
                    .map_err(|error| Close::new(Close::MALFORMED, format!("state vector: {error}")))?;
                let after = self.document.accepted();
                let answer = Owed::Answer(Bytes::copy_from_slice(state_vector));
                self.owe(now, conn, after, answer, effects);
            }
            Message::Update(update) => self.edit(now, conn, frame, update, true, effects)?,
            Message::SyncStep2(update) => {
                self.edit(now, conn, frame, update, false, effects)?;
                self.answered(now, conn, effects);
            }
            Message::Awareness(states) => self.awareness(now, conn, frame, states, effects)?,
            Message::QueryAwareness if self.shelves.is_some() => self.greet(conn, true),
            Message::QueryAwareness => {
                let states = self.presence.states().unwrap_or(Bytes::from_static(&[0]));
                effects.send(To::Conn(conn), wire::awareness(&states));
            }
            Message::Echo(payload) if payload.len() > ECHO_MAX => {
                return Err(Close::new(Close::TOO_BIG, "the payload of message 102 exceeds its limit"));
            }
            Message::Echo(payload) => self.owe_echo(now, conn, Bytes::copy_from_slice(payload), effects),
            Message::Auth(_) => {}
        }
        Ok(())
    }

    /// An update, or a step 2 if not `unasked`.
    fn edit(
        &mut self,
        now: Millis,
        conn: ConnId,
        frame: &Bytes,
        update: &[u8],
        unasked: bool,
        effects: &mut Effects,
    ) -> Result<(), Close> {
        let limits = &self.config.limits;
        let malformed = |error| Close::new(Close::MALFORMED, format!("update: {error}"));
        let Some(session) = self.sessions.get_mut(&conn) else { return Ok(()) };
        if !session.may_write() {
            // A reader, too, answers our step 1, with every deletion it knows. Only structs are surely its own.
            let summary = update::inspect(update).map_err(malformed)?;
            if unasked && !summary.is_empty() {
                self.refuse_edit(conn, effects);
            } else if !unasked && summary.structs > 0 && !session.refused {
                // It may have what others wrote and the store has not, and the document may not be loaded now.
                let after = self.document.accepted();
                self.owe(now, conn, after, Owed::Verdict(summary), effects);
            }
            return Ok(());
        }
        if update.len() > limits.update_bytes {
            return Err(Close::new(Close::TOO_BIG, "the update exceeds its limit"));
        }
        if replica::validate(update).map_err(malformed)?.is_empty() {
            return Ok(());
        }
        if let Some(reason) = self.refuses(update.len()) {
            return Err(reason);
        }
        let update = frame.slice_ref(update);
        self.readers.relayed(&update);
        self.document.accept(update.clone());
        let Some(session) = self.sessions.get_mut(&conn) else { return Ok(()) };
        session.last_accepted = self.document.accepted();
        self.unparked.push(conn);
        if self.sessions.len() > 1 || self.sockets_elsewhere() {
            let relayed = if unasked { whole(frame, &update) } else { None };
            let relayed = relayed.unwrap_or_else(|| wire::update(&update));
            self.relay(Some(conn), relayed, effects);
        }
        Ok(())
    }

    /// Gives an update that was accepted last to all sockets, or to all but one. Where others write to the log as well it
    /// is stored before: who gets it may be asked about it elsewhere, and whom it misses finds it in the log.
    pub(super) fn relay(&mut self, except: Option<ConnId>, frame: Bytes, effects: &mut Effects) {
        if self.config.residency.is_shared() {
            self.relays.push_back((self.document.accepted(), To::Sockets { except }, frame));
        } else {
            effects.send(To::Sockets { except }, frame);
        }
    }

    /// Relays what is stored by now, and forgets what was given up.
    pub(super) fn relay_stored(&mut self, effects: &mut Effects) {
        let (stored, accepted) = (self.document.stored(), self.document.accepted());
        while let Some((_, to, frame)) = self.relays.pop_front_if(|(after, ..)| *after <= stored) {
            effects.send(to, frame);
        }
        self.relays.retain(|(after, ..)| *after <= accepted);
    }

    /// Tells a reader that it may not write, once.
    pub(super) fn refuse_edit(&mut self, conn: ConnId, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(&conn).filter(|session| !session.refused) else { return };
        session.refused = true;
        self.unparked.push(conn);
        effects.send(To::Conn(conn), wire::refusal("this connection may only read"));
    }

    /// Why so many bytes of updates are too many; none if they are not.
    pub(super) fn refuses(&self, bytes: usize) -> Option<Close> {
        let limits = &self.config.limits;
        if self.document.bytes() + bytes as u64 > limits.document_bytes {
            return Some(Close::new(Close::TOO_BIG, "the document has reached its limit"));
        }
        if self.document.unstored_bytes() + bytes > limits.unstored_bytes {
            return Some(Close::new(Close::TRY_AGAIN, "the store is too slow for these edits"));
        }
        None
    }

    fn awareness(
        &mut self,
        now: Millis,
        conn: ConnId,
        frame: &Bytes,
        states: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Close> {
        let Some(session) = self.sessions.get_mut(&conn) else { return Ok(()) };
        let introduces = !core::mem::replace(&mut session.introduced, true);
        let update = frame.slice_ref(states);
        let refuse = |error| {
            let code = match error {
                PresenceError::TooBig => Close::TOO_BIG,
                PresenceError::Wire(_) | PresenceError::Json => Close::MALFORMED,
            };
            Close::new(code, format!("awareness: {error}"))
        };
        if self.shelves.is_some() {
            return self.announce_shared(now, conn, introduces, &update, effects).map_err(refuse);
        }
        let limits = &self.config.limits;
        let applied = self.presence.apply(now, Some(conn), introduces, &update, limits).map_err(refuse)?;
        if applied.relay.is_some() || introduces {
            self.unparked.push(conn);
        }
        if let Some(relay) = applied.relay {
            self.readers.stale = true;
            // To its sender as well: clients drop a connection on which they hear nothing.
            let frame = whole(frame, &relay).unwrap_or_else(|| wire::awareness(&relay));
            effects.send(To::Sockets { except: None }, frame);
        }
        if let Some(answer) = applied.answer {
            effects.send(To::Conn(conn), wire::awareness(&answer));
        }
        Ok(())
    }
}

/// The frame itself, if it is one message with this body, written as we write it: then nothing is copied.
fn whole(frame: &Bytes, body: &[u8]) -> Option<Bytes> {
    let mut tags = Messages::new(frame);
    let first_is_all = matches!(tags.next(), Some(Ok(_))) && tags.next().is_none();
    let at_end = frame.as_ptr_range().end == body.as_ptr_range().end;
    (first_is_all && at_end).then(|| frame.clone())
}
