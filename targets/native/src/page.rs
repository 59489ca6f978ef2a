//! The pages: a collaborative editor, and one that measures latency; embedded so that `cargo run` needs nothing else. Their
//! source and build are in `clients/js/page`.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Only what is served from here, sockets aside; CodeMirror adds its styles while it runs.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// What measures asks the servers that it is told to ask. A worker has the policy of its own file.
const MEASURING: &str = "default-src 'self'; connect-src http: https: ws: wss:; img-src 'self' data:; base-uri 'none'; \
                         form-action 'none'; frame-ancestors 'self'";

/// A file of the pages by its path, or word that the browser has it already.
pub(crate) fn file(path: &str, request: &HeaderMap) -> Option<Response> {
    let (kind, body) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("../page/index.html")),
        "/assets/app.js" => ("text/javascript; charset=utf-8", include_str!("../page/app.js")),
        "/assets/app.css" => ("text/css; charset=utf-8", include_str!("../page/app.css")),
        "/latency" => ("text/html; charset=utf-8", include_str!("../page/latency.html")),
        "/assets/latency.js" => ("text/javascript; charset=utf-8", include_str!("../page/latency.js")),
        "/assets/latency-worker.js" => {
            ("text/javascript; charset=utf-8", include_str!("../page/latency-worker.js"))
        }
        "/assets/latency.css" => ("text/css; charset=utf-8", include_str!("../page/latency.css")),
        "/assets/LICENSES.txt" => ("text/plain; charset=utf-8", include_str!("../page/LICENSES.txt")),
        _ => return None,
    };
    let policy = if path.contains("/latency") { MEASURING } else { POLICY };
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    if request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Some((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The names do not change with the content: ask each time, at the cost of one small answer.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Some((headers, [(header::ETAG, tag)], body).into_response())
}
