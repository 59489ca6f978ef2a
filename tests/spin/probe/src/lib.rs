//! A component that does each thing that the test host has a rule for, one a path.

use anyhow::{Result, bail};
use bytes::Bytes;
use futures::SinkExt as _;
use http::{Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use spin_sdk::experimental::wasi::keyvalue::{atomics, batch, store as wasi};
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use spin_sdk::key_value::Store;
use spin_sdk::time::sleep;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Poll, Waker};
use std::time::Duration;

type Body = UnsyncBoxBody<Bytes, anyhow::Error>;

/// Requests that this instance was given.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// How often `/wake` was called, and who waits for that.
static WOKEN: AtomicU64 = AtomicU64::new(0);
static WAITING: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

#[http_service]
async fn handle(request: Request) -> Result<impl IntoResponse> {
    let served = REQUESTS.fetch_add(1, Relaxed) + 1;
    let uri = request.uri().clone();
    let path = uri.path().trim_start_matches('/').to_owned();
    let (verb, rest) = path.split_once('/').unwrap_or((&path, ""));
    let number = || uri.query().and_then(|query| query.parse::<i64>().ok()).unwrap_or_default();
    let pause = || Duration::from_millis(number().unsigned_abs());
    match verb {
        "hello" => text("hello"),
        "served" => text(served.to_string()),
        "echo" => {
            let mut lines = format!("{} {uri}\n", request.method());
            for (name, value) in request.headers() {
                lines.push_str(&format!("{name}: {}\n", value.to_str()?));
            }
            text(lines)
        }
        "body" => text(request.into_body().bytes().await?.len().to_string()),
        "variable" => match spin_sdk::variables::get(rest).await {
            Ok(value) => text(value),
            Err(error) => failed(error),
        },
        "kv" => key_value(request, rest).await,
        "increment" => {
            match wasi::open("default").and_then(|bucket| atomics::increment(&bucket, rest, number())) {
                Ok(count) => text(count.to_string()),
                Err(error) => failed(error),
            }
        }
        "keys" => match wasi::open("default").and_then(|bucket| bucket.list_keys(None)) {
            Ok(mut answer) => {
                answer.keys.sort();
                text(answer.keys.join("\n"))
            }
            Err(error) => failed(error),
        },
        "open" => match Store::open(rest).await {
            Ok(_) => text("open"),
            Err(error) => failed(error),
        },
        "get-keys" => match Store::open_default().await?.get_keys().await.collect().await {
            Ok(keys) => text(keys.join("\n")),
            Err(error) => failed(error),
        },
        "cas" => match atomics::Cas::new(&wasi::open("default")?, rest) {
            Ok(_) => text("a handle"),
            Err(error) => failed(error),
        },
        "batch" => match batch::get_many(&wasi::open("default")?, &[rest.to_owned()]) {
            Ok(_) => text("values"),
            Err(error) => failed(error),
        },
        "sleep" => {
            sleep(pause()).await;
            text(served.to_string())
        }
        "events" => events(pause()),
        "wait" => {
            let woken = WOKEN.load(Relaxed);
            let wait = futures::future::poll_fn(|context| {
                if WOKEN.load(Relaxed) > woken {
                    return Poll::Ready(());
                }
                waiting().push(context.waker().clone());
                Poll::Pending
            });
            let timeout = std::pin::pin!(sleep(pause()));
            match futures::future::select(wait, timeout).await {
                futures::future::Either::Left(_) => text("woken"),
                futures::future::Either::Right(_) => text("timeout"),
            }
        }
        "wake" => {
            WOKEN.fetch_add(1, Relaxed);
            waiting().drain(..).for_each(Waker::wake);
            text("")
        }
        "after" => {
            let (key, pause) = (rest.to_owned(), pause());
            spin_sdk::wasip3::spawn(async move {
                sleep(pause).await;
                if let Ok(store) = Store::open_default().await {
                    let _ = store.set(key, "after").await;
                }
            });
            text("")
        }
        "fetch" => {
            let target = request.into_body().bytes().await?;
            match spin_sdk::http::get(std::str::from_utf8(&target)?).await {
                Ok(response) => text(response.into_body().bytes().await?),
                Err(error) => failed(error),
            }
        }
        "print" => {
            println!("printed {rest}");
            text("")
        }
        "panic" => panic!("the probe panics"),
        "error" => bail!("the probe fails"),
        _ => answer(StatusCode::NOT_FOUND, ""),
    }
}

async fn key_value(request: Request, key: &str) -> Result<Response<Body>> {
    let store = Store::open_default().await?;
    let method = request.method().clone();
    let value = request.into_body().bytes().await?;
    let done = if method == Method::PUT {
        store.set(key, value).await.map(|()| None)
    } else if method == Method::DELETE {
        store.delete(key).await.map(|()| None)
    } else if method == Method::POST {
        store.exists(key).await.map(|exists| Some(exists.to_string().into_bytes()))
    } else {
        match store.get(key).await {
            Ok(None) => return answer(StatusCode::NOT_FOUND, ""),
            other => other,
        }
    };
    match done {
        Ok(value) => text(value.unwrap_or_default()),
        Err(error) => failed(error),
    }
}

/// Three events, with a pause before each, and how the sending went on standard error.
fn events(pause: Duration) -> Result<Response<Body>> {
    let (mut sender, body) = spin_sdk::http::body::stream::<String>();
    spin_sdk::wasip3::spawn(async move {
        for event in 1..=3 {
            sleep(pause).await;
            if sender.send(format!("data: {event}\n\n")).await.is_err() {
                eprintln!("the reader of the events is gone");
                return;
            }
        }
    });
    Ok(Response::builder().header("content-type", "text/event-stream").body(body.boxed_unsync())?)
}

fn waiting() -> std::sync::MutexGuard<'static, Vec<Waker>> {
    WAITING.lock().unwrap_or_else(|broken| broken.into_inner())
}

fn text(text: impl Into<Bytes>) -> Result<Response<Body>> {
    answer(StatusCode::OK, text)
}

fn failed(error: impl std::fmt::Debug) -> Result<Response<Body>> {
    answer(StatusCode::SERVICE_UNAVAILABLE, format!("{error:?}"))
}

fn answer(status: StatusCode, text: impl Into<Bytes>) -> Result<Response<Body>> {
    let body = Full::new(text.into()).map_err(|never| match never {}).boxed_unsync();
    Ok(Response::builder().status(status).body(body)?)
}
