//! Readers over HTTP that come, vanish and come back, while others edit and post, the store is slow and fails, the
//! room is evicted, and the document is compacted, deleted and made again: against what they must have in the end.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "other tests need more of it")]
mod world;

use proptest::prelude::*;
use std::collections::BTreeSet;
use world::http::Piece;
use world::reader::{Reader, Writer};
use world::{Client, World};
use yonder_core::http::Reply;
use yonder_core::limits::{Compaction, Limits};
use yonder_core::log::Life;
use yonder_core::request::{DocRequest, Live};
use yonder_core::{Close, ConnId};

/// How many of each: sockets, writers, readers.
const PEERS: usize = 3;
/// Client ids: this much more for each time that the document was deleted.
const GENERATION: u64 = 100;

#[derive(Debug, Clone)]
enum Step {
    Open(usize),
    Cut(usize),
    Insert(usize),
    Remove(usize),
    Point(usize),
    Up(usize),
    Down(usize),
    Write(usize, bool),
    Post(usize),
    LeavePost(usize),
    HearPost(usize),
    Read(usize, Live, bool),
    LeaveRead(usize),
    HearRead(usize),
    Work { pick: usize, done: bool, said: bool },
    Hear(usize),
    Advance(u64),
    Evict { finishes: bool },
    Delete,
    Make,
}

fn step() -> impl Strategy<Value = Step> {
    let one = || 0..PEERS;
    let live = prop_oneof![Just(Live::No), Just(Live::LongPoll), Just(Live::Events)];
    prop_oneof![
        2 => one().prop_map(Step::Open),
        1 => one().prop_map(Step::Cut),
        4 => one().prop_map(Step::Insert),
        1 => one().prop_map(Step::Remove),
        2 => one().prop_map(Step::Point),
        8 => one().prop_map(Step::Up),
        4 => one().prop_map(Step::Down),
        6 => (one(), prop::bool::weighted(0.2)).prop_map(|(writer, removes)| Step::Write(writer, removes)),
        6 => one().prop_map(Step::Post),
        1 => one().prop_map(Step::LeavePost),
        4 => one().prop_map(Step::HearPost),
        10 => (one(), live, prop::bool::weighted(0.3)).prop_map(|(reader, live, who)| Step::Read(reader, live, who)),
        2 => one().prop_map(Step::LeaveRead),
        12 => one().prop_map(Step::HearRead),
        18 => (0..4_usize).prop_map(|pick| Step::Work { pick, done: true, said: true }),
        4 => (0..4_usize, any::<bool>()).prop_map(|(pick, done)| Step::Work { pick, done, said: false }),
        18 => (0..4_usize).prop_map(Step::Hear),
        2 => (1..3_000_u64).prop_map(Step::Advance),
        1 => (1..30_000_u64).prop_map(Step::Advance),
        1 => any::<bool>().prop_map(|finishes| Step::Evict { finishes }),
        1 => Just(Step::Delete),
        2 => Just(Step::Make),
    ]
}

/// Who makes and deletes the document: one thing at a time, and each until it is told the outcome.
#[derive(Default)]
struct Owner {
    conn: Option<ConnId>,
    deletes: bool,
    /// It was told of an error, and it may be done all the same.
    unsure: bool,
}

struct Play {
    world: World,
    writers: Vec<Writer>,
    readers: Vec<Reader>,
    owner: Owner,
    generation: u64,
}

impl Play {
    fn new() -> Self {
        let limits = Limits {
            compaction: Compaction {
                updates: 12,
                bytes: 1024,
                idle_updates: 4,
                idle_after: 100,
                ..Limits::default().compaction
            },
            recent_updates: 3,
            recent_bytes: 200,
            store_patience: 1_000,
            commit_interval: 50,
            ..Limits::default()
        };
        let mut play = Self {
            world: World::with_limits(PEERS, limits),
            writers: Vec::new(),
            readers: (0..PEERS as u64).map(|index| Reader::new(80 + index)).collect(),
            owner: Owner::default(),
            generation: 0,
        };
        play.begin_anew();
        play
    }

