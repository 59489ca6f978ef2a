//! y-sweet's HTTP API, so that its clients work as they are, and in the same style what its users asked for:
//! listing, deleting and copying documents, versions, the state as JSON.

use super::query::{Query, percent_encode};
use super::{ApiError, Config, Reply, Request, Route};
use crate::auth::{Claims, Permission, Scope};
use crate::effect::Millis;
use crate::http::Access;
use crate::log::{CatalogOp, Listed, Version};
use crate::name::{DEFAULT_SERVICE, DocName, range_of};
use crate::request::DocRequest;
use serde::Deserialize;

/// Bytes of a JSON body.
pub(super) const BODY_MAX: usize = 16 << 10;
/// Seconds that a client's token is valid for: what y-sweet gives, and at most.
const VALID_FOR: (u64, u64) = (3_600, 31 * 24 * 3_600);
/// Documents of one page of a list: if not said, and at most.
const PAGE: (usize, usize) = (100, 1_000);
/// Bytes of the name of a version.
const VERSION_NAME_MAX: usize = 255;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NewBody {
    doc_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AuthBody {
    authorization: Option<Authorization>,
    user_id: Option<String>,
    /// Any JSON number, as long as it is a whole one.
    valid_for_seconds: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct VersionBody {
    name: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
enum Authorization {
    #[serde(rename = "full")]
    Full,
    #[serde(rename = "read-only")]
    ReadOnly,
}

/// Reads a JSON body; none at all is `{}`.
fn json<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    // serde would also read a list as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::invalid("the body is a JSON object"));
    }
    let body = str::from_utf8(body).map_err(|_| ApiError::invalid("the body is not UTF-8"))?;
    serde_json::from_str(body)
        .map_err(|error| ApiError::invalid(format!("the body is not as expected: {error}")))
}

/// The name in the body of `POST /doc/new` and of a copy; `random` if there is none.
pub(super) fn new_name(body: &[u8], random: u128) -> Result<DocName, ApiError> {
    let Some(id) = json::<NewBody>(body)?.doc_id else {
        return Ok(DocName::new(format!("{random:032x}"))?);
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if id.is_empty() || !id.bytes().all(plain) {
        return Err(ApiError::invalid("'docId' is one or more of A-Z, a-z, 0-9, '_' and '-'"));
    }
    Ok(DocName::new(id)?)
}

/// The answer to who made, or copied to, a document.
pub(super) fn made(doc: &DocName) -> Reply {
    Reply::json(200, serde_json::json!({ "docId": doc.as_str() }).to_string())
}

/// Where the server can be reached from outside, and the token of a client.
pub(super) fn client_token(
    config: &Config,
    base: &str,
    doc: &DocName,
    body: &[u8],
    now: Millis,
) -> Result<DocRequest, ApiError> {
    let body: AuthBody = json(body)?;
    let valid_for = body.valid_for_seconds.unwrap_or(VALID_FOR.0 as f64);
    if !(1.0..=VALID_FOR.1 as f64).contains(&valid_for) || valid_for.fract() != 0.0 {
        return Err(ApiError::invalid(format!("'validForSeconds' is 1 to {}", VALID_FOR.1)));
    }
    let (perm, authorization) = match body.authorization.unwrap_or(Authorization::Full) {
        Authorization::Full => (Permission::Write, "full"),
        Authorization::ReadOnly => (Permission::Read, "read-only"),
    };
    let mut path = "/d/".to_owned();
    percent_encode(doc.as_str(), &mut path);
    let mut answer = serde_json::Map::new();
    let mut tell = |name: &str, value: String| answer.insert(name.to_owned(), value.into());
    tell("url", format!("{}{path}/ws", base.replacen("http", "ws", 1)));
    tell("baseUrl", format!("{base}{path}"));
    tell("docId", doc.as_str().to_owned());
    tell("authorization", authorization.to_owned());
    if let Access::Keys(keys) = &config.access {
        let exp = now.0 / 1000 + valid_for as u64;
        let scope = Scope::Doc(doc.as_str().to_owned());
        let claims = Claims { scope, service: None, perm, exp, nbf: None, sub: body.user_id };
        tell("token", keys.mint(&claims));
    }
    let reply = Reply::json(200, serde_json::Value::Object(answer).to_string());
    Ok(DocRequest::Exists { reply, otherwise: ApiError::no_document() })
}

/// Where clients reach the server: as configured, else as this one did.
pub(super) fn base(config: &Config, request: &Request<'_>) -> Result<String, ApiError> {
    if let Some(url) = &config.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let host = request.header("host").ok_or_else(|| ApiError::invalid("the request has no 'Host'"))?;
    let host_like = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(host_like) {
        return Err(ApiError::invalid("the request's 'Host' is none"));
    }
    let secure = request.secure || request.header("x-forwarded-proto") == Some("https");
    Ok(format!("{}://{host}", if secure { "https" } else { "http" }))
}

/// What a list is asked for: service, prefix, after, limit.
pub(super) struct List {
    pub(super) service: String,
    pub(super) prefix: String,
    after: String,
    limit: usize,
}

impl List {
    pub(super) fn read(query: &Query) -> Result<Self, ApiError> {
        let text = |name, otherwise: &str| query.one(name).map(|v| v.unwrap_or(otherwise).to_owned());
        let limit = match query.one("limit")? {
            None => PAGE.0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=PAGE.1).contains(limit) && !text.starts_with('+'))
                .ok_or_else(|| ApiError::invalid(format!("'limit' is 1 to {}", PAGE.1)))?,
        };
        let (service, prefix, after) =
            (text("service", DEFAULT_SERVICE)?, text("prefix", "")?, text("after", "")?);
        if [&prefix, &after].iter().any(|text| text.chars().any(char::is_control)) {
            return Err(ApiError::invalid("'prefix' and 'after' have no control characters"));
        }
        range_of(&service)?;
        Ok(Self { service, prefix, after, limit })
    }

    /// The list as a request to the store, one more than a page, and the page made of its answer.
    pub(super) fn route(self) -> Result<Route, ApiError> {
        let (own, least) = range_of(&self.service)?;
        let op = CatalogOp::List {
            prefix: format!("{own}{}", self.prefix),
            after: if self.after.is_empty() { least } else { format!("{own}{}", self.after) },
            limit: self.limit + 1,
        };
        let limit = self.limit;
        Ok(Route::Catalog { op, then: Box::new(move |listed| page(&listed, limit)) })
    }
}

