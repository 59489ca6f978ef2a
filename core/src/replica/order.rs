//! Items in the order in which every replica shows them: the integration of yjs' `Item.js`.
//!
//! A struct waits until what it refers to is there, and all later ones of its client wait with it. One that never
//! gets it stays unplaced: it is what a replica calls pending, and is not shown.

use super::content::{Content, Half};
use super::items::{At, Chain, ChainAt, Holder, Items, List, ListAt, Piece, Views};

/// How far each client has come, while what a view has is placed.
struct Progress {
    /// The next piece of each client, and the end of its pieces.
    heads: Vec<(u32, u32)>,
    states: Vec<State>,
    view: Views,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// For what is just being placed.
    Waits,
    /// For what is not there.
    Stuck,
}

impl Progress {
    fn new(items: &Items<'_>, view: Views) -> Self {
        let mut heads = vec![(0, 0); items.clients.len()];
        for (index, piece) in items.pieces.iter().enumerate() {
            if let Some(head) = heads.get_mut(piece.spot.client as usize) {
                if head.1 == 0 {
                    head.0 = index as u32;
                }
                head.1 = index as u32 + 1;
            }
        }
        Self { states: vec![State::Free; heads.len()], heads, view }
    }

    /// A client's next piece, unless the client is stuck.
    fn head(&mut self, client: usize, items: &Items<'_>) -> Option<At> {
        if self.states.get(client) == Some(&State::Stuck) {
            return None;
        }
        let (head, end) = self.heads.get_mut(client)?;
        while head < end {
            let piece = items.piece(At(*head));
            if !piece.placed && piece.has & self.view != 0 {
                return Some(At(*head));
            }
            *head += 1;
        }
        None
    }

    /// Whether a client's next piece can be tried.
    fn is_free(&mut self, client: usize, items: &Items<'_>) -> bool {
        self.states.get(client) == Some(&State::Free) && self.head(client, items).is_some()
    }

    fn set(&mut self, client: usize, state: State) {
        self.states.get_mut(client).into_iter().for_each(|current| *current = state);
    }
}

/// What the search for a piece's place has passed: for each piece the search, and the stretch of conflicting pieces.
struct Seen {
    marks: Vec<(u32, u32)>,
    search: u32,
    stretch: u32,
}

impl Seen {
    fn new(pieces: usize) -> Self {
        Self { marks: vec![(0, 0); pieces], search: 0, stretch: 0 }
    }

    fn begin(&mut self) {
        self.search += 1;
        self.stretch += 1;
    }

    fn pass(&mut self, at: At) {
        let now = (self.search, self.stretch);
        self.marks.get_mut(at.0 as usize).into_iter().for_each(|mark| *mark = now);
    }

    fn forget_conflicts(&mut self) {
        self.stretch += 1;
    }

    fn passed(&self, at: At) -> bool {
        self.marks.get(at.0 as usize).is_some_and(|mark| mark.0 == self.search)
    }

    fn conflicts(&self, at: At) -> bool {
        self.marks.get(at.0 as usize).is_some_and(|mark| mark.1 == self.stretch)
    }
}

impl<'a> Items<'a> {
    /// Places what a view has, as far as it can be, and marks what the view shows.
    pub(super) fn place_all(&mut self, view: Views) {
        let mut progress = Progress::new(self, view);
        let mut seen = Seen::new(self.pieces.len());
        // The highest client first, as yjs does: it makes most searches short.
        for client in self.in_order.clone().into_iter().rev() {
            let mut stack = vec![client as usize];
            while let Some(&client) = stack.last() {
                let Some(at) = progress.head(client, self) else {
                    stack.pop();
                    continue;
                };
                match self.missing(at) {
                    None => {
                        self.place(at, view, &mut seen);
                        progress.set(client, State::Free);
                        if stack.len() > 1 {
                            stack.pop();
                        }
                    }
                    Some(missing) => {
                        progress.set(client, State::Waits);
                        // The library looks for the client among those that wait.
                        self.effort += stack.len() as u64 / 8;
                        match missing.filter(|other| progress.is_free(*other, self)) {
                            Some(other) => stack.push(other),
                            None => stack.drain(..).for_each(|client| progress.set(client, State::Stuck)),
                        }
                    }
                }
            }
        }
        self.mark_shown(view);
    }

