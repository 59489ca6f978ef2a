//! Tokens: JSON Web Tokens (RFC 7519) signed with HMAC SHA-256, checked against a time that the host gives.
//!
//! Claims: `doc` (one document) or `prefix` (every document whose name begins with it; `""` for all), `service`
//! (the namespace of these, `"default"` if it is not there), `perm` (`"read"`, `"write"` or `"admin"`), `exp`
//! (seconds since 1970, required), `nbf`, `sub` (the user). The header's `kid` names the key, so that keys can be
//! rotated: the new key signs, the old one still verifies.

use crate::effect::Millis;
use crate::name::{DEFAULT_SERVICE, DocName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Bytes of a token. Ours are under 300.
const TOKEN_MAX: usize = 4096;

/// What a connection may do with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// See the document and everyone's presence, and show its own.
    Read,
    /// Also edit, and make documents and versions.
    Write,
    /// Also list, copy and delete documents, and give out tokens for them.
    Admin,
}

/// What an authorised connection may do, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Read or write.
    pub permission: Permission,
    /// When the connection must end.
    pub expires: Option<Millis>,
}

impl Grant {
    /// What everyone may where there is no key.
    pub const OPEN: Self = Self { permission: Permission::Admin, expires: None };
}

/// Which documents a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One document.
    Doc(String),
    /// All documents whose name begins with this.
    Prefix(String),
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Which documents.
    #[serde(flatten)]
    pub scope: Scope,
    /// Of which service; none for `default`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<String>,
    /// What may be done.
    pub perm: Permission,
    /// Seconds since 1970 from which on the token is void.
    pub exp: u64,
    /// Seconds since 1970 before which the token is void.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nbf: Option<u64>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sub: Option<String>,
}

/// Why a token was not accepted. Each says what its bearer can do about it, and nothing about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// There is none.
    Missing,
    /// It is not a token of ours: not three parts, not JSON, another algorithm, missing claims.
    Malformed,
    /// Signed with a key that is not (any more) known here.
    UnknownKey,
    /// The signature does not hold.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `nbf` lies ahead.
    NotYetValid,
    /// It is for another document.
    OtherDocument,
}

impl core::fmt::Display for AuthError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Missing => "a token is needed: give it as ?token= or as 'Authorization: Bearer'",
            Self::Malformed => "the token is malformed",
            Self::UnknownKey => "the token names a key that is not known",
            Self::Signature => "the token's signature does not hold",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::OtherDocument => "the token is for another document",
        })
    }
}

impl std::error::Error for AuthError {}

/// The keys that sign and verify.
#[derive(Clone)]
pub struct Keys {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    mac: Hmac<Sha256>,
}

impl core::fmt::Debug for Keys {
    // Never the secrets.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id.as_deref().unwrap_or("(no kid)"))).finish()
    }
}

/// Reads JSON as text: a reader of bytes would be another one beside it in a module of Wasm.
pub(crate) fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_str(str::from_utf8(bytes).ok()?).ok()
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    typ: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    kid: Option<String>,
}

impl Keys {
    /// Reads keys, each `SECRET` or `KID:SECRET`. The first one signs; all verify. An error if there is none or
    /// a secret is empty.
    pub fn parse<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, &'static str> {
        let keys = keys
            .into_iter()
            .map(|text| {
                let (id, secret) = match text.split_once(':') {
                    Some((id, secret)) => (Some(id.to_owned()), secret),
                    None => (None, text),
                };
                if secret.is_empty() || id.as_deref() == Some("") {
                    return Err("a key is SECRET or KID:SECRET, neither part empty");
                }
                let mac =
                    Hmac::new_from_slice(secret.as_bytes()).map_err(|_| "the key has no usable length")?;
                Ok(Key { id, mac })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err("there is no key") } else { Ok(Self { keys }) }
    }

