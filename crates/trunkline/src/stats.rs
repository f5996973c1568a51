//! What a loop counts: plain numbers, cheap to copy, in names that logs and status lines share.

use std::fmt;
use std::time::Duration;

use crate::drained::Drained;
use crate::handler::Cause;

/// Kinds that are counted one by one: a name for each, and all of them in order.
macro_rules! kinds {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident => $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[$doc])* $variant,)*
        }

        impl $kind {
            /// All of them, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name of its counter.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// Why connections end: what [`Cause`] says, without the details.
    CauseKind {
        /// [`Cause::Finished`].
        Finished => "closed_finished",
        /// [`Cause::Aborted`].
        Aborted => "closed_aborted",
        /// [`Cause::Failed`].
        Failed => "closed_failed",
        /// [`Cause::BadFrame`].
        BadFrame => "closed_bad_frame",
        /// [`Cause::Overflow`].
        Overflow => "closed_overflow",
        /// [`Cause::TooSlow`].
        TooSlow => "closed_too_slow",
        /// [`Cause::LingerExpired`].
        LingerExpired => "closed_linger_expired",
        /// [`Cause::Evicted`].
        Evicted => "closed_evicted",
        /// [`Cause::HandshakeExpired`].
        HandshakeExpired => "closed_handshake_expired",
        /// [`Cause::FrameExpired`].
        FrameExpired => "closed_frame_expired",
        /// [`Cause::IdleExpired`].
        IdleExpired => "closed_idle_expired",
        /// [`Cause::WriteStalled`].
        WriteStalled => "closed_write_stalled",
        /// [`Cause::BelowRate`].
        BelowRate => "closed_below_rate",
        /// [`Cause::LifetimeExpired`].
        LifetimeExpired => "closed_lifetime_expired",
        /// [`Cause::Stopped`].
        Stopped => "closed_stopped",
        /// [`Cause::Panicked`].
        Panicked => "closed_panicked",
    }
}

kinds! {
    /// Why clients are turned away.
    Refusal {
        /// [`Handler::open`](crate::Handler::open) did not want the connection.
        Handler => "refused_by_handler",
        /// There were [`Options::connections_max`](crate::Options::connections_max) already.
        Full => "refused_at_maximum",
        /// The peer had as many as [`Limits::per_peer_max`](crate::Limits::per_peer_max).
        PerPeer => "refused_for_their_peer",
        /// They came faster than [`Limits::accept_rate`](crate::Limits::accept_rate).
        Rate => "refused_at_the_rate",
        /// Descriptors had run out.
        Descriptors => "refused_without_descriptors",
    }
}

impl Cause {
    /// What kind of end it is, for counters.
    pub fn kind(&self) -> CauseKind {
        match self {
            Self::Finished => CauseKind::Finished,
            Self::Aborted => CauseKind::Aborted,
            Self::Failed(_) => CauseKind::Failed,
            Self::BadFrame(_) => CauseKind::BadFrame,
            Self::Overflow => CauseKind::Overflow,
            Self::TooSlow => CauseKind::TooSlow,
            Self::LingerExpired => CauseKind::LingerExpired,
            Self::Evicted => CauseKind::Evicted,
            Self::HandshakeExpired => CauseKind::HandshakeExpired,
            Self::FrameExpired => CauseKind::FrameExpired,
            Self::IdleExpired => CauseKind::IdleExpired,
            Self::WriteStalled => CauseKind::WriteStalled,
            Self::BelowRate => CauseKind::BelowRate,
            Self::LifetimeExpired => CauseKind::LifetimeExpired,
            Self::Stopped => CauseKind::Stopped,
            Self::Panicked(_) => CauseKind::Panicked,
        }
    }
}

/// One turn in so many is timed ([`Stats::turn_times`]), the others read no clock for it: two readings would cost a
/// usual turn half as much again.
pub const TURNS_PER_SAMPLE: u64 = 256;

