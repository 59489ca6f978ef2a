//! The items of a document: read from one or two of its states, each cut so that nothing refers into the middle.
//!
//! The library's replica tells what a document shows. It does not tell which item shows it, what stood there before,
//! or of which type a root is when the application has not said so; [`super::to_json`] and [`super::revert`] need
//! this. So they read the updates' own structs, and [`super::order`] puts these in order as yjs does.
//!
//! A *view* is one of the states. Structs that both have are one piece here, with the content of whichever still
//! has it: a later state may have collected what an earlier one shows.

use super::content::{Content, Cutter, Half};
use crate::update::{self, Body, Id, Parent, Part, UpdateError};
use std::collections::BTreeMap;

/// A struct's place: an index of [`Items::clients`], and a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) client: u32,
    pub(super) clock: u32,
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
pub(super) fn only(view: usize) -> Views {
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
    pub(super) entries: BTreeMap<&'a str, ChainAt>,
}

/// The successive values of an entry; only the last can be seen.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    pub(super) key: &'a str,
    pub(super) first: At,
    pub(super) last: At,
}

/// A document's items in order.
#[derive(Debug, Default)]
pub(super) struct Items<'a> {
    pub(super) clients: Vec<u64>,
    /// By client, then by clock.
    pub(super) pieces: Vec<Piece<'a>>,
    /// Where items stand that have no neighbours to tell it, and under which key.
    pub(super) parents: Vec<(Holder<'a>, Option<&'a str>)>,
    pub(super) lists: Vec<List<'a>>,
    pub(super) chains: Vec<Chain<'a>>,
    pub(super) roots: BTreeMap<&'a str, ListAt>,
    /// In the order of their placing: what holds a type comes before what stands in it.
    pub(super) placed: Vec<At>,
}

impl<'a> Items<'a> {
    /// Reads the views, the earliest first, and puts them in order.
    pub(super) fn read(views: &[&'a [u8]]) -> Result<Self, UpdateError> {
        let mut items = Items::default();
        let mut reading = Reading::default();
        let mut structs = Vec::with_capacity(views.len());
        for (view, update) in views.iter().enumerate() {
            structs.push(reading.read(update, only(view), &mut items)?);
        }
        let cuts = Cuts::of(reading.cuts, &structs);
        for uncut in structs {
            let mut cut = Vec::with_capacity(uncut.len());
            cuts.apply(&uncut, &mut cut);
            items.pieces = join(core::mem::take(&mut items.pieces), cut);
        }
        drop(cuts);
        items.clients = reading.clients;
        for (view, mut deletions) in reading.deletions.into_iter().enumerate() {
            items.delete(&mut deletions, only(view));
        }
        for view in 0..views.len() {
            items.place_all(only(view));
        }
        Ok(items)
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

    /// The place of a spot in the clients' own terms.
    pub(super) fn id(&self, spot: Spot) -> Id {
        let client = self.clients.get(spot.client as usize).copied().unwrap_or_default();
        Id { client, clock: spot.clock.into() }
    }

    /// Marks what is deleted in a view.
    fn delete(&mut self, deletions: &mut [(Spot, u32)], view: Views) {
        // Sorted, so that ranges which overlap are not gone through twice.
        deletions.sort_unstable();
        let mut next = 0;
        for (from, length) in deletions {
            let end = from.clock + *length;
            next = next.max(self.pieces.partition_point(|piece| piece.spot < *from));
            for piece in self.pieces.iter_mut().skip(next) {
                if piece.spot.client != from.client || piece.spot.clock >= end {
                    break;
                }
                piece.gone |= view;
                next += 1;
            }
        }
    }
}

/// What is collected while updates are walked.
#[derive(Default)]
struct Reading {
    clients: Vec<u64>,
    numbers: BTreeMap<u64, u32>,
    cuts: Vec<(Spot, Views)>,
    deletions: Vec<Vec<(Spot, u32)>>,
}

impl Reading {
    /// The structs of a view, not yet cut, by client and clock.
    fn read<'a>(
        &mut self,
        update: &'a [u8],
        view: Views,
        items: &mut Items<'a>,
    ) -> Result<Vec<Piece<'a>>, UpdateError> {
        let mut pieces = Vec::new();
        let mut deletions = Vec::new();
        let mut failed = None;
        update::walk(update, &mut |part| {
            let read = match part {
                Part::Deletion(id, length) => {
                    let from = self.spot(id);
                    self.cut(from, length as u32, view);
                    deletions.push((from, length as u32));
                    return;
                }
                Part::Struct(read) => read,
            };
            let item = match read.body {
                Body::Skip => return,
                Body::Gc => None,
                Body::Item(item) => Some(item),
            };
            let spot = self.spot(read.id);
            self.cut(spot, read.length as u32, view);
            let content = match item.map(|item| Content::read(item.kind, item.content)).transpose() {
                Ok(content) => content,
                Err(error) => {
                    failed.get_or_insert(error);
                    return;
                }
            };
            let origin = item.and_then(|item| item.origin).map(|id| self.spot(id));
            let right_origin = item.and_then(|item| item.right_origin).map(|id| self.spot(id));
            self.cuts.extend(origin.map(|spot| (Spot { clock: spot.clock + 1, ..spot }, view)));
            self.cuts.extend(right_origin.map(|spot| (spot, view)));
            let parent = item.and_then(|item| Some((item.parent?, item.key))).map(|(parent, key)| {
                let parent = match parent {
                    Parent::Root(name) => Holder::Root(name),
                    Parent::Item(id) => Holder::Item(self.spot(id)),
                };
                items.parents.push((parent, key));
                items.parents.len() as u32 - 1
            });
            let gone = if matches!(content, None | Some(Content::Gone)) { view } else { 0 };
            pieces.push(Piece {
                spot,
                length: read.length as u32,
                origin,
                right_origin,
                parent,
                content,
                half: Half::No,
                differs: false,
                has: view,
                gone,
                shown: 0,
                placed: false,
                list: None,
                chain: None,
                left: None,
                right: None,
                children: None,
            });
        })?;
        self.deletions.push(deletions);
        pieces.sort_by_key(|piece| piece.spot);
        failed.map_or(Ok(pieces), Err)
    }

