//! The handler: sends what is due, takes answers, and accounts for every message.
//!
//! Memory: a connection holds its place in the schedule (numbers alone), at most its share of [`ENTRIES_MAX`] times of
//! writing, and at most `AHEAD_MAX` answers out of order. What is due but cannot be sent, because the server takes no
//! more, waits as a number and not as bytes.

use std::ops::Range;
use std::time::{Duration, Instant};

use trunkline::{Cause, Closed, ConnectionId, Error, Flow, Handler, Io, Sent};

use super::matching::{Matching, Reply};
use super::pace::{Pace, Schedule, nanoseconds, share};
use super::plan::Plan;
use super::record::Record;
use super::template::Template;
use super::wire::Wire;
use super::written::Written;
use crate::ending::describe;

/// Times of writing that a thread remembers, over all of its connections: 16 MiB.
const ENTRIES_MAX: usize = 1 << 20;
/// Every connection remembers at least so many.
const ENTRIES_MIN: usize = 8;
/// Of a longer stretch of unanswered messages, so many ages are recorded, each for several messages.
const AGES_MAX: u64 = 4096;

/// What the coordinator says to a thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// When the first message is due.
    pub(crate) zero: Instant,
    /// Connections of the other threads before this one's.
    pub(crate) first: u64,
    /// Connections of all threads.
    pub(crate) connections: u64,
}

/// All connections of one thread.
pub(crate) struct Driver {
    wire: Wire,
    template: Template,
    plan: Plan,
    members: Vec<ConnectionId>,
    /// From the start on.
    run: Option<Run>,
    pub(crate) record: Record,
    /// Messages that wait for an answer, those of the warm-up included.
    outstanding: u64,
    /// Connections that may send more.
    active: u64,
    /// Connections that ended before the start, by their place.
    early: Vec<u64>,
    /// Somebody wants to see the result now.
    interrupted: bool,
    /// What ended connections have left unsent.
    abandoned: Vec<(u64, Range<u64>)>,
    /// From now on it is us who end connections.
    over: bool,
    pub(crate) connect_error: Option<Error>,
    /// How the first connection ended that ended too soon.
    pub(crate) first_loss: Option<String>,
    /// When anything was last sent or answered, in nanoseconds from the start.
    last_event: u64,
    lost: Vec<u64>,
}

/// What is known from the start on. Times are nanoseconds since then.
#[derive(Debug, Clone, Copy)]
struct Run {
    zero: Instant,
    first: u64,
    connections: u64,
    /// Where messages are due at times fixed in advance.
    schedule: Option<Schedule>,
    /// From here on messages count.
    measure_from: u64,
    /// No message is sent that is due later.
    end: u64,
    entries_max: usize,
}

/// One connection.
pub(crate) struct Lane {
    index: usize,
    /// Over all threads; known from the start on.
    number: u64,
    /// The next message to send.
    next: u64,
    /// No message from here on.
    share: u64,
    /// The queue is full, since this turn.
    held: Option<Instant>,
    entered: bool,
    active: bool,
    matching: Matching,
    written: Written,
}

impl Run {
    fn new(plan: &Plan, start: &Start, members: usize) -> Self {
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
                // With a duration the whole of it belongs to the run, though nothing is due at its very end.
                let end = if counted < in_time {
                    schedule.end()
                } else {
                    stop.unwrap_or(u64::MAX)
                };
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
    fn now(&self) -> u64 {
        nanoseconds(self.zero.elapsed())
    }

    #[inline]
    fn slot(&self, time: u64) -> u64 {
        time.saturating_sub(self.measure_from)
    }
}

impl Driver {
    pub(crate) fn new(plan: Plan) -> Self {
        let expected = plan.duration.map(nanoseconds);
        Self {
            wire: plan.wire.clone(),
            template: plan.template.clone(),
            plan,
            members: Vec::new(),
            run: None,
            record: Record::new(expected),
            outstanding: 0,
            active: 0,
            early: Vec::new(),
            interrupted: false,
            abandoned: Vec::new(),
            over: false,
            connect_error: None,
            first_loss: None,
            last_event: 0,
            lost: Vec::new(),
        }
    }

    /// How many connections have been made.
    pub(crate) fn made(&self) -> usize {
        self.members.len()
    }

    /// Whether the start has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.run.is_some()
    }

    /// How many of them are gone.
    pub(crate) fn gone(&self) -> u64 {
        self.record.counts.connections_lost
    }

    /// Whether there is nothing more to be done: all is sent and answered, nobody is left, or the time is up.
    pub(crate) fn is_done(&self) -> bool {
        let Some(run) = &self.run else {
            return false;
        };
        let gone = self.gone() == self.members.len() as u64;
        // A look at the clock only where it can matter.
        gone || (self.active == 0 && self.outstanding == 0) || self.is_out_of_time(run)
    }