    /// None if all is there that a piece refers to; else the client whose piece is missing, if it is known at all.
    fn missing(&self, at: At) -> Option<Option<usize>> {
        let piece = self.piece(at);
        let parent = match self.parent_of(piece) {
            Some((Holder::Item(spot), _)) => Some(spot),
            Some((Holder::Root(_), _)) | None => None,
        };
        let mut spots = [piece.origin, piece.right_origin, parent].into_iter().flatten();
        spots.find_map(|spot| match self.find(spot) {
            Some(found) if self.piece(found).placed => None,
            Some(_) => Some(Some(spot.client as usize)),
            None => Some(None),
        })
    }

    fn parent_of(&self, piece: &Piece<'a>) -> Option<(Holder<'a>, Option<&'a str>)> {
        self.parents.get(piece.parent? as usize).copied()
    }

    fn place(&mut self, at: At, view: Views, seen: &mut Seen) {
        self.placed.push(at);
        let piece = *self.piece(at);
        self.change(at, |piece| piece.placed = true);
        let Some(content) = piece.content else { return };
        let origin = piece.origin.and_then(|spot| self.find(spot));
        let right_origin = piece.right_origin.and_then(|spot| self.find(spot));
        // What stands between the halves of a character splits it.
        let behind = origin.filter(|at| self.piece(*at).half == Half::First && piece.half != Half::Second);
        let before = right_origin.filter(|at| self.piece(*at).half == Half::Second).map(|at| At(at.0 - 1));
        behind.into_iter().chain(before).for_each(|first| self.split(first, view));
        let Some((list, key)) = self.home(&piece, origin, right_origin) else { return };
        let (chain, first) = match key {
            Some(key) => {
                let (chain, first) = self.chain_of(list, key, at);
                if let Some(chain) = chain.filter(|_| origin.is_none()) {
                    // The library goes from the last to the first.
                    self.effort += self.chain(chain).map_or(0, |chain| chain.length.into());
                }
                (chain, first)
            }
            None => (None, self.list(list).start),
        };
        let (left, steps) = self.settle(&piece, origin, right_origin, first, seen);
        self.effort += steps;
        self.change(at, |piece| (piece.list, piece.chain) = (Some(list), chain));
        self.connect(at, left, first);
        if let Content::Type(_) = content {
            let children = self.new_list(Some(at), self.list(list).depth + 1);
            self.change(at, |piece| piece.children = Some(children));
        }
    }

    /// The type that a piece stands in, and the key of its entry. None if the type is collected.
    fn home(
        &mut self,
        piece: &Piece<'a>,
        origin: Option<At>,
        right_origin: Option<At>,
    ) -> Option<(ListAt, Option<&'a str>)> {
        if let Some(neighbour) = origin.or(right_origin) {
            let collected = |at: &At| self.piece(*at).list.is_none();
            if [origin, right_origin].iter().flatten().any(collected) {
                return None;
            }
            let neighbour = self.piece(neighbour);
            let key = neighbour.chain.and_then(|chain| self.chain(chain)).map(|chain| chain.key);
            return Some((neighbour.list?, key));
        }
        let (holder, key) = self.parent_of(piece)?;
        let list = match holder {
            Holder::Root(name) => match self.roots.get(name) {
                Some(list) => ListAt(*list),
                None => {
                    let list = self.new_list(None, 0);
                    self.roots.insert(name, list.0);
                    list
                }
            },
            Holder::Item(spot) => self.piece(self.find(spot)?).children?,
        };
        Some((list, key))
    }

    /// The chain of an entry and its first piece. If there is none yet it is made, of the piece at `at`.
    fn chain_of(&mut self, list: ListAt, key: &'a str, at: At) -> (Option<ChainAt>, Option<At>) {
        if let Some(known) = self.list(list).entries.get(key).copied().map(ChainAt) {
            self.change_chain(known, |chain| chain.length += 1);
            return (Some(known), self.chain(known).map(|chain| chain.first));
        }
        let made = self.chains.len() as u32;
        self.chains.push(Chain { key, first: at, last: at, length: 1 });
        self.change_list(list, |list| {
            list.entries.insert(key, made);
        });
        (Some(ChainAt(made)), None)
    }

