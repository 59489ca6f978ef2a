//! What is reported is what was injected.

use crate::network::{Network, jitter};
use crate::server::Yonder;
use crate::{Done, alone, due, found, known, plan, run};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use yonder_latency::Plan;
use yonder_latency::result::Transport;

/// One way, and what a busy machine may add to the way there and back.
const WAY: Duration = Duration::from_millis(30);
const SLACK: f64 = 60.0;

fn at_once(_: u32) -> Duration {
    Duration::ZERO
}

#[test]
fn a_delay_is_in_everything_that_goes_there_and_back() -> Done {
    let _alone = alone();
    let server = Yonder::up(&[])?;
    let network = Network::up(server.address, |_| WAY, |_| WAY)?;
    let plan = Plan {
        warm_up: Duration::from_millis(200),
        duration: Duration::from_secs(1),
        rate: 60.0,
        transports: Transport::ALL.to_vec(),
        fresh: 5,
        ..plan(&network.url())
    };
    let outcome = run(&plan)?;
    let there_and_back = 2.0 * WAY.as_secs_f64() * 1000.0;
    for transport in Transport::ALL {
        let measured = found(&outcome, transport)?;
        assert_eq!(measured.error, None, "{transport}");
        let once = [
            ("rtt", &measured.rtt),
            ("ttfb", &measured.ttfb),
            ("ack", &measured.ack),
            ("cold", &measured.cold),
            ("warm", &measured.warm),
            ("reconnect", &measured.reconnect),
            ("converge", &measured.converge),
            ("propagation", &measured.propagation),
        ];
        for (name, summary) in once {
            let median = known(summary.p50).map_err(|error| format!("{transport} {name}: {error}"))?;
            let least = known(summary.min)?;
            assert!(least >= there_and_back, "{transport} {name}: {least}");
            // A WebSocket's upgrade, or a poll that was on its way, takes the way once more.
            let most = if name == "ack" || name == "rtt" || name == "ttfb" { 1.0 } else { 2.0 };
            assert!(median < there_and_back * most + SLACK, "{transport} {name}: {median}");
            assert_eq!(summary.failed, 0, "{transport} {name}");
        }
        assert_eq!((due(&measured.ack), due(&measured.propagation)), (60, 60), "{transport}");
        assert_eq!(
            (measured.converge.count, measured.cold.count, measured.warm.count),
            (5, 5, 5),
            "{transport}"
        );
        // The network accepts at once; only the upgrade goes there and back.
        let connect = known(measured.connect.p50)?;
        assert_eq!(connect >= there_and_back, transport == Transport::Ws, "{transport}: {connect}");
    }
    Ok(())
}

#[test]
fn percentiles_are_those_of_the_jitter_and_the_loss_that_were_injected() -> Done {
    let _alone = alone();
    for transport in [Transport::Ws, Transport::Sse] {
        let server = Yonder::up(&[])?;
        let network = Network::up(server.address, shaky, at_once)?;
        let plan = Plan {
            rate: 25.0,
            duration: Duration::from_secs(6),
            transports: vec![transport],
            ..plan(&network.url())
        };
        let outcome = run(&plan)?;
        let (measured, held) = (found(&outcome, transport)?, network.held());
        // An edit waits behind those that are held on its connection; the network knows that as well. What it carried
        // besides edits is little, and moves a percentile by less than this.
        let rank = |share: f64| (held.len() as f64 * share).round() as usize;
        let injected = |share: f64| {
            let place = rank(share).min(held.len().saturating_sub(1));
            held.get(place).map(|held| held.as_secs_f64() * 1000.0).ok_or("nothing was carried")
        };
        for (name, summary) in [("ack", &measured.ack), ("propagation", &measured.propagation)] {
            assert_eq!((summary.count, summary.failed), (150, 0), "{transport} {name}");
            for (share, found) in [(0.5, summary.p50), (0.9, summary.p90), (0.99, summary.p99)] {
                let (least, found, most) =
                    (injected(share - 0.06)?, known(found)?, injected(share + 0.06)? + SLACK);
                assert!(
                    (least..=most).contains(&found),
                    "{transport} {name} at {share}: {least} {found} {most}"
                );
            }
        }
    }
    Ok(())
}

/// Jitter of 60 ms on average, and one segment of twenty lost, which comes 300 ms later.
fn shaky(number: u32) -> Duration {
    let lost = Duration::from_millis(if number % 20 == 13 { 300 } else { 0 });
    jitter(number, Duration::from_millis(60)) + lost
}

#[test]
fn a_stall_is_in_every_edit_that_was_due_in_it() -> Done {
    let _alone = alone();
    for transport in [Transport::Ws, Transport::Sse] {
        let server = Yonder::up(&[])?;
        let network = Network::up(server.address, at_once, at_once)?;
        network.stall(Instant::now() + Duration::from_millis(1200), Duration::from_secs(1));
        let plan =
            Plan { duration: Duration::from_secs(3), transports: vec![transport], ..plan(&network.url()) };
        let outcome = run(&plan)?;
        let measured = found(&outcome, transport)?;
        for (name, summary) in [("ack", &measured.ack), ("propagation", &measured.propagation)] {
            let (p99, max) = (known(summary.p99)?, known(summary.max)?);
            assert!(p99 >= 500.0 && max >= 800.0, "{transport} {name}: {p99} {max}");
            let slow: u64 =
                summary.histogram.iter().filter(|(ms, _)| *ms >= 200.0).map(|(_, count)| count).sum();
            assert!(
                slow >= 30,
                "{transport} {name}: {slow} of the 40 that were due while it would last for 200 ms"
            );
            assert_eq!((summary.count, summary.failed), (150, 0), "{transport} {name}");
            assert!(known(summary.p50)? < 200.0, "{transport} {name}");
        }
    }
    Ok(())
}

#[test]
fn whoever_waits_for_each_answer_does_not_see_the_same_stall() -> Done {
    let _alone = alone();
    let server = Yonder::up(&[])?;
    let network = Network::up(server.address, at_once, at_once)?;
    network.stall(Instant::now() + Duration::from_millis(1200), Duration::from_secs(1));
    let taken = one_after_the_other(network.address, Duration::from_secs(3))?;
    let rank = (taken.len() as f64 * 0.99).ceil() as usize;
    let p99 = taken.get(rank.saturating_sub(1)).ok_or("nothing")?;
    let longest = taken.last().ok_or("nothing")?;
    assert!(taken.len() > 100, "{}", taken.len());
    assert!(*longest >= Duration::from_millis(800), "there was a stall: {longest:?}");
    assert!(*p99 < Duration::from_millis(500), "and one request saw it: {p99:?}");
    Ok(())
}

/// How long requests took of which each waited for the one before, sorted.
fn one_after_the_other(address: SocketAddr, length: Duration) -> Done<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (began, mut taken) = (Instant::now(), Vec::new());
    while began.elapsed() < length {
        let asked = Instant::now();
        stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let (mut answer, mut buffer) = (String::new(), [0; 4096]);
        while !answer.ends_with("{\"ok\":true}") {
            let length = stream.read(&mut buffer)?;
            if length == 0 {
                return Err("the server closed".into());
            }
            answer.push_str(std::str::from_utf8(buffer.get(..length).unwrap_or_default())?);
        }
        taken.push(asked.elapsed());
        thread::sleep(Duration::from_millis(10));
    }
    taken.sort_unstable();
    Ok(taken)
}
