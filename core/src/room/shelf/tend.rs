//! When a value is read and written.

use super::{Change, Doing, PARTS, Said};
use crate::effect::{Effects, Millis, OpId, To};
use crate::http::ApiError;
use crate::log::{Life, LogError, LogOp, LogReply, PresencePart};
use crate::presence::Kept;
use crate::room::Room;
use crate::wire;
use std::sync::Arc;

/// Milliseconds until a request to the store that failed is tried again: the first time, and at most.
const RETRY: (u64, u64) = (100, 2_000);
/// Milliseconds until it is looked at again whether another, who was first, has written.
const TURN: u64 = 25;
/// The round of a wish that was put off.
const LATER: u64 = u64::MAX;

impl Room {
    /// The value that a reply of the store is about.
    pub(in crate::room) fn awaits_presence(&self, op: OpId) -> Option<PresencePart> {
        let shelves = self.shelves.as_ref()?;
        let awaits =
            |part: &PresencePart| shelves.of(*part).on_its_way.as_ref().is_some_and(|(it, _)| *it == op);
        PARTS.into_iter().find(awaits)
    }

    pub(in crate::room) fn presence_stored(
        &mut self,
        now: Millis,
        part: PresencePart,
        reply: Result<LogReply, LogError>,
        effects: &mut Effects,
    ) {
        let Some(shelves) = &mut self.shelves else { return };
        let shelf = shelves.of_mut(part);
        let Some((_, doing)) = shelf.on_its_way.take() else { return };
        let (change, error) = match (doing, reply) {
            (Doing::Read, Ok(LogReply::Presence(value))) => {
                (shelf.failures, shelf.failing_since) = (0, None);
                shelf.unread = Some(value);
                return;
            }
            (Doing::Write(change), Ok(LogReply::Done(false))) => {
                // The others wait for us then, whether or not there is something left to be written.
                shelf.has_turn = true;
                shelf.rests_until = Some(now.after(TURN));
                return shelf.again(now, *change);
            }
            (Doing::Write(change), Ok(LogReply::Done(true))) => {
                shelf.has_turn = false;
                (shelf.failures, shelf.failing_since) = (0, None);
                return self.presence_written(now, part, *change, effects);
            }
            (Doing::Read, Ok(_)) => (None, LogError::Corrupt),
            (Doing::Read, Err(error)) => (None, error),
            (Doing::Write(change), Ok(_)) => (Some(change), LogError::Corrupt),
            (Doing::Write(change), Err(error)) => (Some(change), error),
        };
        if let Some(change) = change {
            // Perhaps it was written.
            shelf.again(now, *change);
        }
        let since = *shelf.failing_since.get_or_insert(now);
        if error == LogError::Unavailable && now.since(since) < self.config.limits.store_patience {
            let rest = (RETRY.0 << shelf.failures.min(10)).min(RETRY.1);
            shelf.failures += 1;
            shelf.rests_until = Some(now.after(rest));
        } else {
            self.presence_failed(now, part, error, effects);
        }
    }

    /// The store does not do its part. Sockets are told all the same; what was asked over HTTP is answered so.
    pub(in crate::room) fn presence_failed(
        &mut self,
        now: Millis,
        part: PresencePart,
        error: LogError,
        effects: &mut Effects,
    ) {
        let limits = Arc::clone(&self.config.limits);
        let Some(shelves) = &mut self.shelves else { return };
        let shelf = shelves.of_mut(part);
        // What moved is stored when it moves again.
        (shelf.failing_since, shelf.due, shelf.put_off, shelf.has_turn) = (None, None, false, false);
        shelf.rests_until = Some(now.after(RETRY.1));
        shelf.greetings.clear();
        shelf.wanted = shelf.ended;
        let wishes = core::mem::take(&mut shelf.wishes);
        let kept = shelf.kept.clone().unwrap_or_default();
        let mut change = Change { kept: kept.clone(), wishes, said: Said::default() };
        shelves.judge(now, part, &mut change, &|_| None, &limits);
        shelves.left.clear();
        change.kept = kept;
        for (_, _, reply) in &mut change.said.replies {
            if reply.is_ok() {
                *reply = Err(ApiError::from(error));
            }
        }
        self.say_presence(part, change, effects);
        for asking in self.asking.extract_if(.., |asking| asking.looks_at(part)).collect::<Vec<_>>() {
            effects.reply(asking.conn, ApiError::from(error));
        }
    }

