//! What is being measured, on one line of a terminal; nothing anywhere else.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use super::rounds::Budget;

/// As wide as any terminal is.
const WIDTH: usize = 79;
const BAR_WIDTH: usize = 20;

/// One line, written again and again.
pub(crate) struct Progress {
    shown: bool,
    start: Instant,
    /// What is at the beginning of the line.
    part: &'static str,
    round: usize,
    rounds: Option<usize>,
    steps: usize,
    step: usize,
}

impl Progress {
    /// Shown if standard error is a terminal.
    pub(crate) fn new() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
            ..Self::silent()
        }
    }

    /// Never shown.
    pub(crate) fn silent() -> Self {
        Self {
            shown: false,
            start: Instant::now(),
            part: "",
            round: 0,
            rounds: None,
            steps: 0,
            step: 0,
        }
    }

    pub(crate) fn begin_part(&mut self, part: &'static str) {
        self.part = part;
    }

    pub(crate) fn begin_round(&mut self, round: usize, steps: usize, budget: Budget) {
        self.round = round + 1;
        self.steps = steps;
        self.step = 0;
        self.rounds = match budget {
            Budget::Rounds(rounds) => Some(rounds),
            Budget::Until(_) => None,
        };
    }

    /// The next step of the round begins.
    pub(crate) fn step(&mut self, what: &str) {
        if self.shown {
            let line = self.line(what, self.start.elapsed().as_secs());
            // A terminal that is gone is no reason to stop measuring.
            let _ = write!(io::stderr().lock(), "\r\x1b[K{line}");
        }
        self.step += 1;
    }

    fn line(&self, what: &str, seconds: u64) -> String {
        let filled = BAR_WIDTH * self.step / self.steps.max(1);
        let bar = "█".repeat(filled) + &"░".repeat(BAR_WIDTH - filled);
        let of = self
            .rounds
            .map_or_else(String::new, |rounds| format!(" of {rounds}"));
        let line = format!(
            "{bar} {seconds:>3} s  {}, round {}{of}: {what}",
            self.part, self.round
        );
        line.chars().take(WIDTH).collect()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_measured_and_fits() {
        let mut progress = Progress::silent();
        progress.begin_part("models");
        progress.begin_round(1, 4, Budget::Rounds(3));
        progress.step("epoll");
        assert_eq!(
            progress.line("threads, 1 000 connections", 12),
            "█████░░░░░░░░░░░░░░░  12 s  models, round 2 of 3: threads, 1 000 connections"
        );
        assert!(progress.line(&"long ".repeat(50), 5).chars().count() <= WIDTH);
    }
}
