//! The project's commands: `cargo xtask test`, `check`, `fuzz`, `sim`, `build`, `up` and `bench`.
//!
//! They set up what they need by themselves ([`tools`]), in a folder outside the clone, and write nothing into the
//! clone but `target/` and links called `node_modules`.

mod bench;
mod check;
mod cloudflare;
mod fastly;
mod fuzz;
mod pushpin;
mod run;
mod sim;
mod spin;
mod test;
mod tools;
mod up;
mod wasm;
mod wasm_opt;

use lexopt::prelude::{Long, Short, Value, ValueExt as _};
use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "\
The commands of yonder's clone.

cargo xtask test [--only STEP]...              Set up what the tests need and run them all, or only these steps:
                                               rust, wasm, sim, page, provider, interop,
                                               openapi, grip, spin, cloudflare, workerd
cargo xtask check                              Formatting, lints and documentation, without running anything
cargo xtask fuzz [TARGET]... [--seconds N]      Fuzz the decoders, each for 60 seconds if not said otherwise
cargo xtask sim [ARG]...                       Play clients, instances and stores from seeds; try --help
cargo xtask build cloudflare|fastly|spin       Build the Worker into targets/cloudflare/build, the module for
                                               Fastly, or the component for Spin
cargo xtask up native [--port P] [--data DIR]  Build and run a server; prints `ready URL` once it serves
cargo xtask up cloudflare [--port P] [--data DIR] [--var NAME=VALUE]... [--prebuilt]
                                               The same for the Worker, in workerd; a variable may also be given
                                               as an option: --sse-seconds 5 is --var YONDER_SSE_SECONDS=5.
                                               --prebuilt runs what was built before, as it is
cargo xtask up fastly [--port P] [--data DIR] [--no-fanout] [--var NAME=VALUE]... [--prebuilt]
                      [--control PORT] [--publisher URL] [--faulty|--echo]
                                               The same for the module for Fastly Compute, in Viceroy, with Pushpin
                                               as Fanout; what it keeps ends with it, DIR has its configuration only;
                                               --faulty: its store counts, and fails when a request says so;
                                               --echo: a service that only relays
cargo xtask up spin [--port P] [--data DIR] [--grip] [--var NAME=VALUE]... [--host WORD]... [--prebuilt]
                                               The same for the Spin component, in a host as Spin's; --grip puts
                                               Pushpin in front of it, for WebSockets; --host gives the host a
                                               word: --host=--max-instance-reuse-count=1
cargo xtask up pushpin [--port P] [--control P] [--backend P] --key KEY [--issuer ISS] [--route NAME]
                                               A GRIP proxy before a host: clients connect to --port, the host
                                               serves at --backend and publishes at --control; --key signs Grip-Sig;
                                               by --route the host hands requests over
cargo xtask up all [--port P] [--NAME-port P]... [--data DIR] [--var NAME=VALUE]... [--prebuilt] [--debug]
                                               The four hosts side by side (spin with --grip), on the ports 8080, 8787,
                                               3000 and 7676, or on four from P on; prints `ready URL NAME` for each
                                               and `ready all` at last. The native server is a release build, or as
                                               tests have it by --debug
cargo xtask bench native|store|transports|cloudflare|spin|fastly|latency [ARG]...
                                               Measure; the arguments go to yonder-bench, try --help, or for
                                               transports and fastly to tests/interop/latency.mjs, for cloudflare
                                               and spin to bench.mjs in tests/bench/cloudflare and tests/bench/spin,
                                               and for latency they are DURATION and RATE

What is downloaded is kept in $YONDER_CACHE, by default yonder in the user's cache folder.
$CHROMIUM and $NGINX name these for the tests; by default they are found, or installed where apt-get can.";

/// What is asked for.
enum Command {
    Help,
    Test { only: Vec<test::Name> },
    Check,
    Fuzz(fuzz::Fuzz),
    Sim { args: Vec<OsString> },
    Build(Built),
    UpAll(up::all::All),
    UpNative(up::Native),
    UpCloudflare(up::Cloudflare),
    UpFastly(fastly::Service),
    UpSpin(up::Spin),
    UpPushpin(pushpin::Pushpin),
    Bench { name: bench::Name, args: Vec<OsString> },
}

/// What is built for a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Built {
    Cloudflare,
    Fastly,
    Spin,
}

