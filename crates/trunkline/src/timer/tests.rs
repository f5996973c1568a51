use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::wheel::{LEVELS, Slot};
use super::{TimerId, Timers};

const NANOSECOND: Duration = Duration::from_nanos(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn wheel<K: Copy>() -> (Timers<K>, Instant) {
    let start = Instant::now();
    (Timers::new(start), start)
}

/// Payloads of all timers due at `now`.
fn expired<K: Copy>(timers: &mut Timers<K>, now: Instant) -> Vec<K> {
    std::iter::from_fn(|| timers.expire(now))
        .map(|(_, deadline, payload)| {
            assert!(deadline <= now, "early");
            payload
        })
        .collect()
}

#[test]
fn w6_the_only_timer_cancelled_leaves_nothing_to_wait_for() {
    let (mut timers, start) = wheel();
    assert_eq!(timers.next_deadline(), None);
    for delay in [Duration::ZERO, MILLISECOND, SECOND, 100 * YEAR] {
        let timer = timers.insert(start + delay, 'x');
        assert_eq!(timers.next_deadline(), Some(start + delay));
        assert_eq!(timers.cancel(timer), Some('x'));
        assert_eq!(timers.next_deadline(), None);
        assert_eq!(timers.expire(start + delay), None);
        assert!(timers.is_empty());
    }
}

#[test]
fn w6_a_million_timers_set_and_cancelled_leave_nothing_and_move_nothing() {
    const COUNT: u32 = 1_000_000;
    let (mut timers, start) = wheel();
    for round in 0..COUNT {
        let timer = timers.insert(start + round * MILLISECOND, round);
        assert_eq!(timers.cancel(timer), Some(round));
    }
    assert_eq!(
        (timers.wheel.entries.len(), timers.next_deadline()),
        (1, None)
    );
    let set = |round: u32| timers.insert(start + (round % 1000) * MILLISECOND, round);
    let ids: Vec<TimerId> = (0..COUNT).map(set).collect();
    assert_eq!(timers.len(), COUNT as usize);
    for (round, id) in (0..).zip(ids) {
        assert_eq!(timers.cancel(id), Some(round));
    }
    assert_eq!((timers.len(), timers.next_deadline()), (0, None));
    assert_eq!(timers.wheel.entries.len(), COUNT as usize);
    assert_eq!(
        timers.wheel.placements,
        u64::from(2 * COUNT),
        "each was placed once"
    );
    assert!(timers.wheel.slots.iter().all(Slot::owns_little));
}

#[test]
fn w6_a_cancelled_timer_wakes_at_most_once() {
    let (mut timers, start) = wheel();
    let first = timers.insert(start + SECOND, 1);
    timers.insert(start + SECOND + MILLISECOND, 2);
    timers.cancel(first);
    let mut wakes = Vec::new();
    while let Some(deadline) = timers.next_deadline() {
        wakes.push(expired(&mut timers, deadline));
        assert!(wakes.len() <= 2);
    }
    assert_eq!(wakes.concat(), [2]);
}

#[test]
fn w6_short_timers_set_and_cancelled_among_many_long_ones_stay_cheap() {
    let (mut timers, start) = wheel();
    for connection in 0..10_000 {
        timers.insert(start + 30 * SECOND + connection * MILLISECOND, 0);
    }
    let mut now = start;
    for _ in 0..10_000 {
        let short = timers.insert(now + MILLISECOND, 1);
        now += 2 * MILLISECOND;
        timers.cancel(short);
        assert_eq!(timers.expire(now), None);
        assert!(timers.next_deadline() > Some(now));
    }
    assert!(
        timers.wheel.placements <= 60_000,
        "{} placements",
        timers.wheel.placements
    );
}

#[test]
fn w6_timers_set_anew_again_and_again_take_bounded_memory() {
    const COUNT: u32 = 1000;
    let (mut timers, start) = wheel();
    let mut ids: Vec<TimerId> = (0..COUNT)
        .map(|number| timers.insert(start + SECOND, number))
        .collect();
    for round in 0..200 {
        for (number, id) in (0..).zip(&mut ids) {
            assert_eq!(timers.cancel(*id), Some(number));
            let delay = SECOND + (round * number % 777) * MILLISECOND;
            *id = timers.insert(start + delay, number);
        }
        let listed: usize = timers.wheel.slots.iter().map(Slot::listed).sum();
        assert!(listed <= 6 * COUNT as usize, "{listed}");
        assert_eq!(timers.wheel.entries.len(), COUNT as usize);
    }
    assert_eq!(
        expired(&mut timers, start + 2 * SECOND).len(),
        COUNT as usize
    );
    assert!(timers.wheel.slots.iter().all(Slot::owns_little));
}

#[test]
fn w6_timers_put_off_by_every_message_are_moved_only_when_they_come_up() {
    const COUNT: u32 = 1000;
    let (mut timers, start) = wheel();
    let ids: Vec<TimerId> = (0..COUNT)
        .map(|number| timers.insert(start + SECOND + number * NANOSECOND, number))
        .collect();
    let placements = timers.wheel.placements;
    for round in 1..=1000 {
        for &id in &ids {
            assert!(timers.postpone(id, start + SECOND + round * MILLISECOND));
        }
    }
    assert_eq!(timers.wheel.placements, placements);
    let last = start + 2 * SECOND;
    assert_eq!(timers.expire(start + 1999 * MILLISECOND), None);
    assert_eq!(timers.next_deadline(), Some(last));
    assert_eq!(expired(&mut timers, last).len(), COUNT as usize);
    assert!(timers.wheel.slots.iter().all(Slot::owns_little));
}

#[test]
fn only_what_waits_is_postponed_and_only_for_later() {
    let (mut timers, start) = wheel();
    let id = timers.insert(start + SECOND, ());
    assert!(!timers.postpone(id, start + MILLISECOND));
    assert_eq!(timers.expire(start + MILLISECOND), None);
    assert!(timers.postpone(id, start + 2 * SECOND));
    // Beyond the moments of its slot, while another is due before that.
    let between = timers.insert(start + 1500 * MILLISECOND, ());
    let due = start + 2 * SECOND;
    let first = (between, start + 1500 * MILLISECOND, ());
    assert_eq!(timers.expire(due), Some(first));
    assert_eq!(timers.expire(due), Some((id, due, ())));
    assert!(!timers.postpone(id, start + 3 * SECOND));
    assert_eq!((timers.len(), timers.next_deadline()), (0, None));
}

#[test]
fn never_early_and_exact_to_the_nanosecond() {
    let (mut timers, start) = wheel();
    for before in [
        Duration::ZERO,
        999 * NANOSECOND,
        1500 * NANOSECOND,
        MILLISECOND,
        YEAR,
    ] {
        let deadline = start + before + NANOSECOND;
        let id = timers.insert(deadline, ());
        assert_eq!(timers.expire(start + before), None);
        assert_eq!(timers.next_deadline(), Some(deadline));
        assert_eq!(timers.expire(deadline), Some((id, deadline, ())));
        assert_eq!(timers.expire(deadline), None);
    }
}

#[test]
fn equal_deadlines_expire_in_the_order_they_were_set() {
    let (mut timers, start) = wheel();
    let earlier = start + 999_999_999 * NANOSECOND;
    let deadline = earlier + NANOSECOND;
    timers.insert(deadline, 1);
    timers.insert(deadline, 2);
    assert_eq!(timers.expire(start + 999 * MILLISECOND), None);
    timers.insert(deadline, 3);
    timers.insert(earlier, 0);
    assert_eq!(expired(&mut timers, deadline), [0, 1, 2, 3]);
}

#[test]
fn a_deadline_already_past_is_due_at_once() {
    let (mut timers, start) = wheel();
    let now = start + SECOND;
    assert_eq!(timers.expire(now), None);
    timers.insert(start, 1);
    assert_eq!(timers.next_deadline(), Some(now));
    assert_eq!(expired(&mut timers, now), [1]);
    // A clock that goes back disturbs nothing.
    assert_eq!(timers.expire(start), None);
    timers.insert(now + SECOND, 2);
    assert_eq!(expired(&mut timers, now + SECOND), [2]);
}

#[test]
fn w5_far_deadlines_neither_overflow_nor_fire() {
    let (mut timers, start) = wheel();
    // As far as an Instant goes, whatever the platform.
    let far = (0..63).rev().map(|power| Duration::from_secs(1 << power));
    let farthest = far.fold(start, |instant, step| {
        instant.checked_add(step).unwrap_or(instant)
    });
    timers.insert(farthest, "farthest");
    timers.insert(start + 600 * YEAR, "beyond 64 bits");
    timers.insert(start + 25 * 24 * 3600 * SECOND, "25 days");
    assert_eq!(expired(&mut timers, start + YEAR), ["25 days"]);
    assert!(timers.next_deadline() > Some(start + 500 * YEAR));
    assert_eq!(expired(&mut timers, start + 500 * YEAR), Vec::<&str>::new());
    assert_eq!(timers.len(), 2);
}

#[test]
fn a_name_is_not_used_again() {
    let (mut timers, start) = wheel();
    let first = timers.insert(start, 1);
    assert_eq!(timers.cancel(first), Some(1));
    let second = timers.insert(start, 2);
    assert_ne!(first, second);
    assert_eq!(timers.cancel(first), None);
    assert_eq!(expired(&mut timers, start), [2]);
    assert_eq!(timers.cancel(second), None);
    // An entry that has had every generation is not used again.
    timers.wheel.entries[0].generation = u32::MAX;
    let last = timers.insert(start, 3);
    assert_eq!((last.index, timers.cancel(last)), (0, Some(3)));
    let other = timers.insert(start, 4);
    assert_eq!((other.index, timers.cancel(last)), (1, None));
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64),
    /// A deadline this long before the present.
    InsertPast(u64),
    Cancel(usize),
    /// Another deadline for one of them.
    Postpone(usize, u64),
    /// Time passes, and at most so many timers are taken out.
    Expire(u64, usize),
}

