//! What is wrong with a host is said, and the rest goes on.

use crate::network::Network;
use crate::server::Yonder;
use crate::{Done, alone, due, found, plan, run};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};
use yonder_latency::result::Transport;
use yonder_latency::{Plan, Server};

#[test]
fn a_host_that_stops_has_every_edit_counted() -> Done {
    let _alone = alone();
    let mut server = Yonder::up(&[])?;
    let plan = Plan {
        transports: vec![Transport::Ws, Transport::LongPoll],
        rate: 20.0,
        timeout: Duration::from_secs(1),
        fresh: 4,
        ..plan(&server.url())
    };
    let measuring = thread::spawn(move || run(&plan).map_err(|error| error.to_string()));
    thread::sleep(Duration::from_millis(1500));
    server.child.kill()?;
    let outcome = measuring.join().map_err(|_| "it panicked")??;
    for transport in [Transport::Ws, Transport::LongPoll] {
        let measured = found(&outcome, transport)?;
        for summary in [&measured.ack, &measured.propagation] {
            assert_eq!(due(summary), 40, "{transport}: {:?}", summary.failures);
            assert!(summary.failures.contains_key("refused"), "{transport}: {:?}", summary.failures);
            assert_eq!(summary.p99, None, "{transport}: what failed was no faster than the rest");
        }
        let problem = measured.error.as_ref().ok_or("no error")?;
        assert!(problem.message.contains("nothing arrived since"), "{problem:?}");
    }
    Ok(())
}

#[test]
fn connections_that_are_cut_come_back_and_are_counted() -> Done {
    let _alone = alone();
    let server = Yonder::up(&[])?;
    let network = Network::up(server.address, |_| Duration::ZERO, |_| Duration::ZERO)?;
    let plan = Plan {
        transports: vec![Transport::Ws, Transport::Sse],
        timeout: Duration::from_secs(1),
        duration: Duration::from_secs(3),
        ..plan(&network.url())
    };
    let measuring = thread::spawn(move || run(&plan).map_err(|error| error.to_string()));
    // In the second turn of the one or the other.
    thread::sleep(Duration::from_millis(2300));
    network.cut(true);
    thread::sleep(Duration::from_millis(400));
    network.cut(false);
    let outcome = measuring.join().map_err(|_| "it panicked")??;
    let mut failed = 0;
    for transport in [Transport::Ws, Transport::Sse] {
        let measured = found(&outcome, transport)?;
        assert_eq!((due(&measured.ack), due(&measured.propagation)), (150, 150), "{transport}");
        assert_eq!(measured.error, None, "{transport} came back");
        assert!(measured.ack.count >= 60, "{transport}: {}", measured.ack.count);
        failed += measured.ack.failed;
    }
    assert!(failed > 0, "something was cut");
    Ok(())
}

#[test]
fn each_kind_of_wrong_host_has_its_error_and_the_right_one_is_measured() -> Done {
    let _alone = alone();
    let (open, closed) =
        (Yonder::up(&[])?, Yonder::up(&["--auth-key", "a-key-of-at-least-thirty-two-bytes!!"])?);
    let other = something_else()?;
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let servers = [
        open.url(),
        format!("http://{nobody}"),
        "no url at all?token=s3cret".to_owned(),
        format!("http://ann:s3cret@{other}/?token=s3cret"),
        format!("https://{}", open.address),
        format!("{}/?token=s3cret", closed.url()),
        format!("http://{}", silent.local_addr()?),
        "http://no-such-host.invalid".to_owned(),
    ];
    let servers = servers.map(|url| Server { url, token: None }).to_vec();
    let all =
        Plan { servers, duration: Duration::from_millis(500), timeout: Duration::from_secs(1), ..plan("") };
    let began = Instant::now();
    let outcome = run(&all)?;
    assert!(began.elapsed() < Duration::from_secs(20));
    let kinds: Vec<_> = outcome
        .hosts
        .iter()
        .map(|host| host.error.as_ref().map_or("", |error| error.kind.as_str()))
        .collect();
    let (last, others) = kinds.split_last().ok_or("no host")?;
    assert_eq!(others, ["", "refused", "url", "not-yonder", "tls", "", "timeout"], "{:#?}", outcome.hosts);
    // Where there is no resolver at all it says so late.
    assert!(["lookup", "timeout"].contains(last), "{last}");
    assert_eq!(found(&outcome, Transport::Ws)?.ack.count, 25);
    let refused =
        outcome.hosts.get(5).and_then(|host| host.transports.get(&Transport::Ws)).ok_or("no host")?;
    let problem = refused.error.as_ref().ok_or("a wrong token opened it")?;
    assert_eq!((problem.kind.as_str(), refused.ack.count), ("unauthorized", 0), "{problem:?}");
    assert!(!serde_json::to_string(&outcome)?.contains("s3cret"));
    let urls: BTreeSet<_> = outcome.hosts.iter().map(|host| &host.url).collect();
    assert_eq!(urls.len(), 8);
    Ok(())
}

/// A server that says hello to everyone, until the process ends.
fn something_else() -> Done<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            // Whoever asks may leave.
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer));
        }
    });
    Ok(address)
}
