//! WebSockets behind a GRIP proxy: what is read of it, what is believed, and what it is answered.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod events;
mod exchange;
mod hold;
mod publish;
mod signature;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use yonder_core::Millis;
use yonder_core::grip::Proxies;

const NOW: Millis = Millis(1_800_000_000_000);
const URL: &str = "http://127.0.0.1:5561/?verify-iss=pushpin&verify-key=secret";

fn proxies() -> Proxies {
    Proxies::parse(URL).unwrap()
}

/// A token as Pushpin signs it.
fn signed(header: &str, claims: &str, secret: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

const HS256: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

fn claims(issuer: &str, seconds: u64) -> String {
    format!(r#"{{"iss":"{issuer}","exp":{}}}"#, NOW.0 / 1000 + seconds)
}

fn grip_sig() -> String {
    signed(HS256, &claims("pushpin", 3600), "secret")
}
