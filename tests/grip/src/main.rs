//! A host behind a GRIP proxy: every request gets a room of its own, on logs in memory, as on a host that keeps nothing
//! from one request to the next. `yonder-grip PORT GRIP_URL`; it says what it did, one line a request.
//!
//! `/echo/...` has no room: a frame says what is to be done, so that the proxy's own bounds can be found. `/held/...` are
//! plain requests that it holds.

mod echo;
mod held;
mod http;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../core/tests/world/log.rs"]
mod log;

use bytes::Bytes;
use http::{Asked, Server};
use log::MemoryLog;
use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use yonder_core::auth::Grant;
use yonder_core::grip::{self, Answer, Exchange, Proxies, publish};
use yonder_core::http::{Access, ApiError, Config, Reply, Request, Route};
use yonder_core::limits::Limits;
use yonder_core::{DocName, Effect, Effects, Input, Millis, Residency, Room, RoomConfig, To, wire};

/// What all requests share: what a host has outside of itself.
struct Backend {
    proxies: Proxies,
    config: Arc<Config>,
    logs: Mutex<BTreeMap<DocName, MemoryLog>>,
    next_conn: AtomicU64,
    held: AtomicU64,
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(port), Some(url)) = (args.next().and_then(|port| port.parse().ok()), args.next()) else {
        eprintln!("yonder-grip PORT GRIP_URL");
        return ExitCode::from(2);
    };
    let proxies = match Proxies::parse(&url) {
        Ok(proxies) => proxies,
        Err(error) => {
            eprintln!("GRIP_URL: {error}");
            return ExitCode::from(2);
        }
    };
    let config = Config { access: Access::Open, public_url: None, limits: Arc::new(Limits::default()) };
    let backend = Backend {
        proxies,
        config: Arc::new(config),
        logs: Mutex::default(),
        // Never the same for two connections, as long as this runs.
        next_conn: AtomicU64::new(1),
        held: AtomicU64::new(0),
    };
    match http::serve(port, &backend) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot serve on {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Server for Backend {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.path.starts_with("/held/") {
            let (reply, items) = held::answer(&self.held, asked);
            println!("held {}?{}", asked.path, asked.query);
            self.publish(&items);
            return reply;
        }
        let head = grip::Head::read(|name| asked.header(name)).ok_or_else(ApiError::no_sockets);
        let answered = head.and_then(|head| self.exchange(asked, &head.request(Ok(asked.body.clone()))));
        let (answer, items, what) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                println!("refused {} {}: {}", asked.path, error.status, error.message);
                return error.into();
            }
        };
        // As if a proxy had lost it.
        if !asked.path.contains("unpublished") {
            self.publish(&items);
        }
        println!("answered {} {what} {} bytes {:?}", asked.path, answer.reply.body.len(), answer.closed);
        answer.reply
    }
}

impl Backend {
    fn publish(&self, items: &[publish::Item]) {
        for body in publish::bodies(items) {
            for proxy in self.proxies.iter() {
                let done = http::post(proxy.publish_url(), proxy.authorization(now()).as_deref(), &body);
                println!("published {} bytes: {done:?}", body.len());
            }
        }
    }

