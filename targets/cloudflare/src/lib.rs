//! yonder on Cloudflare Workers.
//!
//! The Worker routes a request near its client, refuses what is not allowed there, and passes the rest on to the Durable
//! Object of the document (`object`), which is the one owner of it: it runs the core's room, keeps the log in its
//! SQLite (`log`), and sleeps while nothing happens, its WebSockets open. One more object lists the documents
//! (`catalog`).
//!
//! What is true of this platform only stands here; what a request is, who may do what and what a message means is the
//! core's.

mod catalog;
mod log;
mod object;
mod setup;
mod sql;
mod web;

use setup::Setup;
use std::rc::Rc;
use wasm_bindgen::JsValue;
use web::Parts;
use worker::{Context, Env, Request, Result, console_error, event, web_sys};
use yonder_core::DocName;
use yonder_core::http::{ApiError, Asking, Published, Reply, Route};

thread_local! {
    /// All requests of an isolate have the same environment.
    static SETUP: std::cell::OnceCell<Rc<Setup>> = const { std::cell::OnceCell::new() };
}

fn setup(env: &Env) -> Rc<Setup> {
    SETUP.with(|setup| Rc::clone(setup.get_or_init(|| Rc::new(Setup::read(env)))))
}

/// Answers a client's request.
#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _: Context) -> Result<web_sys::Response> {
    let (setup, parts) = (setup(&env), Parts::of_client(&request));
    let head = parts.is_head();
    let reply = match parts.route(&setup.config) {
        Route::Reply(reply) => reply,
        Route::Socket(Err(error)) => return web::refuse(parts.path(), &error).map(Into::into),
        Route::Socket(Ok((doc, _))) | Route::Body { doc: Some(doc), .. } => {
            return owner(&setup, &doc, &parts, &request, None).await;
        }
        Route::Document(asking) => {
            if let Some(reply) = published(&setup, &asking).await {
                return web::answer(parts.path(), reply, head).map(Into::into);
            }
            return owner(&setup, &asking.doc, &parts, &request, None).await;
        }
        // The body names the document.
        Route::Body { limit, then, .. } => match web::body(&mut request, limit).await {
            Ok(body) => match then(body.clone()) {
                Ok(asking) => return owner(&setup, &asking.doc, &parts, &request, Some(&body)).await,
                Err(error) => error.into(),
            },
            Err(error) => error.into(),
        },
        Route::Catalog { op, then } => match catalog::look(&setup, op).await {
            Ok(listed) => then(listed),
            Err(error) => error.into(),
        },
    };
    web::answer(parts.path(), reply, head).map(Into::into)
}

/// Has a document's object answer.
async fn owner(
    setup: &Setup,
    doc: &DocName,
    parts: &Parts,
    request: &Request,
    body: Option<&[u8]>,
) -> Result<web_sys::Response> {
    let answer = async {
        let request = parts.pass_on(request, body)?;
        setup.object("DOCUMENT", doc.internal())?.ask(&request).await
    };
    let answer: std::result::Result<_, JsValue> = answer.await;
    answer.or_else(|error| {
        console_error!("the object of {doc} failed: {error:?}");
        let error = ApiError::overloaded("the document could not be reached; try again");
        if parts.upgrades() {
            return web::refuse(parts.path(), &error).map(Into::into);
        }
        web::answer(parts.path(), error.into(), parts.is_head()).map(Into::into)
    })
}

/// The answer from what was published near the client, if it said that this will do, and if there is one.
async fn published(setup: &Setup, asking: &Asking) -> Option<Reply> {
    let store = setup.published().filter(|_| asking.stale)?;
    let (body, metadata) =
        store.get(&object::key(asking.doc.internal())).bytes_with_metadata::<String>().await.ok()?;
    Published::read(&metadata?, body?.into())?.answer(&asking.request, web::now())
}
