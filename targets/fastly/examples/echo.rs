//! A service that does nothing but relay: each message of a socket is published to all sockets, by Fanout. What yonder takes
//! is measured against it (`cargo xtask bench fastly`). It believes everybody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastly::http::serve::Serve;
use fastly::{Request, Response};

const EVENTS: &str = "application/websocket-events";
const SUBSCRIBE: &[u8] = br#"c:{"type":"subscribe","channel":"echo"}"#;

fn main() {
    Serve::new().with_max_requests(100).run(|mut request: Request| {
        if request.get_path() == "/ready" {
            Response::from_status(200).send_to_client();
        } else if request.get_header_str("content-type") != Some(EVENTS) {
            if request.handoff_fanout("self").is_err() {
                Response::from_status(501).send_to_client();
            }
        } else {
            answer(&request.take_body_bytes()).send_to_client();
        }
    });
}

/// Opens a socket, publishes its messages.
fn answer(mut events: &[u8]) -> Response {
    let (mut answer, mut items) = (Vec::new(), Vec::new());
    while let Some(end) = events.windows(2).position(|pair| pair == b"\r\n") {
        let (head, rest) = events.split_at(end);
        events = rest.get(2..).unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        let (name, length) = head.split_once(' ').unwrap_or((&head, ""));
        let content = match usize::from_str_radix(length, 16) {
            Ok(length) => {
                let (content, rest) = events.split_at(length.min(events.len()));
                events = rest.get(2..).unwrap_or_default();
                content
            }
            Err(_) => &[],
        };
        match name {
            "OPEN" => {
                answer.extend(b"OPEN\r\n");
                answer.extend(format!("TEXT {:x}\r\n", SUBSCRIBE.len()).bytes());
                answer.extend(SUBSCRIBE);
                answer.extend(b"\r\n");
            }
            "BINARY" => {
                let content = STANDARD.encode(content);
                items.push(format!(
                    r#"{{"channel":"echo","formats":{{"ws-message":{{"content-bin":"{content}"}}}}}}"#
                ));
            }
            "CLOSE" => answer.extend(
                format!("CLOSE {:x}\r\n", content.len())
                    .bytes()
                    .chain(content.iter().copied())
                    .chain(*b"\r\n"),
            ),
            _ => {}
        }
    }
    if !items.is_empty() {
        let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
        let published = Request::post("http://publisher/publish/").with_body(body).send("publisher");
        if !published.is_ok_and(|published| published.get_status().is_success()) {
            return Response::from_status(502);
        }
    }
    Response::from_status(200)
        .with_header("content-type", EVENTS)
        .with_header("sec-websocket-extensions", "grip")
        .with_body(answer)
}
