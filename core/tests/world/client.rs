//! A client as y-websocket is one: a replica, an awareness, and a connection that comes and goes.

use super::log::MemoryLog;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use yonder_core::ConnId;
use yonder_core::wire::{self, Message, Messages, Reader, put_var_bytes, put_var_uint};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, Map, MapRef, ReadTxn, StateVector, Text, TextRef, Transact, Update};

/// A client. Its edits are keys of a map, which end up the same in whatever order they are seen, and characters
/// of a text, which do not, but must at least be the same for all.
pub struct Client {
    pub id: u64,
    pub conn: Option<ConnId>,
    /// Frames on their way to the server.
    pub outbox: VecDeque<Bytes>,
    pub synced: bool,
    /// All updates that it made or got, and the replica that they make. It is built anew from their merge for each:
    /// a yrs 0.28.1 replica to which a second update comes while the first still waits for a missing one corrupts
    /// both (`Update::merge`).
    updates: Vec<Vec<u8>>,
    doc: Doc,
    map: MapRef,
    text: TextRef,
    /// Clock and state of every client that it knows of; none if that is gone.
    awareness: BTreeMap<u64, (u64, Option<String>)>,
    /// What the map holds of this client's.
    mine: BTreeSet<String>,
    edits: u64,
    /// For each acknowledgement that was asked for: what was edited by then.
    asked: Vec<StateVector>,
    pub acknowledged: usize,
}

impl Client {
    pub fn new(index: usize) -> Self {
        Self::with_id(index as u64 + 1)
    }

    pub fn with_id(id: u64) -> Self {
        let doc = Doc::with_client_id(id);
        let (map, text) = (doc.get_or_insert_map("map"), doc.get_or_insert_text("text"));
        Self {
            id,
            conn: None,
            outbox: VecDeque::new(),
            synced: false,
            updates: Vec::new(),
            doc,
            map,
            text,
            awareness: BTreeMap::from([(id, (1, Some("{}".to_owned())))]),
            mine: BTreeSet::new(),
            edits: 0,
            asked: Vec::new(),
            acknowledged: 0,
        }
    }

    pub fn connected(&mut self, conn: ConnId) {
        self.conn = Some(conn);
        let own = self.doc.transact().state_vector().encode_v1();
        self.send(wire::step_1(&own));
        self.announce(&[self.id]);
    }

    pub fn disconnected(&mut self) {
        self.conn = None;
        self.synced = false;
        self.outbox.clear();
        let id = self.id;
        self.awareness.retain(|client, _| *client == id);
    }

    pub fn insert(&mut self) {
        self.edits += 1;
        let key = format!("{}-{}", self.id, self.edits);
        let at = self.edits as u32 % (self.text.len(&self.doc.transact()) + 1);
        let mut txn = self.doc.transact_mut();
        self.map.insert(&mut txn, key.clone(), self.edits as i64);
        self.text.insert(&mut txn, at, "x");
        let update = txn.encode_update_v1();
        drop(txn);
        self.updates.push(update.clone());
        self.mine.insert(key);
        self.send(wire::update(&update));
    }

    /// Removes its oldest key, and the first character.
    pub fn remove(&mut self) {
        let Some(key) = self.mine.pop_first() else { return };
        let mut txn = self.doc.transact_mut();
        self.map.remove(&mut txn, &key);
        if self.text.len(&txn) > 0 {
            self.text.remove_range(&mut txn, 0, 1);
        }
        let update = txn.encode_update_v1();
        drop(txn);
        self.updates.push(update.clone());
        self.send(wire::update(&update));
    }

