//! One connection's turn: read, cut frames, hand them over, within the budget.

use std::io::{self, ErrorKind};
use std::ops::Range;

use super::panics::guarded;
use super::{EventLoop, Session};
use crate::codec::{Codec, Decoded};
use crate::connection::{Connection, Facts, Phase};
use crate::core::Core;
use crate::handler::{Callback, Cause, Flow, Handler};
use crate::io::{ConnectionId, Io};
use crate::mutant::{Mutant, planted};
use crate::net::Operation;
use crate::network::Network;

/// Why handing over frames came to a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// What is left is not a whole frame: not yet, or it is none at all and the connection is closing.
    Incomplete,
    /// The handler, the watermark or the budget said stop: there may be more frames.
    Stopped,
}

/// What a connection may still use up in its turn.
pub(super) struct Budget {
    bytes: usize,
    frames: usize,
}

impl Budget {
    /// Uses up what a read brought. Is there more for this turn?
    fn take(&mut self, count: usize) -> bool {
        self.bytes = self.bytes.saturating_sub(count);
        planted(Mutant::BudgetIgnored) || self.bytes > 0 && self.frames > 0
    }
}

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// Serves a connection until it has no more to give, wants no more, or has used its budget; then settles it,
    /// which writes what was queued and puts it back in line when there is more to do.
    #[inline(never)]
    pub(super) fn serve(&mut self, id: ConnectionId) {
        let mut left = self.budget();
        while self.step(id, &mut left) {}
        self.settle(id);
    }

    /// As `serve`, after a first read with this outcome.
    #[inline(never)]
    pub(super) fn serve_after_read(&mut self, id: ConnectionId, outcome: io::Result<usize>) {
        let mut left = self.budget();
        let mut more = self.take_in(id, outcome, self.buffer.len(), &mut left);
        while more {
            more = self.step(id, &mut left);
        }
        self.settle(id);
    }

    fn budget(&self) -> Budget {
        Budget {
            bytes: self.core.options.read_budget_bytes,
            frames: self.core.options.frame_budget,
        }
    }

    /// One step of a turn; `false` ends it.
    fn step(&mut self, id: ConnectionId, left: &mut Budget) -> bool {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return false;
        };
        // It is going to be settled: what its own callbacks ask needs no line in the list of the touched.
        connection.facts.set(Facts::TOUCHED);
        if !connection.facts.is_to_be_read() {
            return self.unusual_step(id, left);
        }
        let outcome = self.network.read(connection.socket, &mut self.buffer);
        self.take_in(id, outcome, self.buffer.len(), left)
    }

    /// Cuts frames from the bytes just read, of which there was room for so many: in place when nothing waits before them. `false` ends the turn.
    pub(super) fn take_in(
        &mut self,
        id: ConnectionId,
        outcome: io::Result<usize>,
        room: usize,
        left: &mut Budget,
    ) -> bool {
        let Ok(count @ 1..) = outcome else {
            return self.no_input(id, outcome);
        };
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return false;
        };
        let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
            return false;
        };
        let emptied = took_all(connection, count, room);
        self.core.stats.bytes_in += count as u64;
        if !planted(Mutant::IdleNotPutOff) {
            connection.watch.active = self.core.deadlines.now();
        }
        if !connection.inbound.is_empty() {
            if planted(Mutant::FrameDeadlinePutOff) {
                connection.watch.frame = self.core.deadlines.now();
            }
            connection.inbound.extend(&self.buffer[..count]);
            connection.set_unexamined(true);
            return left.take(count);
        }
        let (handler, core) = (&mut self.handler, &mut self.core);
        let input = &self.buffer[..count];
        let (used, halt) = hand_over_here(handler, core, session, id, input, &mut left.frames);
        let frames_wait = halt == Halt::Stopped;
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            end_short_handshake(connection, used > 0);
        }
        self.keep_the_rest(id, used..count, halt);
        (frames_wait || !emptied) && left.take(count)
    }

    /// A step that is not simply a read: frames that wait already, the end of the stream, bytes to discard.
    fn unusual_step(&mut self, id: ConnectionId, left: &mut Budget) -> bool {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return false;
        };
        let facts = connection.facts;
        if facts.phase() == Phase::Connecting {
            // With edge triggers the peer's first bytes may be told of in this very event, and never again.
            if facts.any(Facts::READABLE.with(Facts::WRITABLE)) {
                self.connecting_ready(id);
            }
            return false;
        }
        if facts.takes_frames() && facts.any(Facts::UNEXAMINED) {
            self.hand_over_waiting(id, &mut left.frames);
            return left.frames > 0;
        }
        if facts.any(Facts::ENDED) {
            if facts.takes_frames() && !facts.any(Facts::END_TOLD) {
                self.tell_end(id);
            }
            return false;
        }
        if !facts.wants_input() || !facts.any(Facts::READABLE) || left.bytes == 0 {
            return false;
        }
        if !facts.discards() {
            return self.metered_step(id, left);
        }
        match self.network.read(connection.socket, &mut self.buffer) {
            Ok(count @ 1..) => {
                self.core.stats.bytes_in += count as u64;
                !took_all(connection, count, self.buffer.len()) && left.take(count)
            }
            nothing => self.no_input(id, nothing),
        }
    }

    /// A read that brought nothing: the end of the stream, nothing yet, or an error. Says whether to go on.
    fn no_input(&mut self, id: ConnectionId, outcome: io::Result<usize>) -> bool {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return false;
        };
        connection.facts.clear(Facts::READABLE);
        match outcome {
            Ok(_) => {
                connection.facts.set(Facts::ENDED);
                if planted(Mutant::EndDropsFrames) {
                    connection.inbound.clear();
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let unix = connection.facts.any(Facts::UNIX);
                connection.facts.put(Facts::READ_TO_THE_END, unix);
                false
            }
            Err(error) => {
                self.failed(id, Operation::Receive, error);
                false
            }
        }
    }

    /// Keeps the bytes just read that were not handed over.
    pub(super) fn keep_the_rest(&mut self, id: ConnectionId, rest: Range<usize>, halt: Halt) {
        if let Some(connection) = self.core.connections.get_mut(id.0)
            && !rest.is_empty()
        {
            if !planted(Mutant::PartialFrameLost) {
                connection.inbound.extend(&self.buffer[rest]);
            }
            connection.set_unexamined(halt == Halt::Stopped);
            connection.watch.frame = self.core.deadlines.now();
        }
    }

    /// Cuts frames from the bytes that wait.
    fn hand_over_waiting(&mut self, id: ConnectionId, frames_left: &mut usize) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
            return;
        };
        // Taken out while the frames borrow from it: the handler gets the core at the same time.
        let mut inbound = std::mem::take(&mut connection.inbound);
        let (consumed, halt) = hand_over_here(
            &mut self.handler,
            &mut self.core,
            session,
            id,
            inbound.bytes(),
            frames_left,
        );
        inbound.consume(consumed);
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.inbound = inbound;
            connection.set_unexamined(halt == Halt::Stopped);
            if consumed > 0 {
                // What waits now is the beginning of another frame.
                connection.watch.frame = self.core.deadlines.now();
            }
            end_short_handshake(connection, consumed > 0);
        }
    }

    /// The peer sends no more: hands over the last frame if the rest is one, then tells the handler.
    fn tell_end(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
            return;
        };
        connection.facts.set(Facts::END_TOLD);
        let mut inbound = std::mem::take(&mut connection.inbound);
        let Some(state) = session.state.as_mut() else {
            return;
        };
        let decoder = &mut session.decoder;
        let (handler, core) = (&mut self.handler, &mut self.core);
        let last = guarded(
            handler,
            core,
            id,
            Callback::Frame,
            |handler, io| match decoder.finish(inbound.bytes()) {
                Ok(Some(frame)) => {
                    io.core.stats.frames_in += 1;
                    Some(handler.frame(state, io, frame))
                }
                Ok(None) => None,
                Err(error) => {
                    io.core.close(id, Some(Cause::BadFrame(error)));
                    None
                }
            },
        );
        let last = last.flatten();
        if let Some(flow) = last {
            inbound.clear();
            apply(&mut self.core, id, flow);
        }
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        connection.inbound = inbound;
        end_short_handshake(connection, last.is_some());
        if connection.facts.takes_frames() {
            guarded(
                &mut self.handler,
                &mut self.core,
                id,
                Callback::EndOfStream,
                |handler, io| handler.end_of_stream(state, io),
            );
        } else {
            // Paused or closed in answer to the last frame: after a pause this comes again, with nothing left to frame.
            connection.facts.clear(Facts::END_TOLD);
        }
    }
}

