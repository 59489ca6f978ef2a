//! Opening a large document: how long from the first byte to the last of its content, on a server that has just been
//! started (cold) and on one that has it open already (warm).

use crate::client::Client;
use crate::load::{Load, Probe};
use crate::native::Plan;
use crate::protocol::{self, EMPTY_UPDATE, Message, NOTHING};
use crate::relay;
use crate::report::{Report, Unit};
use crate::server::{Kind, Server};
use crate::trace::{self, Document};
use crate::typing::TYPIST;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Name of the document on every server.
const DOC: &str = "paper-0";
/// Edits in one update while loading. y-sweet works through the whole document for every update, so that a quarter of a
/// million of them would take it longer than all other cases together.
const EDITS_EACH: usize = 20;
/// Frames and bytes that are on their way to the server at most.
const WINDOW: (usize, usize) = (256, 32 * 1024);
/// After this long without the content, something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);
/// What one join brought.
struct Joined {
    client: Client,
    took: Duration,
    /// Bytes of all updates that came.
    bytes: usize,
    updates: Vec<Vec<u8>>,
}

/// Loads the trace into every server, then restarts and joins, round by round.
pub(crate) async fn run(plan: &Plan, file: Option<&Path>) -> Report {
    let file = file.map_or_else(trace::fetch, Path::to_path_buf);
    let edits = plan.pick(60_000, usize::MAX);
    let document = Document::replay(&file, edits, EDITS_EACH);
    let mut report = plan.report(&format!(
        "Joining a document of {} edits ({} as one update)",
        document.edits,
        Unit::Bytes.show(document.size as f64)
    ));
    report.note(&format!(
        "Loaded by one client with {EDITS_EACH} edits in each update; every {} updates it asks with a state vector \
         whether the server has come so far, which is a part of the time.",
        WINDOW.0
    ));
    report.note("A warm join is the second one, while the first client is still there.");
    report.note("y-websocket answers a cold step 1 at once and empty, and the content follows as an update; the time is until the content.");
    report.note("\"First cold\" is the first start after the loading, \"cold\" the later starts.");

    for (column, peer) in plan.peers.iter().enumerate() {
        let server = plan.start(peer, "join");
        load(&mut report, column, &server, &document, "loading").await;
        settle(&server).await;
        report.add("stored", "on disk", Unit::Bytes, column, server.stored_bytes() as f64);
        report.add("stored", "resident after loading", Unit::Bytes, column, server.memory().resident as f64);
        server.stop();
    }
    for round in 0..plan.pick(4, 6) {
        for (column, peer) in plan.peers.iter().enumerate() {
            let server = plan.start(peer, "join");
            let temperature = if round == 0 { "first cold" } else { "cold" };
            let first = join(&mut report, column, &server, &document, temperature).await;
            let second = join(&mut report, column, &server, &document, "warm").await;
            first.close().await;
            second.close().await;
            let memory = server.memory().resident as f64;
            report.add("warm", "resident afterwards", Unit::Bytes, column, memory);
            server.stop();
        }
    }
    type_into(plan, &mut report).await;
    if let Some(column) = plan.peers.iter().position(|peer| peer.kind == Kind::Yonder) {
        let document = Document::replay(&file, edits, 1);
        long_tail(plan, &mut report, column, &document).await;
    }
    report
}

/// Sends all edits, no faster than the server takes them.
async fn load(report: &mut Report, column: usize, server: &Server, document: &Document, scenario: &str) {
    let (began, cpu) = (Instant::now(), server.cpu());
    let mut client = Client::join(server, DOC).await;
    let everything = document.everything();
    let (mut frames, mut bytes) = (0, 0);
    for (at, update) in document.updates.iter().enumerate() {
        client.send(protocol::update(update)).await;
        frames += 1;
        bytes += update.len();
        if frames == WINDOW.0 || bytes >= WINDOW.1 || at + 1 == document.updates.len() {
            client.send(protocol::step1(&everything)).await;
            client.step2(|_| ()).await;
            (frames, bytes) = (0, 0);
        }
    }
    if server.kind.acknowledges() {
        client.acknowledged().await;
    }
    report.add(scenario, "time for all edits", Unit::Seconds, column, began.elapsed().as_secs_f64());
    let cpu = server.cpu().saturating_sub(cpu).as_secs_f64();
    report.add(scenario, "server CPU", Unit::Seconds, column, cpu);
    client.close().await;
}

