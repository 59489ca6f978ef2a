//! Benchmarks of yonder against its peers. Every figure is taken from all servers in the same run, in interleaved
//! rounds, so that what disturbs the machine disturbs all of them; the ratios are what to compare between runs.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod acked;
mod client;
mod join;
mod load;
mod memory;
mod native;
mod process;
mod protocol;
mod relay;
mod report;
mod server;
#[cfg(feature = "stores")]
mod store;
mod trace;
mod typing;

use clap::Parser;

#[derive(Parser)]
#[command(version, about)]
enum Command {
    /// The native server against y-sweet and y-websocket, as whole processes behind real sockets
    Native(native::Args),
    /// Embedded stores that the native server could keep its log in (`--full`, `--rounds N`, `--only ENGINE,…`,
    /// `--tests TEST,…`, `--dir DIR`)
    #[cfg(feature = "stores")]
    #[command(disable_help_flag = true)]
    Store {
        /// See above
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() {
    match Command::parse() {
        Command::Native(args) => native::run(&args),
        #[cfg(feature = "stores")]
        Command::Store { args } => {
            if let Err(error) = store::run(args.into_iter()) {
                eprintln!("{error}");
                std::process::exit(1);
            }
        }
    }
}
