//! One WebSocket: frames between its TCP connection and its room.

use crate::metrics::Metrics;
use crate::outbound::{Pending, queue};
use crate::rooms::Seat;
use crate::server::App;
use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use std::fmt::Display;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use yonder_core::auth::Grant;
use yonder_core::http::ApiError;
use yonder_core::{Close, ConnId, DocName, wire};

/// A connection is asked for a sign of life after one to two of these, and dropped after another.
const SILENCE: Duration = Duration::from_secs(25);
/// How long a peer may take to accept what is sent at once, or a close.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);
/// RFC 6455: the peer broke the WebSocket protocol itself.
const PROTOCOL_ERROR: u16 = 1002;
/// Frames that are written together, if that many wait.
const WRITES: usize = 64;

/// Frames up to this many bytes are copied together, so that they leave in one write.
const SMALL: usize = 4 << 10;

/// A WebSocket on its TCP connection.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Why a connection ended, seen from here.
enum End {
    /// It is gone, or no longer listens.
    Gone,
    /// It has said goodbye.
    Left,
    /// The room ended it, and has logged why.
    Closed(Close),
    /// It broke the protocol beneath the room's.
    Fault(Close),
}

/// Serves a connection until it ends.
pub(crate) async fn serve(mut socket: Socket, app: &App, doc: &DocName, conn: ConnId, grant: Grant) {
    let (outbound, mut pending, mut end) = queue(app.queue_bytes);
    let seat = match app.rooms.join(doc, conn, grant, outbound).await {
        Ok(seat) => seat,
        Err(error) => return refuse(socket, doc, &error, &app.metrics).await,
    };
    let end = exchange(&mut socket, &seat, &mut pending, &mut end).await;
    seat.leave().await;
    if let End::Fault(reason) = &end {
        app.metrics.closed(reason.code);
        tracing::info!(%doc, conn = conn.0, code = reason.code, reason = reason.reason, "closed");
    }
    let goodbye = async {
        match end {
            End::Gone => Ok(()),
            // Its close frame is answered with one.
            End::Left => socket.flush().await,
            End::Closed(reason) | End::Fault(reason) => say_goodbye(&mut socket, &mut pending, &reason).await,
        }
    };
    let _ = timeout(CLOSE_PATIENCE, goodbye).await;
}

/// Says why a socket is not served.
pub(crate) async fn refuse(mut socket: Socket, what: impl Display, error: &ApiError, metrics: &Metrics) {
    let reason = error.close();
    metrics.closed(reason.code);
    tracing::info!(%what, code = reason.code, reason = reason.reason, "refused");
    let goodbye = async {
        socket.send(Message::Binary(wire::refusal(&error.message))).await?;
        close(&mut socket, &reason).await
    };
    let _ = timeout(CLOSE_PATIENCE, goodbye).await;
}

async fn exchange(
    socket: &mut Socket,
    seat: &Seat,
    pending: &mut Pending,
    end: &mut oneshot::Receiver<Close>,
) -> End {
    let mut clock = interval(SILENCE);
    clock.reset();
    let mut silent = 0;
    // Frames may have come together with the handshake.
    if let Err(end) = read(socket, seat).await {
        return end;
    }
    loop {
        tokio::select! {
            // Most often it is a frame to send that wakes us: then nothing else is asked.
            biased;
            // Once the room lets go, `end` says why.
            Some(frame) = pending.next() => {
                match write(socket, pending, end, frame).await {
                    Ok(Written::All) => {}
                    // A busy room must not keep us from hearing what the peer says.
                    Ok(Written::MoreWaits) => {
                        if let Err(end) = read(socket, seat).await {
                            return end;
                        }
                    }
                    Err(end) => return end,
                }
            }
            reason = &mut *end => return End::Closed(reason.unwrap_or_else(|_| room_failed())),
            // Asked of the stream and not of tungstenite, which clears its buffer for each try.
            readable = readable(socket) => {
                silent = 0;
                if readable.is_err() {
                    return End::Gone;
                }
                if let Err(end) = read(socket, seat).await {
                    return end;
                }
            }
            _ = clock.tick() => {
                silent += 1;
                let ping = socket.send(Message::Ping(Bytes::new()));
                if silent > 2 || (silent > 1 && !matches!(timeout(CLOSE_PATIENCE, ping).await, Ok(Ok(())))) {
                    return End::Gone;
                }
            }
        }
    }
}

/// A future that, unlike `TcpStream::readable`, asks for nothing but `poll_read_ready`: it can be dropped and
/// made anew for each frame at no cost.
fn readable(socket: &Socket) -> impl Future<Output = io::Result<()>> + '_ {
    std::future::poll_fn(move |context| socket.get_ref().poll_read_ready(context))
}

