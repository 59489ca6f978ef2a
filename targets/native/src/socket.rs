//! One WebSocket: frames between its TCP connection and its room.

use crate::outbound::{Pending, queue};
use crate::rooms::{Rooms, Seat};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt as _;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};
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

/// Why a connection ended, seen from here.
enum End {
    /// It is gone, or no longer listens.
    Gone,
    /// We end it, and say why.
    Close(Close),
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    mut socket: WebSocket,
    rooms: Rooms,
    doc: DocName,
    conn: ConnId,
    grant: Grant,
    queue_bytes: usize,
) {
    let (outbound, mut pending, mut end) = queue(queue_bytes);
    let seat = match rooms.join(&doc, conn, grant, outbound).await {
        Ok(seat) => seat,
        Err(error) => return refuse(socket, &error).await,
    };
    let end = exchange(&mut socket, &seat, &mut pending, &mut end).await;
    if let End::Close(reason) = end {
        let _ = timeout(CLOSE_PATIENCE, say_goodbye(&mut socket, &mut pending, &reason)).await;
    }
    seat.leave().await;
}

/// Says why a socket is not served.
pub(crate) async fn refuse(mut socket: WebSocket, error: &ApiError) {
    let goodbye = async {
        socket.send(Message::Binary(wire::refusal(&error.message))).await?;
        socket.send(close_frame(&error.close())).await?;
        drain(&mut socket).await;
        Ok::<_, axum::Error>(())
    };
    let _ = timeout(CLOSE_PATIENCE, goodbye).await;
}

async fn exchange(
    socket: &mut WebSocket,
    seat: &Seat,
    pending: &mut Pending,
    end: &mut oneshot::Receiver<Close>,
) -> End {
    let mut clock = interval(SILENCE);
    clock.reset();
    let mut silent = 0;
    loop {
        tokio::select! {
            reason = &mut *end => return End::Close(reason.unwrap_or_else(|_| room_failed())),
            // Once the room lets go, `end` says why.
            Some(frame) = pending.next() => {
                if let Err(end) = write(socket, pending, end, frame).await {
                    return end;
                }
            }
            message = socket.recv() => {
                silent = 0;
                match receive(message) {
                    Ok(Some(frame)) => {
                        if !seat.frame(frame).await {
                            return End::Close(room_failed());
                        }
                    }
                    Ok(None) => {}
                    Err(end) => return end,
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

/// Writes a frame and those that wait behind it, with one flush.
async fn write(
    socket: &mut WebSocket,
    pending: &mut Pending,
    end: &mut oneshot::Receiver<Close>,
    first: Bytes,
) -> Result<(), End> {
    let work = async {
        let mut next = Some(first);
        let mut written = 0;
        while let Some(frame) = next.take() {
            socket.feed(Message::Binary(frame)).await?;
            written += 1;
            if written < WRITES {
                next = pending.next_now();
            }
        }
        socket.flush().await
    };
    tokio::select! {
        biased;
        result = timeout(WRITE_PATIENCE, work) => match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        },
        // The peer does not read, and the room has had enough of it.
        reason = end => Err(End::Close(reason.unwrap_or_else(|_| room_failed()))),
    }
}

fn receive(message: Option<Result<Message, axum::Error>>) -> Result<Option<Bytes>, End> {
    match message {
        Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Text(_))) => {
            Err(End::Close(Close::new(Close::UNSUPPORTED, "frames are binary in this protocol")))
        }
        Some(Ok(Message::Close(_))) | None => Err(End::Gone),
        Some(Err(error)) => Err(failed(error)),
    }
}

/// A peer that breaks the WebSocket protocol is told so; one whose connection broke cannot be told.
fn failed(error: axum::Error) -> End {
    let error = error.into_inner();
    match error.downcast_ref() {
        Some(tungstenite::Error::Capacity(_)) => {
            End::Close(Close::new(Close::TOO_BIG, "the frame exceeds its limit"))
        }
        // It vanished; browsers and processes that end do.
        Some(tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )) => End::Gone,
        Some(tungstenite::Error::Protocol(error)) => {
            End::Close(Close::new(PROTOCOL_ERROR, error.to_string()))
        }
        Some(tungstenite::Error::Utf8(_)) => End::Close(Close::new(Close::MALFORMED, "a text is not UTF-8")),
        _ => End::Gone,
    }
}

fn room_failed() -> Close {
    Close::new(Close::INTERNAL, "the document's room has failed; come back")
}

fn close_frame(reason: &Close) -> Message {
    Message::Close(Some(CloseFrame { code: reason.code, reason: reason.reason.as_str().into() }))
}

/// What is queued, then the close frame, then the peer's own.
async fn say_goodbye(socket: &mut WebSocket, pending: &mut Pending, reason: &Close) {
    while let Some(frame) = pending.next_now() {
        if socket.feed(Message::Binary(frame)).await.is_err() {
            return;
        }
    }
    if socket.send(close_frame(reason)).await.is_ok() {
        drain(socket).await;
    }
}

/// Reads until the peer has closed as well: closing TCP over unread bytes would discard what we said last.
async fn drain(socket: &mut WebSocket) {
    while let Some(Ok(_)) = socket.recv().await {}
}
