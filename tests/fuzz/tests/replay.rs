//! Every input in `corpus`, and with them whatever fuzzing has found, as an ordinary test: no libFuzzer is needed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, panic};
use yonder_fuzz::TARGETS;

/// Panics of this process: also those that are caught, which would end a Wasm module.
static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn what_was_found_stays_fixed() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        default(panic);
    }));
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, run) in TARGETS {
        let mut inputs: Vec<_> =
            fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name} has a corpus");
        for path in inputs {
            let input = fs::read(&path).unwrap();
            let done = panic::catch_unwind(|| run(&input));
            assert!(done.is_ok() && PANICS.load(Ordering::Relaxed) == 0, "{}", path.display());
        }
    }
}
