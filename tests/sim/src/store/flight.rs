//! Operations on their way.

use bytes::Bytes;
use yonder_core::kv::{KvError, Page};

/// What is asked of a store.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A value.
    Get(String),
    /// To keep one.
    Set(String, Bytes),
    /// To let one go.
    Delete(String),
    /// Keys.
    List(String, Option<String>),
    /// To count.
    Count(String, u64),
}

/// What it answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To [`Ask::Get`].
    Value(Result<Option<Bytes>, KvError>),
    /// To [`Ask::Set`] and [`Ask::Delete`].
    Done(Result<(), KvError>),
    /// To [`Ask::List`].
    Page(Result<Page, KvError>),
    /// To [`Ask::Count`].
    Count(Result<u64, KvError>),
}

/// An operation that was sent.
#[derive(Debug)]
pub struct Flight {
    pub(super) id: u64,
    /// Who waits for it; nobody if its instance is gone.
    pub task: Option<usize>,
    /// From where it was sent.
    pub instance: usize,
    /// What it is.
    pub ask: Ask,
    /// When it was sent.
    pub sent: u64,
    /// What the store said: the answer is on its way.
    pub answer: Option<Answer>,
}

impl Answer {
    /// No answer.
    pub(super) fn failed(ask: &Ask) -> Self {
        let error = KvError::Unavailable;
        match ask {
            Ask::Get(_) => Self::Value(Err(error)),
            Ask::Set(..) | Ask::Delete(_) => Self::Done(Err(error)),
            Ask::List(..) => Self::Page(Err(error)),
            Ask::Count(..) => Self::Count(Err(error)),
        }
    }
}

impl Ask {
    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        !matches!(self, Self::Get(_) | Self::List(..) | Self::Count(_, 0))
    }
}
