//! Makes a failing case smaller: fewer peers, fewer faults, fewer bytes, fewer turns, simpler numbers, as long as it
//! fails.

use std::time::{Duration, Instant};

use super::case::{Case, End};
use crate::network::Trigger;

/// The smallest case that was found to fail, and how many were tried.
pub(super) fn shrink(
    case: &Case,
    time_max: Duration,
    fails: impl FnMut(&Case) -> bool,
) -> (Case, u64) {
    let mut shrinker = Shrinker {
        best: case.clone(),
        tries: 0,
        deadline: Instant::now() + time_max,
        fails,
    };
    let mut better = true;
    while better && Instant::now() < shrinker.deadline {
        better = shrinker.drop_peers();
        better |= shrinker.drop_faults();
        better |= shrinker.simplify_end();
        better |= shrinker.simplify_numbers();
    }
    (shrinker.best, shrinker.tries)
}

struct Shrinker<F> {
    best: Case,
    tries: u64,
    deadline: Instant,
    fails: F,
}

impl<F: FnMut(&Case) -> bool> Shrinker<F> {
    /// Takes the change if the case still fails with it.
    fn attempt(&mut self, change: impl FnOnce(&mut Case)) -> bool {
        let mut case = self.best.clone();
        change(&mut case);
        if case == self.best || Instant::now() >= self.deadline {
            return false;
        }
        self.tries += 1;
        let fails = (self.fails)(&case);
        if fails {
            self.best = case;
        }
        fails
    }

    /// Half of them at a time, then a quarter, down to single ones.
    fn drop_peers(&mut self) -> bool {
        let mut better = false;
        let mut length = self.best.plans.len();
        while length > 0 {
            let mut start = 0;
            while start < self.best.plans.len() {
                let end = (start + length).min(self.best.plans.len());
                if self.attempt(|case| drop(case.plans.drain(start..end))) {
                    better = true;
                } else {
                    start = end;
                }
            }
            length /= 2;
        }
        better
    }

    fn drop_faults(&mut self) -> bool {
        let count = self.best.faults.rates().len();
        let all = self.attempt(|case| {
            for (_, rate) in case.faults.rates() {
                *rate = 0.0;
            }
        });
        let single = (0..count)
            .filter(|&index| self.attempt(|case| *case.faults.rates()[index].1 = 0.0))
            .count();
        all || single > 0
    }

    fn simplify_end(&mut self) -> bool {
        let mut better = self.attempt(|case| case.end = End::AtRest);
        better |= self.attempt(|case| case.trigger = Trigger::Level);
        better |= self.attempt(|case| case.seed = 0);
        loop {
            let end = match self.best.end {
                End::Stop(turns) => End::Stop(turns / 2),
                End::Kill(turns) => End::Kill(turns / 2),
                End::AtRest => return better,
            };
            if !self.attempt(|case| case.end = end) {
                return better;
            }
            better = true;
        }
    }

    fn simplify_numbers(&mut self) -> bool {
        let mut better = self.simplify(|case| case.room.numbers());
        better |= self.simplify(|case| case.settings.numbers());
        for index in 0..self.best.plans.len() {
            better |= self.simplify(|case| case.plans[index].numbers.numbers());
        }
        better
    }

    /// Each number at once, else halfway to the simplest, again and again.
    fn simplify(
        &mut self,
        numbers: impl for<'a> Fn(&'a mut Case) -> Vec<(&'static str, &'a mut u64, u64)>,
    ) -> bool {
        let mut better = false;
        let mut best = self.best.clone();
        for index in 0..numbers(&mut best).len() {
            let (_, _, simplest) = numbers(&mut best)[index];
            if self.attempt(|case| *numbers(case)[index].1 = simplest) {
                better = true;
                continue;
            }
            loop {
                let value = *numbers(&mut self.best.clone())[index].1;
                // Numbers of which a high one stands for "no limit" have no way halfway.
                if value < simplest {
                    break;
                }
                let halfway = simplest + (value - simplest) / 2;
                if !self.attempt(|case| *numbers(case)[index].1 = halfway) {
                    break;
                }
                better = true;
            }
        }
        better
    }
}

#[test]
fn what_does_not_matter_is_dropped() {
    let case = (0..1000)
        .map(Case::from_seed)
        .find(|case| case.plans.len() > 10 && case.faults.short_write > 0.0)
        .expect("there are many");
    let matters = case.plans[7].clone();
    let fails = |case: &Case| {
        let there = case
            .plans
            .iter()
            .any(|plan| plan.manner == matters.manner && plan.numbers.seed == matters.numbers.seed);
        case.faults.short_write > 0.0 && there
    };
    let (small, tries) = shrink(&case, Duration::from_secs(60), fails);
    assert_eq!(small.plans.len(), 1);
    let mut faults = small.faults.clone();
    assert_eq!(
        faults
            .rates()
            .iter()
            .filter(|(_, rate)| **rate > 0.0)
            .count(),
        1
    );
    assert!(small.to_string().len() < 200, "{small}");
    assert!(tries < 1000, "{tries}");
}