/// Reads until nothing is left.
async fn read(socket: &mut Socket, seat: &Seat) -> Result<(), End> {
    while let Some(message) = socket.next().now_or_never() {
        match receive(message)? {
            Received::Frame(frame) => {
                if !seat.frame(frame).await {
                    return Err(End::Closed(room_failed()));
                }
            }
            // The pong that tungstenite has put into its buffer must not wait there for a frame of ours.
            Received::Ping => {
                if !matches!(timeout(WRITE_PATIENCE, socket.flush()).await, Ok(Ok(()))) {
                    return Err(End::Gone);
                }
            }
            Received::Nothing => {}
        }
    }
    Ok(())
}

/// How a write ended.
enum Written {
    All,
    /// As much as goes at once; perhaps not all.
    MoreWaits,
}

/// Writes a frame and those that wait behind it.
async fn write(
    socket: &mut Socket,
    pending: &mut Pending,
    end: &mut oneshot::Receiver<Close>,
    first: Bytes,
) -> Result<Written, End> {
    let work = write_all(socket.get_mut(), pending, first);
    tokio::pin!(work);
    // Most peers take it at once: no timer is needed for them.
    match (&mut work).now_or_never() {
        Some(Ok(written)) => return Ok(written),
        Some(Err(_)) => return Err(End::Gone),
        None => {}
    }
    let reason = tokio::select! {
        biased;
        result = timeout(WRITE_PATIENCE, &mut work) => {
            return result.map_err(|_| End::Gone)?.map_err(|_| End::Gone);
        }
        reason = end => reason.unwrap_or_else(|_| room_failed()),
    };
    // The peer does not read, and the room has had enough of it. A close can be said between frames only.
    match timeout(CLOSE_PATIENCE, work).await {
        Ok(Ok(_)) => Err(End::Closed(reason)),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

/// Writes frames past tungstenite, whose write buffer would keep the size of the largest frame for as long as
/// the connection lives, and copies each. A server's frames are not masked: a header, and the bytes that all
/// readers share.
async fn write_all(stream: &mut TcpStream, pending: &mut Pending, first: Bytes) -> io::Result<Written> {
    let mut small = Vec::with_capacity(first.len().min(SMALL) + HEADER_MAX);
    let mut next = Some(first);
    let mut written = 0;
    while let Some(frame) = next.take() {
        put_header(&mut small, frame.len());
        if frame.len() <= SMALL {
            small.extend_from_slice(&frame);
        } else {
            stream.write_all(&small).await?;
            small.clear();
            stream.write_all(&frame).await?;
        }
        written += 1;
        if written < WRITES {
            next = pending.next_now();
        }
    }
    stream.write_all(&small).await?;
    Ok(if written < WRITES { Written::All } else { Written::MoreWaits })
}

/// Bytes of the longest header of an unmasked frame.
const HEADER_MAX: usize = 10;

/// The header of a whole binary message (RFC 6455, 5.2).
fn put_header(out: &mut Vec<u8>, length: usize) {
    out.push(0x82);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => out.push(short),
        (_, Ok(medium)) => {
            out.push(126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// A message that is no reason to end.
enum Received {
    Frame(Bytes),
    Ping,
    Nothing,
}

fn receive(message: Option<Result<Message, Error>>) -> Result<Received, End> {
    match message {
        Some(Ok(Message::Binary(bytes))) => Ok(Received::Frame(bytes)),
        Some(Ok(Message::Ping(_))) => Ok(Received::Ping),
        Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(Received::Nothing),
        Some(Ok(Message::Text(_))) => {
            Err(End::Fault(Close::new(Close::UNSUPPORTED, "frames are binary in this protocol")))
        }
        Some(Ok(Message::Close(_))) => Err(End::Left),
        None => Err(End::Gone),
        Some(Err(error)) => Err(failed(error)),
    }
}

/// A peer that breaks the WebSocket protocol is told so; one whose connection broke cannot be told.
fn failed(error: Error) -> End {
    match error {
        Error::Capacity(_) => End::Fault(Close::new(Close::TOO_BIG, "the frame exceeds its limit")),
        // It vanished; browsers and processes that end do.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        Error::Protocol(error) => End::Fault(Close::new(PROTOCOL_ERROR, error.to_string())),
        Error::Utf8(_) => End::Fault(Close::new(Close::MALFORMED, "a text is not UTF-8")),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => End::Gone,
    }
}

fn room_failed() -> Close {
    Close::new(Close::INTERNAL, "the document's room has failed; come back")
}

/// What is queued, then the close frame.
async fn say_goodbye(socket: &mut Socket, pending: &mut Pending, reason: &Close) -> Result<(), Error> {
    while let Some(frame) = pending.next_now() {
        write_all(socket.get_mut(), pending, frame).await?;
    }
    close(socket, reason).await
}

/// Closes, and reads on until the peer has closed as well: TCP discards what it still has to deliver if it is
/// closed over bytes that nobody read.
async fn close(socket: &mut Socket, reason: &Close) -> Result<(), Error> {
    let frame = CloseFrame { code: reason.code.into(), reason: reason.reason.as_str().into() };
    socket.send(Message::Close(Some(frame))).await?;
    let stream = socket.get_mut();
    stream.shutdown().await?;
    let mut discarded = vec![0; 16 << 10];
    while stream.read(&mut discarded).await? > 0 {}
    Ok(())
}
