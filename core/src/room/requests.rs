//! HTTP requests to a document: each is answered once, at once or when the store has said what it takes.

use super::readers::{Now, Reader, StreamName};
use super::shelf::Look;
use super::views::View;
use super::{Owed, Room, Waiting};
use crate::effect::{Close, ConnId, Effects, Millis, OpId};
use crate::http::frames;
use crate::http::streams::DEFAULT_STREAM;
use crate::http::{ApiError, Reply, sweet};
use crate::log::{Life, LogError, LogOp, LogReply, Offset, PresencePart, Tail, Version};
use crate::replica;
use crate::request::{DocRequest, Live, PresenceOp, PresenceSince, Read, Since, VersionOp};
use crate::wire;
use bytes::Bytes;

/// A request to the store on behalf of one HTTP request, and what its reply is for.
#[derive(Debug)]
pub(super) enum Asked {
    Create { created: Reply, existed: Result<Reply, ApiError> },
    Delete,
    Snapshot(Offset),
    Keep(Version),
    Versions,
    Version(Use),
    Forget,
}

/// What a version is read for.
#[derive(Debug)]
pub(super) enum Use {
    State,
    Json,
    Restore { client: u32 },
}

/// A request that waits to learn whether the document is there.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) conn: ConnId,
    pub(super) request: DocRequest,
    expires: Option<Millis>,
    /// The round of questions for the tail that answers it.
    round: u64,
    look: Option<Look>,
}

impl Asking {
    /// Whether it needs this to be read.
    pub(super) fn looks_at(&self, part: PresencePart) -> bool {
        self.look.is_some_and(|(needed, _)| needed == part)
    }
}

impl Room {
    pub(super) fn request(
        &mut self,
        now: Millis,
        conn: ConnId,
        request: DocRequest,
        expires: Option<Millis>,
        effects: &mut Effects,
    ) {
        if let DocRequest::Create { content, created, existed } = request {
            let request = LogOp::Create { updates: content };
            self.ask_store(conn, request, Asked::Create { created, existed }, effects);
        } else if request == DocRequest::Delete {
            self.document.pause(true);
            self.ask_store(conn, LogOp::Delete, Asked::Delete, effects);
            if self.shelves.is_some() {
                // It says who was here. Nobody waits for that.
                for part in [PresencePart::Default, PresencePart::Named] {
                    let op = self.document.op();
                    effects.store(op, LogOp::WritePresence { part, state: Bytes::new() });
                }
            }
        } else if self.needs_no_peek(now, &request) {
            self.answer_request(now, conn, request, expires, effects);
        } else {
            let round = self.document.next_peek();
            let look = self.look(&request);
            self.asking.push(Asking { conn, request, expires, round, look });
            self.document.peek(now, effects);
            self.settle_asking(now, effects);
        }
    }

    /// Whether a request learns from its own load that the document is there, or may believe that it is.
    fn needs_no_peek(&self, now: Millis, request: &DocRequest) -> bool {
        if let DocRequest::Read(Read { updates, presence, .. }) = request {
            let has_place = matches!(updates, Some(Since::Start | Since::At(_)));
            return has_place && presence.is_none() && self.config.residency.is_shared();
        }
        let writes = matches!(
            request,
            DocRequest::Append { .. } | DocRequest::Presence { what: PresenceOp::Append(_), .. }
        );
        writes && self.document.trusts(now, &self.config.limits)
    }

    /// Goes on with the requests that waited to learn whether the document is there.
    pub(super) fn settle_asking(&mut self, now: Millis, effects: &mut Effects) {
        for asking in core::mem::take(&mut self.asking) {
            let is_known = self.document.peek_for(now, asking.round, effects);
            let is_live = self.document.tail().is_some_and(|tail| tail.life == Life::Live);
            if !is_known || is_live && !self.has_looked(asking.look) {
                self.asking.push(asking);
                continue;
            }
            let Asking { conn, request, expires, .. } = asking;
            if is_live {
                self.answer_request(now, conn, request, expires, effects);
            } else if let DocRequest::Exists { otherwise, .. } = request {
                effects.reply(conn, otherwise);
            } else {
                effects.reply(conn, ApiError::no_document());
            }
        }
    }

