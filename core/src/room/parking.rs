//! How a room gets over its own end: what it leaves beside each connection, and how it goes on from there.

use super::{Owed, Room};
use crate::collections::Set;
use crate::effect::{Close, ConnId, Effects, Millis, To};
use crate::session::{Parked, Session, Step1};
use crate::wire;
use bytes::Bytes;

impl Room {
    pub(super) fn resume(&mut self, now: Millis, conn: ConnId, parked: &[u8], effects: &mut Effects) {
        let Ok(parked) = Parked::decode(parked) else {
            effects.close(conn, Close::new(Close::INTERNAL, "the session could not be resumed"));
            return;
        };
        let mut session = Session::new(parked.grant);
        (session.introduced, session.refused) = (parked.introduced, parked.refused);
        (session.held_echoes, session.shown) = (parked.echoes, parked.shown);
        if !parked.unsettled {
            session.step_1 = Step1::Answered;
        }
        self.add(conn, session);
        if let Some(place) = parked.place {
            self.follow_from(now, conn, place);
        }
        let mut forgotten = false;
        if let Some(shelves) = &mut self.shelves {
            shelves.restore(now, conn, parked.clients, parked.shown, &self.config.limits);
        } else {
            for client in parked.clients {
                forgotten |= client.state.is_none();
                self.presence.restore(conn, client, &self.config.limits);
            }
        }
        if forgotten {
            effects.send(To::Conn(conn), wire::query_awareness());
        }
        // Whether its last updates were stored is not known. Its answer to a step 1 has whatever was not.
        if parked.asked && !parked.unstored {
            // The answer comes by this very connection.
            if let Some(session) = self.sessions.get_mut(&conn) {
                session.step_1 = Step1::Sent;
            }
        } else if parked.unsettled {
            self.owe(now, conn, 0, Owed::Question, effects);
        }
        // The others have it as well, who may stay longer.
        if parked.unstored && !core::mem::replace(&mut self.resumed_unstored, true) {
            let conns: Vec<_> = self.sessions.keys().copied().collect();
            conns.into_iter().for_each(|conn| self.ask_again(now, conn, effects));
        }
        if self.resumed_unstored {
            self.ask_again(now, conn, effects);
        }
        if parked.unanswered {
            // What it asked beyond is not known any more; everything covers it.
            self.owe(now, conn, 0, Owed::Answer(Bytes::from_static(&[0])), effects);
        }
    }

    /// Asks a client again for what is missing here, unless it is asked already.
    fn ask_again(&mut self, now: Millis, conn: ConnId, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if session.may_write() && session.step_1 == Step1::Answered {
            session.step_1 = Step1::Due;
            self.owe(now, conn, 0, Owed::Question, effects);
        }
    }

    /// Sessions whose updates were on their way, and are stored now, are parked as settled.
    pub(super) fn settled(&mut self, before: u64) {
        if self.config.parks {
            let was_unsettled = |session: &Session| session.last_accepted > before;
            let conns =
                self.sessions.iter().filter(|(_, session)| was_unsettled(session)).map(|(conn, _)| *conn);
            self.unparked.extend(conns);
        }
    }

    pub(super) fn park(&mut self, effects: &mut Effects) {
        if !self.config.parks {
            self.unparked.clear();
            return;
        }
        let unparked: Set<_> = core::mem::take(&mut self.unparked).into_iter().collect();
        for conn in unparked {
            let Some(session) = self.sessions.get(&conn) else { continue };
            let owed =
                || self.waiting.iter().filter(|waiting| waiting.conn == conn).map(|waiting| &waiting.what);
            let echoes = owed().filter_map(|what| match what {
                Owed::Echo(payload) => Some(payload),
                Owed::Question | Owed::Answer(_) | Owed::Verdict(_) | Owed::Reply(_) | Owed::View(_) => None,
            });
            let unstored = session.last_accepted > self.document.stored();
            let parked = Parked {
                grant: session.grant.clone(),
                introduced: session.introduced,
                refused: session.refused,
                unstored,
                asked: session.step_1 == Step1::Sent,
                unsettled: unstored || !session.has_answered(),
                unanswered: owed().any(|what| matches!(what, Owed::Answer(_))),
                echoes: session.held_echoes.iter().chain(echoes).cloned().collect(),
                place: self.readers.place_of(conn).cloned(),
                shown: session.shown,
                clients: match &self.shelves {
                    Some(shelves) => shelves.parked(conn),
                    None => self.presence.of(conn).collect(),
                },
            };
            effects.park(conn, parked.encode());
        }
    }
}
