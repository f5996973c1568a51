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
usage: ratios [--quick] [dispatch] [changes] [counts]

Prints the tables of docs/benchmarks.md, or those that are named, which takes some minutes; with --quick in a tenth of
the time and less exactly.
";

/// How often every contender has its turn.
const ROUNDS: usize = 21;
const ROUNDS_QUICK: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_known = |word: &&str| ["--quick", "dispatch", "changes", "counts"].contains(word);
    let outcome = match words[..] {
        [counts::COUNTED, contender, turns] => counts::be_counted(contender, turns),
        _ if words.iter().all(is_known) => {
            let before = words.len();
            words.retain(|word| *word != "--quick");
            let rounds = if words.len() == before {
                ROUNDS
            } else {
                ROUNDS_QUICK
            };
            tables(&words, rounds)
        }
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

/// The tables of these names, or all.
fn tables(names: &[&str], rounds: usize) -> io::Result<()> {
    let wanted = |name| names.is_empty() || names.contains(&name);
    println!("{}, {rounds} rounds.\n", machine::description());
    if wanted("dispatch") {
        for (flavour, sizes) in dispatch::PLAN {
            let room = raise_descriptor_limit(*flavour);
            dispatch::table(*flavour, sizes, room, rounds)?;
        }
    }
    if wanted("changes") {
        operations::table(raise_descriptor_limit(Flavour::Counter), rounds)?;
    }
    if wanted("counts") {
        counts::table();
    }
    Ok(())
}
