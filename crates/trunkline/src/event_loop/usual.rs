//! The usual way of a message, in one straight piece: read, hand over, write, with nothing else to do before, between
//! or after. Whatever is not usual is left to `serve` and `settle`, which can do everything; here it is only told apart.
//!
//! ARCHITECTURE.md counts what this costs. A connection is looked up once: as long as it is the one in `serving` after
//! its callbacks, they have asked nothing but to send, so all that was known of it before still holds.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::EventLoop;
use super::serve::{Halt, hand_over};
use super::settle::wrote;
use crate::connection::Facts;
use crate::handler::Handler;
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::net::Operation;
use crate::network::{Network, Readiness};

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// A connection is ready.
    #[inline(always)]
    pub(super) fn ready(&mut self, id: ConnectionId, readiness: Readiness) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        connection.facts.report(readiness);
        if !connection.facts.is_plain() {
            return self.serve(id);
        }
        let socket = connection.socket;
        let buffer = &mut self.buffer[..];
        let count = match self.network.read(socket, buffer) {
            Ok(count) => count,
            Err(error) => return self.serve_after_read(id, Err(error)),
        };
        // A short read has emptied the socket: the read that would only say so is saved.
        if count >= buffer.len() {
            return self.serve_after_full_read(id, count);
        }
        if count == 0 {
            return self.serve_after_end(id);
        }
        connection.facts.clear(Facts::READABLE);
        if !planted(Mutant::IdleNotPutOff) {
            connection.watch.active = self.core.deadlines.now();
        }
        self.core.stats.bytes_in += count as u64;
        let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
            return;
        };
        self.core.serving = id;
        let (handler, core) = (&mut self.handler, &mut self.core);
        let input = &buffer[..count];
        let mut frames_left = core.options.frame_budget;
        let mut used = 0;
        let left = &mut frames_left;
        let halt = hand_over(handler, core, session, id, input, left, &mut used);
        if used < count || !self.core.is_serving(id) {
            return self.end_unusually(id, used..count, halt);
        }
        if !self.core.cork.is_empty() {
            match self.network.write(socket, &[IoSlice::new(&self.core.cork)]) {
                Ok(written) if written == self.core.cork.len() => {
                    self.core.stats.bytes_out += written as u64;
                    self.core.cork.clear();
                }
                outcome => return self.end_after_write(id, outcome),
            }
        }
        self.core.serving = ConnectionId::unserved();
    }

    // Two ways out that are one and the same: told apart, each is one comparison; as one, the compiler joins the
    // questions and asks more.

    #[inline(never)]
    fn serve_after_full_read(&mut self, id: ConnectionId, count: usize) {
        self.serve_after_read(id, Ok(count));
    }

    #[inline(never)]
    fn serve_after_end(&mut self, id: ConnectionId) {
        self.serve_after_read(id, Ok(0));
    }

    /// The callbacks asked for more than to send, or there are bytes that they did not get.
    #[inline(never)]
    fn end_unusually(&mut self, id: ConnectionId, rest: Range<usize>, halt: Halt) {
        if self.core.is_serving(id) {
            self.core.pull_cork();
        }
        self.core.pulled = ConnectionId::nobody();
        self.keep_the_rest(id, rest, halt);
        self.settle(id);
    }

    /// The write took less than all: the rest waits in the queue.
    #[inline(never)]
    fn end_after_write(&mut self, id: ConnectionId, outcome: io::Result<usize>) {
        self.core.pull_cork();
        self.core.pulled = ConnectionId::nobody();
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        let (stats, spare) = (&mut self.core.stats, &mut self.core.spare);
        let now = self.core.deadlines.now();
        if let Err(error) = wrote(connection, outcome, stats, spare, now) {
            return self.failed(id, Operation::Send, error);
        }
        self.settle(id);
    }
}
