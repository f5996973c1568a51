//! What the deadlines of a connection need to know of it, in ticks.
//!
//! A tick is a number that grows by one, at the soonest, after [`Deadlines::tick`]. What was noted in tick `n` happened
//! before tick `n + 1` began, so a deadline of `k` ticks has surely passed once tick `n + k + 1` begins, and not a tick
//! before. To note that something happened is to copy a number.

use std::time::Duration;

use super::{Connection, Facts, Phase};
use crate::mutant::{Mutant, planted};
use crate::options::{Deadlines, Rates};
use crate::timer::wheel::NONE;

/// The number of a tick; it may wrap around.
pub(crate) type Tick = u32;

/// Which deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    Handshake,
    Frame,
    Idle,
    WriteStall,
    Lifetime,
    /// The window in which a peer has to be fast enough.
    Rate,
}

/// The deadlines of a loop, in ticks.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) tick: Duration,
    pub(crate) handshake: Option<Tick>,
    frame: Option<Tick>,
    idle: Option<Tick>,
    write_stall: Option<Tick>,
    lifetime: Option<Tick>,
}

impl Rules {
    pub(crate) fn new(deadlines: &Deadlines, rates: &Rates) -> Self {
        let window = rates.least_bytes_per_second.map(|_| rates.window);
        let tick = deadlines.tick(window);
        let ticks = |deadline: Option<Duration>| deadline.map(|deadline| ticks(deadline, tick));
        Self {
            tick,
            handshake: ticks(deadlines.handshake),
            frame: ticks(deadlines.frame),
            idle: ticks(deadlines.idle),
            write_stall: ticks(deadlines.write_stall),
            lifetime: ticks(deadlines.lifetime),
        }
    }

    /// A time in ticks, for deadlines of one connection.
    pub(crate) fn ticks(&self, deadline: Duration) -> Tick {
        ticks(deadline, self.tick)
    }

    /// Is there a deadline that every new connection has?
    pub(crate) fn begin_at_open(&self) -> bool {
        self.handshake.is_some() || self.idle.is_some() || self.lifetime.is_some()
    }
}

/// After that many new ticks at least `deadline` has passed.
fn ticks(deadline: Duration, tick: Duration) -> Tick {
    // Far enough from wrapping around, and years away even with the shortest ticks.
    const MAX: u128 = 1 << 30;
    let whole = deadline
        .as_nanos()
        .div_ceil(tick.as_nanos().max(1))
        .min(MAX) as Tick;
    if planted(Mutant::DeadlineEarly) {
        return whole;
    }
    whole + 1
}

/// When something happened last.
#[derive(Debug)]
pub(crate) struct Watch {
    /// A byte came or went.
    pub(crate) active: Tick,
    /// It was opened.
    pub(crate) opened: Tick,
    /// The frame that is under way began.
    pub(crate) frame: Tick,
    /// The peer took some of the output that waits, or it began to wait.
    pub(crate) write: Tick,
    /// Ticks without a byte until it is closed; 0 is for ever.
    idle: Tick,
    /// The index of its one timer, which is for the earliest of the deadlines or for an earlier time; `NONE` without. It
    /// needs no generation: nobody else ends that timer.
    timer: u32,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            active: 0,
            opened: 0,
            frame: 0,
            write: 0,
            idle: 0,
            timer: NONE,
        }
    }
}

impl Watch {
    pub(crate) fn set_idle(&mut self, ticks: Option<Tick>) {
        self.idle = ticks.unwrap_or(0);
    }

    pub(crate) fn timer(&self) -> Option<u32> {
        Some(self.timer).filter(|&timer| timer != NONE)
    }

    pub(crate) fn set_timer(&mut self, timer: Option<u32>) {
        self.timer = timer.unwrap_or(NONE);
    }
}

impl Connection {
    /// It opens in tick `now`.
    pub(crate) fn begin_watch(&mut self, rules: &Rules, now: Tick) {
        self.watch.opened = now;
        self.watch.active = now;
        self.watch.set_idle(rules.idle);
        self.facts
            .put(Facts::HANDSHAKING, rules.handshake.is_some());
    }

    /// Frames come again: the time in which they could not does not count.
    pub(crate) fn frame_goes_on(&mut self, now: Tick) {
        self.watch.frame = now;
    }

    /// Notes whether output waits, when it is settled.
    pub(crate) fn note_output(&mut self, now: Tick) {
        let waits = !self.outbound.is_empty();
        if waits && !self.facts.any(Facts::OUTPUT_WAITS) {
            self.watch.write = now;
        }
        self.facts.put(Facts::OUTPUT_WAITS, waits);
    }

    /// Is a frame under way of which the peer owes the rest?
    pub(crate) fn frame_waits(&self) -> bool {
        !self.inbound.is_empty()
            && !self.facts.any(Facts::UNEXAMINED.with(Facts::ENDED))
            && self.facts.wants_input()
    }

