//! Long-polls that a GRIP proxy holds: a reader that waits costs the host nothing, and is woken by what is published.
//!
//! A proxy begins to listen once it has the answer. What is published before that would be missed until the hold is over,
//! so the log is looked at once more a moment later.

use super::{Answered, Instance, Runtime};
use crate::grip::channel;
use crate::grip::hold::{self, Channel};
use crate::http::query::resumed;
use crate::http::{Asking, Reply};
use crate::log::Offset;
use crate::request::{DocRequest, Live, Since};

/// Milliseconds until a proxy that was answered listens.
const LISTENS_AFTER: u64 = 200;

impl<R: Runtime> Instance<R> {
    /// Whether this is a read that is answered once, and there is a proxy that can do the waiting.
    pub fn can_hold(&self, asking: &Asking) -> bool {
        let polls = matches!(&asking.request, DocRequest::Read(read) if read.live == Live::LongPoll);
        polls && self.proxies.is_some()
    }

    /// Whether a request with this `Grip-Sig` came by a proxy.
    pub fn is_proxied(&self, grip_sig: Option<&str>) -> bool {
        self.proxies.as_ref().is_some_and(|proxies| proxies.verify(grip_sig, self.runtime.now()).is_ok())
    }

    /// What comes of a read that waits before it is handed to a proxy: the answer, if there is one already; else the query
    /// with which it is handed over. The proxy asks again with that whenever something is published, so it names the place
    /// where it began, and not `now`.
    pub async fn before_hold(&self, asking: Asking, query: &str) -> Result<String, Reply> {
        let reply = self.ask_at_once(asking).await;
        let place = (reply.status == 204).then(|| resumed(query, &reply));
        place.flatten().ok_or(reply)
    }

    /// Answers a read that waits, and that came by a proxy: what there is, or that the proxy is to wait for more.
    pub async fn hold(&self, asking: Asking) -> Reply {
        let DocRequest::Read(read) = &asking.request else { return self.ask_at_once(asking).await };
        let (doc, begins_now, reads_log) =
            (asking.doc.clone(), read.updates == Some(Since::Now), read.updates.is_some());
        let mut reply = self.ask_at_once(asking).await;
        // Who begins now was not handed over by us: its next one says where it is, and this one, asked again, would begin
        // where that is then.
        if reply.status != 204 || begins_now {
            return reply;
        }
        if let Some(place) = reply.header("stream-next-offset").and_then(Offset::parse).filter(|_| reads_log)
        {
            self.home(&doc).look_again(place, LISTENS_AFTER);
        }
        let seconds = self.config.limits.long_poll.div_ceil(1_000).max(1);
        let channels = [Channel { name: channel(&doc), seen: None }];
        reply.headers.extend(hold::headers(&channels, u32::try_from(seconds).unwrap_or(u32::MAX)));
        reply
    }

    /// What there is of an answer, without waiting for more.
    async fn ask_at_once(&self, mut asking: Asking) -> Reply {
        if let DocRequest::Read(read) = &mut asking.request {
            read.held = true;
        }
        match self.ask(asking).await {
            Answered::Reply(reply) => reply,
            Answered::Events(reply, _) => Reply { streams: false, ..reply },
        }
    }
}
