//! `--slo`: what must hold.

use super::latency::Measured;
use super::record::Record;
use crate::quantity::{NOTHING, Unit};
use crate::units;

/// One target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) what: What,
    /// Nanoseconds, or the share of messages (0 to 1) for errors.
    limit: f64,
    /// As it was typed.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum What {
    /// The response time that this share (0 to 1) of the messages does not exceed.
    Quantile(f64),
    Mean,
    Max,
    /// The share of messages that were not answered as they should have been.
    Errors,
}

/// What became of a target.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) target: String,
    pub(crate) found: String,
    pub(crate) met: bool,
}

/// All that must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Targets(pub(crate) Vec<Target>);

/// `p99=5ms,max=1s`
pub(crate) fn targets(text: &str) -> Result<Targets, String> {
    let targets: Result<_, _> = text.split(',').map(|part| target(part.trim())).collect();
    Ok(Targets(targets?))
}

fn target(text: &str) -> Result<Target, String> {
    const EXPECTED: &str =
        "expected targets such as p99=5ms, p99.9=20ms, mean=1ms, max=1s or errors=0.1%";
    let (name, limit) = text.split_once('=').ok_or_else(|| {
        let meant = text
            .split_once([':', '<'])
            .map(|(name, limit)| format!("; did you mean {name}={limit}?"));
        format!("{EXPECTED}{}", meant.unwrap_or_default())
    })?;
    let what = match name {
        "mean" => What::Mean,
        "max" => What::Max,
        "errors" => What::Errors,
        _ => {
            let percent = name
                .strip_prefix('p')
                .and_then(|percent| percent.parse::<f64>().ok());
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
            What::Quantile(percent.ok_or(EXPECTED)? / 100.0)
        }
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody's target has sixteen digits"
    )]
    let limit = if what == What::Errors {
        let percent = limit
            .strip_suffix('%')
            .and_then(|percent| percent.parse::<f64>().ok());
        percent
            .filter(|percent| (0.0..=100.0).contains(percent))
            .ok_or(EXPECTED)?
            / 100.0
    } else {
        units::duration(limit)?.as_nanos() as f64
    };
    Ok(Target {
        what,
        limit,
        text: text.to_owned(),
    })
}

impl Target {
    /// Holds it against what was measured. Where nothing was, it is missed.
    #[expect(clippy::cast_precision_loss, reason = "compared with what was typed")]
    pub(crate) fn judge(&self, record: &Record) -> Verdict {
        let latency = |measured: Option<Measured>| {
            let found = measured.map_or(NOTHING.to_owned(), |measured| shown(Some(measured)));
            (measured.map(|measured| measured.nanoseconds as f64), found)
        };
        let (value, found) = match self.what {
            What::Quantile(share) => latency(record.response.quantile(share)),
            What::Mean => latency(record.response.mean()),
            What::Max => latency(record.response.max()),
            What::Errors => {
                let messages = record.counts.sent + record.counts.not_sent;
                let share = (messages > 0).then(|| record.counts.errors() as f64 / messages as f64);
                (
                    share,
                    Unit::Percent.show_any(share.map(|share| share * 100.0)),
                )
            }
        };
        Verdict {
            target: self.text.clone(),
            found,
            met: value.is_some_and(|value| value <= self.limit),
        }
    }
}

/// A time, with "at least" where it is not known more closely.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn shown(measured: Option<Measured>) -> String {
    let Some(measured) = measured else {
        return NOTHING.to_owned();
    };
    let time = Unit::Nanoseconds.show(measured.nanoseconds as f64);
    if measured.at_least {
        format!("≥ {time}")
    } else {
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_understood_or_answered() {
        let Targets(parsed) = targets("p99=5ms, max=1s,errors=0.1%").unwrap();
        assert_eq!(parsed[0].what, What::Quantile(0.99));
        assert_eq!((parsed[0].limit, parsed[1].limit), (5e6, 1e9));
        assert!((parsed[2].limit - 0.001).abs() < 1e-12);
        assert!(
            targets("p99<5ms")
                .unwrap_err()
                .contains("did you mean p99=5ms?")
        );
        assert!(targets("p99=5").unwrap_err().contains("did you mean 5s?"));
        for wrong in [
            "",
            "p101=1s",
            "p=1s",
            "q99=1s",
            "errors=1",
            "errors=200%",
            "max=",
            "p99=5ms,",
        ] {
            assert!(targets(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_target_that_was_not_measured_is_missed() {
        let mut record = Record::new(None);
        let target = target("p50=1s").unwrap();
        let verdict = target.judge(&record);
        assert!(!verdict.met && verdict.found == NOTHING);
        record.response.record(1_000);
        assert!(target.judge(&record).met);
        record.response.record_open(2_000_000_000, 5);
        let verdict = target.judge(&record);
        assert!(!verdict.met && verdict.found.starts_with('≥'));
    }
}
