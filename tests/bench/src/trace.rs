//! The large document: the editing trace of a scientific paper that CRDT benchmarks share (automerge-perf), 259,778
//! edits that leave 104,852 characters.

use flate2::read::GzDecoder;
use serde::Deserialize;
use std::fs::{File, create_dir_all, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, Options, ReadTxn, StateVector, Text, Transact, Update};

/// The one client that made all edits.
const CLIENT: ClientID = ClientID::new(0x7ace_0001);
/// Name of the shared text in the document.
const TEXT: &str = "text";

/// A document as the edits that made it.
pub(crate) struct Document {
    /// Number of edits.
    pub(crate) edits: usize,
    /// The edits in order, several to an update.
    pub(crate) updates: Vec<Vec<u8>>,
    /// The whole document as one update, in bytes.
    pub(crate) size: usize,
    /// Its text in the end.
    text: String,
}

impl Document {
    /// Replays the first `limit` edits of the trace with yrs, `each` of them to an update.
    pub(crate) fn replay(trace: &Path, limit: usize, each: usize) -> Self {
        let file = File::open(trace).unwrap_or_else(|error| panic!("the trace cannot be read: {error}"));
        let trace: Trace = serde_json::from_reader(GzDecoder::new(file)).expect("a trace as JSON");
        let doc = Doc::with_options(Options::with_client_id(CLIENT));
        let text = doc.get_or_insert_text(TEXT);
        let mut updates = Vec::new();
        let edits = limit.min(trace.txns.len());
        for edits in trace.txns[..edits].chunks(each) {
            let mut change = doc.transact_mut();
            for Patch(at, deleted, inserted) in edits.iter().flat_map(|edit| &edit.patches) {
                if *deleted > 0 {
                    text.remove_range(&mut change, *at, *deleted);
                }
                if !inserted.is_empty() {
                    text.insert(&mut change, *at, inserted);
                }
            }
            updates.push(change.encode_update_v1());
        }
        let state = doc.transact();
        let size = state.encode_state_as_update_v1(&StateVector::default()).len();
        let text = text.get_string(&state);
        if edits == trace.txns.len() {
            assert_eq!(text, trace.end_content, "the replayed trace must end as the trace says");
        }
        drop(state);
        Self { edits, updates, size, text }
    }

    /// A state vector to which every server answers that there is nothing to send: a cheap way to ask whether it has
    /// read so far.
    pub(crate) fn everything(&self) -> Vec<u8> {
        let mut vector = StateVector::default();
        vector.set_max(CLIENT, u32::MAX);
        vector.encode_v1()
    }

    /// Whether these updates make the whole document.
    pub(crate) fn is_complete(&self, updates: &[Vec<u8>]) -> bool {
        let doc = Doc::new();
        let text = doc.get_or_insert_text(TEXT);
        let mut change = doc.transact_mut();
        for update in updates {
            let update = Update::decode_v1(update).expect("an update that the server sent");
            change.apply_update(update).expect("an update that fits");
        }
        text.get_string(&change) == self.text
    }
}

/// Finds the trace by way of cargo, which downloads the crate that ships it.
pub(crate) fn fetch() -> PathBuf {
    let project = TempDir::with_prefix("yonder-trace-").expect("a temporary directory");
    let manifest =
        "[package]\nname = \"trace\"\nedition = \"2024\"\n[dependencies]\nloro-internal = \"=1.17.1\"\n";
    create_dir_all(project.path().join("src")).expect("a directory");
    write(project.path().join("src/lib.rs"), "").expect("a file");
    write(project.path().join("Cargo.toml"), manifest).expect("a file");
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--quiet"])
        .current_dir(project.path())
        .output()
        .expect("cargo runs");
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .expect("cargo finds loro-internal; or name the file with --trace");
    let found = metadata.packages.into_iter().find(|package| package.name == "loro-internal");
    let manifest = found.expect("loro-internal among the packages").manifest_path;
    manifest.parent().expect("a manifest is in a directory").join("benches/automerge-paper.json.gz")
}

#[derive(Deserialize)]
struct Trace {
    #[serde(rename = "endContent")]
    end_content: String,
    txns: Vec<Edit>,
}

#[derive(Deserialize)]
struct Edit {
    patches: Vec<Patch>,
}

/// Position, number of characters deleted there, text inserted there.
#[derive(Deserialize)]
struct Patch(u32, u32, String);

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}
