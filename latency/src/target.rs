//! Where a host is: its URL, taken apart once.

use crate::failure::{Failure, Kind};
use crate::legible::legible;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::net::IpAddr;
use url::{Host, Url};

/// What a segment of a path may have besides letters and digits, and the slash between them.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A server to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// As it is shown: without credentials.
    pub(crate) shown: String,
    /// Name or address.
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    pub(crate) secure: bool,
    pub(crate) token: Option<String>,
    /// What stands before every path; without a slash at the end.
    base: String,
}

impl Target {
    /// Reads a URL. `https`, `http`, `wss` and `ws` are known; a token may be its `?token=`.
    pub(crate) fn parse(text: &str, token: Option<&str>) -> Result<Self, Failure> {
        let wrong =
            |why: &str| Failure::new(Kind::Url, format!("{} is no URL of a server: {why}", redacted(text)));
        let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let secure = match url.scheme() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            other => return Err(wrong(&format!("{other:?} is not http or https"))),
        };
        let own = url.query_pairs().find(|(name, _)| name == "token").map(|(_, value)| value.into_owned());
        url.set_query(None);
        url.set_fragment(None);
        let host = url.host().ok_or_else(|| wrong("it names no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| wrong("it names no port"))?;
        let base = url.path().trim_end_matches('/').to_owned();
        let scheme = if secure { "https" } else { "http" };
        let at = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let shown = format!("{scheme}://{at}{base}");
        Ok(Self { shown, host, port, secure, token: token.map(str::to_owned).or(own), base })
    }

    /// The address that the URL has in place of a name.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// What stands in the header `Host`.
    pub(crate) fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }

    /// A path on this server.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A document as it is addressed over HTTP.
    pub(crate) fn stream(&self, doc: &str) -> String {
        self.path(&format!("/v1/yjs/default/docs/{}", utf8_percent_encode(doc, PATH)))
    }

    /// A document's WebSocket.
    pub(crate) fn socket(&self, doc: &str) -> String {
        format!("ws://{}{}", self.authority(), self.path(&format!("/ws/{}", utf8_percent_encode(doc, PATH))))
    }
}

/// What was given as a URL, without anything that may be a secret.
pub(crate) fn redacted(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let text = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        (_, None) => text.to_owned(),
    };
    legible(&percent_decode_str(&text).decode_utf8_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_is_secret() {
        let target = Target::parse("https://ann:hunter2@example.org/base/?token=s3cret#x", None).unwrap();
        assert_eq!(target.shown, "https://example.org/base");
        assert_eq!(target.token.as_deref(), Some("s3cret"));
        assert_eq!((target.port, target.secure, target.authority()), (443, true, "example.org".to_owned()));
        assert_eq!(target.stream("a/b c"), "/base/v1/yjs/default/docs/a/b%20c");
        for bad in
            ["ftp://ann:hunter2@example.org", "//ann:hunter2@x", "http://:hunter2@", "nothing?token=hunter2"]
        {
            let failure = Target::parse(bad, None).unwrap_err();
            assert_eq!(failure.kind, Kind::Url, "{bad}");
            assert!(!failure.message.contains("hunter2"), "{}", failure.message);
        }
    }

    #[test]
    fn sockets_have_the_scheme_and_path_of_their_server() {
        let target = Target::parse("wss://[::1]:8443", Some("given")).unwrap();
        assert_eq!(target.shown, "https://[::1]:8443");
        assert_eq!(target.socket("ä"), "ws://[::1]:8443/ws/%C3%A4");
        assert!(target.address().is_some() && target.token.as_deref() == Some("given"));
    }
}
