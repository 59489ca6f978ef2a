//! A room and what stands around it: its log, and everyone who waits for it.

use super::{DocumentLog as _, Runtime};
use crate::collections::Map;
use crate::effect::{Close, ConnId, Effects, Input, Millis, OpId, To};
use crate::grip::publish::{Format, Item, bodies};
use crate::grip::{Exchange, Proxies};
use crate::host::{Host, drive};
use crate::http::Reply;
use crate::limits::Limits;
use crate::log::{Life, LogOp, LogReply, Offset};
use crate::name::DocName;
use crate::presence::last_of_each;
use crate::request::DocRequest;
use crate::room::{Room, RoomConfig};
use crate::wire::{self, Message, Messages};
use bytes::Bytes;
use core::cell::{Cell, RefCell};
use core::task::Waker;
use std::collections::VecDeque;
use std::rc::Rc;

/// Bytes that may wait for one event stream: who takes them slower than they come is sent away, and comes back.
const QUEUE_BYTES: usize = 8 << 20;

/// Milliseconds for which a room may finish what nobody waits for, and between two looks whether it has.
const FINISH_PATIENCE: u64 = 2_000;
const LOOK: u64 = 50;

/// Bytes of awareness that waits as one.
const TOGETHER_BYTES: usize = 16 << 10;

/// A room, its log, and who waits for it.
pub(super) struct Home<R: Runtime> {
    runtime: Rc<R>,
    doc: DocName,
    /// Where the document's sockets are, if anywhere.
    proxies: Option<Rc<Proxies>>,
    log: R::Log,
    config: RoomConfig,
    room: RefCell<(Room, Effects)>,
    /// Rooms that there were before: what one asked of the log, the next does not hear of.
    rooms: Cell<u64>,
    waiters: RefCell<Map<ConnId, Waiter>>,
    /// Compactions under way.
    compacting: Cell<usize>,
    /// Whether somebody waits for these.
    pub(super) is_awaited: Cell<bool>,
    outbox: RefCell<Outbox>,
    /// It finishes what nobody waits for.
    is_finishing: Cell<bool>,
    /// When it was last asked for, as a number that grows.
    pub(super) used: Cell<u64>,
}

/// What is published, in the order in which the room said it.
#[derive(Debug, Default)]
struct Outbox {
    items: Vec<Item>,
    /// How many there were, and how many of them the proxies have, or would not take.
    put: u64,
    out: u64,
    /// Somebody is at it.
    is_busy: bool,
}

impl Outbox {
    /// Has awareness wait as one with what waits last, if that is awareness too: of each client the last state is all
    /// that anyone needs, and proxies take fewer messages in a second than clients send.
    fn replace(&mut self, frame: &Bytes, except: Option<&str>, limits: &Limits) -> bool {
        let Some(Item { sender, formats, .. }) = self.items.last_mut() else { return false };
        let Some(Format::Message(waits)) = formats.first_mut().filter(|_| sender.as_deref() == except) else {
            return false;
        };
        let (Some(earlier), Some(later)) = (only_awareness(waits), only_awareness(frame)) else {
            return false;
        };
        if earlier.len() + later.len() > TOGETHER_BYTES {
            return false;
        }
        *waits = wire::awareness(&last_of_each(earlier, later, usize::MAX, limits));
        true
    }
}

/// The awareness update of a frame that has nothing else.
fn only_awareness(frame: &Bytes) -> Option<&[u8]> {
    let mut messages = Messages::new(frame);
    match (messages.next(), messages.next()) {
        (Some(Ok(Message::Awareness(update))), None) => Some(update),
        _ => None,
    }
}

/// Someone who waits for a room.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    pub(super) answer: Option<Answer>,
    /// A request of a socket that a proxy holds.
    pub(super) exchange: Option<Exchange>,
    pub(super) events: VecDeque<Bytes>,
    queued: usize,
    /// Why nothing follows.
    pub(super) over: Option<Close>,
    waker: Option<Waker>,
}

/// What a room says to a request.
#[derive(Debug)]
pub(super) enum Answer {
    Reply(Reply),
    Forward(DocName, Box<DocRequest>),
    /// The room ended it without a word.
    Closed(Close),
}

impl Waiter {
    /// The next bytes of a body; an inner none at its end.
    pub(super) fn next(&mut self) -> Option<Option<Bytes>> {
        match self.events.pop_front() {
            Some(bytes) => {
                self.queued -= bytes.len();
                Some(Some(bytes))
            }
            None => self.over.is_some().then_some(None),
        }
    }
}

impl<R: Runtime> Home<R> {
    pub(super) fn new(
        runtime: &Rc<R>,
        doc: &DocName,
        proxies: Option<Rc<Proxies>>,
        config: RoomConfig,
    ) -> Self {
        Self {
            runtime: Rc::clone(runtime),
            doc: doc.clone(),
            proxies,
            log: runtime.log(doc),
            room: RefCell::new((Room::new(config.clone()), Effects::new())),
            rooms: Cell::new(0),
            config,
            waiters: RefCell::default(),
            compacting: Cell::new(0),
            is_awaited: Cell::new(false),
            outbox: RefCell::default(),
            is_finishing: Cell::new(false),
            used: Cell::new(0),
        }
    }

