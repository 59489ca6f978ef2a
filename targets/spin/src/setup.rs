//! What the application says by its variables, and what its store can do.

use crate::store::SpinKv;
use spin_sdk::variables;
use std::collections::BTreeMap;
use yonder_core::grip::Proxies;
use yonder_core::http::{Access, Config};
use yonder_core::kv::{Kv as _, KvConfig, KvError};
use yonder_core::limits::Limits;
use yonder_core::settings;

const ADVICE: &str = "Give it a key with '--variable yonder_auth_key=...', or open it to everyone with \
                      '--variable yonder_insecure_open=true'";

/// `sequenced`, `listed`, or empty for what the store can do.
const LOG: &str = "yonder_log";
/// Where the store keeps which of the two its documents are in. No document's keys begin so.
const CHOSEN: &str = "klog";
/// A counter that counts nothing.
const PROBE: &str = "kprobe";

/// How documents are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lowering {
    Sequenced,
    Listed,
}

/// Reads the application's variables.
pub(crate) async fn config() -> Config {
    let mut values = BTreeMap::new();
    for name in settings::names() {
        values.insert(name, variable(&name.to_ascii_lowercase()).await);
    }
    let config =
        settings::config(&|name| values.get(name).cloned().flatten(), Limits::of_functions(), ADVICE);
    if let Access::Closed(why) = &config.access {
        log!("{why}");
    }
    config
}

/// The GRIP proxies that hold sockets, if any do.
pub(crate) async fn proxies() -> Result<Option<Proxies>, KvError> {
    let Some(urls) = variable("yonder_grip_url").await else { return Ok(None) };
    Proxies::parse(&urls).map(Some).map_err(|error| {
        log!("yonder_grip_url is wrong: {error}");
        KvError::Refused
    })
}

/// A variable; one that is empty is not set.
async fn variable(name: &str) -> Option<String> {
    variables::get(name).await.ok().filter(|value| !value.is_empty())
}

/// Tells how documents are kept in this store. Whoever comes first decides, and notes it: instances that kept them in
/// two ways would not see each other's edits.
pub(crate) async fn lowering(kv: &SpinKv) -> Result<Lowering, KvError> {
    match variable(LOG).await.as_deref() {
        Some("sequenced") => return Ok(Lowering::Sequenced),
        Some("listed") => return Ok(Lowering::Listed),
        Some(_) => {
            log!("{LOG} is neither 'sequenced' nor 'listed'");
            return Err(KvError::Refused);
        }
        None => {}
    }
    if let Some(chosen) = kv.get(CHOSEN).await? {
        return Ok(if *chosen == *b"listed" { Lowering::Listed } else { Lowering::Sequenced });
    }
    let counts = kv.can_count(PROBE).await || kv.can_count(PROBE).await || kv.can_count(PROBE).await;
    let (lowering, name) =
        if counts { (Lowering::Sequenced, "sequenced") } else { (Lowering::Listed, "listed") };
    log!("this store keeps documents as '{name}'");
    kv.set(CHOSEN, name.into()).await?;
    Ok(lowering)
}

/// The store answers a read in microseconds, and reads are what a platform bounds last: what an instance knows of a
/// document's life is never believed. Who is told that an edit is stored did not write to a document that was deleted.
pub(crate) fn kv_config() -> KvConfig {
    KvConfig { trust: 0, ..KvConfig::default() }
}
