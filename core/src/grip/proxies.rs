//! The proxies that a server knows, as settings name them: `GRIP_URL`.

use super::sealed::{self, SealKey};
use super::signature::{self, Key, SignatureError, Verifier};
use crate::effect::Millis;
use crate::name::percent_decode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The public key with which Fastly Fanout signs, whatever the service.
/// (<https://www.fastly.com/documentation/guides/concepts/real-time-messaging/fanout/>)
pub const FASTLY_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECKo5A1ebyFcnmVV8SE5On+8G81Jy
BjSvcrx4VLetWCjuDAmppTo3xM/zz763COTCgHfp/6lPdCyYjjqc+GM7sw==
-----END PUBLIC KEY-----";

/// Seconds for which a token that we sign for a proxy is good.
const CONTROL_SECONDS: u64 = 600;

/// The proxies.
#[derive(Clone)]
pub struct Proxies {
    proxies: Vec<Proxy>,
    /// What seals parked sessions: the first does, all open.
    seals: Vec<SealKey>,
}

/// One proxy.
#[derive(Clone)]
pub struct Proxy {
    publish_url: String,
    auth: Auth,
    verifiers: Vec<Verifier>,
}

#[derive(Clone)]
enum Auth {
    None,
    Bearer(String),
    Signed { issuer: String, key: Box<Hmac<Sha256>> },
}

impl core::fmt::Debug for Proxies {
    // Never the secrets.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.proxies.iter().map(|proxy| &proxy.publish_url)).finish()
    }
}

impl Proxies {
    /// Reads one URL for each proxy, divided by white space, as the libraries for GRIP have them:
    /// `CONTROL_URL?key=K&iss=I&verify-key=K&verify-iss=I`, percent-encoded, a key also as `base64:...`.
    ///
    /// - `CONTROL_URL/publish/` is where to publish: `http://127.0.0.1:5561` for Pushpin,
    ///   `https://api.fastly.com/service/SERVICE` for Fastly.
    /// - `key` is sent along there, as a bearer token, or signs one if there is `iss` as well.
    /// - `verify-key` and `verify-iss` are what `Grip-Sig` is checked against: the secret that is Pushpin's `sig_key`
    ///   (HS256) and its `sig_iss`; or a public key in PEM or DER (ES256). With `fastly:SERVICE` as issuer it is
    ///   [`FASTLY_KEY`] if not given; else `key`. Given several times any of them will do, so that keys can be
    ///   replaced: the new one first.
    ///
    /// # Errors
    /// What is wrong, for people. A proxy without a secret is refused: parked sessions could be forged.
    pub fn parse(urls: &str) -> Result<Self, &'static str> {
        let mut all = Self { proxies: Vec::new(), seals: Vec::new() };
        for url in urls.split_whitespace() {
            let (proxy, secrets) = Proxy::parse(url)?;
            let seals = secrets.iter().map(|secret| sealed::key(secret).ok_or("a key has no usable length"));
            all.seals.extend(seals.collect::<Result<Vec<_>, _>>()?);
            all.proxies.push(proxy);
        }
        if all.proxies.is_empty() { Err("there is no proxy") } else { Ok(all) }
    }

    /// Whether a request with this `Grip-Sig` is one of these proxies'.
    ///
    /// # Errors
    /// If it is not, and why.
    pub fn verify(&self, grip_sig: Option<&str>, now: Millis) -> Result<(), SignatureError> {
        signature::verify(grip_sig, self.proxies.iter().flat_map(|proxy| &proxy.verifiers), now)
    }

    /// Each of them, to publish there.
    pub fn iter(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.iter()
    }

    pub(super) fn seals(&self) -> &[SealKey] {
        &self.seals
    }
}

impl Proxy {
    /// The proxy, and the secrets of which keys can be made.
    fn parse(url: &str) -> Result<(Self, Vec<Vec<u8>>), &'static str> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            return Err("a proxy is given by a URL that begins with http:// or https://");
        }
        let (mut issuer, mut key, mut verify_issuer, mut verify_keys) = (None, None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("a parameter of a proxy's URL has no value")?;
            let value = percent_decode(value).ok_or("a proxy's URL is not percent-encoded")?;
            match name {
                "iss" => issuer = Some(text(value)?),
                "key" => key = Some(bytes(value)?),
                "verify-iss" => verify_issuer = Some(text(value)?),
                "verify-key" => verify_keys.push(bytes(value)?),
                _ => return Err("a proxy's URL takes key, iss, verify-key and verify-iss only"),
            }
        }
        if verify_keys.is_empty() {
            let is_fastly = verify_issuer.as_ref().is_some_and(|issuer| issuer.starts_with("fastly:"));
            verify_keys.extend(if is_fastly { Some(FASTLY_KEY.into()) } else { key.clone() });
        }
        let mut secrets = Vec::new();
        let mut verifiers = Vec::new();
        for bytes in verify_keys {
            let key = Key::parse(&bytes)?;
            if matches!(key, Key::Hs256(_)) {
                secrets.push(bytes);
            }
            verifiers.push(Verifier { issuer: verify_issuer.clone(), key });
        }
        if verifiers.is_empty() {
            return Err("a proxy's URL has no verify-key");
        }
        if secrets.is_empty() {
            secrets.push(key.clone().ok_or("a proxy with a public key also needs a secret: key")?);
        }
        let auth = match (key, issuer) {
            (None, _) => Auth::None,
            (Some(key), None) => Auth::Bearer(text(key)?),
            (Some(key), Some(issuer)) => {
                let key = Hmac::new_from_slice(&key).map_err(|_| "a key has no usable length")?;
                Auth::Signed { issuer, key: Box::new(key) }
            }
        };
        let publish_url = format!("{}/publish/", base.trim_end_matches('/'));
        Ok((Self { publish_url, auth, verifiers }, secrets))
    }

    /// Where [`super::publish::bodies`] go, by `POST`, as `application/json`. 200 means that the proxy has them.
    pub fn publish_url(&self) -> &str {
        &self.publish_url
    }

    /// The value of `Authorization` there, if there is to be one.
    pub fn authorization(&self, now: Millis) -> Option<String> {
        match &self.auth {
            Auth::None => None,
            Auth::Bearer(token) => Some(format!("Bearer {token}")),
            Auth::Signed { issuer, key } => {
                let claims = serde_json::json!({ "iss": issuer, "exp": now.0 / 1000 + CONTROL_SECONDS });
                let [header, claims] = [r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string()]
                    .map(|part| URL_SAFE_NO_PAD.encode(part));
                let signed = format!("{header}.{claims}");
                let signature = key.as_ref().clone().chain_update(&signed).finalize().into_bytes();
                Some(format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
            }
        }
    }
}

fn text(value: Vec<u8>) -> Result<String, &'static str> {
    let text = String::from_utf8(value).ok().filter(|text| !text.is_empty());
    // What goes into a header.
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
    text.ok_or("a parameter of a proxy's URL is empty, or has other characters than those of ASCII")
}

fn bytes(value: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    let decoded = match value.strip_prefix(b"base64:") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| "a proxy's key is not base64")?,
        None => value,
    };
    if decoded.is_empty() { Err("a proxy's key is empty") } else { Ok(decoded) }
}
