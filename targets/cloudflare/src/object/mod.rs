//! The Durable Object of one document.
//!
//! It can end between any two events, its WebSockets open: so each handler begins by waking the room ([`Object::with`]),
//! which is made of the log and of what was parked beside the sockets, and what was not stored is asked of clients again.
//! A handler does all its work at once; only R2, Workers KV and other objects are waited for ([`jobs`]).
//!
//! The object is woken for the room by a timer while it is awake anyway, else by its alarm ([`clock`]).

mod clock;
mod host;
mod jobs;
mod sockets;

use crate::log::Log;
use crate::setup::Setup;
use crate::sql::Sql;
use crate::web::{self, Parts};
use clock::Clock;
use futures_channel::oneshot;
use futures_util::StreamExt as _;
use host::{Answer, ObjectHost};
pub(crate) use jobs::key;
use sockets::{Parked, Sockets};
use std::cell::{RefCell, RefMut};
use std::pin::Pin;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use worker::js_sys::{ArrayBuffer, Uint8Array};
use worker::{
    DurableObject, Env, Error, Request, Response, Result, State, WebSocketPair, console_error,
    durable_object, web_sys,
};
use yonder_core::auth::Grant;
use yonder_core::http::{ApiError, Asking, Route};
use yonder_core::{Close, ConnId, Effects, Host as _, Input, Room, RoomConfig, drive};

/// Does something later, in this object. Boxed, so that what drives futures is compiled once.
fn spawn(work: impl Future<Output = ()> + 'static) {
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    wasm_bindgen_futures::spawn_local(work);
}

/// A document's object, as the platform knows it.
#[durable_object(alarm)]
pub struct Document {
    object: Rc<Object>,
}

/// What it is made of.
struct Object {
    state: State,
    setup: Rc<Setup>,
    awake: RefCell<Option<Awake>>,
    clock: Clock,
    telling: RefCell<Telling>,
    /// Names in R2 of what is on its way there.
    uploads: RefCell<Vec<String>>,
}

/// Whether the catalog is being told that the document has begun or ended.
#[derive(Default)]
enum Telling {
    #[default]
    No,
    /// And who waits for it.
    Now(Vec<oneshot::Sender<()>>),
    /// It failed, and is tried again.
    Later,
}

/// The room and what it needs.
struct Awake {
    room: Room,
    effects: Effects,
    host: ObjectHost,
}

impl Awake {
    #[inline(never)]
    fn give(&mut self, input: Input<'_>) {
        drive(&mut self.host, &mut self.room, &mut self.effects, input);
        loop {
            if let Some((op, reply)) = self.host.stored.pop_front() {
                drive(&mut self.host, &mut self.room, &mut self.effects, Input::Stored { op, reply });
            } else if let Some((conn, reason)) = self.host.gone.pop() {
                if let Some(reason) = reason {
                    self.host.close(conn, reason);
                }
                self.host.forget(conn);
                drive(&mut self.host, &mut self.room, &mut self.effects, Input::Closed { conn });
            } else {
                return;
            }
        }
    }

    /// Ends what belonged to a connection that is gone.
    fn end(&mut self, conn: ConnId) {
        self.host.forget(conn);
        self.give(Input::Closed { conn });
    }

    /// Gives the room the tick that is due.
    fn tick(&mut self) {
        let now = self.host.now();
        if self.room.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.give(Input::Tick);
        }
    }
}

impl Object {
    /// Does something with the room, which is woken for it, and then what follows from it.
    fn with<T>(self: &Rc<Self>, act: impl FnOnce(&mut Awake) -> T) -> Result<T, ApiError> {
        self.with_about(None, act)
    }

    /// The same, because of one socket.
    fn with_about<T>(
        self: &Rc<Self>,
        about: Option<&web_sys::WebSocket>,
        act: impl FnOnce(&mut Awake) -> T,
    ) -> Result<T, ApiError> {
        let mut place = self.enter(about)?;
        // `enter` has put one there.
        let awake = place.as_mut().ok_or_else(|| ApiError::internal("the document is not awake"))?;
        let done = act(awake);
        self.leave(awake);
        Ok(done)
    }

