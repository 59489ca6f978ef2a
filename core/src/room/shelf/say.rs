//! What follows from a value: who is told, answered, and owns what.

use super::{Change, Own, Shelves, Wish};
use crate::effect::{Effects, Millis, To};
use crate::http::streams::DEFAULT_STREAM;
use crate::http::{ApiError, Reply};
use crate::log::PresencePart;
use crate::presence::{Kept, Roster};
use crate::room::Room;
use crate::wire;
use bytes::Bytes;

impl Room {
    /// A value is as it was changed.
    pub(super) fn presence_written(
        &mut self,
        now: Millis,
        part: PresencePart,
        change: Change,
        effects: &mut Effects,
    ) {
        let Some(shelves) = &mut self.shelves else { return };
        for (client, clock) in &change.said.moved {
            if shelves.left.get(client).is_some_and(|left| left.clock <= *clock) {
                shelves.left.remove(client);
            }
            let Some(own) = shelves.own.get_mut(client) else { continue };
            if own.clock == *clock {
                own.unstored = None;
            }
            if let Some(session) = self.sessions.get_mut(&own.conn) {
                session.shown = now;
                self.unparked.push(own.conn);
            }
        }
        shelves.of_mut(part).kept = Some(change.kept.clone());
        self.readers.stale = true;
        self.say_presence(part, change, effects);
    }

    /// Says what is to be said.
    pub(super) fn say_presence(&mut self, part: PresencePart, change: Change, effects: &mut Effects) {
        let has_sockets = self.has_sockets();
        let Some(shelves) = &mut self.shelves else { return };
        let Change { kept, said, .. } = change;
        if let Some(relay) = said.relay.finish().filter(|_| part == PresencePart::Default && has_sockets) {
            effects.send(To::Sockets { except: None }, wire::awareness(&relay));
        }
        for (conn, gone) in said.tells {
            if self.sessions.contains_key(&conn) {
                effects.send(To::Conn(conn), wire::awareness(&gone));
            }
        }
        for (client, conn, clock) in said.claimed {
            if self.sessions.contains_key(&conn) {
                shelves.own.get_or_insert_with(client, || Own { conn, clock, token: 0, unstored: None });
                self.unparked.push(conn);
            }
        }
        for (client, conn, clock) in said.owned {
            let known = kept.streams.get(DEFAULT_STREAM).and_then(|roster| roster.get(client));
            let token = known.filter(|known| known.state.is_some()).map_or(0, |known| known.owner);
            if let Some(session) = self.sessions.get_mut(&conn) {
                // It may have moved on meanwhile.
                let moved = shelves.own.remove(&client).filter(|own| own.conn == conn && own.clock > clock);
                let own = moved.unwrap_or(Own { conn, clock, token, unstored: None });
                shelves.own.insert(client, Own { token, ..own });
                session.shown = kept.written;
                self.unparked.push(conn);
            } else {
                shelves.default.wish(Wish::Gone { conn, clients: vec![(client, clock, token)] });
            }
        }
        if part == PresencePart::Default {
            self.forget_removed(&kept);
        }
        for (conn, stream, reply) in said.replies {
            let offset = kept.streams.get(&stream).map(Roster::offset).unwrap_or_default();
            let with_place = |reply: Reply| reply.with("stream-next-offset", offset.to_string());
            effects.reply(conn, Reply::from(reply.map(with_place)));
        }
        said.ended.iter().for_each(|stream| self.end_stream(stream, effects));
    }

    pub(super) fn end_stream(&mut self, stream: &str, effects: &mut Effects) {
        self.readers.end(&ApiError::no_stream(), effects, |reader| {
            reader.presence.as_ref().is_some_and(|(name, _)| name == stream)
        });
    }

    /// Forgets clients of connections that were removed.
    fn forget_removed(&mut self, kept: &Kept) {
        let Some(Shelves { own, .. }) = &mut self.shelves else { return };
        let roster = kept.streams.get(DEFAULT_STREAM);
        let removed = own.extract_if(|client, own| {
            let known = roster.and_then(|roster| roster.get(*client));
            let is_removed = known.is_some_and(|known| known.state.is_none() && known.clock >= own.clock);
            own.unstored.is_none() && is_removed
        });
        self.unparked.extend(removed.into_iter().map(|(_, own)| own.conn));
    }

    /// Tells the connections of this room who is there, or what has changed since the value was read before.
    pub(super) fn tell_sessions(&mut self, now: Millis, before: Option<&Kept>, effects: &mut Effects) {
        let limits = &self.config.limits;
        let Some(shelves) = &mut self.shelves else { return };
        let shelf = &mut shelves.default;
        let Some(kept) = shelf.kept.clone() else { return };
        let ended = shelf.ended;
        let (greeted, later): (Vec<_>, _) =
            core::mem::take(&mut shelf.greetings).into_iter().partition(|(.., round)| *round <= ended);
        shelf.greetings = later;
        let roster = kept.streams.get(DEFAULT_STREAM);
        let known = before.map(|before| before.streams.get(DEFAULT_STREAM).map(Roster::offset));
        let news = known.zip(roster).and_then(|(known, roster)| roster.news(known, now, limits));
        for conn in self.sessions.keys() {
            if let Some(news) = news.as_ref().filter(|_| greeted.iter().all(|(greeted, ..)| greeted != conn))
            {
                effects.send(To::Conn(*conn), wire::awareness(news));
            }
        }
        let all = roster.and_then(|roster| roster.states(now, limits));
        for (conn, asked, _) in greeted {
            let nobody = asked.then_some(Bytes::from_static(&[0]));
            if let Some(states) = all.clone().or(nobody).filter(|_| self.sessions.contains_key(&conn)) {
                effects.send(To::Conn(conn), wire::awareness(&states));
            }
        }
        self.forget_removed(&kept);
    }
}
