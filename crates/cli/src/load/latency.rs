//! A distribution of times, in which those of messages that were never answered count at least at their age.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer times are counted as this.
const LONGEST: Duration = Duration::from_secs(4 * 3600);
/// Every time is kept to a thousandth of itself.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Times in nanoseconds. Takes some 280 KB, however many there are.
#[derive(Debug, Clone)]
pub(crate) struct Latency {
    histogram: Histogram<u64>,
    /// The youngest message that was never answered, by its age. Times from here on are known only to be at least so long.
    open_from: u64,
    open: u64,
}

/// A time that was measured, or the least that it can have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) nanoseconds: u64,
    pub(crate) at_least: bool,
}

impl Latency {
    pub(crate) fn new() -> Self {
        let longest = LONGEST.as_nanos() as u64;
        let histogram = Histogram::new_with_bounds(1, longest, SIGNIFICANT_DIGITS);
        Self {
            histogram: histogram.expect("the bounds are in order and the digits few"),
            open_from: u64::MAX,
            open: 0,
        }
    }

    /// Something took so long.
    #[inline]
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.histogram.saturating_record(nanoseconds);
    }

    /// So many messages have waited so long, and nobody knows how long they would have.
    pub(crate) fn record_open(&mut self, age: u64, count: u64) {
        let age = age.min(LONGEST.as_nanos() as u64);
        self.histogram.saturating_record_n(age, count);
        self.open_from = self.open_from.min(age);
        self.open += count;
    }

    pub(crate) fn samples(&self) -> u64 {
        self.histogram.len()
    }

    /// How many of the samples are ages of messages that were never answered.
    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// What this share (0 to 1) of the samples does not exceed; `None` without a sample.
    pub(crate) fn quantile(&self, share: f64) -> Option<Measured> {
        (!self.histogram.is_empty()).then(|| self.measured(self.histogram.value_at_quantile(share)))
    }

    pub(crate) fn max(&self) -> Option<Measured> {
        (!self.histogram.is_empty()).then(|| self.measured(self.histogram.max()))
    }

    pub(crate) fn mean(&self) -> Option<Measured> {
        #[expect(clippy::cast_sign_loss, reason = "times are positive")]
        let mean = Measured {
            nanoseconds: self.histogram.mean().round() as u64,
            at_least: self.open > 0,
        };
        (!self.histogram.is_empty()).then_some(mean)
    }

    /// Percentiles and their times, closer towards the end, for a picture: at most `points`.
    pub(crate) fn spectrum(&self, points: u32) -> Vec<(f64, f64)> {
        let mut spectrum = Vec::new();
        #[expect(clippy::cast_precision_loss, reason = "for a picture")]
        let samples = self.samples() as f64;
        for point in 0..points {
            // Twelve for each nine, until there is less than one sample behind it.
            let behind = 10_f64.powf(-f64::from(point) / 12.0);
            let Some(time) = self.quantile(1.0 - behind) else {
                break;
            };
            #[expect(clippy::cast_precision_loss, reason = "for a picture")]
            spectrum.push((100.0 * (1.0 - behind), time.nanoseconds as f64));
            if behind * samples < 1.0 {
                break;
            }
        }
        spectrum
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        self.histogram.add(&other.histogram).expect("equal bounds");
        self.open_from = self.open_from.min(other.open_from);
        self.open += other.open;
    }

    fn measured(&self, nanoseconds: u64) -> Measured {
        Measured {
            nanoseconds,
            at_least: nanoseconds >= self.open_from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_is_nothing_and_not_zero() {
        let latency = Latency::new();
        assert_eq!(latency.quantile(0.5), None);
        assert_eq!(latency.max(), None);
        assert_eq!(latency.mean(), None);
        assert!(latency.spectrum(60).is_empty());
    }

    #[test]
    fn what_was_never_answered_counts_at_its_age_and_says_so() {
        let mut latency = Latency::new();
        (0..90).for_each(|_| latency.record(1_000));
        latency.record_open(3_000_000_000, 10);
        assert_eq!((latency.samples(), latency.open()), (100, 10));
        assert_eq!(
            latency.quantile(0.5),
            Some(Measured {
                nanoseconds: 1_000,
                at_least: false
            })
        );
        let p99 = latency.quantile(0.99).unwrap();
        assert!(p99.at_least && p99.nanoseconds >= 3_000_000_000);
        assert!(latency.mean().unwrap().at_least);
    }

    #[test]
    fn threads_are_added() {
        let (mut one, mut other) = (Latency::new(), Latency::new());
        one.record(10);
        other.record(30);
        other.record_open(u64::MAX, 1);
        one.add(&other);
        assert_eq!(one.samples(), 3);
        assert!(one.max().unwrap().at_least && !one.quantile(0.5).unwrap().at_least);
    }
}
