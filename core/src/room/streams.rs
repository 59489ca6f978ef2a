//! Presence streams: the default one, which WebSocket clients share, and those that HTTP clients name.

use super::Room;
use crate::effect::{ConnId, Effects, Millis, To};
use crate::http::streams::DEFAULT_STREAM;
use crate::http::{ApiError, Reply};
use crate::presence::{Presence, PresenceError};
use crate::request::{PresenceOffset, PresenceOp};
use crate::wire;
use bytes::Bytes;
use std::sync::Arc;

/// A presence stream beside the default one.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) presence: Presence,
    pub(super) used: Millis,
}

impl Room {
    pub(super) fn presence_request(
        &mut self,
        now: Millis,
        conn: ConnId,
        stream: &str,
        what: PresenceOp,
        effects: &mut Effects,
    ) {
        if let Some(shelves) = &mut self.shelves {
            if shelves.wishes() >= self.config.limits.held {
                effects.reply(conn, ApiError::rate_limited("the document holds too many requests"));
            } else {
                shelves.request(conn, stream.to_owned(), what);
            }
            return;
        }
        let is_default = stream == DEFAULT_STREAM;
        let known = self.touch_stream(now, stream);
        let reply = match what {
            PresenceOp::Head if known => Ok(Reply::empty(200).with("cache-control", "no-store")),
            PresenceOp::Head => Err(ApiError::no_stream()),
            PresenceOp::Create { .. } if known => Ok(Reply::empty(200)),
            PresenceOp::Create { path } => {
                let mut location = format!("{path}?awareness=");
                crate::http::percent_encode(stream, &mut location);
                self.make_stream(now, stream).map(|()| Reply::empty(201).with("location", location))
            }
            PresenceOp::Delete if is_default => {
                // It is there for as long as the document; only who is in it goes, sockets aside.
                let removals = self.presence.clear_requests(now, &self.config.limits);
                self.tell_presence(removals, effects);
                return effects.reply(conn, Reply::empty(204));
            }
            PresenceOp::Delete if known => {
                self.readers.end(&ApiError::no_stream(), effects, |reader| {
                    reader.presence.as_ref().is_some_and(|(name, _)| name == stream)
                });
                self.count_versions();
                self.streams.remove(stream);
                return effects.reply(conn, Reply::empty(204));
            }
            PresenceOp::Delete => Err(ApiError::no_stream()),
            PresenceOp::Append(updates) => {
                let made = if known { Ok(()) } else { self.make_stream(now, stream) };
                made.and_then(|()| self.announce(now, stream, is_default, &updates, effects))
            }
        };
        let version = self.presence_of(stream).map_or(0, Presence::version);
        let offset = PresenceOffset { life: self.born, version };
        effects.reply(
            conn,
            Reply::from(reply.map(|reply| reply.with("stream-next-offset", offset.to_string()))),
        );
    }

    fn announce(
        &mut self,
        now: Millis,
        stream: &str,
        is_default: bool,
        updates: &[Bytes],
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        let limits = Arc::clone(&self.config.limits);
        for update in updates {
            let presence = match self.streams.get_mut(stream) {
                _ if is_default => &mut self.presence,
                Some(stream) => &mut stream.presence,
                None => return Err(ApiError::no_stream()),
            };
            let applied = presence.apply(now, None, false, update, &limits).map_err(|error| match error {
                PresenceError::TooBig => ApiError::too_large(format!("awareness: {error}")),
                PresenceError::Wire(_) | PresenceError::Json => {
                    ApiError::invalid(format!("awareness: {error}"))
                }
            })?;
            if is_default {
                self.tell_presence(applied.relay, effects);
            } else {
                self.readers.stale |= applied.relay.is_some();
            }
        }
        Ok(Reply::empty(204))
    }

    /// Whether there is a presence stream of this name; it is kept for longer then.
    pub(super) fn touch_stream(&mut self, now: Millis, stream: &str) -> bool {
        if let Some(shelves) = &mut self.shelves {
            return shelves.touch(now, stream, &self.config.limits);
        }
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.used = now;
        }
        stream == DEFAULT_STREAM || self.streams.contains_key(stream)
    }

    fn make_stream(&mut self, now: Millis, stream: &str) -> Result<(), ApiError> {
        if self.streams.len() >= self.config.limits.presence_streams {
            return Err(ApiError::rate_limited("the document has too many awareness streams"));
        }
        let presence = self.new_presence();
        self.streams.insert(stream.to_owned(), Stream { presence, used: now });
        Ok(())
    }

    /// A presence without anyone. Its versions go on behind all that were given in this room, so that a place in one
    /// that was deleted is never taken for a place in this one.
    pub(super) fn new_presence(&mut self) -> Presence {
        self.count_versions();
        Presence::starting_at(self.versions)
    }

    /// To be called before a presence stream is dropped.
    pub(super) fn count_versions(&mut self) {
        let streams = self.streams.values().map(|stream| stream.presence.version());
        self.versions = streams.chain([self.presence.version()]).fold(self.versions, u64::max) + 1;
    }

    /// Tells everyone of changes to the default presence stream.
    pub(super) fn tell_presence(&mut self, changes: Option<Bytes>, effects: &mut Effects) {
        let Some(changes) = changes else { return };
        self.readers.stale = true;
        if !self.sessions.is_empty() {
            effects.send(To::Sockets { except: None }, wire::awareness(&changes));
        }
    }

    /// What a stream has since a place, and the place behind that.
    pub(super) fn presence_news(
        &self,
        now: Millis,
        stream: &str,
        since: Option<PresenceOffset>,
    ) -> (Option<Bytes>, PresenceOffset) {
        if let Some(shelves) = &self.shelves {
            return shelves.news(now, stream, since, &self.config.limits);
        }
        let Some(presence) = self.presence_of(stream) else {
            return (None, PresenceOffset { life: self.born, version: 0 });
        };
        let end = PresenceOffset { life: self.born, version: presence.version() };
        let known = since.filter(|since| since.life == end.life && since.version <= end.version);
        (known.map_or_else(|| presence.states(), |known| presence.since(known.version)), end)
    }

    fn presence_of(&self, stream: &str) -> Option<&Presence> {
        match self.streams.get(stream) {
            _ if stream == DEFAULT_STREAM => Some(&self.presence),
            stream => stream.map(|stream| &stream.presence),
        }
    }
}
