//! Whether the library can make a replica of an update. It deletes and collects what is nested by recursion, and a stack
//! that overflows is no panic: it ends the process. And an update of a megabyte can be written so that it takes minutes.

use super::items::{Items, MAX_EFFORT, MAX_NESTING};
use crate::update::{self, Body, Id, Part, UpdateError};

/// Whether a replica of this update can be made, and soon.
pub(super) fn is_feasible(update: &[u8]) -> Result<bool, UpdateError> {
    let mut look = Look::default();
    let summary = update::walk(update, &mut |part| look.at(&part))?;
    // Most documents are harmless at a glance; the others are looked at.
    Ok(look.is_harmless(summary.clients.len() as u64) || Items::read(&[update])?.is_feasible())
}

/// What bounds the effort from above.
#[derive(Default)]
struct Look {
    types: u32,
    structs: u64,
    deletions: u64,
    /// Bytes of the longest text.
    longest: u64,
    /// What items stand behind.
    origins: Vec<Option<Id>>,
}

impl Look {
    fn at(&mut self, part: &Part<'_>) {
        self.types += u32::from(part.is_type());
        match part {
            Part::Deletion(..) => self.deletions += 1,
            Part::Struct(read) => {
                self.structs += 1;
                if let Body::Item(item) = read.body {
                    self.longest = self.longest.max(item.content.len() as u64);
                    self.origins.push(item.origin);
                }
            }
        }
    }

    fn is_harmless(&mut self, clients: u64) -> bool {
        let items = self.origins.len() as u64;
        self.origins.sort_unstable();
        self.origins.dedup();
        // Where several stand behind the same, one may have to be compared with all.
        let compared = (items - self.origins.len() as u64).saturating_mul(self.structs);
        // Each reference may cut a text, and insert into a list.
        let references = items + self.deletions;
        let cut = references.saturating_mul(self.longest / 16 + self.structs / 64);
        let kept = self.deletions.saturating_mul(self.deletions) / 128 + clients.saturating_mul(clients) / 16;
        self.types <= MAX_NESTING && compared.saturating_add(cut).saturating_add(kept) <= MAX_EFFORT
    }
}
