//! The items of a document, as one or two of its states have them.
//!
//! The library's replica tells what a document shows. It does not tell which item shows it, what stood there before,
//! or of which type a root is when the application has not said so; [`super::to_json`] and [`super::revert`] need
//! this. So [`super::reading`] reads the updates' own structs, and [`super::order`] puts these in order as yjs does.
//!
//! A *view* is one of the states. Structs that both have are one piece here, with the content of whichever still
//! has it: a later state may have collected what an earlier one shows.

use super::content::{Content, Half, REPLACEMENT};
use crate::collections::Map;
use crate::update::{Id, UpdateError};

/// How deeply types may be nested. Readers of what nests more deeply fail, and so would the recursion in
/// [`super::json`], in [`super::shown`] and in the library.
pub(super) const MAX_NESTING: u32 = 256;

/// How much the formats of a document may take when each stretch of text is written with its own, in bytes. It grows
/// with the square of a document that is made for it.
const MAX_FORMATS: usize = 16 << 20;

/// How much work it may be to put a document's items in order, in steps of about 50 ns: seconds. The order that all
/// replicas agree on takes the square of a document that is made for it, in yjs as well.
pub(super) const MAX_EFFORT: u64 = 1 << 27;

/// A struct's place: an index of [`Items::clients`], and a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) client: u32,
    pub(super) clock: u32,
}

impl Spot {
    /// As one number, in the same order.
    pub(super) fn packed(self) -> u64 {
        u64::from(self.client) << 32 | u64::from(self.clock)
    }

    pub(super) fn unpack(packed: u64) -> Self {
        Self { client: (packed >> 32) as u32, clock: packed as u32 }
    }

    pub(super) fn plus(self, units: u32) -> Self {
        Self { clock: self.clock + units, ..self }
    }
}

/// An index of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(pub(super) u32);

/// An index of a type's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListAt(pub(super) u32);

/// An index of a chain: the successive values of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChainAt(pub(super) u32);

/// A set of views, as bits.
pub(super) type Views = u8;

/// The set of one view.
pub(super) const fn only(view: usize) -> Views {
    1 << view
}

/// A struct, or the part of one that is referred to as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) spot: Spot,
    pub(super) length: u32,
    pub(super) origin: Option<Spot>,
    pub(super) right_origin: Option<Spot>,
    /// An index of [`Items::parents`].
    pub(super) parent: Option<u32>,
    /// None if nothing is left of the item, not even where it stood.
    pub(super) content: Option<Content<'a>>,
    pub(super) half: Half,
    /// The views in which the character is split of which this is a half.
    pub(super) split: Views,
    /// The views have different text in it. A replica that has split a character has other text than the rest.
    pub(super) differs: bool,
    /// The views that have it.
    pub(super) has: Views,
    /// The views in which it is deleted.
    pub(super) gone: Views,
    /// The views in which it can be seen. Known once these are placed, as is all below.
    pub(super) shown: Views,
    pub(super) placed: bool,
    /// The type that it stands in; none for what is collected.
    pub(super) list: Option<ListAt>,
    pub(super) chain: Option<ChainAt>,
    pub(super) left: Option<At>,
    pub(super) right: Option<At>,
    /// The list of the type that is its content.
    pub(super) children: Option<ListAt>,
}

/// What a type belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holder<'a> {
    /// A root of this name.
    Root(&'a str),
    /// The item whose content it is.
    Item(Spot),
}

/// A type: what stands in it as a sequence, and its entries.
#[derive(Debug, Default)]
pub(super) struct List<'a> {
    /// The item whose content it is; none for a root.
    pub(super) holder: Option<At>,
    pub(super) depth: u32,
    pub(super) start: Option<At>,
    /// Indexes of chains.
    pub(super) entries: Map<&'a str, u32>,
}

/// The successive values of an entry; only the last can be seen.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    pub(super) key: &'a str,
    pub(super) first: At,
    pub(super) last: At,
    pub(super) length: u32,
}

