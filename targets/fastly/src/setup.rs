//! What the service's Config Store and Secret Store say.

use fastly::{ConfigStore, SecretStore};
use std::collections::BTreeMap;
use yonder_core::grip::Proxies;
use yonder_core::http::{Access, Config};
use yonder_core::kv::{KvConfig, KvError};
use yonder_core::limits::{Compaction, Limits, Reread};
use yonder_core::settings;

const ADVICE: &str = "Give it a key in the Secret Store 'yonder_secrets' as 'yonder_auth_key', or open it to everyone \
                      with 'yonder_insecure_open' = 'true' in the Config Store 'yonder_config'";

/// The stores' names, as `fastly.toml` has them.
const CONFIG: &str = "yonder_config";
const SECRETS: &str = "yonder_secrets";

/// The settings of a service.
pub(crate) struct Settings {
    config: Option<ConfigStore>,
    secrets: Option<SecretStore>,
}

impl Settings {
    pub(crate) fn open() -> Self {
        Self { config: ConfigStore::try_open(CONFIG).ok(), secrets: SecretStore::open(SECRETS).ok() }
    }

    /// A setting, secret or not; one that is empty is not set.
    fn get(&self, name: &str) -> Option<String> {
        let secret = self.secrets.as_ref().and_then(|store| store.try_get(name).ok().flatten());
        let secret = secret.and_then(|secret| String::from_utf8(secret.try_plaintext().ok()?.into()).ok());
        let config = || self.config.as_ref()?.try_get(name).ok().flatten();
        secret.or_else(config).filter(|value| !value.is_empty())
    }

    pub(crate) fn config(&self) -> Config {
        let values: BTreeMap<_, _> =
            settings::names().map(|name| (name, self.get(&name.to_ascii_lowercase()))).collect();
        let config = settings::config(&|name| values.get(name).cloned().flatten(), limits(), ADVICE);
        if let Access::Closed(why) = &config.access {
            log!("{why}");
        }
        config
    }

    /// Fanout, or the GRIP proxies that hold sockets, if any do.
    pub(crate) fn proxies(&self) -> Result<Option<Proxies>, KvError> {
        let Some(urls) = self.get("yonder_grip_url") else { return Ok(None) };
        Proxies::parse(&urls).map(Some).map_err(|error| {
            log!("yonder_grip_url is wrong: {error}");
            KvError::Refused
        })
    }
}

/// A key is written once a second at most. A request may take 50 ms of the processor: an event stream that reads the log
/// again four times a second, and less often while nothing comes, takes less than half of that. It may also send 32 requests
/// to backends, which those to the store may count among: so a tail is kept short, by whoever writes, as they ask least.
fn limits() -> Limits {
    let limits = Limits::of_functions();
    let reread = Reread { first: 250, steady: 400, ..limits.reread };
    let compaction = Compaction { updates: 12, written: 1, read: 2, ..limits.compaction };
    Limits { presence_pause: 1_100, reread, compaction, ..limits }
}

/// What the log may ask for at once, by the same measure.
pub(crate) fn log() -> KvConfig {
    KvConfig { apart: Some(20), ..KvConfig::default() }
}
