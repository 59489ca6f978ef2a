//! What a run came to.

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was wrong, if anything was.
    pub violation: Option<Violation>,
    /// Steps that were taken.
    pub steps: u64,
    /// What happened, to see that a run is worth its time.
    pub counts: Counts,
}

/// Something that may never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// At which step.
    pub step: u64,
    /// What.
    pub what: String,
}

/// How often things happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Edits whose append was acknowledged.
    pub acknowledged: u64,
    /// Loads that were answered.
    pub loads: u64,
    /// Compactions.
    pub compactions: u64,
    /// Deletions.
    pub deletions: u64,
    /// Instances that crashed.
    pub crashes: u64,
    /// Requests that failed.
    pub failures: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.loads += other.loads;
        self.compactions += other.compactions;
        self.deletions += other.deletions;
        self.crashes += other.crashes;
        self.failures += other.failures;
    }
}
