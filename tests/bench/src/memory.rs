//! Memory of rooms and of connections, as the growth of a fresh server divided by their number.

use crate::client::{Background, Client, all};
use crate::native::Plan;
use crate::protocol::{self, NOTHING};
use crate::report::{Report, Unit};
use crate::server::Server;
use crate::typing::{TYPIST, Typing};
use std::time::Duration;
use tokio::time::sleep;

/// What fills the server.
#[derive(Clone, Copy)]
enum Filling {
    /// Documents that were opened, edited once and left.
    LeftRooms,
    /// Open connections, each on a document of its own.
    OwnDocuments,
    /// Open connections, all on one document.
    OneDocument,
}

impl Filling {
    fn name(self, count: usize) -> String {
        match self {
            Self::LeftRooms => format!("{count} rooms, edited once and left"),
            Self::OwnDocuments => format!("{count} connections, each on its own document"),
            Self::OneDocument => format!("{count} connections on one document"),
        }
    }
}

/// Fills fresh servers in three ways.
pub(crate) async fn run(plan: &Plan) -> Report {
    let mut report = plan.report("Memory");
    report.note("Of the process alone (`smaps_rollup`); the kernel's socket buffers come on top and are the same for all. A room or a connection is the growth over the fresh server, divided.");
    let count = plan.pick(500, 2000);
    for round in 0..plan.pick(1, 2) {
        for filling in [Filling::LeftRooms, Filling::OwnDocuments, Filling::OneDocument] {
            for (column, peer) in plan.peers.iter().enumerate() {
                let server = plan.start(peer, &format!("memory-{}-{round}", filling as u8));
                let wait = !plan.quick && round == 0;
                fill(&mut report, column, &server, filling, count, wait).await;
                server.stop();
            }
        }
    }
    report
}

/// Fills a fresh server; with `wait` the rooms that were left are looked at once more when every server has had time
/// to forget them.
async fn fill(
    report: &mut Report,
    column: usize,
    server: &Server,
    filling: Filling,
    count: usize,
    wait: bool,
) {
    sleep(Duration::from_secs(1)).await;
    let empty = server.memory();
    report.add("empty server", "resident", Unit::Bytes, column, empty.resident as f64);
    report.add("empty server", "proportional", Unit::Bytes, column, empty.proportional as f64);

    let scenario = filling.name(count);
    let mut grown = |figure: &str| {
        let growth = server.memory().resident.saturating_sub(empty.resident);
        report.add(&scenario, figure, Unit::Bytes, column, growth as f64 / count as f64);
    };
    let before = server.cpu();
    let spent = || server.cpu().saturating_sub(before).as_secs_f64();
    let cpu = match filling {
        Filling::LeftRooms => {
            let edit = protocol::update(Typing::new(TYPIST, 1).update(0));
            all(count, async |index| {
                let mut client = Client::join(server, &format!("left-{index}")).await;
                client.send(edit.clone()).await;
                client.send(protocol::step1(NOTHING)).await;
                client.step2(|_| ()).await;
                client.close().await;
            })
            .await;
            sleep(Duration::from_secs(3)).await;
            grown("each, 3 s later");
            let cpu = spent();
            if wait {
                sleep(Duration::from_secs(42)).await;
                grown("each, 45 s later");
            }
            cpu
        }
        Filling::OwnDocuments | Filling::OneDocument => {
            // See `Load::run`: a document is opened for the first time by one client alone.
            let first = Client::join(server, "open-0").await;
            let mut clients = all(count - 1, async |index| {
                let document = if matches!(filling, Filling::OneDocument) { 0 } else { index + 1 };
                Client::join(server, &format!("open-{document}")).await
            })
            .await;
            clients.push(first);
            let _open = Background::new(clients.into_iter().map(Client::idle).collect());
            sleep(Duration::from_secs(3)).await;
            grown("each");
            spent()
        }
    };
    report.add(&scenario, "server CPU for each", Unit::Seconds, column, cpu / count as f64);
}
