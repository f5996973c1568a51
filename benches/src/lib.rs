//! What trunkline-selectors costs, beside `mio`, `polling` and a bare `epoll` loop that does the same work.
//!
//! Two programs use this: `cargo bench --package trunkline-benches` (criterion: one contender after the other, times)
//! and the binary `ratios` (all contenders interleaved in one run, processor time and counts as ratios, which is
//! what `docs/benchmarks.md` shows).
//!
//! The work is the same for everyone: some of many registered sources become ready, a wait says which, each is read.
//! Only the wait, the reading of its result and the changes of registrations differ.
#![deny(unsafe_code)]
#![allow(clippy::cast_precision_loss)] // counts and nanoseconds stay far below 2^52

mod bare;
mod contender;
mod harness;
mod mio_poll;
mod ours;
mod polling_poller;
mod sources;
mod workload;

pub use contender::{Contender, Kind, Task};
pub use sources::{Flavour, Sources, raise_descriptor_limit};
pub use workload::{Cost, cpu_time, register_all, turn};
