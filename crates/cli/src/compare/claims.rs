//! What the textbooks say about all this, and whether it holds here. Each verdict is a ratio of two figures of the same
//! round, with its range.

#![allow(
    clippy::cast_precision_loss,
    reason = "numbers of sources stay far below 2^52"
)]

use serde::Serialize;

use super::arguments::Part;
use super::findings::{Curves, Findings, Mechanisms, Models};
use super::samples::{Samples, Spread};
use super::served::Served;
use crate::quantity::{Unit, grouped};

/// Something that is said, and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Claim {
    pub(crate) part: Part,
    /// As it is said.
    pub(crate) said: String,
    /// What was measured, in words.
    pub(crate) figure: String,
    pub(crate) ratio: Option<Spread>,
    pub(crate) verdict: Verdict,
}

/// Whether a claim holds here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Holds,
    DoesNotHold,
    /// The rounds do not agree on which of the two is larger.
    WithinNoise,
    NotMeasured,
}

impl Verdict {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::WithinNoise => "no difference beyond noise",
            Self::NotMeasured => "not measured",
        }
    }
}

/// What a ratio has to be like.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// Larger than one, in every round.
    Larger,
    /// At least this, in the middle.
    AtLeast(f64),
    /// At most this, in the middle: hardly any difference.
    AtMost(f64),
}

impl Expected {
    fn judge(self, ratio: Spread) -> Verdict {
        let holds = match self {
            Self::Larger if ratio.is_within_noise() => return Verdict::WithinNoise,
            Self::Larger => ratio.low > 1.0,
            Self::AtLeast(least) => ratio.median >= least,
            Self::AtMost(most) => ratio.median <= most,
        };
        if holds {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }
    }
}

/// Compares one thing with another; the ratio is `None` where it was not measured.
fn claim(
    part: Part,
    said: impl Into<String>,
    figure: impl Into<String>,
    ratio: Option<Spread>,
    expected: Expected,
) -> Claim {
    let words = figure.into();
    let (figure, verdict) = match ratio {
        Some(ratio) => (
            format!("{words} {}", ratio.show(Unit::Ratio)),
            expected.judge(ratio),
        ),
        None => (words, Verdict::NotMeasured),
    };
    Claim {
        part,
        said: said.into(),
        figure,
        ratio,
        verdict,
    }
}

/// All claims that these findings say something about.
pub(crate) fn judge(findings: &Findings) -> Vec<Claim> {
    let mut claims = Vec::new();
    if let Some(mechanisms) = &findings.mechanisms {
        claims.extend(of_mechanisms(mechanisms));
    }
    if let Some(models) = &findings.models {
        claims.extend(of_models(models));
    }
    claims
}

/// How many times as much `mechanism` costs at the last place as at `first`.
fn growth(curves: &Curves, mechanism: &str, first: usize) -> Option<Spread> {
    let last = curves.samples(mechanism, curves.last())?;
    last.ratio(curves.samples(mechanism, first)?)
}

/// How many times as much one mechanism costs as another, at one place.
fn against(curves: &Curves, mechanism: &str, base: &str, place: usize) -> Option<Spread> {
    let own: &Samples = curves.samples(mechanism, place)?;
    own.ratio(curves.samples(base, place)?)
}

fn of_mechanisms(mechanisms: &Mechanisms) -> Vec<Claim> {
    let claim = |said: &str, figure: String, ratio, expected| {
        claim(Part::Mechanisms, said, figure, ratio, expected)
    };
    let one = &mechanisms.one_active;
    let all = &mechanisms.all_active;
    let some = &mechanisms.some_active;
    let high = &mechanisms.high_descriptors;
    let count = |number: usize| grouped(number as u64);
    let (few, many) = (count(one.over[0]), count(one.over[one.last()]));
    let (low, highest) = (count(high.over[0]), count(high.over[high.last()]));
    // A hundred of them, where there are so many: few enough for everybody.
    let hundred = all
        .over
        .iter()
        .position(|&n| n >= 100)
        .unwrap_or(all.last());
    let busy = count(all.over[hundred]);
    let grown = |curves: &Curves| curves.over[curves.last()] as f64 / curves.over[0] as f64;
    vec![
        claim(
            "select costs the more the higher the descriptors are",
            format!("10 sources, highest descriptor {highest} instead of {low}: select costs"),
            growth(high, "select", 0),
            Expected::Larger,
        ),
        claim(
            "… and poll does not",
            "the same, poll costs".to_owned(),
            growth(high, "poll", 0),
            Expected::AtMost(1.5),
        ),
        stops_at_1024(mechanisms),
        claim(
            "poll costs in proportion to the sources",
            format!("one active, {many} sources instead of {few}: poll costs"),
            growth(one, "poll", 0),
            Expected::AtLeast(grown(one).sqrt()),
        ),
        claim(
            "epoll does not: it costs in proportion to those that are ready",
            format!("one active, {many} sources instead of {few}: epoll costs"),
            growth(one, "epoll", 0),
            Expected::AtMost(2.0),
        ),
        claim(
            "… a hundred times less than poll, with thousands of sources",
            format!("{many} sources, one active: per event poll costs, beside epoll,"),
            against(one, "poll", "epoll", one.last()),
            Expected::AtLeast(100.0),
        ),
        claim(
            "… and those that are ready it does cost",
            format!("{many} sources, all active instead of one: a turn of epoll costs"),
            growth(some, "epoll", 0).map(|per_event| per_event.times(grown(some))),
            Expected::AtLeast(grown(some).sqrt()),
        ),
        claim(
            "poll is quicker than select",
            format!("{many} sources, one active: select costs, beside poll,"),
            against(one, "select", "poll", one.last()),
            Expected::Larger,
        ),
        claim(
            "… also with few sources that are all active",
            format!("{busy} sources, all active: select costs, beside poll,"),
            against(all, "select", "poll", hundred),
            Expected::Larger,
        ),
        claim(
            "epoll is always the quickest",
            format!("{busy} sources, all active: poll costs, beside epoll,"),
            against(all, "poll", "epoll", hundred),
            Expected::Larger,
        ),
    ]
}