fn main() -> ExitCode {
    let command = match parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match command {
        Command::Help => {
            println!("{USAGE}");
            Ok(())
        }
        Command::Test { only } => test::run(&only),
        Command::Check => check::run(),
        Command::Fuzz(fuzz) => fuzz::run(&fuzz),
        Command::Sim { args } => sim::run(&args),
        Command::Build(Built::Cloudflare) => cloudflare::build(&run::Output::Shown),
        Command::Build(Built::Fastly) => fastly::build(&run::Output::Shown),
        Command::Build(Built::Spin) => spin::build(&run::Output::Shown),
        Command::UpAll(all) => up::all::up(&all),
        Command::UpNative(native) => up::native(&native),
        Command::UpCloudflare(worker) => up::cloudflare(&worker),
        Command::UpFastly(service) => fastly::up(&service),
        Command::UpSpin(app) => up::spin(&app),
        Command::UpPushpin(pushpin) => pushpin::run(&pushpin, &run::Output::Shown),
        Command::Bench { name, args } => bench::run(name, &args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let command = match args.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Command::Help),
        Some(Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected()),
    };
    let mut command = match command.as_str() {
        "help" => Command::Help,
        "test" => Command::Test { only: Vec::new() },
        "check" => Command::Check,
        "fuzz" => Command::Fuzz(fuzz::Fuzz::default()),
        "sim" => return Ok(Command::Sim { args: args.raw_args()?.collect() }),
        "build" => match args.value()?.string()?.as_str() {
            "cloudflare" => Command::Build(Built::Cloudflare),
            "fastly" => Command::Build(Built::Fastly),
            "spin" => Command::Build(Built::Spin),
            other => return Err(format!("{other} is not built here; cloudflare, fastly and spin are").into()),
        },
        "up" => match args.value()?.string()?.as_str() {
            "all" => Command::UpAll(up::all::All::default()),
            "native" => Command::UpNative(up::Native::default()),
            "cloudflare" => Command::UpCloudflare(up::Cloudflare::default()),
            "fastly" => Command::UpFastly(fastly::Service::default()),
            "spin" => Command::UpSpin(up::Spin::default()),
            "pushpin" => Command::UpPushpin(pushpin::Pushpin::default()),
            other => {
                return Err(format!(
                    "there is no host {other}; there are native, cloudflare, fastly, spin and pushpin, and all"
                )
                .into());
            }
        },
        "bench" => {
            let name = args.value()?.parse()?;
            return Ok(Command::Bench { name, args: args.raw_args()?.collect() });
        }
        other => return Err(format!("there is no command {other}").into()),
    };
    while let Some(arg) = args.next()? {
        match (&mut command, arg) {
            (_, Short('h') | Long("help")) => return Ok(Command::Help),
            (Command::Test { only }, Long("only")) => only.push(args.value()?.parse()?),
            (Command::Fuzz(fuzz), Long("seconds")) => fuzz.seconds = args.value()?.parse()?,
            (Command::Fuzz(fuzz), Value(target)) => fuzz.targets.push(target.string()?),
            (Command::UpAll(all), Long("port")) => all.set_ports(args.value()?.parse()?)?,
            (Command::UpAll(all), Long("data")) => all.data = args.value()?.into(),
            (Command::UpAll(all), Long("prebuilt")) => all.prebuilt = true,
            (Command::UpAll(all), Long("debug")) => all.debug = true,
            (Command::UpAll(all), Long("var")) => all.vars.push(args.value()?.parse()?),
            (Command::UpAll(all), Long(option)) if let Some(host) = up::all::of_port(option) => {
                all.set_port(host, args.value()?.parse()?);
            }
            (Command::UpNative(native), Long("port")) => native.port = Some(args.value()?.parse()?),
            (Command::UpNative(native), Long("data")) => native.data = Some(args.value()?.into()),
            (Command::UpCloudflare(worker), Long("port")) => worker.port = args.value()?.parse()?,
            (Command::UpCloudflare(worker), Long("data")) => worker.data = args.value()?.into(),
            (Command::UpCloudflare(worker), Long("prebuilt")) => worker.prebuilt = true,
            (Command::UpCloudflare(worker), Long("var")) => worker.vars.push(args.value()?.parse()?),
            (Command::UpCloudflare(worker), Long(option)) if let Some(name) = up::variable(option) => {
                let value = args.value()?.string()?;
                worker.vars.push(format!("{name}={value}"));
            }
            (Command::UpPushpin(pushpin), Long("port")) => pushpin.port = args.value()?.parse()?,
            (Command::UpPushpin(pushpin), Long("control")) => pushpin.control = args.value()?.parse()?,
            (Command::UpPushpin(pushpin), Long("backend")) => pushpin.backend = args.value()?.parse()?,
            (Command::UpPushpin(pushpin), Long("key")) => pushpin.key = args.value()?.string()?,
            (Command::UpPushpin(pushpin), Long("issuer")) => pushpin.issuer = args.value()?.string()?,
            (Command::UpPushpin(pushpin), Long("route")) => pushpin.route = Some(args.value()?.string()?),
            // What Fastly's command line looks for.
            (Command::Build(Built::Fastly), Long("bin")) => drop(args.value()?),
            (Command::UpFastly(service), Long("port")) => service.port = args.value()?.parse()?,
            (Command::UpFastly(service), Long("data")) => service.data = args.value()?.into(),
            (Command::UpFastly(service), Long("prebuilt")) => service.prebuilt = true,
            (Command::UpFastly(service), Long("faulty")) => service.module = fastly::Module::Faulty,
            (Command::UpFastly(service), Long("echo")) => service.module = fastly::Module::Echo,
            (Command::UpFastly(service), Long("no-fanout")) => service.fanout = false,
            (Command::UpFastly(service), Long("control")) => service.control = Some(args.value()?.parse()?),
            (Command::UpFastly(service), Long("publisher")) => {
                service.publisher = Some(args.value()?.parse()?)
            }
            (Command::UpFastly(service), Long("var")) => service.vars.push(args.value()?.parse()?),
            (Command::UpFastly(service), Long(option)) if let Some(name) = up::variable(option) => {
                let value = args.value()?.string()?;
                service.vars.push(format!("{name}={value}"));
            }
            (Command::UpSpin(app), Long("port")) => app.port = args.value()?.parse()?,
            (Command::UpSpin(app), Long("data")) => app.data = args.value()?.into(),
            (Command::UpSpin(app), Long("prebuilt")) => app.prebuilt = true,
            (Command::UpSpin(app), Long("var")) => app.vars.push(args.value()?.parse()?),
            (Command::UpSpin(app), Long("grip")) => app.grip = true,
            (Command::UpSpin(app), Long("host")) => app.host.push(args.value()?.parse()?),
            (Command::UpSpin(app), Long(option)) if let Some(name) = up::variable(option) => {
                let value = args.value()?.string()?;
                app.vars.push(format!("{name}={value}"));
            }
            (_, other) => return Err(other.unexpected()),
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, lexopt::Error> {
        parse(lexopt::Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn a_bench_gets_every_argument_behind_its_name() {
        let Ok(Command::Bench { name: bench::Name::Native, args }) = parsed("bench native --quick --help x")
        else {
            panic!("another command");
        };
        assert_eq!(args, ["--quick", "--help", "x"]);
    }

    #[test]
    fn a_test_run_can_be_narrowed_to_steps() {
        let Ok(Command::Test { only }) = parsed("test --only wasm --only=page") else {
            panic!("another command");
        };
        assert_eq!(only, [test::Name::Wasm, test::Name::Page]);
        assert!(parsed("test --only nothing").is_err());
    }

    #[test]
    fn a_fuzz_run_can_be_narrowed_to_targets() {
        let Ok(Command::Fuzz(fuzz)) = parsed("fuzz update --seconds 5 token") else {
            panic!("another command");
        };
        assert_eq!((fuzz.targets, fuzz.seconds), (vec!["update".to_owned(), "token".to_owned()], 5));
        assert!(parsed("fuzz --seconds x").is_err());
    }

    #[test]
    fn the_worker_takes_variables_and_the_options_of_the_native_server() {
        let Ok(Command::UpCloudflare(worker)) =
            parsed("up cloudflare --port 1 --var A=B --prebuilt --var=C=D=E --sse-seconds 5")
        else {
            panic!("another command");
        };
        assert_eq!((worker.port, worker.prebuilt), (1, true));
        assert_eq!(worker.vars, ["A=B", "C=D=E", "YONDER_SSE_SECONDS=5"]);
        assert!(parsed("up cloudflare --max-documents 5").is_err());
        assert!(parsed("up cloudflare --var").is_err());
    }

    #[test]
    fn a_value_can_be_of_several_lines() {
        let args = ["up", "cloudflare", "--var", "YONDER_AUTH_KEY=a\nb"];
        let Ok(Command::UpCloudflare(worker)) = parse(lexopt::Parser::from_args(args)) else {
            panic!("another command");
        };
        assert_eq!(worker.vars, ["YONDER_AUTH_KEY=a\nb"]);
    }

    #[test]
    fn the_ports_of_all_hosts_follow_each_other_or_are_given_one_by_one() {
        let ports = |line| match parsed(line) {
            Ok(Command::UpAll(all)) => all.ports,
            _ => panic!("another command"),
        };
        assert_eq!(ports("up all"), [8080, 8787, 3000, 7676]);
        assert_eq!(ports("up all --port 9000 --spin-port 1"), [9000, 9001, 1, 9003]);
        for line in ["up all --port 65533", "up all --mars-port 1", "up all --sse-seconds 5"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_option_of_another_command_is_refused() {
        assert!(parsed("check --port 1").is_err());
        assert!(parsed("up native --port 80000").is_err());
        assert!(parsed("up mars").is_err());
        assert!(parsed("up native --var A=B").is_err());
        assert!(parsed("build native").is_err());
        assert!(matches!(parsed("build spin"), Ok(Command::Build(Built::Spin))));
        assert!(parsed("check").is_ok());
    }
}
