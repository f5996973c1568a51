//! Rounds: everybody is measured in each, and whoever came first in one comes later in the next. So what slows the machine
//! down for a while slows everybody down.

use std::time::{Duration, Instant};

use super::progress::Progress;

/// More than this make nothing clearer.
const ROUNDS_MAX: usize = 7;
/// How much of a round has to fit into the time that is left.
const PUNCTUALITY: f64 = 0.9;
/// What has begun in time may end this much later.
const GRACE: Duration = Duration::from_secs(10);

/// How often, or how long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    Rounds(usize),
    /// As often as there is time for, but once at least.
    Until(Instant),
}

/// What became of the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) rounds: usize,
    /// Steps of the first round for which there was no time.
    pub(crate) skipped: usize,
}

/// Carries out all steps, in groups of those that are to be compared: each group's are rotated from round to round.
pub(crate) fn run<S>(
    groups: &[Vec<S>],
    budget: Budget,
    progress: &mut Progress,
    describe: impl Fn(&S) -> String,
    mut carry_out: impl FnMut(&S),
) -> Done {
    let steps = groups.iter().map(Vec::len).sum();
    let mut done = Done {
        rounds: 0,
        skipped: 0,
    };
    loop {
        let start = Instant::now();
        progress.begin_round(done.rounds, steps, budget);
        for group in groups {
            for place in 0..group.len() {
                let step = &group[(place + done.rounds) % group.len()];
                if budget.is_over() && done.rounds == 0 {
                    done.skipped += 1;
                    continue;
                }
                progress.step(&describe(step));
                carry_out(step);
            }
        }
        done.rounds += 1;
        if !budget.allows_another(done.rounds, start.elapsed()) {
            return done;
        }
    }
}

impl Budget {
    fn is_over(self) -> bool {
        matches!(self, Budget::Until(end) if Instant::now() >= end)
    }

    /// When whatever has begun is to be given up.
    pub(crate) fn give_up(self) -> Option<Instant> {
        match self {
            Budget::Rounds(_) => None,
            Budget::Until(end) => Some(end + GRACE),
        }
    }

    fn allows_another(self, rounds: usize, last: Duration) -> bool {
        match self {
            Budget::Rounds(wanted) => rounds < wanted,
            // It may end a little late.
            Budget::Until(end) => {
                rounds < ROUNDS_MAX && Instant::now() + last.mul_f64(PUNCTUALITY) <= end
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(budget: Budget) -> (Vec<u32>, Done) {
        let mut carried_out = Vec::new();
        let groups = [vec![1, 2, 3], vec![4]];
        let done = run(
            &groups,
            budget,
            &mut Progress::silent(),
            u32::to_string,
            |&step| {
                carried_out.push(step);
            },
        );
        (carried_out, done)
    }

    #[test]
    fn everybody_has_a_turn_in_every_round_and_the_order_changes() {
        let (carried_out, done) = steps(Budget::Rounds(3));
        assert_eq!(carried_out, [1, 2, 3, 4, 2, 3, 1, 4, 3, 1, 2, 4]);
        assert_eq!((done.rounds, done.skipped), (3, 0));
    }

    #[test]
    fn without_time_nothing_is_carried_out_and_that_is_said() {
        let (carried_out, done) = steps(Budget::Until(Instant::now()));
        assert!(carried_out.is_empty());
        assert_eq!((done.rounds, done.skipped), (1, 4));
    }

    #[test]
    fn there_is_an_end_even_with_time_left() {
        let later = Instant::now() + Duration::from_secs(3_600);
        assert_eq!(steps(Budget::Until(later)).1.rounds, ROUNDS_MAX);
    }
}
