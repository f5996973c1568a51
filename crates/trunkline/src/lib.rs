//! Many connections, one thread: an event-driven engine for TCP servers and clients, without async.
//!
//! Write a [`Handler`]: what happens when a connection opens, a frame arrives, the peer ends its side, a timer is
//! due. [`Server`] and [`Client`] run it over the best readiness mechanism of the platform; the same handler runs
//! over the [`simulated`](network::simulated) network in tests. See [`Server`] for a whole program.
#![forbid(unsafe_code)]

mod builder;
mod client;
pub mod codec;
mod connection;
mod core;
mod event_loop;
mod handler;
mod io;
mod mutant;
pub mod net;
pub mod network;
mod options;
mod queue;
mod remote;
mod server;
#[cfg(test)]
mod simulation;
mod stats;
pub mod text;
mod timer;
mod trace;

pub use client::Client;
pub use codec::{
    ByteOrder, Chunks, Cobs, Codec, Decoded, Delimiter, FixedSize, FrameError, LengthPrefix,
    LineEnding, Lines, Netstring, Prefix, Text, Unfinished,
};
pub use connection::Role;
pub use event_loop::EventLoop;
pub use handler::{Callback, Cause, Closed, Flow, Frame, Handler, Message, Panic};
pub use io::{ConnectionId, ConnectionStats, Io, Sent};
pub use net::{Error, ErrorKind, Operation, resolve};
pub use options::{Options, Overflow, WhenFull, WhenPanicking};
pub use queue::{Full, Queue, WhenOver};
pub use remote::Remote;
pub use server::Server;
pub use stats::{CauseKind, Refusal, Stats, TURNS_PER_SAMPLE, TurnTimes};
pub use timer::TimerId;
pub use trunkline_selectors::{Mechanism, Trigger};