/// Nanoseconds of every order of magnitude.
fn any_nanoseconds() -> impl Strategy<Value = u64> {
    (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
}

/// Nanoseconds that add up to less than what 64 bits hold, mostly short.
fn any_delay() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..200,
        0_u64..100_000,
        any_nanoseconds().prop_map(|delay| delay >> 12)
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop_oneof![any_delay(), any_nanoseconds()].prop_map(Step::Insert),
        1 => any_delay().prop_map(Step::InsertPast),
        3 => any::<usize>().prop_map(Step::Cancel),
        3 => (any::<usize>(), any_delay()).prop_map(|(which, delay)| Step::Postpone(which, delay)),
        4 => (any_delay(), 0_usize..6).prop_map(|(delay, count)| Step::Expire(delay, count)),
    ]
}

/// The wheel beside an ordered map.
struct Pair {
    timers: Timers<u64>,
    start: Instant,
    now: u64,
    /// By deadline, then in the order they were set.
    model: BTreeMap<(u64, u64), TimerId>,
    set: u64,
    /// Those that are not where their number says among equal deadlines.
    postponed: BTreeSet<u64>,
    cancelled_or_postponed: u64,
    postponements: u64,
}

impl Pair {
    fn new() -> Self {
        let (timers, start) = wheel();
        let model = BTreeMap::new();
        Self {
            timers,
            start,
            now: 0,
            model,
            set: 0,
            postponed: BTreeSet::new(),
            cancelled_or_postponed: 0,
            postponements: 0,
        }
    }

