//! Reading a document's items from its states, each cut so that nothing refers into the middle.

use super::content::{Content, Cutter, Half};
use super::items::{Holder, Items, Piece, Spot, Views, only};
use crate::collections::Map;
use crate::update::{self, Body, Id, Parent, Part, UpdateError};

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
            items.effort += cuts.apply(&uncut, &mut cut);
            items.pieces = join(core::mem::take(&mut items.pieces), cut);
        }
        drop(cuts);
        items.in_order = reading.numbers.values().map(|client| *client as u32).collect();
        items.clients = reading.clients;
        for (view, deleted) in reading.deleted.into_iter().enumerate() {
            // Of what is not there the library keeps a list in order, into which it inserts.
            let missing = deleted.starts.iter().filter(|start| items.find(Spot::unpack(**start)).is_none());
            let missing = missing.count() as u64;
            items.effort = items.effort.saturating_add(missing * missing / 128);
            items.delete(deleted, only(view));
        }
        for view in 0..views.len() {
            items.place_all(only(view));
        }
        Ok(items)
    }

    /// Marks what is deleted in a view.
    fn delete(&mut self, deleted: Deleted, view: Views) {
        let Deleted { mut starts, mut ends } = deleted;
        starts.sort_unstable();
        ends.sort_unstable();
        let (mut starts, mut ends) = (starts.into_iter().peekable(), ends.into_iter().peekable());
        // In how many ranges the piece is: they may overlap.
        let mut open = 0_usize;
        for piece in &mut self.pieces {
            let spot = piece.spot.packed();
            while starts.next_if(|start| *start <= spot).is_some() {
                open += 1;
            }
            while ends.next_if(|end| *end <= spot).is_some() {
                open -= 1;
            }
            if open > 0 {
                piece.gone |= view;
            }
        }
    }
}

/// The ranges that a view deletes.
#[derive(Default)]
struct Deleted {
    starts: Vec<u64>,
    ends: Vec<u64>,
}

/// What is collected while updates are walked.
#[derive(Default)]
struct Reading {
    clients: Vec<u64>,
    numbers: Map<u64, u64>,
    cuts: Vec<u64>,
    deleted: Vec<Deleted>,
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
        let mut deleted = Deleted::default();
        let mut failed = None;
        update::walk(update, &mut |part| {
            let read = match part {
                Part::Deletion(id, length) => {
                    let (start, end) = self.cut(id, length);
                    deleted.starts.push(start.packed());
                    deleted.ends.push(end.packed());
                    return;
                }
                Part::Struct(read) => read,
            };
            let item = match read.body {
                Body::Skip => {
                    self.spot(read.id);
                    return;
                }
                Body::Gc => None,
                Body::Item(item) => Some(item),
            };
            let (spot, _) = self.cut(read.id, read.length);
            let content = match item.map(|item| Content::read(item.kind, item.content)).transpose() {
                Ok(content) => content,
                Err(error) => {
                    failed.get_or_insert(error);
                    return;
                }
            };
            let origin = item.and_then(|item| item.origin).map(|id| self.spot(id));
            let right_origin = item.and_then(|item| item.right_origin).map(|id| self.spot(id));
            self.cuts.extend(origin.map(|spot| spot.plus(1).packed()));
            self.cuts.extend(right_origin.map(Spot::packed));
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
                split: 0,
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
        self.deleted.push(deleted);
        match failed {
            Some(error) => Err(error),
            None => Ok(by_client(&pieces)),
        }
    }

    fn cut(&mut self, from: Id, length: u64) -> (Spot, Spot) {
        let start = self.spot(from);
        let end = start.plus(length as u32);
        self.cuts.extend([start.packed(), end.packed()]);
        (start, end)
    }

    fn spot(&mut self, id: Id) -> Spot {
        let client = match self.numbers.get(&id.client) {
            Some(client) => *client as u32,
            None => {
                let next = self.clients.len();
                self.numbers.insert(id.client, next as u64);
                self.clients.push(id.client);
                next as u32
            }
        };
        Spot { client, clock: id.clock as u32 }
    }
}

/// Structs as an update has them, by client; each client's are in the order of their clocks.
fn by_client<'a>(structs: &[Piece<'a>]) -> Vec<Piece<'a>> {
    let place = |(index, piece): (usize, &Piece<'_>)| u64::from(piece.spot.client) << 32 | index as u64;
    let mut places: Vec<u64> = structs.iter().enumerate().map(place).collect();
    places.sort_unstable();
    places.into_iter().filter_map(|place| structs.get(place as u32 as usize).copied()).collect()
}

/// Where pieces begin and end.
struct Cuts(Vec<u64>);

impl Cuts {
    fn of(cuts: Vec<u64>, structs: &[Vec<Piece<'_>>]) -> Self {
        let mut cuts = Self(cuts);
        cuts.sort();
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
                while let Some(cut) = inside.next_if(|cut| cut.clock < end) {
                    if cut.clock > clock {
                        around.extend([Spot { clock, ..cut }.packed(), Spot { clock: end, ..cut }.packed()]);
                    }
                }
                clock = end;
            }
        }
        if !around.is_empty() {
            cuts.0.append(&mut around);
            cuts.sort();
        }
        cuts
    }

    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// The cuts inside a struct.
    fn within(&self, piece: &Piece<'_>) -> impl Iterator<Item = Spot> {
        let (from, end) = (piece.spot.packed(), piece.spot.plus(piece.length).packed());
        let next = self.0.partition_point(|cut| *cut <= from);
        let rest = self.0.iter().copied().skip(next);
        rest.take_while(move |cut| *cut < end).map(Spot::unpack)
    }

    /// Cuts structs into pieces. The steps that the library needs to do so: it counts letters from the start of a text,
    /// and inserts into the list of a client's structs.
    fn apply<'a>(&self, structs: &[Piece<'a>], pieces: &mut Vec<Piece<'a>>) -> u64 {
        let mut steps = 0;
        for of_client in structs.chunk_by(|one, next| one.spot.client == next.spot.client) {
            let before = pieces.len();
            for whole in of_client.iter().filter(|whole| whole.length > 0) {
                let start = pieces.len();
                self.cut(whole, pieces);
                if let Some(Content::Text(text)) = whole.content {
                    steps += (pieces.len() - start - 1) as u64 * text.len() as u64 / 16;
                }
            }
            let cut = pieces.len() - before;
            steps += (cut - of_client.len().min(cut)) as u64 * cut as u64 / 64;
        }
        steps
    }

    fn cut<'a>(&self, whole: &Piece<'a>, pieces: &mut Vec<Piece<'a>>) {
        let mut cutter = whole.content.map(Cutter::new);
        let mut from = whole.spot;
        for to in self.within(whole).chain([from.plus(whole.length)]) {
            let length = to.clock - from.clock;
            let (content, half) = match &mut cutter {
                Some(cutter) => {
                    let (content, half) = cutter.take(length);
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
