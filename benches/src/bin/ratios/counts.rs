//! What can be counted: instructions in user space and system calls.
//!
//! The program starts itself under `valgrind` and `strace`, once for few turns and once for many; the slope between
//! the two is what one turn costs, without start and end. What the harness itself does in a turn (making a source
//! ready and reading it) is counted in the same way and taken off.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use trunkline_benches::{Contender, Flavour, Kind, Sources, Task, register_all, turn};

/// Tells a counted start from the first.
pub(crate) const COUNTED: &str = "--counted";

const REGISTERED: usize = 1_000;
const ACTIVE: usize = 1;
const TURNS_SHORT: u64 = 2_000;
const TURNS_LONG: u64 = 12_000;

pub(crate) fn table() {
    println!("### Counts\n");
    println!(
        "Per turn with n = {REGISTERED} registered (eventfd) and a = {ACTIVE} of them ready, without what the harness \
         does. `valgrind` does not know `epoll_pwait2`: whoever has nothing else to call is not counted.\n"
    );
    println!("| | instructions in user space | system calls |\n|---|---|---|");
    let harness = [Instrument::Valgrind, Instrument::Strace]
        .map(|tool| tool.per_turn(&Kind::Harness.to_string()));
    for kind in Kind::all() {
        eprintln!("counting, {kind}");
        let kind = kind.to_string();
        let tools = [Instrument::Valgrind, Instrument::Strace].iter();
        let cells =
            tools
                .zip(&harness)
                .map(|(tool, harness)| match (&tool.per_turn(&kind), harness) {
                    (Ok(own), Ok(harness)) => format!(" {} |", tool.show(own - harness)),
                    (Err(error), _) | (_, Err(error)) => {
                        eprintln!("not counted: {error}");
                        " not counted |".to_owned()
                    }
                });
        println!("| {kind} |{}", cells.collect::<String>());
    }
    println!();
}

/// What a counted start does: that many turns, and nothing else.
pub(crate) fn be_counted(contender: &str, turns: &str) -> io::Result<()> {
    let turns = turns.parse().map_err(io::Error::other)?;
    let sources = Sources::open(Flavour::Counter, REGISTERED)?;
    let kind = Kind::all()
        .into_iter()
        .chain([Kind::Harness])
        .find(|kind| kind.to_string() == contender)
        .ok_or_else(|| io::Error::other(format!("nobody is called {contender:?}")))?;
    kind.run(Turns {
        sources: &sources,
        turns,
    })
}

struct Turns<'a> {
    sources: &'a Sources,
    turns: u64,
}

impl<'a> Task<'a> for Turns<'a> {
    type Output = ();

    fn run(self, mut contender: impl Contender<'a>) -> io::Result<()> {
        register_all(&mut contender, self.sources)?;
        let mut position = 0;
        (0..self.turns).try_for_each(|_| turn(&mut contender, self.sources, ACTIVE, &mut position))
    }
}

#[derive(Clone, Copy)]
enum Instrument {
    Valgrind,
    Strace,
}

impl Instrument {
    fn per_turn(self, contender: &str) -> io::Result<f64> {
        let short = self.count(contender, TURNS_SHORT)?;
        let long = self.count(contender, TURNS_LONG)?;
        Ok((long as f64 - short as f64) / (TURNS_LONG - TURNS_SHORT) as f64)
    }

    fn show(self, count: f64) -> String {
        match self {
            Instrument::Valgrind => format!("{count:.0}"),
            Instrument::Strace => format!("{count:.2}"),
        }
    }

    fn count(self, contender: &str, turns: u64) -> io::Result<u64> {
        let record = Record::new();
        let mut command = match self {
            Instrument::Valgrind => {
                let mut valgrind = Command::new("valgrind");
                valgrind.args(["--tool=callgrind", "--log-file=/dev/null"]);
                valgrind.arg(format!("--callgrind-out-file={}", record.0.display()));
                valgrind
            }
            Instrument::Strace => {
                let mut strace = Command::new("strace");
                strace.args(["-c", "-f", "-o"]).arg(&record.0);
                strace
            }
        };
        command.arg(std::env::current_exe()?);
        command.args([COUNTED, contender, &turns.to_string()]);
        let status = command.stdin(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("{command:?}: {status}")));
        }
        let text = fs::read_to_string(&record.0)?;
        let total = match self {
            Instrument::Valgrind => instructions(&text),
            Instrument::Strace => calls(&text),
        };
        total.ok_or_else(|| io::Error::other("the instrument wrote no total"))
    }
}

/// The total of a callgrind profile.
fn instructions(profile: &str) -> Option<u64> {
    let totals = profile
        .lines()
        .filter_map(|line| line.strip_prefix("totals: "));
    totals.map(|total| total.trim().parse::<u64>().ok()).sum()
}

/// The total of `strace -c`: the fourth word of the last line.
fn calls(table: &str) -> Option<u64> {
    let total = table.lines().rfind(|line| line.ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

/// A file for what an instrument writes, gone when this goes.
struct Record(PathBuf);

impl Record {
    fn new() -> Record {
        let name = format!("trunkline-ratios-{}", std::process::id());
        Record(std::env::temp_dir().join(name))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // It lies in a folder for temporary files: no harm if it stays.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found() {
        assert_eq!(
            instructions("events: Ir\ntotals: 40\n\ntotals: 2\n"),
            Some(42)
        );
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
 60.00    0.000006           1         4           read
100.00    0.000010           1         7         1 total
";
        assert_eq!(calls(table), Some(7));
        assert_eq!(calls("nothing"), None);
    }
}
