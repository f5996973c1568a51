//! After callbacks: write what is queued, carry out what was asked, say what the socket is to be watched for.

use std::io::{self, ErrorKind, IoSlice};

use trunkline_selectors::Interest;

use super::{Ending, EventLoop};
use crate::connection::outbound::Spare;
use crate::connection::watch::Tick;
use crate::connection::{Connection, Facts, Phase};
use crate::core::Stopping;
use crate::handler::{Callback, Cause, Handler};
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::net::Operation;
use crate::network::{Network, Trigger};
use crate::stats::Stats;

/// Pieces of a queue handed to the kernel in one call.
const SLICES_MAX: usize = 16;

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// Brings a connection in order after its callbacks. Called at the end of its own turn, and at the end of
    /// the loop's turn when another connection's callback touched it.
    #[inline(never)]
    pub(super) fn settle(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        connection.facts.clear(Facts::TOUCHED);
        if connection.is_to_be_written() {
            if connection.facts.any(Facts::METERED) {
                return self.settle_metered(id);
            }
            let (network, stats) = (&mut self.network, &mut self.core.stats);
            let now = self.core.deadlines.now();
            if let Err(error) = flush(network, connection, stats, &mut self.core.spare, now) {
                self.failed(id, Operation::Send, error);
                return;
            }
        }
        if connection.holds_bytes() {
            return self.settle_with_bytes(id);
        }
        connection
            .facts
            .clear(Facts::HOLDS_BYTES.with(Facts::OUTPUT_WAITS));
        // The usual case, seen at a glance: all is read and written, and nothing was asked.
        let at_rest = connection.facts.at_rest() && self.core.stopping == Stopping::No;
        if !at_rest {
            self.settle_the_rest(id);
        }
    }

    /// The same for a connection whose bytes are counted against a rate.
    #[inline(never)]
    fn settle_metered(&mut self, id: ConnectionId) {
        if let Err(error) = self.flush_metered(id) {
            self.failed(id, Operation::Send, error);
            return;
        }
        self.settle_with_bytes(id);
    }

    /// The same for a connection in which bytes wait: a deadline for them runs.
    #[inline(never)]
    fn settle_with_bytes(&mut self, id: ConnectionId) {
        let now = self.core.deadlines.now();
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        let holds_bytes = connection.holds_bytes();
        connection.facts.put(Facts::HOLDS_BYTES, holds_bytes);
        connection.note_output(now);
        let at_rest = connection.facts.at_rest()
            && connection.outbound.is_empty()
            && self.core.stopping == Stopping::No;
        if !at_rest {
            self.settle_the_rest(id);
        }
        if !planted(Mutant::WaitingUnwatched) {
            self.core.keep_deadlines(id);
        }
    }

    fn settle_the_rest(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get(id.0) else {
            return;
        };
        match connection.facts.phase() {
            Phase::Connecting => return,
            Phase::Aborting if planted(Mutant::AbortForgotten) => return,
            Phase::Aborting => {
                self.done(id, Cause::Aborted, Ending::Reset);
                return;
            }
            Phase::Open | Phase::Closing | Phase::Lingering => {}
        }
        let is_metered = connection.facts.any(Facts::METERED);
        self.core.note_progress(id);
        self.tell_drained(id);
        if self.core.stopping == Stopping::Draining {
            self.close_if_idle(id);
        }
        // Last, because a queue that has drained lets the peer send again.
        if is_metered {
            self.core.note_meter(id);
        }
        if self.carry_out_ending(id) {
            self.watch(id);
        }
    }

    /// Ends the pause of input that the connection's own output had caused.
    fn tell_drained(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        if !connection.facts.any(Facts::ABOVE_HIGH)
            || connection.outbound.bytes() > self.core.options.low_watermark_bytes
            || planted(Mutant::ResumeForgotten)
        {
            return;
        }
        if connection.facts.any(Facts::HELD_BACK) {
            connection.frame_goes_on(self.core.deadlines.now());
        }
        connection.fall_to_low();
        if connection.facts.phase() != Phase::Open {
            return;
        }
        self.tell(id, Callback::Drained, |handler, state, io| {
            handler.drained(state, io);
        });
    }

    /// Carries out half-close and close as far as they can go. `false` when the connection is gone.
    fn carry_out_ending(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return false;
        };
        let closing = connection.facts.discards();
        if !closing && !connection.facts.any(Facts::FINISHING) {
            return true;
        }
        if !connection.outbound.is_empty() && !planted(Mutant::CloseBeforeFlush) {
            return true;
        }
        if closing && (connection.facts.any(Facts::ENDED) || planted(Mutant::CloseWithoutLinger)) {
            // The peer's end of stream has been read, so nothing unread can turn this close into a reset.
            self.done(id, Cause::Finished, Ending::InOrder);
            return false;
        }
        if closing {
            connection.facts.move_to(Phase::Lingering);
        }
        if !connection.facts.any(Facts::FINISHED) {
            connection.facts.set(Facts::FINISHED);
            if let Err(error) = self.network.shutdown_write(connection.socket) {
                self.failed(id, Operation::Shutdown, error);
                return false;
            }
        }
        true
    }

    /// Puts the connection in line when it has more to do, and tells the network what to watch it for.
    fn watch(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        let facts = connection.facts;
        let end_waits = facts.any(Facts::ENDED) && !facts.any(Facts::END_TOLD);
        let frames_wait = facts.any(Facts::UNEXAMINED) || end_waits;
        let more = facts.any(Facts::READABLE) && facts.wants_input()
            || frames_wait && facts.takes_frames();
        if more && !facts.any(Facts::QUEUED) && !planted(Mutant::BudgetNotRequeued) {
            connection.facts.set(Facts::QUEUED);
            self.again.push_back(id);
            self.core.asked = true;
        }
        if self.network.trigger() == Trigger::Edge {
            connection.facts.clear(Facts::WATCHED_UNUSUALLY);
            return;
        }
        let mut interest = Interest::NONE;
        if facts.wants_input() {
            interest = interest.with(Interest::READ);
        }
        if connection.output_waits() && !planted(Mutant::WriteInterestForgotten) {
            interest = interest.with(Interest::WRITE);
        }
        if interest != connection.interest {
            connection.interest = interest;
            self.network.set_interest(connection.socket, interest);
        }
        let unusual = interest != Interest::READ;
        connection.facts.put(Facts::WATCHED_UNUSUALLY, unusual);
    }
}

