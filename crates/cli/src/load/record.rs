//! What a run, or a thread's part of it, has come to.

use super::latency::Latency;
use super::timeline::Timeline;

/// Everything that is counted. Its size does not depend on how many messages there were.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// From when a message was due to its answer.
    pub(crate) response: Latency,
    /// From when it was written. Without a schedule there is no difference, and only `response` is kept.
    pub(crate) service: Latency,
    /// From when it was due to when it was written, where the server did not hold it up: our own lateness.
    pub(crate) send_delay: Latency,
    pub(crate) timeline: Timeline,
    pub(crate) counts: Counts,
}

/// Messages and what became of them; those of the warm-up are not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// Answered before the time for sending was over.
    pub(crate) answered_in_time: u64,
    /// Sent, the connection is still there, and there was no answer in the time to wait.
    pub(crate) unanswered: u64,
    /// Sent, and then the connection ended or a later message was answered in its place.
    pub(crate) lost: u64,
    /// Due, but never sent: its connection was gone, or the server took no more.
    pub(crate) not_sent: u64,
    /// Of those, the ones that the server did not keep us from sending.
    pub(crate) behind: u64,
    /// Written late because the server took no more.
    pub(crate) held: u64,
    /// A second answer to the same message.
    pub(crate) duplicate: u64,
    /// Answered after a later message was.
    pub(crate) reordered: u64,
    /// Answers that are not what they should be.
    pub(crate) corrupt: u64,
    /// Answers that nothing had been sent for.
    pub(crate) unexpected: u64,
    /// Messages whose service time is an upper bound, because their time of writing was shared.
    pub(crate) coarse: u64,
    /// Connections that ended before we ended them.
    pub(crate) connections_lost: u64,
    /// Connections that messages were sent on and no answer ever came, though they did not end.
    pub(crate) connections_silent: u64,
}

impl Record {
    /// For a run that is expected to last so long, in nanoseconds, if it is known.
    pub(crate) fn new(expected: Option<u64>) -> Self {
        Self {
            response: Latency::new(),
            service: Latency::new(),
            send_delay: Latency::new(),
            timeline: Timeline::new(expected),
            counts: Counts::default(),
        }
    }

    /// Adds another thread's part.
    pub(crate) fn add(&mut self, other: Self) {
        self.response.add(&other.response);
        self.service.add(&other.service);
        self.send_delay.add(&other.send_delay);
        self.timeline.add(other.timeline);
        self.counts.add(&other.counts);
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        let Self {
            sent,
            answered,
            answered_in_time,
            unanswered,
            lost,
            not_sent,
            behind,
            held,
            duplicate,
            reordered,
            corrupt,
            unexpected,
            coarse,
            connections_lost,
            connections_silent,
        } = other;
        self.sent += sent;
        self.answered += answered;
        self.answered_in_time += answered_in_time;
        self.unanswered += unanswered;
        self.lost += lost;
        self.not_sent += not_sent;
        self.behind += behind;
        self.held += held;
        self.duplicate += duplicate;
        self.reordered += reordered;
        self.corrupt += corrupt;
        self.unexpected += unexpected;
        self.coarse += coarse;
        self.connections_lost += connections_lost;
        self.connections_silent += connections_silent;
    }

    /// Messages that were not answered as they should have been.
    pub(crate) fn errors(&self) -> u64 {
        self.unanswered
            + self.lost
            + self.not_sent
            + self.corrupt
            + self.duplicate
            + self.unexpected
    }

    /// Whether everything that was due was sent and answered, and nothing else happened. Answers out of order are
    /// told, but they are no failure: many a server may give them.
    pub(crate) fn all_good(&self) -> bool {
        self.errors() == 0 && self.connections_lost == 0 && self.sent > 0
    }
}
