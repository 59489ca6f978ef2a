//! Live reads that a GRIP proxy holds: a reader that waits costs the host nothing, and is woken by what is published.
//!
//! A proxy begins to listen once it has the answer. What is published before that would be missed until the hold is over,
//! so the log is looked at once more a moment later.

use super::{Answered, Instance, Runtime};
use crate::grip::hold::{Channel, Hold};
use crate::grip::{KEEP_ALIVE, channel};
use crate::http::frames::KEEP_ALIVE as SIGN_OF_LIFE;
use crate::http::query::{continued, opened, resumed};
use crate::http::{Asking, Reply};
use crate::log::Offset;
use crate::request::{DocRequest, Live, Since};

/// Milliseconds until a proxy that was answered listens.
const LISTENS_AFTER: u64 = 200;

/// How a read was asked for.
pub struct Target {
    /// Its path.
    pub path: String,
    /// Its query, without the question mark.
    pub query: String,
    /// Its header `Authorization`.
    pub authorization: Option<String>,
}

impl<R: Runtime> Instance<R> {
    /// Whether this is a read that waits, and there is a proxy that can do the waiting.
    pub fn can_hold(&self, asking: &Asking) -> bool {
        self.proxies.is_some() && matches!(&asking.request, DocRequest::Read(read) if read.live != Live::No)
    }

    /// Whether a request with this `Grip-Sig` came by a proxy.
    pub fn is_proxied(&self, grip_sig: Option<&str>) -> bool {
        self.proxies.as_ref().is_some_and(|proxies| proxies.verify(grip_sig, self.runtime.now()).is_ok())
    }

    /// The answer to a request that is refused before anything is asked of a document.
    pub fn refused(&self, reply: Reply, target: &Target, grip_sig: Option<&str>) -> Reply {
        if opened(&target.query).is_some() && self.is_proxied(grip_sig) { over(reply) } else { reply }
    }

    /// What comes of a read that waits before it is handed to a proxy: the answer, if there is one already; else the query
    /// with which it is handed over. The proxy asks again with that whenever something is published, so it names the place
    /// where it began, and not `now`.
    pub async fn before_hold(&self, mut asking: Asking, target: &Target) -> Result<String, Reply> {
        match &mut asking.request {
            DocRequest::Read(read) if read.live == Live::LongPoll => read.held = true,
            // What the proxy holds of an event stream goes on at a place.
            _ => return Ok(target.query.clone()),
        }
        let reply = whole(self.ask(asking).await);
        let place = (reply.status == 204).then(|| resumed(&target.query, &reply));
        place.flatten().ok_or(reply)
    }

    /// Answers a read that waits, and that came by a proxy: what there is, or that the proxy is to wait for more.
    pub async fn hold(&self, asking: Asking, target: &Target) -> Reply {
        let reply = self.held(asking, target).await;
        if opened(&target.query).is_some() { over(reply) } else { reply }
    }

    async fn held(&self, mut asking: Asking, target: &Target) -> Reply {
        let doc = asking.doc.clone();
        let DocRequest::Read(read) = &mut asking.request else { return whole(self.ask(asking).await) };
        read.held = true;
        let (live, begins_now) = (read.live, read.updates == Some(Since::Now));
        let reads_log = read.updates.is_some();
        let mut reply = whole(self.ask(asking).await);
        let limits = &self.config.limits;
        let hold = match (live, reply.status) {
            // Its next one says where it is; this one, asked again, would begin where that is then. It was not handed over
            // by us.
            (Live::LongPoll, 204) if begins_now => return reply,
            (Live::LongPoll, 204) => Hold::Response { timeout: seconds(limits.long_poll) },
            (Live::Events, 200) => {
                let now = self.runtime.now();
                let opened = opened(&target.query).filter(|opened| *opened <= now).unwrap_or(now);
                let left = opened.after(limits.event_stream).since(now);
                if left == 0 {
                    return reply;
                }
                let next = continued(&target.query, target.authorization.as_deref(), &reply, opened);
                Hold::Stream {
                    next: next
                        .map(|query| (format!("{}?{query}", target.path), seconds(left).min(KEEP_ALIVE))),
                    keep_alive: Some((SIGN_OF_LIFE.to_owned(), seconds(limits.keep_alive))),
                }
            }
            _ => return reply,
        };
        if let Some(place) = reply.header("stream-next-offset").and_then(Offset::parse).filter(|_| reads_log)
        {
            self.home(&doc).look_again(place, LISTENS_AFTER);
        }
        let channels = [Channel { name: channel(&doc), seen: None }];
        reply.headers.extend(hold.headers(&channels));
        reply
    }
}

/// What a proxy is told that asked how an event stream goes on and is refused: that this was all. It would ask again for
/// ever; its client does that by itself, and is told why.
fn over(reply: Reply) -> Reply {
    if (400..500).contains(&reply.status) { Reply::empty(200) } else { reply }
}

fn seconds(milliseconds: u64) -> u32 {
    u32::try_from(milliseconds.div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

/// What there is of an answer, without what follows.
fn whole<R: Runtime>(answered: Answered<R>) -> Reply {
    match answered {
        Answered::Reply(reply) => reply,
        Answered::Events(reply, _) => Reply { streams: false, ..reply },
    }
}
