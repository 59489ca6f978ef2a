//! What an HTTP request asks of one document, once it is routed and authorised.
//!
//! How each is said in HTTP stands in [`crate::http`]; how it is answered, in [`crate::Room`].

use crate::effect::Millis;
use crate::http::{ApiError, Reply};
use crate::log::Offset;
use crate::name::DocName;
use bytes::Bytes;

/// What an HTTP request asks of one document. Answered by one [`crate::Effect::Reply`], unless it is forwarded to
/// another document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocRequest {
    /// Make the document unless it is there.
    Create {
        /// What it begins with.
        content: Vec<Bytes>,
        /// The answer if it was made. It gets a `Stream-Next-Offset`.
        created: Reply,
        /// The answer if it was there; likewise.
        existed: Result<Reply, ApiError>,
    },
    /// Give an answer if the document is there. It gets a `Stream-Next-Offset`.
    Exists {
        /// The answer.
        reply: Reply,
        /// The answer if it is not there.
        otherwise: ApiError,
    },
    /// Delete the document.
    Delete,
    /// Store updates; answered once they are.
    Append {
        /// Yjs updates, not yet checked.
        updates: Vec<Bytes>,
        /// The answer. It gets a `Stream-Next-Offset`.
        reply: Reply,
    },
    /// The document as one update.
    State,
    /// The document as JSON.
    Json,
    /// Where a reader begins: a redirect to the snapshot if there is one, else to the start.
    Discover {
        /// The document's path; the query with the offset is put behind it.
        path: String,
        /// The rest of the query, to be kept: empty or begins with `&`.
        query: String,
    },
    /// Read the snapshot that ends at an offset, or the one that replaced it.
    Snapshot(Offset),
    /// Read updates or presence, and perhaps wait for more.
    Read(Read),
    /// Do something with a presence stream.
    Presence {
        /// Its name.
        stream: String,
        /// What.
        what: PresenceOp,
    },
    /// Make another document with this one's content.
    Copy {
        /// The other one.
        to: DocName,
        /// The answer once it is made.
        reply: Reply,
    },
    /// Do something with the document's versions.
    Version(VersionOp),
}

impl DocRequest {
    /// Whether it is about what the document holds.
    pub(crate) fn reads(&self) -> bool {
        matches!(
            self,
            Self::State
                | Self::Json
                | Self::Discover { .. }
                | Self::Snapshot(_)
                | Self::Read(_)
                | Self::Copy { .. }
        )
    }
}

/// A read of the document's updates, its presence, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Updates behind this place.
    pub updates: Option<Since>,
    /// Changes of a presence stream.
    pub presence: Option<(String, PresenceSince)>,
    /// Whether to wait for more.
    pub live: Live,
    /// The cursor that the client echoes.
    pub cursor: Option<u64>,
    /// The tag of what the client has.
    pub if_none_match: Option<String>,
    /// A proxy does the waiting ([`crate::grip::hold`]): it is told what there is, or that there is nothing, at once.
    pub held: bool,
}

/// From where on updates are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// All.
    Start,
    /// Only what comes from now on.
    Now,
    /// What comes behind this place.
    At(Offset),
}

/// From where on presence is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceSince {
    /// Everyone who is there.
    All,
    /// What changed since.
    At(PresenceOffset),
}

/// Whether a read waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// It does not.
    No,
    /// Until there is something, or a deadline.
    LongPoll,
    /// It goes on as an event stream, until a deadline.
    Events,
}

/// A place in a presence stream. Presence may be lost: a place of an earlier life is told by its `life`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PresenceOffset {
    /// When the room was made; where instances share the document, when the stream was made.
    pub life: Millis,
    /// Rises with each change.
    pub version: u64,
}

/// What can be done with a presence stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceOp {
    /// Make it: 201, or 200 if it is there.
    Create {
        /// Its own address, for the answer.
        path: String,
    },
    /// Announce states: awareness updates.
    Append(Vec<Bytes>),
    /// Tell whether it is there.
    Head,
    /// Delete it, and everyone in it.
    Delete,
}

/// What can be done with versions. The numbers are random: the core has no source of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionOp {
    /// Keep the present state.
    Make {
        /// What people call it.
        name: String,
        /// Makes the id unique.
        random: u32,
    },
    /// Tell all.
    List,
    /// The version as one update.
    State(String),
    /// The version as JSON.
    Json(String),
    /// Make the document look like the version again.
    Restore {
        /// Which.
        id: String,
        /// The Yjs client that does it.
        client: u32,
    },
    /// Delete it.
    Delete(String),
}

impl core::fmt::Display for PresenceOffset {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:012x}{:012x}", self.life.0, self.version)
    }
}

impl PresenceOffset {
    /// Reads the text of [`PresenceOffset`]'s `Display`; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 24 || !text.bytes().all(digit) {
            return None;
        }
        let number = |part: Option<&str>| part.and_then(|part| u64::from_str_radix(part, 16).ok());
        Some(Self { life: Millis(number(text.get(..12))?), version: number(text.get(12..))? })
    }
}
