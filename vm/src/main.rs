//! The first process of a virtual machine (`cargo xtask vm` makes it): it sets the machine up, runs one scenario, says
//! what came of it on the console, and switches the machine off.
//!
//! The kernel's command line names the scenario: `trunkline=1m-idle`, with `connections=1000000`, or
//! `trunkline=clock-step`; and the mechanism: `mechanism=epoll`. The program starts itself again for clients.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::process::ExitCode;

mod clock_step;
mod idle;
mod machine;

/// What `cargo xtask vm` looks for.
const GOOD: &str = "scenario passed";

/// What a scenario ends with.
type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(idle::CLIENT) {
        return match idle::be_client(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("client: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match machine::set_up().and_then(|()| run()) {
        Ok(()) => println!("{GOOD}"),
        Err(error) => println!("scenario failed: {error}"),
    }
    machine::switch_off();
    ExitCode::SUCCESS
}

fn run() -> Outcome {
    let wanted = machine::command_line("trunkline")?;
    let mechanism = machine::command_line("mechanism")?.parse()?;
    match wanted.as_str() {
        "1m-idle" => idle::run(mechanism, machine::command_line("connections")?.parse()?),
        "clock-step" => clock_step::run(mechanism),
        _ => Err(format!("no such scenario: {wanted}").into()),
    }
}