    fn is_out_of_time(&self, run: &Run) -> bool {
        let now = run.now();
        if run.end != u64::MAX {
            let sent_in_time = now >= run.end;
            let waited = now >= run.end.saturating_add(nanoseconds(self.plan.wait));
            // Without a schedule nobody sends any more, so those who still could do not count; nor after an interrupt.
            let all_is_sent = run.schedule.is_none() || self.interrupted;
            return waited || sent_in_time && self.outstanding == 0 && all_is_sent;
        }
        // Without an end: when nothing has happened for so long.
        now.saturating_sub(self.last_event) >= nanoseconds(self.plan.wait)
    }

    /// Sends no more; what is under way may be answered.
    pub(crate) fn interrupt(&mut self) {
        if let Some(run) = &mut self.run
            && !self.interrupted
        {
            self.interrupted = true;
            run.end = run.end.min(run.now());
        }
    }

    /// Ends the run: from now on connections are ended by us. Gives how long messages were sent, in nanoseconds, without
    /// the warm-up; whether anything is still under way.
    pub(crate) fn finish(&mut self) -> (u64, bool) {
        self.over = true;
        let Some(run) = self.run else {
            return (0, false);
        };
        let now = run.now();
        for place in std::mem::take(&mut self.early) {
            let number = run.first + place;
            let all = run.schedule.map_or(0, |schedule| schedule.share(number));
            self.abandoned.push((number, 0..all));
        }
        for (number, range) in std::mem::take(&mut self.abandoned) {
            self.not_sent(&run, number, range, now);
        }
        (
            now.min(run.end).saturating_sub(run.measure_from),
            self.outstanding > 0,
        )
    }

    /// Messages that were due by now, and are never sent. Says how many.
    fn not_sent(&mut self, run: &Run, number: u64, range: Range<u64>, now: u64) -> u64 {
        let Some(schedule) = run.schedule else {
            return 0;
        };
        let from = first_due(&schedule, number, &range, run.measure_from);
        let until = now.min(run.end.saturating_add(1));
        let to = first_due(&schedule, number, &(from..range.end), until);
        self.record.counts.not_sent += to - from;
        self.record_ages(from..to, run, now, |sequence| {
            (schedule.due(number, sequence), None)
        });
        to - from
    }

    /// Records the ages of messages that will not be answered. `times` gives when one was due and when it was written.
    fn record_ages(
        &mut self,
        range: Range<u64>,
        run: &Run,
        now: u64,
        times: impl Fn(u64) -> (u64, Option<u64>),
    ) {
        let stride = (range.end - range.start).div_ceil(AGES_MAX).max(1);
        let mut sequence = range.start;
        while sequence < range.end {
            let count = stride.min(range.end - sequence);
            // The youngest of them stands for all: no age is too long.
            let (due, written) = times(sequence + count - 1);
            let age = now.saturating_sub(due);
            self.record.response.record_open(age, count);
            self.record
                .timeline
                .at(run.slot(due))
                .response(age, u32::try_from(count).unwrap_or(u32::MAX));
            if let (Some(written), Some(_)) = (written, run.schedule) {
                self.record
                    .service
                    .record_open(now.saturating_sub(written), count);
            }
            sequence += count;
        }
    }

    /// Messages of this connection that were sent and will not be answered. Those before `lost_before` are lost.
    fn waiting_in_vain(&mut self, lane: &Lane, run: &Run, lost: bool) {
        let now = run.now();
        for gap in lane.matching.gaps(lane.next) {
            self.outstanding -= gap.end - gap.start;
            let times = |sequence| times(run, lane, sequence);
            let from = partition(&gap, |sequence| times(sequence).0 < run.measure_from);
            let count = gap.end - from;
            if lost || (count > 0 && lane.matching.is_passed_over(from)) {
                self.record.counts.lost += count;
            } else {
                self.record.counts.unanswered += count;
            }
            self.record_ages(from..gap.end, run, now, |sequence| {
                let (due, written) = times(sequence);
                (due, Some(written))
            });
        }
    }

    fn begin(&mut self, io: &mut Io<'_, Self>, start: &Start) {
        self.run = Some(Run::new(&self.plan, start, self.members.len()));
        let delay = start.zero.saturating_duration_since(io.now());
        for &member in &self.members {
            // One that has ended in the meantime has no timer.
            let armed = io.after_on(member, delay, 0);
            self.active += u64::from(armed.is_some());
        }
    }

