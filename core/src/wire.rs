//! lib0 variable-length integers and y-protocols frames: what a client sends over a WebSocket and gets back.
//!
//! Decoding borrows from the frame and checks every length against what is left before anything is
//! allocated. This module knows how messages are written, not what they mean: whether an update is a Yjs
//! update is [`crate::update`]'s concern.
//!
//! A frame holds one or more messages, each `varUint type` and its body
//! (<https://github.com/yjs/y-protocols/blob/master/PROTOCOL.md>).

use bytes::Bytes;

/// The largest integer that lib0 writes: 53 bits, what a JavaScript number holds exactly.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

const SYNC: u64 = 0;
const AWARENESS: u64 = 1;
const AUTH: u64 = 2;
const QUERY_AWARENESS: u64 = 3;
const ECHO: u64 = 102;

const STEP_1: u64 = 0;
const STEP_2: u64 = 1;
const UPDATE: u64 = 2;

/// One message of a frame, borrowing its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A state vector: "send me what I miss".
    SyncStep1(&'a [u8]),
    /// The answer to a step 1: one update, perhaps the empty one.
    SyncStep2(&'a [u8]),
    /// An edit.
    Update(&'a [u8]),
    /// The states of clients, see y-protocols' `awareness.js`.
    Awareness(&'a [u8]),
    /// A refusal with its reason. Servers send it; from a client it has no meaning and is ignored.
    Auth(&'a str),
    /// "Send me all awareness states."
    QueryAwareness,
    /// y-sweet's message 102: to be sent back once this connection's earlier updates are stored.
    Echo(&'a [u8]),
}

/// Why a frame could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// The frame ended inside a value, or announced more than it holds.
    Truncated,
    /// An integer of more than 53 bits, or one written in more bytes than it needs to hold that.
    IntegerRange,
    /// A string that is not UTF-8.
    Utf8,
    /// The frame has no message.
    Empty,
    /// A message type that this protocol does not have. Its length cannot be known, so the frame ends here.
    UnknownType(u64),
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Truncated => f.write_str("the frame ends inside a value"),
            Self::IntegerRange => f.write_str("an integer exceeds 53 bits"),
            Self::Utf8 => f.write_str("a string is not UTF-8"),
            Self::Empty => f.write_str("the frame is empty"),
            Self::UnknownType(tag) => write!(f, "unknown message type {tag}"),
        }
    }
}

impl std::error::Error for WireError {}

/// The messages of a frame in order. After an error it ends: the rest of such a frame has no known shape.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    reader: Reader<'a>,
    state: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Start,
    Within,
    Ended,
}

impl<'a> Messages<'a> {
    /// Reads the messages of `frame`.
    pub fn new(frame: &'a [u8]) -> Self {
        Self { reader: Reader::new(frame), state: Progress::Start }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.state {
            Progress::Ended => return None,
            Progress::Start if self.reader.is_empty() => {
                self.state = Progress::Ended;
                return Some(Err(WireError::Empty));
            }
            Progress::Within if self.reader.is_empty() => return None,
            Progress::Start | Progress::Within => self.state = Progress::Within,
        }
        let message = read_message(&mut self.reader);
        if message.is_err() {
            self.state = Progress::Ended;
        }
        Some(message)
    }
}

fn read_message<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, WireError> {
    Ok(match reader.var_uint()? {
        SYNC => match reader.var_uint()? {
            STEP_1 => Message::SyncStep1(reader.var_bytes()?),
            STEP_2 => Message::SyncStep2(reader.var_bytes()?),
            UPDATE => Message::Update(reader.var_bytes()?),
            other => return Err(WireError::UnknownType(other)),
        },
        AWARENESS => Message::Awareness(reader.var_bytes()?),
        AUTH => {
            reader.var_uint()?;
            Message::Auth(reader.var_str()?)
        }
        QUERY_AWARENESS => Message::QueryAwareness,
        ECHO => Message::Echo(reader.var_bytes()?),
        other => return Err(WireError::UnknownType(other)),
    })
}

/// Reads lib0 values from a slice, front to back.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left: the bound for every count that is read from input.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next byte, which stays.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, WireError> {
        let (&first, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    /// `length` bytes.
    #[inline]
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned LEB128 integer of at most 53 bits.
    #[inline]
    pub fn var_uint(&mut self) -> Result<u64, WireError> {
        // Most are one byte, and a document has hundreds of thousands.
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            Some(_) => self.long_var_uint(),
            None => Err(WireError::Truncated),
        }
    }

    fn long_var_uint(&mut self) -> Result<u64, WireError> {
        let (mut value, mut shift) = (0_u64, 0);
        while shift < 56 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if value > MAX_INTEGER { Err(WireError::IntegerRange) } else { Ok(value) };
            }
            shift += 7;
        }
        Err(WireError::IntegerRange)
    }

    /// A length and that many bytes.
    #[inline]
    pub fn var_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.var_uint()?).map_err(|_| WireError::Truncated)?;
        self.bytes(length)
    }

    /// A length and that many bytes of UTF-8.
    pub fn var_str(&mut self) -> Result<&'a str, WireError> {
        core::str::from_utf8(self.var_bytes()?).map_err(|_| WireError::Utf8)
    }
}

