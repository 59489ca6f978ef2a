//! Acknowledged edits: message 102 behind every edit, and the time until it comes back.

use crate::load::{Load, Probe};
use crate::native::Plan;
use crate::relay::record;
use crate::report::Report;
use crate::typing::TYPIST;
use std::time::Duration;
use tokio::time::sleep;

/// 1 and 50 clients, each on a document of its own, with 10 edits a second each.
pub(crate) async fn run(plan: &Plan) -> Report {
    let mut report = plan.report("Acknowledged edits: from the edit to the echo of message 102");
    report.note(
        "The promises differ: yonder echoes when the edit is stored, y-sweet at once, before storing it.",
    );
    let servers = plan.start_all("acked");
    for &clients in &[1, 50] {
        for round in 0..plan.pick(2, 5) {
            for (column, server) in servers.iter().enumerate() {
                if !server.kind.acknowledges() {
                    continue;
                }
                let load = Load {
                    rooms: clients,
                    readers: 0,
                    rate: 10.0,
                    warm_up: Duration::from_secs(1),
                    measure: plan.pick(Duration::from_secs(3), Duration::from_secs(5)),
                    probe: Probe::Acknowledgement,
                    typist: TYPIST,
                };
                let outcome = load.run(server, &format!("acked-{clients}-{round}")).await;
                record(&mut report, &format!("{clients} clients, 10/s each"), column, &outcome);
                sleep(Duration::from_millis(300)).await;
            }
        }
    }
    report
}