    /// Is there output that the peer does not take?
    pub(crate) fn output_waits(&self) -> bool {
        !self.outbound.is_empty() && !self.facts.any(Facts::SLOWED_OUT)
    }

    /// The deadline that comes first, and in how many ticks: none when it has come.
    pub(crate) fn first_deadline(&self, rules: &Rules, now: Tick) -> Option<(Tick, Deadline)> {
        let (facts, watch) = (self.facts, &self.watch);
        if facts.phase() != Phase::Open {
            return None;
        }
        let idle = Some(watch.idle).filter(|&idle| idle > 0);
        // Whose bytes a rate of ours holds back is not idle: nobody has asked its socket.
        let slowed = facts.any(Facts::SLOWED_IN.with(Facts::SLOWED_OUT));
        let all = [
            (
                facts.any(Facts::HANDSHAKING),
                rules.handshake,
                watch.opened,
                Deadline::Handshake,
            ),
            (
                self.frame_waits(),
                rules.frame,
                watch.frame,
                Deadline::Frame,
            ),
            (!slowed, idle, watch.active, Deadline::Idle),
            (
                self.output_waits(),
                rules.write_stall,
                watch.write,
                Deadline::WriteStall,
            ),
            (true, rules.lifetime, watch.opened, Deadline::Lifetime),
        ];
        let running = all.into_iter().filter(|&(runs, ..)| runs);
        running
            .filter_map(|(_, ticks, since, deadline)| {
                let left = ticks?.saturating_sub(now.wrapping_sub(since));
                Some((left, deadline))
            })
            .min_by_key(|&(left, _)| left)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::connection::Role;

    const SECOND: Duration = Duration::from_secs(1);

    fn connection(rules: &Rules, now: Tick) -> Connection {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut connection = Connection::new(peer.into(), Role::Accepted);
        connection.begin_watch(rules, now);
        connection
    }

    #[test]
    fn so_many_ticks_are_at_least_the_deadline_and_one_more_at_most() {
        for tick in [1, 7, 125, 1000].map(Duration::from_millis) {
            for deadline in [1, 6, 7, 8, 1000, 60_000].map(Duration::from_millis) {
                // Between the first and the last of them, one fewer passes whole.
                let whole = ticks(deadline, tick) - 1;
                assert!(tick * whole >= deadline);
                assert!(tick * whole < deadline + tick);
            }
        }
        assert!(ticks(Duration::MAX, Duration::from_millis(1)) < Tick::MAX / 2);
    }

    #[test]
    fn the_first_deadline_is_told_and_none_when_nothing_is_under_way() {
        let rules = Rules::new(
            &Deadlines {
                frame: Some(8 * SECOND),
                write_stall: Some(16 * SECOND),
                precision: Some(2 * SECOND),
                ..Deadlines::off()
            },
            &Rates::default(),
        );
        assert!(!rules.begin_at_open());
        let mut connection = connection(&rules, 5);
        assert_eq!(connection.first_deadline(&rules, 5), None);
        connection.inbound.extend(b"half a fr");
        connection.frame_goes_on(6);
        assert_eq!(
            connection.first_deadline(&rules, 7),
            Some((8, Deadline::Frame))
        );
        assert_eq!(
            connection.first_deadline(&rules, 15),
            Some((0, Deadline::Frame))
        );
        // Who is not read from cannot finish a frame.
        connection.facts.set(Facts::PAUSED);
        assert_eq!(connection.first_deadline(&rules, 15), None);
    }

    #[test]
    fn nobody_is_idle_whose_bytes_a_rate_holds_back() {
        let rules = Rules::new(
            &Deadlines {
                idle: Some(8 * SECOND),
                precision: Some(2 * SECOND),
                ..Deadlines::off()
            },
            &Rates::default(),
        );
        let mut connection = connection(&rules, 5);
        for slowed in [Facts::SLOWED_IN, Facts::SLOWED_OUT] {
            connection.facts.set(slowed);
            assert_eq!(connection.first_deadline(&rules, 50), None);
            connection.facts.clear(slowed);
            assert_eq!(
                connection.first_deadline(&rules, 50),
                Some((0, Deadline::Idle))
            );
        }
    }

    #[test]
    fn ticks_wrap_around() {
        let rules = Rules::new(
            &Deadlines {
                idle: Some(8 * SECOND),
                lifetime: Some(80 * SECOND),
                precision: Some(2 * SECOND),
                ..Deadlines::off()
            },
            &Rates::default(),
        );
        let mut connection = connection(&rules, Tick::MAX - 1);
        assert!(rules.begin_at_open());
        assert_eq!(
            connection.first_deadline(&rules, 1),
            Some((6, Deadline::Idle))
        );
        connection.watch.active = 70;
        assert_eq!(
            connection.first_deadline(&rules, 77),
            Some((2, Deadline::Idle))
        );
        connection.watch.set_idle(None);
        assert_eq!(
            connection.first_deadline(&rules, 77),
            Some((2, Deadline::Lifetime))
        );
    }
}