/// The first whole frame ends the handshake, unless the handler wants more of them.
#[inline]
fn end_short_handshake(connection: &mut Connection, frame_came: bool) {
    if connection.facts.any(Facts::HANDSHAKING)
        && !connection.facts.any(Facts::LONG_HANDSHAKE)
        && frame_came
    {
        connection.facts.clear(Facts::HANDSHAKING);
    }
}

/// Notes a read. A short one has emptied the socket: the read that would only say so is saved.
fn took_all(connection: &mut Connection, count: usize, room: usize) -> bool {
    let all = count < room && !connection.facts.any(Facts::READ_TO_THE_END)
        || planted(Mutant::EdgeWithoutDraining);
    if all {
        connection.facts.clear(Facts::READABLE);
    }
    all
}

/// `hand_over`, once for all of this file: the handler's code is copied into the usual way alone.
#[inline(never)]
fn hand_over_here<H: Handler>(
    handler: &mut H,
    core: &mut Core<H::Codec>,
    session: &mut Session<H>,
    id: ConnectionId,
    input: &[u8],
    frames_left: &mut usize,
) -> (usize, Halt) {
    let mut used = 0;
    let halt = guarded(handler, core, id, Callback::Frame, |handler, io| {
        let core = &mut *io.core;
        hand_over(handler, core, session, id, input, frames_left, &mut used)
    });
    (used, halt.unwrap_or(Halt::Incomplete))
}

