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
mod drained;
mod event_loop;
mod handler;
mod io;
mod limits;
mod mutant;
pub mod net;
pub mod network;
mod options;
mod pool;
mod queue;
mod remote;
mod server;
#[cfg(test)]
mod simulation;
mod stats;
pub mod text;
mod threads;
mod timer;
mod trace;

pub use client::Client;
pub use codec::{
    ByteOrder, Chunks, Cobs, Codec, Decoded, Delimiter, FixedSize, FrameError, LengthPrefix,
    LineEnding, Lines, Netstring, Prefix, Text, Unfinished,
};
pub use connection::Role;
pub use drained::Drained;
pub use event_loop::EventLoop;
pub use handler::{Callback, Cause, Closed, Flow, Frame, Handler, Message, Panic};
pub use io::{ConnectionId, ConnectionStats, Io, Sent};
pub use limits::{AcceptRate, Limits};
pub use net::{Address, Error, ErrorKind, Operation, UnixAddress, resolve};
pub use options::{Deadlines, Options, Overflow, Rates, WhenFull, WhenPanicking};
pub use pool::{Panicked, Pool, PoolStats, Submitted};
pub use queue::{Full, Queue, WhenOver};
pub use remote::{Offered, Remote};
pub use server::Server;
pub use stats::{CauseKind, Refusal, Stats, TURNS_PER_SAMPLE, TurnTimes};
pub use threads::{LoopError, Remotes, Seat, Sharing, ThreadedServer, Threads, ThreadsFailed};
pub use timer::TimerId;
pub use trunkline_selectors::{Mechanism, Trigger};
