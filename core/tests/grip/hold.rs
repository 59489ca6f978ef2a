use yonder_core::grip::hold::{Channel, headers};
use yonder_core::log::Offset;

#[test]
fn a_poll_listens_to_channels_and_is_asked_again_unless_it_has_seen_what_was_published_last() {
    let channel = |name: &str, seen| Channel { name: name.to_owned(), seen };
    let channels = [channel("yonder-a", Some(Offset::new(7))), channel("yonder-b", None)];
    let told: Vec<_> =
        headers(&channels, 25).iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected = [
        "grip-hold: response",
        "grip-channel: yonder-a; prev-id=0000000000000007, yonder-b",
        "grip-timeout: 25",
    ];
    assert_eq!(told, expected);
}
