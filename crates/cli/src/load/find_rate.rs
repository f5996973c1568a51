//! `--find-rate`: the highest rate at which the targets hold.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::limit;
use super::live::Live;
use super::noise::Noise;
use super::pace::Pace;
use super::plan::Plan;
use super::report::per_second;
use super::run::{self, Outcome};
use super::slo::{Target, shown};
use crate::failure::Failure;
use crate::picture::Table;
use crate::quantity::Unit;
use crate::units::Rate;

/// Where to begin, unless it is said.
const FIRST: Rate = Rate {
    count: 1_000,
    per: Duration::from_secs(1),
};
/// How long an attempt takes, unless it is said.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(2);
/// The search ends when what holds and what does not are nearer than this.
const NEARNESS: f64 = 1.05;
/// Attempts at most: fifteen doublings from the first rate, and as many halvings between two.
const ATTEMPTS_MAX: usize = 30;

/// What was tried.
pub(crate) struct Search {
    attempts: Vec<Attempt>,
}

/// One rate and what came of it.
struct Attempt {
    rate: f64,
    p50: String,
    p99: String,
    answered: Option<f64>,
    /// Why not, or nothing.
    missed: Option<String>,
    /// It was this side that could not.
    by_this_side: bool,
}

/// Tries rates until the highest that holds is known to 5 %. Gives the plan and the outcome of that one, or of the lowest
/// one tried when none holds.
pub(crate) fn search(
    plan: &Plan,
    targets: &[Target],
    noise: Option<&Noise>,
    interrupted: &Arc<AtomicBool>,
) -> Result<(Search, Plan, Outcome), Failure> {
    let mut rate = match plan.pace {
        Pace::Open(rate) => rate,
        Pace::Closed { .. } => FIRST,
    };
    let mut search = Search {
        attempts: Vec::new(),
    };
    let mut holds: Option<(Plan, Outcome)> = None;
    let mut fails: Option<(Plan, Outcome)> = None;
    loop {
        let plan = Plan {
            pace: Pace::Open(rate),
            ..plan.clone()
        };
        let mut live = Live::new(format!("{}: ", Unit::PerSecond.show(per_second(rate))));
        let outcome = run::run(&plan, interrupted, &mut live)?;
        let attempt = Attempt::of(&plan, &outcome, targets, noise);
        let (held, by_this_side) = (attempt.missed.is_none(), attempt.by_this_side);
        search.attempts.push(attempt);
        if held {
            holds = Some((plan, outcome));
        } else {
            fails = Some((plan, outcome));
        }
        let known = |run: &Option<(Plan, Outcome)>| run.as_ref().map(|(plan, _)| rate_of(plan));
        let next = next_rate(known(&holds), known(&fails));
        // What this side cannot do says nothing of the server: more of it need not be tried, but less.
        let exhausted = by_this_side && next.is_some_and(|next| next > rate.count);
        let enough = search.attempts.len() == ATTEMPTS_MAX || interrupted.load(Ordering::Relaxed);
        match next {
            Some(next) if !exhausted && !enough => rate.count = next,
            _ => break,
        }
    }
    let (plan, outcome) = holds.or(fails).expect("one was tried");
    Ok((search, plan, outcome))
}

fn rate_of(plan: &Plan) -> u64 {
    match plan.pace {
        Pace::Open(rate) => rate.count,
        Pace::Closed { .. } => 0,
    }
}

/// Twice as much while all holds, half while nothing does, then between the two; `None` when they are near enough.
#[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "to 5 %")]
fn next_rate(holds: Option<u64>, fails: Option<u64>) -> Option<u64> {
    match (holds, fails) {
        (Some(holds), None) => holds.checked_mul(2),
        (None, Some(fails)) => (fails > 1).then_some(fails / 2),
        (Some(holds), Some(fails)) => {
            let middle = (holds as f64 * fails as f64).sqrt().round() as u64;
            let near = fails as f64 / holds as f64 <= NEARNESS;
            (!near && middle > holds && middle < fails).then_some(middle)
        }
        (None, None) => None,
    }
}