    /// Goes on with everything that presence needs: to be called after every input.
    pub(in crate::room) fn tend_presence(&mut self, now: Millis, effects: &mut Effects) {
        if self.shelves.is_none() {
            return;
        }
        for part in PARTS {
            self.digest_presence(now, part, effects);
        }
        self.settle_asking(now, effects);
        for part in PARTS {
            self.read_presence(now, part, effects);
        }
    }

    /// Takes a value that was read, once it is known of which generation the document is.
    fn digest_presence(&mut self, now: Millis, part: PresencePart, effects: &mut Effects) {
        let limits = Arc::clone(&self.config.limits);
        let Some(tail) = self.document.tail() else { return };
        let (generation, is_deleted) = (tail.end.generation(), tail.life == Life::Deleted);
        let Some(shelves) = &mut self.shelves else { return };
        let shelf = shelves.of_mut(part);
        if shelf.kept.as_ref().is_some_and(|kept| kept.generation != generation) {
            shelf.kept = None;
        }
        let Some(value) = shelf.unread.take() else { return };
        let before = shelf.kept.take();
        let kept = Kept::read(value.as_ref(), generation, now, before.as_ref(), &limits);
        let is_news = before.as_ref().is_none_or(|before| before.places() != kept.places());
        shelf.kept = Some(kept.clone());
        shelf.ended = shelf.begun;
        shelf.look_at = None;
        shelf.has_turn &= !is_deleted;
        shelf.interval = limits.reread.next(shelf.interval, is_news, &mut shelf.found);
        self.readers.stale |= is_news;
        match part {
            PresencePart::Default => self.tell_sessions(now, before.as_ref(), effects),
            PresencePart::Named => {
                for stream in before.iter().flat_map(|before| before.streams.keys()) {
                    if !kept.streams.contains_key(stream) {
                        self.end_stream(stream, effects);
                    }
                }
            }
        }
        self.readers.looked(part, limits.reread.reads, now, effects);
        if !is_deleted {
            self.judge_wishes(now, part, kept, effects);
        }
    }

    /// Changes a value that was just read by all who waited for that, and writes it.
    fn judge_wishes(&mut self, now: Millis, part: PresencePart, kept: Kept, effects: &mut Effects) {
        let limits = Arc::clone(&self.config.limits);
        let (watched, has_sockets) = (self.is_watched(part), self.has_sockets());
        let Some(shelves) = &mut self.shelves else { return };
        let shelf = shelves.of_mut(part);
        let (is_due, has_turn) = (shelf.due.is_some_and(|at| at <= now), shelf.has_turn);
        let ended = shelf.ended;
        let (wishes, rest) =
            core::mem::take(&mut shelf.wishes).into_iter().partition(|wanted| wanted.round <= ended);
        shelf.wishes = rest;
        let expires = kept.next_expiry(&limits).is_some_and(|at| at <= now);
        let mut change = Change { kept, wishes, said: Said::default() };
        let must = is_due || has_turn || watched && expires;
        if change.wishes.is_empty() && !must {
            return;
        }
        let was_put_off = shelf.put_off;
        let shown = |conn| self.sessions.get(&conn).map(|session| session.shown);
        let is_changed = shelves.judge(now, part, &mut change, &shown, &limits) || has_turn;
        let shelf = shelves.of_mut(part);
        let (written, may) = (change.kept.written, change.kept.written.after(limits.presence_pause));
        let may_wait = !was_put_off && !has_turn && !change.wishes.iter().any(|wanted| wanted.put_off);
        if is_changed && may_wait && !change.said.urgent && written <= now && now < may {
            // It moved, and something did a moment ago.
            (shelf.due, shelf.put_off) = (Some(may), true);
            change.wishes.iter_mut().for_each(|wanted| (wanted.put_off, wanted.round) = (true, LATER));
            shelf.wishes.splice(..0, change.wishes);
            if let Some(relay) =
                change.said.relay.finish().filter(|_| part == PresencePart::Default && has_sockets)
            {
                effects.send(To::Sockets { except: None }, wire::awareness(&relay));
            }
            return;
        }
        if is_due || !change.said.moved.is_empty() {
            shelf.due = None;
            // What was put off until then, and came too late for the read that this was judged by.
            let round = shelf.begun + 1;
            let later = shelf.wishes.iter_mut().filter(|wanted| wanted.round == LATER);
            later.for_each(|wanted| wanted.round = round);
        }
        shelf.put_off = false;
        if !is_changed {
            self.presence_written(now, part, change, effects);
            return;
        }
        change.kept.written = now;
        let state = change.kept.encode();
        let op = self.document.op();
        shelf.on_its_way = Some((op, Doing::Write(Box::new(change))));
        effects.store(op, LogOp::WritePresence { part, state });
    }

