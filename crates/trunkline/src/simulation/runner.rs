//! Runs seed after seed: for a time in the tests, for as long as one likes with `cargo xtask simulate`. A seed that fails
//! says how to see it again, and is made as small as it goes.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::case::Case;
use super::run::{Outcome, run};
use super::shrink::shrink;
use crate::network::Trigger;

/// How long the tests run seeds that are always the same, and seeds that each commit has anew.
const FIXED: Duration = Duration::from_secs(60);
const OF_COMMIT: Duration = Duration::from_secs(30);
/// Overrides both, in seconds.
const SECONDS: &str = "TRUNKLINE_SIMULATION_SECONDS";

// What `cargo xtask simulate` says.
const CASE: &str = "TRUNKLINE_SIMULATION_CASE";
const SEED: &str = "TRUNKLINE_SIMULATION_SEED";
const TRIGGER: &str = "TRUNKLINE_SIMULATION_TRIGGER";
const SEEDS: &str = "TRUNKLINE_SIMULATION_SEEDS";
const FROM: &str = "TRUNKLINE_SIMULATION_FROM";
const MINUTES: &str = "TRUNKLINE_SIMULATION_MINUTES";
const THREADS: &str = "TRUNKLINE_SIMULATION_THREADS";

const SHRINK: Duration = Duration::from_secs(30);
/// A long run goes on after a failure, up to so many.
const FAILURES_MAX: usize = 8;
/// One in so many seeds is run twice: both runs must be the same.
const TWICE: u64 = 16;

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let value = text.parse().ok();
    assert!(value.is_some(), "{name}={text} makes no sense");
    value
}

/// Whether a single case is looked at, so that it should say all it can.
pub(super) fn is_replay() -> bool {
    std::env::var_os(CASE).is_some() || std::env::var_os(SEED).is_some()
}

fn case_of(seed: u64) -> Case {
    let mut case = Case::from_seed(seed);
    match std::env::var(TRIGGER).as_deref() {
        Ok("edge") => case.trigger = Trigger::Edge,
        Ok("level") => case.trigger = Trigger::Level,
        _ => {}
    }
    case
}

/// The commit that is checked out, if git knows.
fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// What fails in the life of `seed`, if anything does; `Err` tells all about it.
fn try_seed(seed: u64) -> Result<(), String> {
    let case = case_of(seed);
    let mut outcome = run(&case);
    if seed.is_multiple_of(TWICE) && outcome.wrong.is_empty() && run(&case) != outcome {
        outcome
            .wrong
            .push("the same seed lives two different lives".into());
    }
    if outcome.wrong.is_empty() {
        return Ok(());
    }
    Err(describe(seed, &case, &outcome))
}

/// Everything that helps with a failure: what it is, how to see it again, and its smallest form.
fn describe(seed: u64, case: &Case, outcome: &Outcome) -> String {
    let (small, tries) = shrink(case, SHRINK, |case| !run(case).wrong.is_empty());
    let trigger = if case.trigger == Trigger::Edge {
        "edge"
    } else {
        "level"
    };
    let commit = commit().unwrap_or_else(|| "COMMIT".into());
    let mut text = format!("seed {seed} fails: {:#?}\n", outcome.wrong);
    let _ = writeln!(
        text,
        "see it again:  git checkout {commit} && cargo xtask simulate --seed {seed} --trigger {trigger}"
    );
    let _ = writeln!(
        text,
        "made smaller in {tries} tries, it fails with {:#?}",
        run(&small).wrong
    );
    let _ = writeln!(text, "see that:      cargo xtask simulate --case '{small}'");
    let _ = writeln!(
        text,
        "to keep it, put this into simulation/regressions.txt:\n# (what it was)\n{small}"
    );
    text
}

fn per_second(seeds: u64, elapsed: Duration) -> u64 {
    seeds * 1000 / (elapsed.as_millis() as u64).max(1)
}

/// Runs seeds from `first` on until the time is over, or until one fails.
fn run_for(time: Duration, first: u64, what: &str) {
    let time = variable(SECONDS).map_or(time, Duration::from_secs);
    let start = Instant::now();
    let mut seeds = 0;
    while start.elapsed() < time {
        if let Err(failure) = try_seed(first.wrapping_add(seeds)) {
            panic!("{failure}");
        }
        seeds += 1;
    }
    let per_second = per_second(seeds, start.elapsed());
    println!("{what}: {seeds} seeds from {first}, {per_second} a second");
}

#[test]
fn seeds_that_are_always_the_same() {
    run_for(FIXED, 0, "fixed");
}

#[test]
fn seeds_that_each_commit_has_anew() {
    let commit = commit().unwrap_or_default();
    // FNV-1a; the low seeds are the fixed ones'.
    let hash = commit
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    run_for(
        OF_COMMIT,
        hash >> 16 | 1 << 47,
        &format!("commit {commit:?}"),
    );
}

#[test]
fn what_once_failed_does_not_fail_again() {
    let lines = include_str!("regressions.txt").lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let case: Case = line
            .parse()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let outcome = run(&case);
        assert_eq!(outcome.wrong, Vec::<String>::new(), "{line}");
    }
}

/// What `cargo xtask simulate` runs: one case, one seed, or very many.
#[test]
#[ignore = "runs for as long as it is told to"]
fn as_told_from_outside() {
    if let Some(case) = variable::<Case>(CASE) {
        println!("{case:#?}");
        assert_eq!(run(&case).wrong, Vec::<String>::new());
        return;
    }
    if let Some(seed) = variable(SEED) {
        let case = case_of(seed);
        println!("{case:#?}\n{case}");
        assert_eq!(run(&case).wrong, Vec::<String>::new());
        return;
    }
    let failures = run_many(
        variable(FROM).unwrap_or(0),
        variable(SEEDS).unwrap_or(u64::MAX),
        variable::<u64>(MINUTES).map(|minutes| Duration::from_secs(60 * minutes)),
        variable(THREADS).unwrap_or(1),
    );
    assert!(
        failures.is_empty(),
        "{} seeds failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Runs `count` seeds from `from` on, or as many as the time allows; gives what failed.
fn run_many(from: u64, count: u64, time: Option<Duration>, threads: u64) -> Vec<String> {
    let start = Instant::now();
    let deadline = time.map(|time| start + time);
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let enough = || {
        deadline.is_some_and(|deadline| Instant::now() >= deadline)
            || failures
                .lock()
                .is_ok_and(|failures: std::sync::MutexGuard<'_, Vec<String>>| {
                    failures.len() >= FAILURES_MAX
                })
    };
    let report = |done: u64| {
        let elapsed = start.elapsed();
        let (seconds, per_second) = (elapsed.as_secs(), per_second(done, elapsed));
        println!("{done} seeds from {from} in {seconds} s, {per_second} a second");
    };
    let work = || {
        while !enough() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            if let Err(failure) = try_seed(from.wrapping_add(index)) {
                println!("{failure}");
                if let Ok(mut failures) = failures.lock() {
                    failures.push(failure);
                }
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(10_000) {
                report(done);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    report(done.into_inner());
    failures.into_inner().unwrap_or_default()
}
