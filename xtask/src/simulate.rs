//! `cargo xtask simulate`: the engine's simulation for as long as one likes, or one case of it again.
//!
//! The simulation is a part of the engine's own tests, where it sees what users cannot; this builds them optimised, with
//! every assertion, and tells them by the environment what to run.

use crate::Outcome;
use crate::programs::{cargo, run};

/// An option with a value, and the variable that carries it.
const OPTIONS: [(&str, &str); 7] = [
    ("--seeds", "TRUNKLINE_SIMULATION_SEEDS"),
    ("--from", "TRUNKLINE_SIMULATION_FROM"),
    ("--minutes", "TRUNKLINE_SIMULATION_MINUTES"),
    ("--threads", "TRUNKLINE_SIMULATION_THREADS"),
    ("--seed", "TRUNKLINE_SIMULATION_SEED"),
    ("--trigger", "TRUNKLINE_SIMULATION_TRIGGER"),
    ("--case", "TRUNKLINE_SIMULATION_CASE"),
];

/// Without a limit a million seeds are run.
const SEEDS: &str = "1000000";

pub(crate) fn simulate(words: &[&str]) -> Outcome {
    let mut command = cargo();
    command.args([
        "test",
        "--profile",
        "simulation",
        "--package",
        "trunkline",
        "--lib",
        "simulation::runner::as_told_from_outside",
        "--",
        "--exact",
        "--ignored",
        "--nocapture",
    ]);
    for pair in words.chunks(2) {
        let [option, value] = pair else {
            return Err(format!("{} needs a value", pair[0]));
        };
        let known = OPTIONS.iter().find(|(name, _)| name == option);
        let (_, variable) = known.ok_or_else(|| format!("simulate has no option {option}"))?;
        command.env(variable, value);
    }
    let limited = ["--seeds", "--minutes"];
    if !words.iter().any(|word| limited.contains(word)) {
        command.env("TRUNKLINE_SIMULATION_SEEDS", SEEDS);
    }
    run(&mut command)
}
