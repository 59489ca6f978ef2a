//! How a store behaves: each fault by itself, and the sets of them that hosts have.

/// Until when a write is not visible everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// At once.
    None,
    /// After so many milliseconds at most.
    Upto(u64),
    /// Whenever, but for the end of a run.
    Unbounded,
}

/// A store's behaviour. Chances are out of 1,000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What it is called.
    pub name: &'static str,
    /// It lists its keys.
    pub lists: bool,
    /// It counts.
    pub counts: bool,
    /// Until reads of a key see a write.
    pub lag: Lag,
    /// Until lists see it.
    pub list_lag: Lag,
    /// Milliseconds for which a key that was not there is remembered as missing.
    pub negative: u64,
    /// An instance reads now from one replica and now from another.
    pub wanders: bool,
    /// Keys of a page; 0 for all on one.
    pub page: usize,
    /// Keys are not listed in their order.
    pub shuffled: bool,
    /// An operation fails without effect.
    pub fails: u32,
    /// A write is done and reported as failed.
    pub ambiguous: u32,
    /// One write a second for a key.
    pub key_rate: bool,
    /// Fifty writes a second for all.
    pub all_rate: bool,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Bytes of a key.
    pub key_bytes: usize,
    /// Weight of a failover: all that is under way fails, and counters go back a little, to nothing, or forward.
    pub miscounts: u32,
    /// Milliseconds by which clocks are wrong at most.
    pub skew: u64,
}

impl Profile {
    const IMMEDIATE: Self = Self {
        name: "immediate",
        lists: true,
        counts: true,
        lag: Lag::None,
        list_lag: Lag::None,
        negative: 0,
        wanders: false,
        page: 0,
        shuffled: false,
        fails: 0,
        ambiguous: 0,
        key_rate: false,
        all_rate: false,
        value_bytes: 1_000_000,
        key_bytes: 255,
        miscounts: 0,
        skew: 0,
    };

    /// All that there are.
    pub fn all() -> Vec<Self> {
        let immediate = Self::IMMEDIATE;
        let skewed = Self { skew: 120_000, fails: 10, ambiguous: 10, ..immediate.clone() };
        vec![
            immediate,
            Self { name: "spin-sqlite", shuffled: true, ..skewed.clone() },
            Self { name: "spin-redis", shuffled: true, ambiguous: 20, ..skewed.clone() },
            Self {
                name: "fastly",
                counts: false,
                lag: Lag::Upto(300),
                wanders: true,
                page: 20,
                shuffled: true,
                key_rate: true,
                ..skewed.clone()
            },
            Self {
                name: "akamai",
                counts: false,
                lag: Lag::Upto(5_000),
                list_lag: Lag::Upto(5_000),
                wanders: true,
                shuffled: true,
                all_rate: true,
                ..skewed.clone()
            },
            Self {
                name: "s3-eventual",
                counts: false,
                lag: Lag::Upto(10_000),
                list_lag: Lag::Upto(20_000),
                negative: 15_000,
                wanders: true,
                page: 7,
                ..skewed.clone()
            },
            Self {
                name: "hostile",
                counts: false,
                lag: Lag::Unbounded,
                list_lag: Lag::Unbounded,
                negative: 60_000,
                wanders: true,
                page: 3,
                shuffled: true,
                fails: 30,
                ambiguous: 30,
                key_rate: true,
                all_rate: true,
                ..skewed.clone()
            },
            Self {
                name: "counting-hostile",
                lists: false,
                fails: 30,
                ambiguous: 30,
                all_rate: true,
                ..skewed.clone()
            },
            Self { name: "failover", lists: false, miscounts: 1, ..skewed },
        ]
    }

    /// Milliseconds after which every read sees a write; none if there is no bound.
    pub fn staleness(&self) -> Option<u64> {
        let bound = |lag| match lag {
            Lag::None => Some(0),
            Lag::Upto(bound) => Some(bound),
            Lag::Unbounded => None,
        };
        Some(bound(self.lag)?.max(bound(self.list_lag)?) + self.negative)
    }

    /// Turns a fault off; false if there is none of that name.
    pub fn without(&mut self, fault: &str) -> bool {
        let calm = Self::IMMEDIATE;
        match fault {
            "lag" => self.lag = calm.lag,
            "list-lag" => self.list_lag = calm.list_lag,
            "negative" => self.negative = 0,
            "wandering" => self.wanders = false,
            "pages" => self.page = 0,
            "order" => self.shuffled = false,
            "failures" => self.fails = 0,
            "ambiguity" => self.ambiguous = 0,
            "key-rate" => self.key_rate = false,
            "rate" => self.all_rate = false,
            "miscounts" => self.miscounts = 0,
            "skew" => self.skew = 0,
            _ => return false,
        }
        true
    }

    /// What [`Profile::without`] knows.
    pub const FAULTS: [&str; 12] = [
        "lag",
        "list-lag",
        "negative",
        "wandering",
        "pages",
        "order",
        "failures",
        "ambiguity",
        "key-rate",
        "rate",
        "miscounts",
        "skew",
    ];
}
