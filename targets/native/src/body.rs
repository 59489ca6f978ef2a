//! Bodies that come in: bounded each and together, and in time.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use yonder_core::http::ApiError;

/// Kibibytes of bodies that are read at once, or wait for their rooms.
pub(crate) const BODIES_KIB: usize = 256 << 10;
/// How long a peer may take for the next part of a body, and a body may wait for others to be done with.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a body takes of [`BODIES_KIB`], for as long as it is kept.
pub(crate) type Space = Option<OwnedSemaphorePermit>;

/// Reads a body of at most `limit` bytes. What has come in takes its space as it comes: who sends slowly holds no
/// more than was sent.
pub(crate) async fn read(
    mut body: Body,
    limit: usize,
    bodies: &Arc<Semaphore>,
) -> Result<(Bytes, Space), ApiError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::body_too_long(limit));
    }
    let mut whole = BytesMut::new();
    let mut space: Space = None;
    loop {
        let part = timeout(PATIENCE, body.frame()).await;
        let frame = match part.map_err(|_| ApiError::invalid("the body did not come in time"))? {
            None => return Ok((whole.freeze(), space)),
            Some(Err(_)) => return Err(ApiError::invalid("the body broke off")),
            Some(Ok(frame)) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(ApiError::body_too_long(limit));
        }
        whole.extend_from_slice(&data);
        let missing =
            (whole.len() >> 10).saturating_sub(space.as_ref().map_or(0, |space| space.num_permits()));
        if missing > 0 {
            let missing = u32::try_from(missing).unwrap_or(u32::MAX);
            let more = timeout(PATIENCE, Arc::clone(bodies).acquire_many_owned(missing)).await;
            let Ok(Ok(more)) = more else {
                return Err(ApiError::overloaded("the server has too many bodies to read"));
            };
            match &mut space {
                Some(space) => space.merge(more),
                None => space = Some(more),
            }
        }
    }
}
