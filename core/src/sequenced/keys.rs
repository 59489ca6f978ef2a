//! Keys of one document: a letter that says what it is, the document's key form, and behind `__`, which no key form has,
//! generation and number in hexadecimal digits. At most 230 bytes.

use crate::kv::{Place, presence_key};
use crate::log::PresencePart;
use crate::name::DocName;

#[derive(Debug)]
pub(super) struct Keys {
    doc: String,
}

/// Where an entry is stored.
#[derive(Debug)]
pub(super) struct Slot {
    value: String,
    part: String,
}

impl Place for Slot {
    fn key(&self) -> String {
        self.value.clone()
    }

    fn part(&self, index: usize) -> String {
        format!("{}-{index:x}", self.part)
    }
}

impl Keys {
    pub(super) fn new(name: &DocName) -> Self {
        Self { doc: name.to_key() }
    }

    /// There while a generation lives; what lists the keys of a store finds documents by it.
    pub(super) fn index(&self, generation: u64) -> String {
        self.of("i", generation)
    }

    pub(super) fn head(&self) -> String {
        format!("h{}__", self.doc)
    }

    pub(super) fn tombstone(&self, generation: u64) -> String {
        self.of("t", generation)
    }

    pub(super) fn counter(&self, generation: u64) -> String {
        self.of("c", generation)
    }

    pub(super) fn entry(&self, generation: u64, number: u64) -> Slot {
        self.slot("e", "p", generation, number)
    }

    pub(super) fn version_counter(&self, generation: u64) -> String {
        self.of("n", generation)
    }

    /// What is told about a version.
    pub(super) fn version(&self, generation: u64, number: u64) -> Slot {
        self.slot("v", "w", generation, number)
    }

    /// A version's state.
    pub(super) fn body(&self, generation: u64, number: u64) -> Slot {
        self.slot("b", "q", generation, number)
    }

    /// Which versions there may be.
    pub(super) fn version_list(&self, generation: u64) -> String {
        self.of("l", generation)
    }

    pub(super) fn presence(&self, part: PresencePart) -> String {
        presence_key(&self.doc, part)
    }

    /// Counts who writes that.
    pub(super) fn turns(&self, part: PresencePart) -> String {
        match part {
            PresencePart::Default => format!("u{}__", self.doc),
            PresencePart::Named => format!("u{}__n", self.doc),
        }
    }

    fn of(&self, kind: &str, generation: u64) -> String {
        format!("{kind}{}__{generation:05x}", self.doc)
    }

    fn slot(&self, value: &str, part: &str, generation: u64, number: u64) -> Slot {
        let of = |kind| format!("{}-{number:09x}", self.of(kind, generation));
        Slot { value: of(value), part: of(part) }
    }
}
