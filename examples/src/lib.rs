//! What several examples use: the queue of one connection, and a source that is a listener or a stream.
//!
//! The examples themselves are the programs in `src/bin`; `README.md` says which shows what.
#![forbid(unsafe_code)]

mod queue;
mod socket;

pub use queue::{Full, Queue};
pub use socket::Socket;
