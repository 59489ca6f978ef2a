//! Updates that yjs made, and the JSON that yjs shows for them: `tests/interop/make-json-corpus.mjs` writes both.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use yonder_core::replica::{revert, to_json};
use yonder_core::update::UpdateError;

#[test]
fn updates_of_yjs_are_shown_as_yjs_shows_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/corpus/json");
    let mut documents = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        let update = fs::read(&path).unwrap();
        let expected = fs::read_to_string(path.with_extension("json")).unwrap();
        let shown = to_json(&update).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(shown, expected.trim_end(), "{}", path.display());
        serde_json::from_str::<serde::de::IgnoredAny>(&shown).unwrap();
        documents += 1;
    }
    assert!(documents > 30, "{documents} documents");
}

/// An update that nests arrays: each stands in the one before.
fn nested(levels: u64) -> Vec<u8> {
    use yonder_core::wire::put_var_uint;
    let mut update = vec![1];
    put_var_uint(&mut update, levels);
    update.extend([7, 0]);
    for level in 0..levels {
        update.push(7);
        match level.checked_sub(1) {
            Some(parent) => {
                update.extend([0, 7]);
                put_var_uint(&mut update, parent);
            }
            None => update.extend([1, 1, b'a']),
        }
        update.push(0);
    }
    update.push(0);
    update
}

#[test]
fn types_are_shown_up_to_a_depth_and_refused_beyond() {
    assert_eq!(to_json(&nested(3)).unwrap(), r#"{"a":[[[[]]]]}"#);
    assert_eq!(to_json(&nested(256)).unwrap().len(), r#"{"a":}"#.len() + 257 * 2);
    assert_eq!(to_json(&nested(257)), Err(UpdateError::Unshowable));
    assert_eq!(to_json(&nested(50_000)), Err(UpdateError::Unshowable));
}

#[test]
fn what_is_no_update_is_an_error() {
    assert!(to_json(b"this is no update").is_err());
    assert!(to_json(&[]).is_err());
}

#[test]
fn formats_that_would_be_written_again_and_again_are_refused() {
    use yonder_core::wire::{put_var_bytes, put_var_uint};
    // Ten thousand formats begin, and then, again and again, a letter and one more.
    let (formats, letters) = (10_000, 5_000);
    let mut update = vec![1];
    put_var_uint(&mut update, formats + 2 * letters);
    update.extend([7, 0]);
    for clock in 0..formats + 2 * letters {
        let letter = clock >= formats && clock % 2 == 0;
        let kind = if letter { 4 } else { 6 };
        match clock.checked_sub(1) {
            Some(origin) => {
                update.extend([0x80 | kind, 7]);
                put_var_uint(&mut update, origin);
            }
            None => update.extend([kind, 1, 1, b'a']),
        }
        if letter {
            update.extend([1, b'x']);
        } else {
            put_var_bytes(&mut update, clock.to_string().as_bytes());
            update.extend([1, b'1']);
        }
    }
    update.push(0);
    assert_eq!(to_json(&update), Err(UpdateError::Unshowable));
    // The way back stays open.
    assert!(revert(&update, &[0, 0], 1).unwrap().is_some());
}
