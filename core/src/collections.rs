//! Maps and sets that are ordered by their keys, as those of the standard library are, in a fifth of the code: a module
//! of Wasm has each one for each type that it is used with.
//!
//! The entries lie in a list of short lists. Finding one takes as many steps as in a tree; adding or removing one moves
//! what lies behind it in its short list, at most 8 KB, and seldom the list of lists.

use core::borrow::Borrow;
use core::fmt;
use core::ops::{Bound, Range, RangeBounds};
use core::slice::Iter;

/// What a list has at most: a few thousand lists hold all that fits into a module's memory.
const CHUNK_BYTES: usize = 8 << 10;

/// A map in the order of its keys.
#[derive(Clone)]
pub struct Map<K, V> {
    /// In order, and so are their entries. None is empty, but for an only one.
    chunks: Vec<Vec<(K, V)>>,
    len: usize,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Map<K, V> {
    /// Entries that a list has at most.
    const CHUNK: usize = match CHUNK_BYTES.checked_div(size_of::<(K, V)>()) {
        Some(count) if count > 8 => count,
        Some(_) => 8,
        None => CHUNK_BYTES,
    };

    /// An empty map, which has allocated nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes all.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The entries in order.
    pub fn iter(&self) -> Entries<'_, K, V> {
        Entries { front: Default::default(), chunks: self.chunks.iter(), back: Default::default() }
    }

    /// The entries in order, to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> {
        self.chunks.iter_mut().flatten().map(|(key, value)| (&*key, value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// The values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.chunks.iter_mut().flatten().map(|(_, value)| value)
    }

    /// Removes what the predicate is false for.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        for chunk in &mut self.chunks {
            chunk.retain_mut(|(key, value)| keeps(key, value));
        }
        self.tidy();
    }

    /// Removes what the predicate is true for, and gives it in order.
    pub fn extract_if(&mut self, mut goes: impl FnMut(&K, &mut V) -> bool) -> Vec<(K, V)> {
        let mut gone = Vec::new();
        for chunk in &mut self.chunks {
            gone.extend(chunk.extract_if(.., |(key, value)| goes(key, value)));
        }
        self.tidy();
        gone
    }

    /// The first entry.
    #[must_use]
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.chunks.first()?.first().map(|(key, value)| (key, value))
    }

    /// The last entry.
    #[must_use]
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.chunks.last()?.last().map(|(key, value)| (key, value))
    }

    /// Removes the first entry.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        if self.is_empty() { None } else { self.take(0, 0) }
    }

    /// Removes the last entry.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        let at = self.chunks.len().checked_sub(1)?;
        let place = self.chunks.last()?.len().checked_sub(1)?;
        self.take(at, place)
    }

    /// Puts an entry where [`find`](Self::find) says that it belongs. Says where that is then.
    fn put(&mut self, mut at: usize, mut place: usize, entry: (K, V)) -> (usize, usize) {
        self.len += 1;
        let count = self.chunks.len();
        match self.chunks.get_mut(at) {
            Some(chunk) if chunk.len() >= Self::CHUNK => {
                // Keys mostly grow: what is only added to at its end stays full.
                let is_end = at + 1 == count && place == chunk.len();
                let kept = if is_end { place } else { chunk.len() / 2 };
                let behind = chunk.split_off(kept);
                if place > kept || is_end {
                    (at, place) = (at + 1, place - kept);
                    self.chunks.insert(at, behind);
                } else {
                    self.chunks.insert(at + 1, behind);
                }
            }
            Some(_) => {}
            None => self.chunks.push(Vec::new()),
        }
        if let Some(chunk) = self.chunks.get_mut(at) {
            chunk.insert(place, entry);
        }
        (at, place)
    }

    /// Removes the entry that stands there.
    fn take(&mut self, at: usize, place: usize) -> Option<(K, V)> {
        let chunk = self.chunks.get_mut(at)?;
        let entry = chunk.remove(place);
        self.len -= 1;
        if chunk.len() < Self::CHUNK / 4 {
            for at in [Some(at), at.checked_sub(1)].into_iter().flatten() {
                if let Some([chunk, next]) = self.chunks.get_mut(at..at.saturating_add(2))
                    && Self::joined(next, chunk)
                {
                    self.chunks.remove(at + 1);
                }
            }
        }
        Some(entry)
    }

    /// Joins two lists if one is empty or both are short. Says whether the latter is needed no more.
    fn joined(next: &mut Vec<(K, V)>, chunk: &mut Vec<(K, V)>) -> bool {
        let joins = chunk.is_empty() || next.is_empty() || chunk.len() + next.len() <= Self::CHUNK / 2;
        if joins {
            chunk.append(next);
        }
        joins
    }

    fn tidy(&mut self) {
        self.chunks.dedup_by(Self::joined);
        self.len = self.chunks.iter().map(Vec::len).sum();
    }
}

