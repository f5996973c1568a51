//! The end of a loop: drain on the first wish, reset everything on the second.

use super::panics::guarded;
use super::{Ending, EventLoop};
use crate::connection::{Facts, Phase};
use crate::core::{Due, Stopping};
use crate::handler::{Callback, Cause, Handler};
use crate::io::ConnectionId;
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
        self.remote.shut(&self.core.stats());
        // What fails here is done when the network is dropped.
        let _ = self.network.apply();
    }

    /// Does what other threads, or callbacks, have asked of the loop as a whole.
    #[inline(never)]
    pub(super) fn follow_wishes(&mut self) {
        match self.remote.wished() {
            Wish::Run => {}
            Wish::Stop => self.core.stop(),
            Wish::Kill => self.core.kill(),
        }
        self.end_sample();
        if self.remote.wants_stats() {
            self.remote.publish(&self.core.stats());
        }
        self.core.asked = !self.core.to_connect.is_empty() || !self.core.touched.is_empty();
        if self.core.close_listeners {
            self.core.close_listeners = false;
            self.close_listeners();
        }
        match self.core.stopping {
            Stopping::No | Stopping::Draining => {}
            Stopping::Asked => self.begin_drain(),
            Stopping::Killed => self.kill_all(),
        }
    }

    /// Accepts what already waits (those clients were promised a connection), stops listening, tells the handler,
    /// and gives every connection a last turn; the idle ones close at its end, the others when they are done.
    fn begin_drain(&mut self) {
        self.core.stopping = Stopping::Draining;
        self.usual_below = 0;
        trace::stopping("draining", self.core.connections.len());
        for index in 0..self.listener_count() {
            // The backlog is bounded, and so is this.
            self.accept_at_most(index, self.core.options.backlog as usize + 1);
        }
        self.close_listeners();
        guarded(
            &mut self.handler,
            &mut self.core,
            ConnectionId::nobody(),
            Callback::Stopping,
            H::stopping,
        );
        let deadline = self.core.deadline(self.core.options.drain);
        self.core.timers.insert(deadline, Due::Drain);
        for id in self.all_connections() {
            if let Some(connection) = self.core.connections.get_mut(id.0)
                && connection.facts.phase() != Phase::Connecting
            {
                // A request may be there that nobody has told us of yet: the read will tell.
                connection.facts.set(Facts::READABLE);
            }
            self.serve(id);
        }
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
            && connection.outbound.is_empty();
        if idle {
            self.core.close(id, None);
        }
    }

    fn kill_all(&mut self) {
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