/// Waits until the server has stopped writing.
async fn settle(server: &Server) {
    let mut last = (server.stored_bytes(), Instant::now());
    while last.1.elapsed() < server.kind.settles_in() {
        sleep(Duration::from_millis(100)).await;
        let bytes = server.stored_bytes();
        if bytes != last.0 {
            last = (bytes, Instant::now());
        }
    }
}

/// Joins once and enters the figures; the document stays open at the server as long as the client does.
async fn join(
    report: &mut Report,
    column: usize,
    server: &Server,
    document: &Document,
    temperature: &str,
) -> Client {
    let cpu = server.cpu();
    let joined = open(server, document).await;
    let cpu = server.cpu().saturating_sub(cpu).as_secs_f64();
    assert!(document.is_complete(&joined.updates), "{} lost a part of the document", server.kind.name());
    report.add(temperature, "join", Unit::Seconds, column, joined.took.as_secs_f64());
    report.add(temperature, "server CPU", Unit::Seconds, column, cpu);
    report.add(temperature, "answer", Unit::Bytes, column, joined.bytes as f64);
    joined.client
}

/// Connects with an empty replica and reads until the content is there.
async fn open(server: &Server, document: &Document) -> Joined {
    let began = Instant::now();
    let mut client = Client::connect(server, DOC, 256 * 1024).await;
    client.send(protocol::step1(NOTHING)).await;
    let (mut bytes, mut updates) = (0, Vec::new());
    let reading = async {
        // Servers keep more or less of what was deleted, but none can do with half.
        while bytes < document.size / 2 {
            let frame = client.next().await.expect("the server stays connected");
            let mut asked = false;
            for message in protocol::messages(&frame) {
                match message {
                    Message::Step2(update) | Message::Update(update) => {
                        bytes += update.len();
                        updates.push(update.to_vec());
                    }
                    Message::Step1 => asked = true,
                    Message::Acknowledged(_) | Message::Other => {}
                }
            }
            if asked {
                client.send(protocol::step2(EMPTY_UPDATE)).await;
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("the content in time");
    let took = began.elapsed();
    Joined { client, took, bytes, updates }
}

/// One writer and ten readers in the large document: what an edit costs that is small where the document is not.
async fn type_into(plan: &Plan, report: &mut Report) {
    let servers = plan.start_all("join");
    for round in 0..plan.pick(1, 3) {
        for (column, server) in servers.iter().enumerate() {
            let load = Load {
                rooms: 1,
                readers: 10,
                rate: 20.0,
                warm_up: Duration::from_secs(1),
                measure: plan.pick(Duration::from_secs(3), Duration::from_secs(5)),
                probe: Probe::Relay,
                typist: TYPIST + round,
            };
            let outcome = load.run(server, "paper").await;
            relay::record(report, "typing into it, 10 readers, 20/s", column, &outcome);
        }
    }
    servers.into_iter().for_each(Server::stop);
}

/// The worst case of a log, an update for every edit: killed right behind the last acknowledgement, before anything could be compacted. What
/// was acknowledged must be there.
async fn long_tail(plan: &Plan, report: &mut Report, column: usize, document: &Document) {
    let peer = &plan.peers[column];
    let server = plan.start(peer, "tail");
    load(report, column, &server, document, "loading, one edit each").await;
    drop(server);
    let server = plan.start(peer, "tail");
    join(report, column, &server, document, "cold, killed after the last edit").await.close().await;
}