    /// Everyone who edits has nothing of before.
    fn begin_anew(&mut self) {
        let first = GENERATION * self.generation;
        for index in 0..PEERS {
            self.world.cut(index);
            self.world.clients[index] = Client::with_id(first + 1 + index as u64);
        }
        self.writers = (0..PEERS as u64).map(|index| Writer::new(first + 51 + index)).collect();
    }

    fn step(&mut self, step: &Step) {
        let (world, generation) = (&mut self.world, self.generation);
        match *step {
            Step::Open(client) => world.open(client),
            Step::Cut(client) => world.cut(client),
            Step::Insert(client) => world.clients[client].insert(),
            Step::Remove(client) => world.clients[client].remove(),
            Step::Point(client) => world.clients[client].point(false),
            Step::Up(client) => drop(world.deliver_up(client)),
            Step::Down(client) => drop(world.deliver_down(client)),
            Step::Write(writer, removes) => self.writers[writer].edit(removes),
            Step::Post(writer) => self.writers[writer].post(world),
            Step::LeavePost(writer) => {
                if let Some(conn) = self.writers[writer].conn.take() {
                    world.cut_request(conn);
                }
            }
            Step::HearPost(writer) => drop(self.writers[writer].receive(world, self.owner.deletes)),
            Step::Read(reader, live, who) => {
                self.readers[reader].ask(world, live, who && live != Live::No, generation)
            }
            Step::LeaveRead(reader) => self.readers[reader].cut(world),
            Step::HearRead(reader) => drop(self.hear_read(reader)),
            Step::Work { pick, done, said } => drop(world.work(pick, done, said)),
            Step::Hear(pick) => drop(self.hear(pick)),
            Step::Advance(millis) => world.advance(millis),
            Step::Evict { finishes } => world.evict(finishes),
            Step::Delete => self.own(true),
            Step::Make => self.own(false),
        }
    }

    fn hear_read(&mut self, reader: usize) -> bool {
        let reader = &mut self.readers[reader];
        let received = reader.receive(&mut self.world);
        let first = GENERATION * reader.generation;
        for key in reader.replica.keys() {
            assert!(author(&key) >= first, "{key} was deleted before the reader came");
        }
        received
    }

    fn own(&mut self, deletes: bool) {
        if self.owner.conn.is_some() || (self.owner.deletes && !deletes) {
            return;
        }
        let (created, existed) = (Reply::empty(201), Ok(Reply::empty(200)));
        let put = DocRequest::Create { content: Vec::new(), created, existed };
        (self.owner.deletes, self.owner.unsure) = (deletes, false);
        self.owner.conn = Some(self.world.request(if deletes { DocRequest::Delete } else { put }));
    }

    /// The room hears of a reply of the store, and the owner at once of what that means.
    fn hear(&mut self, pick: usize) -> bool {
        let heard = self.world.hear(pick);
        if let Some(conn) = self.owner.conn {
            self.hear_owner(conn);
        }
        heard
    }

    fn hear_owner(&mut self, conn: ConnId) {
        match self.world.deliver(conn) {
            Ok(Piece::Reply(reply)) if reply.status == 503 => self.owner.unsure = true,
            Ok(Piece::Reply(reply)) if self.owner.deletes => {
                assert!([204, 404].contains(&reply.status), "{reply:?}");
                self.owner.deletes = false;
                if self.world.host.log.life() == Life::Deleted {
                    self.deleted();
                }
            }
            Ok(Piece::Reply(reply)) => assert!([200, 201].contains(&reply.status), "{reply:?}"),
            Ok(Piece::More(_)) => panic!("this is answered once"),
            Err(more) => {
                self.owner.conn = self.owner.conn.filter(|_| more);
                return;
            }
        }
        self.hear_owner(conn);
    }

    fn deleted(&mut self) {
        assert_eq!(self.world.host.sockets.len(), 0, "every socket is closed");
        assert_eq!(self.world.host.http.unanswered(), 0, "every read and every post is answered");
        self.generation += 1;
        self.begin_anew();
    }

