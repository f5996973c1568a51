//! Which of my sources is ready? `select`, `poll`, `epoll`, `io_uring` and `kqueue` behind one safe interface, with the
//! vocabulary of Python's `selectors`: register, modify, unregister, select.
//!
//! A [`Selector`] *owns* its sources together with data of any type, and lends both by [`Key`]. A key is
//! generational: once [`Selector::unregister`] has returned, no event for that key is delivered, not even from the
//! batch that is being worked on, and not even when the system gives the descriptor's number to the next socket.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//! use trunkline_selectors::{Interest, Selector};
//!
//! # fn main() -> std::io::Result<()> {
//! let (mut ours, theirs) = UnixStream::pair()?;
//! let mut selector = Selector::new()?; // the platform's best mechanism
//! selector.register(theirs, Interest::READ, "the other end")?;
//!
//! ours.write_all(b"hello")?;
//! selector.select(None)?; // waits until something is ready
//! while let Some(event) = selector.next_event() {
//!     if event.readiness.is_readable() {
//!         let (mut stream, name) = selector.get(event.key).expect("still registered");
//!         let mut text = [0; 5];
//!         stream.read_exact(&mut text)?;
//!         assert_eq!((&text, *name), (b"hello", "the other end"));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The same answers from every mechanism
//!
//! | Readiness | The system's flags, and the interest they need |
//! |---|---|
//! | readable | `IN`, `HUP`, `ERR` or `RDHUP`, with [`Interest::READ`] |
//! | writable | `OUT`, `HUP` or `ERR`, with [`Interest::WRITE`] |
//! | priority | `PRI`, with [`Interest::PRIORITY`] |
//! | read closed | `RDHUP` or `HUP`, with [`Interest::READ`] |
//! | write closed | `HUP`, with [`Interest::WRITE`] |
//! | error | `ERR`, with any interest |
//! | invalid | `NVAL`: the descriptor was closed behind the selector's back |
//!
//! - A source without interest ([`Interest::NONE`]) is taken out of the kernel's set: it costs no wake-up, not even
//!   when its peer hangs up.
//! - A hang-up is no priority input: a source registered for [`Interest::PRIORITY`] alone wakes once for it at most,
//!   and is not watched again until its interest is modified, not even for an error that comes after the hang-up.
//! - What can never block, such as a regular file or `/dev/null`, is always ready for reading and writing.
//! - A hang-up that no wanted fact would report, which is one under [`Interest::PRIORITY`] alone, ends at most one
//!   wait. From then on the source is not watched, not even for an error, until its interest is next modified:
//!   `poll` and `epoll` cannot be told to keep a hang-up to themselves.
//! - `select(2)` knows no flags, only sets; so when it found something, one `poll(2)` over what it found gets them.
//!   The price is a second system call on the slowest mechanism. What its sets cannot ask for remains: a source
//!   registered there for [`Interest::PRIORITY`] alone does not wake for an error or a hang-up, and one registered
//!   for [`Interest::WRITE`] alone not for a hang-up that comes without `OUT` or `ERR`.
//!
//! What does differ is in [`Mechanism::capabilities`], which triggers there are among it, and nowhere else: the
//! tests that run on every mechanism take their exceptions from there.
//!
//! # Beneath
//!
//! [`raw`] is each mechanism by itself, over descriptors that it does not own, shared by threads: for bindings to other
//! languages, and nobody else.
//!
//! # Platforms
//!
//! | Platform | Mechanisms | Known from (2026-11-22) |
//! |---|---|---|
//! | Linux, `x86_64` | `epoll`, `io_uring`, `poll`, `select` | all tests run |
//! | Linux, `aarch64` | the same | the conformance suite and the property test ran on Linux 6.1 in a virtual machine of qemu, by hand, and under qemu-user, which has no `io_uring` |
//! | Linux with musl or 32 bits (`i686`); Android, which has no `io_uring` here | the same | type-checked, tests included |
//! | Windows | `poll` (`WSAPoll`), `select` | runs under Wine 8: the conformance suite and the crate's own tests (`gnu`); type-checked (`msvc`) |
//! | macOS, FreeBSD | `kqueue`, `poll`, `select` | type-checked and linked, tests included; `kqueue` passes the conformance suite on Linux, over a model of the kernel's |
//! | NetBSD, OpenBSD, `DragonFly` BSD | the same | type-checked, tests included; the model likewise |
//! | illumos, Solaris | `poll` | type-checked, tests included |
//!
//! What was only type-checked or linked has never run on its system. `cargo xtask platforms` in the repository repeats all
//! this, but for what was done by hand.
//!
//! A source is what [`AsSource`] names: `AsFd` on Unix, `AsSocket` on Windows. What the systems do not tell is in the
//! [`Capabilities`], and this:
//!
//! - Windows: sockets only. Its clock may add a tick to a timeout. Before Windows 10 2004 `WSAPoll` does not tell of a
//!   connect that failed; `select` does.
//! - macOS: `poll` has one word for the end of either direction. With [`Interest::READ`] it is told as the end of input,
//!   and the source as writable if that was asked for, which it need not be.
//! - `kqueue` tells the two directions apart: "write closed" does not wait there for the end of input. On FreeBSD and
//!   NetBSD it cannot tell of priority input, and refuses it.
//!
//! # Spurious readiness
//!
//! Ready is a hint that was true when the system gave it. Keep sources non-blocking and treat "would block" as
//! "not yet": another reader of the same socket may have been faster. On `io_uring` that reader may be you: a source
//! that was read without having been reported may be reported once for what is gone
//! ([`level_tells_state`](Capabilities::level_tells_state)).
#![deny(unsafe_code)]

/// The conformance suite calls the crate by its name, also where it runs inside of it.
#[cfg(test)]
extern crate self as trunkline_selectors;

#[allow(unsafe_code)]
mod backend;
mod capabilities;
mod deadline;
mod interest;
mod mechanism;
#[allow(unsafe_code)] // functions whose callers have to promise something
pub mod raw;
mod readiness;
mod registering;
mod selector;
mod slab;
mod wake;
mod waker;

/// What the waker is made of, by a name under which its test puts loom's.
mod sync {
    pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
}

pub use backend::AsSource;
pub use capabilities::{Capabilities, Support};
pub use interest::{Interest, Trigger};
pub use mechanism::{
    Availability, ENVIRONMENT_VARIABLE, Mechanism, ParseMechanismError, Unavailable,
};
pub use readiness::{Event, Readiness, Selected};
pub use registering::RegisterError;
pub use selector::Selector;
pub use slab::{Key, Slab};
pub use waker::Waker;
