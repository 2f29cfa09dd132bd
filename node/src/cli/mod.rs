//! The command line of `comity`: what a sysadmin types, and what is printed.
//!
//! Every command but `serve`, `init`, `check`, `key`, `prove-segregation`, `simulate` and
//! `demo` turns into requests of [`crate::api`],
//! asked over the admin socket of a running node or, when none is running, of the directory
//! itself. Nothing in here knows more of a node than that.

mod args;
mod channel;
mod check;
mod client;
mod demo;
mod escape;
mod exit;
mod export;
mod failure;
mod file;
pub(crate) mod import;
mod init;
mod key;
mod logging;
mod message;
mod output;
mod peer;
mod segregation;
mod serve;
mod simulate;
mod status;
mod stop;
mod table;
pub(crate) mod time;
mod user;
mod words;
mod writer;

use rustix::process::{Resource, Rlimit, setrlimit};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::api::ApiError;
use args::{Arguments, Command};
use exit::Exit;
use output::Output;

/// How long the end of the process waits for what still runs in the background.
const FAREWELL: Duration = Duration::from_secs(2);

/// Parses the arguments of the process, does what they say and reports how it went.
pub fn run() -> ExitCode {
    forbid_core_dumps();
    let arguments = Arguments::parse();
    let output = Output::new(arguments.common.json);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return finish(&output, Err(failure::node("no_runtime", error))),
    };
    let outcome = runtime.block_on(dispatch(arguments, &output));
    runtime.shutdown_timeout(FAREWELL);
    finish(&output, outcome)
}

/// A core dump would hold the keys of the node in the clear. Children inherit the limit.
fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        eprintln!("core dumps cannot be switched off: {error}");
    }
}

async fn dispatch(arguments: Arguments, output: &Output) -> Result<Exit, ApiError> {
    let dir = arguments.common.directory();
    if !matches!(arguments.command, Command::Serve(_)) {
        logging::quietly();
    }
    match arguments.command {
        Command::Init(args) => init::run(&dir, args, output),
        Command::Serve(args) => serve::run(&dir, args).await,
        Command::Check => check::run(&dir, output),
        Command::Status => status::run(&dir, output).await,
        Command::Stop => stop::run(&dir, output).await,
        Command::Peer(command) => peer::run(&dir, command, output).await,
        Command::Channel(command) => channel::run(&dir, command, output).await,
        Command::Post(args) => message::post(&dir, args, output).await,
        Command::Edit(args) => message::edit(&dir, args, output).await,
        Command::Redact(args) => message::redact(&dir, args, output).await,
        Command::React(args) => message::react(&dir, args, output).await,
        Command::Pin(args) => message::pin(&dir, args, output).await,
        Command::Receipt(args) => message::receipt(&dir, args, output).await,
        Command::File(command) => file::run(&dir, command, output).await,
        Command::Read(args) => message::read(&dir, args, output).await,
        Command::Export(args) => export::run(&dir, args, output).await,
        Command::Import(args) => import::run(&dir, args, output).await,
        Command::Key(command) => key::run(&dir, command, output).await,
        Command::User(command) => user::run(&dir, command, output).await,
        Command::Writer(command) => writer::run(&dir, command, output).await,
        Command::ProveSegregation(args) => segregation::run(&dir, args, output).await,
        Command::Simulate(args) => simulate::run(args, output),
        Command::Demo(args) => demo::run(args, output).await,
    }
}

/// Writes out what is still buffered, reports a failure, and gives the exit code.
fn finish(output: &Output, outcome: Result<Exit, ApiError>) -> ExitCode {
    let outcome = outcome.and_then(|exit| output.flush().map(|()| exit));
    let exit = match outcome {
        Ok(exit) => exit,
        Err(error) => {
            // What was printed before the failure belongs before its report.
            let _ = output.flush();
            output.failure(&error);
            Exit::of(&error)
        }
    };
    exit.into()
}
