//! The user's side of the engine: what a program does when something happens on a connection.
//!
//! The loop holds three disjoint things: the handler, one `State` per connection, and the core
//! (queues and timers). Every callback is lent all three at once, and what it asks of the core is only
//! queued: no callback ever runs inside another, so there is nothing to lock and nothing to re-enter.

use std::fmt;

use crate::codec::{Codec, FrameError};
use crate::io::{ConnectionId, Io};
use crate::net::Error;
use crate::remote::Remote;

/// The frame type that a handler's codec cuts.
pub type Frame<'a, H> = <<H as Handler>::Codec as Codec>::Frame<'a>;
/// The message type that a handler's codec encodes.
pub type Message<H> = <<H as Handler>::Codec as Codec>::Message;

/// What the engine calls. For one connection the order is `open`, then any of `frame`, `drained`,
/// `timer`, at most one `end_of_stream` and one `draining`, and `closed` last, exactly once.
pub trait Handler: Sized {
    /// Cuts the incoming bytes into frames and encodes outgoing messages.
    type Codec: Codec;
    /// What the program keeps for each connection; the loop owns it.
    type State;
    /// What other threads may post to this loop.
    type Message: Send + 'static;

    /// The codec that every connection starts with (each gets a clone).
    fn codec(&self) -> Self::Codec;

