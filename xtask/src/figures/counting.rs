//! The instruments: `strace` counts system calls, `valgrind` counts instructions in user space.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::load::Load;
use super::{MESSAGES_LONG, MESSAGES_SHORT};
use crate::served::Served;

/// System calls by name.
type Calls = BTreeMap<String, u64>;

/// A kind of call that is rarer has nothing to do with messages: a thread woke, a timer was due.
const CALLS_PER_MESSAGE_MIN: f64 = 0.005;

/// Calls of each kind per message, most frequent first.
pub(crate) struct CallsPerMessage(Vec<(String, f64)>);

impl fmt::Display for CallsPerMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: f64 = self.0.iter().map(|(_, count)| count).sum();
        let kinds: Vec<_> = self
            .0
            .iter()
            .map(|(name, count)| format!("{name} {count:.2}"))
            .collect();
        write!(formatter, "{total:.2} ({})", kinds.join(", "))
    }
}

/// What `strace -c -f` counts between the short run and the long one.
pub(crate) fn system_calls_per_message(
    trunkline: &Path,
    load: Load,
) -> Result<CallsPerMessage, String> {
    let count = |messages| -> Result<Calls, String> {
        let table = Scratch::new("strace");
        let mut strace = Command::new("strace");
        strace
            .args(["-c", "-f", "-o"])
            .arg(&table.path)
            .arg(trunkline);
        serve(strace, load, messages)?;
        Ok(parse_calls(&table.read()?))
    };
    let short = count(MESSAGES_SHORT)?;
    let long = count(MESSAGES_LONG)?;
    let mut kinds: Vec<(String, f64)> = long
        .into_iter()
        .map(|(name, calls)| {
            let per_message = slope(short.get(&name).copied().unwrap_or(0), calls);
            (name, per_message)
        })
        .filter(|(_, per_message)| *per_message >= CALLS_PER_MESSAGE_MIN)
        .collect();
    kinds.sort_by(|one, other| other.1.total_cmp(&one.1));
    Ok(CallsPerMessage(kinds))
}

/// What callgrind counts between the short run and the long one.
pub(crate) fn instructions_per_message(trunkline: &Path, load: Load) -> Result<f64, String> {
    let count = |messages| -> Result<u64, String> {
        let profile = Scratch::new("callgrind");
        let log = Scratch::new("valgrind");
        let mut valgrind = Command::new("valgrind");
        valgrind
            .arg("--tool=callgrind")
            .arg(profile.option("--callgrind-out-file"));
        valgrind.arg(log.option("--log-file")).arg(trunkline);
        serve(valgrind, load, messages)?;
        parse_instructions(&profile.read()?).ok_or_else(|| "callgrind wrote no total".into())
    };
    Ok(slope(count(MESSAGES_SHORT)?, count(MESSAGES_LONG)?))
}

/// One run: the server under its instrument, `messages` echoed, the server stopped.
fn serve(instrument: Command, load: Load, messages: u64) -> Result<(), String> {
    let server = Served::start(instrument)?;
    load.drive(server.address(), messages)?;
    server.stop()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a bounded run are far below 2^52"
)]
fn slope(short: u64, long: u64) -> f64 {
    (long as f64 - short as f64) / (MESSAGES_LONG - MESSAGES_SHORT) as f64
}

/// Reads the table of `strace -c`: the fourth column counts, the last one names.
fn parse_calls(table: &str) -> Calls {
    let mut calls = Calls::new();
    for line in table.lines() {
        let columns: Vec<_> = line.split_whitespace().collect();
        if let (Some(Ok(count)), Some(&name)) = (
            columns.get(3).map(|count| count.parse::<u64>()),
            columns.last(),
        ) && name != "total"
        {
            *calls.entry(name.to_owned()).or_default() += count;
        }
    }
    calls
}

/// Adds up the totals of a callgrind profile (one part for each dump).
fn parse_instructions(profile: &str) -> Option<u64> {
    let totals = profile
        .lines()
        .filter_map(|line| line.strip_prefix("totals:"));
    totals.map(|total| total.trim().parse::<u64>().ok()).sum()
}

/// A file for an instrument to write, removed afterwards.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("trunkline-figures-{name}-{}", std::process::id()));
        Self { path }
    }

    fn option(&self, name: &str) -> String {
        format!("{name}={}", self.path.display())
    }

    fn read(&self) -> Result<String, String> {
        fs::read_to_string(&self.path)
            .map_err(|error| format!("cannot read {}: {error}", self.path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_strace_is_read_with_and_without_errors() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           1       600           epoll_wait
 40.00    0.000400           1       400         3 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           1      1000         3 total
";
        let expected = [("epoll_wait".to_owned(), 600), ("recvfrom".to_owned(), 400)];
        assert_eq!(parse_calls(table), Calls::from(expected));
    }

    #[test]
    fn the_totals_of_a_profile_are_added_up() {
        assert_eq!(
            parse_instructions("events: Ir\ntotals: 40\n\ntotals: 2\n"),
            Some(42)
        );
    }
}
