use yonder_core::grip::hold::{Channel, Hold};
use yonder_core::log::Offset;

fn channel() -> Channel {
    Channel { name: "yonder-a".to_owned(), seen: None }
}

fn headers(hold: &Hold, channels: &[Channel]) -> Vec<String> {
    hold.headers(channels).into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn a_long_poll_is_held_on_what_its_reader_has_seen() {
    let seen = Channel { seen: Some(Offset::new(7)), ..channel() };
    let expected = [
        "grip-hold: response".to_owned(),
        format!("grip-channel: yonder-a; prev-id={}, yonder-a", Offset::new(7)),
        "grip-timeout: 25".to_owned(),
    ];
    assert_eq!(headers(&Hold::Response { timeout: 25 }, &[seen, channel()]), expected);
}

#[test]
fn a_stream_goes_on_at_its_link_and_shows_that_it_lives() {
    let hold = Hold::Stream {
        next: Some(("/v1/yjs/a?offset=1&live=sse".to_owned(), 55)),
        keep_alive: Some((":\n\n".to_owned(), 15)),
    };
    assert_eq!(
        headers(&hold, &[channel()]),
        [
            "grip-hold: stream",
            "grip-channel: yonder-a",
            "grip-link: </v1/yjs/a?offset=1&live=sse>; rel=next; timeout=55",
            r"grip-keep-alive: :\n\n; format=cstring; timeout=15",
        ]
    );
}

#[test]
fn nothing_leads_out_of_a_header() {
    let hold = Hold::Stream {
        next: Some(("/a>; rel=next, </b\r\nx: y \u{e9}".to_owned(), 1)),
        keep_alive: Some(("a\r\n\\".to_owned(), 1)),
    };
    let headers = headers(&hold, &[channel()]);
    assert_eq!(
        headers[2],
        "grip-link: </a%3E;%20rel=next,%20%3C/b%0D%0Ax:%20y%20%C3%A9>; rel=next; timeout=1"
    );
    assert_eq!(headers[3], r"grip-keep-alive: a\r\n\\; format=cstring; timeout=1");
}
