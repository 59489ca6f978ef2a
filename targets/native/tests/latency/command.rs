//! The command as it is called: what it writes where, and how it ends.

use crate::Done;
use crate::alone;
use crate::server::Yonder;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

/// The command, which does not have its arguments yet.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yonder"));
    command.arg("latency");
    command
}

fn latency(args: &[&str]) -> Done<Output> {
    Ok(command().args(args).output()?)
}

/// A run that takes as little time as it can.
pub(crate) const SHORT: [&str; 8] = ["--duration", "1s", "--warm-up", "0s", "--fresh", "3", "--rate", "50"];

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_written_is_what_the_schema_says_and_compares_as_noise() -> Done {
    let _alone = alone();
    let (server, folder) = (Yonder::up(&[])?, tempfile::tempdir()?);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (json, csv, again) = (path("a.json"), path("a.csv"), path("b.json"));
    let url = server.url();
    let mut args = vec![url.as_str(), "http://127.0.0.1:1", "--json", &json, "--csv", &csv];
    args.extend(SHORT);
    let done = latency(&args)?;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let shown = text(&done.stdout);
    assert!(shown.contains(&url) && shown.contains("long-poll") && shown.contains("(refused)"), "{shown}");

    // Whatever else is set.
    let schema: Value = serde_json::from_slice(&latency(&["--schema", "--token", "t"])?.stdout)?;
    let schema = jsonschema::validator_for(&schema)?;
    let mut written: Value = serde_json::from_str(&fs::read_to_string(&json)?)?;
    let wrong: Vec<_> =
        schema.iter_errors(&written).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let count = written.pointer_mut("/hosts/0/transports/ws/ack/count").ok_or("no count")?;
    *count = Value::from("many");
    assert!(!schema.is_valid(&written), "the schema says nothing of counts");

    // A row for each metric but the two that an http:// address does not have, and the names.
    assert_eq!(fs::read_to_string(&csv)?.lines().count(), 3 * 10 + 1);

    let mut args =
        vec![url.as_str(), "--json", &again, "--compare", &json, "--fail-if", "ws.propagation.p90 > 60s"];
    args.extend(SHORT);
    let done = latency(&args)?;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let shown = text(&done.stdout);
    assert!(shown.contains("Mann-Whitney") && shown.contains("too few blocks to tell"), "{shown}");
    Ok(())
}

#[test]
fn the_exit_code_tells_what_happened() -> Done {
    let _alone = alone();
    let server = Yonder::up(&[])?;
    let url = server.url();
    let with = |more: &[&str]| -> Done<(Option<i32>, String, String)> {
        let args = [&[url.as_str(), "--transport", "ws"], &SHORT[..], more].concat();
        let done = latency(&args)?;
        Ok((done.status.code(), text(&done.stdout), text(&done.stderr)))
    };
    let (code, _, said) = with(&["--fail-if", "failed > 0", "--fail-if", "p50 < 10s"])?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("failed > 0") && said.contains("no, 0 of") && said.contains("p50 < 10s"), "{said}");
    // Fifty edits know no p99, and an unknown one is no good one.
    let (code, shown, said) = with(&["--fail-if", "p99 > 60s", "--csv", "-"])?;
    assert_eq!((code, said.contains("not known, which counts as yes")), (Some(1), true), "{said}");
    assert!(shown.starts_with("from,to,transport,metric,p50_ms"), "{shown}");

    for wrong in [
        &["--fail-if", "p98 > 1ms"][..],
        &["--transport", "pigeon"],
        &["--rate", "0"],
        &["--token", "a,b,c"],
        &["--compare", "/no/such/file"],
        &["--json", "-", "--csv", "-"],
        &["--report", "/no/such/folder/report.html"],
    ] {
        let done = latency(&[&[url.as_str()], wrong].concat())?;
        assert_eq!(done.status.code(), Some(2), "{wrong:?}: {}", text(&done.stderr));
    }
    assert_eq!(latency(&[])?.status.code(), Some(2));
    let done = latency(&["http://127.0.0.1:1", "nonsense"])?;
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("nonsense is no URL"), "{}", text(&done.stdout));
    Ok(())
}

#[test]
fn documents_are_gone_afterwards_and_one_that_was_there_is_not() -> Done {
    let _alone = alone();
    let server = Yonder::up(&[])?;
    let url = server.url();
    let listed = || -> Done<Vec<String>> {
        let mut stream = std::net::TcpStream::connect(server.address)?;
        std::io::Write::write_all(&mut stream, b"GET /docs HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
        let answer = std::io::read_to_string(stream)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
        let list: Value = serde_json::from_str(body)?;
        let docs = list.get("docs").and_then(Value::as_array).ok_or("no list")?;
        Ok(docs.iter().filter_map(|doc| doc.get("docId")?.as_str().map(str::to_owned)).collect())
    };
    // A document at one server, looked for at another.
    let stranger = Yonder::up(&[])?;
    let alone = stranger.url();
    let apart = ["--same-deployment", "--transport", "sse", "--timeout", "1s", "--json", "-", "--fresh", "0"];
    let done = latency(
        &[&[url.as_str(), alone.as_str(), "--duration", "200ms", "--warm-up", "0s"], &apart[..]].concat(),
    )?;
    let outcome: Value = serde_json::from_slice(&done.stdout)?;
    let why = outcome.pointer("/pairs/0/error/message").and_then(Value::as_str).ok_or("no error")?;
    assert!(why.contains("404") && why.contains("one deployment?"), "{why}");

    let same = ["--same-deployment", "--transport", "long-poll"];
    // The server under two names.
    let other = url.replace("127.0.0.1", "localhost");
    let done = latency(&[&[url.as_str(), other.as_str(), "--json", "-"], &SHORT[..], &same].concat())?;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let outcome: Value = serde_json::from_slice(&done.stdout)?;
    let pairs = outcome.get("pairs").and_then(Value::as_array).ok_or("no pairs")?;
    assert_eq!(pairs.len(), 2, "there and back");
    for pair in pairs {
        assert_eq!(
            (pair.pointer("/propagation/count"), pair.pointer("/converge/count")),
            (Some(&50.into()), Some(&3.into())),
            "{pair}"
        );
    }
    assert_eq!(listed()?, Vec::<String>::new());

    let mut stream = std::net::TcpStream::connect(server.address)?;
    std::io::Write::write_all(
        &mut stream,
        b"PUT /v1/yjs/default/docs/kept HTTP/1.0\r\nhost: localhost\r\n\r\n",
    )?;
    assert!(std::io::read_to_string(stream)?.contains(" 201 "));
    for doc in ["kept", "made"] {
        let done = latency(&[&[url.as_str(), "--doc", doc, "--transport", "sse"], &SHORT[..]].concat())?;
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        assert!(text(&done.stdout).contains("with --doc there are none"), "{}", text(&done.stdout));
    }
    assert_eq!(listed()?, ["kept"]);
    Ok(())
}
