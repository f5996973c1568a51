//! What is known of a connection, as one set: the usual questions are about several facts at once, and are one test.

use trunkline_selectors::Readiness;

use crate::connection::Role;

/// Where a connection is in its life. It only moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Our connect is under way.
    Connecting,
    /// Frames go both ways.
    Open,
    /// `close` was asked: input is discarded, output is flushed.
    Closing,
    /// Our end of the stream is sent: input is discarded until the peer's.
    Lingering,
    /// To be reset as soon as the loop comes by.
    Aborting,
}

/// A set of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts(u32);

/// What only a read or a write can tell more about.
const ENDING: Readiness = Readiness::READ_CLOSED
    .with(Readiness::WRITE_CLOSED)
    .with(Readiness::ERROR)
    .with(Readiness::INVALID);

impl Facts {
    /// The socket is believed to have input.
    pub(crate) const READABLE: Facts = Facts(1);
    /// The socket is believed to have room for output.
    pub(crate) const WRITABLE: Facts = Facts(1 << 1);
    /// A short read does not mean that the socket is empty (urgent byte or end of stream behind it).
    pub(crate) const READ_TO_THE_END: Facts = Facts(1 << 2);
    /// It is in the core's list of connections that callbacks have touched, or will be settled anyway.
    pub(crate) const TOUCHED: Facts = Facts(1 << 3);
    /// It is in the loop's list of connections to serve again.
    pub(crate) const QUEUED: Facts = Facts(1 << 4);
    /// It was made, and counted as open. A connection of ours that never is ends in `connect_failed`.
    pub(crate) const ESTABLISHED: Facts = Facts(1 << 5);
    /// The handler wants no frames.
    pub(crate) const PAUSED: Facts = Facts(1 << 6);
    /// The outgoing queue went above the high watermark and is not yet down at the low one.
    pub(crate) const ABOVE_HIGH: Facts = Facts(1 << 7);
    /// Its own output holds back its input. So it is on connections we accepted, whose peer asks more than it listens
    /// to. Not on those we made: there the output is our own doing, and not to read while the server cannot send would
    /// leave both sides waiting for each other.
    pub(crate) const HELD_BACK: Facts = Facts(1 << 8);
    /// Half-close was asked; the end of our stream follows the queue.
    pub(crate) const FINISHING: Facts = Facts(1 << 9);
    /// The end of our stream is sent.
    pub(crate) const FINISHED: Facts = Facts(1 << 10);
    /// The peer's end of stream has been read.
    pub(crate) const ENDED: Facts = Facts(1 << 11);
    /// … and the handler has been told.
    pub(crate) const END_TOLD: Facts = Facts(1 << 12);
    /// The codec has not said "incomplete" to the bytes that wait yet: there may be whole frames among them.
    pub(crate) const UNEXAMINED: Facts = Facts(1 << 13);
    /// A level-triggered socket is watched for something else than input alone.
    pub(crate) const WATCHED_UNUSUALLY: Facts = Facts(1 << 14);
    /// `close` was asked before the connection was made; it follows as soon as it is.
    pub(crate) const CLOSE_WHEN_OPEN: Facts = Facts(1 << 15);
    /// Bytes wait in it, to be written or to become a frame. True as of the last time it was settled; bytes that were
    /// queued since have made it touched.
    pub(crate) const HOLDS_BYTES: Facts = Facts(1 << 20);
    /// In the Unix domain: a short read never means that the socket is empty.
    pub(crate) const UNIX: Facts = Facts(1 << 30);
    /// The bounds of its outgoing messages are kept, because a policy or a key may drop one of them.
    pub(crate) const KEEPS_BOUNDS: Facts = Facts(1 << 21);
    /// A deadline for the handshake runs.
    pub(crate) const HANDSHAKING: Facts = Facts(1 << 22);
    /// The first frame does not end the handshake: the handler will say when it is done.
    pub(crate) const LONG_HANDSHAKE: Facts = Facts(1 << 23);
    /// Output waited when it was settled last.
    pub(crate) const OUTPUT_WAITS: Facts = Facts(1 << 24);
    /// Its bytes are counted against a rate.
    pub(crate) const METERED: Facts = Facts(1 << 25);
    /// Its rate of input is used up for now.
    pub(crate) const SLOWED_IN: Facts = Facts(1 << 26);
    /// Its rate of output is used up for now.
    pub(crate) const SLOWED_OUT: Facts = Facts(1 << 27);
    // The phases; none of them is `Phase::Open`.
    const CONNECTING: Facts = Facts(1 << 16);
    const CLOSING: Facts = Facts(1 << 17);
    const LINGERING: Facts = Facts(1 << 18);
    const ABORTING: Facts = Facts(1 << 19);

