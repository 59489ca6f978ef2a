use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use yonder_core::grip::channel;
use yonder_core::grip::publish::{BODY_MAX, Format, Item, bodies};
use yonder_core::{Close, DocName};

fn message(length: usize) -> Item {
    Item::new("yonder-a", Format::Message(vec![7; length].into()))
}

fn items(body: &str) -> Vec<Value> {
    let body: Value = serde_json::from_str(body).unwrap();
    body["items"].as_array().unwrap().clone()
}

#[test]
fn an_item_is_as_pushpin_reads_it() {
    let item = message(3).but_for(Some("c"));
    let expected = json!({
        "channel": "yonder-a",
        "formats": { "ws-message": { "content-bin": "BwcH" } },
        "meta": { "sender": "c" },
    });
    assert_eq!(items(&bodies(&[item])[0]), [expected]);
    let close = Item::new("c", Format::Close(Close::new(Close::NOT_FOUND, "gone")));
    let expected = json!({ "action": "close", "code": 4404, "reason": "gone" });
    assert_eq!(items(&bodies(&[close])[0])[0]["formats"]["ws-message"], expected);
    assert!(bodies(&[]).is_empty());
}

#[test]
fn a_frame_is_for_the_documents_sockets_but_for_its_sender_and_wakes_who_is_held() {
    let (doc, frame) = (DocName::new("a").unwrap(), Bytes::from_static(b"edit"));
    let to_others = Item::news(&doc, frame.clone(), Some("c1"));
    assert_eq!((to_others.channel.as_str(), to_others.sender.as_deref()), (&*channel(&doc), Some("c1")));
    assert_eq!(to_others.formats, [Format::Message(frame.clone()), Format::AskAgain]);
    assert_eq!(Item::news(&doc, frame, None), to_others.but_for(None));
}

#[test]
fn one_item_can_be_for_every_kind_of_connection() {
    let item = Item {
        id: Some("9".to_owned()),
        formats: vec![Format::Message(Bytes::from_static(b"x")), Format::AskAgain],
        ..message(0)
    };
    let expected = json!({
        "channel": "yonder-a",
        "id": "9",
        "formats": {
            "ws-message": { "content-bin": "eA==" },
            "http-response": { "action": "hint" },
        },
    });
    assert_eq!(items(&bodies(&[item])[0]), [expected]);
}

#[test]
fn what_is_too_large_makes_the_clients_ask_and_once_is_enough() {
    let (fits, large) = (message(40_000), message(50_000).but_for(Some("c")));
    let bodies = bodies(&[fits.clone(), large.clone(), large.clone(), message(50_000), fits]);
    let all: Vec<_> = bodies.iter().flat_map(|body| items(body)).collect();
    let contents: Vec<_> =
        all.iter().map(|item| item["formats"]["ws-message"]["content-bin"].as_str().unwrap().len()).collect();
    // A message of y-protocols that asks for awareness: one byte, 3.
    assert_eq!(contents, [53_336, 4, 4, 53_336], "one hint for those but for c, and one for all");
    assert_eq!(all[1]["formats"]["ws-message"]["content-bin"], STANDARD.encode([3]));
    assert_eq!(all[1]["meta"]["sender"], "c", "who sent it is not asked");
}

proptest! {
    #[test]
    fn bodies_stay_within_their_bound_and_lose_nothing(lengths in proptest::collection::vec(0..47_000_usize, 0..12), letter in "[a\"\\\\\u{e9}]{1,20}") {
        let published: Vec<_> = lengths
            .iter()
            .map(|length| Item::new(letter.clone(), Format::Message(vec![1; *length].into())))
            .collect();
        let bodies = bodies(&published);
        prop_assert!(bodies.iter().all(|body| body.len() <= BODY_MAX));
        let read: Vec<_> = bodies
            .iter()
            .flat_map(|body| items(body))
            .map(|item| STANDARD.decode(item["formats"]["ws-message"]["content-bin"].as_str().unwrap()).unwrap().len())
            .collect();
        prop_assert_eq!(read, lengths);
    }
}
