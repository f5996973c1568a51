//! Whether this side was the limit: then the figures tell of us and not of the server.

use super::noise::Noise;
use super::pace::Pace;
use super::plan::Plan;
use super::run::Outcome;
use crate::quantity::{Unit, grouped};

/// A thread that is busy for more of the time than this has no room left.
const BUSY_MAX: f64 = 0.95;
/// Our own lateness up to this harms no figure that is read in milliseconds.
const LATE_NANOSECONDS: u64 = 1_000_000;
/// Beyond that it may be this share of what is reported.
const LATE_SHARE: u64 = 10;

/// Why the figures are ours and not the server's, or nothing.
pub(crate) fn reasons(plan: &Plan, outcome: &Outcome, noise: Option<&Noise>) -> Vec<String> {
    let mut reasons = Vec::new();
    let busiest = outcome
        .efforts
        .iter()
        .map(super::worker::Effort::busy)
        .fold(0.0, f64::max);
    if busiest > BUSY_MAX {
        reasons.push(format!(
            "a thread of this side was busy for {} of the time: more --threads, or another machine, may get more out of \
             the server",
            Unit::Percent.show((busiest * 100.0).floor())
        ));
    }
    if let Pace::Open(_) = plan.pace {
        reasons.extend(late(outcome, noise));
        let behind = outcome.record.counts.behind;
        if behind > 0 {
            reasons.push(format!(
                "{} messages were due and this side did not come to send them",
                grouped(behind)
            ));
        }
    }
    reasons
}

/// Late beyond what matters: a millisecond, a tenth of what is reported, and three times what it is at rest.
fn late(outcome: &Outcome, noise: Option<&Noise>) -> Option<String> {
    let late = outcome.record.send_delay.quantile(0.99)?.nanoseconds;
    let response = outcome.record.response.quantile(0.99)?.nanoseconds;
    if late <= LATE_NANOSECONDS || late <= response / LATE_SHARE {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let show = |nanoseconds: u64| Unit::Nanoseconds.show(nanoseconds as f64);
    let at_rest = noise.and_then(|noise| noise.send_delay.quantile(0.99));
    Some(format!(
        "this side sent late, by {} at the 99th percentile{}, which is much of the {} reported",
        show(late),
        at_rest.map_or(String::new(), |rest| format!(
            " (at rest {})",
            show(rest.nanoseconds)
        )),
        show(response)
    ))
}
