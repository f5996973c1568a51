//! What several examples use: a source that is a listener or a stream.
//!
//! The examples themselves are the programs in `src/bin`; `README.md` says which shows what.
#![forbid(unsafe_code)]

mod socket;

pub use socket::Socket;
