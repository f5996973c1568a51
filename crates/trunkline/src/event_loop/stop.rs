//! The end of a loop: drain on the first wish, reset everything on the second.

use std::time::Duration;

use super::panics::guarded;
use super::{Ending, EventLoop};
use crate::connection::{Connection, Facts, Phase};
use crate::core::{Due, Stopping};
use crate::handler::{Callback, Cause, Handler};
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::network::Network;
use crate::remote::Wish;
use crate::trace;

impl<H: Handler, N: Network> EventLoop<H, N> {
    pub(super) fn has_ended(&self) -> bool {
        if !self.core.connections.is_empty() {
            return false;
        }
        let idle = self.core.options.until_idle && self.listener_count() == 0;
        self.core.stopping >= Stopping::Draining || idle
    }

    /// The last turn: nobody is left, and there is no more wait.
    #[cold]
    pub(super) fn end(&mut self) {
        self.remote.0.shut(&self.core.stats());
        // What fails here is done when the network is dropped.
        let _ = self.network.apply();
    }

    /// Does what other threads, or callbacks, have asked of the loop as a whole.
    #[inline(never)]
    pub(super) fn follow_wishes(&mut self) {
        match self.remote.0.wished() {
            Wish::Run => {}
            Wish::Stop => self.core.stop(),
            Wish::Kill => self.core.kill(),
        }
        self.end_sample();
        if self.remote.0.wants_stats() {
            self.remote.0.publish(&self.core.stats());
        }
        self.core.asked = !self.core.to_connect.is_empty()
            || !self.core.touched.is_empty()
            || !self.again.is_empty()
            || self.core.alarm_is_late;
        if self.core.close_listeners {
            self.core.close_listeners = false;
            self.close_listeners();
        }
        match self.core.stopping {
            Stopping::No | Stopping::Lagging | Stopping::Draining => {}
            Stopping::Asked => self.begin_to_stop(),
            Stopping::Killed => self.kill_all(),
        }
        self.core.asked |= self.has_ended();
    }

    /// Not ready any more. Whoever sends clients here needs a while to notice: until then they are served as before.
    fn begin_to_stop(&mut self) {
        self.remote.0.set_not_ready();
        let lag = self.core.options.drain_lag;
        if lag.is_zero() || planted(Mutant::LagIgnored) || self.listeners.is_empty() {
            self.begin_drain();
        } else {
            self.core.stopping = Stopping::Lagging;
            let deadline = self.core.deadline(lag);
            self.core.set_timer(deadline, Due::DrainLag);
        }
    }

    /// Accepts what already waits (those clients were promised a connection), stops listening, tells the handler,
    /// and gives every connection a last turn; the idle ones close at its end, the others when they are done, or when
    /// they are evicted.
    pub(super) fn begin_drain(&mut self) {
        if self.core.stopping >= Stopping::Draining {
            return;
        }
        self.core.stopping = Stopping::Draining;
        self.usual_below = 0;
        trace::stopping("draining", self.core.connections.len());
        for index in 0..self.listener_count() {
            // The backlog is bounded, and so is this.
            self.accept_at_most(index, self.core.options.backlog as usize + 1);
        }
        self.close_listeners();
        // Another loop has accepted them for this one.
        for handed in self.remote.0.take_handed() {
            self.take_over(handed);
        }
        guarded(
            &mut self.handler,
            &mut self.core,
            ConnectionId::nobody(),
            Callback::Stopping,
            H::stopping,
        );
        let deadline = self.core.deadline(self.core.options.drain);
        if !planted(Mutant::DrainWithoutDeadline) {
            self.core.set_timer(deadline, Due::Drain);
        }
        for id in self.all_connections() {
            if let Some(connection) = self.core.connections.get_mut(id.0)
                && connection.facts.phase() != Phase::Connecting
                && !planted(Mutant::DrainForgetsRequests)
            {
                // A request may be there that nobody has told us of yet: the read will tell.
                connection.facts.set(Facts::READABLE);
                self.tell_draining(id);
            }
            self.serve(id);
            self.plan_eviction(id);
        }
    }

    fn tell_draining(&mut self, id: ConnectionId) {
        let is_open = |connection: &Connection| connection.facts.phase() == Phase::Open;
        if !self.core.connections.get(id.0).is_some_and(is_open) {
            return;
        }
        self.tell(id, Callback::Draining, |handler, state, io| {
            handler.draining(state, io);
        });
    }

    /// A connection that is busy after its last turn may be so for ever. Each is closed at a time of its own in the second
    /// half of the drain, so that they do not all come back to the next server at once.
    fn plan_eviction(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        if connection.facts.phase() != Phase::Open {
            return;
        }
        let half = self.core.options.drain / 2;
        let span = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        // Not up to the deadline itself: what is queued has still to be flushed.
        let jitter = Duration::from_nanos(self.random.below(span) / 8 * 7);
        let whole = if planted(Mutant::EvictedEarly) {
            jitter
        } else {
            half + jitter
        };
        let deadline = self.core.deadline(whole);
        let due = Due::Evict(id.0.index());
        self.core.set_own_timer(id, deadline, due);
    }

    /// What still comes on this connection is discarded, what is queued is flushed. One that waits for an answer of ours
    /// is left until the deadline: to close it would throw the answer away.
    pub(super) fn evict(&mut self, id: ConnectionId) {
        if let Some(connection) = self.core.connections.get(id.0)
            && (connection.held == 0 || planted(Mutant::HeldEvicted))
        {
            self.core.close(id, Some(Cause::Evicted));
        }
    }

    /// Notes how a connection ended in a drain.
    #[cold]
    pub(super) fn count_drained(
        &mut self,
        phase: Phase,
        cause: &Cause,
        ending: Ending,
        unsent: u64,
    ) {
        let drained = &mut self.core.stats.drained;
        drained.unsent_bytes += unsent;
        // Nothing is lost where only the peer's end of the stream was missing.
        let in_order = ending == Ending::InOrder || phase == Phase::Lingering && unsent == 0;
        *match cause {
            Cause::Evicted if in_order => &mut drained.evicted,
            Cause::Failed(_) => &mut drained.failed,
            _ if in_order => &mut drained.finished,
            _ => &mut drained.aborted,
        } += 1;
    }

    /// While draining: a connection with nothing under way is closed.
    pub(super) fn close_if_idle(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get(id.0) else {
            return;
        };
        let facts = connection.facts;
        let idle = facts.takes_frames()
            && !facts.any(Facts::READABLE.with(Facts::ENDED))
            && connection.inbound.is_empty()
            && connection.outbound.is_empty()
            && connection.held == 0;
        if idle {
            self.core.close(id, None);
        }
    }

    fn kill_all(&mut self) {
        self.remote.0.set_not_ready();
        trace::stopping("killed", self.core.connections.len());
        self.close_listeners();
        for id in self.all_connections() {
            self.done(id, Cause::Stopped, Ending::Reset);
        }
    }

    fn all_connections(&self) -> Vec<ConnectionId> {
        self.core
            .connections
            .iter()
            .map(|(key, _)| ConnectionId(key))
            .collect()
    }
}
