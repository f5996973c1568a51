//! The bytes of one connection held against its rates.

use std::time::{Duration, Instant};

use super::watch::Tick;
use crate::mutant::{Mutant, planted};

/// What may come or go at once when nothing did for a while, as a time.
const BURST: Duration = Duration::from_millis(125);

/// A rate of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    per_second: u64,
}

impl Rate {
    pub(crate) fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.max(1),
        }
    }

    /// How long so many bytes take, rounded up.
    fn time_of(self, bytes: u64) -> Duration {
        let nanoseconds = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(self.per_second));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How many whole bytes go in a time.
    fn bytes_in(self, time: Duration) -> u64 {
        let bytes = time.as_nanos() * u128::from(self.per_second) / 1_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The longest time that is saved up: a burst, or one byte at least.
    fn burst(self) -> Duration {
        BURST.max(self.time_of(1))
    }
}

/// A token bucket, kept as the time up to which it has been used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    used_until: Option<Instant>,
}

impl Bucket {
    fn new() -> Self {
        Self { used_until: None }
    }

    /// How many bytes may go now.
    pub(crate) fn allowance(&self, rate: Rate, now: Instant) -> u64 {
        let ahead = self
            .used_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        rate.bytes_in(rate.burst().saturating_sub(ahead))
    }

    /// So many bytes went.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant, bytes: u64) {
        let from = self.used_until.map_or(now, |until| until.max(now));
        self.used_until = Some(from + rate.time_of(bytes));
    }

    /// From when on half a burst may go: sooner would be not worth the call.
    pub(crate) fn refilled_at(&self, rate: Rate, now: Instant) -> Instant {
        let until = self.used_until.unwrap_or(now);
        let enough = (rate.burst() / 2).max(rate.time_of(1));
        // `until` lies as far ahead of the clock as the burst reaches, less what is to be there.
        let ahead = rate.burst().saturating_sub(enough);
        until.checked_sub(ahead).map_or(now, |at| at.max(now))
    }
}

/// What the peer did while something was under way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    runs: bool,
    since: Tick,
    bytes: u64,
}

impl Window {
    /// Something is under way now, or is not.
    pub(crate) fn note(&mut self, under_way: bool, now: Tick) {
        if under_way && !self.runs {
            self.since = now;
            self.bytes = 0;
        }
        self.runs = under_way;
    }

    pub(crate) fn count(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// In how many ticks it has lasted `length`, if it runs. When it has and the peer was fast enough, another begins.
    pub(crate) fn left(&mut self, length: Tick, least_bytes: u64, now: Tick) -> Option<Tick> {
        if !self.runs || planted(Mutant::SlownessOverlooked) {
            return None;
        }
        let left = length.saturating_sub(now.wrapping_sub(self.since));
        if left > 0 || self.bytes < least_bytes {
            return Some(left);
        }
        self.since = now;
        self.bytes = 0;
        Some(length)
    }
}

/// All that is counted of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    pub(crate) input: Bucket,
    pub(crate) output: Bucket,
    pub(crate) receiving: Window,
    pub(crate) sending: Window,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            input: Bucket::new(),
            output: Bucket::new(),
            receiving: Window::default(),
            sending: Window::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a greedy sender goes about it, it gets no more than the rate and a burst, and not much less.
        #[test]
        fn a_bucket_gives_the_rate(
            per_second in prop_oneof![1_u64..100, 1_u64..10_000_000],
            pieces in prop::collection::vec(1_u64..100_000, 1..200),
        ) {
            let rate = Rate::new(per_second);
            let start = Instant::now();
            let (mut now, mut taken) = (start, 0);
            let mut bucket = Bucket::new();
            for piece in pieces {
                let allowance = bucket.allowance(rate, now);
                let bytes = piece.min(allowance);
                bucket.take(rate, now, bytes);
                taken += bytes;
                let elapsed = now - start;
                prop_assert!(taken <= rate.bytes_in(elapsed + rate.burst()), "{taken} in {elapsed:?}");
                if bucket.allowance(rate, now) == 0 {
                    let later = bucket.refilled_at(rate, now);
                    prop_assert!(later > now, "it would spin");
                    now = later;
                    prop_assert!(bucket.allowance(rate, now) >= 1);
                    // What was there at the start is used up, and half a burst at most is saved up.
                    let least = rate.bytes_in((now - start).saturating_sub(rate.burst()));
                    prop_assert!(taken >= least * 99 / 100, "{taken} of {least}");
                }
            }
        }
    }

    #[test]
    fn a_window_runs_only_while_something_is_under_way() {
        let mut window = Window::default();
        assert_eq!(window.left(8, 100, 1000), None);
        window.note(true, 10);
        window.count(99);
        assert_eq!(window.left(8, 100, 12), Some(6));
        assert_eq!(window.left(8, 100, 18), Some(0), "too slow");
        window.count(1);
        assert_eq!(window.left(8, 100, 18), Some(8), "just fast enough");
        window.note(false, 20);
        window.note(true, 25);
        assert_eq!(window.left(8, 100, 25), Some(8));
    }
}