    pub(super) fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Gives the room an input, and does what follows from it.
    pub(super) fn give(self: &Rc<Self>, input: Input<'_>) {
        let (room, effects) = &mut *self.room.borrow_mut();
        let mut doing = Doing { home: self, slow: Vec::new() };
        drive(&mut doing, room, effects, input);
        // Closing one may find the next.
        while let Some(conn) = doing.slow.pop() {
            doing.close(conn, Close::new(Close::TRY_AGAIN, "this connection reads too slowly"));
            drive(&mut doing, room, effects, Input::Closed { conn });
        }
        self.wake();
        self.publish();
    }

    /// Whether the room is about to do something for a connection.
    pub(super) fn owes(&self, conn: ConnId) -> bool {
        self.room.borrow().0.owes(conn)
    }

    /// When the room wants to be given a tick.
    pub(super) fn tick_at(&self) -> Option<Millis> {
        self.room.borrow().0.poll_timeout().map(|(at, _)| at)
    }

    pub(super) fn is_compacting(&self) -> bool {
        self.compacting.get() > 0
    }

    /// Makes place for someone. Who comes alone finds a new room: what the last one knew of the document may be of a life
    /// that is over, and it would hold that against its guests.
    pub(super) fn expect(&self, conn: ConnId) {
        let mut waiters = self.waiters.borrow_mut();
        let (room, _) = &mut *self.room.borrow_mut();
        if waiters.is_empty() && room.connections() == 0 && room.is_idle() {
            *room = Room::new(self.config.clone());
            self.rooms.set(self.rooms.get() + 1);
        }
        waiters.insert(conn, Waiter::default());
    }

    /// Looks at what there is for someone, who is woken when that has changed.
    pub(super) fn look<T>(
        &self,
        conn: ConnId,
        waker: &Waker,
        take: impl FnOnce(&mut Waiter) -> Option<T>,
    ) -> Option<T> {
        let mut waiters = self.waiters.borrow_mut();
        let waiter = waiters.get_or_insert_with(conn, Waiter::default);
        let taken = take(waiter);
        if taken.is_none() && !waiter.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            waiter.waker = Some(waker.clone());
        }
        taken
    }

    /// Changes what there is for someone, unless that one is gone.
    pub(super) fn with(&self, conn: ConnId, change: impl FnOnce(&mut Waiter)) {
        if let Some(waiter) = self.waiters.borrow_mut().get_mut(&conn) {
            change(waiter);
        }
    }

    /// Lets time pass until the room has done what it put off, for [`FINISH_PATIENCE`] at most.
    pub(super) fn finish(self: &Rc<Self>) {
        if self.room.borrow().0.is_idle() || self.is_finishing.replace(true) {
            return;
        }
        let home = Rc::clone(self);
        self.runtime.spawn(async move {
            let until = home.runtime.now().after(FINISH_PATIENCE);
            while !home.room.borrow().0.is_idle() && home.runtime.now() < until {
                let now = home.runtime.now();
                let sleep = home.tick_at().map_or(LOOK, |at| at.since(now).clamp(1, LOOK));
                home.runtime.sleep(sleep).await;
                if home.tick_at().is_some_and(|at| at <= home.runtime.now()) {
                    home.give(Input::Tick);
                }
            }
            home.is_finishing.set(false);
        });
    }

    /// Someone waits no more; whether the room does not know it yet.
    pub(super) fn forget(&self, conn: ConnId) -> bool {
        self.waiters.borrow_mut().remove(&conn).is_some_and(|waiter| waiter.over.is_none())
    }

    /// Has everyone look whether there is something for them, and when the room wants its next tick.
    fn wake(&self) {
        let wakers: Vec<_> =
            self.waiters.borrow_mut().values_mut().filter_map(|it| it.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Puts a frame where all sockets of the document get it, wherever they are.
    fn post(&self, frame: Bytes, except: Option<ConnId>) {
        if self.proxies.is_none() {
            return;
        }
        let waiters = self.waiters.borrow();
        let except = except.and_then(|conn| waiters.get(&conn)?.exchange.as_ref());
        let except = except.map(Exchange::connection);
        if !self.outbox.borrow_mut().replace(&frame, except, &self.config.limits) {
            self.put(Item::news(&self.doc, frame, except));
        }
    }

    /// Has everyone elsewhere look at the log: sockets, by asking them who is there, and who is held.
    fn tell_all(&self) {
        self.put(Item::news(&self.doc, wire::query_awareness(), None));
    }

    fn put(&self, item: Item) {
        let mut outbox = self.outbox.borrow_mut();
        outbox.items.push(item);
        outbox.put += 1;
    }

    /// Looks at the log in `milliseconds`, and wakes who is held if there is something behind `place` then.
    pub(super) fn look_again(self: &Rc<Self>, place: Offset, milliseconds: u64) {
        let home = Rc::clone(self);
        self.runtime.spawn(async move {
            home.runtime.sleep(milliseconds).await;
            let reply = home.log.run(OpId(0), LogOp::Load { since: place }).await;
            if let Ok(LogReply::Loaded(loaded)) = reply
                && (loaded.tail.life != Life::Live || loaded.snapshot.is_some() || !loaded.updates.is_empty())
            {
                home.put(Item::wake(&home.doc));
                home.publish();
            }
        });
    }

    /// How much was to be published so far, and how much of that is.
    pub(super) fn published(&self) -> (u64, u64) {
        let outbox = self.outbox.borrow();
        (outbox.put, outbox.out)
    }

    /// Publishes what is to be, one after the other: proxies send it in the order in which it comes.
    fn publish(self: &Rc<Self>) {
        let Some(proxies) = self.proxies.clone() else { return };
        let mut outbox = self.outbox.borrow_mut();
        if outbox.items.is_empty() || core::mem::replace(&mut outbox.is_busy, true) {
            return;
        }
        let home = Rc::clone(self);
        self.runtime.spawn(async move {
            loop {
                let items = core::mem::take(&mut home.outbox.borrow_mut().items);
                if items.is_empty() {
                    break;
                }
                for body in bodies(&items) {
                    for proxy in proxies.iter() {
                        let authorization = proxy.authorization(home.runtime.now());
                        home.runtime
                            .publish(proxy.publish_url(), authorization.as_deref(), body.clone())
                            .await;
                    }
                }
                home.outbox.borrow_mut().out += items.len() as u64;
                home.wake();
            }
            home.outbox.borrow_mut().is_busy = false;
        });
    }

    fn run(self: &Rc<Self>, op: OpId, request: LogOp) {
        let (home, room) = (Rc::clone(self), self.rooms.get());
        let compacts = matches!(request, LogOp::Compact { .. });
        let deletes = matches!(request, LogOp::Delete);
        self.compacting.set(self.compacting.get() + usize::from(compacts));
        // Each room counts its own from the start, and the log takes a number that it knows for a retry.
        let unique = OpId(room << 32 | op.0);
        self.runtime.spawn(async move {
            let reply = home.log.run(unique, request).await;
            home.compacting.set(home.compacting.get() - usize::from(compacts));
            if deletes && reply.is_ok() && home.proxies.is_some() {
                home.tell_all();
            }
            if home.rooms.get() == room {
                home.give(Input::Stored { op, reply });
            } else {
                home.wake();
            }
        });
    }
}

/// What a room's effects do.
struct Doing<'a, R: Runtime> {
    home: &'a Rc<Home<R>>,
    /// Those whose queue is full.
    slow: Vec<ConnId>,
}