    /// Lets everything that is under way arrive, and everyone come back.
    fn settle(&mut self) {
        for round in 1..3_000 {
            let mut moved = self.world.work(0, true, true) | self.hear(0);
            let undone = self.owner.deletes || self.owner.unsure || self.world.host.log.life() != Life::Live;
            if undone && self.owner.conn.is_none() {
                self.own(self.owner.deletes);
                moved = true;
            } else if let Some(conn) = self.owner.conn {
                self.hear_owner(conn);
            }
            for index in 0..PEERS {
                self.world.open(index);
                moved |= self.world.deliver_up(index) | self.world.deliver_down(index);
                if !self.writers[index].has_all_stored() {
                    self.writers[index].post(&mut self.world);
                }
                moved |= self.writers[index].receive(&mut self.world, self.owner.deletes);
                let live = if index % 2 == 0 { Live::LongPoll } else { Live::Events };
                self.readers[index].ask(&mut self.world, live, true, self.generation);
                moved |= self.hear_read(index);
            }
            let all_stored = self.writers.iter().all(Writer::has_all_stored);
            if !moved && all_stored && self.world.room.is_idle() {
                return;
            }
            // Whoever is told that there is no document asks again and again.
            if !moved || round % 50 == 0 {
                self.world.advance(100);
            }
        }
        panic!("the world does not come to rest: {:?}", self.world.room.poll_timeout());
    }

    /// What must be so once everything has settled.
    fn check(&mut self) {
        let mut log = Client::with_id(1);
        self.world.host.log.entries().for_each(|entry| log.apply(entry));
        let authors = self.world.clients.iter().chain(self.writers.iter().map(|writer| &writer.author));
        let expected: BTreeSet<_> = authors.flat_map(|author| author.mine().clone()).collect();
        assert_eq!(log.keys(), expected, "the log has what was stored, and nothing else");
        for (index, reader) in self.readers.iter().enumerate() {
            let mut keys = reader.replica.keys();
            keys.retain(|key| author(key) >= GENERATION * self.generation);
            assert_eq!(keys, expected, "reader {index} has every edit");
            assert!(reader.is_up_to_date, "reader {index} is told that this is all");
            if reader.generation == self.generation {
                assert!(!reader.replica.waits_for_missing(), "reader {index} has everything");
                assert_eq!(reader.replica.text(), log.text(), "reader {index} has the same text");
            }
        }
        let codes: BTreeSet<_> = self.world.host.closed.iter().map(|(_, reason)| reason.code).collect();
        assert!(
            codes.is_subset(&BTreeSet::from([Close::NORMAL, Close::INTERNAL, Close::NOT_FOUND])),
            "{codes:?}"
        );
    }

    fn check_presence(&self) {
        for reader in self.readers.iter().filter(|reader| reader.with_presence) {
            let seen = reader.replica.sees();
            for client in &self.world.clients {
                assert_eq!(seen.get(&client.id), Some(&client.own_state()), "a reader sees everyone");
            }
        }
    }

    /// Everyone leaves, and nothing of them is left.
    fn leave(&mut self) {
        for index in 0..PEERS {
            self.world.cut(index);
            self.readers[index].cut(&mut self.world);
        }
        while self.world.work(0, true, true) | self.world.hear(0) {}
        assert_eq!(self.world.room.connections(), 0);
        assert!(self.world.room.is_idle());
    }
}

/// The client that made a key.
fn author(key: &str) -> u64 {
    key.split_once('-').unwrap().0.parse().unwrap()
}

fn play(steps: &[Step]) {
    let mut play = Play::new();
    steps.iter().for_each(|step| play.step(step));
    play.settle();
    // Held requests are woken by this alone.
    play.writers[0].edit(false);
    play.settle();
    play.check();
    // Whoever was silent for long is shown again with its next renewal, which this clock has not reached.
    play.world.clients.iter_mut().for_each(|client| client.point(false));
    play.settle();
    play.check();
    play.check_presence();
    // One who comes now, and does not wait, has the same.
    play.readers[0].cut(&mut play.world);
    play.readers[0] = Reader::new(90);
    play.readers[0].ask(&mut play.world, Live::No, false, play.generation);
    play.settle();
    play.check();
    play.leave();
}

/// Steps that are shown on one line.
#[derive(Clone)]
struct Steps(Vec<Step>);

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps: Vec<_> = self.0.iter().map(|step| format!("{step:?}")).collect();
        f.write_str(&steps.join(", "))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_end_with_what_is_stored(steps in prop::collection::vec(step(), 1..250).prop_map(Steps)) {
        play(&steps.0);
    }
}
