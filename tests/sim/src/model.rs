//! The reference: what was edited, acknowledged and deleted, what each reader was told, and what follows from it.

use crate::edits::{Authors, Edit};
use crate::outcome::Counts;
use crate::ranges::Has;
use crate::rng::Rng;
use bytes::Bytes;
use yonder_core::DocName;
use yonder_core::log::{Life, Loaded, LogReply, Offset};
use yonder_core::replica::Replica;
use yrs::updates::decoder::Decode as _;
use yrs::{Doc, GetString as _, Map as _, Transact as _, Update};

/// Clients that edit at the same time.
const AUTHORS: usize = 3;
/// Offsets of old that are kept to be read from in the end.
const PLACES: u64 = 40;

/// A document, as it must be.
pub struct Document {
    /// Its name.
    pub name: DocName,
    /// All edits, in the order in which they were made.
    pub(crate) edits: Vec<Made>,
    /// Edits that are to be appended.
    pub(crate) unsent: Vec<usize>,
    /// Those who read it.
    pub readers: Vec<Reader>,
    /// Attempts to delete it.
    pub(crate) deletions: Vec<Deletion>,
    /// Places that readers were at, and what they had there.
    pub(crate) places: Vec<(Offset, Has)>,
    seen_places: u64,
    /// Where the log ended when somebody was last told so.
    pub(crate) end: Offset,
    authors: Authors,
    next_author: u64,
    all: Has,
}

/// An edit.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) edit: Edit,
    /// When it was first sent.
    pub(crate) sent: Option<u64>,
    /// Appends that had it.
    pub(crate) appends: u32,
    /// When it was acknowledged, and for which generation.
    pub(crate) acknowledged: Option<(u64, u64)>,
}

/// An attempt to delete the document.
#[derive(Debug)]
pub(crate) struct Deletion {
    /// The generation that was there, as far as anyone knew when it began.
    pub(crate) known: u64,
    pub(crate) ended: Option<u64>,
    /// What it deleted, if it was acknowledged.
    pub(crate) generation: Option<u64>,
}

/// Who reads.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Where it goes on.
    pub place: Offset,
    /// What it has, of the generation of its place.
    pub has: Has,
    /// It waits for an answer.
    pub(crate) busy: bool,
}

/// What is known of staleness when something is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    /// Whatever was written before this must be seen; nothing need be if there is no bound.
    pub(crate) sees: Option<u64>,
    /// For how long someone may still believe in a document that was deleted.
    pub(crate) believes: Option<u64>,
}

impl Document {
    /// One that nobody has made yet.
    pub fn new(name: &str, readers: usize) -> Self {
        Self {
            name: DocName::new(name).unwrap(),
            edits: Vec::new(),
            unsent: Vec::new(),
            readers: vec![Reader::default(); readers],
            deletions: Vec::new(),
            places: Vec::new(),
            seen_places: 0,
            end: Offset::START,
            authors: Authors::new(1, AUTHORS),
            next_author: 1 + AUTHORS as u64,
            all: Has::default(),
        }
    }

    /// Somebody edits.
    pub(crate) fn edit(&mut self, rng: &mut Rng, large: bool) {
        let edit = self.authors.edit(rng, large);
        self.all.merge(&edit.has);
        if edit.sets {
            // Another value of the key may push it out.
            self.all.deletes.merge(&edit.has.structs);
        }
        self.unsent.push(self.edits.len());
        self.edits.push(Made { edit, sent: None, appends: 0, acknowledged: None });
    }

    /// Learns where the log ends.
    pub(crate) fn hear(&mut self, reply: &LogReply) {
        match reply {
            LogReply::Loaded(Loaded { tail, .. })
            | LogReply::Appended(tail)
            | LogReply::Created { tail, .. }
            | LogReply::Compacted(tail) => self.end = tail.end.clone(),
            _ => {}
        }
    }

    /// Takes up to `most` edits to append, mostly the oldest.
    pub(crate) fn take(&mut self, rng: &mut Rng, most: usize, now: u64) -> Vec<usize> {
        let mut taken = Vec::new();
        while taken.len() < most && !self.unsent.is_empty() {
            let at = if rng.chance(700) { 0 } else { rng.index(self.unsent.len()) };
            let edit = self.unsent.remove(at);
            self.edits[edit].sent.get_or_insert(now);
            self.edits[edit].appends += 1;
            taken.push(edit);
        }
        taken
    }

