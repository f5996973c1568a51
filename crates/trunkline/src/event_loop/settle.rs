//! After callbacks: write what is queued, carry out what was asked, say what the socket is to be watched for.

use std::io::{self, ErrorKind, IoSlice};

use trunkline_selectors::Interest;

use super::{Ending, EventLoop};
use crate::connection::outbound::{Outbound, Spare};
use crate::connection::{Connection, Phase};
use crate::handler::{Cause, Handler};
use crate::io::{ConnectionId, Io, Stopping};
use crate::mutant::{Mutant, planted};
use crate::net::Operation;
use crate::network::{Network, Trigger};
use crate::options::Stats;

/// Pieces of a queue handed to the kernel in one call.
const SLICES_MAX: usize = 16;

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// Brings a connection in order after its callbacks. Called at the end of its own turn, and at the end of
    /// the loop's turn when another connection's callback touched it.
    #[inline(always)]
    pub(super) fn settle(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        connection.touched = false;
        if matches!(connection.phase, Phase::Connecting | Phase::Aborting) {
            if connection.phase == Phase::Aborting {
                self.done(id, Cause::Aborted, Ending::Reset);
            }
            return;
        }
        let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
            return;
        };
        if connection.writable && !connection.outbound.is_empty() {
            let (network, stats) = (&mut self.network, &mut self.core.stats);
            let socket = session.socket;
            if let Err(error) = flush(network, socket, connection, stats, &mut self.core.spare) {
                self.failed(id, Operation::Send, error);
                return;
            }
        }
        // The usual case, seen at a glance: all is read and written, and nothing was asked.
        let at_rest = connection.has_nothing_under_way()
            && !session.inbound.is_unexamined()
            && self.core.stopping == Stopping::No
            && (self.network.trigger() == Trigger::Edge || session.interest == Interest::READ);
        if !at_rest {
            self.settle_the_rest(id);
        }
    }

    #[inline(never)]
    fn settle_the_rest(&mut self, id: ConnectionId) {
        self.tell_drained(id);
        if self.core.stopping == Stopping::Draining {
            self.close_if_idle(id);
        }
        if self.carry_out_ending(id) {
            self.watch(id);
        }
    }

    /// Ends the pause of input that the connection's own output had caused.
    #[inline]
    fn tell_drained(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        if !connection.above_high
            || connection.outbound.bytes() > self.core.options.low_watermark_bytes
            || planted(Mutant::ResumeForgotten)
        {
            return;
        }
        connection.above_high = false;
        if connection.phase != Phase::Open {
            return;
        }
        let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
            return;
        };
        let Some(state) = session.state.as_mut() else {
            return;
        };
        self.handler.drained(
            state,
            &mut Io {
                core: &mut self.core,
                id,
            },
        );
    }

    /// Carries out half-close and close as far as they can go. `false` when the connection is gone.
    #[inline]
    fn carry_out_ending(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return false;
        };
        let closing = matches!(connection.phase, Phase::Closing | Phase::Lingering);
        if !closing && !connection.finishing {
            return true;
        }
        if !connection.outbound.is_empty() && !planted(Mutant::CloseBeforeFlush) {
            return true;
        }
        if closing && (connection.ended || planted(Mutant::CloseWithoutLinger)) {
            // The peer's end of stream has been read, so nothing unread can turn this close into a reset.
            self.done(id, Cause::Finished, Ending::InOrder);
            return false;
        }
        if closing {
            connection.phase = Phase::Lingering;
        }
        if !connection.finished {
            connection.finished = true;
            let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
                return false;
            };
            if let Err(error) = self.network.shutdown_write(session.socket) {
                self.failed(id, Operation::Shutdown, error);
                return false;
            }
        }
        true
    }

    /// Puts the connection in line when it has more to do, and tells the network what to watch it for.
    #[inline]
    fn watch(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
            return;
        };
        let frames_wait =
            session.inbound.is_unexamined() || connection.ended && !connection.end_told;
        let more = connection.readable && connection.wants_input()
            || frames_wait && connection.takes_frames();
        if more && !connection.queued && !planted(Mutant::BudgetNotRequeued) {
            connection.queued = true;
            self.ready.push_back(id);
        }
        if self.network.trigger() == Trigger::Edge {
            return;
        }
        let mut interest = Interest::NONE;
        if connection.wants_input() {
            interest = interest.with(Interest::READ);
        }
        if !connection.outbound.is_empty() && !planted(Mutant::WriteInterestForgotten) {
            interest = interest.with(Interest::WRITE);
        }
        if interest != session.interest {
            session.interest = interest;
            self.network.set_interest(session.socket, interest);
        }
    }
}

/// Writes until the queue is empty or the socket is full.
#[inline(always)]
fn flush<N: Network>(
    network: &mut N,
    socket: N::Socket,
    connection: &mut Connection,
    stats: &mut Stats,
    spare: &mut Spare,
) -> io::Result<()> {
    while !connection.outbound.is_empty() {
        match write(network, socket, &connection.outbound) {
            Ok(written) => {
                stats.bytes_out += written as u64;
                let taken = if planted(Mutant::ShortWriteIgnored) {
                    connection.outbound.bytes()
                } else {
                    written
                };
                connection.outbound.consume(taken, spare);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.writable = false;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One call for what is queued: gathered only when it is in several pieces.
#[inline(always)]
fn write<N: Network>(network: &mut N, socket: N::Socket, outbound: &Outbound) -> io::Result<usize> {
    if let Some(bytes) = outbound.single() {
        return network.write(socket, &[IoSlice::new(bytes)]);
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = outbound.slices(&mut slices);
    network.write(socket, &slices[..count])
}