    /// Whether somebody waits for something to happen to a value.
    pub(super) fn is_watched(&self, part: PresencePart) -> bool {
        self.readers.watches(part) || part == PresencePart::Default && !self.sessions.is_empty()
    }

    /// Has a value read if somebody needs it.
    fn read_presence(&mut self, now: Millis, part: PresencePart, effects: &mut Effects) {
        let watched = self.is_watched(part);
        let Some(shelves) = &mut self.shelves else { return };
        let first = self.config.limits.reread.first;
        let shelf = shelves.of_mut(part);
        if !shelf.is_busy() {
            if watched {
                shelf.interval = shelf.interval.max(first);
                shelf.look_at.get_or_insert(now.after(shelf.interval));
            } else {
                (shelf.look_at, shelf.interval) = (None, first);
            }
            if shelf.due.is_some_and(|at| at <= now) {
                let round = shelf.begun + 1;
                shelf.wishes.iter_mut().for_each(|wanted| wanted.round = wanted.round.min(round));
            }
        }
        if self.presence_tick(part).is_some_and(|at| at <= now) {
            let op = self.document.op();
            if let Some(shelves) = &mut self.shelves {
                let shelf = shelves.of_mut(part);
                (shelf.begun, shelf.rests_until) = (shelf.begun + 1, None);
                shelf.on_its_way = Some((op, Doing::Read));
            }
            effects.store(op, LogOp::ReadPresence(part));
        }
        // What nobody else asks for: a connection that closed before it had a place.
        let waits = self.shelves.as_ref().is_some_and(|shelves| shelves.of(part).waits());
        if waits && self.document.tail().is_none() && self.readers.load.is_none() {
            self.document.peek(now, effects);
        }
    }

    /// When a value is to be read.
    fn presence_tick(&self, part: PresencePart) -> Option<Millis> {
        let shelf = self.shelves.as_ref()?.of(part);
        if shelf.is_busy() {
            return None;
        }
        let waits = shelf.wanted > shelf.ended
            || shelf.wishes.iter().any(|wanted| wanted.round != LATER)
            || !shelf.greetings.is_empty()
            || shelf.has_turn;
        let expiry = || shelf.kept.as_ref().and_then(|kept| kept.next_expiry(&self.config.limits));
        let expires = if self.is_watched(part) { expiry() } else { None };
        let at = if waits { Some(Millis(0)) } else { None };
        let at = [at, shelf.due, shelf.look_at, expires].into_iter().flatten().min()?;
        Some(shelf.rests_until.map_or(at, |rest| at.max(rest)))
    }

    /// When presence has something to do.
    pub(in crate::room) fn next_presence_tick(&self) -> Option<Millis> {
        PARTS.into_iter().filter_map(|part| self.presence_tick(part)).min()
    }
}
