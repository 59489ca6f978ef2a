//! Requests that a proxy holds: headers of an answer that goes to the client later.
//!
//! A long-poll costs the host nothing while it is held: the answer is what the client gets at the deadline, and what is
//! published meanwhile ([`super::publish::Format::AskAgain`]) makes the proxy ask again.
//!
//! Event streams are not held so, although GRIP has a way: a proxy that is told that there is more (a hint for
//! `http-stream`) asks for it once and gives the answer to all streams of the channel (Pushpin 1.36), which are at places of
//! their own, of documents and of presence.

use crate::log::Offset;

/// A channel that a held request listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name: [`super::channel`].
    pub name: String,
    /// How far the reader has come. If the [`super::publish::Item::id`] that was published last is another, the proxy
    /// does not hold the request, but asks again at once.
    pub seen: Option<Offset>,
}

/// The headers that have an answer held until something is published or so many seconds are over, which are then all that
/// the client gets. They never reach it. For a status other than 200, 201 or 204 a host whose platform changes such answers
/// gives it as `Grip-Status` beside a 200.
pub fn headers(channels: &[Channel], seconds: u32) -> [(&'static str, String); 3] {
    let channels = channels.iter().map(|Channel { name, seen }| match seen {
        Some(seen) => format!("{name}; prev-id={seen}"),
        None => name.clone(),
    });
    let channels = channels.collect::<Vec<_>>().join(", ");
    [("grip-hold", "response".to_owned()), ("grip-channel", channels), ("grip-timeout", seconds.to_string())]
}
