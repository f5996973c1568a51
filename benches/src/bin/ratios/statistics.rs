//! Medians and quartiles, and rounds in which everybody has a turn.

use std::fmt;
use std::io;

use trunkline_benches::Kind;

/// A median with its quartiles.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    pub(crate) fn of(mut samples: Vec<f64>) -> Spread {
        samples.sort_by(f64::total_cmp);
        let at = |quarter: usize| samples[(samples.len() - 1) * quarter / 4];
        Spread {
            low: at(1),
            median: at(2),
            high: at(3),
        }
    }

    /// The median, as a time.
    pub(crate) fn nanoseconds(self) -> String {
        format!("{:.0} ns", self.median)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:.2} ({:.2}–{:.2})",
            self.median, self.low, self.high
        )
    }
}

/// What each contender cost in each round: `costs[contender][round]`.
pub(crate) struct Rounds {
    kinds: Vec<Kind>,
    costs: Vec<Vec<f64>>,
}

impl Rounds {
    /// Has everybody measured in every round. Whoever came first in one comes second in the next, so that nobody
    /// always follows the same one.
    pub(crate) fn measure(
        kinds: &[Kind],
        rounds: usize,
        mut cost: impl FnMut(Kind) -> io::Result<f64>,
    ) -> io::Result<Rounds> {
        let mut costs = vec![Vec::with_capacity(rounds); kinds.len()];
        for round in 0..rounds {
            for place in 0..kinds.len() {
                let turn = (place + round) % kinds.len();
                costs[turn].push(cost(kinds[turn])?);
            }
        }
        Ok(Rounds {
            kinds: kinds.to_vec(),
            costs,
        })
    }

    /// A contender's cost itself.
    pub(crate) fn cost(&self, kind: Kind) -> Option<Spread> {
        let place = self.place(kind)?;
        Some(Spread::of(self.costs[place].clone()))
    }

    /// A contender's cost as a multiple of another's in the same round.
    pub(crate) fn ratio(&self, kind: Kind, base: Kind) -> Option<Spread> {
        let (own, base) = (self.place(kind)?, self.place(base)?);
        let ratios = self.costs[own].iter().zip(&self.costs[base]);
        Some(Spread::of(ratios.map(|(own, base)| own / base).collect()))
    }

    fn place(&self, kind: Kind) -> Option<usize> {
        self.kinds.iter().position(|other| *other == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_and_quartiles() {
        let spread = Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread.to_string(), "3.00 (2.00–4.00)");
        assert_eq!(spread.nanoseconds(), "3 ns");
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let kinds = [Kind::BASE, Kind::Mio];
        let mut calls = 0.0;
        let rounds = Rounds::measure(&kinds, 2, |kind| {
            calls += 1.0;
            Ok(if kind == Kind::Mio {
                calls * 10.0
            } else {
                calls
            })
        });
        // In the first round the base is measured first (1, then 20), in the second last (30, then 4).
        let ratio = rounds.unwrap().ratio(Kind::Mio, Kind::BASE).unwrap();
        assert_eq!(ratio.to_string(), "7.50 (7.50–7.50)");
    }
}