    const CLOSED_BY_US: Facts = Facts::CLOSING.with(Facts::LINGERING).with(Facts::ABORTING);
    const NOT_OPEN: Facts = Facts::CONNECTING.with(Facts::CLOSED_BY_US);
    /// What keeps frames from the handler.
    const TAKES_NO_FRAMES: Facts = Facts::NOT_OPEN.with(Facts::PAUSED).with(Facts::HELD_BACK);
    const NOT_AT_REST: Facts = Facts::TAKES_NO_FRAMES
        .with(Facts::READABLE)
        .with(Facts::ABOVE_HIGH)
        .with(Facts::FINISHING)
        .with(Facts::ENDED)
        .with(Facts::UNEXAMINED)
        .with(Facts::WATCHED_UNUSUALLY)
        .with(Facts::SLOWED_IN)
        .with(Facts::METERED);

    /// Of a new connection: an accepted one is open, and a new socket has room (should it not, the first write finds
    /// out).
    pub(crate) fn new(role: Role) -> Self {
        match role {
            Role::Accepted => Facts::ESTABLISHED.with(Facts::WRITABLE),
            Role::Connected => Facts::CONNECTING.with(Facts::WATCHED_UNUSUALLY),
        }
    }

    pub(crate) const fn with(self, other: Facts) -> Facts {
        Facts(self.0 | other.0)
    }

    /// Is any of these true?
    #[inline]
    pub(crate) fn any(self, of: Facts) -> bool {
        self.0 & of.0 != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, facts: Facts) {
        self.0 |= facts.0;
    }

    #[inline]
    pub(crate) fn clear(&mut self, facts: Facts) {
        self.0 &= !facts.0;
    }

    pub(crate) fn put(&mut self, facts: Facts, value: bool) {
        if value {
            self.set(facts);
        } else {
            self.clear(facts);
        }
    }

    /// Makes these true on a condition.
    pub(crate) fn set_if(&mut self, facts: Facts, condition: bool) {
        if condition {
            self.set(facts);
        }
    }

    #[inline]
    pub(crate) fn phase(self) -> Phase {
        if !self.any(Facts::NOT_OPEN) {
            Phase::Open
        } else if self.any(Facts::ABORTING) {
            Phase::Aborting
        } else if self.any(Facts::CLOSING) {
            Phase::Closing
        } else if self.any(Facts::LINGERING) {
            Phase::Lingering
        } else {
            Phase::Connecting
        }
    }

    pub(crate) fn move_to(&mut self, phase: Phase) {
        self.clear(Facts::NOT_OPEN);
        self.set(match phase {
            Phase::Connecting => Facts::CONNECTING,
            Phase::Open => Facts(0),
            Phase::Closing => Facts::CLOSING,
            Phase::Lingering => Facts::LINGERING,
            Phase::Aborting => Facts::ABORTING,
        });
    }

    /// Notes what the network has reported.
    #[inline]
    pub(crate) fn report(&mut self, readiness: Readiness) {
        if readiness.intersects(ENDING) {
            self.set(
                Facts::READABLE
                    .with(Facts::WRITABLE)
                    .with(Facts::READ_TO_THE_END),
            );
        }
        // The first three facts are the first three bits of a readiness, as the test below says.
        self.0 |= u32::from(readiness.bits()) & 7;
    }

    /// May a frame be handed to the handler now?
    #[inline]
    pub(crate) fn takes_frames(self) -> bool {
        !self.any(Facts::TAKES_NO_FRAMES)
    }

