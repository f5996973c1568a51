//! The handler: sends what is due, takes answers, and accounts for every message.
//!
//! Memory: a connection holds its place in the schedule (numbers alone), at most its share of [`ENTRIES_MAX`](course::ENTRIES_MAX) times
//! of writing, and at most `AHEAD_MAX` answers out of order. What is due but cannot be sent, because the server takes no
//! more, waits as a number and not as bytes.

mod account;
mod course;

use std::ops::Range;
use std::time::Duration;

use trunkline::{Closed, ConnectionId, Error, Flow, Handler, Io, Sent};

use super::matching::Reply;
use super::pace::{Pace, Schedule, nanoseconds, share};
use super::plan::Plan;
use super::record::Record;
use super::template::Template;
use super::wire::Wire;
use course::Run;
pub(crate) use course::{Lane, Start, Word};

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
    /// The time as it was last seen, so that nobody has to look each time.
    now: u64,
    lost: Vec<u64>,
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
            now: 0,
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

    /// Whether no connection is left.
    fn all_gone(&self) -> bool {
        self.record.counts.connections_lost == self.members.len() as u64
    }

    /// Whether there is nothing more to be done: all is sent and answered, nobody is left, or the time is up.
    pub(crate) fn is_done(&self) -> bool {
        let Some(run) = &self.run else {
            return false;
        };
        let quiet = self.active == 0 && self.outstanding == 0;
        // What was left to connections that are gone is due all the same.
        let owed = !self.abandoned.is_empty() || run.schedule.is_some() && !self.early.is_empty();
        self.all_gone() || (quiet && (!owed || self.now >= run.end)) || self.is_out_of_time(run)
    }

    fn is_out_of_time(&self, run: &Run) -> bool {
        let now = self.now;
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
            if due >= run.end {
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
            // It is closing. The plan has seen that the message can be framed and that there is room, so the others do
            // not happen.
            Sent::Gone
            | Sent::Dropped
            | Sent::DroppedOldest { .. }
            | Sent::Replaced
            | Sent::Rejected(_) => {
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
}

impl Handler for Driver {
    type Codec = Wire;
    type State = Lane;
    type Message = Word;

    fn codec(&self) -> Wire {
        self.wire.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Lane> {
        self.members.push(io.id());
        Some(Lane::new(self.members.len() - 1))
    }

    fn message(&mut self, io: &mut Io<'_, Self>, word: Word) {
        match word {
            Word::Start(start) => self.begin(io, &start),
            Word::Look => self.now = self.run.map_or(0, |run| run.now()),
        }
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
        self.now = now;
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
        self.record.counts.connections_silent +=
            u64::from(lane.next > 0 && !lane.matching.has_any());
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