    #[inline(never)]
    fn enter(&self, about: Option<&web_sys::WebSocket>) -> Result<RefMut<'_, Option<Awake>>, ApiError> {
        let failed = |what: JsValue| {
            console_error!("the object could not wake: {what:?}");
            ApiError::internal("the document could not be woken; try again")
        };
        // Taken only if an exception passed through us: the platform makes a new instance.
        let busy = |_| failed(JsValue::from_str("it is in the middle of something"));
        let mut place = self.awake.try_borrow_mut().map_err(busy)?;
        if place.is_none() {
            let (awake, sessions) = self.wake(about).map_err(failed)?;
            let awake = place.insert(awake);
            for Parked { conn, state, .. } in &sessions {
                awake.give(Input::Resume { conn: *conn, parked: state });
            }
            for Parked { conn, .. } in sessions.iter().filter(|session| !session.is_open) {
                awake.end(*conn);
            }
        }
        Ok(place)
    }

    #[inline(never)]
    fn leave(self: &Rc<Self>, awake: &mut Awake) {
        awake.tick();
        awake.host.sockets.settle();
        for job in awake.host.jobs.drain(..) {
            self.start(job);
        }
        if awake.host.log.is_unlisted() {
            self.tell();
        }
        self.arrange(awake);
    }

    fn wake(&self, about: Option<&web_sys::WebSocket>) -> Result<(Awake, Vec<Parked>), JsValue> {
        let object = self.state.as_raw();
        let sql = Sql::new(object.storage()?.as_ref())?;
        let log =
            Log::new(sql, object.id()?.name()).map_err(|error| JsValue::from_str(&error.to_string()))?;
        let (sockets, sessions) = Sockets::resume(object, about)?;
        let limits = std::sync::Arc::clone(&self.setup.config.limits);
        let config = RoomConfig { limits, parks: true, ..RoomConfig::default() };
        let host = ObjectHost::new(log, sockets, self.setup.bucket().is_some());
        Ok((Awake { room: Room::new(config), effects: Effects::new(), host }, sessions))
    }

    fn give(self: &Rc<Self>, input: Input<'_>) -> Result<(), ApiError> {
        self.with(|awake| awake.give(input))
    }

    fn open(self: &Rc<Self>, grant: Grant, parts: &Parts) -> Result<Response> {
        let pair = WebSocketPair::new()?;
        let opened = self.with(|awake| {
            let conn = awake.host.sockets.expect(pair.server.as_ref().clone());
            awake.give(Input::Open { conn, grant });
            let accepted = awake.host.sockets.accept(self.state.as_raw(), conn);
            if accepted.is_err() {
                awake.give(Input::Closed { conn });
            }
            accepted
        });
        match opened {
            Ok(Ok(())) => Response::from_websocket(pair.client),
            Ok(Err(error)) => {
                console_error!("a socket was not accepted: {error:?}");
                web::refuse(parts.path(), &ApiError::overloaded("the document takes no more connections"))
            }
            Err(error) => web::refuse(parts.path(), &error),
        }
    }

    /// Asks the room, and waits for its answer.
    async fn ask(self: &Rc<Self>, asking: Asking, parts: &Parts, request: &Request) -> Result<Response> {
        let Asking { request: asked, expires, stale, .. } = asking;
        let (sender, answer) = oneshot::channel();
        let given = self.with(|awake| {
            let conn = awake.host.sockets.number();
            awake.host.requests.insert(conn, sender);
            awake.give(Input::Request { conn, request: asked, expires });
            conn
        });
        let conn = match given {
            Ok(conn) => conn,
            Err(error) => return web::answer(parts.path(), error.into(), parts.is_head()),
        };
        let leaving = Leaving::watch(self, conn, request);
        match answer.await {
            Ok(Answer::Reply(reply)) => {
                self.announced().await;
                let reply = if stale { reply.with_age(0) } else { reply };
                web::answer(parts.path(), reply, parts.is_head())
            }
            Ok(Answer::Stream(reply, (rest, waiting))) => {
                let first = futures_util::stream::iter([reply.body.clone()]);
                let rest = rest.inspect(move |bytes| waiting.set(waiting.get().saturating_sub(bytes.len())));
                let ending = Ending { object: Rc::clone(self), conn, _leaving: leaving };
                let body = first.chain(rest).map(move |bytes| {
                    let _ = &ending;
                    Ok::<_, Error>(bytes)
                });
                web::streamed(&reply, body)
            }
            Ok(Answer::Forward(doc, request)) => {
                let reply = self.forward(&doc, *request).await;
                web::answer(parts.path(), reply, parts.is_head())
            }
            Err(_) => web::answer(parts.path(), ApiError::internal("the request was given up").into(), false),
        }
    }

    async fn serve(self: &Rc<Self>, mut request: Request) -> Result<Response> {
        if let Some(asked) = jobs::forwarded(&mut request).await {
            let parts = Parts::of_client(&request);
            return self.ask(asked, &parts, &request).await;
        }
        let Some(parts) = Parts::of_worker(&request) else {
            return web::answer("", ApiError::invalid("this did not come from the Worker").into(), false);
        };
        let asking = match parts.route(&self.setup.config) {
            Route::Socket(Ok((_, grant))) => return self.open(grant, &parts),
            Route::Socket(Err(error)) => return web::refuse(parts.path(), &error),
            Route::Reply(reply) => return web::answer(parts.path(), reply, parts.is_head()),
            Route::Document(asking) => Ok(asking),
            Route::Body { limit, then, .. } => web::body(&mut request, limit).await.and_then(then),
            Route::Catalog { .. } => Err(ApiError::internal("this is not for a document")),
        };
        match asking {
            Ok(asking) => self.ask(asking, &parts, &request).await,
            Err(error) => web::answer(parts.path(), error.into(), parts.is_head()),
        }
    }

    /// A request's client has left.
    fn left(self: &Rc<Self>, conn: ConnId) {
        // Without a room there is nobody to tell.
        let _ = self.with(|awake| awake.end(conn));
    }
}

