//! What a room's connections and requests bring to its shelves.

use super::{Look, part_of};
use crate::effect::{ConnId, Effects, Millis, To};
use crate::http::ApiError;
use crate::presence::PresenceError;
use crate::request::{DocRequest, Read};
use crate::room::Room;
use crate::wire;
use bytes::Bytes;

impl Room {
    /// Has what a read of presence needs read.
    pub(in crate::room) fn look(&mut self, request: &DocRequest) -> Option<Look> {
        let DocRequest::Read(Read { presence: Some((stream, _)), .. }) = request else { return None };
        let part = part_of(stream);
        self.shelves.as_mut().map(|shelves| shelves.look(part))
    }

    pub(in crate::room) fn has_looked(&self, look: Option<Look>) -> bool {
        let (Some(shelves), Some((part, round))) = (&self.shelves, look) else { return true };
        shelves.of(part).ended >= round
    }

    /// Takes an awareness update of a connection.
    pub(in crate::room) fn announce_shared(
        &mut self,
        now: Millis,
        conn: ConnId,
        introduces: bool,
        update: &Bytes,
        effects: &mut Effects,
    ) -> Result<(), PresenceError> {
        let Some(shelves) = &mut self.shelves else { return Ok(()) };
        let shown = self.sessions.get(&conn).map_or(Millis(0), |session| session.shown);
        let relay = shelves.announce(now, conn, introduces, update, shown, &self.config.limits)?;
        self.unparked.push(conn);
        if let Some((relay, is_all)) = relay {
            let relay = if is_all { update.clone() } else { relay };
            effects.send(To::Sockets { except: None }, wire::awareness(&relay));
        }
        Ok(())
    }

    /// Whether there may be sockets that this room does not know: they are parked.
    pub(in crate::room) fn sockets_elsewhere(&self) -> bool {
        self.shelves.is_some() && self.config.parks
    }

    /// Whether there may be sockets.
    pub(in crate::room) fn has_sockets(&self) -> bool {
        !self.sessions.is_empty() || self.sockets_elsewhere()
    }

    /// A connection is to be told who is there.
    pub(in crate::room) fn greet(&mut self, conn: ConnId, asked: bool) {
        if let Some(shelves) = &mut self.shelves {
            shelves.greet(conn, asked);
        }
    }

    /// Forgets all that is kept: the document was deleted or begins anew.
    pub(in crate::room) fn end_shelves(&mut self, effects: &mut Effects) {
        if let Some(shelves) = &mut self.shelves {
            for conn in shelves.end() {
                effects.reply(conn, ApiError::no_document());
            }
        }
    }
}
