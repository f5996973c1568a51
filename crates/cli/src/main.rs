//! `trunkline`: many connections on one thread, from the command line.
//!
//! Standard output is the result and standard error is everything else. Every error is one line that says what and
//! why, and a second that says what to do next. Exit codes: 0 good, 1 failed, 2 wrong usage, 3 target missed, 4 measurement
//! invalid.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use arguments::{Arguments, Command};

mod arguments;
mod chatter;
mod compare;
mod connect;
mod descriptors;
mod encoding;
mod ending;
mod failure;
mod framing;
mod load;
mod machine;
mod mechanism;
mod models;
mod picture;
mod quantity;
mod serve;
mod services;
mod suggest;
mod units;

fn main() -> ExitCode {
    let arguments = match Arguments::from_command_line() {
        Ok(arguments) => arguments,
        Err(exit_code) => return exit_code,
    };
    descriptors::raise_limit();
    let result = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Connect(arguments) => connect::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::EchoStandardInput { server } => models::processes::serve_standard_input(server),
    };
    result.unwrap_or_else(|failure| failure.report())
}
