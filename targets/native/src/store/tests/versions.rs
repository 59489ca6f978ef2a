//! Versions, and that they go with their document.

use super::*;
use yonder_core::Millis;
use yonder_core::log::Version;

fn version(id: &str, name: &str, body: &Bytes) -> Version {
    Version { id: id.into(), name: name.into(), created: Millis(1_700_000_000_000), bytes: body.len() as u64 }
}

fn put(open: &Open, doc: &str, version: &Version, body: &Bytes, most: usize) -> Result<LogReply, LogError> {
    open.try_ask(doc, LogOp::PutVersion { version: version.clone(), body: body.clone(), most })
}

fn list(open: &Open, doc: &str) -> Vec<Version> {
    let LogReply::Versions(versions) = open.ask(doc, LogOp::ListVersions) else { panic!() };
    versions
}

fn read(open: &Open, doc: &str, id: &str) -> Option<Bytes> {
    let LogReply::Version(body) = open.ask(doc, LogOp::ReadVersion { id: id.into() }) else { panic!() };
    body
}

fn delete(open: &Open, doc: &str, id: &str) -> bool {
    let LogReply::Done(done) = open.ask(doc, LogOp::DeleteVersion { id: id.into() }) else { panic!() };
    done
}

const KEPT: Result<LogReply, LogError> = Ok(LogReply::Done(true));
const TOO_MANY: Result<LogReply, LogError> = Ok(LogReply::Done(false));

#[test]
fn versions_are_kept_newest_first_up_to_a_number() {
    let open = Open::new("versions");
    open.create("doc", &[]);
    open.create("other", &[]);
    let (first, second) = (insert(1, "first"), insert(2, "the second"));
    let (one, two) = (version("01", "", &first), version("02", "Größe \"2\"", &second));
    assert_eq!(put(&open, "doc", &one, &first, 2), KEPT);
    assert_eq!(put(&open, "doc", &two, &second, 2), KEPT);
    assert_eq!(put(&open, "doc", &version("03", "", &first), &first, 2), TOO_MANY);
    // Another document has its own.
    assert_eq!(put(&open, "other", &one, &second, 1), KEPT);
    assert_eq!(put(&open, "other", &two, &second, 0), TOO_MANY);
    let open = open.restart();
    assert_eq!(list(&open, "doc"), [two, one.clone()]);
    assert_eq!(read(&open, "doc", "01"), Some(first.clone()));
    assert_eq!(read(&open, "doc", "02"), Some(second.clone()));
    assert_eq!(read(&open, "doc", "03"), None);
    assert_eq!(read(&open, "other", "01"), Some(second));
    assert!(delete(&open, "doc", "02"));
    assert!(!delete(&open, "doc", "02"));
    let open = open.restart();
    assert_eq!(list(&open, "doc"), [one]);
    // There is place for one again.
    assert_eq!(put(&open, "doc", &version("03", "", &first), &first, 2), KEPT);
}

#[test]
fn a_version_is_written_once() {
    let open = Open::new("once");
    open.create("doc", &[]);
    let (body, others) = (insert(1, "a"), insert(2, "b"));
    let one = version("01", "one", &body);
    assert_eq!(put(&open, "doc", &one, &body, 1), KEPT);
    // A retry after an ambiguous error, although there is no place for one more.
    assert_eq!(put(&open, "doc", &one, &body, 1), KEPT);
    assert_eq!(put(&open, "doc", &one, &others, 9), Err(LogError::Refused));
    assert_eq!(list(&open, "doc"), [one]);
    assert_eq!(read(&open, "doc", "01"), Some(body));
}

#[test]
fn versions_go_with_their_document() {
    let open = Open::new("gone");
    let body = insert(1, "a");
    let one = version("01", "one", &body);
    let assert_none = |open: &Open| {
        assert_eq!(list(open, "doc"), []);
        assert_eq!(read(open, "doc", "01"), None);
        assert!(!delete(open, "doc", "01"));
    };
    // It never was, and a version does not make it.
    assert_eq!(put(&open, "doc", &one, &body, 9), Err(LogError::Refused));
    assert_eq!(open.all("doc").tail.life, Life::Absent);
    assert_none(&open);
    open.create("doc", &[]);
    assert_eq!(put(&open, "doc", &one, &body, 9), KEPT);
    open.delete("doc");
    assert_eq!(put(&open, "doc", &one, &body, 9), Err(LogError::Deleted));
    assert_none(&open);
    // They do not come back with it.
    open.create("doc", &[]);
    let open = open.restart();
    assert_none(&open);
    assert_eq!(put(&open, "doc", &one, &body, 1), KEPT);
}

#[test]
fn a_compaction_leaves_versions_alone() {
    let open = Open::new("both");
    let body = insert(1, "a");
    open.append("doc", &[body.clone(), insert(2, "b")]);
    put(&open, "doc", &version("01", "", &body), &body, 9).unwrap();
    open.compact("doc", 2);
    assert_eq!(read(&open, "doc", "01"), Some(body));
}
