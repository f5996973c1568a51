//! Every contender's cost as a multiple of a bare `epoll` loop's, all in one run.
//!
//! Times differ between machines and between minutes; ratios within one run hardly do. So the contenders take turns
//! (each a fraction of a second, in a new order every round), each round gives one ratio per contender, and what is
//! printed is the median of those, with the quartiles. What can be counted is counted: instructions in user space by
//! `valgrind`, system calls by `strace`.
#![forbid(unsafe_code)]
#![allow(clippy::cast_precision_loss)] // counts and nanoseconds stay far below 2^52

mod counts;
mod dispatch;
mod machine;
mod operations;
mod statistics;

use std::io;
use std::process::ExitCode;

use trunkline_benches::{Flavour, raise_descriptor_limit};

const USAGE: &str = "\
usage: ratios [--quick]

Prints the tables of docs/benchmarks.md, which takes some minutes; with --quick in a tenth of the time and less exactly.
";

/// How often every contender has its turn.
const ROUNDS: usize = 41;
const ROUNDS_QUICK: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => everything(ROUNDS),
        ["--quick"] => everything(ROUNDS_QUICK),
        [counts::COUNTED, contender, turns] => counts::be_counted(contender, turns),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn everything(rounds: usize) -> io::Result<()> {
    println!("{}, {rounds} rounds.\n", machine::description());
    for (flavour, sizes) in dispatch::PLAN {
        let room = raise_descriptor_limit(*flavour);
        dispatch::table(*flavour, sizes, room, rounds)?;
    }
    let room = raise_descriptor_limit(Flavour::Counter);
    operations::table(room, rounds)?;
    counts::table();
    Ok(())
}