impl Attempt {
    fn of(plan: &Plan, outcome: &Outcome, targets: &[Target], noise: Option<&Noise>) -> Self {
        let record = &outcome.record;
        let limits = limit::reasons(plan, outcome, noise);
        let verdicts = targets.iter().map(|target| target.judge(record));
        let missed: Vec<_> = verdicts
            .filter(|verdict| !verdict.met)
            .map(|verdict| verdict.target)
            .collect();
        // Our own lateness is in every response: targets that hold all the same, hold.
        let missed = if record.counts.all_good() {
            (!missed.is_empty()).then(|| missed.join(", "))
        } else {
            Some("not everything was answered".to_owned())
        };
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let answered = record.counts.answered_in_time as f64 / outcome.sending.as_secs_f64();
        Self {
            rate: match plan.pace {
                Pace::Open(rate) => per_second(rate),
                Pace::Closed { .. } => f64::NAN,
            },
            p50: shown(record.response.quantile(0.5)),
            p99: shown(record.response.quantile(0.99)),
            answered: answered.is_finite().then_some(answered),
            by_this_side: missed.is_some() && !limits.is_empty(),
            missed,
        }
    }

    fn cells(&self) -> [String; 5] {
        [
            Unit::PerSecond.show(self.rate),
            Unit::PerSecond.show_any(self.answered),
            self.p50.clone(),
            self.p99.clone(),
            match &self.missed {
                None => "holds".to_owned(),
                Some(why) if self.by_this_side => format!("{why} (this side was the limit)"),
                Some(why) => why.clone(),
            },
        ]
    }
}

const HEADER: [&str; 5] = ["rate", "answered", "p50", "p99", "result"];

impl Search {
    /// The highest rate that held, in messages a second.
    fn best(&self) -> Option<f64> {
        let held = self
            .attempts
            .iter()
            .filter(|attempt| attempt.missed.is_none());
        held.map(|attempt| attempt.rate).max_by(f64::total_cmp)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let rows = self.attempts.iter().map(Attempt::cells);
        for row in [HEADER.map(str::to_owned)].into_iter().chain(rows) {
            let [rate, answered, p50, p99, result] = row;
            let _ = writeln!(text, "{rate:>12}{answered:>12}{p50:>12}{p99:>12}  {result}");
        }
        let _ = match self.best() {
            Some(rate) => writeln!(
                text,
                "highest rate that holds: {}",
                Unit::PerSecond.show(rate)
            ),
            None => writeln!(text, "no rate that was tried holds"),
        };
        text
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new("Rates that were tried, in this order", HEADER);
        for attempt in &self.attempts {
            table.row(attempt.cells());
        }
        table
    }

    pub(crate) fn json(&self) -> Value {
        let attempts = self.attempts.iter().map(|attempt| {
            json!({
                "rate_per_second": attempt.rate,
                "answers_per_second": attempt.answered,
                "holds": attempt.missed.is_none(),
                "why_not": attempt.missed,
                "client_was_the_limit": attempt.by_this_side,
            })
        });
        json!({ "highest_rate_per_second": self.best(), "attempts": attempts.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::next_rate;

    /// What a search finds when every rate up to this one holds.
    fn found(first: u64, limit: u64) -> (Option<u64>, usize) {
        let (mut holds, mut fails, mut rate) = (None, None, first);
        for attempts in 1.. {
            if rate <= limit {
                holds = Some(rate);
            } else {
                fails = Some(rate);
            }
            match next_rate(holds, fails) {
                Some(next) => rate = next,
                None => return (holds, attempts),
            }
        }
        unreachable!()
    }

    #[test]
    fn the_highest_rate_is_found_to_five_percent() {
        for limit in [1, 7, 900, 1_000, 12_345, 1_000_000] {
            let (found, attempts) = found(1_000, limit);
            let found = found.unwrap();
            assert!(
                found <= limit && limit * 100 <= found * 106,
                "{limit}: {found}"
            );
            assert!(attempts < 25, "{attempts}");
        }
        assert_eq!(found(1_000, 0).0, None);
    }
}
