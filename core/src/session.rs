//! What a room knows of one connection, and the form in which that survives the room.

use crate::auth::{Grant, Permission};
use crate::effect::Millis;
use crate::log::Offset;
use crate::wire::{MAX_INTEGER, Reader, WireError, put_var_bytes, put_var_uint};
use bytes::Bytes;

/// Bytes of a parked session. A Durable Object keeps 2 KiB beside a socket on every plan.
pub const PARKED_MAX: usize = 1536;

/// The form below; another number is another form.
const VERSION: u8 = 4;

const WRITES: u8 = 1;
const INTRODUCED: u8 = 2;
const REFUSED: u8 = 4;
const UNSETTLED: u8 = 8;
const UNANSWERED: u8 = 16;
const EXPIRES: u8 = 32;
const UNSTORED: u8 = 64;
const ASKED: u8 = 128;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) grant: Grant,
    /// It announced an awareness state.
    pub(crate) introduced: bool,
    /// It was told that it may not write.
    pub(crate) refused: bool,
    /// The last of its updates, in the document's count of accepted ones.
    pub(crate) last_accepted: u64,
    /// Questions that wait, see [`crate::limits::Limits::waiting`].
    pub(crate) waiting: usize,
    /// How far our question for what we miss has come.
    pub(crate) step_1: Step1,
    /// Echoes that were asked for before our step 1 was answered.
    pub(crate) held_echoes: Vec<Bytes>,
    /// When something of its presence was stored last, where that is stored.
    pub(crate) shown: Millis,
}

/// Our step 1 to a connection that may write. Until it is answered, the client may hold edits that it made while
/// it was offline and has not sent on this connection: nothing may tell it that all is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step1 {
    /// Not sent yet.
    Due,
    Sent,
    Answered,
}

/// A parked session, read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) grant: Grant,
    pub(crate) introduced: bool,
    pub(crate) refused: bool,
    /// Something it had sent was not yet stored.
    pub(crate) unstored: bool,
    /// That, or our step 1 was not yet answered.
    pub(crate) unsettled: bool,
    /// Our step 1 is on its way, or its answer.
    pub(crate) asked: bool,
    /// A step 1 of its was not yet answered.
    pub(crate) unanswered: bool,
    /// Echoes that were not yet due.
    pub(crate) echoes: Vec<Bytes>,
    /// The place up to which it was sent the log; none where it is not sent from there.
    pub(crate) place: Option<Offset>,
    /// See [`Session::shown`].
    pub(crate) shown: Millis,
    /// Its awareness.
    pub(crate) clients: Vec<ParkedClient>,
}

/// A client that a connection announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParkedClient {
    pub(crate) client: u64,
    pub(crate) clock: u64,
    /// When it was last heard of: a state that nobody renews expires, however often its room is built anew. Kept to the
    /// second, rounded up.
    pub(crate) seen: Millis,
    /// None if that did not fit; where presence is stored, if it is stored.
    pub(crate) state: Option<Bytes>,
    /// Where presence is stored, what tells there that it is this connection's.
    pub(crate) owner: u64,
}

impl Session {
    pub(crate) fn new(grant: Grant) -> Self {
        Self {
            grant,
            introduced: false,
            refused: false,
            last_accepted: 0,
            waiting: 0,
            step_1: Step1::Due,
            held_echoes: Vec::new(),
            shown: Millis(0),
        }
    }

    /// Whether nothing of its client's can be missing here without having been sent.
    pub(crate) fn has_answered(&self) -> bool {
        !self.may_write() || self.step_1 == Step1::Answered
    }

    pub(crate) fn may_write(&self) -> bool {
        self.grant.permission >= Permission::Write
    }
}

impl Parked {
    /// Encodes the session in at most [`PARKED_MAX`] bytes. States that do not fit are left out, and asked for
    /// when the session is resumed; echoes that do not fit are lost, upon which their client reconnects.
    pub(crate) fn encode(&self) -> Bytes {
        let flags = [
            (WRITES, self.grant.permission >= Permission::Write),
            (INTRODUCED, self.introduced),
            (REFUSED, self.refused),
            (UNSTORED, self.unstored),
            (ASKED, self.asked),
            (UNSETTLED, self.unsettled),
            (UNANSWERED, self.unanswered),
            (EXPIRES, self.grant.expires.is_some()),
        ];
        let flags = flags.iter().filter(|(_, set)| *set).fold(0, |flags, (bit, _)| flags | bit);
        let mut out = vec![VERSION, flags];
        if let Some(expires) = self.grant.expires {
            put_var_uint(&mut out, expires.0.min(MAX_INTEGER));
        }
        let place = self.place.as_ref().map(Offset::to_string).unwrap_or_default();
        put_var_bytes(&mut out, place.as_bytes());
        put_var_uint(&mut out, self.shown.0.min(MAX_INTEGER));
        // Ids first: without them a closed connection would leave its state behind until it expires.
        let mut room = PARKED_MAX - out.len() - 2 * VAR_UINT_MAX;
        let clients: Vec<_> = self.clients.iter().take(room / CLIENT_MAX).collect();
        room -= clients.len() * CLIENT_MAX;
        let mut fits = |length: usize| {
            let takes = length + VAR_UINT_MAX;
            let fits = takes <= room;
            room -= if fits { takes } else { 0 };
            fits
        };
        let echoes: Vec<_> = self.echoes.iter().filter(|payload| fits(payload.len())).collect();
        put_var_uint(&mut out, echoes.len() as u64);
        for payload in echoes {
            put_var_bytes(&mut out, payload);
        }
        put_var_uint(&mut out, clients.len() as u64);
        for ParkedClient { client, clock, seen, state, owner } in clients {
            put_var_uint(&mut out, *client);
            put_var_uint(&mut out, *clock);
            put_var_uint(&mut out, seen.0.div_ceil(1000).min(SECONDS_MAX));
            put_var_uint(&mut out, (*owner).min(MAX_INTEGER));
            // No JSON is empty.
            let state = state.as_ref().filter(|state| fits(state.len()));
            put_var_bytes(&mut out, state.map_or(&[], |state| state));
        }
        out.into()
    }

