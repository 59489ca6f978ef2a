//! Bodies of WebSocket events: `NAME[ LENGTH]\r\n[CONTENT\r\n]` each, the length in hexadecimal. Decoding borrows.

/// What happened to a WebSocket, or is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// It opens.
    Open,
    /// A text message.
    Text(&'a [u8]),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping. The proxy does not answer it.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// It closes, perhaps with a code and a reason for people.
    Close(Option<(u16, &'a str)>),
    /// It is gone without having been closed.
    Disconnect,
}

/// Why a body of events could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventError {
    /// It ends within an event, or a length exceeds it.
    Truncated,
    /// A length that is none: not 1 to 8 hexadecimal digits.
    Length,
    /// No line break behind a content of the length that was said.
    Unterminated,
    /// An event of another name, or one that has content and should not, or has none and should.
    Unknown,
    /// A close code of one byte, or a reason that is not UTF-8.
    Close,
}

impl core::fmt::Display for EventError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the events end within one",
            Self::Length => "an event's length is not 1 to 8 hexadecimal digits",
            Self::Unterminated => "an event's content is longer than its length says",
            Self::Unknown => "an event is not one of WebSocket-over-HTTP",
            Self::Close => "a CLOSE event has no code, or a reason that is not UTF-8",
        })
    }
}

impl std::error::Error for EventError {}

/// Bytes of a line that names an event: the longest name, a space and a length.
const LINE_MAX: usize = "DISCONNECT".len() + 1 + 8;

/// The events of a body, in order. After an error it ends.
#[derive(Debug, Clone)]
pub struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Events<'a> {
    /// Reads the events of `body`; none if it is empty.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, EventError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = read(self.rest);
        self.rest = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(event, _)| event))
    }
}

fn read(bytes: &[u8]) -> Result<(Event<'_>, &[u8]), EventError> {
    let window = bytes.get(..LINE_MAX + 2).unwrap_or(bytes);
    let end = window.windows(2).position(|pair| pair == b"\r\n");
    let end =
        end.ok_or(if window.len() < bytes.len() { EventError::Unknown } else { EventError::Truncated })?;
    let (line, rest) = bytes.split_at_checked(end).ok_or(EventError::Truncated)?;
    let rest = rest.get(2..).ok_or(EventError::Truncated)?;
    let Some(space) = line.iter().position(|byte| *byte == b' ') else {
        return Ok((event(line, None)?, rest));
    };
    let (name, length) = line.split_at_checked(space).ok_or(EventError::Truncated)?;
    let length = hexadecimal(length.get(1..).unwrap_or_default())?;
    let (content, rest) = rest.split_at_checked(length).ok_or(EventError::Truncated)?;
    let rest = match rest {
        [b'\r', b'\n', rest @ ..] => rest,
        [] | [b'\r'] => return Err(EventError::Truncated),
        _ => return Err(EventError::Unterminated),
    };
    Ok((event(name, Some(content))?, rest))
}

fn hexadecimal(digits: &[u8]) -> Result<usize, EventError> {
    if digits.is_empty() || digits.len() > 8 {
        return Err(EventError::Length);
    }
    digits.iter().try_fold(0_usize, |value, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(EventError::Length)?;
        // At most 32 bits.
        Ok(value << 4 | digit as usize)
    })
}

fn event<'a>(name: &[u8], content: Option<&'a [u8]>) -> Result<Event<'a>, EventError> {
    Ok(match (name, content) {
        // Pushpin writes an empty content where there is none to say, and none where a frame is empty.
        (b"OPEN", None | Some([])) => Event::Open,
        (b"DISCONNECT", None | Some([])) => Event::Disconnect,
        (b"TEXT", content) => Event::Text(content.unwrap_or_default()),
        (b"BINARY", content) => Event::Binary(content.unwrap_or_default()),
        (b"PING", content) => Event::Ping(content.unwrap_or_default()),
        (b"PONG", content) => Event::Pong(content.unwrap_or_default()),
        (b"CLOSE", None | Some([])) => Event::Close(None),
        (b"CLOSE", Some([high, low, reason @ ..])) => {
            let reason = core::str::from_utf8(reason).map_err(|_| EventError::Close)?;
            Event::Close(Some((u16::from_be_bytes([*high, *low]), reason)))
        }
        (b"CLOSE", Some(_)) => return Err(EventError::Close),
        _ => return Err(EventError::Unknown),
    })
}

/// Appends an event.
pub fn put(out: &mut Vec<u8>, event: &Event<'_>) {
    match event {
        Event::Open => out.extend_from_slice(b"OPEN\r\n"),
        Event::Disconnect => out.extend_from_slice(b"DISCONNECT\r\n"),
        Event::Text(content) => put_content(out, "TEXT", &[content]),
        Event::Binary(content) => put_content(out, "BINARY", &[content]),
        Event::Ping(content) => put_content(out, "PING", &[content]),
        Event::Pong(content) => put_content(out, "PONG", &[content]),
        Event::Close(None) => out.extend_from_slice(b"CLOSE\r\n"),
        Event::Close(Some((code, reason))) => {
            put_content(out, "CLOSE", &[&code.to_be_bytes(), reason.as_bytes()]);
        }
    }
}

/// Appends an event whose content is these parts.
pub(super) fn put_content(out: &mut Vec<u8>, name: &str, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(format!("{name} {length:x}\r\n").as_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}