/// Writes until the queue is empty or the socket is full.
fn flush<N: Network>(
    network: &mut N,
    connection: &mut Connection,
    stats: &mut Stats,
    spare: &mut Spare,
    now: Tick,
) -> io::Result<()> {
    while !connection.outbound.is_empty() {
        let outcome = write(network, connection, usize::MAX);
        if !wrote(connection, outcome, stats, spare, now)? {
            break;
        }
    }
    Ok(())
}

/// Notes the outcome of a write, in this tick. `false` when the socket is full.
pub(super) fn wrote(
    connection: &mut Connection,
    outcome: io::Result<usize>,
    stats: &mut Stats,
    spare: &mut Spare,
    now: Tick,
) -> io::Result<bool> {
    match outcome {
        Ok(written) => {
            stats.bytes_out += written as u64;
            connection.watch.active = now;
            connection.watch.write = now;
            let taken = if planted(Mutant::ShortWriteIgnored) {
                connection.outbound.bytes()
            } else {
                written
            };
            connection.outbound.consume(taken, spare);
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            connection.facts.clear(Facts::WRITABLE);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// One call for what is queued, or so many bytes of it: gathered only when it is in several pieces.
pub(super) fn write<N: Network>(
    network: &mut N,
    connection: &Connection,
    bytes_max: usize,
) -> io::Result<usize> {
    if let Some(bytes) = connection.outbound.single() {
        let bytes = &bytes[..bytes.len().min(bytes_max)];
        return network.write(connection.socket, &[IoSlice::new(bytes)]);
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = connection.outbound.slices(&mut slices);
    let mut left = bytes_max;
    let whole = slices[..count].iter().take_while(|slice| {
        let fits = slice.len() <= left;
        left = left.saturating_sub(slice.len());
        fits
    });
    match whole.count() {
        // The first piece alone is more than may go.
        0 => {
            let part = connection.outbound.first_bytes(bytes_max);
            network.write(connection.socket, &[IoSlice::new(part)])
        }
        whole => network.write(connection.socket, &slices[..whole]),
    }
}
