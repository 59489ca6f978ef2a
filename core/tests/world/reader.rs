//! Clients over HTTP: one that reads, and one that writes.

use super::client::Client;
use super::http::{Piece, has};
use super::stream::header;
use super::{World, log::MemoryLog};
use bytes::Bytes;
use yonder_core::ConnId;
use yonder_core::http::Reply;
use yonder_core::log::{Life, Offset};
use yonder_core::request::{DocRequest, Live, PresenceOffset, PresenceSince, Read, Since};

/// A client that reads: it goes on from where it was, also when its connection was cut.
pub struct Reader {
    /// What it has. It never connects.
    pub replica: Client,
    pub conn: Option<ConnId>,
    place: Option<Offset>,
    presence: Option<PresenceOffset>,
    /// It was not told that there was more.
    pub is_up_to_date: bool,
    /// It is told who is there.
    pub with_presence: bool,
    /// How often the document had been deleted when it began.
    pub generation: u64,
}

impl Reader {
    pub fn new(id: u64) -> Self {
        Self {
            replica: Client::with_id(id),
            conn: None,
            place: None,
            presence: None,
            is_up_to_date: true,
            with_presence: false,
            generation: 0,
        }
    }

    /// Asks, unless it waits for an answer.
    pub fn ask(&mut self, world: &mut World, live: Live, with_presence: bool, generation: u64) {
        if self.conn.is_some() {
            return;
        }
        if self.place.is_none() {
            self.generation = generation;
        }
        self.with_presence = with_presence;
        let who = self.presence.map_or(PresenceSince::All, PresenceSince::At);
        let read = Read {
            updates: Some(self.place.clone().map_or(Since::Start, Since::At)),
            presence: with_presence.then(|| ("default".to_owned(), who)),
            live,
            cursor: None,
            if_none_match: None,
            held: false,
        };
        self.conn = Some(world.request(DocRequest::Read(read)));
    }

    pub fn cut(&mut self, world: &mut World) {
        if let Some(conn) = self.conn.take() {
            world.cut_request(conn);
        }
    }

    /// Takes what comes next; false if there is nothing.
    pub fn receive(&mut self, world: &mut World) -> bool {
        let Some(conn) = self.conn else { return false };
        let piece = match world.deliver(conn) {
            Ok(piece) => piece,
            Err(more) => {
                self.conn = self.conn.filter(|_| more);
                return !more;
            }
        };
        if let Piece::Reply(reply) = &piece {
            assert!([200, 204, 404, 503].contains(&reply.status), "{reply:?}");
            if reply.status == 404 {
                // The document was deleted, and so is this.
                *self = Self { conn: self.conn, ..Self::new(self.replica.id) };
            }
            if let Some(place) = header(reply, "stream-next-offset") {
                self.goes_on(Offset::parse(place));
                self.is_up_to_date = header(reply, "stream-up-to-date") == Some("true");
                self.presence =
                    header(reply, "stream-presence-offset").and_then(PresenceOffset::parse).or(self.presence);
            }
        }
        if matches!(&piece, Piece::Reply(reply) if reply.status != 200) {
            return true;
        }
        let (updates, presence, places) = piece.read();
        for place in places {
            self.goes_on(place.place());
            self.is_up_to_date = place.is_up_to_date();
            self.presence = place.presence_place().or(self.presence);
        }
        updates.iter().for_each(|update| self.replica.apply(update));
        presence.iter().for_each(|states| self.replica.hear(states));
        true
    }

    fn goes_on(&mut self, place: Option<Offset>) {
        assert!(place >= self.place && place.is_some(), "set back from {:?} to {place:?}", self.place);
        self.place = place;
    }
}

/// A client that writes what it edits, and repeats it until it is told that it is stored.
pub struct Writer {
    pub author: Client,
    pub conn: Option<ConnId>,
    unstored: Vec<Bytes>,
    sent: Vec<Bytes>,
}

impl Writer {
    pub fn new(id: u64) -> Self {
        Self { author: Client::with_id(id), conn: None, unstored: Vec::new(), sent: Vec::new() }
    }

    pub fn edit(&mut self, removes: bool) {
        let before = self.author.mine().len();
        if removes {
            self.author.remove()
        } else {
            self.author.insert()
        }
        if self.author.mine().len() != before {
            self.unstored.push(self.author.last_update());
        }
    }

    pub fn has_all_stored(&self) -> bool {
        self.unstored.is_empty()
    }

    /// Posts what is not known to be stored, or else what it posted last once more.
    pub fn post(&mut self, world: &mut World) {
        if self.conn.is_some() {
            return;
        }
        if !self.unstored.is_empty() {
            self.sent.clone_from(&self.unstored);
        }
        if !self.sent.is_empty() {
            let (updates, reply) = (self.sent.clone(), Reply::empty(204));
            self.conn = Some(world.request(DocRequest::Append { updates, reply }));
        }
    }

    /// Takes its answer if it is there. `deletes`: someone deletes the document just now.
    pub fn receive(&mut self, world: &mut World, deletes: bool) -> bool {
        let Some(conn) = self.conn else { return false };
        match world.deliver(conn) {
            Ok(Piece::Reply(reply)) if reply.status == 204 => {
                let log: &MemoryLog = &world.host.log;
                for update in self.sent.iter().filter(|_| !deletes && log.life() == Life::Live) {
                    assert!(has(log, update), "a writer is told that its update is stored, and it is not");
                }
                let sent = std::mem::take(&mut self.sent);
                self.unstored.retain(|update| !sent.contains(update));
                self.sent = sent;
                true
            }
            Ok(Piece::Reply(reply)) => {
                assert!([404, 503].contains(&reply.status), "{reply:?}");
                true
            }
            Ok(Piece::More(_)) => panic!("a post is answered once"),
            Err(more) => {
                self.conn = self.conn.filter(|_| more);
                !more
            }
        }
    }
}
