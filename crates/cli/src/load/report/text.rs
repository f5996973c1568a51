//! The result for a person at a terminal.

use std::fmt::Write;

use super::{QUANTILES, Report, per_second};
use crate::load::pace::Pace;
use crate::load::slo::shown;
use crate::quantity::{Unit, grouped};

/// The widest name of a row.
const NAME_WIDTH: usize = 15;
const CELL_WIDTH: usize = 11;

impl Report<'_> {
    /// The whole result, ending with a line feed.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Some(search) = self.search {
            text.push_str(&search.text());
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.headline());
        let _ = writeln!(text);
        self.latency_rows(&mut text);
        let _ = writeln!(text);
        for (name, value) in self.figures() {
            let _ = writeln!(text, "{name:NAME_WIDTH$} {value}");
        }
        for verdict in &self.verdicts {
            let met = if verdict.met { "met" } else { "MISSED" };
            let _ = writeln!(
                text,
                "{:NAME_WIDTH$} {met}: {}",
                verdict.target, verdict.found
            );
        }
        for remark in self.remarks() {
            let _ = writeln!(text, "note: {remark}");
        }
        for limit in &self.limits {
            let _ = writeln!(text, "this side was the limit: {limit}");
        }
        text
    }

    fn latency_rows(&self, text: &mut String) {
        let _ = write!(text, "{:NAME_WIDTH$}", "time");
        for name in QUANTILES
            .map(|(name, _)| name)
            .into_iter()
            .chain(["max", "mean"])
        {
            let _ = write!(text, "{name:>CELL_WIDTH$}");
        }
        let _ = writeln!(text);
        for (name, _, latency) in self.latencies() {
            let _ = write!(text, "{name:NAME_WIDTH$}");
            let quantiles = QUANTILES.map(|(_, share)| latency.quantile(share));
            for measured in quantiles.into_iter().chain([latency.max(), latency.mean()]) {
                let _ = write!(text, "{:>CELL_WIDTH$}", shown(measured));
            }
            let _ = writeln!(text);
        }
    }

    /// Names and figures besides the times.
    pub(super) fn figures(&self) -> Vec<(&'static str, String)> {
        let outcome = self.outcome;
        let counts: Vec<_> = self
            .counts()
            .into_iter()
            .map(|(name, count)| format!("{name} {}", grouped(count)))
            .collect();
        let mut rate = format!("answered {}", Unit::PerSecond.show_any(self.answer_rate()));
        if let Pace::Open(asked) = self.plan.pace {
            let _ = write!(rate, ", due {}", Unit::PerSecond.show(per_second(asked)));
        }
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let sizes =
            [outcome.bytes_out, outcome.bytes_in].map(|bytes| Unit::Bytes.show(bytes as f64));
        let time =
            |duration: std::time::Duration| Unit::Nanoseconds.show(duration.as_secs_f64() * 1e9);
        vec![
            ("messages", counts.join(", ")),
            ("rate", rate),
            (
                "sending",
                format!(
                    "{}, after {} of connecting",
                    time(outcome.sending),
                    time(outcome.connecting)
                ),
            ),
            ("bytes", format!("{} out, {} in", sizes[0], sizes[1])),
            ("this side", self.effort()),
        ]
    }

    /// What the load cost this side.
    fn effort(&self) -> String {
        let efforts = &self.outcome.efforts;
        let cpu: f64 = efforts.iter().map(|effort| effort.cpu.as_secs_f64()).sum();
        let busiest = efforts
            .iter()
            .map(crate::load::worker::Effort::busy)
            .fold(0.0, f64::max);
        let counts = &self.outcome.record.counts;
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let each = (counts.sent > 0).then(|| cpu * 1e9 / counts.sent as f64);
        let threads = efforts.len();
        format!(
            "{threads} thread{} busy for {} of the time, {} of processor time for each message",
            if threads == 1 {
                ""
            } else {
                "s, the busiest one"
            },
            Unit::Percent.show((busiest * 100.0).round()),
            Unit::Nanoseconds.show_any(each)
        )
    }
}
