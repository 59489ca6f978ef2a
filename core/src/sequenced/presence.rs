//! Who is there: a value that is overwritten in place, by one after the other.
//!
//! A store of this kind cannot replace a value only if it is still what was read, and whoever writes writes all of it. So
//! writers take turns: a counter gives each a number, a value has the number of who wrote it behind it, and the next one
//! writes once it has read what the one before has written. Of a writer that is gone nothing comes, and nobody waits for
//! it longer than [`PATIENCE`]: only what such a one writes later than that is lost, or loses something.

use super::Work;
use crate::effect::Millis;
use crate::kv::{CountKv, Kv as _};
use crate::log::{LogError, PresencePart};
use bytes::{BufMut as _, Bytes, BytesMut};

/// Milliseconds for which each of the writers before is waited for.
const PATIENCE: u64 = 500;
/// So many of them, at most.
const BEFORE_MAX: u64 = 8;
/// Bytes of the number behind a value.
const NUMBER: usize = size_of::<u64>();

/// What this instance knows of the turns of one value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turns {
    /// Who wrote what was read last; 0 if that was nobody.
    read: u64,
    /// Our turn, if we have one, and since when nothing has moved.
    taken: Option<(u64, Millis)>,
}

impl<K: CountKv> Work<'_, K> {
    pub(super) async fn read_presence(&self, part: PresencePart) -> Result<Option<Bytes>, LogError> {
        let value = self.kv.get(&self.keys().presence(part)).await?;
        let (state, number) = value.map_or((None, 0), split);
        let now = self.kv.now();
        self.with_turns(part, |turns| {
            if turns.read != number {
                turns.read = number;
                turns.taken = turns.taken.map(|(taken, _)| (taken, now));
            }
        });
        Ok(state)
    }

    /// Replaces what was read last; false if another is about to do that: then nothing was written, and whatever we read
    /// next is looked at.
    pub(super) async fn write_presence(&self, part: PresencePart, state: Bytes) -> Result<bool, LogError> {
        let erases = state.is_empty();
        if erases && self.read_presence(part).await?.is_none() {
            return Ok(true);
        }
        let counter = self.keys().turns(part);
        let Turns { read, taken } = self.with_turns(part, |turns| *turns);
        let (number, since) = match taken.filter(|(number, _)| *number > read) {
            Some(taken) => taken,
            None => {
                let number = self.kv.count(&counter, 1).await?;
                // It may have lost its place.
                let behind = (read + 1).saturating_sub(number);
                let number = if behind > 0 { self.kv.count(&counter, behind).await? } else { number };
                (number, self.kv.now())
            }
        };
        // Should it fail, perhaps it was not written.
        self.with_turns(part, |turns| turns.taken = Some((number, since)));
        let before = number.saturating_sub(read + 1).min(BEFORE_MAX);
        if !erases && self.kv.now().since(since) < before * PATIENCE {
            return Ok(false);
        }
        let mut value = BytesMut::from(state);
        value.put_u64_le(number);
        self.kv.set(&self.keys().presence(part), value.freeze()).await?;
        self.with_turns(part, |turns| *turns = Turns { read: number, taken: None });
        Ok(true)
    }

    fn with_turns<T>(&self, part: PresencePart, change: impl FnOnce(&mut Turns) -> T) -> T {
        let (default, named) = &mut *self.log.turns.borrow_mut();
        change(match part {
            PresencePart::Default => default,
            PresencePart::Named => named,
        })
    }
}

/// A value, and the number behind it.
fn split(mut value: Bytes) -> (Option<Bytes>, u64) {
    let number = value.split_off(value.len().saturating_sub(NUMBER));
    let number = number.as_ref().try_into().map_or(0, u64::from_le_bytes);
    ((!value.is_empty()).then_some(value), number)
}