    /// Moves its cursor. `large`: the state does not fit into what a session parks.
    pub fn point(&mut self, large: bool) {
        let clock = self.awareness.get(&self.id).map_or(0, |(clock, _)| *clock) + 1;
        let state = format!(r#"{{"clock":{clock},"pad":"{}"}}"#, "x".repeat(if large { 2000 } else { 0 }));
        self.awareness.insert(self.id, (clock, Some(state)));
        self.announce(&[self.id]);
    }

    pub fn ask_acknowledgement(&mut self) {
        if self.conn.is_some() {
            let number = self.asked.len() as u64;
            self.asked.push(self.doc.transact().state_vector());
            let mut payload = Vec::new();
            put_var_uint(&mut payload, number);
            self.send(wire::echo(&payload));
        }
    }

    /// Takes a frame of the server. An acknowledgement must be true of the log at this moment.
    pub fn receive(&mut self, frame: &[u8], log: &MemoryLog) {
        let messages: Vec<_> = Messages::new(frame).collect::<Result<_, _>>().unwrap();
        assert_eq!(messages.len(), 1, "clients read one message a frame");
        match messages[0] {
            Message::SyncStep1(state_vector) => {
                let missing = yrs::diff_updates_v1(&self.everything(), state_vector).unwrap();
                self.send(wire::step_2(&missing));
            }
            Message::SyncStep2(update) => {
                self.apply(update);
                self.synced = true;
            }
            Message::Update(update) => self.apply(update),
            Message::Awareness(states) => self.hear(states),
            Message::QueryAwareness => {
                let all: Vec<_> = self.awareness.keys().copied().collect();
                self.announce(&all);
            }
            Message::Echo(payload) => {
                let number = Reader::new(payload).var_uint().unwrap() as usize;
                let stored = StateVector::decode_v1(&log.replica().state_vector().unwrap()).unwrap();
                let client = yrs::ClientID::new(self.id);
                assert!(
                    stored.get(&client) >= self.asked[number].get(&client),
                    "client {} was told that its edits are stored, and they are not",
                    self.id
                );
                self.acknowledged += 1;
            }
            Message::Auth(reason) => panic!("refused: {reason}"),
        }
    }

    /// The update that its last edit made.
    pub fn last_update(&self) -> Bytes {
        Bytes::copy_from_slice(self.updates.last().unwrap())
    }

    pub fn keys(&self) -> BTreeSet<String> {
        let txn = self.doc.transact();
        self.map.keys(&txn).map(str::to_owned).collect()
    }

    pub fn text(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }

    pub fn mine(&self) -> &BTreeSet<String> {
        &self.mine
    }

    pub fn waits_for_missing(&self) -> bool {
        self.doc.transact().has_missing_updates()
    }

    /// Who is shown, with their states.
    pub fn sees(&self) -> BTreeMap<u64, String> {
        let shown = self.awareness.iter().filter_map(|(id, (_, state))| Some((*id, state.clone()?)));
        shown.collect()
    }

    pub fn own_state(&self) -> String {
        self.sees().remove(&self.id).unwrap()
    }

    pub fn apply(&mut self, update: &[u8]) {
        self.updates.push(update.to_vec());
        self.updates = vec![self.everything()];
        self.doc = Doc::with_client_id(self.id);
        (self.map, self.text) = (self.doc.get_or_insert_map("map"), self.doc.get_or_insert_text("text"));
        let everything = Update::decode_v1(&self.updates[0]).unwrap();
        self.doc.transact_mut().apply_update(everything).unwrap();
    }

    fn everything(&self) -> Vec<u8> {
        yrs::merge_updates_v1(&self.updates).unwrap()
    }

    /// y-protocols' `applyAwarenessUpdate`, and y-websocket's habit of passing on whatever changed.
    pub fn hear(&mut self, states: &[u8]) {
        let mut reader = Reader::new(states);
        let mut changed = Vec::new();
        for _ in 0..reader.var_uint().unwrap() {
            let (client, mut clock) = (reader.var_uint().unwrap(), reader.var_uint().unwrap());
            let state = Some(reader.var_str().unwrap()).filter(|json| *json != "null").map(str::to_owned);
            let known = self.awareness.get(&client).cloned();
            let (known_clock, known_state) = known.unwrap_or((0, None));
            let removes = clock == known_clock && state.is_none() && known_state.is_some();
            if !(clock > known_clock || removes || !self.awareness.contains_key(&client)) {
                continue;
            }
            if client == self.id && state.is_none() {
                clock += 1;
                self.awareness.insert(client, (clock, known_state));
            } else {
                self.awareness.insert(client, (clock, state));
            }
            changed.push(client);
        }
        if !changed.is_empty() {
            self.announce(&changed);
        }
    }

    fn announce(&mut self, clients: &[u64]) {
        let mut states = Vec::new();
        put_var_uint(&mut states, clients.len() as u64);
        for client in clients {
            let (clock, state) = self.awareness.get(client).cloned().unwrap_or((0, None));
            put_var_uint(&mut states, *client);
            put_var_uint(&mut states, clock);
            put_var_bytes(&mut states, state.as_deref().unwrap_or("null").as_bytes());
        }
        self.send(wire::awareness(&states));
    }

    fn send(&mut self, frame: Bytes) {
        if self.conn.is_some() {
            self.outbox.push_back(frame);
        }
    }
}