/// The counters and gauges of a loop, since it began.
///
/// From a callback: [`Io::stats`](crate::Io::stats). From another thread: [`Remote::stats`](crate::Remote::stats). At the
/// end: what [`EventLoop::run`](crate::EventLoop::run) gives back. [`iter`](Stats::iter) has them all with their names, and
/// displayed they are one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections of ours that were made.
    pub connected: u64,
    /// Clients turned away, for whatever reason: the sum of `refused_by`.
    pub refused: u64,
    /// … by reason, in the order of [`Refusal::ALL`]; see [`Stats::refused_for`].
    pub refused_by: [u64; Refusal::COUNT],
    /// Connections that have ended, in whatever way: the sum of `closed_by`.
    pub closed: u64,
    /// … by cause, in the order of [`CauseKind::ALL`]; see [`Stats::closed_for`].
    pub closed_by: [u64; CauseKind::COUNT],
    /// Of those, the ones that did not end in order.
    pub failed: u64,
    /// Connections of ours that could not be made.
    pub connect_failed: u64,
    /// Calls to accept that failed, other than for want of a client.
    pub accept_errors: u64,
    /// How often accepting paused, at the maximum or for want of descriptors.
    pub accept_pauses: u64,
    /// Connections open now.
    pub open: u64,
    /// The most that were open at once.
    pub peak_open: u64,
    /// Frames handed to the handler.
    pub frames_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bytes in the outgoing queues now. What one connection alone sends counts while it waits; bytes that a broadcast
    /// shares count once, in full, for as long as any connection has a part of them still to write. (Of one connection,
    /// [`Io::queued`](crate::Io::queued) tells all that it has to write, shared or not.)
    pub queued_bytes: u64,
    /// The most there were at once.
    pub queued_bytes_peak: u64,
    /// The most that ever waited on one connection, in bytes.
    pub queue_bytes_peak: u64,
    /// Messages dropped because a queue was at its hard limit.
    pub dropped: u64,
    /// Messages dropped to make room for later ones ([`Overflow::DropOldest`](crate::Overflow::DropOldest)).
    pub dropped_oldest: u64,
    /// Messages replaced by later ones with the same key ([`Io::send_keyed`](crate::Io::send_keyed)).
    pub replaced: u64,
    /// Panics of the handler and its codec.
    pub panics: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// What became of the connections that were open when the loop began to drain, or came while it did.
    pub drained: Drained,
    /// How long turns take, from the end of the wait to the next one, of one in [`TURNS_PER_SAMPLE`].
    pub turn_times: TurnTimes,
}

fn add_each<const N: usize>(sums: &mut [u64; N], others: &[u64; N]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}

impl Stats {
    /// Adds the counters of another loop. Peaks are added too: what they were at one moment nobody knows, but it was no
    /// more.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.connected += other.connected;
        self.refused += other.refused;
        add_each(&mut self.refused_by, &other.refused_by);
        self.closed += other.closed;
        add_each(&mut self.closed_by, &other.closed_by);
        self.failed += other.failed;
        self.connect_failed += other.connect_failed;
        self.accept_errors += other.accept_errors;
        self.accept_pauses += other.accept_pauses;
        self.open += other.open;
        self.peak_open += other.peak_open;
        self.frames_in += other.frames_in;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.queued_bytes += other.queued_bytes;
        self.queued_bytes_peak += other.queued_bytes_peak;
        self.queue_bytes_peak = self.queue_bytes_peak.max(other.queue_bytes_peak);
        self.dropped += other.dropped;
        self.dropped_oldest += other.dropped_oldest;
        self.replaced += other.replaced;
        self.panics += other.panics;
        self.turns += other.turns;
        add_each(&mut self.turn_times.counts, &other.turn_times.counts);
        self.drained.add(&other.drained);
    }

    /// Clients turned away for this reason.
    pub fn refused_for(&self, reason: Refusal) -> u64 {
        self.refused_by[reason as usize]
    }

    /// Connections that ended for this kind of cause.
    pub fn closed_for(&self, kind: CauseKind) -> u64 {
        self.closed_by[kind as usize]
    }

    /// Every counter and gauge with its name; of the turn times, in nanoseconds, the middle, the ninety-ninth
    /// hundredth and the highest (zero while there is no sample).
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let plain = [
            ("open", self.open),
            ("peak_open", self.peak_open),
            ("accepted", self.accepted),
            ("connected", self.connected),
            ("closed", self.closed),
            ("failed", self.failed),
            ("refused", self.refused),
            ("connect_failed", self.connect_failed),
            ("accept_errors", self.accept_errors),
            ("accept_pauses", self.accept_pauses),
            ("frames_in", self.frames_in),
            ("bytes_in", self.bytes_in),
            ("bytes_out", self.bytes_out),
            ("queued_bytes", self.queued_bytes),
            ("queued_bytes_peak", self.queued_bytes_peak),
            ("queue_bytes_peak", self.queue_bytes_peak),
            ("dropped", self.dropped),
            ("dropped_oldest", self.dropped_oldest),
            ("replaced", self.replaced),
            ("panics", self.panics),
            ("turns", self.turns),
        ];
        let times = [
            ("turn_time_p50_ns", self.turn_times.quantile(0.5)),
            ("turn_time_p99_ns", self.turn_times.quantile(0.99)),
            ("turn_time_max_ns", self.turn_times.quantile(1.0)),
        ]
        .map(|(name, time)| (name, nanoseconds(time.unwrap_or_default())));
        let refused_by = self.refused_by;
        let refusals = Refusal::ALL.iter();
        let refused = refusals.map(move |kind| (kind.name(), refused_by[*kind as usize]));
        let closed_by = self.closed_by;
        let causes = CauseKind::ALL.iter();
        let closed = causes.map(move |kind| (kind.name(), closed_by[*kind as usize]));
        plain.into_iter().chain(refused).chain(closed).chain(times)
    }

    pub(crate) fn opened(&mut self) {
        self.open += 1;
        self.peak_open = self.peak_open.max(self.open);
    }

    pub(crate) fn refuse(&mut self, reason: Refusal) {
        self.refused += 1;
        self.refused_by[reason as usize] += 1;
    }

    pub(crate) fn close(&mut self, cause: &Cause) {
        self.open -= 1;
        self.closed += 1;
        self.closed_by[cause.kind() as usize] += 1;
        if !matches!(cause, Cause::Finished) {
            self.failed += 1;
        }
    }
}

