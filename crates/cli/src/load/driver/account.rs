//! What becomes of every message: answered, unanswered, lost or never sent.

use std::ops::Range;

use trunkline::{Cause, Closed};

use super::Driver;
use super::course::{Lane, Run, first_due, partition, times};
use crate::ending::describe;

/// Of a longer stretch of unanswered messages, so many ages are recorded, each for several messages.
const AGES_MAX: u64 = 4096;

impl Driver {
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
        // On a schedule the time after the last message, until one more would be due, belongs to it.
        let whole = run.schedule.is_some() && !self.all_gone();
        let end = if whole { run.end } else { now.min(run.end) };
        (end.saturating_sub(run.measure_from), self.outstanding > 0)
    }

    /// Messages that were due by now, and are never sent. Says how many.
    pub(super) fn not_sent(&mut self, run: &Run, number: u64, range: Range<u64>, now: u64) -> u64 {
        let Some(schedule) = run.schedule else {
            return 0;
        };
        let from = first_due(&schedule, number, &range, run.measure_from);
        let until = now.min(run.end);
        let to = first_due(&schedule, number, &(from..range.end), until);
        self.record.counts.not_sent += to - from;
        self.record_ages(from..to, run, now, |sequence| {
            (schedule.due(number, sequence), None)
        });
        to - from
    }

    /// Records the ages of messages that will not be answered. `times` gives when one was due and when it was written.
    pub(super) fn record_ages(
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
    pub(super) fn waiting_in_vain(&mut self, lane: &Lane, run: &Run, lost: bool) {
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

    /// Message `sequence` has its answer.
    #[inline]
    pub(super) fn answered(&mut self, lane: &mut Lane, run: &Run, sequence: u64, now: u64) {
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
    pub(super) fn given_up(&mut self, lane: &Lane, run: &Run, now: u64) {
        for sequence in std::mem::take(&mut self.lost) {
            self.outstanding -= 1;
            let (due, written) = times(run, lane, sequence);
            if due >= run.measure_from {
                self.record.counts.lost += 1;
                self.record_ages(sequence..sequence + 1, run, now, |_| (due, Some(written)));
            }
        }
    }

    pub(super) fn ended(&mut self, lane: &mut Lane, closed: &Closed) {
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
