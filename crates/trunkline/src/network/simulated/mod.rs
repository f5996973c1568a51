//! A network in memory, where everything follows from a seed: to test handlers, and the engine itself.
//!
//! A [`World`] holds a virtual clock, sockets and scripted [`Peer`]s. [`World::network`] gives a [`Simulated`],
//! which the engine takes instead of the kernel. Sockets have send and receive buffers, a backlog, ends of
//! streams and resets; readiness is derived from them as Linux does, level or edge. Time passes only while
//! every party waits. [`Faults`] make things go wrong, [`Limits`] make room scarce. The same [`Config`] gives the
//! same run, byte for byte, so a seed in a bug report is the bug.
//!
//! ```
//! use std::time::Duration;
//! use trunkline::network::simulated::{EchoClient, World};
//! use trunkline::network::{Interest, Network, Token};
//!
//! let world = World::calm(42);
//! let mut network = world.network();
//! let (listener, address) = network.listen("127.0.0.1:0".parse().unwrap(), 16, Token(0)).unwrap();
//! world.connect(address, Duration::ZERO, EchoClient::new("hello"));
//!
//! // One turn of an echo server, by hand.
//! network.wait(None).unwrap();
//! assert_eq!(network.next_event().unwrap().token, Token(0));
//! let (stream, _peer) = network.accept(listener, Token(1)).unwrap();
//! network.wait(None).unwrap();
//! assert_eq!(network.next_event().unwrap().token, Token(1));
//! let mut buffer = [0; 16];
//! let length = network.read(stream, &mut buffer).unwrap();
//! network.write(stream, &[std::io::IoSlice::new(&buffer[..length])]).unwrap();
//! world.advance(Duration::from_secs(1));
//! network.close(stream);
//! # network.set_interest(listener, Interest::NONE);
//!
//! assert_eq!(world.check_at_rest(), Vec::<String>::new());
//! ```
//!
//! # Testing a handler
//! A [`Handler`](crate::Handler) runs over a simulated network as it does over the kernel's, by
//! [`EventLoop::over`](crate::EventLoop::over). This one is tried in a hundred worlds, each with its own faults; a seed that
//! fails can be run again, alone, with [`World::keep_log`].
//!
//! ```
//! use std::time::Duration;
//! use trunkline::network::simulated::{EchoClient, Faults, World};
//! use trunkline::{EventLoop, Flow, Handler, Io, Lines, Options, WhenPanicking};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Codec = Lines;
//!     type State = ();
//!     type Message = ();
//!     fn codec(&self) -> Lines {
//!         Lines::new()
//!     }
//!     fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
//!         Some(())
//!     }
//!     fn frame(&mut self, _: &mut (), io: &mut Io<'_, Self>, line: &[u8]) -> Flow {
//!         let _ = io.send(line);
//!         Flow::Continue
//!     }
//! }
//!
//! for seed in 0..100 {
//!     let world = World::from_seed(seed);
//!     let mut limits = world.limits();
//!     limits.descriptors = 100;
//!     world.set_limits(limits);
//!     // An assertion that fails in a callback is to fail the test.
//!     // Some worlds are so slow, or leap so far, that deadlines pass: here that is not what is tested.
//!     let options = Options {
//!         when_panicking: WhenPanicking::Propagate,
//!         linger: Duration::from_secs(1_000_000),
//!         ..Options::default()
//!     };
//!     let mut server = EventLoop::over(world.network(), Echo, options);
//!     let address = server.listen("127.0.0.1:7000".parse().unwrap())?;
//!     // Clients that check every byte, with manners good and bad.
//!     world.storm(address, 10, Duration::from_millis(50), |random| EchoClient::random(random, 200));
//!     let mut quiet_turns = 0;
//!     for turn in 0..50_000 {
//!         server.turn(Some(Duration::from_secs(1)))?;
//!         if turn == 1_000 {
//!             // From here on nothing goes wrong any more, so everything has to arrive.
//!             world.set_faults(Faults::none());
//!         }
//!         // Nothing is on its way, and the server itself has done nothing about it for a while.
//!         quiet_turns = if world.is_quiet() { quiet_turns + 1 } else { 0 };
//!         if turn > 1_000 && quiet_turns > 20 {
//!             break;
//!         }
//!     }
//!     assert_eq!(world.check_at_rest(), Vec::<String>::new(), "seed {seed}");
//! }
//! # Ok::<(), trunkline::Error>(())
//! ```
//!
//! # What is simplified
//! Bytes are acknowledged when they arrive; a reset overtakes the bytes on their way and destroys them; an
//! orphaned connection never times out; addresses are names only (any address can be bound and reached). Sockets in the
//! Unix domain connect at once and have no addresses, as they should, but their bytes go the way of TCP's.

mod calls;
mod clients;
mod control;
mod delivery;
mod endpoint;
mod errors;
mod faults;
mod garbage;
mod handover;
mod peer;
mod random;
mod socket;
mod table;
mod trace;
#[cfg(test)]
mod traffic;
mod transit;
mod world;

pub use clients::{EchoClient, EchoServer, Ending, Reading, lines};
pub use control::World;
pub use faults::{Config, Faults, Limits};
pub use garbage::Garbage;
pub(super) use handover::Ticket;
pub use peer::{Peer, PeerId, PeerIo};
pub use random::Random;
pub use socket::Simulated;
pub use table::SimulatedSocket;
#[cfg(test)]
pub(crate) use traffic::Traffic;
