//! The object's WebSockets, which outlive it: while it sleeps the platform holds them, each with its number as a tag and
//! its session's parked form beside it.

use crate::web;
use bytes::Bytes;
use wasm_bindgen::{JsCast as _, JsValue};
use worker::js_sys::{ArrayBuffer, Reflect, Uint8Array};
use worker::worker_sys::DurableObjectState;
use worker::worker_sys::ext::WebSocketExt as _;
use worker::{console_log, web_sys};
use yonder_core::collections::Map;
use yonder_core::{Close, ConnId, To};

pub(super) struct Sockets {
    list: Map<ConnId, Socket>,
    /// Those whose parked form has changed since the last event.
    unparked: Vec<ConnId>,
    next: u64,
}

struct Socket {
    socket: web_sys::WebSocket,
    /// Frames that were sent before the platform has it; none once it has.
    early: Option<Vec<Bytes>>,
    /// What is beside it, and what should be.
    parked: Option<Bytes>,
    state: Option<Bytes>,
}

/// What was parked beside a socket.
pub(super) struct Parked {
    pub(super) conn: ConnId,
    pub(super) state: Bytes,
    /// Whether it is still open.
    pub(super) is_open: bool,
}

impl Socket {
    /// Its session is over: a later instance that hears of it must not resume it.
    fn unpark(&self) {
        let _ = self.socket.serialize_attachment(JsValue::NULL);
    }

    fn send(&self, frame: &[u8]) {
        self.send_buffer(&Uint8Array::from(frame).buffer());
    }

    fn send_buffer(&self, buffer: &ArrayBuffer) {
        // One that cannot be sent to is about to be reported as closed.
        let _ = self.socket.send_with_array_buffer(buffer);
    }
}

impl Sockets {
    /// Those that an earlier instance of the object left, and `about`, of which the platform has something to tell: it
    /// is perhaps no longer among them.
    pub(super) fn resume(
        object: &DurableObjectState,
        about: Option<&web_sys::WebSocket>,
    ) -> Result<(Self, Vec<Parked>), JsValue> {
        // No number that an earlier instance gave: a socket of it that the platform no longer lists may still be heard of.
        let mut sockets = Self { list: Map::new(), unparked: Vec::new(), next: web::now().0 << 10 };
        let mut sessions = Vec::new();
        for socket in object.get_websockets()?.into_iter().chain(about.cloned()) {
            let Some(conn) = conn(object, &socket).filter(|conn| !sockets.list.contains_key(conn)) else {
                continue;
            };
            sockets.next = sockets.next.max(conn.0 + 1);
            let state =
                socket.deserialize_attachment().ok().and_then(|value| value.dyn_into::<Uint8Array>().ok());
            let is_open = socket.ready_state() == web_sys::WebSocket::OPEN;
            // One that the room has ended has none.
            if state.is_none() && !is_open {
                continue;
            }
            remember(&socket, conn);
            // None is no session's form, and ends it.
            let state = Bytes::from(state.map(|bytes| bytes.to_vec()).unwrap_or_default());
            sockets
                .list
                .insert(conn, Socket { socket, early: None, parked: Some(state.clone()), state: None });
            sessions.push(Parked { conn, state, is_open });
        }
        Ok((sockets, sessions))
    }

    /// A number that no connection has had.
    pub(super) fn number(&mut self) -> ConnId {
        let conn = ConnId(self.next);
        self.next += 1;
        conn
    }

    /// Takes a socket in, which the room has yet to see: what is sent to it waits for [`Sockets::accept`].
    pub(super) fn expect(&mut self, socket: web_sys::WebSocket) -> ConnId {
        let conn = self.number();
        self.list.insert(conn, Socket { socket, early: Some(Vec::new()), parked: None, state: None });
        conn
    }

    /// Hands a socket to the platform, unless the room has ended it.
    pub(super) fn accept(&mut self, object: &DurableObjectState, conn: ConnId) -> Result<(), JsValue> {
        let Some(socket) = self.list.get_mut(&conn) else { return Ok(()) };
        let tags = vec![JsValue::from_str(&conn.0.to_string())];
        if let Err(error) = object.accept_websocket_with_tags(&socket.socket, tags) {
            self.list.remove(&conn);
            return Err(error);
        }
        remember(&socket.socket, conn);
        for frame in socket.early.take().into_iter().flatten() {
            socket.send(&frame);
        }
        Ok(())
    }

    /// Sends a frame to those who are meant.
    pub(super) fn send(&mut self, to: To, frame: &Bytes) {
        // The platform sends it later and does not copy it, so that it must not be a view of our memory.
        let mut buffer = None;
        let mut send = |socket: &mut Socket| match &mut socket.early {
            Some(early) => early.push(frame.clone()),
            None => socket.send_buffer(buffer.get_or_insert_with(|| Uint8Array::from(&**frame).buffer())),
        };
        match to {
            To::Conn(conn) => {
                if let Some(socket) = self.list.get_mut(&conn) {
                    send(socket);
                }
            }
            To::Sockets { except } => {
                self.list
                    .iter_mut()
                    .filter(|(conn, _)| Some(**conn) != except)
                    .for_each(|(_, socket)| send(socket));
            }
        }
    }

    /// Notes what is to be beside a socket when this event is over.
    pub(super) fn park(&mut self, conn: ConnId, state: Bytes) {
        if let Some(socket) = self.list.get_mut(&conn) {
            socket.state = Some(state);
            self.unparked.push(conn);
        }
    }

    /// Writes what has changed. An edit that was stored at once has changed nothing.
    pub(super) fn settle(&mut self) {
        for conn in self.unparked.drain(..) {
            let Some(socket) = self.list.get_mut(&conn) else { continue };
            let Some(state) = socket.state.take().filter(|state| socket.parked.as_ref() != Some(state))
            else {
                continue;
            };
            match socket.socket.serialize_attachment(Uint8Array::from(&*state).into()) {
                Ok(()) => socket.parked = Some(state),
                Err(error) => console_log!("session {} could not be parked: {error:?}", conn.0),
            }
        }
    }

    /// Ends a socket; whether there was one.
    pub(super) fn close(&mut self, conn: ConnId, reason: &Close) -> bool {
        let Some(mut socket) = self.list.remove(&conn) else { return false };
        // workerd never ends the connection of a socket that can hibernate and is closed before it has sent anything.
        if let Some(early) = socket.early.take() {
            let _ = socket.socket.accept();
            early.iter().for_each(|frame| socket.send(frame));
        }
        socket.unpark();
        // It may be closed already.
        let _ = socket.socket.close_with_code_and_reason(reason.code, &reason.reason);
        true
    }

    /// Lets go of a socket that is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        if let Some(socket) = self.list.remove(&conn) {
            socket.unpark();
        }
    }
}

/// The number of a socket.
pub(super) fn conn(object: &DurableObjectState, socket: &web_sys::WebSocket) -> Option<ConnId> {
    let number = Reflect::get(socket, &NUMBER.with(Clone::clone)).ok().and_then(|number| number.as_f64());
    match number {
        Some(number) => Some(ConnId(number as u64)),
        None => object.get_tags(socket).ok()?.first()?.parse().ok().map(ConnId),
    }
}

/// Notes a socket's number on it: its tag takes longer to read.
fn remember(socket: &web_sys::WebSocket, conn: ConnId) {
    // Else the tag is read.
    let _ = Reflect::set(socket, &NUMBER.with(Clone::clone), &JsValue::from_f64(conn.0 as f64));
}

thread_local! {
    static NUMBER: JsValue = JsValue::symbol(Some("yonder"));
}