/// Hands over frames from the front of `input`, at least one of them if there is one, until something says stop;
/// counts in `used` how much was used up.
#[inline(always)]
pub(super) fn hand_over<H: Handler>(
    handler: &mut H,
    core: &mut Core<H::Codec>,
    session: &mut Session<H>,
    id: ConnectionId,
    input: &[u8],
    frames_left: &mut usize,
    used: &mut usize,
) -> Halt {
    let Some(state) = session.state.as_mut() else {
        return Halt::Stopped;
    };
    while *used < input.len() {
        let (frame, consumed) = match session.decoder.decode(&input[*used..]) {
            Ok(Decoded::Frame { frame, consumed }) => (frame, consumed),
            Ok(Decoded::Incomplete) => return Halt::Incomplete,
            Err(error) => {
                core.close(id, Some(Cause::BadFrame(error)));
                return Halt::Incomplete;
            }
        };
        *used += consumed;
        *frames_left = frames_left.saturating_sub(1);
        core.stats.frames_in += 1;
        let flow = handler.frame(state, &mut Io { core, id }, frame);
        if flow != Flow::Continue {
            apply(core, id, flow);
        }
        if *used == input.len() {
            break;
        }
        if *frames_left == 0 {
            return Halt::Stopped;
        }
        // Still in the cork: nothing was asked but to send.
        if core.is_serving(id) {
            continue;
        }
        if !core
            .connections
            .get(id.0)
            .is_some_and(|connection| connection.facts.takes_frames())
            && !planted(Mutant::FramesAfterClose)
        {
            return Halt::Stopped;
        }
    }
    Halt::Incomplete
}

fn apply<C: Codec>(core: &mut Core<C>, id: ConnectionId, flow: Flow) {
    match flow {
        Flow::Continue => {}
        Flow::Pause => {
            core.pause(id);
        }
        Flow::Close => core.close(id, None),
        Flow::Abort => core.abort(id, Cause::Aborted),
    }
}
