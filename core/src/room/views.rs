//! What needs the whole document as one update: its state, its JSON, a copy, a version to keep or to go back to.

use super::Room;
use super::requests::Asked;
use crate::effect::{ConnId, Effects, Millis};
use crate::http::{ApiError, Reply, frames};
use crate::log::{LogOp, Version};
use crate::replica::{self, RevertError};
use crate::request::DocRequest;
use crate::update::UpdateError;
use bytes::Bytes;

/// What the whole document, as one update, is needed for.
#[derive(Debug)]
pub(super) enum View {
    State,
    Json,
    Copy { to: crate::DocName, reply: Reply },
    Keep { name: String, random: u32 },
    Restore { version: Bytes, client: u32 },
}

impl Room {
    /// Does with the whole document what it was needed for.
    pub(super) fn show(
        &mut self,
        now: Millis,
        conn: ConnId,
        view: View,
        state: Bytes,
        effects: &mut Effects,
    ) {
        let is_empty = *state == [0, 0];
        let answer = match view {
            View::State => Ok(frames::state(state, &self.document.place())),
            View::Json => self.json(&state),
            View::Copy { to, reply } => {
                let content = if is_empty { Vec::new() } else { vec![state] };
                let existed = Err(ApiError::document_exists());
                effects.forward(conn, to, DocRequest::Create { content, created: reply, existed });
                return;
            }
            View::Keep { name, random } => {
                let id = format!("{:011x}{random:08x}", now.0);
                let version = Version { id, name, created: now, bytes: state.len() as u64 };
                let most = self.config.limits.versions;
                let request = LogOp::PutVersion { version: version.clone(), body: state, most };
                self.ask_store(conn, request, Asked::Keep(version), effects);
                return;
            }
            View::Restore { version, client } => {
                let reverted = self.fits(state.len().max(version.len())).and_then(|()| {
                    replica::revert(&state, &version, client.into()).map_err(|error| match error {
                        RevertError::Update(error) => unshown(error),
                        RevertError::NotEarlier | RevertError::Different => unreadable(error),
                    })
                });
                match reverted {
                    Ok(Some(update)) => return self.post(conn, &[update], Reply::json(200, "{}"), effects),
                    Ok(None) => Ok(self.at_end(Reply::json(200, "{}"))),
                    Err(error) => Err(error),
                }
            }
        };
        effects.reply(conn, Reply::from(answer));
    }

    pub(super) fn json(&self, state: &[u8]) -> Result<Reply, ApiError> {
        self.fits(state.len())?;
        replica::to_json(state).map(|json| Reply::json(200, json)).map_err(unshown)
    }

    fn fits(&self, bytes: usize) -> Result<(), ApiError> {
        if bytes as u64 > self.config.limits.view_bytes {
            return Err(ApiError::too_large("the document is too large for this view of it"));
        }
        Ok(())
    }
}

/// What a client has built so that it cannot be shown is no fault of the server's.
fn unshown(error: UpdateError) -> ApiError {
    if error == UpdateError::Unshowable { ApiError::too_large(error.to_string()) } else { unreadable(error) }
}

fn unreadable(error: impl core::fmt::Display) -> ApiError {
    ApiError::internal(format!("the document cannot be read: {error}"))
}
