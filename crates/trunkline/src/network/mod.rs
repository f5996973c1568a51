//! The seam between the engine and the world: sockets, readiness and the clock.
//!
//! It lies below accept handling, partial writes, interest changes, timers and closing, so the simulated
//! network runs the same engine code as the kernel does. Contract, for every implementation:
//!
//! - Nothing blocks but [`Network::wait`]. "Would block" is `ErrorKind::WouldBlock`; `EINTR` never escapes.
//! - Readiness carries the [`Token`] given at registration. After `close` or `abort` returns, no event of
//!   that socket is delivered, the rest of the current batch included.
//! - With [`Trigger::Level`] a socket is reported at each wait while it is ready for its interest. With
//!   [`Trigger::Edge`] every stream reports input and output once per change, whatever its interest, and
//!   the engine never calls `set_interest` on a stream. Listeners are always level-triggered.
//! - With edge triggers a read that fills less than its buffer has emptied the socket, unless the event also
//!   said priority, read-closed, write-closed or error; what comes later makes a new event.
//! - With a stream in the Unix domain a short read says nothing (it also ends where the peer had sent a descriptor
//!   along): the engine reads on until "would block".
//! - The alarm ([`Network::set_alarm`]) is an event like any other, of [`Token::ALARM`], and comes in a batch with others.
//! - Readiness may be spurious: `read`, `write` and `accept` may still say "would block".

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub mod kernel;
pub mod simulated;
mod system;

pub use trunkline_selectors::{Interest, Readiness, Trigger};

pub use crate::net::{Address, Bound, UnixAddress};

/// What the engine knows a socket by in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

impl Token {
    /// The alarm's own, of no socket.
    pub const ALARM: Token = Token(u64::MAX);
}

/// Names an open socket of a network. What the number means is the network's own business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Socket(pub u64);

impl Socket {
    /// Names no socket, on any network.
    pub(crate) const NONE: Socket = Socket(u64::MAX);
}

/// A connection on its way from the loop that accepted it to the one that will serve it. Whoever drops it closes it.
#[derive(Debug)]
pub struct Apart(Parted);

#[derive(Debug)]
enum Parted {
    Descriptor(OwnedFd),
    Simulated(simulated::Ticket),
}

impl From<OwnedFd> for Apart {
    fn from(stream: OwnedFd) -> Self {
        Self(Parted::Descriptor(stream))
    }
}

impl Apart {
    /// The descriptor of a connection of the kernel's.
    pub fn into_descriptor(self) -> Option<OwnedFd> {
        match self.0 {
            Parted::Descriptor(stream) => Some(stream),
            Parted::Simulated(_) => None,
        }
    }

    fn of_simulation(ticket: simulated::Ticket) -> Self {
        Self(Parted::Simulated(ticket))
    }

    fn into_ticket(self) -> Option<simulated::Ticket> {
        match self.0 {
            Parted::Descriptor(_) => None,
            Parted::Simulated(ticket) => Some(ticket),
        }
    }
}

/// A socket is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// As given at registration.
    pub token: Token,
    /// For what.
    pub readiness: Readiness,
}

/// What the clock showed, or how to find out: a turn that asks for no time reads no clock.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    taken: Option<Instant>,
    clock: fn() -> Instant,
}

impl Reading {
    /// The clock showed this.
    pub fn taken(now: Instant) -> Self {
        Self {
            taken: Some(now),
            clock: Instant::now,
        }
    }

    /// Nobody has looked at this clock yet.
    pub fn untaken(clock: fn() -> Instant) -> Self {
        Self { taken: None, clock }
    }

    /// The instant: the same at every call.
    #[inline]
    pub fn take(&mut self) -> Instant {
        *self.taken.get_or_insert_with(self.clock)
    }

    /// Lets the next question look at the clock.
    #[inline]
    pub fn forget(&mut self) {
        self.taken = None;
    }
}