    /// The store said that it has these.
    pub(crate) fn acknowledge(&mut self, edits: &[usize], now: u64, generation: u64, counts: &mut Counts) {
        for edit in edits {
            self.edits[*edit].acknowledged.get_or_insert((now, generation));
            counts.acknowledged += 1;
        }
    }

    /// The document was deleted, and clients know: what they edit from now on is of a new one. Some of them forget what
    /// they had not sent; what others had comes late.
    pub(crate) fn begin_anew(&mut self, rng: &mut Rng) {
        self.authors = Authors::new(self.next_author, AUTHORS);
        self.next_author += AUTHORS as u64;
        if rng.chance(500) {
            self.unsent.clear();
        }
    }

    /// Whether an edit may be gone: somebody tried to delete the document when it was there, or was thought to be.
    fn may_be_deleted(&self, made: &Made, sight: Sight) -> bool {
        let Some((_, generation)) = made.acknowledged else { return true };
        let Some(believes) = sight.believes else { return !self.deletions.is_empty() };
        let sent = made.sent.unwrap_or_default();
        self.deletions.iter().any(|deletion| {
            let over = match (deletion.generation, deletion.ended) {
                (Some(deleted), _) if deleted < generation => return false,
                (Some(_), Some(ended)) => ended,
                // It may go on for as long as a write may be late.
                (None, Some(ended)) => ended + 60_000,
                (_, None) => u64::MAX,
            };
            over.saturating_add(believes) >= sent
        })
    }

    /// Checks what the store tells of a document from its start, or from where a reader has `has` of generation
    /// `place.generation()`. Gives what the reader has now.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check(
        &self,
        place: &Offset,
        has: &Has,
        loaded: &Loaded,
        sight: Sight,
    ) -> Result<Has, String> {
        let (end, life) = (&loaded.tail.end, loaded.tail.life);
        let generation = end.generation();
        let mut now = if place.generation() == generation { has.clone() } else { Has::default() };
        let mut told = Has::default();
        for update in loaded.snapshot.iter().chain(loaded.updates.iter().map(|(_, update)| update)) {
            told.read(update).map_err(|error| format!("I2: what is told is no update of ours: {error}"))?;
        }
        if let Some(foreign) = self.all.lacks(&told) {
            return Err(format!("I3: {foreign} is told, and nobody wrote it"));
        }
        now.merge(&told);
        if life != Life::Live && !told.structs.is_empty() {
            return Err(format!("I9: a document that is {life:?} is told"));
        }
        for made in &self.edits {
            let Some((at, acknowledged)) = made.acknowledged else { continue };
            if sight.sees.is_none_or(|sees| at > sees) {
                continue;
            }
            let there = acknowledged == generation && life == Life::Live;
            if there {
                // A list may show what a deletion has removed, and not yet its tombstone.
                let excused = sight.sees != Some(u64::MAX) && self.may_be_deleted(made, sight);
                if let Some(lost) = now.lacks(&made.edit.has).filter(|_| !excused) {
                    return Err(format!(
                        "I10: {lost} was acknowledged at {at} ms, and is not told (generation {generation})"
                    ));
                }
            } else if acknowledged >= generation {
                if !self.may_be_deleted(made, sight) {
                    let lost = Has::default().lacks(&made.edit.has).unwrap_or_default();
                    return Err(format!(
                        "I9: {lost} was acknowledged at {at} ms in generation {acknowledged}, nobody deleted it, and the \
                         document is {life:?} in generation {generation}"
                    ));
                }
            } else if !self.may_be_deleted(made, sight) {
                let lost = Has::default().lacks(&made.edit.has).unwrap_or_default();
                return Err(format!(
                    "I9: {lost} was acknowledged at {at} ms in generation {acknowledged}, and nobody deleted it"
                ));
            }
            let written = !made.edit.has.structs.is_empty() && made.appends == 1;
            if !there && written && acknowledged < generation && told.lacks(&made.edit.has).is_none() {
                let back = Has::default().lacks(&made.edit.has).unwrap_or_default();
                return Err(format!(
                    "I9: {back} of generation {acknowledged} is told of generation {generation}"
                ));
            }
        }
        self.check_deleted(generation, life, sight)?;
        if end.to_string().len() > 250 || Offset::parse(&end.to_string()).as_ref() != Some(end) {
            return Err(format!("limits: the place {end} cannot be"));
        }
        Ok(now)
    }

    /// What was deleted, and is known to be, is not live.
    fn check_deleted(&self, generation: u64, life: Life, sight: Sight) -> Result<(), String> {
        let Some(sees) = sight.sees else { return Ok(()) };
        let back = self.deletions.iter().find(|deletion| {
            let known = deletion.ended.is_some_and(|ended| ended <= sees);
            known && deletion.generation.is_some_and(|deleted| deleted >= generation) && life == Life::Live
        });
        match back {
            Some(deletion) => Err(format!(
                "I9: generation {:?} was deleted at {:?} ms, and generation {generation} is live",
                deletion.generation, deletion.ended
            )),
            None => Ok(()),
        }
    }

    /// A reader has heard.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn told(
        &mut self,
        reader: usize,
        since: &Offset,
        loaded: &Loaded,
        sight: Sight,
        rng: &mut Rng,
    ) -> Result<(), String> {
        let has = self.check(since, &self.readers[reader].has, loaded, sight)?;
        let end = &loaded.tail.end;
        let nothing = loaded.snapshot.is_none() && loaded.updates.is_empty();
        if end != since && end.to_string() <= since.to_string() {
            return Err(format!("I10: a reader at {since} is sent back to {end}"));
        }
        if end == since && !nothing && has != self.readers[reader].has {
            return Err(format!("I10: a reader at {since} is told something new, and stays there"));
        }
        self.readers[reader].place = end.clone();
        self.readers[reader].has = has;
        self.keep_place(reader, rng);
        Ok(())
    }

    fn keep_place(&mut self, reader: usize, rng: &mut Rng) {
        self.seen_places += 1;
        let Reader { place, has, .. } = self.readers[reader].clone();
        if (self.places.len() as u64) < PLACES {
            self.places.push((place, has));
            return;
        }
        let index = rng.below(self.seen_places);
        if index < PLACES {
            self.places[index as usize] = (place, has);
        }
    }
}

