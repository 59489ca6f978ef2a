//! yonder on Fermyon Spin.
//!
//! Any number of instances of this component run at once, each for some requests that it serves beside each other, and
//! all write to one key-value store (`store`): by its counter where it has one, else by listing its keys. The rooms of an
//! instance, and the requests that wait for them, are the core's ([`yonder_core::instance`]).
//!
//! What is true of this platform only stands here.

/// Writes a line for whoever runs the server. Where nothing takes it, that is no reason to fail, as `eprintln!` does.
macro_rules! log {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

mod setup;
mod store;
mod turns;
mod web;

use setup::Lowering;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{self, ErrorCode};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::SpinKv;
use web::Request;
use yonder_core::grip;
use yonder_core::http::{ApiError, Config, Route};
use yonder_core::instance::{Answered, DocumentLog, Instance, Runtime};
use yonder_core::kv::KvError;
use yonder_core::listed::Listed;
use yonder_core::log::{LogError, LogOp, LogReply};
use yonder_core::sequenced::Sequenced;
use yonder_core::{DocName, Millis, OpId};

/// What the platform does for an instance.
struct Spin {
    kv: SpinKv,
    lowering: Lowering,
}

enum Log {
    Sequenced(Sequenced<SpinKv>),
    Listed(Listed<SpinKv>),
}

impl DocumentLog for Log {
    async fn run(&self, op: OpId, request: LogOp) -> Result<LogReply, LogError> {
        match self {
            Self::Sequenced(log) => log.run(op, request).await.0,
            Self::Listed(log) => log.run(op, request).await.0,
        }
    }
}

impl Runtime for Spin {
    type Log = Log;

    fn now(&self) -> Millis {
        store::now()
    }

    fn log(&self, doc: &DocName) -> Log {
        let (kv, config) = (self.kv.clone(), setup::kv_config());
        match self.lowering {
            Lowering::Sequenced => Log::Sequenced(Sequenced::new(kv, doc, config)),
            Lowering::Listed => Log::Listed(Listed::new(kv, doc, config)),
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        spin_sdk::wasip3::spawn(work);
    }

    async fn sleep(&self, milliseconds: u64) {
        spin_sdk::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    async fn publish(&self, url: &str, authorization: Option<&str>, body: String) {
        if let Err(error) = web::post(url, authorization, body).await {
            log!("the proxy at {url} does not take what is published: {error}");
        }
    }
}

thread_local! {
    static CONFIG: RefCell<Option<Arc<Config>>> = const { RefCell::new(None) };
    /// All requests of an instance share its rooms.
    static INSTANCE: RefCell<Option<Rc<Instance<Spin>>>> = const { RefCell::new(None) };
}

async fn config() -> Arc<Config> {
    if let Some(config) = CONFIG.with_borrow(Clone::clone) {
        return config;
    }
    let config = Arc::new(setup::config().await);
    CONFIG.with_borrow_mut(|known| Arc::clone(known.get_or_insert(config)))
}

/// The instance, which is set up by whoever comes first; after a failure, by the next.
async fn instance(config: &Config) -> Result<Rc<Instance<Spin>>, KvError> {
    if let Some(instance) = INSTANCE.with_borrow(Clone::clone) {
        return Ok(instance);
    }
    let kv = SpinKv::open().await?;
    let lowering = setup::lowering(&kv).await?;
    let proxies = setup::proxies().await?;
    let instance = Rc::new(Instance::new(Spin { kv, lowering }, Arc::clone(&config.limits), proxies));
    Ok(INSTANCE.with_borrow_mut(|known| Rc::clone(known.get_or_insert(instance))))
}

spin_sdk::wasip3::http::service::export!(Spin);

/// Answers a client's request.
impl Guest for Spin {
    async fn handle(request: types::Request) -> Result<types::Response, ErrorCode> {
        let (request, config) = (Request::from(request), config().await);
        let (path, is_head) = (request.path().to_owned(), request.method() == "HEAD");
        let route = web::routed(&config, &request);
        let reply = match respond(&config, route, request).await {
            Ok(Answered::Reply(reply)) => reply,
            Ok(Answered::Events(reply, events)) => return web::streamed(reply, events),
            Err(error) => error.into(),
        };
        web::answer(path, reply, is_head)
    }
}

async fn respond(config: &Config, route: Route, request: Request) -> Result<Answered<Spin>, ApiError> {
    let unavailable = |error: KvError| ApiError::from(LogError::from(error));
    let reply = match route {
        Route::Reply(reply) => reply,
        Route::Socket(granted) => {
            let head = grip::Head::read(|name| request.header(name));
            let head = head.ok_or_else(ApiError::no_sockets)?;
            let body = web::body(request, grip::REQUEST_MAX).await;
            let instance = instance(config).await.map_err(unavailable)?;
            instance.exchange(granted, &head.request(body)).await?
        }
        Route::Document(asking) => {
            return Ok(instance(config).await.map_err(unavailable)?.ask(asking).await);
        }
        Route::Body { limit, then, .. } => {
            let asking = then(web::body(request, limit).await?)?;
            return Ok(instance(config).await.map_err(unavailable)?.ask(asking).await);
        }
        Route::Catalog { op, then } => {
            let instance = instance(config).await.map_err(unavailable)?;
            then(instance.catalog(&instance.runtime().kv, op).await?)
        }
    };
    Ok(Answered::Reply(reply))
}