/// Ends a wait from any thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Sockets, readiness and a clock. See the module's contract.
pub trait Network {
    /// The monotonic clock.
    fn now(&self) -> Instant;
    /// A reading of the clock: taken at once, or when it is first asked for.
    fn reading(&self) -> Reading {
        Reading::taken(self.now())
    }
    /// Makes `reading` one of this moment.
    fn renew(&self, reading: &mut Reading) {
        *reading = self.reading();
    }
    /// Where the loop's randomness begins, unless [`Options::seed`](crate::Options::seed) says: another number each time.
    fn seed(&self) -> u64 {
        RandomState::new().hash_one(0)
    }
    /// How streams report readiness.
    fn trigger(&self) -> Trigger;
    /// Opens a listening socket (with `TCP_NODELAY` for what it accepts), interested in input; says where it is bound.
    fn listen(
        &mut self,
        address: SocketAddr,
        backlog: u32,
        token: Token,
    ) -> io::Result<(Socket, SocketAddr)>;
    /// Opens a listening socket in the Unix domain, interested in input; `mode` is its file's permission bits. A network
    /// without such sockets says `Unsupported`, as it does unless it has this method.
    fn listen_unix(
        &mut self,
        _address: &UnixAddress,
        _backlog: u32,
        _mode: Option<u32>,
        _token: Token,
    ) -> io::Result<Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes over a listening socket that was opened elsewhere, interested in input. As for `listen_unix`.
    fn adopt_listener(&mut self, _listener: Bound, _token: Token) -> io::Result<Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes one connection from the backlog; it is registered with `token`, interested in input.
    fn accept(&mut self, listener: Socket, token: Token) -> io::Result<(Socket, Address)>;
    /// Takes one connection from the backlog and registers it nowhere: it is for another loop. As for `listen_unix`.
    fn accept_apart(&mut self, _listener: Socket) -> io::Result<(Apart, Address)> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes over a connection that another loop has accepted: from here on it is as if `accept` had brought it. As for
    /// `listen_unix`.
    fn adopt(&mut self, _stream: Apart, _token: Token) -> io::Result<Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Starts to connect; registered with `token`, interested in output, which reports the outcome.
    fn connect(&mut self, address: SocketAddr, token: Token) -> io::Result<Socket>;
    /// As `connect`, in the Unix domain. `WouldBlock` says that the server's backlog is full. As for `listen_unix`.
    fn connect_unix(&mut self, _address: &UnixAddress, _token: Token) -> io::Result<Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// From now on the socket's events carry `token`, the rest of the current batch included.
    fn rename(&mut self, socket: Socket, token: Token);
    /// After a connecting socket reported readiness: `Ok(true)` connected, `Ok(false)` not yet, or why it failed.
    fn connected(&mut self, socket: Socket) -> io::Result<bool>;
    /// Reads at most `buffer.len()` bytes; 0 is the end of the stream.
    fn read(&mut self, socket: Socket, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes from `buffers` in one call, perhaps in part. Never raises `SIGPIPE`.
    fn write(&mut self, socket: Socket, buffers: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Shuts the sending direction: the peer sees the end of the stream.
    fn shutdown_write(&mut self, socket: Socket) -> io::Result<()>;
    /// Closes the socket, a listener included.
    fn close(&mut self, socket: Socket);
    /// Closes the socket with a reset.
    fn abort(&mut self, socket: Socket);
    /// What the socket is to be reported for from the next wait on (level-triggered sockets and listeners).
    fn set_interest(&mut self, socket: Socket, interest: Interest);
    /// Holds one descriptor in reserve (does nothing if it is held), for the time when there are none left.
    fn hold_reserve(&mut self) -> io::Result<()>;
    /// Gives the reserve back, so that one `accept` can succeed.
    fn release_reserve(&mut self);
    /// From `deadline` on each wait ends at once and reports [`Token::ALARM`], until the alarm is set anew. `None`: no
    /// alarm. It is never early, and kept from wait to wait, so that a loop whose next deadline stays where it is does
    /// nothing for it.
    fn set_alarm(&mut self, deadline: Option<Instant>);
    /// Waits until a socket is ready, `timeout` has passed (`None`: for ever), the alarm rings or a [`Wake`] was called.
    /// Says whether a wake came.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool>;
    /// The next event of the last wait.
    fn next_event(&mut self) -> Option<Event>;
    /// What was closed is closed for the peers too from now on, where that would otherwise be so from the next wait on:
    /// asked for when there is none.
    fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// A function that ends the current wait, or the next one.
    fn waker(&self) -> Wake;
}
