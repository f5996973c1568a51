//! `cargo xtask figures`: what one message and one idle connection cost `trunkline serve echo`.
//!
//! Only counts are printed, no times: they are the same on a busy machine as on an idle one. Each cost per
//! message is the slope between a short run and a long one, so that starting and stopping do not count.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::programs::{build_trunkline, is_installed};
use crate::served::Served;

mod counting;
mod load;

use load::Load;

/// Tells the second start of ourselves from the first.
pub(crate) const LIMIT_RAISED: &str = "--limit-raised";

/// How many connections lie idle in the memory figure: the scenario `20k-connections`, with what a process that may have
/// 20 000 descriptors can hold.
const IDLE_CONNECTIONS: usize = 19_000;
/// What one of them may cost the server in user space.
const IDLE_BYTES_MAX: u64 = 300;
/// Descriptors that we need besides.
const DESCRIPTORS_SPARE: usize = 100;

/// The lengths of the two runs, in messages over all connections (whole batches).
const MESSAGES_SHORT: u64 = 1_920;
const MESSAGES_LONG: u64 = 6 * MESSAGES_SHORT;

/// Starts ourselves again with the soft limit on descriptors raised to the hard one: the standard library
/// cannot raise it, the shell can.
pub(crate) fn run_with_raised_limit() -> Outcome {
    let program = std::env::current_exe()
        .map_err(|error| format!("cannot find out where xtask lies: {error}"))?;
    let status = Command::new("sh")
        .args(["-c", "ulimit -S -n \"$(ulimit -H -n)\"; exec \"$@\"", "sh"])
        .arg(program)
        .args(["figures", LIMIT_RAISED])
        .status()
        .map_err(|error| format!("cannot run sh: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("the figures are incomplete".into())
    }
}

/// Measures and prints all figures.
pub(crate) fn run() -> Outcome {
    let trunkline = build_trunkline()?;
    println!(
        "trunkline serve echo --mechanism epoll, {}-byte messages, all deadlines armed; what the server needs",
        load::MESSAGE_BYTES
    );
    for load in [Load::PingPong, Load::Batches] {
        println!("\n{load}");
        if is_installed("strace") {
            let calls = counting::system_calls_per_message(&trunkline, load)?;
            println!("  system calls per message    {calls}");
        } else {
            println!("  system calls per message    skipped: `strace` is not installed");
        }
        if is_installed("valgrind") {
            let instructions = counting::instructions_per_message(&trunkline, load)?;
            println!("  instructions per message    {instructions:.0}");
        } else {
            println!("  instructions per message    skipped: `valgrind` is not installed");
        }
    }
    println!("\n{IDLE_CONNECTIONS} idle connections, memory in user space");
    match descriptors_max() {
        Some(limit) if limit < IDLE_CONNECTIONS + DESCRIPTORS_SPARE => {
            println!("  bytes per connection        skipped: the limit on descriptors is {limit}");
        }
        _ => idle_memory(&trunkline)?,
    }
    Ok(())
}

/// User-space memory per connection that has nothing to do: fresh, and after it was served once.
fn idle_memory(trunkline: &Path) -> Outcome {
    let server = Served::start(Command::new(trunkline))?;
    // One connection served and gone: what the program needs once is now there.
    load::hold(server.address(), 1)?.echo_over_each()?;
    let before = server.anonymous_memory()?;
    let mut held = load::hold(server.address(), IDLE_CONNECTIONS)?;
    let accepted = server.anonymous_memory()?;
    held.echo_over_each()?;
    let answered = server.anonymous_memory()?;
    drop(held);
    server.stop()?;
    let each = |after: u64| after.saturating_sub(before) / IDLE_CONNECTIONS as u64;
    println!(
        "  bytes per connection        {} when accepted, {} after one echo",
        each(accepted),
        each(answered)
    );
    if each(answered) > IDLE_BYTES_MAX {
        return Err(format!(
            "an idle connection may cost {IDLE_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}

/// The soft limit on descriptors of this process, where the system tells.
fn descriptors_max() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}
