//! What a room does, input by input.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use std::sync::Arc;
use yonder_core::auth::{Grant, Permission};
use yonder_core::limits::Limits;
use yonder_core::log::{Life, Loaded, LogError, LogOp, LogReply, Offset, Tail};
use yonder_core::{Close, ConnId, Effect, Effects, Input, Millis, OpId, Room, RoomConfig, To, wire};

const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);
const START: Millis = Millis(1_800_000_000_000);

struct Table {
    room: Room,
    now: Millis,
}

impl Table {
    fn new(limits: Limits) -> Self {
        let config = RoomConfig { limits: Arc::new(limits), parks: true, ..RoomConfig::default() };
        Self { room: Room::new(config), now: START }
    }

    /// A room with A and B, who may write and are synced with an empty document.
    fn synced() -> Self {
        let mut table = Self::new(Limits::default());
        table.give(open(A, Permission::Write));
        let op = store_op(&table.give(open(B, Permission::Write)));
        assert_eq!(op, None, "one load serves both");
        table.stored(OpId(1), LogReply::Loaded(Loaded::default()));
        for conn in [A, B] {
            table.frame(conn, wire::step_2(&[0, 0]));
        }
        table
    }

    fn give(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Effects::new();
        self.room.handle(self.now, input, &mut effects);
        effects.drain().collect()
    }

    fn frame(&mut self, conn: ConnId, bytes: Bytes) -> Vec<Effect> {
        self.give(Input::Frame { conn, bytes })
    }

    fn stored(&mut self, op: OpId, reply: LogReply) -> Vec<Effect> {
        self.give(Input::Stored { op, reply: Ok(reply) })
    }
}

fn open(conn: ConnId, permission: Permission) -> Input<'static> {
    Input::Open { conn, grant: Grant { permission, expires: None } }
}

/// Client `client` inserts `text` into an empty text "t".
fn insert(client: u8, text: &str) -> Bytes {
    let mut update = vec![1, 1, client, 0, 4, 1, 1, b't', text.len() as u8];
    update.extend_from_slice(text.as_bytes());
    update.push(0);
    update.into()
}

fn appended(number: u64) -> LogReply {
    LogReply::Appended(Tail {
        life: Life::Live,
        end: Offset::new(number),
        updates: number,
        bytes: 9 * number,
        ..Tail::default()
    })
}

fn store_op(effects: &[Effect]) -> Option<(OpId, LogOp)> {
    effects.iter().find_map(|effect| {
        if let Effect::Store { op, request } = effect { Some((*op, request.clone())) } else { None }
    })
}

fn sent(effects: &[Effect]) -> Vec<(To, Bytes)> {
    let sent = effects.iter().filter_map(|effect| {
        if let Effect::Send { to, frame } = effect { Some((*to, frame.clone())) } else { None }
    });
    sent.collect()
}

fn closed(effects: &[Effect]) -> Vec<(ConnId, u16)> {
    let closed = effects.iter().filter_map(|effect| {
        if let Effect::Close { conn, reason } = effect { Some((*conn, reason.code)) } else { None }
    });
    closed.collect()
}

fn parked(effects: &[Effect], of: ConnId) -> Option<Bytes> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Park { conn, state } if *conn == of => Some(state.clone()),
        Effect::Park { .. } | Effect::Store { .. } | Effect::Close { .. } | Effect::Send { .. } => None,
        Effect::Reply { .. } | Effect::Forward { .. } => None,
    })
}

#[test]
fn a_cold_room_takes_edits_and_cursors_without_loading_its_document() {
    let mut first = Table::new(Limits::default());
    first.give(open(A, Permission::Write));
    first.stored(OpId(1), LogReply::Loaded(Loaded::default()));
    let state = parked(&first.frame(A, wire::step_2(&[0, 0])), A).unwrap();

    let mut cold = Table::new(Limits::default());
    let mut effects = cold.give(Input::Resume { conn: A, parked: &state });
    effects.extend(cold.give(Input::Resume { conn: B, parked: &state }));
    effects.extend(cold.frame(A, wire::awareness(b"\x01\x05\x01\x02{}")));
    effects.extend(cold.frame(A, wire::update(&insert(5, "a"))));
    effects.extend(cold.stored(OpId(1), appended(1)));
    effects.extend(cold.frame(A, wire::echo(b"1")));
    let requests: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::Store { .. })).collect();
    let append = Effect::Store { op: OpId(1), request: LogOp::Append { updates: vec![insert(5, "a")] } };
    assert_eq!(requests, [&append], "one append, and no load");
    assert!(sent(&effects).contains(&(To::Conn(A), wire::echo(b"1"))));
}