    /// Is the next step simply to read, and to hand over what comes?
    #[inline]
    pub(crate) fn is_to_be_read(self) -> bool {
        const ASKED: Facts = Facts::TAKES_NO_FRAMES
            .with(Facts::ENDED)
            .with(Facts::UNEXAMINED)
            .with(Facts::METERED)
            .with(Facts::READABLE);
        self.0 & ASKED.0 == Facts::READABLE.0
    }

    /// May queued bytes be written: there is room, and no reset is due?
    #[inline]
    pub(crate) fn may_be_written(self) -> bool {
        const ASKED: Facts = Facts::CONNECTING
            .with(Facts::ABORTING)
            .with(Facts::SLOWED_OUT)
            .with(Facts::WRITABLE);
        self.0 & ASKED.0 == Facts::WRITABLE.0
    }

    /// Is there nothing to do but to read, hand over and write?
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        const ASKED: Facts = Facts::NOT_AT_REST
            .with(Facts::WRITABLE)
            .with(Facts::READ_TO_THE_END)
            .with(Facts::HOLDS_BYTES)
            .with(Facts::HANDSHAKING)
            .with(Facts::METERED)
            .with(Facts::KEEPS_BOUNDS)
            .with(Facts::TOUCHED);
        self.0 & ASKED.0 == Facts::READABLE.0 | Facts::WRITABLE.0
    }

    /// Is input discarded?
    #[inline]
    pub(crate) fn discards(self) -> bool {
        self.any(Facts::CLOSING.with(Facts::LINGERING))
    }

    /// Should the socket be read when it has input?
    #[inline]
    pub(crate) fn wants_input(self) -> bool {
        const NONE: Facts = Facts::ENDED.with(Facts::SLOWED_IN);
        !self.any(NONE) && (self.takes_frames() || self.discards())
    }

    /// Open, with all input read, and nothing asked for?
    #[inline]
    pub(crate) fn at_rest(self) -> bool {
        !self.any(Facts::NOT_AT_REST)
    }

    /// May messages be queued?
    #[inline]
    pub(crate) fn takes_output(self) -> bool {
        const NONE: Facts = Facts::CLOSED_BY_US
            .with(Facts::FINISHING)
            .with(Facts::CLOSE_WHEN_OPEN);
        !self.any(NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_go_in_and_come_out_and_leave_the_rest_alone() {
        let mut facts = Facts::new(Role::Connected);
        assert_eq!(facts.phase(), Phase::Connecting);
        facts.set(Facts::PAUSED);
        for phase in [
            Phase::Open,
            Phase::Closing,
            Phase::Lingering,
            Phase::Aborting,
        ] {
            facts.move_to(phase);
            assert_eq!(facts.phase(), phase);
            assert!(facts.any(Facts::PAUSED));
        }
        assert_eq!(Facts::new(Role::Accepted).phase(), Phase::Open);
    }

    #[test]
    fn an_end_is_for_reads_and_writes_to_find_out() {
        for readiness in [
            Readiness::READ_CLOSED,
            Readiness::WRITE_CLOSED,
            Readiness::ERROR,
            Readiness::INVALID,
        ] {
            let mut facts = Facts(0);
            facts.report(readiness);
            assert!(facts.any(Facts::READABLE) && facts.any(Facts::WRITABLE));
            assert!(facts.any(Facts::READ_TO_THE_END));
        }
        for (readiness, fact) in [
            (Readiness::READABLE, Facts::READABLE),
            (Readiness::WRITABLE, Facts::WRITABLE),
            (Readiness::PRIORITY, Facts::READ_TO_THE_END),
        ] {
            let mut facts = Facts(0);
            facts.report(readiness);
            assert_eq!(facts, fact);
        }
    }

    #[test]
    fn input_is_held_back_by_output_on_accepted_connections_only() {
        for role in [Role::Accepted, Role::Connected] {
            let mut connection = crate::connection::Connection::new(
                std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into(),
                role,
            );
            connection.facts.move_to(Phase::Open);
            connection.rise_above_high();
            assert_eq!(connection.facts.takes_frames(), role == Role::Connected);
            connection.fall_to_low();
            assert!(connection.facts.takes_frames());
        }
    }
}
