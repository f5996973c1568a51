//! `cargo xtask test`: every test there is.

use std::env;

use crate::programs::{self, cargo, is_installed};
use crate::{Outcome, churn, tour};

/// The programs that tests talk to, compare with or run, and what is not tested without them.
const PEERS: [(&str, &str); 9] = [
    ("nc", "talking to netcat, and the README's tour, which does"),
    ("socat", "talking to socat"),
    ("ncat", "talking to ncat"),
    (
        "python3",
        "1, 100 and 10 000 Python sockets at once, and the comparison of the encodings with Python's",
    ),
    (
        "strace",
        "which system calls a turn of the selectors makes, and what the program does when they fail",
    ),
    ("gdb", "what clients that vanish leave behind"),
    ("ip", "networks that lose packets"),
    ("nft", "networks that lose packets"),
    ("chromium", "the page of `trunkline compare` in a browser"),
];

/// Told to the tests: a missing program is a failure. (They also look at `CI` by themselves.)
const NO_SKIP: &str = "TRUNKLINE_NO_SKIP";

/// Whether the environment asks for no skips.
pub(crate) fn strict_by_environment() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

/// Runs everything; `strict` makes a skip a failure.
pub(crate) fn run(strict: bool) -> Outcome {
    let skipped = report_skips(strict)?;
    let cargo_test = || {
        let mut command = cargo();
        command.arg("test");
        if strict {
            command.env(NO_SKIP, "1");
        }
        command
    };

    // Unit and integration tests, documentation tests, and the examples, each run against a real peer.
    programs::run(cargo_test().arg("--workspace"))?;

    // The binary as it is shipped, with the tests that are too heavy for an unoptimised one.
    programs::run(
        cargo_test()
            .args(["--release", "--package", "trunkline-cli", "--test", "peers"])
            .args(["--", "--include-ignored"]),
    )?;
    // Clients that vanish in every way, for a glimpse of what `cargo xtask churn` does for ten minutes.
    if is_installed("gdb") {
        churn::run(&["--minutes", "0.05", "--service", "echo", "--service", "ack"])?;
    }
    if is_installed("nc") {
        tour::run(&programs::build_trunkline()?)?;
    }

    match skipped {
        0 => eprintln!("everything passed, nothing was skipped"),
        _ => eprintln!(
            "everything that ran passed; skipped for want of a program: {skipped} (see above)"
        ),
    }
    Ok(())
}

/// Says what cannot be tested here and why. Counts the missing programs.
fn report_skips(strict: bool) -> Result<usize, String> {
    let missing: Vec<_> = PEERS
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .collect();
    for (program, matter) in &missing {
        eprintln!("skipped: {matter}: `{program}` is not installed");
    }
    if strict && !missing.is_empty() {
        return Err(
            "a skip counts as a failure here: install what is missing (.ci/run does it)".into(),
        );
    }
    Ok(missing.len())
}