    /// A request to a document that is there.
    fn answer_request(
        &mut self,
        now: Millis,
        conn: ConnId,
        request: DocRequest,
        expires: Option<Millis>,
        effects: &mut Effects,
    ) {
        match request {
            DocRequest::Exists { reply, .. } => effects.reply(conn, self.at_end(reply)),
            DocRequest::Append { updates, reply } => self.post(conn, &updates, reply, effects),
            DocRequest::State => self.view(conn, View::State),
            DocRequest::Json => self.view(conn, View::Json),
            DocRequest::Copy { to, reply } => self.view(conn, View::Copy { to, reply }),
            DocRequest::Discover { path, query } => {
                if let Some(tail) = self.document.tail() {
                    effects.reply(conn, frames::discovered(&path, &query, &tail.snapshot));
                }
            }
            DocRequest::Snapshot(at) => {
                if at == Offset::START {
                    effects.reply(conn, ApiError::no_snapshot());
                } else {
                    self.ask_store(conn, LogOp::Load { since: Offset::START }, Asked::Snapshot(at), effects);
                }
            }
            DocRequest::Read(read) => self.read(now, conn, read, expires, effects),
            DocRequest::Presence { stream, what } => self.presence_request(now, conn, &stream, what, effects),
            DocRequest::Version(VersionOp::Make { name, random }) => {
                self.view(conn, View::Keep { name, random })
            }
            DocRequest::Version(VersionOp::List) => {
                self.ask_store(conn, LogOp::ListVersions, Asked::Versions, effects);
            }
            DocRequest::Version(VersionOp::State(id)) => self.read_version(conn, id, Use::State, effects),
            DocRequest::Version(VersionOp::Json(id)) => self.read_version(conn, id, Use::Json, effects),
            DocRequest::Version(VersionOp::Restore { id, client }) => {
                self.read_version(conn, id, Use::Restore { client }, effects);
            }
            DocRequest::Version(VersionOp::Delete(id)) => {
                self.ask_store(conn, LogOp::DeleteVersion { id }, Asked::Forget, effects);
            }
            // Asked of the store before.
            DocRequest::Create { .. } | DocRequest::Delete => {}
        }
    }

    pub(super) fn ask_store(&mut self, conn: ConnId, request: LogOp, what: Asked, effects: &mut Effects) {
        let op = self.document.op();
        self.asked.insert(op, (conn, what));
        effects.store(op, request);
    }

    fn read_version(&mut self, conn: ConnId, id: String, what: Use, effects: &mut Effects) {
        self.ask_store(conn, LogOp::ReadVersion { id }, Asked::Version(what), effects);
    }

    pub(super) fn at_end(&self, reply: Reply) -> Reply {
        reply.with("stream-next-offset", self.end().to_string())
    }

    fn end(&self) -> Offset {
        self.document.tail().map(|tail| tail.end.clone()).unwrap_or_default()
    }

    fn view(&mut self, conn: ConnId, view: View) {
        let after = self.document.accepted();
        self.wait(conn, after, Owed::View(view));
    }

    pub(super) fn post(&mut self, conn: ConnId, updates: &[Bytes], reply: Reply, effects: &mut Effects) {
        match self.checked(updates) {
            Err(error) => effects.reply(conn, error),
            Ok(updates) => {
                for update in updates {
                    self.take(update, effects);
                }
                let after = self.document.accepted();
                self.wait(conn, after, Owed::Reply(reply));
            }
        }
    }

    /// Those of some updates that say anything; an error if one cannot be taken, and then none is.
    fn checked(&self, updates: &[Bytes]) -> Result<Vec<Bytes>, ApiError> {
        let mut checked = Vec::with_capacity(updates.len());
        let mut bytes = 0;
        for update in updates {
            if update.len() > self.config.limits.update_bytes {
                return Err(ApiError::too_large("an update exceeds its limit"));
            }
            let summary =
                replica::validate(update).map_err(|error| ApiError::invalid(format!("update: {error}")))?;
            if !summary.is_empty() {
                bytes += update.len();
                checked.push(update.clone());
            }
        }
        match self.refuses(bytes) {
            Some(reason) if reason.code == Close::TOO_BIG => Err(ApiError::too_large(reason.reason)),
            Some(reason) => Err(ApiError::overloaded(reason.reason)),
            None => Ok(checked),
        }
    }

