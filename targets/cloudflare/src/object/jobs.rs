//! What the object waits for: R2, Workers KV, other objects.

use super::host::Job;
use super::{Awake, Object, Telling};
use crate::catalog;
use crate::log::{Body, Found, Head, Log};
use crate::web;
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::js_sys::Uint8Array;
use worker::{Delay, Error, Request, console_error, web_sys};
use yonder_core::http::{ApiError, Asking, Published, Reply};
use yonder_core::log::{Life, LogError, LogReply, Offset, Tail};
use yonder_core::request::DocRequest;
use yonder_core::wire::{Reader, put_var_bytes};
use yonder_core::{DocName, Input, replica};

/// Bytes from which on a snapshot goes to R2, if there is a bucket.
const LARGE: usize = 2 << 20;
/// Bytes of a value of Workers KV.
const PUBLISHED_MAX: usize = 25 << 20;
/// How long a request waits for the catalog to know of its document.
const TELLING: Duration = Duration::from_secs(2);
/// What one object says of itself to another.
const OBJECT: &str = "object";

/// A key of Workers KV and of R2 begins with its document's.
pub(crate) fn key(name: &str) -> String {
    format!("doc/{name}")
}

impl Object {
    /// Starts something whose answer the room gets when it is there.
    pub(super) fn start(self: &Rc<Self>, job: Job) {
        let object = Rc::clone(self);
        super::spawn(async move {
            let (op, reply) = match job {
                Job::Load { op, since } => (op, object.load(&since).await),
                Job::PutVersion { op, version, body, most } => {
                    let reply = async {
                        let body = object.put_away(body).await?;
                        let kept = object.log(|log| log.put_version(&version, &body, most));
                        object.uploaded(&body);
                        kept.map(LogReply::Done)
                    };
                    (op, reply.await)
                }
                Job::ReadVersion { op, key, bytes } => {
                    (op, object.fetch(&key, bytes).await.map(|body| LogReply::Version(Some(body))))
                }
            };
            // An object that cannot wake has said so.
            let _ = object.give(Input::Stored { op, reply });
        });
    }

    fn log<T>(self: &Rc<Self>, act: impl FnOnce(&mut Log) -> Result<T, LogError>) -> Result<T, LogError> {
        self.with(|awake| act(&mut awake.host.log)).unwrap_or(Err(LogError::Unavailable))
    }

