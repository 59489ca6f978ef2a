//! HTTP requests to documents: each waits for its room's answer, for as long as its client does.

use crate::body::Space;
use crate::metrics::Metrics;
use crate::outbound::Pending;
use crate::rooms::Seat;
use crate::server::{self, App};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use prometheus_client::metrics::gauge::Gauge;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use yonder_core::http::{ApiError, Asking, Reply};
use yonder_core::request::DocRequest;
use yonder_core::{ConnId, DocName};

/// What a room answers.
pub(crate) enum Answer {
    /// All of it.
    Reply(Reply),
    /// Its beginning, and the queue of what follows.
    Stream(Reply, Pending),
    /// Ask another document.
    Forward(DocName, Box<DocRequest>),
}

/// Asks a document's room. If the future is dropped, because the client left, the room is told.
pub(crate) async fn ask(app: &Arc<App>, asking: Asking, mut space: Space) -> Response {
    let Asking { mut doc, mut request, expires, stale } = asking;
    // Held requests and sockets share the places that the server has.
    let Ok(place) = Arc::clone(&app.sockets).try_acquire_owned() else {
        return server::reply_to(&doc, ApiError::overloaded("the server has too many connections").into());
    };
    app.metrics.requests.inc();
    let held = Held::new(&app.metrics);
    loop {
        let conn = ConnId(app.next_conn.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        let mut seat = match app.rooms.ask(&doc, conn, request, expires, answer, space.take()).await {
            Ok(seat) => seat,
            Err(error) => return server::reply_to(&doc, error.into()),
        };
        match answered.await {
            Ok(Answer::Reply(reply)) => {
                seat.has_left();
                // There is no copy here that could be older.
                return server::reply_to(&doc, if stale { reply.with_age(0) } else { reply });
            }
            Ok(Answer::Stream(reply, rest)) => {
                let first = Some(reply.body.clone());
                let body = Events { first, rest, seat, _held: held, _place: place };
                return server::reply_with(reply, Body::new(body));
            }
            Ok(Answer::Forward(other, asked)) => {
                seat.has_left();
                (doc, request) = (other, *asked);
            }
            Err(_) => {
                let error = ApiError::internal("the document's room has failed; try again");
                return server::reply_to(&doc, error.into());
            }
        }
    }
}

/// The body of an event stream. It ends when the room ends it; dropped before, because the client left, it tells
/// the room.
struct Events {
    first: Option<Bytes>,
    rest: Pending,
    seat: Seat,
    _held: Held,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let next = self.rest.poll_next(context);
        if matches!(next, Poll::Ready(None)) {
            self.seat.has_left();
        }
        next.map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Counts a request for as long as it lives.
struct Held(Gauge);

impl Held {
    fn new(metrics: &Metrics) -> Self {
        metrics.held.inc();
        Self(metrics.held.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}
