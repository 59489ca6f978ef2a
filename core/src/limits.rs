//! Every bound, with its unit and its reason. Over a bound there is a clear error, never memory without end.

/// What one document, one connection and one message may take. A host lowers what it cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one WebSocket frame. It must hold a client's whole document: after a long time offline that is
    /// what a client sends.
    pub frame_bytes: usize,
    /// Bytes of one update. Above it the sender is closed with 1009.
    pub update_bytes: usize,
    /// Bytes of a document in the log, snapshot and updates. A document that has reached it takes no more
    /// edits: whoever sends one is closed with 1009.
    pub document_bytes: u64,
    /// Open connections of one document. One more is closed with 1013.
    pub connections: usize,
    /// Bytes of accepted updates that wait for the store. Whoever exceeds it is closed with 1013, and sends
    /// them again when it comes back.
    pub unstored_bytes: usize,
    /// Clients with an awareness state, in one document. States beyond are not shown.
    pub awareness_states: usize,
    /// Clients whose awareness state one connection may show: browser tabs share theirs over one connection.
    pub awareness_per_connection: usize,
    /// Clients whose awareness state came by HTTP requests, which belong to no connection.
    pub awareness_over_requests: usize,
    /// Presence streams of one document, beside the one that WebSocket clients share.
    pub presence_streams: usize,
    /// Milliseconds that such a stream is kept after its last use.
    pub presence_stream_kept: u64,
    /// Bytes of the presence of a document that are kept where instances share it, of the default stream and of all
    /// others each; see [`crate::log::PresencePart`]. States beyond are not shown to who comes later.
    pub presence_bytes: usize,
    /// Milliseconds between two writes of these at least, where nobody came or went: a cursor that moves 30 times a
    /// second is stored about 3 times a second.
    pub presence_pause: u64,
    /// Bytes of one awareness state (JSON). Above it the sender is closed with 1009.
    pub awareness_bytes: usize,
    /// Milliseconds until a state that was not renewed is removed: the clients' own rule, they renew every 15 s.
    pub awareness_timeout: u64,
    /// Questions (state vectors and echoes) of one connection that wait for the store. One more closes it.
    pub waiting: usize,
    /// Requests of one document that may be held at once (long-polls and event streams). One more gets 429.
    pub held: usize,
    /// Milliseconds that a long-poll is held at most; the actual deadline is up to 15 % earlier, so that readers
    /// do not all come back at once. Below what proxies wait for an answer (30 s on several platforms).
    pub long_poll: u64,
    /// Milliseconds after which an event stream ends, likewise.
    pub event_stream: u64,
    /// Milliseconds between two signs of life on a silent event stream.
    pub keep_alive: u64,
    /// Bytes of stored updates that a document with readers over HTTP keeps at hand, so that they need not be
    /// loaded for each; and how many.
    pub recent_bytes: usize,
    /// See [`Limits::recent_bytes`].
    pub recent_updates: usize,
    /// Named versions of one document.
    pub versions: usize,
    /// Bytes of a document up to which it is shown as JSON or brought back to a version: both build it whole.
    pub view_bytes: u64,
    /// Milliseconds within which accepted updates are stored while nobody waits for it; 0 for at once. A commit
    /// costs a host more than a relay. An acknowledgement, an answer to a state vector, and the last connection
    /// that leaves do not wait for it.
    pub commit_interval: u64,
    /// Milliseconds between two commits of one document at least, although someone waits for the second: what comes
    /// meanwhile goes together. Where a commit holds up the frames behind it.
    pub commit_pause: u64,
    /// Milliseconds that a request to the store is tried again for, before everyone is sent away.
    pub store_patience: u64,
    /// Milliseconds that a document stays in memory after it was last asked for.
    pub replica_idle: u64,
    /// When to compact.
    pub compaction: Compaction,
    /// How often a log is read again to which others write as well.
    pub reread: Reread,
}

