//! An input as a row of choices. Where it ends, every further choice is 0.

use bytes::Bytes;

/// Reads an input from front to back.
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// One of `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// A number, most often a small one.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::from_le_bytes(self.array()),
            254 => u32::from_le_bytes(self.array()).into(),
            253 => u16::from_le_bytes(self.array()).into(),
            small => small.into(),
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A length of one or two bytes and that many bytes, or what is left.
    pub(crate) fn part(&mut self) -> &'a [u8] {
        let length = match self.byte() {
            255 => u16::from_le_bytes(self.array()).into(),
            small => usize::from(small),
        };
        let (part, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        part
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        Bytes::copy_from_slice(self.part())
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.part()).into_owned()
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
