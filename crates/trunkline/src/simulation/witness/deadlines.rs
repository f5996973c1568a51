//! Nobody is closed by a deadline before its time, nor later than its time and the precision.

use super::{Known, Model, nanoseconds};
use crate::connection::{Connection, Phase};
use crate::{CauseKind, ConnectionId};

impl Model {
    /// When a byte last came, until then, or went on this connection, or it was given the idle deadline that it has.
    fn last_active(&self, known: &Known, came_until: u64) -> u64 {
        let last = self.world.traffic(self.network, known.socket, |traffic| {
            let mut came = traffic.reads.iter().rev().map(|&(time, _)| time);
            let came = came.find(|&time| time <= came_until);
            came.max(traffic.writes.last().map(|&(time, _)| time))
        });
        last.unwrap_or(0).max(known.idle_set)
    }

    /// When the first byte came of the frame that is under way, if one is.
    fn frame_began(&self, known: &Known) -> Option<u64> {
        self.world.traffic(self.network, known.socket, |traffic| {
            let reads = &traffic.reads;
            let index = reads.partition_point(|&(_, bytes)| bytes <= known.consumed);
            reads.get(index).map(|&(time, _)| time)
        })
    }

    fn last_written(&self, known: &Known) -> u64 {
        self.world.traffic(self.network, known.socket, |traffic| {
            traffic.writes.last().map_or(0, |&(time, _)| time)
        })
    }

    fn is_shaking_hands(known: &Known) -> bool {
        !known.handshake_done && (known.long_handshake || !known.framed)
    }

    /// A deadline has ended a connection in this turn: was it right?
    pub(super) fn judge_deadline(&mut self, id: ConnectionId, known: &Known, kind: CauseKind) {
        let now = self.now();
        let deadlines = &self.rules.deadlines;
        let traffic = |look: fn(&crate::network::simulated::Traffic) -> Option<u64>| {
            self.world.traffic(self.network, known.socket, look)
        };
        let truthful = self.world.faults().would_block == 0.0;
        let (since, length) = match kind {
            CauseKind::HandshakeExpired if Self::is_shaking_hands(known) => {
                (Some(known.opened), deadlines.handshake.map(nanoseconds))
            }
            CauseKind::FrameExpired => {
                let began = self.frame_began(known);
                let began = began.map(|began| began.max(known.resumed.min(known.frame.last)));
                (began, deadlines.frame.map(nanoseconds))
            }
            CauseKind::IdleExpired => {
                let asked = traffic(|traffic| traffic.empty_at) == Some(now);
                let reads = known.frame.last < now && known.input.is_read();
                if truthful && reads && !asked {
                    self.wrong(format!(
                        "{id:?} is called idle, and nobody has asked its socket"
                    ));
                    return;
                }
                // As it closes, what the handler has not read is thrown away.
                let thrown_away = known.unread.is_so && known.resumed < now;
                let came_until = now - u64::from(thrown_away);
                (Some(self.last_active(known, came_until)), known.idle)
            }
            CauseKind::WriteStalled => {
                if truthful && traffic(|traffic| traffic.full_at) != Some(now) {
                    self.wrong(format!(
                        "{id:?} is called stalled, and its socket takes more"
                    ));
                    return;
                }
                let began = known.output_began.unwrap_or(now);
                let since = began.max(self.last_written(known)).max(known.stall.last);
                (Some(since), deadlines.write_stall.map(nanoseconds))
            }
            CauseKind::LifetimeExpired => (Some(known.opened), deadlines.lifetime.map(nanoseconds)),
            _ => (None, None),
        };
        let right = since
            .zip(length)
            .is_some_and(|(since, length)| now.saturating_sub(since) >= length);
        if !right {
            self.wrong(format!(
                "{id:?}: {kind:?} at {now}, counted from {since:?} for {length:?}"
            ));
        }
    }

    /// Should a deadline have ended this connection by now?
    pub(super) fn check_deadlines(
        &mut self,
        id: ConnectionId,
        known: &Known,
        connection: &Connection,
    ) {
        if connection.facts.phase() != Phase::Open {
            return;
        }
        let deadlines = &self.rules.deadlines;
        let shaking = Self::is_shaking_hands(known).then_some(known.opened);
        let frame = self.frame_began(known).filter(|_| connection.frame_waits());
        let frame = frame.map(|began| began.max(known.frame.last).max(known.resumed));
        let stall = connection.output_waits().then(|| {
            let began = known.output_began.unwrap_or(known.opened);
            began.max(self.last_written(known)).max(known.stall.last)
        });
        // Nobody is idle whose bytes we hold back.
        let active = self.last_active(known, self.now()).max(known.slowed.last);
        let all = [
            ("handshake", shaking, deadlines.handshake.map(nanoseconds)),
            ("frame", frame, deadlines.frame.map(nanoseconds)),
            ("idle", Some(active), known.idle),
            ("write-stall", stall, deadlines.write_stall.map(nanoseconds)),
            (
                "lifetime",
                Some(known.opened),
                deadlines.lifetime.map(nanoseconds),
            ),
        ];
        for (name, since, length) in all {
            if let (Some(since), Some(length)) = (since, length)
                && self.is_late(since, length)
            {
                self.wrong(format!(
                    "the {name} deadline of {id:?} has passed: {length} ns from {since}, and now it is {}",
                    self.now()
                ));
            }
        }
    }
}