    /// The connection's first turn: only now are its numbers known.
    fn enter(&mut self, lane: &mut Lane, run: &Run) {
        lane.number = run.first + lane.index as u64;
        lane.entered = true;
        lane.active = true;
        lane.share = match (run.schedule, self.plan.count) {
            (Some(schedule), _) => schedule.share(lane.number),
            (None, Some(count)) => share(count, lane.number, run.connections),
            (None, None) => u64::MAX,
        };
    }

    /// Sends what is due by now and sets a timer for the next one.
    fn send_due(&mut self, lane: &mut Lane, io: &mut Io<'_, Self>, run: &Run, schedule: &Schedule) {
        // A queue that was full and is empty in the same turn was filled by us being late, not by the server.
        let was_held = lane.held.take().is_some_and(|since| since != io.now());
        while lane.next < lane.share && lane.held.is_none() {
            let now = run.now();
            let due = schedule.due(lane.number, lane.next);
            if due > run.end {
                break;
            }
            if due > now {
                let at = run.zero + Duration::from_nanos(due);
                let delay = at.saturating_duration_since(io.now());
                io.after(delay, 0);
                return;
            }
            if !self.send(lane, io, run, now, due) {
                return;
            }
            if due >= run.measure_from {
                if was_held {
                    self.record.counts.held += 1;
                } else {
                    self.record.send_delay.record(now - due);
                }
            }
        }
        if lane.held.is_none() || lane.next == lane.share {
            self.retire(lane);
        }
    }

    /// Without a schedule: as many as may be under way.
    fn fill(&mut self, lane: &mut Lane, io: &mut Io<'_, Self>, run: &Run, depth: u64) {
        let now = run.now();
        while lane.active && lane.matching.waiting(lane.next) < depth {
            if !self.send_next(lane, io, run, now) {
                return;
            }
        }
    }

    #[inline]
    fn send_next(&mut self, lane: &mut Lane, io: &mut Io<'_, Self>, run: &Run, now: u64) -> bool {
        if now >= run.end || lane.share == 0 {
            self.retire(lane);
            return false;
        }
        // What is sent in the warm-up is not counted.
        lane.share -= u64::from(self.plan.count.is_some() && now >= run.measure_from);
        self.send(lane, io, run, now, now)
    }

    #[inline]
    fn send(
        &mut self,
        lane: &mut Lane,
        io: &mut Io<'_, Self>,
        run: &Run,
        now: u64,
        due: u64,
    ) -> bool {
        match io.send(self.template.message(lane.number, lane.next)) {
            Sent::Queued => {}
            Sent::AboveHigh => lane.held = Some(io.now()),
            // It is closing; the plan has seen that the message can be framed, and that there is room.
            Sent::Gone | Sent::Dropped | Sent::Rejected(_) => {
                self.retire(lane);
                return false;
            }
        }
        let exact = lane.written.push(lane.next, now, run.entries_max);
        lane.next += 1;
        self.outstanding += 1;
        self.last_event = now;
        if due >= run.measure_from {
            self.record.counts.sent += 1;
            self.record.counts.coarse += u64::from(!exact);
            self.record.timeline.at(run.slot(now)).sent += 1;
        }
        true
    }

    /// This connection sends no more.
    fn retire(&mut self, lane: &mut Lane) {
        if std::mem::take(&mut lane.active) {
            self.active -= 1;
        }
    }

    /// Message `sequence` has its answer.
    #[inline]
    fn answered(&mut self, lane: &mut Lane, run: &Run, sequence: u64, now: u64) {
        let (due, written) = times(run, lane, sequence);
        self.outstanding -= 1;
        self.last_event = now;
        lane.written.forget_before(lane.matching.next(), lane.next);
        if due < run.measure_from {
            return;
        }
        let counts = &mut self.record.counts;
        counts.answered += 1;
        counts.answered_in_time += u64::from(now < run.end);
        let response = now.saturating_sub(due);
        self.record.response.record(response);
        if run.schedule.is_some() {
            self.record.service.record(now.saturating_sub(written));
        }
        self.record.timeline.at(run.slot(due)).response(response, 1);
        self.record.timeline.at(run.slot(now)).answered += 1;
    }

    /// Messages that were given up because too many later ones were answered.
    #[cold]
    fn given_up(&mut self, lane: &Lane, run: &Run, now: u64) {
        for sequence in std::mem::take(&mut self.lost) {
            self.outstanding -= 1;
            let (due, written) = times(run, lane, sequence);
            if due >= run.measure_from {
                self.record.counts.lost += 1;
                self.record_ages(sequence..sequence + 1, run, now, |_| (due, Some(written)));
            }
        }
    }