fn page(listed: &[Listed], limit: usize) -> Reply {
    let docs: Vec<_> = listed
        .iter()
        .take(limit)
        .filter_map(|listed| DocName::from_internal(&listed.name).ok().map(|name| (name, &listed.tail)))
        .collect();
    let next = docs.last().filter(|_| listed.len() > limit).map(|(name, _)| name.as_str());
    let entry = |(name, tail): &(DocName, &crate::log::Tail)| serde_json::json!({ "docId": name.as_str(), "bytes": tail.document_bytes(), "updates": tail.updates });
    let body = serde_json::json!({ "docs": docs.iter().map(entry).collect::<Vec<_>>(), "next": next });
    Reply::json(200, body.to_string())
}

/// The name in the body of a request for a version.
pub(super) fn version_name(body: &[u8]) -> Result<String, ApiError> {
    let name = json::<VersionBody>(body)?.name.unwrap_or_default();
    if name.len() > VERSION_NAME_MAX || name.chars().any(char::is_control) {
        let message =
            format!("'name' is at most {VERSION_NAME_MAX} bytes of text without control characters");
        return Err(ApiError::invalid(message));
    }
    Ok(name)
}

/// The answer to who made a version.
pub(crate) fn version_made(version: &Version) -> Reply {
    Reply::json(201, version_json(version).to_string())
}

/// The answer to who lists versions.
pub(crate) fn versions(versions: &[Version]) -> Reply {
    let versions: Vec<_> = versions.iter().map(version_json).collect();
    Reply::json(200, serde_json::json!({ "versions": versions }).to_string())
}

fn version_json(version: &Version) -> serde_json::Value {
    serde_json::json!({
        "versionId": version.id, "name": version.name, "createdAt": version.created.0, "bytes": version.bytes,
    })
}
