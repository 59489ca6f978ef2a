//! The settings of hosts that have no command line: variables, named as the native server's and with its units.
//!
//! A setting that is wrong closes the server instead of being passed over: a limit that does not hold, or a server
//! that is open by mistake, would be found too late.

use crate::http::{Access, Config};
use crate::limits::Limits;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A variable, what it may be, and what it sets.
type Number = (&'static str, RangeInclusive<u64>, fn(&mut Limits, u64));

/// Every number. What goes into a `usize` fits into one of 32 bits.
const NUMBERS: &[Number] = &[
    ("YONDER_LONG_POLL_SECONDS", 1..=3_600, |limits, n| limits.long_poll = n * 1000),
    ("YONDER_SSE_SECONDS", 1..=86_400, |limits, n| limits.event_stream = n * 1000),
    ("YONDER_MAX_HELD_PER_DOCUMENT", 0..=1_000_000, |limits, n| limits.held = n as usize),
    ("YONDER_MAX_CONNECTIONS_PER_DOCUMENT", 0..=1_000_000, |limits, n| limits.connections = n as usize),
    ("YONDER_MAX_DOCUMENT_MB", 0..=1_000_000, |limits, n| limits.document_bytes = n << 20),
    ("YONDER_MAX_MESSAGE_MB", 1..=2_047, |limits, n| {
        limits.frame_bytes = (n as usize) << 20;
        limits.update_bytes = limits.frame_bytes;
    }),
    ("YONDER_COMPACT_UPDATES", 1..=1_000_000_000, |limits, n| limits.compaction.updates = n),
    ("YONDER_COMPACT_KB", 1..=1_000_000_000, |limits, n| limits.compaction.bytes = n << 10),
    ("YONDER_COMMIT_INTERVAL_MS", 0..=60_000, |limits, n| limits.commit_interval = n),
];

/// The names of all settings.
pub fn names() -> impl Iterator<Item = &'static str> {
    NUMBERS.iter().map(|(name, ..)| *name).chain([
        "YONDER_PUBLIC_URL",
        "YONDER_AUTH_KEY",
        "YONDER_INSECURE_OPEN",
    ])
}

/// Reads all settings: `get` gives a variable, `limits` is what holds where none says otherwise. If one is wrong, the
/// server is closed ([`Access::Closed`]) and says which; `advice` as in [`Access::from_settings`].
pub fn config(get: &dyn Fn(&str) -> Option<String>, limits: Limits, advice: &str) -> Config {
    let read = |mut limits: Limits| {
        for (name, range, set) in NUMBERS {
            if let Some(text) = get(name) {
                let number = text.parse().ok().filter(|number| range.contains(number));
                let (least, most) = (range.start(), range.end());
                let wrong = || format!("{name} is no whole number from {least} to {most}");
                set(&mut limits, number.ok_or_else(wrong)?);
            }
        }
        let url = get("YONDER_PUBLIC_URL").map(|url| public_url(&url));
        let url = url.transpose().map_err(|error| format!("YONDER_PUBLIC_URL is wrong: {error}"))?;
        Ok::<_, String>((url, limits))
    };
    let (keys, open) = (get("YONDER_AUTH_KEY"), get("YONDER_INSECURE_OPEN"));
    let (access, public_url, limits) = match read(limits.clone()) {
        Ok((url, limits)) => (Access::from_settings(keys.as_deref(), open.as_deref(), advice), url, limits),
        Err(reason) => (Access::closed(&reason), None, limits),
    };
    Config { access, public_url, limits: Arc::new(limits) }
}

