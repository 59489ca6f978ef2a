//! What is measured, by name.

use crate::result::{Measured, Summary};
use std::str::FromStr;

/// A metric; [`Measured`] says what each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they stand where the fields do")]
pub enum Metric {
    Lookup,
    Tcp,
    Tls,
    Connect,
    Ttfb,
    Rtt,
    Ack,
    Propagation,
    Converge,
    Reconnect,
    Cold,
    Warm,
}

impl Metric {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Lookup,
        Self::Tcp,
        Self::Tls,
        Self::Connect,
        Self::Ttfb,
        Self::Rtt,
        Self::Ack,
        Self::Propagation,
        Self::Converge,
        Self::Reconnect,
        Self::Cold,
        Self::Warm,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Connect => "connect",
            Self::Ttfb => "ttfb",
            Self::Rtt => "rtt",
            Self::Ack => "ack",
            Self::Propagation => "propagation",
            Self::Converge => "converge",
            Self::Reconnect => "reconnect",
            Self::Cold => "cold",
            Self::Warm => "warm",
        }
    }

    /// What was found of it; none if the URL does not have it.
    pub fn of(self, measured: &Measured) -> Option<&Summary> {
        match self {
            Self::Lookup => measured.lookup.as_ref(),
            Self::Tcp => Some(&measured.tcp),
            Self::Tls => measured.tls.as_ref(),
            Self::Connect => Some(&measured.connect),
            Self::Ttfb => Some(&measured.ttfb),
            Self::Rtt => Some(&measured.rtt),
            Self::Ack => Some(&measured.ack),
            Self::Propagation => Some(&measured.propagation),
            Self::Converge => Some(&measured.converge),
            Self::Reconnect => Some(&measured.reconnect),
            Self::Cold => Some(&measured.cold),
            Self::Warm => Some(&measured.warm),
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|metric| metric.name() == text);
        found.ok_or_else(|| {
            format!("{text:?} is no metric; there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}