/// All that is not zero, as `name=value`, in one line.
impl fmt::Display for Stats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.iter().filter(|(_, value)| *value > 0);
        for (index, (name, value)) in counted.enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(formatter, "{space}{name}={value}")?;
        }
        Ok(())
    }
}

/// A histogram of durations: each place holds those of twice the length of the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnTimes {
    /// Place *n* counts durations of at least 2ⁿ nanoseconds and less than 2ⁿ⁺¹; the first also those of none, the last
    /// also all longer ones.
    pub counts: [u64; TurnTimes::PLACES],
}

impl TurnTimes {
    /// Places: the last one begins at 2.1 seconds.
    pub const PLACES: usize = 32;

    /// How many durations are counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// A duration than which the given share of those counted (0 to 1) is shorter: an upper bound, less than twice too
    /// much, but for the last place, of which nobody knows the end. `None` when nothing is counted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a share of a count: far below 2^52, and not below zero"
        )]
        let rank = (count as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        let place = self.counts.iter().position(|here| {
            seen += here;
            seen >= rank
        });
        place.map(|place| Duration::from_nanos(1 << (place + 1)))
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let place = nanoseconds(time).max(1).ilog2() as usize;
        self.counts[place.min(Self::PLACES - 1)] += 1;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_has_its_place() {
        let mut times = TurnTimes::default();
        assert_eq!(times.quantile(0.5), None);
        for (nanoseconds, place) in [(0, 0), (1, 0), (2, 1), (3, 1), (1024, 10), (2047, 10)] {
            let before = times.counts[place];
            times.record(Duration::from_nanos(nanoseconds));
            assert_eq!(times.counts[place], before + 1, "{nanoseconds} ns");
        }
        times.record(Duration::MAX);
        assert_eq!((times.counts[31], times.count()), (1, 7));
    }

    #[test]
    fn a_quantile_is_an_upper_bound_of_less_than_twice() {
        let mut times = TurnTimes::default();
        for microseconds in 1..=100 {
            times.record(Duration::from_micros(microseconds));
        }
        for share in [0.0, 0.1, 0.5, 0.99, 1.0] {
            let exact = Duration::from_secs_f64((share * 100.0_f64).max(1.0) * 1e-6);
            let told = times.quantile(share).unwrap();
            assert!(told > exact && told <= 2 * exact, "{share}: {told:?}");
        }
    }

    #[test]
    fn every_name_is_there_once_and_the_parts_add_up() {
        let mut stats = Stats::default();
        stats.opened();
        stats.opened();
        stats.close(&Cause::Finished);
        stats.close(&Cause::TooSlow);
        stats.refuse(Refusal::Full);
        let mut names: Vec<_> = stats.iter().map(|(name, _)| name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(stats.closed, stats.closed_by.iter().sum());
        assert_eq!(stats.closed_for(CauseKind::TooSlow), 1);
        assert_eq!(stats.refused_for(Refusal::Full), 1);
        assert_eq!(
            stats.to_string(),
            "peak_open=2 closed=2 failed=1 refused=1 refused_at_maximum=1 closed_finished=1 closed_too_slow=1"
        );
    }
}
