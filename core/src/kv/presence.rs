//! What is kept of who is there: a value that is overwritten in place, under a key of its own.
//!
//! Both lowerings have it, and do nothing else for it: whoever writes has read before what the others wrote, and what is
//! lost when two write at once is announced again by its client. One operation on the store for each request.

use super::Kv;
use crate::log::{LogError, PresencePart};
use bytes::Bytes;

/// The key of a document's, by the document's key form.
pub(crate) fn key(document: &str, part: PresencePart) -> String {
    match part {
        PresencePart::Default => format!("a{document}__"),
        PresencePart::Named => format!("a{document}__n"),
    }
}

pub(crate) async fn read(kv: &impl Kv, key: &str) -> Result<Option<Bytes>, LogError> {
    Ok(kv.get(key).await?)
}

/// Writes it; empty for nothing.
pub(crate) async fn write(kv: &impl Kv, key: &str, state: Bytes) -> Result<bool, LogError> {
    if state.is_empty() {
        kv.delete(key).await?;
    } else {
        kv.set(key, state).await?;
    }
    Ok(true)
}