#[test]
fn an_edit_is_relayed_and_stored_as_the_bytes_that_came() {
    let mut table = Table::synced();
    let frame = wire::update(&insert(5, "a"));
    let effects = table.frame(A, frame.clone());
    let [(to, relayed)] = &sent(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(*to, To::Sockets { except: Some(A) });
    assert_eq!(relayed.as_ptr(), frame.as_ptr(), "the same memory: nothing was copied");
    let Some((_, LogOp::Append { updates })) = store_op(&effects) else { panic!("{effects:?}") };
    assert_eq!(updates, [insert(5, "a")]);
}

#[test]
fn an_echo_waits_until_what_came_before_it_is_stored() {
    let mut table = Table::synced();
    let (op, _) = store_op(&table.frame(A, wire::update(&insert(5, "a")))).unwrap();
    assert_eq!(sent(&table.frame(A, wire::echo(b"7"))), []);
    // B has nothing unstored: its echo does not wait for A's edit.
    assert_eq!(sent(&table.frame(B, wire::echo(b"8"))), [(To::Conn(B), wire::echo(b"8"))]);
    assert_eq!(sent(&table.stored(op, appended(1))), [(To::Conn(A), wire::echo(b"7"))]);
}

#[test]
fn an_echo_waits_for_edits_that_its_client_made_before_it_connected() {
    let mut table = Table::new(Limits::default());
    table.give(open(A, Permission::Write));
    // y-sweet's client asks at once, and counts its offline edits in.
    table.frame(A, wire::echo(b"3"));
    let greeted = sent(&table.stored(OpId(1), LogReply::Loaded(Loaded::default())));
    assert_eq!(greeted, [(To::Conn(A), wire::step_1(&[0]))]);
    let (op, _) = store_op(&table.frame(A, wire::step_2(&insert(5, "offline")))).unwrap();
    assert_eq!(sent(&table.stored(op, appended(1))), [(To::Conn(A), wire::echo(b"3"))]);
}

#[test]
fn edits_that_come_during_an_append_go_together_in_the_next() {
    let mut table = Table::synced();
    let (op, _) = store_op(&table.frame(A, wire::update(&insert(5, "a")))).unwrap();
    assert_eq!(store_op(&table.frame(A, wire::update(&insert(6, "b")))), None);
    assert_eq!(store_op(&table.frame(B, wire::update(&insert(7, "c")))), None);
    let (_, request) = store_op(&table.stored(op, appended(1))).unwrap();
    assert_eq!(request, LogOp::Append { updates: vec![insert(6, "b"), insert(7, "c")] });
}

#[test]
fn edits_that_nobody_waits_for_are_stored_together_at_the_next_interval() {
    let mut table = Table::new(Limits { commit_interval: 50, ..Limits::default() });
    table.give(open(A, Permission::Write));
    table.stored(OpId(1), LogReply::Loaded(Loaded::default()));
    table.frame(A, wire::step_2(&[0, 0]));
    table.now = START.after(20);
    assert_eq!(store_op(&table.frame(A, wire::update(&insert(5, "a")))), None);
    table.now = START.after(30);
    assert_eq!(store_op(&table.frame(A, wire::update(&insert(6, "b")))), None);
    assert!(!table.room.is_idle());
    assert_eq!(table.room.poll_timeout(), Some((START.after(50), "commit")));
    table.now = START.after(50);
    let (op, request) = store_op(&table.give(Input::Tick)).unwrap();
    assert_eq!(request, LogOp::Append { updates: vec![insert(5, "a"), insert(6, "b")] });
    table.stored(op, appended(2));
    // Whoever waits does not wait for the interval, nor does the last to leave.
    table.frame(A, wire::update(&insert(7, "c")));
    let (op, _) = store_op(&table.frame(A, wire::echo(b"1"))).unwrap();
    table.stored(op, appended(3));
    table.frame(A, wire::update(&insert(8, "d")));
    assert!(store_op(&table.give(Input::Closed { conn: A })).is_some());
}

#[test]
fn a_step_1_is_answered_with_what_is_stored_even_if_that_is_nothing() {
    let mut table = Table::synced();
    assert_eq!(sent(&table.frame(A, wire::step_1(&[0]))), [(To::Conn(A), wire::step_2(&[0, 0]))]);
    let (op, _) = store_op(&table.frame(A, wire::update(&insert(5, "a")))).unwrap();
    assert_eq!(sent(&table.frame(B, wire::step_1(&[0]))), [], "it would tell of what may be lost");
    let answer = sent(&table.stored(op, appended(1)));
    assert_eq!(answer, [(To::Conn(B), wire::step_2(&insert(5, "a")))]);
}

#[test]
fn an_append_that_overtook_a_load_is_in_the_answer() {
    let mut table = Table::new(Limits::default());
    table.give(open(A, Permission::Write));
    let (append, _) = store_op(&table.frame(A, wire::update(&insert(5, "a")))).unwrap();
    table.frame(A, wire::step_1(&[0]));
    table.stored(append, appended(1));
    let answered = sent(&table.stored(OpId(1), LogReply::Loaded(Loaded::default())));
    let whole = [(To::Conn(A), wire::step_1(&[1, 5, 1])), (To::Conn(A), wire::step_2(&insert(5, "a")))];
    assert_eq!(answered, whole);
}

#[test]
fn an_append_that_failed_is_repeated_with_its_number_and_bytes() {
    let mut table = Table::synced();
    let first = store_op(&table.frame(A, wire::update(&insert(5, "a")))).unwrap();
    table.frame(A, wire::echo(b"1"));
    let failed = table.give(Input::Stored { op: first.0, reply: Err(LogError::Unavailable) });
    assert_eq!(failed.iter().filter(|effect| !matches!(effect, Effect::Park { .. })).count(), 0);
    let (at, why) = table.room.poll_timeout().unwrap();
    assert_eq!(why, "retry an append");
    table.now = at;
    assert_eq!(store_op(&table.give(Input::Tick)), Some(first.clone()));
    assert_eq!(sent(&table.stored(first.0, appended(1))), [(To::Conn(A), wire::echo(b"1"))]);
}

#[test]
fn a_store_that_stays_away_sends_everyone_away_and_acknowledges_nothing() {
    let mut table = Table::synced();
    let (op, _) = store_op(&table.frame(A, wire::update(&insert(5, "a")))).unwrap();
    table.frame(A, wire::echo(b"1"));
    let mut effects = Vec::new();
    for _ in 0..100 {
        effects.extend(table.give(Input::Stored { op, reply: Err(LogError::Unavailable) }));
        let Some((at, "retry an append")) = table.room.poll_timeout() else { break };
        table.now = at;
        table.give(Input::Tick);
    }
    assert_eq!(closed(&effects), [(A, Close::INTERNAL), (B, Close::INTERNAL)]);
    assert_eq!(sent(&effects), []);
    assert!(table.room.is_idle());
}

#[test]
fn a_reader_is_told_once_that_it_may_not_write_and_stays() {
    let mut table = Table::synced();
    let reader = ConnId(3);
    table.give(open(reader, Permission::Read));
    let nothing_new = wire::step_2(&[0, 0]);
    assert_eq!(sent(&table.frame(reader, nothing_new)), []);
    let [(to, frame)] = &sent(&table.frame(reader, wire::update(&insert(5, "a"))))[..] else { panic!() };
    assert_eq!((*to, &frame[..2]), (To::Conn(reader), &[2, 0][..]));
    let again = table.frame(reader, wire::update(&insert(5, "a")));
    assert_eq!(again, [], "neither stored, nor relayed, nor said twice");
    let cursor = wire::awareness(b"\x01\x09\x01\x02{}");
    assert_eq!(sent(&table.frame(reader, cursor.clone())), [(To::Sockets { except: None }, cursor)]);
}

#[test]
fn a_reader_that_answers_with_what_others_wrote_has_not_written() {
    let mut table = Table::synced();
    let reader = ConnId(3);
    table.give(open(reader, Permission::Read));
    let edit = insert(5, "a");
    let effects = table.frame(A, wire::update(&edit));
    assert_eq!(sent(&effects), [(To::Sockets { except: Some(A) }, wire::update(&edit))]);
    let (op, _) = store_op(&effects).unwrap();
    // It answers before the store has that, then after it, then when the document is no longer held.
    assert_eq!(sent(&table.frame(reader, wire::step_2(&edit))), []);
    assert_eq!(sent(&table.stored(op, appended(1))), []);
    assert_eq!(sent(&table.frame(reader, wire::step_2(&edit))), []);
    table.now = table.now.after(60_000);
    table.give(Input::Tick);
    for (answer, told) in [(edit.clone(), 0), (insert(9, "b"), 1), (insert(9, "b"), 0)] {
        let mut effects = table.frame(reader, wire::step_2(&answer));
        if let Some((op, LogOp::Load { .. })) = store_op(&effects) {
            let LogReply::Appended(tail) = appended(1) else { panic!() };
            let updates = vec![(Offset::new(1), edit.clone())];
            effects = table.stored(op, LogReply::Loaded(Loaded { tail, updates, ..Loaded::default() }));
        }
        let said = sent(&effects);
        assert!(said.iter().all(|(to, frame)| *to == To::Conn(reader) && frame.starts_with(&[2, 0])));
        assert_eq!(said.len(), told);
    }
    assert!(table.room.is_idle());
}

#[test]
fn a_frame_of_questions_who_is_here_is_answered_once() {
    let mut table = Table::synced();
    let question = wire::query_awareness();
    let effects = table.frame(A, question.repeat(1000).into());
    assert_eq!(sent(&effects).len(), 1);
    assert_eq!(sent(&table.frame(A, question)).len(), 1, "the next one again");
}

#[test]
fn a_malformed_frame_closes_its_sender_after_what_was_right_in_it() {
    let mut table = Table::synced();
    let mut frame = wire::update(&insert(5, "a")).to_vec();
    frame.extend_from_slice(&[0, 2, 200]);
    let effects = table.frame(A, frame.into());
    assert_eq!(closed(&effects), [(A, Close::MALFORMED)]);
    assert!(matches!(store_op(&effects), Some((_, LogOp::Append { .. }))));
    assert_eq!(table.room.connections(), 1);
}

#[test]
fn every_limit_has_its_close_code() {
    let limits = Limits {
        frame_bytes: 200,
        update_bytes: 100,
        document_bytes: 150,
        connections: 1,
        waiting: 2,
        ..Limits::default()
    };
    let long = "x".repeat(60);
    type Case<'a> = (&'a str, u16, Box<dyn Fn(&mut Table) -> Vec<Effect> + 'a>);
    let cases: Vec<Case<'_>> = vec![
        ("frame", 1009, Box::new(|table| table.frame(A, vec![0; 201].into()))),
        ("update", 1009, Box::new(|table| table.frame(A, wire::update(&insert(5, &"x".repeat(95)))))),
        (
            "document",
            1009,
            Box::new(|table| {
                table.frame(A, wire::update(&insert(5, &long)));
                table.frame(A, wire::update(&insert(6, &long)));
                table.frame(A, wire::update(&insert(7, &long)))
            }),
        ),
        ("connections", 1013, Box::new(|table| table.give(open(B, Permission::Write)))),
        (
            "waiting",
            1013,
            Box::new(|table| {
                table.frame(A, wire::update(&insert(5, "a")));
                (0..3).flat_map(|_| table.frame(A, wire::step_1(&[0]))).collect()
            }),
        ),
        (
            "echo",
            1009,
            Box::new(|table| {
                table.give(Input::Closed { conn: A });
                let roomy = Limits::default();
                *table = Table::new(roomy);
                table.give(open(A, Permission::Write));
                table.frame(A, wire::echo(&[0; 300]))
            }),
        ),
    ];
    for (name, code, exceed) in cases {
        let mut table = Table::new(limits.clone());
        table.give(open(A, Permission::Write));
        table.stored(OpId(1), LogReply::Loaded(Loaded::default()));
        let codes: Vec<_> = closed(&exceed(&mut table)).into_iter().map(|(_, code)| code).collect();
        assert_eq!(codes, [code], "{name}");
    }
}

