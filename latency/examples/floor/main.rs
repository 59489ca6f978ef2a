//! What the measuring itself takes: the same run against a server that does nothing but hand on what it gets, in a
//! thread of the same process. `cargo xtask bench latency`, with the arguments DURATION and RATE if they shall differ.

mod bare;

use std::time::Duration;
use tokio_util::sync::CancellationToken;
use yonder_latency::result::Transport;
use yonder_latency::{Plan, Server, run, table};

fn main() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let duration = args.next().map_or(Ok(Duration::from_secs(10)), |text| humantime::parse_duration(&text));
    let rate = args.next().map_or(Ok(50.0), |text| text.parse::<f64>());
    let plan = Plan {
        servers: vec![Server { url: format!("http://{}", bare::serve()?), token: None }],
        duration: duration.map_err(|error| error.to_string())?,
        rate: rate.map_err(|error| error.to_string())?,
        warm_up: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        transports: Transport::ALL.to_vec(),
        fresh: 20,
        doc: None,
        same_deployment: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(run(&plan, &CancellationToken::new(), |_| {}));
    print!("{}", table::text(&outcome));
    Ok(())
}