impl<R: Runtime> Host for Doing<'_, R> {
    fn now(&self) -> Millis {
        self.home.runtime.now()
    }

    fn store(&mut self, op: OpId, request: LogOp) {
        self.home.run(op, request);
    }

    fn send(&mut self, to: To, frame: Bytes) {
        match to {
            To::Conn(conn) => {
                let mut is_slow = false;
                self.home.with(conn, |waiter| {
                    if let Some(exchange) = &mut waiter.exchange {
                        return exchange.send(&frame);
                    }
                    // A single piece may exceed it: a document's first answer has to come through.
                    is_slow = waiter.queued > QUEUE_BYTES;
                    if !is_slow {
                        waiter.queued += frame.len();
                        waiter.events.push_back(frame);
                    }
                });
                if is_slow {
                    self.slow.push(conn);
                }
            }
            To::Sockets { except } => self.home.post(frame, except),
        }
    }

    fn park(&mut self, conn: ConnId, state: Bytes) {
        self.home.with(conn, |waiter| {
            if let Some(exchange) = &mut waiter.exchange {
                exchange.park(state);
            }
        });
    }

    fn reply(&mut self, conn: ConnId, reply: Reply) {
        self.home.with(conn, |waiter| {
            let streams = reply.streams;
            waiter.answer = Some(Answer::Reply(reply));
            if !streams {
                waiter.over = Some(Close::new(Close::NORMAL, ""));
            }
        });
    }

    fn forward(&mut self, conn: ConnId, doc: DocName, request: DocRequest) {
        self.home.with(conn, |waiter| {
            waiter.answer = Some(Answer::Forward(doc, Box::new(request)));
            waiter.over = Some(Close::new(Close::NORMAL, ""));
        });
    }

    fn close(&mut self, conn: ConnId, reason: Close) {
        self.home.with(conn, |waiter| {
            match &mut waiter.exchange {
                Some(exchange) => exchange.close(reason.clone()),
                None => drop(waiter.answer.get_or_insert_with(|| Answer::Closed(reason.clone()))),
            }
            waiter.over = Some(reason);
        });
    }
}