    fn at(&self, nanoseconds: u64) -> Instant {
        self.start + Duration::from_nanos(nanoseconds)
    }

    fn insert(&mut self, due: u64) {
        let deadline = self.at(due);
        let id = self.timers.insert(deadline, self.set);
        // What is past counts as due when the wheel last looked.
        assert!(self.timers.wheel.elapsed <= self.now);
        self.model
            .insert((due.max(self.timers.wheel.elapsed), self.set), id);
        self.set += 1;
    }

    fn cancel(&mut self, which: usize) {
        let Some((&key, &id)) = self.model.iter().nth(which % self.model.len().max(1)) else {
            return;
        };
        self.model.remove(&key);
        assert_eq!(self.timers.cancel(id), Some(key.1));
        assert_eq!(self.timers.cancel(id), None);
        self.cancelled_or_postponed += 1;
    }

    /// From the present on, which may be before what it was.
    fn postpone(&mut self, which: usize, delay: u64) {
        let Some((&key, &id)) = self.model.iter().nth(which % self.model.len().max(1)) else {
            return;
        };
        let due = self.now.saturating_add(delay);
        assert_eq!(self.timers.postpone(id, self.at(due)), key.0 <= due);
        if key.0 <= due {
            self.model.remove(&key);
            self.model.insert((due, key.1), id);
            self.postponed.insert(key.1);
            self.cancelled_or_postponed += 1;
            self.postponements += 1;
        }
    }

