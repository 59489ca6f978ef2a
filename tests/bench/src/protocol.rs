//! The y-protocols messages that a load generator needs, read in place: thousands of readers share one thread here.

use yrs::Update;
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;

/// The state vector that knows nothing.
pub(crate) const NOTHING: &[u8] = &[0];
/// The update without content.
pub(crate) const EMPTY_UPDATE: &[u8] = &[0, 0];

/// One message of a frame.
pub(crate) enum Message<'a> {
    /// A request for what the server lacks.
    Step1,
    /// The answer to our own step 1.
    Step2(&'a [u8]),
    /// An edit.
    Update(&'a [u8]),
    /// Payload of an acknowledgement, message 102.
    Acknowledged(&'a [u8]),
    /// Awareness, refusals and the rest.
    Other,
}

/// The messages of a frame, in order; ends at the first that is not understood.
pub(crate) fn messages(frame: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = Reader(frame);
    std::iter::from_fn(move || {
        Some(match rest.uint()? {
            0 => match (rest.uint()?, rest.bytes()?) {
                (0, _) => Message::Step1,
                (1, body) => Message::Step2(body),
                (_, body) => Message::Update(body),
            },
            2 => {
                rest.uint()?;
                rest.bytes()?;
                Message::Other
            }
            3 => Message::Other,
            102 => Message::Acknowledged(rest.bytes()?),
            _ => {
                rest.bytes()?;
                Message::Other
            }
        })
    })
}

/// `[sync][step 1][state vector]`
pub(crate) fn step1(state_vector: &[u8]) -> Vec<u8> {
    message(&[0, 0], state_vector)
}

/// `[sync][step 2][update]`
pub(crate) fn step2(update: &[u8]) -> Vec<u8> {
    message(&[0, 1], update)
}

/// `[sync][update][update]`
pub(crate) fn update(update: &[u8]) -> Vec<u8> {
    message(&[0, 2], update)
}

/// `[102][payload]`
pub(crate) fn acknowledge(payload: &[u8]) -> Vec<u8> {
    message(&[102], payload)
}

/// A finished binary WebSocket frame as a client sends it, masked with zeros: it can be written in one call, from a
/// thread that knows nothing of WebSockets.
pub(crate) fn client_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The clocks `first..end` that an update of this client covers; nothing if it is of others as well. An update no
/// longer than `single_size(first)` holds one clock and is not decoded any further; servers may merge several into a
/// longer one.
pub(crate) fn clocks(
    update: &[u8],
    client: u64,
    single_size: impl Fn(u64) -> Option<usize>,
) -> Option<(u64, u64)> {
    let mut header = Reader(update);
    if header.uint()? != 1 {
        return None;
    }
    let _structs = header.uint()?;
    if header.uint()? != client {
        return None;
    }
    let first = header.uint()?;
    if update.len() <= single_size(first)? {
        return Some((first, first + 1));
    }
    let inserted = Update::decode_v1(update).ok()?.insertions(true);
    let (_, ranges) = inserted.iter().find(|(id, _)| **id == ClientID::new(client))?;
    let end = ranges.iter().map(|range| range.end).max()?;
    Some((first, u64::from(end)))
}

fn message(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = kind.to_vec();
    let mut length = body.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(body);
    out
}

/// A cursor over lib0's encoding.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn uint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typing::Typing;

    #[test]
    fn the_messages_of_a_frame_come_in_order() {
        let mut frame = step1(NOTHING);
        frame.extend(update(EMPTY_UPDATE));
        frame.extend([3]);
        frame.extend(acknowledge(b"payload"));
        let seen: Vec<String> = messages(&frame)
            .map(|message| match message {
                Message::Step1 => "step 1".to_owned(),
                Message::Step2(update) => format!("step 2 {update:?}"),
                Message::Update(update) => format!("update {update:?}"),
                Message::Acknowledged(payload) => format!("102 {payload:?}"),
                Message::Other => "other".to_owned(),
            })
            .collect();
        assert_eq!(seen, ["step 1", "update [0, 0]", "other", "102 [112, 97, 121, 108, 111, 97, 100]"]);
    }

    #[test]
    fn a_torn_frame_ends_the_messages() {
        let frame = update(&[7; 300]);
        assert_eq!(messages(&frame[..200]).count(), 0);
        assert_eq!(messages(&frame).count(), 1);
    }

    #[test]
    fn single_and_merged_updates_tell_their_clocks() {
        let typing = Typing::new(7, 200);
        let clocks = |update: &[u8]| clocks(update, 7, |clock| typing.size(clock));
        assert_eq!(clocks(typing.update(0)), Some((0, 1)));
        assert_eq!(clocks(typing.update(130)), Some((130, 131)));
        let two = [typing.update(130), typing.update(131)];
        let merged = yrs::merge_updates_v1(two).expect("updates that merge");
        assert_eq!(clocks(&merged), Some((130, 132)));
        assert_eq!(clocks(EMPTY_UPDATE), None);
    }

    #[test]
    fn a_client_frame_names_its_length_in_the_shortest_form() {
        assert_eq!(client_frame(b"ab"), [0x82, 0x82, 0, 0, 0, 0, b'a', b'b']);
        assert_eq!(client_frame(&[0; 300])[..4], [0x82, 0xfe, 1, 44]);
        assert_eq!(client_frame(&[0; 70_000])[..10], [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    }
}