    /// Takes an update that was checked and came from no socket.
    fn take(&mut self, update: Bytes, effects: &mut Effects) {
        self.readers.relayed(&update);
        self.document.accept(update.clone());
        if self.has_sockets() {
            self.relay(None, wire::update(&update), effects);
        }
    }

    fn read(
        &mut self,
        now: Millis,
        conn: ConnId,
        read: Read,
        expires: Option<Millis>,
        effects: &mut Effects,
    ) {
        let limits = &self.config.limits;
        if read.live != Live::No && self.readers.held() >= limits.held {
            effects.reply(conn, ApiError::rate_limited("the document holds too many requests"));
            return;
        }
        let known = self.end();
        let told = self.readers.known_end().unwrap_or_else(|| known.clone());
        let end = told.clone().max(known);
        let tag = match read.updates {
            Some(Since::Start | Since::At(_)) => Some(read.if_none_match.unwrap_or_default()),
            Some(Since::Now) | None => None,
        };
        let updates = read.updates.map(|since| match since {
            Since::Start => Offset::START,
            Since::Now => told,
            // Not of this log as it is: a store that lost its end. Then everything is news.
            Since::At(offset) if offset > end && !self.config.residency.is_shared() => Offset::START,
            Since::At(offset) => offset,
        });
        let presence = read.presence.map(|(stream, since)| {
            let known = match since {
                PresenceSince::At(place) => Some(place),
                PresenceSince::All => None,
            };
            (if stream == DEFAULT_STREAM { DEFAULT_STREAM.into() } else { StreamName::from(stream) }, known)
        });
        if let Some((stream, _)) = &presence
            && !self.touch_stream(now, stream)
        {
            effects.reply(conn, ApiError::no_stream());
            return;
        }
        let limits = &self.config.limits;
        // A reader that does not wait has as long as the store has patience.
        let (length, spread) = match read.live {
            Live::No => (2 * limits.store_patience, 0),
            Live::LongPoll => (limits.long_poll, limits.long_poll * 15 / 100),
            Live::Events => (limits.event_stream, limits.event_stream * 15 / 100),
        };
        let deadline = now.after(length - scatter(conn, spread));
        let deadline = expires.map_or(deadline, |at| at.min(deadline));
        let (wants, cursor) = (read.live.into(), read.cursor);
        let (opened, behind, loads, relayed, looks) = (false, false, 0, 0, 0);
        let reads = if read.held { 0 } else { limits.reread.reads };
        #[rustfmt::skip]
        let reader = Reader {
            updates, presence, wants, cursor, tag, deadline, opened, behind, loads, reads, relayed, looks,
        };
        self.readers.add(now, conn, reader, end, limits);
    }

    /// Gives readers what happened, and loads for those who are behind.
    pub(super) fn serve_readers(&mut self, now: Millis, effects: &mut Effects) {
        if let Some(tail) = self.document.tail().filter(|_| !self.document.is_appending()) {
            self.readers.catch_up(&tail.end);
        }
        if self.readers.is_due() {
            self.with_readers(now, |readers, now| readers.serve(now, effects));
        }
        if let Some(since) = self.readers.wants_load() {
            let op = self.document.op();
            let request = if self.readers.loading(op, since.clone()) {
                LogOp::Follow { since }
            } else {
                LogOp::Load { since }
            };
            effects.store(op, request);
        }
    }

