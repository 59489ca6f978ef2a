//! Edits of one person typing: what a Yjs editor sends for every key.

use yrs::block::ClientID;
use yrs::{Doc, Options, Text, Transact};

/// The client that types in documents which have no other.
pub(crate) const TYPIST: u64 = 0x5eed_cafe;

/// Updates with one inserted character each. The n-th has clock n, so a reader knows which one it received.
pub(crate) struct Typing {
    client: u64,
    updates: Vec<Vec<u8>>,
}

impl Typing {
    /// `client` types `count` characters one behind the other, into a text that has nothing else yet.
    pub(crate) fn new(client: u64, count: usize) -> Self {
        let doc = Doc::with_options(Options::with_client_id(ClientID::new(client)));
        let text = doc.get_or_insert_text("typed");
        let sentence = "the quick brown fox jumps over the lazy dog ";
        let updates = (0..count)
            .map(|at| {
                let mut edit = doc.transact_mut();
                let letter = at % sentence.len();
                text.insert(&mut edit, at as u32, &sentence[letter..=letter]);
                edit.encode_update_v1()
            })
            .collect();
        Self { client, updates }
    }

    /// Who types.
    pub(crate) fn client(&self) -> u64 {
        self.client
    }

    /// The update with this clock.
    pub(crate) fn update(&self, clock: u64) -> &[u8] {
        &self.updates[clock as usize]
    }

    /// Size of the update with this clock, if there is one.
    pub(crate) fn size(&self, clock: u64) -> Option<usize> {
        self.updates.get(usize::try_from(clock).ok()?).map(Vec::len)
    }
}