/// The limit is the C library's table of descriptors, not the system call's.
fn stops_at_1024(mechanisms: &Mechanisms) -> Claim {
    const TABLE: usize = 1024;
    let high = &mechanisms.high_descriptors;
    let highest = high.over[high.last()];
    let served = high
        .samples("select", high.last())
        .is_some_and(|samples| samples.spread().is_some());
    let (figure, verdict) = if served && highest > TABLE {
        let highest = grouped(highest as u64);
        (
            format!(
                "select served descriptors up to {highest}: the limit is the C library's, not the system's"
            ),
            Verdict::DoesNotHold,
        )
    } else {
        ("no descriptor was as high".to_owned(), Verdict::NotMeasured)
    };
    Claim {
        part: Part::Mechanisms,
        said: "select stops at 1024 descriptors".to_owned(),
        figure,
        ratio: None,
        verdict,
    }
}

fn of_models(models: &Models) -> Vec<Claim> {
    // The largest number with which both were measured.
    let compared = |model: &str, base: &str, quantity: fn(&Served) -> f64| {
        let both = |connections: &usize| {
            let own = models.point(model, *connections)?.samples(quantity);
            let base = models.point(base, *connections)?.samples(quantity);
            Some((*connections, own.ratio(&base)?))
        };
        models.connections.iter().rev().find_map(both)
    };
    let mut claims = Vec::new();
    let mut add = |said: &str, model, base, what: &str, quantity, expected| {
        let found = compared(model, base, quantity);
        let with = found.map_or_else(String::new, |(connections, _)| {
            let plural = if connections == 1 { "" } else { "s" };
            format!("{} connection{plural}, ", grouped(connections as u64))
        });
        let figure = format!("{with}{what}: {model} takes, beside {base},");
        claims.push(claim(
            Part::Models,
            said,
            figure,
            found.map(|(_, ratio)| ratio),
            expected,
        ));
    };
    let larger = Expected::Larger;
    add(
        "a multiplexer beats a polling loop",
        "polling",
        "epoll",
        "one active, processor time per message",
        |served| served.one_active.cpu_ns_per_message,
        larger,
    );
    add(
        "… also when all clients talk at once",
        "polling",
        "epoll",
        "all active, processor time per message",
        |served| served.all_active.cpu_ns_per_message,
        larger,
    );
    add(
        "to wait for each client in turn delays them all",
        "timeouts",
        "epoll",
        "one active, time until the answer (median)",
        |served| served.one_active.latency_median_ns,
        larger,
    );
    for (model, said) in [
        ("threads", "a thread per connection takes more memory"),
        ("processes", "a process per connection takes more memory"),
    ] {
        add(
            said,
            model,
            "epoll",
            "memory per connection",
            |served| served.memory_bytes_per_connection,
            larger,
        );
        add(
            "… and more work to begin with",
            model,
            "epoll",
            "processor time per new connection",
            |served| served.connect_cpu_ns,
            larger,
        );
        add(
            "… and for every message, if one client talks",
            model,
            "epoll",
            "one active, processor time per message",
            |served| served.one_active.cpu_ns_per_message,
            larger,
        );
        add(
            "… and if all do",
            model,
            "epoll",
            "all active, processor time per message",
            |served| served.all_active.cpu_ns_per_message,
            larger,
        );
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(low: f64, median: f64, high: f64) -> Spread {
        Spread {
            low,
            median,
            high,
            rounds: 3,
        }
    }

    #[test]
    fn a_verdict_needs_rounds_that_agree() {
        let verdict = |ratio, expected| claim(Part::Models, "", "", Some(ratio), expected).verdict;
        let larger = Expected::Larger;
        assert_eq!(verdict(ratio(1.1, 1.2, 1.3), larger), Verdict::Holds);
        assert_eq!(verdict(ratio(0.7, 0.8, 0.9), larger), Verdict::DoesNotHold);
        assert_eq!(verdict(ratio(0.9, 1.2, 1.3), larger), Verdict::WithinNoise);
        let nothing = claim(Part::Models, "", "", None, larger);
        assert_eq!(nothing.verdict, Verdict::NotMeasured);
    }

    #[test]
    fn a_verdict_may_need_a_size() {
        let verdict = |median, expected| {
            claim(
                Part::Models,
                "",
                "",
                Some(ratio(median, median, median)),
                expected,
            )
            .verdict
        };
        assert_eq!(verdict(150.0, Expected::AtLeast(100.0)), Verdict::Holds);
        assert_eq!(
            verdict(99.0, Expected::AtLeast(100.0)),
            Verdict::DoesNotHold
        );
        assert_eq!(verdict(1.2, Expected::AtMost(1.5)), Verdict::Holds);
        assert_eq!(verdict(1.6, Expected::AtMost(1.5)), Verdict::DoesNotHold);
    }

    #[test]
    fn the_figure_says_the_ratio_with_its_range() {
        let claim = claim(
            Part::Models,
            "c",
            "poll costs, beside epoll,",
            Some(ratio(90.0, 100.0, 110.0)),
            Expected::Larger,
        );
        assert_eq!(claim.figure, "poll costs, beside epoll, 100 (90–110)×");
    }
}
