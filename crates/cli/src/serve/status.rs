//! `--status`: one line on the terminal, drawn anew each second, fed by the counters of the loops.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use trunkline::Stats;

use super::running::Control;
use crate::failure::Failure;

const EVERY: Duration = Duration::from_secs(1);

/// To the beginning of the line, and what is behind it away (ECMA-48: EL).
const ANEW: &str = "\r\x1b[K";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Draws until the process ends. Where standard error is no terminal, nothing is drawn.
pub(super) fn draw(controls: Vec<Arc<dyn Control>>) -> Result<(), Failure> {
    if !stderr().is_terminal() {
        return Ok(());
    }
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let body = move || {
        let mut before = (Instant::now(), Stats::default());
        // Without the answer of every service the line stays as it is: a wrong number is worse than an old one.
        loop {
            thread::sleep(EVERY);
            let Some(stats) = sum(&controls) else {
                continue;
            };
            let now = Instant::now();
            let line = line(&stats, &before.1, now - before.0);
            before = (now, stats);
            let (dim, plain) = if colour { (DIM, PLAIN) } else { ("", "") };
            // Other lines begin with it away: they are whole, and this one comes again.
            let drawn = format!("{ANEW}{dim}{line}{plain}\r");
            if stderr().lock().write_all(drawn.as_bytes()).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("status".to_owned())
        .spawn(body)
        .map(drop)
        .map_err(|error| Failure::failed(format!("cannot draw the status line: {error}")))
}

fn sum(controls: &[Arc<dyn Control>]) -> Option<Stats> {
    let mut sum = Stats::default();
    for control in controls {
        sum.add(&control.stats()?);
    }
    Some(sum)
}

fn line(now: &Stats, before: &Stats, apart: Duration) -> String {
    let per_second = |now: u64, before: u64| {
        let nanoseconds = apart.as_nanos().max(1);
        let count = u128::from(now.saturating_sub(before)) * 1_000_000_000 / nanoseconds;
        short(u64::try_from(count).unwrap_or(u64::MAX))
    };
    let mut line = format!(
        "open {}, {} new/s, {} messages/s, {}B/s in, {}B/s out",
        now.open,
        per_second(now.accepted, before.accepted),
        per_second(now.frames_in, before.frames_in),
        per_second(now.bytes_in, before.bytes_in),
        per_second(now.bytes_out, before.bytes_out),
    );
    let dropped = now.dropped + now.dropped_oldest;
    if dropped > 0 {
        let _ = write!(line, ", {dropped} dropped");
    }
    if now.refused > 0 {
        let _ = write!(line, ", {} refused", now.refused);
    }
    // Of no sample nothing is known.
    match now.turn_times.quantile(0.99) {
        Some(time) => {
            let _ = write!(line, ", turns up to {time:.0?}");
        }
        None => line.push_str(", turns –"),
    }
    line
}

/// A number in at most four digits and a letter.
fn short(number: u64) -> String {
    let units = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match units.into_iter().find(|&(unit, _)| number >= 10 * unit) {
        Some((unit, name)) => format!("{}{name}", number / unit),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10k"),
            (9_999_999, "9999k"),
            (10_000_000, "10M"),
            (u64::MAX, "18446744073G"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn rates_are_over_the_time_that_has_passed() {
        let mut now = Stats::default();
        now.open = 3;
        now.accepted = 10;
        now.frames_in = 100_000;
        let text = line(&now, &Stats::default(), Duration::from_secs(2));
        assert_eq!(
            text,
            "open 3, 5 new/s, 50k messages/s, 0B/s in, 0B/s out, turns –"
        );
        now.dropped = 2;
        let text = line(&now, &now, Duration::from_secs(1));
        assert!(text.contains(" 0 new/s"), "{text}");
        assert!(text.contains(", 2 dropped"), "{text}");
    }
}