impl Document {
    /// Whether two have the same edits. What a replica deletes by itself is no edit.
    ///
    /// # Errors
    /// How they differ.
    pub(crate) fn same(&self, has: &Has, all: &Has, who: &str) -> Result<(), String> {
        let structs = has.structs.lacks(&all.structs).or_else(|| all.structs.lacks(&has.structs));
        let edits = || self.edits.iter().map(|made| &made.edit.has);
        let edit = edits().find(|edit| has.lacks(edit).is_some() != all.lacks(edit).is_some());
        match (structs, edit) {
            (None, None) => Ok(()),
            (structs, edit) => {
                Err(format!("I10: at rest, {who} differs from the document by {structs:?}, {edit:?}"))
            }
        }
    }

    /// What is told is, for a replica, what its edits make.
    pub(crate) fn is_reference(&self, loaded: &Loaded, has: &Has) -> Result<(), String> {
        let told: Vec<Bytes> = loaded
            .snapshot
            .iter()
            .cloned()
            .chain(loaded.updates.iter().map(|(_, update)| update.clone()))
            .collect();
        let edits = self.edits.iter().filter(|made| has.lacks(&made.edit.has).is_none());
        let edits: Vec<Bytes> = edits.map(|made| made.edit.bytes.clone()).collect();
        let (told, expected) = (shown(told)?, shown(edits)?);
        if told == expected {
            Ok(())
        } else {
            Err(format!("I6: the document is {told:?}, and its edits make {expected:?}"))
        }
    }
}

/// A document as a replica shows it: its state vector, text and map. All is merged, and applied once.
fn shown(updates: Vec<Bytes>) -> Result<(Vec<u8>, String, String), String> {
    let mut replica = Replica::new(None, updates);
    let state = replica.diff(&[0]).map_err(|error| format!("I6: what is stored is no document: {error}"))?;
    let vector = replica.state_vector().map_err(|error| error.to_string())?;
    let doc = Doc::new();
    let (text, map) = (doc.get_or_insert_text("t"), doc.get_or_insert_map("m"));
    let update = Update::decode_v1(&state).map_err(|error| error.to_string())?;
    doc.transact_mut().apply_update(update).map_err(|error| error.to_string())?;
    let txn = doc.transact();
    let mut keys: Vec<_> = map.iter(&txn).map(|(key, value)| format!("{key}: {value}")).collect();
    keys.sort();
    Ok((vector, text.get_string(&txn), keys.join(", ")))
}
