//! What goes into the machine and what comes out of it: plain data, in one ordered list.

use crate::auth::Grant;
use crate::http::Reply;
use crate::log::{LogError, LogOp, LogReply};
use crate::name::DocName;
use crate::request::DocRequest;
use bytes::Bytes;

/// Milliseconds since the Unix epoch, as the host's clock has it. The core never reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// The instant `duration` milliseconds later.
    pub fn after(self, duration: u64) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Milliseconds since `earlier`, 0 if that lies ahead.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A connection of one room, or an HTTP request to it. The host gives the number; it is not used again while the room lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A storage request of one room. A retry has the number and the bytes of what it repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// What happened to a room.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// A connection was authorised and is open.
    Open {
        /// Its number.
        conn: ConnId,
        /// What it may do.
        grant: Grant,
    },
    /// A connection that an earlier instance of the room parked, see [`Effect::Park`].
    Resume {
        /// Its number.
        conn: ConnId,
        /// What was parked.
        parked: &'a [u8],
    },
    /// A binary frame came in.
    Frame {
        /// From whom.
        conn: ConnId,
        /// The frame, owned: an edit is stored and relayed as these very bytes, without a copy.
        bytes: Bytes,
    },
    /// An HTTP request came in, routed and authorised. It is answered by one [`Effect::Reply`].
    Request {
        /// Its number.
        conn: ConnId,
        /// What it asks.
        request: DocRequest,
        /// When its token ends, and it must too.
        expires: Option<Millis>,
    },
    /// A connection goes on elsewhere: it was parked, nothing is owed to it ([`crate::Room::owes`]), and this room hears
    /// nothing of it any more. Nobody is told, and its presence stays. Whoever resumes it gets what was parked last.
    Leave {
        /// Which.
        conn: ConnId,
    },
    /// A connection is gone, whoever ended it; or a request whose client left.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// The answer to an [`Effect::Store`].
    Stored {
        /// Which request.
        op: OpId,
        /// What the store said.
        reply: Result<LogReply, LogError>,
    },
    /// The instant of [`crate::Room::poll_timeout`] has come.
    Tick,
}

/// What the host is to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the log; the reply comes back as [`Input::Stored`]. Never blocks the effects behind it.
    Store {
        /// The number that the reply carries.
        op: OpId,
        /// The request.
        request: LogOp,
    },
    /// Send a frame, encoded once for all who get it.
    Send {
        /// To whom.
        to: To,
        /// One y-protocols message: the published clients read no more than one a frame.
        frame: Bytes,
    },
    /// Keep this beside the connection, in place of what was kept before: a room that is built anew gets it
    /// back in [`Input::Resume`]. Only for hosts that set [`crate::RoomConfig::parks`].
    Park {
        /// Which connection.
        conn: ConnId,
        /// At most [`crate::session::PARKED_MAX`] bytes.
        state: Bytes,
    },
    /// Answer a request. If the reply streams, more of its body follows as [`Effect::Send`], until
    /// [`Effect::Close`]; else this is all.
    Reply {
        /// Which request.
        conn: ConnId,
        /// The answer.
        reply: Reply,
    },
    /// Another document's room answers this request: hand it over.
    Forward {
        /// Which request.
        conn: ConnId,
        /// The other document.
        doc: DocName,
        /// What to ask there.
        request: Box<DocRequest>,
    },
    /// End a connection or a reply that streams. [`Input::Closed`] is not needed afterwards, and does no harm.
    Close {
        /// Which.
        conn: ConnId,
        /// Why: a WebSocket close code and a text for people.
        reason: Close,
    },
}

/// Who gets a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// One connection.
    Conn(ConnId),
    /// Every open WebSocket, but for one.
    Sockets {
        /// Who is left out.
        except: Option<ConnId>,
    },
}

/// Why a connection is ended, as RFC 6455 wants it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The close code: 10xx as registered, 44xx after the HTTP status that it stands for.
    pub code: u16,
    /// Up to 123 bytes of UTF-8.
    pub reason: String,
}

impl Close {
    /// All is said: an event stream that has reached its deadline.
    pub const NORMAL: u16 = 1000;
    /// Going away: the server stops; come back.
    pub const GOING_AWAY: u16 = 1001;
    /// A kind of frame or message that this server does not take.
    pub const UNSUPPORTED: u16 = 1003;
    /// A frame that cannot be read.
    pub const MALFORMED: u16 = 1007;
    /// A frame, update or document beyond its limit.
    pub const TOO_BIG: u16 = 1009;
    /// The server could not do its part.
    pub const INTERNAL: u16 = 1011;
    /// Too slow, or too many: come back later.
    pub const TRY_AGAIN: u16 = 1013;
    /// A document name or request that cannot be.
    pub const BAD_REQUEST: u16 = 4400;
    /// No token, or one that does not hold (any more).
    pub const UNAUTHORIZED: u16 = 4401;
    /// A token for something else.
    pub const FORBIDDEN: u16 = 4403;
    /// The document was deleted.
    pub const NOT_FOUND: u16 = 4404;

    /// A reason, cut at what a close frame can carry.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason: String = reason.into();
        reason.truncate(reason.floor_char_boundary(123));
        Self { code, reason }
    }
}

/// The effects of one or several inputs, in order. Reused from input to input, so that its memory is as well.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
}

impl Effects {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes all effects, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect> + '_ {
        self.list.drain(..)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn send(&mut self, to: To, frame: Bytes) {
        self.list.push(Effect::Send { to, frame });
    }

    pub(crate) fn close(&mut self, conn: ConnId, reason: Close) {
        self.list.push(Effect::Close { conn, reason });
    }

    pub(crate) fn reply(&mut self, conn: ConnId, reply: impl Into<Reply>) {
        self.list.push(Effect::Reply { conn, reply: reply.into() });
    }

    pub(crate) fn forward(&mut self, conn: ConnId, doc: DocName, request: DocRequest) {
        self.list.push(Effect::Forward { conn, doc, request: Box::new(request) });
    }

    pub(crate) fn store(&mut self, op: OpId, request: LogOp) {
        self.list.push(Effect::Store { op, request });
    }

    pub(crate) fn park(&mut self, conn: ConnId, state: Bytes) {
        self.list.push(Effect::Park { conn, state });
    }
}
