//! The parked session as the proxy keeps it: a header's value, with a code that only this server can make.
//!
//! The code covers the document and the connection, so that a session is good for nothing else. A proxy passes plain
//! requests of its clients on with its own signature, and one of those may bring a session along: Pushpin 1.36 refuses the
//! type of a WebSocket's requests, but not where it is the second of two.

use crate::name::DocName;
use crate::session::PARKED_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of the code: half of what HMAC SHA-256 gives (RFC 2104, 5).
const CODE: usize = 16;
/// Characters of a value: 2,070 of base64url (RFC 4648, 5). Proxies and hosts take headers of several times that.
const VALUE_MAX: usize = (CODE + PARKED_MAX).div_ceil(3) * 4;

/// A key of [`seal`].
pub(super) type SealKey = Hmac<Sha256>;

/// A key from a secret that is also used elsewhere.
pub(super) fn key(secret: &[u8]) -> Option<SealKey> {
    let derived = Hmac::<Sha256>::new_from_slice(secret).ok()?.chain_update(b"yonder: parked sessions");
    Hmac::new_from_slice(&derived.finalize().into_bytes()).ok()
}

/// The value of `Set-Meta-Session`.
pub(super) fn seal(key: &SealKey, doc: &DocName, connection: &str, parked: &[u8]) -> String {
    let code = covering(key, doc, connection, parked).finalize().into_bytes();
    let mut sealed = Vec::with_capacity(CODE + parked.len());
    sealed.extend(code.iter().take(CODE));
    sealed.extend_from_slice(parked);
    URL_SAFE_NO_PAD.encode(sealed)
}

/// The parked session; none if the value was not made with one of the keys for this connection and document.
pub(super) fn open(keys: &[SealKey], doc: &DocName, connection: &str, value: &str) -> Option<Bytes> {
    if value.len() > VALUE_MAX {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let (code, parked) = sealed.split_at_checked(CODE)?;
    let opens = |key| covering(key, doc, connection, parked).verify_truncated_left(code).is_ok();
    keys.iter().any(opens).then(|| Bytes::copy_from_slice(parked))
}

fn covering(key: &SealKey, doc: &DocName, connection: &str, parked: &[u8]) -> SealKey {
    let doc = doc.internal().as_bytes();
    // With their lengths, no two of these read the same.
    let lengths = [doc.len(), connection.len()].map(|length| (length as u64).to_be_bytes());
    key.clone().chain_update(lengths.concat()).chain_update(doc).chain_update(connection).chain_update(parked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[&str]) -> Vec<SealKey> {
        secrets.iter().map(|secret| key(secret.as_bytes()).unwrap()).collect()
    }

    fn doc(name: &str) -> DocName {
        DocName::new(name).unwrap()
    }

    #[test]
    fn a_session_comes_back_only_for_its_connection_and_document() {
        let keys = keys(&["secret"]);
        let value = seal(&keys[0], &doc("a"), "c1", b"parked");
        assert_eq!(open(&keys, &doc("a"), "c1", &value).as_deref(), Some(&b"parked"[..]));
        assert_eq!(open(&keys, &doc("b"), "c1", &value), None);
        assert_eq!(open(&keys, &doc("a"), "c2", &value), None);
        let other = seal(&keys[0], &doc("ac"), "1", b"parked");
        assert_eq!(open(&keys, &doc("a"), "c1", &other), None);
    }

    #[test]
    fn a_changed_or_shortened_value_is_nothing() {
        let keys = keys(&["secret"]);
        let value = seal(&keys[0], &doc("a"), "c", b"parked");
        for end in 0..value.len() {
            assert_eq!(open(&keys, &doc("a"), "c", &value[..end]), None, "cut at {end}");
            let mut changed = value.clone().into_bytes();
            changed[end] = if changed[end] == b'A' { b'B' } else { b'A' };
            assert_eq!(open(&keys, &doc("a"), "c", &String::from_utf8(changed).unwrap()), None, "{end}");
        }
        assert_eq!(open(&keys, &doc("a"), "c", &"A".repeat(1 << 20)), None);
    }

    #[test]
    fn a_key_that_was_replaced_still_opens() {
        let value = seal(&keys(&["old"])[0], &doc("a"), "c", b"parked");
        assert!(open(&keys(&["new", "old"]), &doc("a"), "c", &value).is_some());
        assert_eq!(open(&keys(&["new"]), &doc("a"), "c", &value), None);
    }

    #[test]
    fn the_largest_session_fits() {
        let keys = keys(&["secret"]);
        let value = seal(&keys[0], &doc("a"), "c", &[7; PARKED_MAX]);
        assert!(value.len() <= VALUE_MAX, "{}", value.len());
        assert!(open(&keys, &doc("a"), "c", &value).is_some());
    }
}