/// How often a room reads its log again, where it is not the only one that writes to it
/// ([`crate::Residency::Shared`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reread {
    /// Milliseconds until it is read again after something new was found, or when someone begins to wait.
    pub first: u64,
    /// The same where each of the last reads found something new: so many write then that to wait a little longer tells
    /// more of them at once.
    pub steady: u64,
    /// Milliseconds at most. The time grows by half whenever nothing new is found.
    pub most: u64,
    /// How often the log is read for one held request, which ends early then, and its client comes again: hosts bound
    /// the time and the reads of a request.
    pub reads: u32,
    /// Milliseconds for which a document that was there is taken to be there still, by who writes to it.
    pub trust: u64,
}

/// When the tail of a log is long enough to be replaced by a snapshot, whichever comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// Updates in the tail: bounds the reads of a cold load.
    pub updates: u64,
    /// Bytes in the tail. Where the snapshot is larger, half of that counts instead, so that the work of
    /// compacting stays proportional to what was written.
    pub bytes: u64,
    /// Updates in the tail of a document that nobody reads or edits for a while: the next one to come should find
    /// a snapshot.
    pub idle_updates: u64,
    /// Milliseconds that such a while takes.
    pub idle_after: u64,
    /// Times these bounds at which a room compacts that nobody reads, where others share its document: it does not have
    /// the document at hand, and may be gone before it is done.
    pub written: u64,
    /// The same where somebody reads.
    pub read: u64,
}

impl Limits {
    /// Those of a host that runs functions: an instance has 128 MiB, a request 30 s and a body of 10 MiB, on the platform
    /// that gives the least.
    pub fn of_functions() -> Self {
        Self {
            frame_bytes: 10 << 20,
            update_bytes: 10 << 20,
            document_bytes: 32 << 20,
            unstored_bytes: 32 << 20,
            view_bytes: 8 << 20,
            event_stream: 25_000,
            replica_idle: 5_000,
            // As many as a session that is parked with a proxy has place for: others would stay when it closes.
            awareness_per_connection: 40,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 32 << 20,
            update_bytes: 24 << 20,
            document_bytes: 256 << 20,
            connections: 10_000,
            unstored_bytes: 64 << 20,
            awareness_states: 10_000,
            awareness_per_connection: 256,
            awareness_over_requests: 1_000,
            presence_streams: 16,
            presence_stream_kept: 3_600_000,
            presence_bytes: 256 << 10,
            presence_pause: 300,
            awareness_bytes: 64 << 10,
            awareness_timeout: 30_000,
            waiting: 64,
            held: 10_000,
            long_poll: 25_000,
            event_stream: 60_000,
            keep_alive: 15_000,
            recent_bytes: 1 << 20,
            recent_updates: 1_024,
            versions: 100,
            view_bytes: 16 << 20,
            commit_interval: 0,
            commit_pause: 0,
            store_patience: 10_000,
            replica_idle: 15_000,
            compaction: Compaction {
                updates: 24,
                bytes: 256 << 10,
                idle_updates: 8,
                idle_after: 2_000,
                written: 4,
                read: 1,
            },
            reread: Reread { first: 100, steady: 300, most: 2_000, reads: 256, trust: 2_000 },
        }
    }
}

impl Reread {
    /// Reads in a row that find something new until it is taken to go on so.
    const STEADY: u32 = 4;

    /// Milliseconds until the next read; `found`: whether the last one found something new, `in_a_row`: how many did.
    pub(crate) fn next(&self, interval: u64, found: bool, in_a_row: &mut u32) -> u64 {
        *in_a_row = if found { in_a_row.saturating_add(1) } else { 0 };
        if found {
            self.soon(*in_a_row)
        } else {
            (interval + interval / 2).clamp(self.first, self.most.max(self.first))
        }
    }

    /// Milliseconds until the next read where more is to be expected.
    pub(crate) fn soon(&self, in_a_row: u32) -> u64 {
        if in_a_row > Self::STEADY { self.steady.max(self.first) } else { self.first }
    }
}

impl Compaction {
    /// Whether a log is long enough to be compacted; `idle` tells that nobody has been here for a while.
    pub fn is_due(&self, tail: &crate::log::Tail, idle: bool) -> bool {
        let updates = if idle { self.idle_updates } else { self.updates };
        tail.updates >= updates.max(1) || tail.bytes >= self.bytes.max(tail.snapshot_bytes / 2).max(1)
    }
}
