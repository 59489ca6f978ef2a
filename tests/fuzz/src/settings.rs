//! Settings: whatever they say, the server is set up by them or closed, and tells no secret.

use crate::input::Input;
use yonder_core::http::Access;
use yonder_core::limits::Limits;
use yonder_core::settings::config;

const NAMES: [&str; 12] = [
    "YONDER_AUTH_KEY",
    "YONDER_INSECURE_OPEN",
    "YONDER_PUBLIC_URL",
    "YONDER_LONG_POLL_SECONDS",
    "YONDER_SSE_SECONDS",
    "YONDER_MAX_HELD_PER_DOCUMENT",
    "YONDER_MAX_CONNECTIONS_PER_DOCUMENT",
    "YONDER_MAX_DOCUMENT_MB",
    "YONDER_MAX_MESSAGE_MB",
    "YONDER_COMPACT_UPDATES",
    "YONDER_COMPACT_KB",
    "YONDER_COMMIT_INTERVAL_MS",
];

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mut settings = Vec::new();
    while !input.is_empty() {
        settings.push((NAMES[input.below(NAMES.len())], input.text()));
    }
    let get = |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let config = config(&get, Limits::default(), "Do this.");
    match &config.access {
        Access::Keys(keys) => {
            assert!(get("YONDER_AUTH_KEY").is_some());
            let shown = format!("{keys:?}");
            let key = get("YONDER_AUTH_KEY").unwrap_or_default();
            let ids: Vec<_> = key.lines().map(|line| line.split_once(':').map(|(id, _)| id)).collect();
            assert_eq!(
                shown,
                format!("{:?}", ids.iter().map(|id| id.unwrap_or("(no kid)")).collect::<Vec<_>>())
            );
        }
        Access::Open => assert_eq!(get("YONDER_INSECURE_OPEN").as_deref(), Some("true")),
        Access::OpenOnLoopback => assert_eq!(get("YONDER_INSECURE_OPEN").as_deref(), Some("loopback")),
        Access::Closed(why) => assert!(why.starts_with("this server is not set up: ")),
    }
    let limits = &config.limits;
    assert!(
        (1000..=3_600_000).contains(&limits.long_poll) && (1000..=86_400_000).contains(&limits.event_stream)
    );
    assert!(limits.update_bytes <= limits.frame_bytes && u32::try_from(limits.frame_bytes).is_ok());
}
