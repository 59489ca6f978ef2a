//! WebSockets that a GRIP proxy holds: each of its requests is one visit of a connection to its room.

use super::waiting::Seat;
use super::{COMPACTION_PATIENCE, Instance, PUBLISH_PATIENCE, Runtime};
use crate::auth::Grant;
use crate::effect::{Close, Input};
use crate::grip::{Exchange, Request};
use crate::http::{ApiError, Reply};
use crate::name::DocName;
use crate::wire;

/// Milliseconds that a request waits for what the room owes its connection: below what platforms give a request.
const PATIENCE: u64 = 20_000;

impl<R: Runtime> Instance<R> {
    /// Answers a request of a socket, which was routed as the `GET` that opened it.
    pub async fn exchange(
        &self,
        granted: Result<(DocName, Grant), ApiError>,
        request: &Request<'_>,
    ) -> Result<Reply, ApiError> {
        let Some(proxies) = &self.proxies else { return Err(ApiError::no_sockets()) };
        let conn = self.conn();
        let (doc, granted) = match granted {
            Ok((doc, grant)) => (doc, Ok(grant)),
            // It is opened only to be told why it is closed.
            Err(error) => (DocName::new("refused")?, Err(error)),
        };
        let (mut exchange, steps) = Exchange::begin(request, proxies, &doc, conn, self.runtime.now())?;
        let grant = match granted {
            Ok(grant) => grant,
            Err(error) => {
                exchange.send(&wire::refusal(&error.message));
                exchange.close(error.close());
                return Ok(exchange.finish(proxies).reply);
            }
        };
        let seat = Seat::new(self.home(&doc), conn);
        seat.begin(exchange);
        for step in &steps {
            seat.give(step.input(conn, &grant));
        }
        let is_settled = seat.settled(PATIENCE).await;
        // Also if it is closed for something that its room does not know of: what it was sent is too large.
        if !is_settled || seat.is_over() {
            seat.give(Input::Closed { conn });
            // Until others are told that it is gone.
            seat.settled(PUBLISH_PATIENCE).await;
        }
        seat.published(PUBLISH_PATIENCE).await;
        seat.compacted(COMPACTION_PATIENCE).await;
        let mut exchange = seat.end().ok_or_else(|| ApiError::internal("the connection is gone"))?;
        if is_settled {
            // Nothing, if it is closed.
            seat.give(Input::Leave { conn });
            seat.finish();
        } else {
            exchange.close(Close::new(Close::TRY_AGAIN, "this took too long; try again"));
        }
        Ok(exchange.finish(proxies).reply)
    }
}