/// Checks where clients reach the server: scheme and host.
pub fn public_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['?', '#', ' ']) => Ok(text.to_owned()),
        _ => Err("it begins with https:// or http:// and has no query".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Config {
        let get = |name: &str| {
            let setting = settings.iter().find(|(known, _)| *known == name);
            setting.map(|(_, value)| (*value).to_owned())
        };
        config(&get, Limits { held: 7, ..Limits::default() }, "Do this.")
    }

    #[test]
    fn what_is_not_set_is_as_the_host_has_it() {
        let config = read(&[("YONDER_AUTH_KEY", "secret")]);
        assert!(matches!(config.access, Access::Keys(_)) && config.public_url.is_none());
        assert_eq!(*config.limits, Limits { held: 7, ..Limits::default() });
        assert!(matches!(read(&[]).access, Access::Closed(_)));
    }

    #[test]
    fn every_number_sets_its_limit_in_its_unit() {
        let config = read(&[
            ("YONDER_INSECURE_OPEN", "true"),
            ("YONDER_PUBLIC_URL", "https://sync.example"),
            ("YONDER_LONG_POLL_SECONDS", "1"),
            ("YONDER_SSE_SECONDS", "2"),
            ("YONDER_MAX_HELD_PER_DOCUMENT", "3"),
            ("YONDER_MAX_CONNECTIONS_PER_DOCUMENT", "4"),
            ("YONDER_MAX_DOCUMENT_MB", "5"),
            ("YONDER_MAX_MESSAGE_MB", "6"),
            ("YONDER_COMPACT_UPDATES", "7"),
            ("YONDER_COMPACT_KB", "8"),
            ("YONDER_COMMIT_INTERVAL_MS", "9"),
        ]);
        let mut expected = Limits {
            long_poll: 1_000,
            event_stream: 2_000,
            held: 3,
            connections: 4,
            document_bytes: 5 << 20,
            frame_bytes: 6 << 20,
            update_bytes: 6 << 20,
            commit_interval: 9,
            ..Limits::default()
        };
        (expected.compaction.updates, expected.compaction.bytes) = (7, 8 << 10);
        assert_eq!(*config.limits, expected);
        assert!(matches!(config.access, Access::Open), "{:?}", config.access);
        assert_eq!(config.public_url.as_deref(), Some("https://sync.example"));
    }

    #[test]
    fn every_setting_is_named() {
        let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let get = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            None
        };
        config(&get, Limits::default(), "");
        assert_eq!(asked.into_inner(), names().map(str::to_owned).collect());
    }

    #[test]
    fn the_least_and_the_most_are_taken_and_what_lies_beyond_closes_the_server() {
        for (name, range, _) in NUMBERS {
            let open = |value: &str| read(&[("YONDER_INSECURE_OPEN", "true"), (name, value)]).access;
            for value in [range.start(), range.end()] {
                assert!(matches!(open(&value.to_string()), Access::Open), "{name}={value}");
            }
            let beyond = [range.end() + 1, range.start().wrapping_sub(1)].map(|value| value.to_string());
            let none = ["", "x", "-1", "1.5", " 1", "1e3", "0x1", "18446744073709551616", "\u{0661}"];
            for value in none.into_iter().chain(beyond.iter().map(String::as_str)) {
                let Access::Closed(why) = open(value) else { panic!("{name}={value}") };
                let expected = format!(
                    "this server is not set up: {name} is no whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                assert_eq!(why, expected, "{value}");
            }
        }
    }

    #[test]
    fn a_number_that_fits_here_fits_where_addresses_have_32_bits() {
        for (name, range, set) in NUMBERS {
            let mut limits = Limits::default();
            set(&mut limits, *range.end());
            for bytes in [limits.frame_bytes, limits.update_bytes, limits.held, limits.connections] {
                assert!(u32::try_from(bytes).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn an_address_that_is_none_closes_the_server() {
        for url in ["", "sync.example", "ftp://sync.example", "https://", "https://a?b", "https://a b"] {
            let config = read(&[("YONDER_AUTH_KEY", "secret"), ("YONDER_PUBLIC_URL", url)]);
            let Access::Closed(why) = config.access else { panic!("{url}") };
            assert!(why.contains("YONDER_PUBLIC_URL"), "{why}");
            assert_eq!(config.public_url, None);
        }
    }
}
