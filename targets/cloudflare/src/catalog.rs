//! The catalog: one object that knows which documents there are, told by each of them when it begins, ends, and comes to
//! rest. How large a document is it knows as of then.

use crate::log::Listing;
use crate::setup::Setup;
use crate::sql::{Sql, number};
use crate::web;
use serde_json::{Value, json};
use wasm_bindgen::JsValue;
use worker::{DurableObject, Env, Error, Request, Response, State, durable_object, web_sys};
use yonder_core::http::ApiError;
use yonder_core::log::{CatalogOp, Life, Listed, LogError, Tail};

/// The catalog's object.
#[durable_object(fetch)]
pub struct Catalog {
    state: State,
}

/// Tells it of a document.
pub(crate) async fn tell(setup: &Setup, name: &str, live: bool, listing: Listing) -> Result<(), Error> {
    let Listing { life, updates, bytes } = listing;
    let question = json!({ "tell": name, "live": live, "life": life, "updates": updates, "bytes": bytes });
    ask(setup, &question).await.map(|_| ())
}

/// Asks it on behalf of a client.
pub(crate) async fn look(setup: &Setup, op: CatalogOp) -> Result<Vec<Listed>, ApiError> {
    let question = match op {
        CatalogOp::List { prefix, after, limit } => json!({ "list": prefix, "after": after, "limit": limit }),
        CatalogOp::Check => json!({}),
    };
    let answer = ask(setup, &question).await.map_err(|error| {
        worker::console_error!("the catalog failed: {error}");
        ApiError::from(LogError::Unavailable)
    })?;
    let listed = |entry: &Value| {
        let number = |name: &str| entry.get(name)?.as_u64();
        let tail = Tail {
            life: Life::Live,
            updates: number("updates")?,
            bytes: number("bytes")?,
            ..Tail::default()
        };
        Some(Listed { name: entry.get("name")?.as_str()?.to_owned(), tail })
    };
    Ok(answer.as_array().map(|entries| entries.iter().filter_map(listed).collect()).unwrap_or_default())
}

async fn ask(setup: &Setup, question: &Value) -> Result<Value, Error> {
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_body(&JsValue::from_str(&question.to_string()));
    let request = web_sys::Request::new_with_str_and_init("http://catalog/", &init)?;
    let answer = setup.object("CATALOG", "catalog")?.ask(&request).await?;
    if answer.status() != 200 {
        return Err(Error::RustError(format!("status {}", answer.status())));
    }
    let text = wasm_bindgen_futures::JsFuture::from(answer.text()?).await?;
    Ok(serde_json::from_str(&text.as_string().unwrap_or_default())?)
}

impl Catalog {
    fn answer(&self, question: &Value) -> Result<Value, LogError> {
        let storage = self.state.as_raw().storage().map_err(|_| LogError::Unavailable)?;
        let sql = Sql::new(storage.as_ref()).map_err(|_| LogError::Unavailable)?;
        sql.run(
            "CREATE TABLE IF NOT EXISTS document (
                name TEXT PRIMARY KEY,             -- DocName::internal; by its bytes, as lists are sorted
                live INTEGER NOT NULL,             -- 0 once it is deleted: what was said before is then known as late
                life INTEGER NOT NULL,             -- how often it began or ended
                updates INTEGER NOT NULL,
                bytes INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID",
            &[],
        )?;
        let text = |name: &str| question.get(name).and_then(Value::as_str);
        let integer = |name: &str| number(question.get(name).and_then(Value::as_u64).unwrap_or_default());
        if let Some(name) = text("tell") {
            let live = question.get("live").and_then(Value::as_bool).unwrap_or_default();
            let name = JsValue::from_str(name);
            sql.run(
                "INSERT INTO document (name, live, life, updates, bytes) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (name) DO UPDATE SET live = excluded.live, life = excluded.life,
                    updates = excluded.updates, bytes = excluded.bytes WHERE excluded.life >= life",
                &[name, number(live.into()), integer("life"), integer("updates"), integer("bytes")],
            )?;
            Ok(Value::Null)
        } else if let (Some(prefix), Some(after)) = (text("list"), text("after")) {
            let from = JsValue::from_str(prefix.max(after));
            let mut entries = sql.rows(
                "SELECT name, updates, bytes FROM document WHERE name >= ? AND name <> ? AND live
                 ORDER BY name LIMIT ?",
                &[from, JsValue::from_str(after), integer("limit")],
                |row| Some((row.text(0)?, row.number(1)?, row.number(2)?)),
            )?;
            // They are sorted: the first that begins otherwise ends the list.
            let end = entries.iter().position(|(name, ..)| !name.starts_with(prefix));
            entries.truncate(end.unwrap_or(entries.len()));
            let entry = |(name, updates, bytes)| json!({ "name": name, "updates": updates, "bytes": bytes });
            Ok(entries.into_iter().map(entry).collect())
        } else {
            // Whether it can be written and read: no document has an empty name.
            sql.run("INSERT OR REPLACE INTO document VALUES ('', 0, ?, 0, 0)", &[number(web::now().0)])?;
            let read = sql.row("SELECT 1 FROM document WHERE name = ''", &[], |_| Some(()))?;
            if read.is_some() { Ok(Value::Null) } else { Err(LogError::Corrupt) }
        }
    }
}

impl DurableObject for Catalog {
    fn new(state: State, _: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        match self.answer(&serde_json::from_slice(&request.bytes().await?)?) {
            Ok(answer) => Response::ok(answer.to_string()),
            Err(error) => Response::error(error.to_string(), 503),
        }
    }
}