    async fn load(self: &Rc<Self>, since: &Offset) -> Result<LogReply, LogError> {
        loop {
            let found = self.log(|log| log.load(since))?;
            let Some(Body::Key { key, bytes }) = &found.snapshot else {
                let snapshot = found.snapshot.clone().and_then(Body::here);
                return Ok(LogReply::Loaded(found.with(snapshot)));
            };
            match self.fetch(key, *bytes).await {
                Ok(snapshot) => return Ok(LogReply::Loaded(found.with(Some(snapshot)))),
                // A compaction may have put another in its place, and deleted it.
                Err(error) => {
                    match self.log(|log| Ok(log.head()?.and_then(|head| head.snapshot_key.clone())))? {
                        Some(now) if now == *key => return Err(error),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Reads from R2.
    async fn fetch(&self, key: &str, bytes: u64) -> Result<Bytes, LogError> {
        let bucket = self.setup.bucket().ok_or_else(|| {
            console_error!("a value is in R2, and there is no binding BLOBS");
            LogError::Corrupt
        })?;
        let failed = |error| {
            console_error!("R2 failed: {error}");
            LogError::Unavailable
        };
        let object = bucket.get(key).execute().await.map_err(failed)?;
        let body = object.as_ref().and_then(|object| object.body()).ok_or(LogError::Corrupt)?;
        let body = body.bytes().await.map_err(failed)?;
        if body.len() as u64 == bytes { Ok(body.into()) } else { Err(LogError::Corrupt) }
    }

    /// Writes to R2, if there is a bucket. Until the log refers to it, it is garbage.
    async fn put_away(self: &Rc<Self>, body: Bytes) -> Result<Body, LogError> {
        let Some(bucket) = self.setup.bucket() else { return Ok(Body::Bytes(body)) };
        let name = self.log(|log| Ok(log.head()?.map(|head| head.name.clone())))?.ok_or(LogError::Refused)?;
        let key = format!("{}/{:032x}", key(&name), web::random());
        self.log(|log| log.expect(&key))?;
        let bytes = body.len() as u64;
        self.uploads.borrow_mut().push(key.clone());
        let put = bucket.put(&key, Vec::from(body)).execute().await;
        let body = Body::Key { key, bytes };
        if let Err(error) = put {
            console_error!("R2 failed: {error}");
            self.uploaded(&body);
            return Err(LogError::Unavailable);
        }
        Ok(body)
    }

    /// The log refers to what was put into R2, or never will.
    fn uploaded(&self, body: &Body) {
        if let Body::Key { key, .. } = body {
            self.uploads.borrow_mut().retain(|known| known != key);
        }
    }

    /// Does what nobody waits for. What fails is tried again.
    pub(super) async fn do_chores(self: &Rc<Self>) -> Result<(), Error> {
        let failed = |error: LogError| Error::RustError(error.to_string());
        self.compact().await.map_err(failed)?;
        self.publish().await?;
        self.report().await?;
        let Some(bucket) = self.setup.bucket() else { return Ok(()) };
        for key in self.log(Log::orphans).map_err(failed)? {
            // One that is on its way is about to be referred to.
            if !self.uploads.borrow().contains(&key) {
                bucket.delete(&key).await?;
                self.log(|log| log.buried(&key)).map_err(failed)?;
            }
        }
        self.log(Log::orphans).map(|_| ()).map_err(failed)
    }

    /// Replaces the log by a snapshot, if the room has asked for it or an earlier instance did.
    async fn compact(self: &Rc<Self>) -> Result<(), LogError> {
        let asked = self.with(|awake| awake.host.compaction.take()).unwrap_or(None);
        let work =
            self.with(|awake| self.to_compact(awake, asked.is_some())).unwrap_or(Err(LogError::Unavailable));
        let result = match work {
            Ok(Some((head, found))) => self.replace(&head, found).await,
            Ok(None) => self.log(|log| Ok(log.head()?.map_or(Tail::default(), |head| head.tail.clone()))),
            Err(error) => Err(error),
        };
        if let Some(op) = asked {
            let _ = self.give(Input::Stored { op, reply: result.clone().map(LogReply::Compacted) });
        }
        match result {
            // Trying again does not help.
            Ok(_) | Err(LogError::Corrupt) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All that a snapshot is to be made of; none if that would not be worth it.
    fn to_compact(&self, awake: &mut Awake, asked: bool) -> Result<Option<(Head, Found)>, LogError> {
        let idle = awake.room.connections() == 0;
        let Some(head) = awake.host.log.head()?.filter(|head| head.is_live()).cloned() else {
            return Ok(None);
        };
        let due = asked || self.setup.config.limits.compaction.is_due(&head.tail, idle);
        if !due || head.tail.updates == 0 {
            return Ok(None);
        }
        Ok(Some((head, awake.host.log.load(&Offset::START)?)))
    }

    async fn replace(self: &Rc<Self>, head: &Head, found: Found) -> Result<Tail, LogError> {
        // The log ended there at this moment.
        let at = web::now();
        let snapshot = match found.snapshot {
            Some(Body::Key { key, bytes }) => Some(self.fetch(&key, bytes).await?),
            Some(Body::Bytes(bytes)) => Some(bytes),
            None => None,
        };
        let parts = snapshot.into_iter().chain(found.updates.into_iter().map(|(_, update)| update)).collect();
        let merged = replica::compact(parts).map_err(|error| {
            console_error!("a compaction failed; the log stays as it is: {error}");
            LogError::Corrupt
        })?;
        let body = if merged.len() > LARGE { self.put_away(merged).await? } else { Body::Bytes(merged) };
        let tail = self.log(|log| {
            let replaced = log.replace(&found.tail, head.life, &body, at)?;
            Ok(replaced.or(log.head()?.map(|head| head.tail.clone())).unwrap_or_default())
        });
        self.uploaded(&body);
        tail
    }

    /// Publishes the newest snapshot, or sees that none is.
    async fn publish(self: &Rc<Self>) -> Result<(), Error> {
        let failed = |error: LogError| Error::RustError(error.to_string());
        let Some(store) = self.setup.published() else { return Ok(()) };
        let Some(head) = self.log(|log| log.head().map(|head| head.cloned())).map_err(failed)? else {
            return Ok(());
        };
        let upto = head.tail.snapshot;
        if head.published == upto {
            return Ok(());
        }
        if head.tail.life == Life::Deleted || upto == Offset::START {
            store.delete(&key(&head.name)).await?;
        } else if head.tail.snapshot_bytes <= PUBLISHED_MAX as u64 {
            let body = match self.log(|log| log.snapshot()).map_err(failed)? {
                Some(Body::Bytes(body)) => body,
                Some(Body::Key { key, bytes }) => self.fetch(&key, bytes).await.map_err(failed)?,
                None => return Ok(()),
            };
            let published = Published { upto: upto.clone(), at: head.snapshot_at, body };
            let put = store.put_bytes(&key(&head.name), &published.body)?;
            put.metadata(published.metadata())?.execute().await?;
        }
        // Also if the document was deleted meanwhile: then this is to be undone.
        self.log(|log| log.published(upto)).map_err(failed)
    }

    /// Tells the catalog what it does not know.
    async fn report(self: &Rc<Self>) -> Result<(), Error> {
        let failed = |error: LogError| Error::RustError(error.to_string());
        let Some(head) = self.log(|log| log.head().map(|head| head.cloned())).map_err(failed)? else {
            return Ok(());
        };
        let listing = head.listing();
        if head.listed == listing {
            return Ok(());
        }
        catalog::tell(&self.setup, &head.name, head.is_live(), listing).await?;
        self.log(|log| log.listed(listing)).map_err(failed)
    }

    /// Tells those who should know that the document has begun or ended, at once. If that fails, the alarm will.
    pub(super) fn tell(self: &Rc<Self>) {
        let Ok(mut telling) = self.telling.try_borrow_mut() else { return };
        if !matches!(*telling, Telling::No) {
            return;
        }
        *telling = Telling::Now(Vec::new());
        let object = Rc::clone(self);
        super::spawn(async move {
            // What is published of a document that ended must not be read any more.
            let told = async {
                object.report().await?;
                object.publish().await
            };
            if let Err(error) = told.await {
                console_error!("the catalog was not told: {error}");
                // Who waits is let go.
                object.telling.replace(Telling::Later);
                Delay::from(TELLING).await;
            }
            object.telling.take();
        });
    }

    /// Waits until that is done, so that who made a document finds it listed; but not for long.
    pub(super) async fn announced(&self) {
        let told = match self.telling.try_borrow_mut().as_deref_mut() {
            Ok(Telling::Now(waiting)) => {
                let (sender, told) = oneshot::channel();
                waiting.push(sender);
                told
            }
            Ok(Telling::No | Telling::Later) | Err(_) => return,
        };
        match select(told, Delay::from(TELLING)).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }

    /// Has another document's object make that document.
    pub(super) async fn forward(&self, doc: &DocName, request: DocRequest) -> Reply {
        let DocRequest::Create { content, created, existed } = request else {
            return ApiError::internal("only a copy goes to another document").into();
        };
        let mut body = Vec::new();
        content.iter().for_each(|update| put_var_bytes(&mut body, update));
        let asked = async {
            let init = web_sys::RequestInit::new();
            init.set_method("POST");
            init.set_body(&Uint8Array::from(&*body));
            let request = web_sys::Request::new_with_str_and_init("http://object/", &init)?;
            request.headers().set(web::FROM, OBJECT)?;
            self.setup.object("DOCUMENT", doc.internal())?.ask(&request).await
        };
        let answer: Result<web_sys::Response, JsValue> = asked.await;
        match answer.as_ref().map(web_sys::Response::status) {
            Ok(201) => {
                let end =
                    answer.ok().and_then(|answer| answer.headers().get("stream-next-offset").ok().flatten());
                match end {
                    Some(end) => created.with("stream-next-offset", end),
                    None => created,
                }
            }
            Ok(200) => existed.into(),
            Ok(413) => ApiError::too_large("the document is too large for another one").into(),
            Ok(_) | Err(_) => ApiError::overloaded("the other document could not be made; try again").into(),
        }
    }
}

/// What another document's object asks: the other side of [`Object::forward`].
pub(super) async fn forwarded(request: &mut Request) -> Option<Asking> {
    if request.headers().get(web::FROM).ok().flatten().as_deref() != Some(OBJECT) {
        return None;
    }
    let body = Bytes::from(request.bytes().await.ok()?);
    let mut reader = Reader::new(&body);
    let mut content = Vec::new();
    while !reader.is_empty() {
        content.push(body.slice_ref(reader.var_bytes().ok()?));
    }
    let request = DocRequest::Create { content, created: Reply::empty(201), existed: Ok(Reply::empty(200)) };
    // The name is the object's own.
    Some(Asking { doc: DocName::new("copy").ok()?, request, expires: None, stale: false })
}