    /// Answers a request of a WebSocket, and tells what others are to get, and what it was.
    fn exchange(
        &self,
        asked: &Asked,
        request: &grip::Request<'_>,
    ) -> Result<(Answer, Vec<publish::Item>, String), ApiError> {
        let conn = yonder_core::ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed));
        let socket = if asked.path.starts_with("/echo/") {
            DocName::from_path(asked.path.trim_start_matches('/'))
                .map(|doc| (doc, Grant::OPEN))
                .map_err(ApiError::from)
        } else {
            self.socket(asked)?
        };
        let (doc, grant) = match socket {
            Ok(socket) => socket,
            Err(error) => {
                let doc = DocName::new("refused")?;
                let (mut exchange, _) = Exchange::begin(request, &self.proxies, &doc, conn, now())?;
                exchange.send(&wire::refusal(&error.message));
                exchange.close(error.close());
                return Ok((exchange.finish(&self.proxies), Vec::new(), "refused".to_owned()));
            }
        };
        let (mut exchange, steps) = Exchange::begin(request, &self.proxies, &doc, conn, now())?;
        let what = steps.iter().map(|step| match step {
            grip::Step::Open => "open".to_owned(),
            grip::Step::Resume(parked) => format!("resume({})", parked.len()),
            grip::Step::Frame(frame) => format!("frame({})", frame.len()),
            grip::Step::Closed => "closed".to_owned(),
        });
        let what = what.collect::<Vec<_>>().join("+");
        let items = if asked.path.starts_with("/echo/") {
            echo::run(&mut exchange, &steps, &doc)
        } else {
            self.drive(&mut exchange, &steps, &doc, &grant)
        };
        Ok((exchange.finish(&self.proxies), items, what))
    }

    /// What a request on this path is.
    fn socket(&self, asked: &Asked) -> Result<Result<(DocName, Grant), ApiError>, ApiError> {
        let request = Request {
            method: "POST",
            path: &asked.path,
            query: &asked.query,
            header: &|name| asked.header(name),
            secure: false,
            random: &|| 7,
        };
        match grip::route(&self.config, &request, now()) {
            Route::Socket(socket) => Ok(socket),
            Route::Reply(_) | Route::Document(_) | Route::Body { .. } | Route::Catalog { .. } => {
                Err(ApiError::not_found())
            }
        }
    }

    /// A room for this request alone; what others are to get.
    fn drive(
        &self,
        exchange: &mut Exchange,
        steps: &[grip::Step],
        doc: &DocName,
        grant: &Grant,
    ) -> Vec<publish::Item> {
        let mut items = Vec::new();
        let limits = Arc::clone(&self.config.limits);
        let mut room = Room::new(RoomConfig { limits, parks: true, residency: Residency::Shared });
        let mut effects = Effects::new();
        let mut asked = VecDeque::new();
        for step in steps {
            room.handle(now(), step.input(exchange.conn(), grant), &mut effects);
            items.extend(heed(exchange, doc, &mut effects, &mut asked));
        }
        while let Some((op, request)) = asked.pop_front() {
            let reply = {
                let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
                logs.entry(doc.clone()).or_default().answer(request)
            };
            room.handle(now(), Input::Stored { op, reply }, &mut effects);
            items.extend(heed(exchange, doc, &mut effects, &mut asked));
        }
        if room.owes(exchange.conn()) {
            println!("owes something still: {:?}", room.poll_timeout());
        }
        items
    }
}

/// Does what the room wants; what others are to get.
fn heed(
    exchange: &mut Exchange,
    doc: &DocName,
    effects: &mut Effects,
    asked: &mut VecDeque<(yonder_core::OpId, yonder_core::log::LogOp)>,
) -> Vec<publish::Item> {
    let own = exchange.conn();
    let mut items = Vec::new();
    for effect in effects.drain() {
        match effect {
            Effect::Store { op, request } => asked.push_back((op, request)),
            Effect::Send { to: To::Conn(conn), frame } if conn == own => exchange.send(&frame),
            Effect::Send { to: To::Sockets { except }, frame } => {
                let sender = (except == Some(own)).then(|| exchange.connection());
                items.push(publish::Item::news(doc, frame, sender));
            }
            Effect::Park { conn, state } if conn == own => exchange.park(state),
            Effect::Close { conn, reason } if conn == own => exchange.close(reason),
            other @ (Effect::Send { .. }
            | Effect::Park { .. }
            | Effect::Close { .. }
            | Effect::Reply { .. }
            | Effect::Forward { .. }) => println!("nobody is there for {other:?}"),
        }
    }
    items
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(since.as_millis() as u64)
}

/// Bytes that cannot be taken for others.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect()
}
