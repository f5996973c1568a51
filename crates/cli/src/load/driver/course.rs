//! Where a run and each of its connections stand.

use std::ops::Range;
use std::time::Instant;

use crate::load::matching::Matching;
use crate::load::pace::{Pace, Schedule, nanoseconds};
use crate::load::plan::Plan;
use crate::load::written::Written;

/// Times of writing that a thread remembers, over all of its connections: 16 MiB.
pub(super) const ENTRIES_MAX: usize = 1 << 20;
/// Every connection remembers at least so many.
const ENTRIES_MIN: usize = 8;

/// What the coordinator says to a thread.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    /// Begin.
    Start(Start),
    /// See how late it is. Whoever waits for nothing but its sockets need not set a timer for each wait.
    Look,
}

/// How a run begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// When the first message is due.
    pub(crate) zero: Instant,
    /// Connections of the other threads before this one's.
    pub(crate) first: u64,
    /// Connections of all threads.
    pub(crate) connections: u64,
}

/// What is known from the start on. Times are nanoseconds since then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) zero: Instant,
    pub(super) first: u64,
    pub(super) connections: u64,
    /// Where messages are due at times fixed in advance.
    pub(super) schedule: Option<Schedule>,
    /// From here on messages count.
    pub(super) measure_from: u64,
    /// No message is sent that is due at this time or later.
    pub(super) end: u64,
    pub(super) entries_max: usize,
}

/// One connection.
pub(crate) struct Lane {
    pub(super) index: usize,
    /// Over all threads; known from the start on.
    pub(super) number: u64,
    /// The next message to send.
    pub(super) next: u64,
    /// No message from here on.
    pub(super) share: u64,
    /// The queue is full, since this turn.
    pub(super) held: Option<Instant>,
    pub(super) entered: bool,
    pub(super) active: bool,
    pub(super) matching: Matching,
    pub(super) written: Written,
}

impl Lane {
    /// The connection that was made after so many others.
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            number: 0,
            next: 0,
            share: 0,
            held: None,
            entered: false,
            active: false,
            matching: Matching::default(),
            written: Written::default(),
        }
    }
}

impl Run {
    /// As planned, for a thread with so many connections.
    pub(super) fn new(plan: &Plan, start: &Start, members: usize) -> Self {
        let measure_from = nanoseconds(plan.warm_up);
        let stop = plan
            .duration
            .map(|duration| measure_from.saturating_add(nanoseconds(duration)));
        let (schedule, end) = match plan.pace {
            Pace::Open(rate) => {
                let warm_up = Schedule::due_before(rate, measure_from);
                let in_time = stop.map_or(u64::MAX, |stop| Schedule::due_before(rate, stop));
                let counted = plan
                    .count
                    .map_or(u64::MAX, |count| warm_up.saturating_add(count));
                let schedule = Schedule::new(rate, start.connections, in_time.min(counted));
                let end = stop.filter(|_| in_time <= counted);
                let end = end.unwrap_or_else(|| schedule.end());
                (Some(schedule), end)
            }
            Pace::Closed { .. } => (None, stop.unwrap_or(u64::MAX)),
        };
        Self {
            zero: start.zero,
            first: start.first,
            connections: start.connections,
            schedule,
            measure_from,
            end,
            entries_max: match plan.pace {
                Pace::Open(_) => (ENTRIES_MAX / members.max(1)).max(ENTRIES_MIN),
                // As many as are under way, which the depth bounds.
                Pace::Closed { .. } => usize::MAX,
            },
        }
    }

    #[inline]
    pub(super) fn now(&self) -> u64 {
        nanoseconds(self.zero.elapsed())
    }

    #[inline]
    pub(super) fn slot(&self, time: u64) -> u64 {
        time.saturating_sub(self.measure_from)
    }
}

/// When a message was due and when it was written.
#[inline]
pub(super) fn times(run: &Run, lane: &Lane, sequence: u64) -> (u64, u64) {
    let written = lane.written.time_of(sequence).unwrap_or_default();
    let due = run
        .schedule
        .map_or(written, |schedule| schedule.due(lane.number, sequence));
    (due, written)
}

/// The first of these messages that is due at `time` or later.
pub(super) fn first_due(schedule: &Schedule, number: u64, range: &Range<u64>, time: u64) -> u64 {
    partition(range, |sequence| schedule.due(number, sequence) < time)
}

/// The first of a stretch for which this no longer holds.
pub(super) fn partition(range: &Range<u64>, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
