//! Who may do what without a token.

use super::{ApiError, Request};
use crate::auth::Keys;

/// Who may do what without a token.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nobody anything: every request needs a token of one of these keys.
    Keys(Keys),
    /// Everybody everything: the server can only be reached from its own machine. Pages of other sites, which
    /// a browser on that machine would let through, are refused by their origin and by the name that they call
    /// this server (a name of theirs may lead here).
    OpenOnLoopback,
    /// Everybody everything.
    Open,
    /// Nobody anything, with or without a token: the server is not set up, and this says why and what to do. For
    /// hosts that cannot refuse to start. Every request is answered so, but for preflights.
    Closed(String),
}

impl Access {
    /// Reads the settings of a host whose server is open on purpose only. `keys`: `YONDER_AUTH_KEY`, one a line, which
    /// counts before the other one; `open`: `YONDER_INSECURE_OPEN`, `loopback` or `true`. Whatever is wrong closes the
    /// server. `advice`: how it is given a key, or opened, on this host; in whole sentences.
    pub fn from_settings(keys: Option<&str>, open: Option<&str>, advice: &str) -> Self {
        let closed = |reason: &str| Self::closed(&format!("{reason}. {advice}"));
        match (keys, open) {
            (Some(keys), _) => match Keys::parse(keys.lines()) {
                Ok(keys) => Self::Keys(keys),
                Err(error) => closed(&format!("in YONDER_AUTH_KEY, {error}")),
            },
            (None, Some("loopback")) => Self::OpenOnLoopback,
            (None, Some("true")) => Self::Open,
            (None, None | Some("" | "false")) => closed("it has no key"),
            (None, Some(_)) => {
                closed("it has no key, and YONDER_INSECURE_OPEN is neither 'loopback' nor 'true'")
            }
        }
    }

    /// A server that is closed for this reason.
    pub(crate) fn closed(reason: &str) -> Self {
        Self::Closed(format!("this server is not set up: {reason}"))
    }

    /// Whether a request may come from where it comes from.
    pub(super) fn check_origin(&self, request: &Request<'_>) -> Result<(), ApiError> {
        let local =
            |header, name: fn(&str) -> &str| request.header(header).is_none_or(|value| is_local(name(value)));
        let of_this_machine = || {
            local("origin", |origin| origin.split_once("://").map_or("", |(_, host)| host))
                && local("host", |host| host)
        };
        if matches!(self, Self::OpenOnLoopback) && !of_this_machine() {
            return Err(ApiError::foreign_origin());
        }
        Ok(())
    }
}

/// Whether a host, with or without a port, is this machine.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.ends_with(".localhost") || name == "127.0.0.1" || name == "::1"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(keys: Option<&str>, open: Option<&str>) -> String {
        match Access::from_settings(keys, open, "Do this.") {
            Access::Closed(why) => why,
            other @ (Access::Keys(_) | Access::OpenOnLoopback | Access::Open) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_is_open_only_if_that_is_said() {
        let access = |open| Access::from_settings(None, Some(open), "");
        assert!(
            matches!(access("loopback"), Access::OpenOnLoopback) && matches!(access("true"), Access::Open)
        );
        for open in [None, Some(""), Some("false")] {
            assert_eq!(closed(None, open), "this server is not set up: it has no key. Do this.");
        }
        for open in ["1", "True", " true", "loopback\n", "yes"] {
            assert!(closed(None, Some(open)).contains("YONDER_INSECURE_OPEN"), "{open:?}");
        }
    }

    #[test]
    fn keys_come_one_a_line_and_count_before_an_open_mode() {
        for keys in ["new:a\nold:b", "new:a\r\nold:b\r\n", "new:a\nold:b\n"] {
            let Access::Keys(keys) = Access::from_settings(Some(keys), Some("true"), "") else { panic!() };
            assert_eq!(format!("{keys:?}"), r#"["new", "old"]"#);
        }
    }

    #[test]
    fn a_key_that_is_none_closes_the_server_and_is_not_told() {
        for keys in ["", "\n", ":secret", "secret:", "a:secret\n\nb:secret", "secret\n:"] {
            for open in [None, Some("true"), Some("loopback")] {
                let why = closed(Some(keys), open);
                let tells = why.contains("YONDER_AUTH_KEY") && why.ends_with("Do this.");
                assert!(tells && !why.contains("secret"), "{keys:?}: {why}");
            }
        }
    }
}
