//! `Grip-Sig`: a JSON Web Token (RFC 7519) by which a proxy shows that a request is its own.

use crate::auth::read_json;
use crate::effect::Millis;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
#[cfg(feature = "grip-es256")]
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use serde::Deserialize;
use sha2::Sha256;

/// Bytes of a token. Pushpin's and Fastly's are under 300.
const TOKEN_MAX: usize = 4096;

/// Why a request does not count as a proxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    /// There is no `Grip-Sig`.
    Missing,
    /// It is no token: not three parts, not JSON, no issuer or no time at which it ends.
    Malformed,
    /// Signed in another way than the key is for.
    Algorithm,
    /// The signature does not hold.
    Signature,
    /// It is another proxy's.
    Issuer,
    /// `exp` has passed.
    Expired,
}

impl core::fmt::Display for SignatureError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no Grip-Sig: this is for a GRIP proxy",
            Self::Malformed => "the Grip-Sig is malformed",
            Self::Algorithm => "the Grip-Sig is of an algorithm for which there is no key",
            Self::Signature => "the Grip-Sig's signature does not hold",
            Self::Issuer => "the Grip-Sig is of another issuer",
            Self::Expired => "the Grip-Sig has expired",
        })
    }
}

impl std::error::Error for SignatureError {}

/// One key and whose it is. What a key is for is said by the key, never by the token.
#[derive(Clone)]
pub(super) struct Verifier {
    /// Any, if none.
    pub(super) issuer: Option<String>,
    pub(super) key: Key,
}

#[derive(Clone)]
pub(super) enum Key {
    /// HMAC SHA-256.
    Hs256(Hmac<Sha256>),
    /// ECDSA with P-256 and SHA-256.
    #[cfg(feature = "grip-es256")]
    Es256(VerifyingKey),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that whoever verifies must know (RFC 7515, 4.1.11). None is known here.
    #[serde(default)]
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iss: Option<String>,
    /// Seconds since 1970.
    exp: u64,
}

/// What a public key in DER begins with (RFC 5480, 2): id-ecPublicKey, prime256v1, 65 bytes of an uncompressed point.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const PEM: (&str, &str) = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----");

impl Key {
    /// A public key in PEM or DER (RFC 7468, RFC 5480), for ES256; or any other bytes, a secret, for HS256.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = core::str::from_utf8(bytes).unwrap_or_default().trim();
        if text.starts_with("-----BEGIN") {
            let body = text.strip_prefix(PEM.0).and_then(|text| text.strip_suffix(PEM.1));
            let body = body.ok_or("a key in PEM must be one public key")?;
            let body: String = body.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
            let der = STANDARD.decode(body).map_err(|_| "a key in PEM is not base64")?;
            return Self::public(der.strip_prefix(&P256).ok_or("a public key is not of the curve P-256")?);
        }
        match bytes.strip_prefix(&P256) {
            Some(point) => Self::public(point),
            None if bytes.is_empty() => Err("a key is empty"),
            // Pushpin's configuration as it is shipped; everybody knows it.
            None if bytes == b"changeme" => Err("a key is Pushpin's default: set its sig_key to a secret"),
            None => Hmac::new_from_slice(bytes).map(Self::Hs256).map_err(|_| "a key has no usable length"),
        }
    }

    #[cfg(feature = "grip-es256")]
    fn public(point: &[u8]) -> Result<Self, &'static str> {
        VerifyingKey::from_sec1_bytes(point).map(Self::Es256).map_err(|_| "a public key is no point of P-256")
    }

    #[cfg(not(feature = "grip-es256"))]
    fn public(_point: &[u8]) -> Result<Self, &'static str> {
        Err("this build verifies no ES256: build it with the feature grip-es256")
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            #[cfg(feature = "grip-es256")]
            Self::Es256(_) => "ES256",
        }
    }

    fn holds(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hs256(mac) => mac.clone().chain_update(signed).verify_slice(signature).is_ok(),
            #[cfg(feature = "grip-es256")]
            Self::Es256(key) => {
                Signature::from_slice(signature).is_ok_and(|signature| key.verify(signed, &signature).is_ok())
            }
        }
    }
}

/// Checks a token against keys, any of which will do.
pub(super) fn verify<'a>(
    token: Option<&str>,
    keys: impl Iterator<Item = &'a Verifier>,
    now: Millis,
) -> Result<(), SignatureError> {
    let token = token.ok_or(SignatureError::Missing)?;
    if token.len() > TOKEN_MAX {
        return Err(SignatureError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(SignatureError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(SignatureError::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| SignatureError::Malformed);
    let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
    let header: Header = read_json(&header).ok_or(SignatureError::Malformed)?;
    if header.crit.is_some() {
        return Err(SignatureError::Malformed);
    }
    let mut found = Err(SignatureError::Algorithm);
    let mut signers = Vec::new();
    for key in keys.filter(|key| key.key.algorithm() == header.alg) {
        found = Err(SignatureError::Signature);
        if key.key.holds(signed.as_bytes(), &signature) {
            signers.push(&key.issuer);
        }
    }
    if signers.is_empty() {
        return found;
    }
    let claims: Claims = read_json(&claims).ok_or(SignatureError::Malformed)?;
    let issued = |issuer: &Option<String>| issuer.is_none() || *issuer == claims.iss;
    if !signers.into_iter().any(issued) {
        return Err(SignatureError::Issuer);
    }
    if claims.exp <= now.0 / 1000 { Err(SignatureError::Expired) } else { Ok(()) }
}