    /// Reads a parked session. Hosts keep it where nobody else writes, but it may be from another version.
    pub(crate) fn decode(parked: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(parked);
        if reader.byte()? != VERSION {
            return Err(WireError::UnknownType(0));
        }
        let flags = reader.byte()?;
        let set = |bit: u8| flags & bit != 0;
        let expires = if set(EXPIRES) { Some(Millis(reader.var_uint()?)) } else { None };
        let permission = if set(WRITES) { Permission::Write } else { Permission::Read };
        let mut parked = Self {
            grant: Grant { permission, expires },
            introduced: set(INTRODUCED),
            refused: set(REFUSED),
            unstored: set(UNSTORED),
            asked: set(ASKED),
            unsettled: set(UNSETTLED),
            unanswered: set(UNANSWERED),
            place: None,
            echoes: Vec::new(),
            shown: Millis(0),
            clients: Vec::new(),
        };
        parked.place = match reader.var_str()? {
            "" => None,
            text => Some(Offset::parse(text).ok_or(WireError::Truncated)?),
        };
        parked.shown = Millis(reader.var_uint()?);
        for _ in 0..reader.var_uint()? {
            parked.echoes.push(Bytes::copy_from_slice(reader.var_bytes()?));
        }
        for _ in 0..reader.var_uint()? {
            let (client, clock, seen) = (reader.var_uint()?, reader.var_uint()?, reader.var_uint()?);
            let owner = reader.var_uint()?;
            let state = reader.var_bytes()?;
            let state = (!state.is_empty()).then(|| Bytes::copy_from_slice(state));
            let seen = Millis(seen.saturating_mul(1000));
            parked.clients.push(ParkedClient { client, clock, seen, state, owner });
        }
        if reader.is_empty() { Ok(parked) } else { Err(WireError::Truncated) }
    }
}

const VAR_UINT_MAX: usize = 8;
/// What takes at most five bytes: until the year 3058.
const SECONDS_MAX: u64 = (1 << 35) - 1;
/// An id, a clock, a time, an owner, and the length of a state that is not there.
const CLIENT_MAX: usize = 3 * VAR_UINT_MAX + 5 + 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn client(client: u64, clock: u64, state: Option<Bytes>) -> ParkedClient {
        ParkedClient { client, clock, seen: Millis(1_800_000_000_000), state, owner: MAX_INTEGER }
    }

    fn parked() -> Parked {
        Parked {
            grant: Grant { permission: Permission::Read, expires: Some(Millis(1_800_000_000_000)) },
            introduced: true,
            refused: false,
            unstored: false,
            asked: false,
            unsettled: true,
            unanswered: false,
            place: Some(Offset::with_marks(7, [1, 2])),
            echoes: vec![Bytes::from_static(b"7")],
            shown: Millis(1_800_000_000_001),
            clients: vec![client(5, 1, Some(Bytes::from_static(b"{}"))), client(6, 2, None)],
        }
    }

    #[test]
    fn a_session_comes_back_as_it_was_parked() {
        assert_eq!(Parked::decode(&parked().encode()), Ok(parked()));
    }

    #[test]
    fn whatever_is_parked_fits_and_keeps_ids_before_states() {
        let huge = Bytes::from(vec![b' '; 4000]);
        let parked = Parked {
            echoes: vec![huge.clone(), Bytes::from_static(b"7")],
            clients: (0..500).map(|id| client(MAX_INTEGER - id, MAX_INTEGER, Some(huge.clone()))).collect(),
            ..parked()
        };
        let encoded = parked.encode();
        assert!(encoded.len() <= PARKED_MAX, "{}", encoded.len());
        let decoded = Parked::decode(&encoded).unwrap();
        assert!(decoded.clients.len() >= 45, "{}", decoded.clients.len());
        assert!(decoded.clients.iter().all(|known| known.clock == MAX_INTEGER && known.state.is_none()));
    }

    #[test]
    fn a_client_was_never_heard_of_earlier_than_it_was() {
        for (seen, read) in
            [(0, 0), (1, 1000), (999, 1000), (1000, 1000), (1001, 2000), (u64::MAX, SECONDS_MAX * 1000)]
        {
            let clients = vec![ParkedClient { seen: Millis(seen), ..client(1, 1, None) }];
            let decoded = Parked::decode(&Parked { clients, ..parked() }.encode()).unwrap();
            assert_eq!(decoded.clients[0].seen, Millis(read), "{seen}");
        }
    }

    #[test]
    fn what_was_not_parked_by_us_is_an_error() {
        let encoded = parked().encode();
        for end in 0..encoded.len() {
            assert!(Parked::decode(&encoded[..end]).is_err(), "cut at {end}");
        }
        assert!(Parked::decode(&[9, 0, 0, 0]).is_err());
    }
}
