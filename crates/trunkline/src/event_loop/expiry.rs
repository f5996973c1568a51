//! Deadlines of connections that have passed.

use super::{Ending, EventLoop};
use crate::connection::Facts;
use crate::connection::watch::Deadline;
use crate::core::Due;
use crate::handler::{Cause, Handler};
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::network::Network;

/// Connections looked at in one turn: a thousand whose deadlines come together are not to hold up the others.
const BUDGET: usize = 256;

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// The next tick begins.
    pub(super) fn tick(&mut self) {
        if self.core.deadlines.tick() {
            // From now on, not from when this turn began: ticks are never shorter than they should be.
            let next = self.network.now() + self.core.deadlines.rules.tick;
            self.core.set_timer(next, Due::Tick);
        }
        self.expire_deadlines();
    }

    /// Looks at the connections whose timers are due.
    pub(super) fn expire_deadlines(&mut self) {
        for _ in 0..BUDGET {
            let Some(index) = self.core.deadlines.next_due() else {
                return;
            };
            if let Some(id) = self.core.timers_owner(index) {
                self.look_at(id);
            }
        }
        let soon = self.core.deadline(std::time::Duration::ZERO);
        self.core.set_timer(soon, Due::MoreDeadlines);
    }

    /// Ends the connection if a deadline has passed, or notes when to look again.
    fn look_at(&mut self, id: ConnectionId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.watch.set_timer(None);
        }
        if self.passed(id).is_some() && !planted(Mutant::DeadlineUnasked) {
            // The loop may have been stopped for long, and what the peer did in time may wait in the kernel.
            self.look_at_socket(id);
        }
        match self.passed(id) {
            Some(deadline) => self.end_late(id, deadline),
            None => self.core.keep_deadlines(id),
        }
    }

    fn passed(&mut self, id: ConnectionId) -> Option<Deadline> {
        match self.core.first_deadline(id) {
            Some((0, deadline)) => Some(deadline),
            _ => None,
        }
    }

    /// Reads and writes what can be, whether or not the network has told that it can.
    fn look_at_socket(&mut self, id: ConnectionId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.facts.set(Facts::READABLE.with(Facts::WRITABLE));
            self.serve(id);
        }
    }

    fn end_late(&mut self, id: ConnectionId, deadline: Deadline) {
        let cause = match deadline {
            Deadline::Handshake => Cause::HandshakeExpired,
            Deadline::Frame => Cause::FrameExpired,
            Deadline::Idle => Cause::IdleExpired,
            Deadline::Lifetime => Cause::LifetimeExpired,
            // What waits for it would wait again.
            Deadline::Rate => return self.done(id, Cause::BelowRate, Ending::Reset),
            Deadline::WriteStall => return self.done(id, Cause::WriteStalled, Ending::Reset),
        };
        self.core.close(id, Some(cause));
    }
}