/// Tells the room when a request's client has left, for as long as it is kept.
struct Leaving {
    signal: web_sys::AbortSignal,
    _abort: Closure<dyn FnMut()>,
}

impl Leaving {
    fn watch(object: &Rc<Object>, conn: ConnId, request: &Request) -> Self {
        let (object, signal) = (Rc::clone(object), request.inner().signal());
        let abort = Closure::new(move || object.left(conn));
        signal.set_onabort(Some(abort.as_ref().unchecked_ref()));
        Self { signal, _abort: abort }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.signal.set_onabort(None);
    }
}

/// Tells the room when the platform lets go of an event stream.
struct Ending {
    object: Rc<Object>,
    conn: ConnId,
    _leaving: Leaving,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (object, conn) = (Rc::clone(&self.object), self.conn);
        // Dropped in the middle of anything, perhaps of the room's work.
        spawn(async move { object.left(conn) });
    }
}

impl DurableObject for Document {
    fn new(state: State, env: Env) -> Self {
        let setup = crate::setup(&env);
        let (awake, telling, uploads) = (RefCell::new(None), RefCell::default(), RefCell::default());
        Self { object: Rc::new(Object { state, setup, awake, clock: Clock::default(), telling, uploads }) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        Rc::clone(&self.object).serve(request).await
    }

    async fn alarm(&self) -> Result<Response> {
        Rc::clone(&self.object).on_alarm().await?;
        Response::empty()
    }
}

/// What the platform calls for the object's sockets. Not by way of the trait, in which these are asynchronous: they do
/// their work at once, and a promise for each frame would cost more than the frame.
#[wasm_bindgen]
impl Document {
    /// A frame came in.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn web_socket_message(&self, socket: &web_sys::WebSocket, message: &JsValue) {
        let object = &self.object;
        let Some(conn) = sockets::conn(object.state.as_raw(), socket) else { return };
        let given = match message.dyn_ref::<ArrayBuffer>() {
            Some(buffer) => {
                let bytes = Uint8Array::new(buffer).to_vec().into();
                object.give(Input::Frame { conn, bytes })
            }
            None => object.with(|awake| {
                awake.host.close(conn, Close::new(Close::UNSUPPORTED, "frames are binary in this protocol"));
                awake.end(conn);
            }),
        };
        if let Err(error) = given {
            let reason = error.close();
            // It may be closed already.
            let _ = socket.close_with_code_and_reason(reason.code, &reason.reason);
        }
    }

    /// The client has closed its socket.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn web_socket_close(&self, socket: &web_sys::WebSocket, code: u16, reason: &str) {
        self.web_socket_error(socket);
        // The close frame is answered with one; these codes only stand for what was not said.
        let code = if matches!(code, 1005 | 1006 | 1015) { 1000 } else { code };
        let _ = socket.close_with_code_and_reason(code, reason);
    }

    /// The socket is gone.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn web_socket_error(&self, socket: &web_sys::WebSocket) {
        if let Some(conn) = sockets::conn(self.object.state.as_raw(), socket) {
            // That may be what wakes the object: then the session is resumed, so that it can end.
            let _ = self.object.with_about(Some(socket), |awake| awake.end(conn));
        }
    }
}