    pub(super) fn with_readers(
        &mut self,
        now: Millis,
        work: impl FnOnce(&mut super::readers::Readers, &Now<'_>),
    ) {
        let mut readers = core::mem::take(&mut self.readers);
        let presence = |stream: &str, since| self.presence_news(now, stream, since);
        work(&mut readers, &Now { presence: &presence, now });
        self.readers = readers;
    }

    /// Takes a reply of the store to a request on behalf of an HTTP request; gives it back if it is for another.
    pub(super) fn on_asked(
        &mut self,
        now: Millis,
        op: OpId,
        reply: Result<LogReply, LogError>,
        effects: &mut Effects,
    ) -> Option<Result<LogReply, LogError>> {
        let Some((conn, asked)) = self.asked.remove(&op) else { return Some(reply) };
        if matches!(asked, Asked::Delete) {
            self.document.pause(self.asked.values().any(|(_, asked)| matches!(asked, Asked::Delete)));
        }
        let answer = match (asked, reply) {
            (asked, Err(error)) => {
                if matches!(asked, Asked::Delete | Asked::Create { .. }) {
                    // It may be done all the same.
                    self.document.peek_again(now, effects);
                }
                Err(ApiError::from(error))
            }
            (Asked::Create { created, existed }, Ok(LogReply::Created { existed: was, tail })) => {
                let known = self.document.tail().filter(|known| known.life == Life::Live);
                // Where the log is shared an edit that was on its way may have been just as early.
                let is_known = self.config.residency.is_shared()
                    && known.is_some_and(|known| known.end.generation() >= tail.end.generation());
                if was || is_known {
                    self.document.learn(now, tail);
                } else {
                    // A delete that seemed to fail was done.
                    if known.is_some() {
                        self.document.begin_anew(Tail { life: Life::Deleted, ..tail.clone() });
                        self.end_document(now, effects);
                    }
                    self.document.begin_anew(tail);
                }
                if was { existed } else { Ok(created) }.map(|reply| self.at_end(reply))
            }
            (Asked::Delete, Ok(LogReply::Deleted { existed, tail })) => {
                let deleted = tail.life == Life::Deleted;
                self.document.begin_anew(tail);
                // One that never was has nobody to be sent away.
                if deleted {
                    self.end_document(now, effects);
                }
                if existed { Ok(Reply::empty(204)) } else { Err(ApiError::no_document()) }
            }
            (Asked::Snapshot(at), Ok(LogReply::Loaded(loaded))) => match loaded.snapshot {
                // A reader who was sent to one that was replaced meanwhile would be sent on for ever while many write.
                Some(body) if loaded.tail.snapshot >= at => Ok(frames::snapshot(body, &loaded.tail.snapshot)),
                _ => Err(ApiError::no_snapshot()),
            },
            (Asked::Keep(version), Ok(LogReply::Done(true))) => Ok(sweet::version_made(&version)),
            (Asked::Keep(_), Ok(LogReply::Done(false))) => {
                Err(ApiError::too_many_versions(self.config.limits.versions))
            }
            (Asked::Versions, Ok(LogReply::Versions(versions))) => Ok(sweet::versions(&versions)),
            (Asked::Version(_), Ok(LogReply::Version(None))) => Err(ApiError::no_version()),
            (Asked::Version(Use::State), Ok(LogReply::Version(Some(body)))) => Ok(Reply::octets(body)),
            (Asked::Version(Use::Json), Ok(LogReply::Version(Some(body)))) => self.json(&body),
            (Asked::Version(Use::Restore { client }), Ok(LogReply::Version(Some(version)))) => {
                self.view(conn, View::Restore { version, client });
                return None;
            }
            (Asked::Forget, Ok(LogReply::Done(true))) => Ok(Reply::empty(204)),
            (Asked::Forget, Ok(LogReply::Done(false))) => Err(ApiError::no_version()),
            (_, Ok(_)) => Err(ApiError::from(LogError::Corrupt)),
        };
        effects.reply(conn, Reply::from(answer));
        None
    }

    /// The document was deleted: whoever reads or edits it is told so, and everyone in it is gone.
    pub(super) fn end_document(&mut self, now: Millis, effects: &mut Effects) {
        self.refuse_waiting(&ApiError::no_document(), effects, |_| true);
        self.readers.begin_anew();
        self.readers.end(&ApiError::no_document(), effects, |_| true);
        self.close_all(now, Close::NOT_FOUND, super::DELETED, effects);
        self.presence = self.new_presence();
        self.streams.clear();
        self.end_shelves(effects);
    }

    /// Answers HTTP requests that can no longer be answered as they wish.
    pub(super) fn refuse_waiting(
        &mut self,
        error: &ApiError,
        effects: &mut Effects,
        refuses: impl Fn(&Waiting) -> bool,
    ) {
        self.waiting.retain(|waiting| {
            let refused = matches!(waiting.what, Owed::Reply(_) | Owed::View(_)) && refuses(waiting);
            if refused {
                effects.reply(waiting.conn, error.clone());
            }
            !refused
        });
    }
}

/// A number below `spread`, another one for each connection: who came together must not leave together.
fn scatter(conn: ConnId, spread: u64) -> u64 {
    let mixed = conn.0.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if spread == 0 { 0 } else { (mixed >> 32) % spread }
}