    fn cut(&mut self, from: Spot, length: u32, view: Views) {
        self.cuts.push((from, view));
        self.cuts.push((Spot { clock: from.clock + length, ..from }, view));
    }

    fn spot(&mut self, id: Id) -> Spot {
        let next = self.clients.len() as u32;
        let client = *self.numbers.entry(id.client).or_insert(next);
        if client == next {
            self.clients.push(id.client);
        }
        Spot { client, clock: id.clock as u32 }
    }
}

/// Where pieces begin and end, and which views say so.
struct Cuts(Vec<(Spot, Views)>);

impl Cuts {
    fn of(mut cuts: Vec<(Spot, Views)>, structs: &[Vec<Piece<'_>>]) -> Self {
        sort(&mut cuts);
        let mut cuts = Self(cuts);
        // A cut between two surrogates: the character becomes two pieces of its own.
        let mut around = Vec::new();
        for piece in structs.iter().flatten() {
            let Some(Content::Text(text)) = piece.content else { continue };
            if text.is_ascii() {
                continue;
            }
            let mut inside = cuts.within(piece).peekable();
            let mut clock = piece.spot.clock;
            for letter in text.chars() {
                if inside.peek().is_none() {
                    break;
                }
                let end = clock + letter.len_utf16() as u32;
                while let Some((cut, _)) = inside.peek().filter(|(cut, _)| cut.clock < end) {
                    if cut.clock > clock {
                        around.push((Spot { clock, ..*cut }, 0));
                        around.push((Spot { clock: end, ..*cut }, 0));
                    }
                    inside.next();
                }
                clock = end;
            }
        }
        if !around.is_empty() {
            cuts.0.append(&mut around);
            sort(&mut cuts.0);
        }
        cuts
    }

    /// The cuts inside a struct.
    fn within(&self, piece: &Piece<'_>) -> impl Iterator<Item = &(Spot, Views)> {
        let (from, client) = (piece.spot, piece.spot.client);
        let end = from.clock + piece.length;
        let next = self.0.partition_point(|(cut, _)| *cut <= from);
        let rest = self.0.iter().skip(next);
        rest.take_while(move |(cut, _)| cut.client == client && cut.clock < end)
    }

    fn apply<'a>(&self, structs: &[Piece<'a>], pieces: &mut Vec<Piece<'a>>) {
        for whole in structs.iter().filter(|whole| whole.length > 0) {
            let mut cutter = whole.content.map(Cutter::new);
            let mut from = whole.spot;
            let end = Spot { clock: from.clock + whole.length, ..from };
            for &(to, views) in self.within(whole).chain([&(end, 0)]) {
                let length = to.clock - from.clock;
                // What splits a character in the earliest view has split it for good.
                let (content, half) = match &mut cutter {
                    Some(cutter) => {
                        let (content, half) = cutter.take(length, views & only(0) != 0);
                        (Some(content), half)
                    }
                    None => (None, Half::No),
                };
                let mut piece = Piece { spot: from, length, content, half, ..*whole };
                if from != whole.spot && content.is_some() {
                    piece.origin = Some(Spot { clock: from.clock - 1, ..from });
                    piece.parent = None;
                }
                pieces.push(piece);
                from = to;
            }
        }
    }
}

fn sort(cuts: &mut Vec<(Spot, Views)>) {
    cuts.sort_unstable();
    cuts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 |= next.1;
        }
        same
    });
}

/// The pieces of two views as one. Both are cut at the same places.
fn join<'a>(earlier: Vec<Piece<'a>>, later: Vec<Piece<'a>>) -> Vec<Piece<'a>> {
    if earlier.is_empty() {
        return later;
    }
    let mut joined = Vec::with_capacity(earlier.len().max(later.len()));
    let (mut earlier, mut later) = (earlier.into_iter().peekable(), later.into_iter().peekable());
    loop {
        let piece = match (earlier.peek(), later.peek()) {
            (Some(one), Some(other)) if one.spot < other.spot => earlier.next(),
            (Some(one), Some(other)) if one.spot == other.spot => {
                earlier.next().zip(later.next()).map(|(one, other)| richer(one, other))
            }
            (Some(_), None) => earlier.next(),
            (_, Some(_)) => later.next(),
            (None, None) => return joined,
        };
        joined.extend(piece);
    }
}

/// Whichever of two forms of a piece has more left of it.
fn richer<'a>(earlier: Piece<'a>, later: Piece<'a>) -> Piece<'a> {
    let left_of = |piece: &Piece<'_>| match piece.content {
        None => 0,
        Some(Content::Gone) => 1,
        Some(_) => 2,
    };
    let (has, gone) = (earlier.has | later.has, earlier.gone | later.gone);
    let differs = match (earlier.content, later.content) {
        (Some(Content::Text(one)), Some(Content::Text(other))) => one != other,
        _ => false,
    };
    let kept = if left_of(&later) > left_of(&earlier) { later } else { earlier };
    Piece { has, gone, differs, ..kept }
}