    /// What a piece comes to stand behind: its origin, or what others inserted there as well and goes before it. And the
    /// number of these.
    fn settle(
        &self,
        piece: &Piece<'a>,
        origin: Option<At>,
        right_origin: Option<At>,
        first: Option<At>,
        seen: &mut Seen,
    ) -> (Option<At>, u64) {
        let alone = match origin {
            Some(origin) => self.piece(origin).right == right_origin,
            None => right_origin.is_some_and(|right| self.piece(right).left.is_none()),
        };
        if alone || self.is_exhausted() {
            return (origin, 0);
        }
        let mut steps = 0;
        let mut left = origin;
        let mut other = origin.map_or(first, |origin| self.piece(origin).right);
        seen.begin();
        while let Some(at) = other.filter(|at| Some(*at) != right_origin) {
            seen.pass(at);
            steps += 1;
            let it = self.piece(at);
            if it.origin == piece.origin {
                if self.id(it.spot).client < self.id(piece.spot).client {
                    left = Some(at);
                    seen.forget_conflicts();
                } else if it.right_origin == piece.right_origin {
                    break;
                }
            } else {
                let Some(its) = it.origin.and_then(|spot| self.find(spot)).filter(|its| seen.passed(*its))
                else {
                    break;
                };
                if !seen.conflicts(its) {
                    left = Some(at);
                    seen.forget_conflicts();
                }
            }
            other = it.right;
        }
        (left, steps)
    }

    /// Ties a piece in behind `left`, or before the first.
    fn connect(&mut self, at: At, left: Option<At>, first: Option<At>) {
        let right = left.map_or(first, |left| self.piece(left).right);
        self.change(at, |piece| (piece.left, piece.right) = (left, right));
        let &Piece { list, chain, .. } = self.piece(at);
        match (left, chain, list) {
            (Some(left), _, _) => self.change(left, |left| left.right = Some(at)),
            (None, Some(chain), _) => self.change_chain(chain, |chain| chain.first = at),
            (None, None, Some(list)) => self.change_list(list, |list| list.start = Some(at)),
            (None, None, None) => {}
        }
        match (right, chain) {
            (Some(right), _) => self.change(right, |right| right.left = Some(at)),
            (None, Some(chain)) => self.change_chain(chain, |chain| chain.last = at),
            (None, None) => {}
        }
    }

    /// Marks a character, of which this is the first half, as split in this view and all later ones.
    fn split(&mut self, first: At, view: Views) {
        for half in [first, At(first.0 + 1)] {
            self.change(half, |half| half.split |= !(view - 1));
        }
    }

    /// Marks what can be seen: what is there, and not deleted, and in a type that can be seen, and the last value of
    /// its entry.
    fn mark_shown(&mut self, view: Views) {
        for index in 0..self.placed.len() {
            let Some(&at) = self.placed.get(index) else { return };
            let piece = self.piece(at);
            let second = At(at.0 + 1);
            if piece.half == Half::First && (piece.gone ^ self.piece(second).gone) & view != 0 {
                self.split(at, view);
            }
            let piece = self.piece(at);
            let there = piece.has & view != 0 && piece.gone & view == 0;
            let last = piece.chain.is_none() || piece.right.is_none();
            let within = piece.list.is_some_and(|list| self.shows_list(list, view));
            if there && last && within {
                self.change(at, |piece| piece.shown |= view);
            }
        }
    }

    /// Whether a type can be seen in a view. Roots always can.
    pub(super) fn shows_list(&self, list: ListAt, view: Views) -> bool {
        self.list(list).holder.is_none_or(|holder| self.piece(holder).shown & view != 0)
    }

    fn new_list(&mut self, holder: Option<At>, depth: u32) -> ListAt {
        self.lists.push(List { holder, depth, ..List::default() });
        ListAt(self.lists.len() as u32 - 1)
    }

    fn change(&mut self, at: At, change: impl FnOnce(&mut Piece<'a>)) {
        if let Some(it) = self.pieces.get_mut(at.0 as usize) {
            change(it);
        }
    }

    fn change_list(&mut self, list: ListAt, change: impl FnOnce(&mut List<'a>)) {
        if let Some(it) = self.lists.get_mut(list.0 as usize) {
            change(it);
        }
    }

    fn change_chain(&mut self, chain: ChainAt, change: impl FnOnce(&mut Chain<'a>)) {
        if let Some(it) = self.chains.get_mut(chain.0 as usize) {
            change(it);
        }
    }
}
