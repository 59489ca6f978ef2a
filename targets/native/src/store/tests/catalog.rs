//! Lists of documents, and the check of the store.

use super::*;

/// What a list must be, one page after the other.
fn page(open: &Open, prefix: &str, after: &str, limit: usize) -> Vec<String> {
    let request = CatalogOp::List { prefix: prefix.into(), after: after.into(), limit };
    open.catalog(request).unwrap().into_iter().map(|listed| listed.name).collect()
}

const NAMES: [&str; 18] = [
    "a",
    "A",
    "a-b",
    "a/b",
    "a/b/c",
    "a0",
    "a%",
    "a_",
    "ab",
    "aé",
    "ae\u{301}",
    // The last before and the first behind the surrogates, and the last of all.
    "a\u{d7ff}x",
    "a\u{e000}",
    "a\u{10ffff}",
    "a\u{10ffff}b",
    "b",
    "日本語",
    "\u{1f}service\u{1f}a",
];

#[test]
fn lists_are_sorted_by_bytes_and_page_without_a_gap() {
    let open = Open::new("list");
    for name in NAMES {
        open.append(name, &[insert(1, "a")]);
    }
    for name in ["a/deleted", "zz", "a"] {
        open.create(name, &[]);
        open.delete(name);
    }
    open.create("a", &[]);
    let open = open.restart();
    let mut sorted = NAMES.map(str::to_owned);
    sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for prefix in [
        "",
        "a",
        "a/",
        "a/b",
        "a\u{d7ff}",
        "a\u{10ffff}",
        "\u{10ffff}",
        "b",
        "a_",
        "a%",
        "\u{1f}service\u{1f}",
        "z",
        "日",
    ] {
        let expected: Vec<_> = sorted.iter().filter(|name| name.starts_with(prefix)).cloned().collect();
        for limit in [1, 2, 5, 1000, usize::MAX] {
            let (mut listed, mut after) = (Vec::new(), String::new());
            loop {
                let next = page(&open, prefix, &after, limit);
                assert!(next.len() <= limit);
                let Some(last) = next.last() else { break };
                after.clone_from(last);
                listed.extend(next);
            }
            assert_eq!(listed, expected, "{prefix:?}, {limit} a page");
        }
        // From places that no document has, inside what is asked for and outside of it.
        for after in ["\u{1}", "a", "a.", "a/a", "a/b", "a\u{fffd}", "b", "c", "\u{10ffff}\u{10ffff}"] {
            let expected: Vec<_> = expected.iter().filter(|name| name.as_str() > after).cloned().collect();
            assert_eq!(page(&open, prefix, after, 1000), expected, "{prefix:?} behind {after:?}");
        }
    }
    assert_eq!(page(&open, "", "", 0), [""; 0]);
}

#[test]
fn a_list_tells_how_long_each_log_is() {
    let open = Open::new("tails");
    let updates = [insert(1, "a"), insert(2, "b"), insert(3, "c")];
    open.append("a", &updates);
    let compacted = open.compact("a", 2);
    open.append("b", &updates);
    open.delete("b");
    let (_, anew) = open.create("b", &updates[..1]);
    let open = open.restart();
    let request = CatalogOp::List { prefix: String::new(), after: String::new(), limit: 10 };
    assert_eq!(
        open.catalog(request),
        Ok(vec![Listed { name: "a".into(), tail: compacted }, Listed { name: "b".into(), tail: anew }])
    );
}

#[test]
fn a_list_walks_along_an_index() {
    let dir = Dir::new("plan");
    let db = schema::writer(&dir.file()).unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {}", document::LIST);
    let plan: String = db.query_row(&explain, ["", "", "", "1"], |row| row.get(3)).unwrap();
    assert!(plan.contains("SEARCH document USING INDEX") && plan.contains("(name>? AND name<?)"), "{plan}");
}

#[test]
fn a_check_writes() {
    let open = Open::new("check");
    let checks = |open: &Open| {
        let db = schema::reader(&open.dir.file()).unwrap();
        db.query_row("SELECT coalesce(sum(checks), 0) FROM probe", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(checks(&open), 0);
    assert_eq!(open.catalog(CatalogOp::Check), Ok(vec![]));
    assert_eq!(open.catalog(CatalogOp::Check), Ok(vec![]));
    let open = open.restart();
    assert_eq!(checks(&open), 2);
    assert_eq!(open.catalog(CatalogOp::Check), Ok(vec![]));
    assert_eq!(page(&open, "", "", 10), [""; 0]);
}

#[test]
fn a_check_tells_that_the_store_cannot_be_written() {
    let dir = Dir::new("readonly");
    drop(schema::writer(&dir.file()).unwrap());
    let mut db = schema::reader(&dir.file()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let answer: Answer = Box::new(move |reply| sender.send(reply).unwrap());
    write::commit(&mut db, vec![Write::Check { answer }]);
    assert_eq!(receiver.recv().unwrap(), Err(LogError::Refused));
}
