//! The result: as text, as JSON, as a page.

mod html;
mod json;
mod text;

use super::find_rate::Search;
use super::latency::Latency;
use super::limit;
use super::noise::Noise;
use super::pace::Pace;
use super::plan::Plan;
use super::run::Outcome;
use super::slo::{Target, Verdict};
use crate::quantity::{Unit, grouped};

/// The shares that are shown, as they are called.
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

/// Everything there is to say.
pub(crate) struct Report<'a> {
    plan: &'a Plan,
    outcome: &'a Outcome,
    noise: Option<&'a Noise>,
    search: Option<&'a Search>,
    verdicts: Vec<Verdict>,
    /// Why the figures may be ours and not the server's.
    limits: Vec<String>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        outcome: &'a Outcome,
        noise: Option<&'a Noise>,
        targets: &[Target],
        search: Option<&'a Search>,
    ) -> Self {
        Self {
            plan,
            outcome,
            noise,
            search,
            verdicts: targets
                .iter()
                .map(|target| target.judge(&outcome.record))
                .collect(),
            limits: limit::reasons(plan, outcome, noise),
        }
    }

    /// 0 good, 1 failed, 3 a target missed, 4 (if it is asked for) not valid.
    pub(crate) fn exit_code(&self, strict: bool) -> u8 {
        if !self.outcome.record.counts.all_good() {
            1
        } else if strict && !self.limits.is_empty() {
            4
        } else if self.verdicts.iter().any(|verdict| !verdict.met) {
            3
        } else {
            0
        }
    }

    /// Distributions by name, and what each is.
    fn latencies(&self) -> Vec<(&'static str, &'static str, &Latency)> {
        let record = &self.outcome.record;
        let mut latencies = vec![("response", "from due to answered", &record.response)];
        if let Pace::Open(_) = self.plan.pace {
            latencies.push(("service", "from written to answered", &record.service));
            latencies.push((
                "send delay",
                "from due to written: this side's lateness",
                &record.send_delay,
            ));
        }
        if let Some(noise) = self.noise {
            latencies.push((
                "noise, echo",
                "this machine's own echo at rest",
                &noise.response,
            ));
            latencies.push((
                "noise, wake-up",
                "this side's lateness at rest",
                &noise.send_delay,
            ));
        }
        latencies
    }

    /// What was done, in one line.
    fn headline(&self) -> String {
        let plan = self.plan;
        let connections = plan.connections;
        let plural = if connections == 1 { "" } else { "s" };
        let pace = match plan.pace {
            Pace::Open(rate) => format!(
                "{} on a fixed schedule",
                Unit::PerSecond.show(per_second(rate))
            ),
            Pace::Closed { depth: 1 } => "each message after the answer to the last".to_owned(),
            Pace::Closed { depth } => format!("{} messages under way on each", grouped(depth)),
        };
        format!(
            "{}: {} connection{plural}, {pace}",
            plan.target,
            grouped(connections as u64)
        )
    }

    /// Answers in a second of the time for sending; `None` when there was none.
    fn answer_rate(&self) -> Option<f64> {
        self.rate_of(self.outcome.record.counts.answered_in_time)
    }

    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn rate_of(&self, count: u64) -> Option<f64> {
        let seconds = self.outcome.sending.as_secs_f64();
        (count > 0 && seconds > 0.0).then(|| count as f64 / seconds)
    }

    /// What became of the messages: names and numbers, the good ones first, then whatever went wrong.
    fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.outcome.record.counts;
        let wrong = [
            ("unanswered", counts.unanswered),
            ("lost", counts.lost),
            ("not sent", counts.not_sent),
            ("corrupt", counts.corrupt),
            ("duplicate", counts.duplicate),
            ("unexpected", counts.unexpected),
            ("reordered", counts.reordered),
            ("held back", counts.held),
        ];
        let always = [("sent", counts.sent), ("answered", counts.answered)];
        let wrong = wrong.into_iter().enumerate();
        // The first two are told in any case: a reader looks for them.
        let wrong = wrong.filter(|&(index, (_, count))| index < 2 || count > 0);
        always
            .into_iter()
            .chain(wrong.map(|(_, named)| named))
            .collect()
    }

    /// What a reader must know to read the figures right, one sentence each.
    fn remarks(&self) -> Vec<String> {
        let outcome = self.outcome;
        let counts = &outcome.record.counts;
        let mut remarks = Vec::new();
        if outcome.interrupted {
            remarks.push("interrupted: the figures are of the time before".to_owned());
        }
        if counts.sent + counts.not_sent == 0 {
            remarks.push(
                "no message was due in the time that counts: nothing was measured".to_owned(),
            );
        }
        if counts.connections_lost > 0 {
            let how = outcome.first_loss.as_deref().unwrap_or("unknown");
            remarks.push(format!(
                "{} of {} connections ended before the load did (the first: {how}); {} messages were lost on them or \
                 passed over",
                grouped(counts.connections_lost),
                grouped(self.plan.connections as u64),
                grouped(counts.lost),
            ));
        }
        if counts.answered == 0 && counts.sent > 0 {
            remarks.push("the server answered nothing: is it the right one, and does --frame or --reply fit its answers?".to_owned());
        }
        if counts.connections_silent > 0 && counts.answered > 0 {
            remarks.push(format!(
                "{} connections are open and never got an answer: the server may be at its limit of connections or of \
                 open files (this side has room for more)",
                grouped(counts.connections_silent)
            ));
        }
        let open = outcome.record.response.open();
        if open > 0 {
            remarks.push(format!(
                "{} messages without an answer are among the times at their age: ≥ says where they make a time the \
                 least that it can have been",
                grouped(open)
            ));
        }
        if counts.held > 0 {
            remarks.push(format!(
                "{} messages were written late because the server took no more; that is in its response times",
                grouped(counts.held)
            ));
        }
        if counts.coarse > 0 {
            remarks.push(format!(
                "{} messages share the time of an earlier one's writing, since too many were under way: their service \
                 times are upper bounds",
                grouped(counts.coarse)
            ));
        }
        if let Pace::Closed { .. } = self.plan.pace
            && counts.answered > 0
        {
            remarks.push(
                "without --rate a slow answer also delays the next message, so that few messages see a standstill; \
                 --rate shows what users would see"
                    .to_owned(),
            );
        }
        remarks
    }
}

/// A rate as a number of messages in a second.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn per_second(rate: crate::units::Rate) -> f64 {
    rate.count as f64 / rate.per.as_secs_f64()
}
