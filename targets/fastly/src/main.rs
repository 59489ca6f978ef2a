//! yonder on Fastly Compute.
//!
//! Any number of instances of this module run at once, each for one request at a time, and all write to one KV Store by
//! keys that are never used twice (`listed`). WebSockets are handed to Fanout, which asks back by HTTP. The rooms of an
//! instance are the core's ([`yonder_core::instance`]).
//!
//! What is true of this platform only stands here.

/// Writes a line for whoever runs the server. Where nothing takes it, that is no reason to fail, as `eprintln!` does.
macro_rules! log {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

#[cfg(feature = "faulty")]
mod faulty;
mod setup;
mod store;
mod tasks;
mod web;

use fastly::Request;
use fastly::http::serve::Serve;
use setup::Settings;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::FastlyKv;
use tasks::Tasks;
use yonder_core::grip;
use yonder_core::http::{ApiError, Asking, Config, Route};
use yonder_core::instance::{Answered, Instance, Runtime};
use yonder_core::kv::KvError;
use yonder_core::listed::Listed;
use yonder_core::log::LogError;
use yonder_core::{DocName, Millis};

/// Requests that an instance serves, one after the other; what it has learnt of documents is good for the next.
const REQUESTS: usize = 100;
/// Of the 128 MiB that an instance may have, what the next request has to find free is the rest.
const MEMORY_MIB: u32 = 48;
/// How long it waits for the next.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what nobody waits for any more goes on: a compaction, most often.
const AFTERWARDS: Duration = Duration::from_secs(10);

#[cfg(not(feature = "faulty"))]
type Store = FastlyKv;
#[cfg(feature = "faulty")]
type Store = faulty::Faulty<FastlyKv>;

/// What the platform does for an instance.
struct Fastly {
    kv: Store,
}

impl Runtime for Fastly {
    type Log = Listed<Store>;

    fn now(&self) -> Millis {
        store::now()
    }

    fn log(&self, doc: &DocName) -> Self::Log {
        Listed::new(self.kv.clone(), doc, setup::log())
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        tasks::spawn(work);
    }

    async fn sleep(&self, milliseconds: u64) {
        tasks::sleep(milliseconds).await;
    }

    async fn publish(&self, url: &str, authorization: Option<&str>, body: String) {
        if let Err(error) = web::post(url, authorization, body).await {
            log!("the proxy at {url} does not take what is published: {error}");
        }
    }
}

/// An instance, and what runs it.
struct Server {
    config: Arc<Config>,
    settings: Settings,
    /// Set up by whoever comes first; after a failure, by the next.
    instance: Option<Rc<Instance<Fastly>>>,
    tasks: Tasks,
}

fn main() {
    let settings = Settings::open();
    let config = Arc::new(settings.config());
    let mut server = Server { config, settings, instance: None, tasks: Tasks::new() };
    let serve = Serve::new().with_max_requests(REQUESTS).with_max_memory(MEMORY_MIB).with_timeout(PATIENCE);
    serve.run(|request| {
        #[cfg(feature = "faulty")]
        faulty::begin(&request);
        server.handle(request);
        #[cfg(feature = "faulty")]
        faulty::end();
    });
}

impl Server {
    /// Answers a client's request, or a proxy's.
    fn handle(&mut self, request: Request) {
        let (path, is_head) = (request.get_path().to_owned(), request.get_method_str() == "HEAD");
        let route = web::routed(&self.config, &request);
        match self.respond(route, request) {
            Ok(Some(Answered::Reply(reply))) => web::answer(path, reply, is_head),
            Ok(Some(Answered::Events(mut reply, mut events))) => {
                let first = std::mem::take(&mut reply.body);
                let mut body = web::Streaming::begin(&reply);
                let mut next = Some(first);
                while let Some(bytes) = next {
                    if !body.write(&bytes) {
                        break;
                    }
                    let rest = async move { (events.next().await, events) };
                    let Some((following, back)) = self.tasks.run(rest, None) else { return };
                    (next, events) = (following, back);
                }
            }
            // Fanout has it.
            Ok(None) => {}
            Err(error) => web::answer(path, error.into(), is_head),
        }
        self.tasks.finish(Instant::now() + AFTERWARDS);
    }

    fn respond(&mut self, route: Route, mut request: Request) -> Result<Option<Answered<Fastly>>, ApiError> {
        let asking = match route {
            Route::Reply(reply) => return Ok(Some(Answered::Reply(reply))),
            Route::Socket(granted) => {
                let Some(head) = grip::Head::read(|name| web::header(&request, name)) else {
                    return web::hand_off(request).map(|()| None);
                };
                let body = web::body(&mut request, grip::REQUEST_MAX);
                let instance = self.instance()?;
                let answered = async move { instance.exchange(granted, &head.request(body)).await };
                return self.run(answered)?.map(|reply| Some(Answered::Reply(reply)));
            }
            Route::Document(asking) => {
                let instance = self.instance()?;
                if instance.can_hold(&asking) {
                    return self.wait(&instance, asking, request);
                }
                asking
            }
            Route::Body { limit, then, .. } => then(web::body(&mut request, limit)?)?,
            Route::Catalog { op, then } => {
                let instance = self.instance()?;
                let listed = async move { instance.catalog(&instance.runtime().kv, op).await };
                return Ok(Some(Answered::Reply(then(self.run(listed)??))));
            }
        };
        let instance = self.instance()?;
        self.run(async move { instance.ask(asking).await }).map(Some)
    }

    /// Answers a long-poll, or hands it to Fanout to do the waiting. Where there is none, this waits itself.
    fn wait(
        &mut self,
        instance: &Rc<Instance<Fastly>>,
        asking: Asking,
        mut request: Request,
    ) -> Result<Option<Answered<Fastly>>, ApiError> {
        let instance = Rc::clone(instance);
        if instance.is_proxied(web::header(&request, "grip-sig")) {
            let held = async move { instance.hold(asking).await };
            return self.run(held).map(|reply| Some(Answered::Reply(reply)));
        }
        let (begun, query) = (Rc::clone(&instance), request.get_query_str().unwrap_or_default().to_owned());
        match self.run(async move { begun.before_hold(asking, &query).await })? {
            Ok(query) => request.set_query_str(query),
            Err(reply) => return Ok(Some(Answered::Reply(reply))),
        }
        let route = web::routed(&self.config, &request);
        if web::hand_off(request).is_ok() {
            return Ok(None);
        }
        let Route::Document(asking) = route else { return Err(ApiError::internal("it is no read any more")) };
        self.run(async move { instance.ask(asking).await }).map(Some)
    }

    /// Runs this until it is done.
    fn run<T: 'static>(&mut self, work: impl Future<Output = T> + 'static) -> Result<T, ApiError> {
        self.tasks.run(work, None).ok_or_else(|| ApiError::internal("nothing goes on"))
    }

    fn instance(&mut self) -> Result<Rc<Instance<Fastly>>, ApiError> {
        if let Some(instance) = &self.instance {
            return Ok(Rc::clone(instance));
        }
        let unavailable = |error: KvError| ApiError::from(LogError::from(error));
        let kv = FastlyKv::open().map_err(unavailable)?;
        #[cfg(feature = "faulty")]
        let kv = faulty::Faulty(kv);
        let proxies = self.settings.proxies().map_err(unavailable)?;
        let instance = Rc::new(Instance::new(Fastly { kv }, Arc::clone(&self.config.limits), proxies));
        Ok(Rc::clone(self.instance.insert(instance)))
    }
}