    fn ended(&mut self, lane: &mut Lane, closed: &Closed) {
        self.record.counts.connections_lost += 1;
        if self.first_loss.is_none() {
            self.first_loss = Some(match closed.cause {
                Cause::Finished => "the server closed it".to_owned(),
                ref cause => describe(cause),
            });
        }
        let Some(run) = self.run else {
            self.early.push(lane.index as u64);
            return;
        };
        if !lane.entered {
            // It ended between the start and its first turn.
            self.enter(lane, &run);
        }
        self.waiting_in_vain(lane, &run, true);
        if run.schedule.is_some() && lane.next < lane.share {
            self.abandoned.push((lane.number, lane.next..lane.share));
        }
        self.retire(lane);
    }
}

/// When a message was due and when it was written.
#[inline]
fn times(run: &Run, lane: &Lane, sequence: u64) -> (u64, u64) {
    let written = lane.written.time_of(sequence).unwrap_or_default();
    let due = run
        .schedule
        .map_or(written, |schedule| schedule.due(lane.number, sequence));
    (due, written)
}

/// The first of these messages that is due at `time` or later.
fn first_due(schedule: &Schedule, number: u64, range: &Range<u64>, time: u64) -> u64 {
    partition(range, |sequence| schedule.due(number, sequence) < time)
}

/// The first of a stretch for which this no longer holds.
fn partition(range: &Range<u64>, holds: impl Fn(u64) -> bool) -> u64 {
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

impl Handler for Driver {
    type Codec = Wire;
    type State = Lane;
    type Message = Start;

    fn codec(&self) -> Wire {
        self.wire.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Lane> {
        let index = self.members.len();
        self.members.push(io.id());
        Some(Lane {
            index,
            number: 0,
            next: 0,
            share: 0,
            held: None,
            entered: false,
            active: false,
            matching: Matching::default(),
            written: Written::default(),
        })
    }

    fn message(&mut self, io: &mut Io<'_, Self>, start: Start) {
        self.begin(io, &start);
    }

    fn timer(&mut self, lane: &mut Lane, io: &mut Io<'_, Self>, _token: u64) {
        let Some(run) = self.run.filter(|_| !self.over) else {
            return;
        };
        if !lane.entered {
            self.enter(lane, &run);
        }
        match (run.schedule, self.plan.pace) {
            (Some(schedule), _) => self.send_due(lane, io, &run, &schedule),
            (None, Pace::Closed { depth }) => self.fill(lane, io, &run, depth),
            (None, Pace::Open(_)) => {}
        }
    }

    #[inline]
    fn frame(&mut self, lane: &mut Lane, io: &mut Io<'_, Self>, answer: &[u8]) -> Flow {
        let Some(run) = self.run else {
            // A greeting: nothing has been sent yet.
            return Flow::Continue;
        };
        let now = run.now();
        let reply = lane.matching.reply(
            answer,
            &mut self.template,
            self.plan.verify,
            lane.number,
            lane.next,
            &mut self.lost,
        );
        if !self.lost.is_empty() {
            self.given_up(lane, &run, now);
        }
        match reply {
            Reply::InOrder(sequence) => self.answered(lane, &run, sequence, now),
            Reply::OutOfOrder(sequence) => {
                self.record.counts.reordered += 1;
                self.answered(lane, &run, sequence, now);
            }
            Reply::Corrupt(sequence) => {
                self.record.counts.corrupt += 1;
                self.answered(lane, &run, sequence, now);
            }
            Reply::Duplicate => {
                self.record.counts.duplicate += 1;
                return Flow::Continue;
            }
            Reply::Unexpected => {
                self.record.counts.unexpected += 1;
                return Flow::Continue;
            }
        }
        if run.schedule.is_none() && lane.active && !self.over {
            self.send_next(lane, io, &run, now);
        }
        Flow::Continue
    }

    fn drained(&mut self, lane: &mut Lane, io: &mut Io<'_, Self>) {
        if let Some(run) = self.run.filter(|_| !self.over)
            && let Some(schedule) = run.schedule
        {
            self.send_due(lane, io, &run, &schedule);
        }
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, _id: ConnectionId, error: Error) {
        self.connect_error.get_or_insert(error);
    }

    fn closed(&mut self, mut lane: Lane, _io: &mut Io<'_, Self>, closed: Closed) {
        if !self.over {
            self.ended(&mut lane, &closed);
            return;
        }
        let Some(run) = self.run else {
            return;
        };
        self.waiting_in_vain(&lane, &run, false);
        if run.schedule.is_some() {
            let unsent = lane.next..lane.share.max(lane.next);
            let unsent = self.not_sent(&run, lane.number, unsent, run.now());
            if lane.held.is_none() {
                self.record.counts.behind += unsent;
            }
        }
    }
}
