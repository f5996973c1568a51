//! What was measured, once in each round, and what can be said of it.

use serde::Serialize;

use crate::quantity::{NOTHING, Unit};

/// One quantity, round by round; `None` where it could not be measured.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Samples(Vec<Option<f64>>);

/// The middle of some samples, and how far they reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
    /// How many samples they are of.
    pub(crate) rounds: usize,
}

/// So many rounds at least tell how far samples reach.
const ROUNDS_TELLING: usize = 3;
/// And with fewer, samples of the same thing may well differ as much.
const NOISE_WITHOUT_ROUNDS: std::ops::Range<f64> = 0.8..1.25;

impl FromIterator<Option<f64>> for Samples {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

impl Samples {
    /// Adds a round's.
    pub(crate) fn push(&mut self, sample: Option<f64>) {
        self.0.push(sample);
    }

    /// `None` when there is no sample.
    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(self.0.iter().flatten().copied())
    }

    /// These as multiples of `base`, each of the same round: what slows the whole machine down for a while cancels out.
    pub(crate) fn ratio(&self, base: &Samples) -> Option<Spread> {
        let pairs = self.0.iter().zip(&base.0);
        Spread::of(pairs.filter_map(|(own, base)| {
            let (own, base) = ((*own)?, (*base)?);
            (base > 0.0).then_some(own / base)
        }))
    }
}

impl Spread {
    fn of(samples: impl Iterator<Item = f64>) -> Option<Self> {
        let mut samples: Vec<_> = samples.filter(|sample| sample.is_finite()).collect();
        samples.sort_by(f64::total_cmp);
        let (low, high) = (*samples.first()?, *samples.last()?);
        let middle = samples.len() / 2;
        let median = if samples.len().is_multiple_of(2) {
            f64::midpoint(samples[middle - 1], samples[middle])
        } else {
            samples[middle]
        };
        Some(Self {
            low,
            median,
            high,
            rounds: samples.len(),
        })
    }

    /// Each as many times as large.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            low: factor * self.low,
            median: factor * self.median,
            high: factor * self.high,
            ..self
        }
    }

    /// As a person reads it: `1.2 (1.1–1.3) µs`.
    pub(crate) fn show(self, unit: Unit) -> String {
        let [median, low, high] = [self.median, self.low, self.high].map(|value| unit.show(value));
        if low == high {
            return median;
        }
        let parts = [&median, &low, &high].map(|text| {
            let begin = text.find([' ', '×']);
            text.split_at(begin.unwrap_or(text.len()))
        });
        let [
            (middle, name),
            (low_number, low_name),
            (high_number, high_name),
        ] = parts;
        if name == low_name && name == high_name {
            return format!("{middle} ({low_number}–{high_number}){name}");
        }
        format!("{median} ({low} – {high})")
    }

    /// Whether these ratios are on both sides of 1, or too few and too near: then none of the two is known to be the
    /// larger.
    pub(crate) fn is_within_noise(self) -> bool {
        let few = self.rounds < ROUNDS_TELLING && NOISE_WITHOUT_ROUNDS.contains(&self.median);
        few || self.low <= 1.0 && self.high >= 1.0
    }
}

/// As [`Spread::show`], where there may be nothing to show.
pub(crate) fn show(spread: Option<Spread>, unit: Unit) -> String {
    spread.map_or_else(|| NOTHING.to_owned(), |spread| spread.show(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        values.iter().map(|&value| Some(value)).collect()
    }

    #[test]
    fn a_spread_is_the_median_and_the_range() {
        let odd = samples(&[3_000.0, 1_000.0, 2_000.0]).spread().unwrap();
        assert_eq!(odd.show(Unit::Nanoseconds), "2 (1–3) µs");
        let even = samples(&[1.0, 2.0, 4.0, 3.0]).spread().unwrap();
        assert_eq!(even.show(Unit::Ratio), "2.5 (1–4)×");
        let wide = samples(&[900.0, 1_500.0]).spread().unwrap();
        assert_eq!(wide.show(Unit::Nanoseconds), "1.2 µs (900 ns – 1.5 µs)");
        assert_eq!(samples(&[5.0]).spread().unwrap().show(Unit::Count), "5");
        assert_eq!(samples(&[]).spread(), None);
        assert_eq!(Samples::from_iter([None]).spread(), None);
        assert_eq!(show(None, Unit::Count), NOTHING);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // The machine was ten times slower in the second round, and both were.
        let (own, base) = (samples(&[2.0, 30.0, 8.0]), samples(&[1.0, 10.0, 2.0]));
        let ratio = own.ratio(&base).unwrap();
        assert_eq!((ratio.low, ratio.median, ratio.high), (2.0, 3.0, 4.0));
        // A round without one of them does not count.
        let gap = Samples::from_iter([None, Some(10.0), Some(0.0)]);
        assert_eq!(own.ratio(&gap).unwrap().show(Unit::Ratio), "3×");
    }

    #[test]
    fn ratios_on_both_sides_of_one_are_noise() {
        let base = samples(&[1.0, 1.0, 1.0]);
        let noise = |values: &[f64]| samples(values).ratio(&base).unwrap().is_within_noise();
        assert!(noise(&[0.9, 1.1, 1.2]));
        assert!(!noise(&[1.01, 1.1, 1.2]));
        assert!(!noise(&[0.8, 0.9, 0.99]));
        // Too few to know.
        assert!(noise(&[1.1, 1.2]));
        assert!(noise(&[0.9]));
        assert!(!noise(&[2.0]));
    }
}