impl<K: Ord, V> Map<K, V> {
    /// In which list the key is or would be, and where there it is or would be.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> (usize, Result<usize, usize>)
    where
        K: Borrow<Q>,
    {
        let begins = |chunk: &Vec<(K, V)>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        let at = self.chunks.partition_point(begins).saturating_sub(1);
        let place =
            self.chunks.get(at).map(|chunk| chunk.binary_search_by(|(known, _)| known.borrow().cmp(key)));
        (at, place.unwrap_or(Err(0)))
    }

    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key);
        self.chunks.get(at)?.get(place.ok()?).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key);
        self.chunks.get_mut(at)?.get_mut(place.ok()?).map(|(_, value)| value)
    }

    /// Whether it has the key.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).1.is_ok()
    }

    /// Sets the value of a key, and gives the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            (at, Ok(place)) => {
                let (_, known) = self.chunks.get_mut(at)?.get_mut(place)?;
                Some(core::mem::replace(known, value))
            }
            (at, Err(place)) => {
                self.put(at, place, (key, value));
                None
            }
        }
    }

    /// The value of a key, which is made if it has none.
    #[expect(clippy::indexing_slicing, reason = "an entry is where it was found or put")]
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let (at, place) = match self.find(&key) {
            (at, Ok(place)) => (at, place),
            (at, Err(place)) => self.put(at, place, (key, make())),
        };
        &mut self.chunks[at][place].1
    }

    /// Removes a key, and gives the value that it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key);
        self.take(at, place.ok()?).map(|(_, value)| value)
    }

    /// The entries whose keys are in a range, in order.
    pub fn range(&self, range: impl RangeBounds<K>) -> Entries<'_, K, V> {
        let (first, from) = self.bound(range.start_bound(), false);
        let (last, to) = self.bound(range.end_bound(), true).max((first, from));
        let inside = |at: usize, places: Range<usize>| {
            self.chunks.get(at).and_then(|chunk| chunk.get(places)).unwrap_or_default().iter()
        };
        let end = if first == last { to } else { self.chunks.get(first).map_or(0, Vec::len) };
        Entries {
            front: inside(first, from..end),
            chunks: self.chunks.get(first + 1..last).unwrap_or_default().iter(),
            back: inside(last, 0..if first < last { to } else { 0 }),
        }
    }

    fn bound(&self, bound: Bound<&K>, is_end: bool) -> (usize, usize) {
        match bound {
            Bound::Unbounded => (if is_end { self.chunks.len() } else { 0 }, 0),
            Bound::Included(key) | Bound::Excluded(key) => match self.find(key) {
                (at, Ok(place)) => (at, place + usize::from(is_end == matches!(bound, Bound::Included(_)))),
                (at, Err(place)) => (at, place),
            },
        }
    }
}

/// Entries of a map, in order.
#[derive(Debug)]
pub struct Entries<'a, K, V> {
    front: Iter<'a, (K, V)>,
    chunks: Iter<'a, Vec<(K, V)>>,
    back: Iter<'a, (K, V)>,
}

impl<K, V> Clone for Entries<'_, K, V> {
    fn clone(&self) -> Self {
        Self { front: self.front.clone(), chunks: self.chunks.clone(), back: self.back.clone() }
    }
}

impl<'a, K, V> Iterator for Entries<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.front.next() {
                return Some((key, value));
            }
            match self.chunks.next() {
                Some(chunk) => self.front = chunk.iter(),
                None => return self.back.next().map(|(key, value)| (key, value)),
            }
        }
    }
}

impl<K, V> DoubleEndedIterator for Entries<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.back.next_back() {
                return Some((key, value));
            }
            match self.chunks.next_back() {
                Some(chunk) => self.back = chunk.iter(),
                None => return self.front.next_back().map(|(key, value)| (key, value)),
            }
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = core::iter::Flatten<std::vec::IntoIter<Vec<(K, V)>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.chunks.into_iter().flatten()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

/// A set in its order.
#[derive(Clone, PartialEq, Eq)]
pub struct Set<K>(Map<K, ()>);

impl<K> Default for Set<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Set<K> {
    /// An empty set, which has allocated nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Map::new())
    }

    /// How many it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.0.keys()
    }

    /// Removes those that the predicate is false for.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K) -> bool) {
        self.0.retain(|key, ()| keeps(key));
    }

    /// Removes those that the predicate is true for, and gives them in order.
    pub fn extract_if(&mut self, mut goes: impl FnMut(&K) -> bool) -> Vec<K> {
        self.0.extract_if(|key, ()| goes(key)).into_iter().map(|(key, ())| key).collect()
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> Option<&K> {
        self.0.first_key_value().map(|(key, ())| key)
    }

    /// The last.
    #[must_use]
    pub fn last(&self) -> Option<&K> {
        self.0.last_key_value().map(|(key, ())| key)
    }

    /// Removes the first.
    pub fn pop_first(&mut self) -> Option<K> {
        self.0.pop_first().map(|(key, ())| key)
    }

    /// Removes the last.
    pub fn pop_last(&mut self) -> Option<K> {
        self.0.pop_last().map(|(key, ())| key)
    }
}

impl<K: Ord> Set<K> {
    /// Whether it is there.
    #[must_use]
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Adds one. Whether it is new.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Removes one. Whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.remove(key).is_some()
    }

    /// Those in a range, in order.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.0.range(range).map(|(key, ())| key)
    }
}

impl<K: Ord> FromIterator<K> for Set<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut set = Self::new();
        set.extend(keys);
        set
    }
}

impl<K: Ord> Extend<K> for Set<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        self.0.extend(keys.into_iter().map(|key| (key, ())));
    }
}

impl<K> IntoIterator for Set<K> {
    type Item = K;
    type IntoIter = core::iter::Map<<Map<K, ()> as IntoIterator>::IntoIter, fn((K, ())) -> K>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(key, ())| key)
    }
}

impl<K: fmt::Debug> fmt::Debug for Set<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