/// A document's items in order.
#[derive(Debug, Default)]
pub(super) struct Items<'a> {
    pub(super) clients: Vec<u64>,
    /// The clients' indexes, the lowest client first.
    pub(super) in_order: Vec<u32>,
    /// By client, then by clock.
    pub(super) pieces: Vec<Piece<'a>>,
    /// Where items stand that have no neighbours to tell it, and under which key.
    pub(super) parents: Vec<(Holder<'a>, Option<&'a str>)>,
    pub(super) lists: Vec<List<'a>>,
    pub(super) chains: Vec<Chain<'a>>,
    /// Indexes of lists.
    pub(super) roots: Map<&'a str, u32>,
    /// In the order of their placing: what holds a type comes before what stands in it.
    pub(super) placed: Vec<At>,
    /// What it took to place them, or takes the library if that is more.
    pub(super) effort: u64,
}

impl<'a> Items<'a> {
    /// Whether a replica of the library can be made: its recursion can follow the types, and it comes to an end. Else the
    /// items may be out of order.
    pub(super) fn is_feasible(&self) -> bool {
        self.lists.iter().all(|list| list.depth <= MAX_NESTING) && !self.is_exhausted()
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.effort > MAX_EFFORT
    }

    /// Refuses a document that cannot be shown in this view.
    pub(super) fn check_showable(&self, view: Views) -> Result<(), UpdateError> {
        let showable = self.is_feasible() && self.written_formats(view) <= MAX_FORMATS;
        if showable { Ok(()) } else { Err(UpdateError::Unshowable) }
    }

    /// How many bytes it takes to write the formats of each stretch of text with that stretch.
    fn written_formats(&self, view: Views) -> usize {
        let mut total = 0_usize;
        for list in &self.lists {
            let mut open: Map<&str, usize> = Map::new();
            let mut bytes = 0;
            for piece in self.from(list.start).filter(|piece| piece.shown & view != 0) {
                if let Some(Content::Format(key, json)) = piece.content {
                    bytes -= open.remove(key).unwrap_or_default();
                    if json != "null" {
                        // With what surrounds it.
                        let length = 2 * key.len() + json.len() + 16;
                        open.insert(key, length);
                        bytes += length;
                    }
                } else {
                    total = total.saturating_add(bytes);
                }
            }
        }
        total
    }

    /// A piece and all behind it.
    pub(super) fn from(&self, start: Option<At>) -> impl Iterator<Item = &Piece<'a>> {
        core::iter::successors(start.map(|at| self.piece(at)), |piece| piece.right.map(|at| self.piece(at)))
    }

    /// The entries of a type, in the order of their keys.
    pub(super) fn chains(&self, list: ListAt) -> impl Iterator<Item = &Chain<'a>> {
        self.list(list).entries.values().filter_map(|chain| self.chain(ChainAt(*chain)))
    }

    /// The type with this index.
    #[expect(clippy::indexing_slicing, reason = "an index is made where its list is, and lists stay")]
    pub(super) fn list(&self, list: ListAt) -> &List<'a> {
        &self.lists[list.0 as usize]
    }

    pub(super) fn chain(&self, chain: ChainAt) -> Option<&Chain<'a>> {
        self.chains.get(chain.0 as usize)
    }

    /// The piece at this index.
    #[expect(clippy::indexing_slicing, reason = "an index is made where its piece is, and pieces stay")]
    pub(super) fn piece(&self, at: At) -> &Piece<'a> {
        &self.pieces[at.0 as usize]
    }

    /// The piece that has this clock.
    pub(super) fn find(&self, spot: Spot) -> Option<At> {
        let next = self.pieces.partition_point(|piece| piece.spot <= spot);
        let at = next.checked_sub(1)?;
        let piece = self.pieces.get(at)?;
        let within = piece.spot.client == spot.client && spot.clock - piece.spot.clock < piece.length;
        within.then_some(At(at as u32))
    }

    /// The text of a piece as a view has it.
    pub(super) fn text_of(piece: &Piece<'a>, view: Views) -> Option<&'a str> {
        match piece.content {
            Some(Content::Text(_)) if piece.half != Half::No && piece.split & view != 0 => Some(REPLACEMENT),
            Some(Content::Text(text)) => Some(text),
            Some(
                Content::Values(..)
                | Content::Binary(_)
                | Content::Embed(_)
                | Content::Format(..)
                | Content::Type(_)
                | Content::Document(..)
                | Content::Gone,
            )
            | None => None,
        }
    }

    /// The place of a spot in the clients' own terms.
    pub(super) fn id(&self, spot: Spot) -> Id {
        let client = self.clients.get(spot.client as usize).copied().unwrap_or_default();
        Id { client, clock: spot.clock.into() }
    }
}
