//! What is owed to connections and requests, and must wait for the store or for the document.

use super::Room;
use super::views::View;
use crate::effect::{Close, ConnId, Effects, Millis, To};
use crate::http::{ApiError, Reply};
use crate::session::Step1;
use crate::update::Summary;
use crate::wire;
use bytes::Bytes;

/// Something that is owed to a connection once the store has what it covers.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) conn: ConnId,
    /// Accepted updates that must be stored first.
    pub(super) after: u64,
    /// The round of loads that it must not be older than, see [`crate::document::Document::replica`].
    pub(super) round: u64,
    pub(super) what: Owed,
}

#[derive(Debug)]
pub(super) enum Owed {
    /// Our step 1.
    Question,
    /// Our step 2, to this state vector.
    Answer(Bytes),
    /// Whether what a reader answered to our step 1 is an edit of its own.
    Verdict(Summary),
    /// y-sweet's 102.
    Echo(Bytes),
    /// The answer to an HTTP request, with the log's end.
    Reply(Reply),
    /// The answer to an HTTP request for which the whole document is needed.
    View(View),
}

impl Room {
    /// The client has sent what we missed when we asked.
    pub(super) fn answered(&mut self, now: Millis, conn: ConnId, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if session.step_1 != Step1::Sent {
            return;
        }
        session.step_1 = Step1::Answered;
        self.unparked.push(conn);
        for payload in core::mem::take(&mut session.held_echoes) {
            self.owe_echo(now, conn, payload, effects);
        }
    }

    pub(super) fn owe_echo(&mut self, now: Millis, conn: ConnId, payload: Bytes, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if session.has_answered() {
            let after = session.last_accepted;
            self.owe(now, conn, after, Owed::Echo(payload), effects);
            return;
        }
        session.held_echoes.push(payload);
        self.unparked.push(conn);
        if session.held_echoes.len() > self.config.limits.waiting {
            let reason = "too many acknowledgements were asked for before a step 1 was answered";
            self.close(now, conn, Close::new(Close::TRY_AGAIN, reason), effects);
        }
    }

    pub(super) fn owe(&mut self, now: Millis, conn: ConnId, after: u64, what: Owed, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.waiting += 1;
        self.unparked.push(conn);
        if session.waiting > self.config.limits.waiting {
            let reason = Close::new(Close::TRY_AGAIN, "too many questions wait for the store");
            self.close(now, conn, reason, effects);
            return;
        }
        self.wait(conn, after, what);
    }

    pub(super) fn wait(&mut self, conn: ConnId, after: u64, what: Owed) {
        let round = self.document.next_load();
        self.waiting.push(Waiting { conn, after, round, what });
    }

    /// Gives what is owed and can be given by now.
    pub(super) fn answer(&mut self, now: Millis, effects: &mut Effects) {
        if self.waiting.is_empty() {
            return;
        }
        let stored = self.document.stored();
        let mut failed = Vec::new();
        let (mut shown, mut judged) = (Vec::new(), Vec::new());
        for waiting in core::mem::take(&mut self.waiting) {
            let ready = waiting.after <= stored;
            let asks =
                matches!(waiting.what, Owed::Question | Owed::Answer(_) | Owed::Verdict(_) | Owed::View(_));
            let replica =
                if ready && asks { self.document.replica(now, waiting.round, effects) } else { None };
            let frame = match (&waiting.what, replica) {
                (Owed::Echo(payload), _) if ready => Ok(wire::echo(payload)),
                (Owed::Question, Some(replica)) => replica.state_vector().map(|own| wire::step_1(&own)),
                (Owed::Answer(vector), Some(replica)) => {
                    replica.diff(vector).map(|update| wire::step_2(&update))
                }
                (Owed::Verdict(summary), Some(replica)) => match replica.has(summary) {
                    Ok(has) => {
                        judged.push((waiting.conn, has));
                        continue;
                    }
                    Err(error) => Err(error),
                },
                (Owed::View(_), Some(replica)) => match replica.diff(&[0]) {
                    Ok(state) => {
                        shown.push((waiting, state));
                        continue;
                    }
                    Err(error) => Err(error),
                },
                (Owed::Reply(reply), _) if ready => {
                    let end = self.document.tail().map(|tail| tail.end.clone()).unwrap_or_default();
                    effects.reply(waiting.conn, reply.clone().with("stream-next-offset", end.to_string()));
                    continue;
                }
                (Owed::Question | Owed::Answer(_) | Owed::Verdict(_) | Owed::View(_), None)
                | (Owed::Echo(_) | Owed::Reply(_), _) => {
                    self.waiting.push(waiting);
                    continue;
                }
            };
            match frame {
                Ok(frame) => {
                    effects.send(To::Conn(waiting.conn), frame);
                    self.follow(now, waiting.conn, &waiting.what);
                }
                Err(error) => failed.push((waiting.conn, error)),
            }
            if let Some(session) = self.sessions.get_mut(&waiting.conn) {
                session.waiting -= 1;
                if matches!(waiting.what, Owed::Question) {
                    session.step_1 = Step1::Sent;
                }
                self.unparked.push(waiting.conn);
            }
        }
        for (conn, has) in judged {
            if let Some(session) = self.sessions.get_mut(&conn) {
                session.waiting -= 1;
            }
            if !has {
                self.refuse_edit(conn, effects);
            }
        }
        for (conn, error) in failed {
            let reason = format!("the document cannot be read: {error}");
            if self.sessions.contains_key(&conn) {
                self.close(now, conn, Close::new(Close::INTERNAL, reason), effects);
            } else {
                effects.reply(conn, ApiError::internal(reason));
            }
        }
        for (waiting, state) in shown {
            if let Owed::View(view) = waiting.what {
                self.show(now, waiting.conn, view, state, effects);
            }
        }
    }
}