#[test]
fn a_grant_ends_its_connection_when_it_expires() {
    let mut table = Table::new(Limits::default());
    let grant = Grant { permission: Permission::Write, expires: Some(START.after(5_000)) };
    table.give(Input::Open { conn: A, grant });
    let (at, why) = table.room.poll_timeout().unwrap();
    assert_eq!((at, why), (START.after(5_000), "end a grant"));
    table.now = at;
    assert_eq!(closed(&table.give(Input::Tick)), [(A, Close::UNAUTHORIZED)]);
}

#[test]
fn a_long_tail_is_compacted_and_a_failed_compaction_rests() {
    let mut table = Table::synced();
    let (op, _) = store_op(&table.frame(A, wire::update(&insert(5, "a")))).unwrap();
    let tail = Tail { life: Life::Live, end: Offset::new(30), updates: 30, bytes: 300, ..Tail::default() };
    let (op, request) = store_op(&table.stored(op, LogReply::Appended(tail))).unwrap();
    assert_eq!(request, LogOp::Compact { upto: Offset::new(30) });
    assert!(!table.room.is_idle());
    let effects = table.give(Input::Stored { op, reply: Err(LogError::Unavailable) });
    assert_eq!(store_op(&effects), None);
    assert!(table.room.is_idle());
}

#[test]
fn a_replica_that_nobody_asks_for_is_let_go() {
    let mut table = Table::synced();
    let (at, why) = table.room.poll_timeout().unwrap();
    assert_eq!(why, "release the replica");
    table.now = at;
    table.give(Input::Tick);
    let (_, request) = store_op(&table.frame(A, wire::step_1(&[0]))).unwrap();
    assert_eq!(request, LogOp::Load { since: Offset::START });
}
