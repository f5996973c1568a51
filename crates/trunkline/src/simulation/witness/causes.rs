//! Each connection ends for the one right cause.

use super::{Known, Model};
use crate::connection::{Connection, Facts, Phase};
use crate::network::simulated::Traffic;
use crate::{CauseKind, ConnectionId, Error, ErrorKind, EventLoop, Handler};

/// Deadlines that close, and do not reset.
const CLOSES: [CauseKind; 4] = [
    CauseKind::HandshakeExpired,
    CauseKind::FrameExpired,
    CauseKind::IdleExpired,
    CauseKind::LifetimeExpired,
];

impl Model {
    /// Looks, at the end of a turn, whether a connection has begun to close, and whether it should be gone.
    pub(super) fn check_closing(
        &mut self,
        id: ConnectionId,
        known: &mut Known,
        connection: &Connection,
    ) {
        let now = self.now();
        match (connection.facts.phase(), known.closing) {
            (Phase::Closing | Phase::Lingering | Phase::Aborting, None) => {
                known.closing = Some(now);
                let aside = connection.aside.as_ref();
                let cause = aside.and_then(|aside| aside.cause.as_ref());
                known.decided = cause.map(crate::Cause::kind);
                known.unread.is_so |= connection.facts.any(Facts::PAUSED.with(Facts::HELD_BACK));
                if let Some(kind) = known.decided {
                    self.judge_decision(id, known, kind);
                }
            }
            (Phase::Open | Phase::Connecting, Some(_)) => {
                self.wrong(format!("{id:?} was closing, and is not any more"));
            }
            (_, Some(since)) if now >= since.saturating_add(self.rules.linger) => {
                self.wrong(format!("{id:?} lingers since {since}, and now it is {now}"));
            }
            _ => {}
        }
    }

    /// The engine has decided in this turn that a connection is to end.
    fn judge_decision(&mut self, id: ConnectionId, known: &Known, kind: CauseKind) {
        let now = self.now();
        match kind {
            CauseKind::WriteStalled => self.judge_deadline(id, known, kind),
            _ if CLOSES.contains(&kind) => self.judge_deadline(id, known, kind),
            CauseKind::BelowRate => self.judge_rate(id, known),
            CauseKind::Evicted => self.judge_eviction(id, known),
            CauseKind::BadFrame => {
                let read = |traffic: &Traffic| traffic.reads.last().map_or(0, |&(_, bytes)| bytes);
                let read = self.world.traffic(self.network, known.socket, read);
                if read.saturating_sub(known.consumed) <= self.rules.frame_max {
                    self.wrong(format!("{id:?}: a bad frame, and none was too long"));
                }
            }
            CauseKind::Aborted if !known.aborted => {
                self.wrong(format!("{id:?} is reset, and nobody asked for it"));
            }
            CauseKind::Panicked if !known.panicked => {
                self.wrong(format!("{id:?} ends for a panic that was not its own"));
            }
            CauseKind::TooSlow if !self.rules.closes_slow_ones => {
                self.wrong(format!(
                    "{id:?} is called too slow at {now}, and may be slow"
                ));
            }
            _ => {}
        }
    }

    /// A connection has ended in this turn.
    pub(super) fn judge_end(&mut self, id: ConnectionId, known: &Known, kind: CauseKind) {
        let now = self.now();
        if known.decided != Some(kind) {
            self.judge_decision(id, known, kind);
        }
        let decided_otherwise = known.decided.is_some_and(|decided| decided != kind);
        let wrong = match kind {
            CauseKind::Finished | CauseKind::LingerExpired if decided_otherwise => {
                Some("ends as if for no cause")
            }
            CauseKind::LingerExpired => {
                let since = known.closing.unwrap_or(now);
                let early = now < since.saturating_add(self.rules.linger);
                early.then_some("has lingered for less than it may")
            }
            CauseKind::Failed => {
                let broken = self
                    .world
                    .traffic(self.network, known.socket, |traffic| traffic.broken);
                (!broken).then_some("failed, and its socket did not")
            }
            CauseKind::Stopped => (!self.is_killed()).then_some("is stopped, and the loop goes on"),
            _ if known.aborted && known.decided.is_none() && known.closing.is_none() => {
                let others = [
                    CauseKind::Aborted,
                    CauseKind::Panicked,
                    CauseKind::Overflow,
                    CauseKind::TooSlow,
                ];
                (!others.contains(&kind)).then_some("was reset by the handler, and says otherwise")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.wrong(format!(
                "{id:?} {wrong}: {kind:?}, closing since {:?} for {:?}",
                known.closing, known.decided
            ));
        }
        if !matches!(kind, CauseKind::Finished | CauseKind::Failed)
            && let Some(peer) = known.peer
        {
            self.world.excuse(peer);
        }
    }

    /// Looks after connections of ours that are not made yet.
    pub(super) fn check_connecting<H: Handler>(
        &mut self,
        server: &EventLoop<H, crate::network::simulated::Simulated>,
    ) {
        let now = self.now();
        let mut connecting = std::mem::take(&mut self.connecting);
        connecting.retain(|id, _| server.core().connections.contains(id.0));
        for (key, connection) in server.core().connections.iter() {
            let id = ConnectionId(key);
            if connection.facts.phase() != Phase::Connecting {
                continue;
            }
            let since = connecting.entry(id).or_insert(now);
            // One that is asked for late in a turn is tried in the next: its time begins then.
            if server.core().to_connect.iter().any(|asked| asked.id == id) {
                *since = now;
            }
            let since = *since;
            if now >= since.saturating_add(self.rules.connect) && now > since {
                self.wrong(format!(
                    "{id:?} connects since {since}, and now it is {now}"
                ));
            }
        }
        self.connecting = connecting;
    }

    /// A connection of ours has failed to be made: in time?
    pub(super) fn judge_failure(&mut self, id: ConnectionId, since: Option<u64>, error: &Error) {
        let now = self.now();
        let since = since.unwrap_or(now);
        // A request that nobody answers is given up by the network itself after a minute.
        let by_network = now - since >= 63_000_000_000;
        if error.kind() == ErrorKind::TimedOut
            && now < since.saturating_add(self.rules.connect)
            && !by_network
        {
            self.wrong(format!("{id:?} timed out at {now}, it began at {since}"));
        }
    }
}
