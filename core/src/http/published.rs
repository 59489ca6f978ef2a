//! Snapshots that a document's owner has published where readers are: who says `stale=ok` is answered from them, and
//! the owner, which may be far away or asleep, is not asked.

use super::{Reply, frames};
use crate::effect::Millis;
use crate::log::Offset;
use crate::request::DocRequest;
use bytes::Bytes;

/// The newest snapshot of a document, as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The last update that it covers.
    pub upto: Offset,
    /// When that was known to be the last one of all.
    pub at: Millis,
    /// One update.
    pub body: Bytes,
}

impl Published {
    /// What is kept beside the body: under 300 bytes of ASCII, and 64 where one process owns the
    /// document. [`Published::read`] reads it.
    pub fn metadata(&self) -> String {
        format!("{}@{}", self.upto, self.at.0)
    }

    /// Reads what was kept; none if it was not written by [`Published::metadata`].
    pub fn read(metadata: &str, body: Bytes) -> Option<Self> {
        let (upto, at) = metadata.split_once('@')?;
        let digits = at.bytes().all(|byte| byte.is_ascii_digit());
        let at = Millis(at.parse().ok().filter(|_| digits)?);
        Some(Self { upto: Offset::parse(upto)?, at, body })
    }

    /// The answer that the document's room would give if this were its newest state, with its age; none if the
    /// document itself must be asked.
    pub fn answer(&self, request: &DocRequest, now: Millis) -> Option<Reply> {
        let body = || self.body.clone();
        let reply = match request {
            DocRequest::State => frames::state(body(), &self.upto),
            DocRequest::Discover { path, query } => frames::discovered(path, query, &self.upto),
            // At the start there is no snapshot, whoever published one.
            DocRequest::Snapshot(at) if *at <= self.upto && *at != Offset::START => {
                frames::snapshot(body(), &self.upto)
            }
            DocRequest::Snapshot(_)
            | DocRequest::Create { .. }
            | DocRequest::Exists { .. }
            | DocRequest::Delete
            | DocRequest::Append { .. }
            | DocRequest::Json
            | DocRequest::Read(_)
            | DocRequest::Presence { .. }
            | DocRequest::Copy { .. }
            | DocRequest::Version(_) => return None,
        };
        Some(reply.with_age(now.since(self.at) / 1000))
    }
}

/// Whether there are snapshots that answer a request.
pub(super) fn can_answer(request: &DocRequest) -> bool {
    matches!(request, DocRequest::State | DocRequest::Discover { .. } | DocRequest::Snapshot(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &str) -> Option<(u64, u64)> {
        let published = Published::read(metadata, Bytes::from_static(b"body"))?;
        assert_eq!(published.body, "body");
        Some((published.upto.number(), published.at.0))
    }

    #[test]
    fn metadata_is_read_as_it_was_written() {
        for (upto, at) in [(1, 0), (24, 1_800_000_000_000), (u64::MAX, u64::MAX)] {
            let published = Published { upto: Offset::new(upto), at: Millis(at), body: Bytes::new() };
            assert!(published.metadata().len() < 64);
            assert_eq!(read(&published.metadata()), Some((upto, at)));
        }
        assert_eq!(read("0000000000000018@1800000000000"), Some((24, 1_800_000_000_000)), "stays readable");
    }

    #[test]
    fn metadata_of_others_is_not_read() {
        for metadata in [
            "",
            "@",
            "0000000000000018",
            "0000000000000018@",
            "@1",
            "0000000000000018@-1",
            "0000000000000018@+1",
            "0000000000000018@1 ",
            "0000000000000018@0x1",
            "0000000000000018@1@1",
            "0000000000000018@18446744073709551616",
            "0000000000000018@\u{0661}",
            "000000000000018@1",
            "000000000000001G@1",
            "00000000000000FF@1",
            "\u{0660}000000000000000@1",
            "{\"upto\":24,\"at\":1}",
            "null",
        ] {
            assert_eq!(read(metadata), None, "{metadata:?}");
        }
    }

    #[test]
    fn a_clock_that_is_ahead_makes_no_age() {
        let (now, body) = (Millis(5_999), Bytes::from_static(&[0, 0]));
        for (at, age) in [(0, "5"), (1_000, "4"), (5_999, "0"), (9_000, "0"), (u64::MAX, "0")] {
            let published = Published { upto: Offset::new(1), at: Millis(at), body: body.clone() };
            let reply = published.answer(&DocRequest::State, now).unwrap();
            assert_eq!(reply.headers.last(), Some(&("age", age.to_owned())), "{at}");
        }
    }
}