    /// Takes out of the model what the wheel took out, if it may be the next: by deadline, then by number, but for those
    /// that were postponed.
    fn take(&mut self, found: Option<(TimerId, Instant, u64)>) {
        let first = self.model.first_key_value();
        let first = first.filter(|((due, _), _)| *due <= self.now);
        let Some((&(due, _), _)) = first else {
            assert_eq!(found, None);
            return;
        };
        let (id, deadline, set) = found.expect("one is due");
        assert_eq!(deadline, self.at(due));
        let equal = self.model.range((due, 0)..=(due, u64::MAX));
        let mut in_order = equal.filter(|((_, set), _)| !self.postponed.contains(set));
        let next = in_order.next().map(|((_, set), _)| *set);
        assert!(self.postponed.contains(&set) || next == Some(set));
        assert_eq!(self.model.remove(&(due, set)), Some(id));
    }

    /// How many timers were taken out.
    fn expire(&mut self, count: usize) -> usize {
        let now = self.at(self.now);
        for taken in 0..count {
            let found = self.timers.expire(now);
            self.take(found);
            if found.is_none() {
                assert!(
                    self.timers
                        .next_deadline()
                        .is_none_or(|deadline| deadline > now)
                );
                return taken;
            }
        }
        count
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Insert(delay) => self.insert(self.now.saturating_add(delay)),
            Step::InsertPast(before) => self.insert(self.now.saturating_sub(before)),
            Step::Cancel(which) => self.cancel(which),
            Step::Postpone(which, delay) => self.postpone(which, delay),
            Step::Expire(delay, count) => {
                self.now += delay;
                self.expire(count);
            }
        }
        self.check();
    }

    fn check(&mut self) {
        assert_eq!(self.timers.len(), self.model.len());
        assert_eq!(self.timers.is_empty(), self.model.is_empty());
        let earliest = self.model.keys().next().map(|&(due, _)| self.at(due));
        let found = self.timers.next_deadline();
        assert_eq!(found.is_none(), earliest.is_none());
        assert!(found <= earliest);
        if self.cancelled_or_postponed == 0 {
            assert_eq!(found, earliest);
        }
        assert!(self.timers.wheel.placements <= (self.set + self.postponements) * LEVELS as u64);
    }
}

proptest! {
    #[test]
    fn timers_match_an_ordered_map(steps in prop::collection::vec(any_step(), 0..200)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step);
        }
    }

    /// A loop that sleeps until the next deadline, and nothing else, misses none and spins on none.
    #[test]
    fn w6_each_timer_cancelled_or_postponed_costs_one_wake_at_most(steps in prop::collection::vec(any_step(), 0..100)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step);
        }
        let mut idle_wakes = 0;
        while let Some(deadline) = pair.timers.next_deadline() {
            let reached = deadline.saturating_duration_since(pair.start).as_nanos();
            pair.now = pair.now.max(reached as u64);
            if pair.expire(usize::MAX) == 0 {
                idle_wakes += 1;
            }
            pair.check();
        }
        let most = pair.cancelled_or_postponed;
        prop_assert!(idle_wakes <= most, "{idle_wakes} of {most}");
    }
}
