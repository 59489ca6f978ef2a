//! What the deployment says: variables, secrets, bindings.

use std::sync::Arc;
use wasm_bindgen::prelude::*;
use worker::js_sys::{Object, Reflect};
use worker::{Bucket, Env, console_error, kv::KvStore, web_sys};
use yonder_core::http::{Access, Config};
use yonder_core::limits::{Compaction, Limits};
use yonder_core::settings;

const ADVICE: &str = "Give it a key with 'wrangler secret put YONDER_AUTH_KEY', or open it to everyone with the \
                      variable YONDER_INSECURE_OPEN = \"true\"";

/// The binding of Workers KV.
const SNAPSHOTS: &str = "SNAPSHOTS";

#[wasm_bindgen]
extern "C" {
    /// A Durable Object class's binding.
    #[derive(Clone, Debug)]
    pub(crate) type Namespace;
    #[wasm_bindgen(method, catch)]
    fn jurisdiction(this: &Namespace, name: &str) -> Result<Namespace, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn get_by_name(this: &Namespace, name: &str, options: &Object) -> Result<Stub, JsValue>;

    /// Where requests to one object go.
    pub(crate) type Stub;
    #[wasm_bindgen(method, catch)]
    async fn fetch(this: &Stub, request: &web_sys::Request) -> Result<JsValue, JsValue>;
}

/// Everything that a deployment sets.
pub(crate) struct Setup {
    pub(crate) config: Arc<Config>,
    env: Env,
    location_hint: Option<String>,
    jurisdiction: Option<String>,
    /// Whether snapshots are published.
    pub(crate) publishes: bool,
}

impl Setup {
    pub(crate) fn read(env: &Env) -> Self {
        let get = |name: &str| variable(env, name);
        let publishes = env.kv(SNAPSHOTS).is_ok();
        let mut limits = limits();
        if publishes {
            // What is published of a document at rest is all of it.
            limits.compaction.idle_updates = 1;
        }
        let config = settings::config(&get, limits, ADVICE);
        if let Access::Closed(why) = &config.access {
            console_error!("{why}");
        }
        let (location_hint, jurisdiction) = (get("YONDER_LOCATION_HINT"), get("YONDER_JURISDICTION"));
        Self { config: Arc::new(config), env: env.clone(), location_hint, jurisdiction, publishes }
    }

    /// The object with this name of a class.
    pub(crate) fn object(&self, binding: &str, name: &str) -> Result<Stub, JsValue> {
        let mut namespace: Namespace = Reflect::get(&self.env, &binding.into())?.unchecked_into();
        if namespace.is_undefined() {
            return Err(JsValue::from_str(&format!("there is no binding {binding}")));
        }
        if let Some(jurisdiction) = &self.jurisdiction {
            namespace = namespace.jurisdiction(jurisdiction)?;
        }
        let options = Object::new();
        if let Some(hint) = &self.location_hint {
            Reflect::set(&options, &"locationHint".into(), &JsValue::from_str(hint))?;
        }
        namespace.get_by_name(name, &options)
    }

    /// Where snapshots are published, if anywhere.
    pub(crate) fn published(&self) -> Option<KvStore> {
        self.env.kv(SNAPSHOTS).ok()
    }

    /// Where large values are kept, if not beside the log.
    pub(crate) fn bucket(&self) -> Option<Bucket> {
        self.env.bucket("BLOBS").ok()
    }
}

impl Stub {
    /// Asks the object.
    pub(crate) async fn ask(&self, request: &web_sys::Request) -> Result<web_sys::Response, JsValue> {
        self.fetch(request).await?.dyn_into()
    }
}

/// A variable or secret as text; a number that is written as one in `wrangler.toml` as well.
fn variable(env: &Env, name: &str) -> Option<String> {
    let value = Reflect::get(env, &JsValue::from_str(name)).ok()?;
    let number = value.as_f64().map(|number| number.to_string());
    let text = value.as_string().or(number).or_else(|| value.as_bool().map(|value| value.to_string()));
    text.filter(|text| !text.is_empty())
}

/// An isolate has 128 MB for all the objects in it.
fn limits() -> Limits {
    Limits {
        document_bytes: 32 << 20,
        unstored_bytes: 32 << 20,
        view_bytes: 8 << 20,
        // Shorter than what an object without work is kept for, so that it is not the replica which keeps it.
        replica_idle: 5_000,
        // A commit is billed by the rows that it writes. Until then an edit is with its client, and with all who saw it.
        commit_interval: 500,
        // The platform gives an object its next frame only when it has confirmed what the last one wrote.
        commit_pause: 10,
        // y-sweet's clients ask after every edit, and many edits can come within such a pause.
        waiting: 1_024,
        // A cold load is one range of rows.
        compaction: Compaction { updates: 1_000, ..Limits::default().compaction },
        ..Limits::default()
    }
}
