//! The timers of one loop, set for instants: exact to the nanosecond, and O(1) to set and to cancel.

use std::time::{Duration, Instant};

pub(crate) mod wheel;

pub use wheel::TimerId;
use wheel::Wheel;

/// All timers of one loop, each with a payload.
pub(crate) struct Timers<K> {
    start: Instant,
    /// In nanoseconds since the start.
    wheel: Wheel<K>,
}

impl<K: Copy> Timers<K> {
    pub(crate) fn new(start: Instant) -> Self {
        let wheel = Wheel::new();
        Self { start, wheel }
    }

    /// Sets a timer. A deadline before what has expired already is due at once, and one more than five
    /// centuries away will do as that.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: Instant, payload: K) -> TimerId {
        self.wheel.insert(self.nanoseconds(deadline), payload)
    }

    /// Takes a timer back. `None` when it has expired or was cancelled before.
    #[inline]
    pub(crate) fn cancel(&mut self, timer: TimerId) -> Option<K> {
        self.wheel.cancel(timer)
    }

    /// Sets a timer that waits for a later time; see [`Wheel::postpone`].
    #[inline]
    pub(crate) fn postpone(&mut self, timer: TimerId, deadline: Instant) -> bool {
        self.wheel.postpone(timer, self.nanoseconds(deadline))
    }

    /// Is it still to expire?
    #[inline]
    pub(crate) fn is_waiting(&self, timer: TimerId) -> bool {
        self.wheel.is_waiting(timer)
    }

    /// When to call [`Timers::expire`] next; see [`Wheel::next_due`].
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_due().map(|due| self.instant(due))
    }

    /// Takes out the earliest timer due at `now`; see [`Wheel::expire`].
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(TimerId, Instant, K)> {
        let (timer, due, payload) = self.wheel.expire(self.nanoseconds(now))?;
        Some((timer, self.instant(due), payload))
    }

    /// How many timers wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wheel.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.wheel.is_empty()
    }

    /// Nanoseconds from the start to `instant`; none before the start, and not beyond what 64 bits hold.
    #[inline]
    fn nanoseconds(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.start);
        let whole_seconds = since.as_secs().saturating_mul(1_000_000_000);
        whole_seconds.saturating_add(u64::from(since.subsec_nanos()))
    }

    #[inline]
    fn instant(&self, nanoseconds: u64) -> Instant {
        self.start + Duration::from_nanos(nanoseconds)
    }
}

#[cfg(test)]
mod tests;