    /// Makes a token, signed with the first key.
    pub fn mint(&self, claims: &Claims) -> String {
        let Some(key) = self.keys.first() else { return String::new() };
        let header = Header { alg: "HS256", typ: Some("JWT"), kid: key.id.clone() };
        let json =
            |value: Result<Vec<u8>, serde_json::Error>| URL_SAFE_NO_PAD.encode(value.unwrap_or_default());
        let signed = format!("{}.{}", json(serde_json::to_vec(&header)), json(serde_json::to_vec(claims)));
        let signature = key.mac.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Checks a token's signature, in constant time, and its claims' times.
    pub fn verify(&self, token: &str, now: Millis) -> Result<Claims, AuthError> {
        if token.len() > TOKEN_MAX {
            return Err(AuthError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(AuthError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed);
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
        let header: Header<'_> = read_json(&header).ok_or(AuthError::Malformed)?;
        if header.alg != "HS256" {
            return Err(AuthError::Malformed);
        }
        let mut known = false;
        let mut holds = false;
        // A token without a kid may be from a time before there were several keys.
        for key in self.keys.iter().filter(|key| header.kid.is_none() || key.id == header.kid) {
            known = true;
            holds |= key.mac.clone().chain_update(signed).verify_slice(&signature).is_ok();
        }
        match (known, holds) {
            (false, _) => return Err(AuthError::UnknownKey),
            (true, false) => return Err(AuthError::Signature),
            (true, true) => {}
        }
        let claims: Claims = read_json(&claims).ok_or(AuthError::Malformed)?;
        let seconds = now.0 / 1000;
        if claims.exp <= seconds {
            return Err(AuthError::Expired);
        }
        if claims.nbf.is_some_and(|from| from > seconds) {
            return Err(AuthError::NotYetValid);
        }
        Ok(claims)
    }

    /// What the bearer of a token may do with a document.
    pub fn authorize(&self, token: Option<&str>, doc: &DocName, now: Millis) -> Result<Grant, AuthError> {
        let claims = self.verify(token.ok_or(AuthError::Missing)?, now)?;
        let covers = match &claims.scope {
            Scope::Doc(name) => name == doc.as_str(),
            Scope::Prefix(prefix) => doc.as_str().starts_with(prefix.as_str()),
        };
        claims.grant(doc.service(), covers)
    }

    /// What the bearer of a token may do with every document whose name begins with `prefix`.
    pub fn authorize_all(
        &self,
        token: Option<&str>,
        service: &str,
        prefix: &str,
        now: Millis,
    ) -> Result<Grant, AuthError> {
        let claims = self.verify(token.ok_or(AuthError::Missing)?, now)?;
        let covers = matches!(&claims.scope, Scope::Prefix(own) if prefix.starts_with(own.as_str()));
        claims.grant(service, covers)
    }
}

impl Claims {
    fn grant(&self, service: &str, covers: bool) -> Result<Grant, AuthError> {
        if !covers || self.service.as_deref().unwrap_or(DEFAULT_SERVICE) != service {
            return Err(AuthError::OtherDocument);
        }
        Ok(Grant { permission: self.perm, expires: Some(Millis(self.exp.saturating_mul(1000))) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn claims(scope: Scope) -> Claims {
        Claims {
            scope,
            service: None,
            perm: Permission::Write,
            exp: NOW.0 / 1000 + 60,
            nbf: None,
            sub: Some("ada".into()),
        }
    }

    fn doc(name: &str) -> DocName {
        DocName::new(name).unwrap()
    }

    #[test]
    fn a_token_opens_its_document_until_it_expires() {
        let keys = Keys::parse(["secret"]).unwrap();
        let token = keys.mint(&claims(Scope::Doc("a".into())));
        let grant = keys.authorize(Some(&token), &doc("a"), NOW).unwrap();
        assert_eq!(grant, Grant { permission: Permission::Write, expires: Some(NOW.after(60_000)) });
        assert_eq!(keys.authorize(Some(&token), &doc("b"), NOW), Err(AuthError::OtherDocument));
        assert_eq!(keys.authorize(Some(&token), &doc("a"), NOW.after(60_000)), Err(AuthError::Expired));
        assert_eq!(keys.authorize(None, &doc("a"), NOW), Err(AuthError::Missing));
    }

    #[test]
    fn a_prefix_opens_what_begins_with_it() {
        let keys = Keys::parse(["secret"]).unwrap();
        let token = keys.mint(&claims(Scope::Prefix("team/".into())));
        assert!(keys.authorize(Some(&token), &doc("team/x"), NOW).is_ok());
        assert_eq!(keys.authorize(Some(&token), &doc("teams"), NOW), Err(AuthError::OtherDocument));
        assert!(keys.authorize_all(Some(&token), "default", "team/a", NOW).is_ok());
        assert_eq!(keys.authorize_all(Some(&token), "default", "te", NOW), Err(AuthError::OtherDocument));
    }

    #[test]
    fn a_token_is_for_one_service() {
        let keys = Keys::parse(["secret"]).unwrap();
        let everywhere = claims(Scope::Prefix(String::new()));
        let notes = Claims { service: Some("notes".into()), ..everywhere.clone() };
        let in_notes = DocName::in_service("notes", "a").unwrap();
        let (token, other) = (keys.mint(&notes), keys.mint(&everywhere));
        assert!(keys.authorize(Some(&token), &in_notes, NOW).is_ok());
        assert_eq!(keys.authorize(Some(&token), &doc("a"), NOW), Err(AuthError::OtherDocument));
        assert_eq!(keys.authorize(Some(&other), &in_notes, NOW), Err(AuthError::OtherDocument));
    }

    #[test]
    fn keys_are_rotated_by_kid() {
        let old = Keys::parse(["k1:one"]).unwrap();
        let both = Keys::parse(["k2:two", "k1:one"]).unwrap();
        let new = Keys::parse(["k2:two"]).unwrap();
        let token = old.mint(&claims(Scope::Doc("a".into())));
        assert!(both.verify(&token, NOW).is_ok());
        assert_eq!(new.verify(&token, NOW), Err(AuthError::UnknownKey));
        assert!(new.verify(&both.mint(&claims(Scope::Doc("a".into()))), NOW).is_ok());
    }

    #[test]
    fn a_changed_token_is_refused_wherever_it_was_changed() {
        let keys = Keys::parse(["secret"]).unwrap();
        let token = keys.mint(&claims(Scope::Doc("a".into())));
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(keys.verify(&changed, NOW).is_err(), "changed at {index}");
        }
        let other = Keys::parse(["other"]).unwrap().mint(&claims(Scope::Doc("a".into())));
        assert_eq!(keys.verify(&other, NOW), Err(AuthError::Signature));
    }

    #[test]
    fn only_hs256_is_taken() {
        let keys = Keys::parse(["secret"]).unwrap();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let body = encode(r#"{"prefix":"","perm":"write","exp":9999999999}"#);
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, "{}", "[]"] {
            let token = format!("{}.{body}.", encode(header));
            assert_eq!(keys.verify(&token, NOW), Err(AuthError::Malformed), "{header}");
        }
    }

    #[test]
    fn the_example_of_rfc_7515_verifies() {
        // Appendix A.1: key and signature, with claims that are not ours.
        let secret = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let keys = Keys { keys: vec![Key { id: None, mac: Hmac::new_from_slice(&secret).unwrap() }] };
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6\
                     Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        // The signature holds; the claims then miss a scope.
        assert_eq!(keys.verify(token, NOW), Err(AuthError::Malformed));
        assert_eq!(Keys::parse(["x"]).unwrap().verify(token, NOW), Err(AuthError::Signature));
    }
}
