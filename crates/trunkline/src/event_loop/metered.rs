//! Reading and writing where bytes are counted against a rate.

use std::io;

use super::EventLoop;
use super::serve::Budget;
use super::settle::{write, wrote};
use crate::connection::Facts;
use crate::core::meters::Way;
use crate::handler::Handler;
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::network::Network;

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// A step of a turn that reads as much as the rate allows. `false` ends the turn.
    #[inline(never)]
    pub(super) fn metered_step(&mut self, id: ConnectionId, left: &mut Budget) -> bool {
        let now = self.core.clock.take();
        let allowance = self.core.meters.allowance(id, Way::In, now);
        if allowance == 0 {
            self.core.slow_down(id, Way::In);
            return false;
        }
        let Some(connection) = self.core.connections.get(id.0) else {
            return false;
        };
        let room = self.buffer.len().min(allowance);
        let outcome = self
            .network
            .read(connection.socket, &mut self.buffer[..room]);
        if let Ok(count) = outcome
            && !planted(Mutant::RateUncounted)
        {
            self.core.meters.count(id, Way::In, now, count);
        }
        self.take_in(id, outcome, room, left)
    }

    /// Writes as much as the rate allows and the socket takes.
    #[inline(never)]
    pub(super) fn flush_metered(&mut self, id: ConnectionId) -> io::Result<()> {
        let now = self.core.clock.take();
        let tick = self.core.deadlines.now();
        loop {
            let allowance = self.core.meters.allowance(id, Way::Out, now);
            let Some(connection) = self.core.connections.get_mut(id.0) else {
                return Ok(());
            };
            if !connection.is_to_be_written() {
                return Ok(());
            }
            if allowance == 0 {
                self.core.slow_down(id, Way::Out);
                return Ok(());
            }
            let before = connection.outbound.bytes();
            let outcome = write(&mut self.network, connection, allowance);
            let (stats, spare) = (&mut self.core.stats, &mut self.core.spare);
            wrote(connection, outcome, stats, spare, tick)?;
            let written = before - connection.outbound.bytes();
            self.core.meters.count(id, Way::Out, now, written);
        }
    }

    /// There is enough again.
    pub(super) fn speed_up(&mut self, id: ConnectionId, way: Way) {
        let now = self.core.deadlines.now();
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        match way {
            _ if planted(Mutant::HeldBackForEver) => {}
            Way::In => {
                connection.facts.clear(Facts::SLOWED_IN);
                connection.frame_goes_on(now);
            }
            Way::Out => {
                connection.facts.clear(Facts::SLOWED_OUT);
                // It was not the peer who kept these bytes waiting.
                connection.watch.write = now;
            }
        }
        self.core.own_timer_ended(id.0.index());
        self.serve(id);
        // The idle deadline runs again.
        self.core.keep_deadlines(id);
    }
}
