//! The result as a page with pictures.

use super::{QUANTILES, Report, per_second};
use crate::load::latency::Latency;
use crate::load::pace::Pace;
use crate::load::slo::shown;
use crate::load::timeline::Slot;
use crate::machine::Machine;
use crate::picture::{Axis, Chart, Page, Scale, Series, Table};
use crate::quantity::Unit;

/// Twelve for each nine: up to 99.99999 %.
const SPECTRUM_POINTS: u32 = 85;

impl Report<'_> {
    /// The whole page.
    pub(crate) fn html(&self) -> String {
        let mut page = Page::new(format!("trunkline load {}", self.plan.target));
        page.paragraph(&self.headline());
        for limit in &self.limits {
            page.warning(&format!("This side was the limit: {limit}"));
        }
        let missed = self.verdicts.iter().filter(|verdict| !verdict.met);
        for verdict in missed {
            page.warning(&format!(
                "Missed: {}, found {}",
                verdict.target, verdict.found
            ));
        }
        page.table(&self.table());
        page.facts(
            self.latencies()
                .into_iter()
                .map(|(name, what, _)| (name, what.to_owned())),
        );
        page.heading("Messages");
        page.facts(self.figures());
        for verdict in self.verdicts.iter().filter(|verdict| verdict.met) {
            page.paragraph(&format!("Met: {}, found {}", verdict.target, verdict.found));
        }
        for remark in self.remarks() {
            page.paragraph(&remark);
        }
        if let Some(search) = self.search {
            page.heading("The highest rate");
            page.table(&search.table());
        }
        page.figure(&self.spectrum());
        page.figure(&self.latency_over_time());
        page.figure(&self.rate_over_time());
        page.heading("How");
        page.facts(self.how());
        page.html()
    }

    fn table(&self) -> Table {
        let header = ["time"].into_iter().chain(QUANTILES.map(|(name, _)| name));
        let mut table = Table::new("Times", header.chain(["max", "mean"]));
        for (name, _, latency) in self.latencies() {
            let times = QUANTILES.map(|(_, share)| latency.quantile(share));
            let times = times
                .into_iter()
                .chain([latency.max(), latency.mean()])
                .map(shown);
            table.row([name.to_owned()].into_iter().chain(times));
        }
        table
    }

    fn spectrum(&self) -> Chart {
        let line =
            |name: &str, latency: &Latency| Series::line(name, latency.spectrum(SPECTRUM_POINTS));
        let mut chart = Chart::new(
            "Time by percentile",
            Axis::new("percentile", Unit::Percent, Scale::Nines),
            Axis::new("time", Unit::Nanoseconds, Scale::Log),
        )
        .describe(
            "How long the fastest so many percent of the messages took at most; to the right are the slow ones. What \
             lies near the grey noise floor is this machine's doing.",
        );
        for (name, _, latency) in self.latencies() {
            chart = match name.strip_prefix("noise, ") {
                Some(of) => chart.with(line(&format!("noise floor, {of}"), latency).muted()),
                None => chart.with(line(name, latency)),
            };
        }
        chart
    }

    fn latency_over_time(&self) -> Chart {
        let line = |name: &str, share: f64| {
            let time = |slot: &Slot| slot.quantile(share).map_or(f64::NAN, float);
            Series::line(name, self.over_time_by(time))
        };
        let floor = self.noise.and_then(|noise| noise.response.quantile(0.99));
        let chart = Chart::new(
            "Response time over time",
            time_axis(),
            Axis::new("response", Unit::Nanoseconds, Scale::Log),
        )
        .describe(
            "By when a message was due. Where a server stood still, the times fall from a peak.",
        )
        .with(line("longest", 1.0))
        .with(line("p99", 0.99))
        .with(line("p50", 0.5));
        match floor {
            Some(floor) => chart.with(
                Series::level("noise floor, p99 of the echo", float(floor.nanoseconds)).muted(),
            ),
            None => chart,
        }
    }

    fn rate_over_time(&self) -> Chart {
        let seconds = float(self.outcome.record.timeline.width()) / 1e9;
        // A stretch in which there was no time left to send would look like a fall.
        let until = self.outcome.sending.as_secs_f64() * 1e9;
        let line = |name: &str, count: fn(&Slot) -> u64| {
            let mut points = self.over_time_by(|slot| float(count(slot)) / seconds);
            points.retain(|&(middle, _)| middle <= until);
            Series::line(name, points)
        };
        let chart = Chart::new(
            "Messages over time",
            time_axis(),
            Axis::new("messages", Unit::PerSecond, Scale::Linear).including(0.0),
        )
        .describe("Messages sent and answers that came, by the time they did, as long as messages were sent.")
        .with(line("sent", |slot| slot.sent))
        .with(line("answered", |slot| slot.answered));
        match self.plan.pace {
            Pace::Open(rate) => chart.with(Series::level("due", per_second(rate)).muted()),
            Pace::Closed { .. } => chart,
        }
    }

    fn over_time_by(&self, value: impl Fn(&Slot) -> f64) -> Vec<(f64, f64)> {
        let timeline = &self.outcome.record.timeline;
        let width = float(timeline.width());
        let slots = timeline.slots().iter().zip(0_u32..);
        // In the middle of its stretch.
        slots
            .map(|(slot, index)| ((f64::from(index) + 0.5) * width, value(slot)))
            .collect()
    }

    fn how(&self) -> Vec<(&'static str, String)> {
        let (plan, machine) = (self.plan, Machine::here());
        let arguments = std::env::args().skip(1).map(|argument| quoted(&argument));
        let command: Vec<String> = ["trunkline".to_owned()]
            .into_iter()
            .chain(arguments)
            .collect();
        vec![
            ("command", command.join(" ")),
            (
                "message",
                format!(
                    "{} on its way",
                    Unit::Bytes.show(float(plan.message_bytes as u64))
                ),
            ),
            ("answers", format!("verified by {}", plan.verify.name())),
            (
                "machine",
                format!(
                    "{} × {}, {}",
                    machine.processors, machine.processor, machine.system
                ),
            ),
            ("date", machine.date),
            (
                "program",
                format!(
                    "trunkline {}{}",
                    machine.trunkline,
                    if machine.optimised {
                        ""
                    } else {
                        ", not optimised"
                    }
                ),
            ),
        ]
    }
}

fn time_axis() -> Axis {
    Axis::new(
        "time since the first message that counts",
        Unit::Nanoseconds,
        Scale::Linear,
    )
    .including(0.0)
}

/// As one would type it again.
fn quoted(argument: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+".contains(character);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[expect(clippy::cast_precision_loss, reason = "for a picture")]
fn float(number: u64) -> f64 {
    number as f64
}
