//! The timers that die with a connection.

use crate::timer::TimerId;

/// Owns nothing until the first timer is set. To set one and to be rid of one costs the same however many there are:
/// those that have ended are forgotten all at once, when they are the more.
#[derive(Debug, Default)]
pub(crate) struct OwnTimers(Option<Box<List>>);

#[derive(Debug, Default)]
struct List {
    timers: Vec<TimerId>,
    /// How many of them have fired or were cancelled.
    ended: usize,
}

impl OwnTimers {
    /// Adds a timer. `is_waiting` tells those that are still to fire.
    pub(crate) fn add(&mut self, timer: TimerId, is_waiting: impl Fn(TimerId) -> bool) {
        let list = self.0.get_or_insert_default();
        if list.ended > list.timers.len() / 2 {
            list.timers.retain(|&timer| is_waiting(timer));
            list.ended = 0;
        }
        list.timers.push(timer);
    }

    /// One of them has fired or was cancelled.
    pub(crate) fn one_ended(&mut self) {
        if let Some(list) = &mut self.0 {
            list.ended += 1;
        }
    }

    /// Those that are still to fire, as `is_waiting` tells.
    #[cfg(test)]
    pub(crate) fn count_waiting(&self, is_waiting: impl Fn(TimerId) -> bool) -> usize {
        let timers = self.0.iter().flat_map(|list| &list.timers);
        timers.filter(|&&timer| is_waiting(timer)).count()
    }

    /// All of them, and perhaps some that have ended; none are left.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = TimerId> + use<> {
        self.0.take().into_iter().flat_map(|list| list.timers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timer::wheel::Wheel;

    #[test]
    fn w6_timers_set_and_cancelled_leave_nothing_behind() {
        let mut wheel = Wheel::new();
        let mut own = OwnTimers::default();
        let kept = wheel.insert(1, ());
        own.add(kept, |_| true);
        for due in 0..10_000 {
            let timer = wheel.insert(due, ());
            own.add(timer, |timer| wheel.is_waiting(timer));
            wheel.cancel(timer);
            own.one_ended();
            assert!(own.0.as_ref().is_some_and(|list| list.timers.len() <= 4));
        }
        let waiting: Vec<_> = own
            .take()
            .filter(|&timer| wheel.is_waiting(timer))
            .collect();
        assert_eq!(waiting, [kept]);
        assert_eq!(own.take().count(), 0);
    }
}
