//! The result for programs. Times are nanoseconds; what was not measured is null.

use serde_json::{Value, json};

use super::{QUANTILES, Report, per_second};
use crate::load::latency::{Latency, Measured};
use crate::load::pace::Pace;

impl Report<'_> {
    /// The whole result, ending with a line feed.
    pub(crate) fn json(&self) -> String {
        format!("{:#}\n", self.value())
    }

    fn value(&self) -> Value {
        let (plan, outcome) = (self.plan, self.outcome);
        let counts = &outcome.record.counts;
        let latencies: serde_json::Map<_, _> = self
            .latencies()
            .into_iter()
            .map(|(name, _, latency)| {
                (
                    name.replace(", ", "_").replace([' ', '-'], "_"),
                    times(latency),
                )
            })
            .collect();
        let (rate, depth) = match plan.pace {
            Pace::Open(rate) => (Some(per_second(rate)), None),
            Pace::Closed { depth } => (None, Some(depth)),
        };
        json!({
            "target": plan.target,
            "connections": plan.connections,
            "threads": plan.threads,
            "rate_per_second": rate,
            "depth": depth,
            "message_bytes": plan.message_bytes,
            "latency": latencies,
            "messages": {
                "sent": counts.sent,
                "answered": counts.answered,
                "answered_in_time": counts.answered_in_time,
                "unanswered": counts.unanswered,
                "lost": counts.lost,
                "not_sent": counts.not_sent,
                "held_back": counts.held,
                "duplicate": counts.duplicate,
                "reordered": counts.reordered,
                "corrupt": counts.corrupt,
                "unexpected": counts.unexpected,
                "coarse_service_times": counts.coarse,
            },
            "connections_lost": counts.connections_lost,
            "connections_silent": counts.connections_silent,
            "first_loss": outcome.first_loss,
            "answers_per_second": self.answer_rate(),
            "sending_seconds": outcome.sending.as_secs_f64(),
            "connecting_seconds": outcome.connecting.as_secs_f64(),
            "bytes_out": outcome.bytes_out,
            "bytes_in": outcome.bytes_in,
            "client": {
                "busy": outcome.efforts.iter().map(|effort| json!({
                    "wall_seconds": effort.wall.as_secs_f64(),
                    "cpu_seconds": effort.cpu.as_secs_f64(),
                    "kept_waiting_seconds": effort.kept_waiting.map(|waited| waited.as_secs_f64()),
                })).collect::<Vec<_>>(),
                "was_the_limit": !self.limits.is_empty(),
                "why": self.limits,
            },
            "targets": self.verdicts.iter().map(|verdict| json!({
                "target": verdict.target,
                "found": verdict.found,
                "met": verdict.met,
            })).collect::<Vec<_>>(),
            "interrupted": outcome.interrupted,
            "notes": self.remarks(),
            "over_time": self.over_time(),
            "search": self.search.map(super::Search::json),
        })
    }

    fn over_time(&self) -> Value {
        let timeline = &self.outcome.record.timeline;
        let slots = timeline.slots().iter().map(|slot| {
            json!({
                "sent": slot.sent,
                "answered": slot.answered,
                "p50": slot.quantile(0.5),
                "p99": slot.quantile(0.99),
                "max": slot.quantile(1.0),
            })
        });
        json!({ "slot_nanoseconds": timeline.width(), "slots": slots.collect::<Vec<_>>() })
    }
}

fn times(latency: &Latency) -> Value {
    let mut times = serde_json::Map::new();
    times.insert("samples".to_owned(), latency.samples().into());
    times.insert("without_answer".to_owned(), latency.open().into());
    for (name, share) in QUANTILES {
        insert(&mut times, name, latency.quantile(share));
    }
    insert(&mut times, "max", latency.max());
    insert(&mut times, "mean", latency.mean());
    Value::Object(times)
}

/// Whether a time is only a lower bound stands beside it.
fn insert(times: &mut serde_json::Map<String, Value>, name: &str, measured: Option<Measured>) {
    times.insert(
        name.to_owned(),
        measured.map(|measured| measured.nanoseconds).into(),
    );
    if measured.is_some_and(|measured| measured.at_least) {
        times.insert(format!("{name}_at_least"), true.into());
    }
}
