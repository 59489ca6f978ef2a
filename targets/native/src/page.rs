//! The page: a collaborative editor, embedded so that `cargo run` needs nothing else. Its source and build are
//! in `clients/js/page`.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Only what is served from here, sockets aside; CodeMirror adds its styles while it runs.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// A file of the page by its path.
pub(crate) fn file(path: &str) -> Option<Response> {
    let (kind, body) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("../page/index.html")),
        "/assets/app.js" => ("text/javascript; charset=utf-8", include_str!("../page/app.js")),
        "/assets/app.css" => ("text/css; charset=utf-8", include_str!("../page/app.css")),
        "/assets/LICENSES.txt" => ("text/plain; charset=utf-8", include_str!("../page/LICENSES.txt")),
        _ => return None,
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The names do not change with the content: ask each time, at the cost of one small answer.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Some((headers, body).into_response())
}