    /// The loop is made and has not turned yet. `remote` is a hold on it for other threads, such as a
    /// [`Pool`](crate::Pool) whose answers are to come back as messages. [`Io::id`] names no connection here.
    fn started(&mut self, _io: &mut Io<'_, Self>, _remote: &Remote<Self::Message>) {}

    /// A connection is there: accepted, or connected at our request ([`Io::role`] tells which).
    /// `None` refuses it: what was sent is flushed, then it is closed; `closed` is not called.
    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Self::State>;

    /// A whole frame has arrived.
    fn frame(
        &mut self,
        state: &mut Self::State,
        io: &mut Io<'_, Self>,
        frame: Frame<'_, Self>,
    ) -> Flow;

    /// The outgoing queue, once above the high watermark, is at or below the low one again.
    fn drained(&mut self, _state: &mut Self::State, _io: &mut Io<'_, Self>) {}

    /// The peer will send no more. By default what is pending is flushed, then the connection closes.
    fn end_of_stream(&mut self, _state: &mut Self::State, io: &mut Io<'_, Self>) {
        io.close();
    }

    /// A timer set with [`Io::after`] is due.
    fn timer(&mut self, _state: &mut Self::State, _io: &mut Io<'_, Self>, _token: u64) {}

    /// A message from another thread. [`Io::id`] names no connection here.
    fn message(&mut self, _io: &mut Io<'_, Self>, _message: Self::Message) {}

    /// A connection asked for with [`Io::connect`] (or by the client builder) could not be made.
    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, _id: ConnectionId, _error: Error) {}

    /// The loop begins to drain: accepting has stopped. [`Io::id`] names no connection here.
    fn stopping(&mut self, _io: &mut Io<'_, Self>) {}

    /// A callback panicked, and the panic was caught: the connection it was about, if any, is reset, with
    /// [`Cause::Panicked`] for its `closed`, and the others live. Here is the place to put right what is shared between
    /// connections, should the panic have left it half changed, or to stop the loop ([`Io::stop`]).
    ///
    /// All callbacks are guarded like this, and what the codec does for them. The handler need not be
    /// [`UnwindSafe`](std::panic::UnwindSafe): what belongs to the engine is whole whenever a callback runs, and of what
    /// is its own the handler alone knows. Where an assertion in a callback is to be heard, as in tests, choose
    /// [`WhenPanicking::Propagate`](crate::WhenPanicking::Propagate). In a program built with `panic = "abort"` nothing is caught: the first
    /// panic ends it.
    fn panicked(&mut self, _io: &mut Io<'_, Self>, _panic: &Panic) {}

    /// The loop drains, and this connection has a last turn: what it has asked is still answered, and once it is idle it
    /// closes. The place to say so to the peer, where the protocol has words for it.
    fn draining(&mut self, _state: &mut Self::State, _io: &mut Io<'_, Self>) {}

    /// The connection is gone: exactly once for each `open` that returned a state.
    fn closed(&mut self, _state: Self::State, _io: &mut Io<'_, Self>, _closed: Closed) {}
}

/// What happens to a connection after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on with the next frame.
    Continue,
    /// Hand over no further frame, and read no more, until [`Io::resume`].
    Pause,
    /// Close gracefully: later frames are discarded, what is queued is flushed.
    Close,
    /// Reset the connection now.
    Abort,
}

/// How a connection ended.
#[derive(Debug)]
pub struct Closed {
    /// Why.
    pub cause: Cause,
    /// Bytes that were queued but never taken by the kernel.
    pub unsent: u64,
    /// Bytes that had been read but never became a frame handed to the handler.
    pub unread: u64,
}

/// Why a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// Both directions ended in order: everything queued was handed to the kernel.
    Finished,
    /// The handler aborted it.
    Aborted,
    /// The network failed: reset, broken pipe and the like.
    Failed(Error),
    /// The peer broke the framing, or sent a frame over the limit.
    BadFrame(FrameError),
    /// The outgoing queue reached its hard limit under [`Overflow::Close`](crate::Overflow::Close) or
    /// [`Overflow::CloseAfter`](crate::Overflow::CloseAfter).
    Overflow,
    /// The outgoing queue was above the high watermark for longer than
    /// [`Overflow::CloseAfter`](crate::Overflow::CloseAfter) allows.
    TooSlow,
    /// The linger deadline passed before the peer finished its side.
    LingerExpired,
    /// The loop drained, and the connection was still busy in the second half of that time.
    Evicted,
    /// No frame came in time, or the handler did not say in time that the handshake is done
    /// ([`Deadlines::handshake`](crate::Deadlines::handshake)).
    HandshakeExpired,
    /// A frame was begun and not finished in time ([`Deadlines::frame`](crate::Deadlines::frame)).
    FrameExpired,
    /// No byte came or went for too long ([`Deadlines::idle`](crate::Deadlines::idle)).
    IdleExpired,
    /// The peer took nothing of what waits for it for too long
    /// ([`Deadlines::write_stall`](crate::Deadlines::write_stall)).
    WriteStalled,
    /// The peer sent, or took, fewer bytes than it must
    /// ([`Rates::least_bytes_per_second`](crate::Rates::least_bytes_per_second)).
    BelowRate,
    /// It has been open for as long as a connection may be ([`Deadlines::lifetime`](crate::Deadlines::lifetime)).
    LifetimeExpired,
    /// The loop was stopped before this connection was done.
    Stopped,
    /// A callback about it panicked, or the codec in the course of one. Of the bytes that had been read when a frame's
    /// callback panicked, [`Closed::unread`] may not tell.
    Panicked(Panic),
}

/// A panic of the handler.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panic {
    /// Where.
    pub callback: Callback,
    /// What it said.
    pub message: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "panic in {}: {}", self.callback, self.message)
    }
}

/// The callbacks of a [`Handler`]. What a codec does on the way counts as the callback that it is done for: decoding as
/// `frame`, encoding as the one that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Callback {
    /// [`Handler::started`].
    Started,
    /// [`Handler::open`].
    Open,
    /// [`Handler::frame`].
    Frame,
    /// [`Handler::drained`].
    Drained,
    /// [`Handler::end_of_stream`].
    EndOfStream,
    /// [`Handler::timer`].
    Timer,
    /// [`Handler::message`].
    Message,
    /// [`Handler::connect_failed`].
    ConnectFailed,
    /// [`Handler::stopping`].
    Stopping,
    /// [`Handler::draining`].
    Draining,
    /// [`Handler::closed`].
    Closed,
}

impl fmt::Display for Callback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Started => "started",
            Self::Open => "open",
            Self::Frame => "frame",
            Self::Drained => "drained",
            Self::EndOfStream => "end_of_stream",
            Self::Timer => "timer",
            Self::Message => "message",
            Self::ConnectFailed => "connect_failed",
            Self::Stopping => "stopping",
            Self::Draining => "draining",
            Self::Closed => "closed",
        })
    }
}
