//! What clients begin, and what comes between them and the instances: answers and frames that are late, and connections
//! that are cut.

use super::World;
use super::client::{At, Client, Heard, Over, Socket};
use crate::lowering::Lowering;
use yonder_core::Input;
use yonder_core::auth::{Grant, Permission};
use yonder_core::http::Reply;
use yonder_core::request::{DocRequest, Live};
use yonder_core::wire;

impl<L: Lowering> World<L> {
    /// A client begins something.
    pub(super) fn act(&mut self) -> Result<(), String> {
        let index = self.rng.index(self.clients.len());
        let instance = self.rng.index(self.instances.len());
        let live = if self.rng.chance(600) { Live::LongPoll } else { Live::No };
        self.act_as(index, instance, live)
    }

    pub(super) fn act_as(&mut self, index: usize, instance: usize, live: Live) -> Result<(), String> {
        let conn = self.instances[instance].conn();
        let at = Some((instance, conn));
        let client = &mut self.clients[index];
        let request = match &mut client.over {
            Over::Http(http) if http.make && http.post.is_none() => {
                http.post = at.map(|at| (at, Vec::new()));
                let (created, existed) = (Reply::empty(201), Ok(Reply::empty(200)));
                DocRequest::Create { content: Vec::new(), created, existed }
            }
            Over::Http(http) if !client.unsaved.is_empty() && http.post.is_none() => {
                let edits = client.unsaved.clone();
                let updates = edits.iter().map(|edit| self.edits[*edit].edit.bytes.clone()).collect();
                http.post = at.map(|at| (at, edits));
                DocRequest::Append { updates, reply: Reply::empty(204) }
            }
            Over::Http(http) if http.read.is_none() => {
                http.read = at;
                Client::read_request(http, live)
            }
            Over::Http(_) => return Ok(()),
            Over::Socket(socket) if socket.at.is_none() => {
                *socket = Socket { at, ..Socket::default() };
                socket.sent.push_back(wire::step_1(&[0]));
                let grant = Grant { permission: Permission::Write, expires: None };
                return self.give(instance, Input::Open { conn, grant });
            }
            Over::Socket(socket) => {
                if socket.synced && socket.asked.is_empty() && !client.unsaved.is_empty() {
                    socket.ask(&client.unsaved);
                }
                return Ok(());
            }
        };
        self.say(|| format!("client {index} asks {instance}: {request:?}"));
        self.give(instance, Input::Request { conn, request, expires: None })
    }

    /// Something arrives: an answer, or a frame in either direction.
    pub(super) fn deliver(&mut self) -> Result<(), String> {
        if !self.answers.is_empty() && self.rng.chance(500) {
            let index = self.rng.index(self.answers.len());
            let Some((at, reply)) = self.answers.swap_remove_back(index) else { return Ok(()) };
            return self.answer(at, &reply);
        }
        let index = self.rng.index(self.clients.len());
        if self.rng.chance(500) { self.hear_frame(index).map(drop) } else { self.pass(index).map(drop) }
    }

    pub(super) fn answer_next(&mut self) -> Result<bool, String> {
        let Some((at, reply)) = self.answers.pop_front() else { return Ok(false) };
        self.answer(at, &reply).map(|()| true)
    }

    fn answer(&mut self, at: At, reply: &Reply) -> Result<(), String> {
        if self.deleting == Some(at) {
            self.say(|| format!("the deletion is answered with {reply:?}"));
            self.deleted_at = self.now();
            self.deleting = None;
            return Ok(());
        }
        for index in 0..self.clients.len() {
            let Over::Http(http) = &mut self.clients[index].over else { continue };
            let heard = if http.read == Some(at) {
                http.read = None;
                self.clients[index].hear_read(reply)?
            } else if http.post.as_ref().is_some_and(|(post, _)| *post == at) {
                let Some((_, edits)) = http.post.take() else { continue };
                http.make = http.make && !matches!(reply.status, 200 | 201);
                self.clients[index].hear_post(reply, edits)?
            } else {
                continue;
            };
            self.say(|| format!("client {index} hears {} {:?}", reply.status, reply.headers));
            return self.heard(index, heard);
        }
        Ok(())
    }

    /// The next frame from the server; whether there was one.
    pub(super) fn hear_frame(&mut self, index: usize) -> Result<bool, String> {
        let Over::Socket(socket) = &mut self.clients[index].over else { return Ok(false) };
        let Some(frame) = socket.coming.pop_front() else { return Ok(false) };
        let edits = &self.edits;
        let heard = self.clients[index].hear_frame(&frame, |edit| edits[edit].edit.bytes.clone())?;
        self.heard(index, heard).map(|()| true)
    }

    /// The next frame to the server; whether there was one.
    pub(super) fn pass(&mut self, index: usize) -> Result<bool, String> {
        let Over::Socket(socket) = &mut self.clients[index].over else { return Ok(false) };
        let (Some((instance, conn)), Some(frame)) = (socket.at, socket.sent.pop_front()) else {
            return Ok(false);
        };
        self.give(instance, Input::Frame { conn, bytes: frame }).map(|()| true)
    }

    fn heard(&mut self, index: usize, heard: Heard) -> Result<(), String> {
        match heard {
            Heard::Nothing => Ok(()),
            Heard::Gone => {
                // A document that was never made is not yet there for everyone.
                let made = matches!(&self.clients[index].over, Over::Http(http) if http.make);
                if self.deletions > 0 && !made {
                    self.clients[index].begin_anew();
                } else if let Over::Http(http) = &mut self.clients[index].over {
                    http.make = true;
                } else if let Over::Socket(socket) = &mut self.clients[index].over {
                    socket.coming.clear();
                }
                Ok(())
            }
            Heard::Saved(edits) => {
                for number in edits {
                    let made = &mut self.edits[number];
                    if !self.stored.contains(&made.edit.bytes) {
                        return Err(format!("I1: edit {number} is acknowledged, and no append of it was"));
                    }
                    made.saved = true;
                    self.counts.acknowledged += 1;
                }
                if self.rng.chance(30) { self.look() } else { Ok(()) }
            }
        }
    }

    /// A client is cut off from whatever it was doing.
    pub(super) fn hang_up(&mut self) {
        let index = self.rng.index(self.clients.len());
        let mut ended = Vec::new();
        match &mut self.clients[index].over {
            Over::Http(http) => {
                ended.extend(http.read.take());
                ended.extend(http.post.take().map(|(at, _)| at));
            }
            Over::Socket(socket) => ended.extend(std::mem::take(socket).at),
        }
        for (instance, conn) in ended {
            self.answers.retain(|(at, _)| *at != (instance, conn));
            // A crash later no one misses it.
            let _ = self.give(instance, Input::Closed { conn });
        }
    }
}
