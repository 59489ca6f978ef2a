//! The page: a collaborative editor, embedded so that `cargo run` needs nothing else. Its source and build are
//! in `clients/js/page`.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Only what is served from here, sockets aside; CodeMirror adds its styles while it runs.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// A file of the page by its path, or word that the browser has it already.
pub(crate) fn file(path: &str, request: &HeaderMap) -> Option<Response> {
    let (kind, body) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("../page/index.html")),
        "/assets/app.js" => ("text/javascript; charset=utf-8", include_str!("../page/app.js")),
        "/assets/app.css" => ("text/css; charset=utf-8", include_str!("../page/app.css")),
        "/assets/LICENSES.txt" => ("text/plain; charset=utf-8", include_str!("../page/LICENSES.txt")),
        _ => return None,
    };
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    if request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Some((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The names do not change with the content: ask each time, at the cost of one small answer.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Some((headers, [(header::ETAG, tag)], body).into_response())
}