/// Appends an unsigned LEB128 integer.
pub fn put_var_uint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a length and the bytes.
pub fn put_var_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_var_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A frame with one sync step 1.
pub fn step_1(state_vector: &[u8]) -> Bytes {
    frame(&[SYNC, STEP_1], state_vector)
}

/// A frame with one sync step 2.
pub fn step_2(update: &[u8]) -> Bytes {
    frame(&[SYNC, STEP_2], update)
}

/// A frame with one update.
pub fn update(update: &[u8]) -> Bytes {
    frame(&[SYNC, UPDATE], update)
}

/// A frame with one awareness update.
pub fn awareness(states: &[u8]) -> Bytes {
    frame(&[AWARENESS], states)
}

/// A frame that refuses: "permission denied", with a reason for people.
pub fn refusal(reason: &str) -> Bytes {
    frame(&[AUTH, 0], reason.as_bytes())
}

/// A frame that asks a client for all awareness states it knows.
pub fn query_awareness() -> Bytes {
    Bytes::from_static(&[QUERY_AWARENESS as u8])
}

/// y-sweet's message 102, sent back.
pub fn echo(payload: &[u8]) -> Bytes {
    frame(&[ECHO], payload)
}

fn frame(tags: &[u64], body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + tags.len() + 9);
    for tag in tags {
        put_var_uint(&mut out, *tag);
    }
    put_var_bytes(&mut out, body);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_read_back_as_it_was_written() {
        let cases: [(Bytes, Message<'_>); 7] = [
            (step_1(&[0]), Message::SyncStep1(&[0])),
            (step_2(&[0, 0]), Message::SyncStep2(&[0, 0])),
            (update(&[7; 200]), Message::Update(&[7; 200])),
            (awareness(&[1, 2]), Message::Awareness(&[1, 2])),
            (refusal("no"), Message::Auth("no")),
            (query_awareness(), Message::QueryAwareness),
            (echo(&[]), Message::Echo(&[])),
        ];
        for (frame, message) in cases {
            assert_eq!(Messages::new(&frame).collect::<Vec<_>>(), [Ok(message)]);
        }
    }

    #[test]
    fn several_messages_in_one_frame_are_read_in_order() {
        let mut frame = step_1(&[0]).to_vec();
        frame.extend_from_slice(&query_awareness());
        let messages: Vec<_> = Messages::new(&frame).collect();
        assert_eq!(messages, [Ok(Message::SyncStep1(&[0])), Ok(Message::QueryAwareness)]);
    }

    #[test]
    fn integers_of_up_to_53_bits_survive_and_larger_ones_are_refused() {
        for value in [0, 127, 128, u64::from(u32::MAX), u64::from(u32::MAX) + 1, MAX_INTEGER] {
            let mut out = Vec::new();
            put_var_uint(&mut out, value);
            assert_eq!(Reader::new(&out).var_uint(), Ok(value));
        }
        let mut out = Vec::new();
        put_var_uint(&mut out, MAX_INTEGER + 1);
        assert_eq!(Reader::new(&out).var_uint(), Err(WireError::IntegerRange));
        assert_eq!(Reader::new(&[0xff; 12]).var_uint(), Err(WireError::IntegerRange));
    }

    #[test]
    fn a_length_beyond_the_frame_is_refused_and_ends_the_frame() {
        let mut frame = vec![0, 2];
        put_var_uint(&mut frame, MAX_INTEGER);
        frame.push(1);
        assert_eq!(Messages::new(&frame).collect::<Vec<_>>(), [Err(WireError::Truncated)]);
        assert_eq!(Messages::new(&[]).collect::<Vec<_>>(), [Err(WireError::Empty)]);
        assert_eq!(Messages::new(&[9, 0]).collect::<Vec<_>>(), [Err(WireError::UnknownType(9))]);
    }
}
