//! Who is there: a value that is replaced in place, by whoever has something to say.
//!
//! Whoever writes has read what the others wrote, and writes all of it. A store that knows revisions takes it only if
//! nobody wrote meanwhile. In one that does not, of two who write at once one is lost, until its client is announced again.

use super::Listed;
use crate::kv::ListKv;
use crate::log::{LogError, PresencePart};
use bytes::Bytes;

impl<K: ListKv> Listed<K> {
    pub(super) async fn read_presence(
        &self,
        kv: &impl ListKv,
        part: PresencePart,
    ) -> Result<Option<Bytes>, LogError> {
        let (value, revision) = kv.get_revision(&self.keys.presence(part)).await?;
        self.state.borrow_mut().presence.insert(part, revision);
        Ok(value)
    }

    /// Replaces what was read last; false if another did: then nothing was written.
    pub(super) async fn write_presence(
        &self,
        kv: &impl ListKv,
        part: PresencePart,
        state: Bytes,
    ) -> Result<bool, LogError> {
        let key = self.keys.presence(part);
        // Which revision comes of it nobody knows: it is read again before the next time.
        let read = self.state.borrow_mut().presence.remove(&part);
        if state.is_empty() {
            kv.delete(&key).await?;
            return Ok(true);
        }
        let Some(revision) = read else { return Ok(false) };
        Ok(kv.replace(&key, state, revision).await?)
    }
}
