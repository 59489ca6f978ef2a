//! How true it is what is measured. `cargo xtask bench latency`, with the arguments DURATION and RATE if they shall differ.
//!
//! First what measuring itself takes: a run against a server that does nothing but hand on what it gets, in a thread of
//! the same process. Then the same behind a network that holds what it carries, and knows for how long.

mod bare;
#[expect(dead_code, reason = "tests also cut connections")]
#[path = "../../../targets/native/tests/latency/network.rs"]
mod network;

use network::{Delay, Network, jitter};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use yonder_latency::result::{Outcome, Transport};
use yonder_latency::{Plan, Server, run, table};

/// Whoever opens it does so before that.
const STALL_AFTER: Duration = Duration::from_secs(3);
const STALL: Duration = Duration::from_secs(1);

/// What is done to what a client sends, and whether nothing moves for a while. All that is sent later on the same connection
/// waits, as it does with TCP.
const INJECTED: [(&str, Delay, bool); 4] = [
    ("100 ms", |_| Duration::from_millis(100), false),
    ("jitter, 20 ms on average, long tail", |number| jitter(number, JITTER), false),
    ("the same, and 2 % lost: 200 ms later", |number| jitter(number, JITTER) + lost(number), false),
    ("nothing, but for 1 s of it nothing moves", |_| Duration::ZERO, true),
];
const JITTER: Duration = Duration::from_millis(20);

fn lost(number: u32) -> Duration {
    Duration::from_millis(if number % 50 == 17 { 200 } else { 0 })
}

fn main() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let duration = args.next().map_or(Ok(Duration::from_secs(10)), |text| humantime::parse_duration(&text));
    let duration = duration.map_err(|error| error.to_string())?;
    let rate = args.next().map_or(Ok(50.0), |text| text.parse::<f64>()).map_err(|error| error.to_string())?;
    let server = bare::serve()?;
    let floor = measure(format!("http://{server}"), duration, rate, &Transport::ALL, 20)?;
    println!("{}", table::text(&floor));

    println!("{:<42} {:<12} {:>28}  {:>28}", "held on the way to the server", "", "held (ms)", "measured");
    let figures = ["p50", "p90", "p99", "max"].map(|name| format!("{name:>6}")).concat();
    println!("{:<42} {:<12} {figures:>28}  {figures:>28}", "", "");
    for (name, delay, stalls) in INJECTED {
        for transport in [Transport::Ws, Transport::Sse] {
            let network =
                Network::up(server, delay, |_| Duration::ZERO).map_err(|error| error.to_string())?;
            if stalls {
                network.stall(Instant::now() + STALL_AFTER, STALL);
            }
            let outcome = measure(network.url(), duration, rate, &[transport], 0)?;
            let measured = outcome.hosts.first().and_then(|host| host.transports.get(&transport));
            let measured = measured.ok_or("nothing was measured")?;
            let held = held(&network.held());
            for (metric, of) in [("ack", &measured.ack), ("propagation", &measured.propagation)] {
                let found = [of.p50, of.p90, of.p99, of.max].map(|ms| ms.unwrap_or(f64::NAN));
                let by = format!("{transport} {metric}");
                println!("{name:<42} {by:<16} {:>24}  {:>28}", line(held), line(found));
            }
        }
    }
    Ok(())
}

fn measure(
    url: String,
    duration: Duration,
    rate: f64,
    transports: &[Transport],
    fresh: u32,
) -> Result<Outcome, String> {
    let plan = Plan {
        servers: vec![Server { url, token: None }],
        duration,
        rate,
        warm_up: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        transports: transports.to_vec(),
        fresh,
        doc: None,
        same_deployment: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    Ok(runtime.block_on(run(&plan, &CancellationToken::new(), |_| {})))
}

/// Median, p90, p99 and longest, in milliseconds.
fn held(sorted: &[Duration]) -> [f64; 4] {
    [0.5, 0.9, 0.99, 1.0].map(|share| {
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |held| held.as_secs_f64() * 1000.0)
    })
}

fn line(figures: [f64; 4]) -> String {
    figures.map(|ms| format!("{ms:>7.1}")).concat()
}
