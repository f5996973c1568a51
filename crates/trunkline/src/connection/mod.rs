//! One connection as plain state: what phase it is in, what waits to go out, what it asked for.
//!
//! No I/O and no clock here: the event loop asks this state what may be done and tells it what happened.

use std::net::SocketAddr;

use crate::handler::Cause;
use crate::timer::TimerId;

pub(crate) mod inbound;
pub(crate) mod outbound;

use outbound::Outbound;

/// Which side began the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A client connected to one of our listeners.
    Accepted,
    /// We connected, by [`Io::connect`](crate::Io::connect) or the client builder.
    Connected,
}

/// Where a connection is in its life. It only moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Our connect is under way.
    Connecting,
    /// Frames go both ways.
    Open,
    /// `close` was asked: input is discarded, output is flushed.
    Closing,
    /// Our end of the stream is sent: input is discarded until the peer's.
    Lingering,
    /// To be reset as soon as the loop comes by.
    Aborting,
}

/// The part of a connection that callbacks may touch, through `Io`.
// The flags are independent facts, not one state in disguise: `Phase` holds the state.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Connection {
    pub(crate) outbound: Outbound,
    pub(crate) peer: SocketAddr,
    pub(crate) timers: Vec<TimerId>,
    /// Why it ends, once that is decided; `None` means in order.
    pub(crate) cause: Option<Box<Cause>>,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    /// It was made, and counted as open. A connection of ours that never is ends in `connect_failed`.
    pub(crate) established: bool,
    /// The handler wants no frames.
    pub(crate) paused: bool,
    /// The outgoing queue went above the high watermark and is not yet down at the low one.
    pub(crate) above_high: bool,
    /// Half-close was asked; the end of our stream follows the queue.
    pub(crate) finishing: bool,
    /// The end of our stream is sent.
    pub(crate) finished: bool,
    /// The peer's end of stream has been read.
    pub(crate) ended: bool,
    /// ... and the handler has been told.
    pub(crate) end_told: bool,
    /// The socket is believed to have input.
    pub(crate) readable: bool,
    /// The socket is believed to have room for output.
    pub(crate) writable: bool,
    /// A short read does not mean that the socket is empty (urgent byte or end of stream behind it).
    pub(crate) read_to_the_end: bool,
    /// It is in the core's list of connections that callbacks have touched.
    pub(crate) touched: bool,
    /// It is in the loop's list of connections to serve again.
    pub(crate) queued: bool,
}

impl Connection {
    pub(crate) fn new(peer: SocketAddr, role: Role) -> Self {
        Self {
            outbound: Outbound::default(),
            peer,
            timers: Vec::new(),
            cause: None,
            role,
            phase: if role == Role::Accepted {
                Phase::Open
            } else {
                Phase::Connecting
            },
            established: role == Role::Accepted,
            paused: false,
            above_high: false,
            finishing: false,
            finished: false,
            ended: false,
            end_told: false,
            readable: false,
            // A new socket has room; should it not, the first write finds out.
            writable: role == Role::Accepted,
            read_to_the_end: false,
            touched: false,
            queued: false,
        }
    }

    /// May a frame be handed to the handler now?
    #[inline]
    pub(crate) fn takes_frames(&self) -> bool {
        self.phase == Phase::Open && !self.paused && !self.held_back_by_output()
    }

    /// Does its own output hold back its input? Of a connection we accepted, whose peer asks more than it
    /// listens to. Not of one we made: there the output is our own doing, and not to read while the server
    /// cannot send would leave both sides waiting for each other.
    #[inline]
    fn held_back_by_output(&self) -> bool {
        self.above_high && self.role == Role::Accepted
    }

    /// Is input discarded?
    #[inline]
    pub(crate) fn discards(&self) -> bool {
        matches!(self.phase, Phase::Closing | Phase::Lingering)
    }

    /// Should the socket be read when it has input?
    #[inline]
    pub(crate) fn wants_input(&self) -> bool {
        !self.ended && (self.takes_frames() || self.discards())
    }

    /// Open, with all input read, all output written, and nothing asked for?
    #[inline]
    pub(crate) fn has_nothing_under_way(&self) -> bool {
        self.phase == Phase::Open
            && !(self.readable | self.paused | self.above_high | self.finishing | self.ended)
            && self.outbound.is_empty()
    }

    /// May messages be queued?
    #[inline]
    pub(crate) fn takes_output(&self) -> bool {
        self.phase <= Phase::Open && !self.finishing
    }

    /// Begins a graceful close, for `cause` if it is not simply in order.
    pub(crate) fn begin_close(&mut self, cause: Option<Cause>) {
        if self.phase <= Phase::Open {
            self.phase = Phase::Closing;
            self.cause = cause.map(Box::new);
        }
    }

    /// Begins a reset. A connection that is already being reset keeps its first cause.
    pub(crate) fn begin_abort(&mut self, cause: Cause) {
        if self.phase < Phase::Aborting {
            self.phase = Phase::Aborting;
            self.cause = Some(Box::new(cause));
        }
    }
}
