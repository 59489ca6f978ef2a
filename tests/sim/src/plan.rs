//! What a seed decides once: the store, how many there are of whom, and what they do how often.

use crate::rng::Rng;
use crate::store::Profile;
use yonder_core::kv::KvConfig;

/// What is left out of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Without(Vec<String>);

/// What can be left out, beside the faults of a store.
pub const EVENTS: [&str; 8] =
    ["crashes", "cuts", "late-writes", "jumps", "deletes", "compactions", "large", "second-instance"];

impl Without {
    /// These.
    ///
    /// # Errors
    /// If one cannot be left out.
    pub fn add(&mut self, what: &str) -> Result<(), String> {
        if !EVENTS.contains(&what) && !Profile::FAULTS.contains(&what) {
            let known = [&EVENTS[..], &Profile::FAULTS[..]].concat().join(", ");
            return Err(format!("{what} cannot be left out; these can: {known}"));
        }
        self.0.push(what.to_owned());
        Ok(())
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// Which lowering is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// [`yonder_core::listed`], with requests to the log.
    Listed,
    /// [`yonder_core::sequenced`], likewise.
    Sequenced,
    /// Rooms on [`yonder_core::listed`].
    RoomsListed,
    /// Rooms on [`yonder_core::sequenced`].
    RoomsSequenced,
}

impl Level {
    /// All.
    pub const ALL: [Self; 4] = [Self::Listed, Self::Sequenced, Self::RoomsListed, Self::RoomsSequenced];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Sequenced => "sequenced",
            Self::RoomsListed => "rooms-listed",
            Self::RoomsSequenced => "rooms-sequenced",
        }
    }
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many steps it takes at most.
    pub steps: u64,
    /// What is played.
    pub level: Level,
    /// On which store.
    pub profile: Profile,
    /// How the lowering is set up.
    pub config: KvConfig,
    /// How many instances there are.
    pub instances: usize,
    /// Weights of what happens: see [`Weights`].
    pub weights: Weights,
    /// What is left out.
    pub without: Without,
}

impl Plan {
    /// Whether this happens in the run, and could be left out.
    pub fn has(&self, what: &str) -> bool {
        let weights = &self.weights;
        match what {
            "crashes" => weights.crash > 0,
            "cuts" => weights.cut > 0,
            "late-writes" => weights.late > 0,
            "jumps" => weights.jump > 0,
            "deletes" => weights.delete > 0,
            "compactions" => weights.compact > 0,
            "large" => weights.large,
            "second-instance" => self.instances > 1,
            fault => {
                let mut calmer = self.profile.clone();
                calmer.without(fault) && calmer != self.profile
            }
        }
    }
}

/// How often things happen.
#[derive(Debug, Clone)]
pub struct Weights {
    /// An instance loses all it knew, and what it was doing.
    pub crash: u32,
    /// A request is cut off.
    pub cut: u32,
    /// Of 1,000 writes that were cut off on their way, so many arrive all the same.
    pub late: u32,
    /// Time passes by more than a few milliseconds.
    pub jump: u32,
    /// A document is deleted, and made again.
    pub delete: u32,
    /// A log is compacted.
    pub compact: u32,
    /// Edits may be larger than a value.
    pub large: bool,
}

/// What is asked for on the command line.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only this level.
    pub level: Option<Level>,
    /// Only this store.
    pub profile: Option<String>,
    /// Without these.
    pub without: Without,
}

impl Choice {
    /// The run of a seed.
    pub fn plan(&self, seed: u64, steps: u64) -> Option<Plan> {
        let mut rng = Rng::new(seed ^ 0x5eed);
        // What is decided is decided in the same order and number whatever is left out.
        let levels: Vec<_> =
            Level::ALL.into_iter().filter(|level| self.level.is_none_or(|only| only == *level)).collect();
        let mut candidates = Vec::new();
        for level in levels {
            for profile in Profile::all() {
                let fits = match level {
                    Level::Listed | Level::RoomsListed => profile.lists,
                    Level::Sequenced | Level::RoomsSequenced => profile.counts,
                };
                if fits && self.profile.as_ref().is_none_or(|only| only == profile.name) {
                    candidates.push((level, profile));
                }
            }
        }
        let pick = rng.bits();
        let count = candidates.len();
        if count == 0 {
            return None;
        }
        let (level, mut profile) = candidates.swap_remove((pick % count as u64) as usize);
        let value_bytes = [400, 1_000, 50_000][rng.index(3)];
        let config = KvConfig {
            value_bytes,
            inline_bytes: [64, 300, 16 << 10][rng.index(3)].min(value_bytes),
            compaction_reads: [6, 16, 64][rng.index(3)],
            apart: [None, None, Some(6)][rng.index(3)],
            ..KvConfig::default()
        };
        // The names in a snapshot's head are bounded in number, and count only where a value has an honest size.
        profile.value_bytes = value_bytes.max(50_000);
        let mut weights = Weights {
            crash: [0, 1, 4][rng.index(3)],
            cut: [0, 1, 6][rng.index(3)],
            late: [0, 500][rng.index(2)],
            jump: [1, 3, 10][rng.index(3)],
            delete: [0, 0, 1, 4][rng.index(4)],
            compact: [0, 2, 8, 25][rng.index(4)],
            large: rng.chance(400),
        };
        let mut instances = [1, 2, 2, 3, 4][rng.index(5)];
        for name in self.without.names() {
            profile.without(name);
            match name.as_str() {
                "crashes" => weights.crash = 0,
                "cuts" => weights.cut = 0,
                "late-writes" => weights.late = 0,
                "jumps" => weights.jump = 0,
                "deletes" => weights.delete = 0,
                "compactions" => weights.compact = 0,
                "large" => weights.large = false,
                "second-instance" => instances = 1,
                _ => {}
            }
        }
        Some(Plan { seed, steps, level, profile, config, instances, weights, without: self.without.clone() })
    }
}
