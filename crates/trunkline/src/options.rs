//! What can be set on a loop. Every limit has a default that keeps the promises.

use std::time::Duration;

use trunkline_selectors::Mechanism;

use crate::limits::Limits;
mod deadlines;
mod rates;

pub use deadlines::Deadlines;
pub use rates::Rates;

/// What happens to a message that would take a connection's outgoing queue over its hard limit.
///
/// Chosen for the loop ([`Options::overflow`]) and, where wanted, for one connection
/// ([`Io::set_overflow`](crate::Io::set_overflow)). Whatever the choice, a message sent with a key
/// ([`Io::send_keyed`](crate::Io::send_keyed)) first takes the place of an older one with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is dropped and counted.
    DropNewest,
    /// The oldest messages are dropped and counted, as many as must be to make room: whole ones, never one of which a
    /// part is written. The new message is dropped when even that would not do. As each message has to be told from
    /// the next, at most one waits for each 64 bytes of the hard limit (and 16 more), and a message takes a few
    /// instructions more on its way.
    DropOldest,
    /// The connection is reset: its peer reads too slowly.
    Close,
    /// As `Close`, and also when the queue has been above the high watermark for so long without a break.
    CloseAfter(Duration),
}

/// What happens to a new connection when there is no place for it: at `connections_max`, or when
/// descriptors have run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits in the kernel's backlog until a place is free.
    Wait,
    /// It is accepted and closed at once, so that the client knows.
    Refuse,
}

/// What happens when a callback panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenPanicking {
    /// The connection it was about is reset, [`Handler::panicked`](crate::Handler::panicked) is told, and the others
    /// live.
    CloseConnection,
    /// The panic goes on through the loop to whoever runs it. For tests: an assertion that fails in a callback is to
    /// fail the test, and not just to close a connection.
    Propagate,
}

/// The settings of an event loop.
#[derive(Debug, Clone)]
pub struct Options {
    /// The mechanism; `None` takes the best here.
    pub mechanism: Option<Mechanism>,
    /// Connections open at once, the accepted ones and our own.
    pub connections_max: usize,
    /// At the maximum, or out of descriptors: wait or refuse.
    pub when_full: WhenFull,
    /// Who is accepted: how many of one peer, and how fast.
    pub limits: Limits,
    /// Connections the kernel may hold for us before we accept them.
    pub backlog: u32,
    /// The permission bits of the files of Unix-domain listeners, such as `0o660`; `None` leaves them to the umask.
    pub unix_mode: Option<u32>,
    /// Outgoing bytes above which an accepted connection's own input pauses, and `send` says so on any.
    pub high_watermark_bytes: usize,
    /// Outgoing bytes at which it resumes; at most the high watermark.
    pub low_watermark_bytes: usize,
    /// Outgoing bytes that a connection's queue never exceeds.
    pub hard_limit_bytes: usize,
    /// What happens to a message over the hard limit.
    pub overflow: Overflow,
    /// What happens when a callback panics.
    pub when_panicking: WhenPanicking,
    /// Between `close` and the end of the connection at the latest.
    pub linger: Duration,
    /// Between the begin of the drain and the end of the loop at the latest. Whoever is still busy after half of it is
    /// closed gracefully at a time of his own in the second half, so that not all come back to the next server at once.
    pub drain: Duration,
    /// After `stop`, how long a loop with listeners goes on as before, though no longer ready: the time that a load
    /// balancer takes to notice.
    pub drain_lag: Duration,
    /// Where the randomness of the loop begins (it spreads evictions); `None` leaves it to the network: another seed
    /// each time, and in simulation the world's.
    pub seed: Option<u64>,
    /// Until a connection of ours is made at the latest.
    pub connect_timeout: Duration,
    /// How long one address may leave us waiting before the next one is tried as well, where a connection of ours has
    /// several to choose from.
    pub attempt_delay: Duration,
    /// How long a connection may take over things.
    pub deadlines: Deadlines,
    /// How fast bytes may come and go, and how slowly.
    pub rates: Rates,
    /// Connections accepted per listener and turn.
    pub accept_budget: usize,
    /// Bytes read per connection and turn.
    pub read_budget_bytes: usize,
    /// Frames handed over per connection and turn.
    pub frame_budget: usize,
    /// Messages of other threads that may wait for the loop, where they are offered ([`Remote::offer`](crate::Remote::offer)).
    pub messages_max: usize,
    /// The size of the loop's one read buffer.
    pub read_buffer_bytes: usize,
    /// End the loop when it has neither a listener nor a connection left.
    pub until_idle: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mechanism: None,
            connections_max: usize::MAX,
            when_full: WhenFull::Wait,
            limits: Limits::default(),
            backlog: 4096,
            unix_mode: None,
            high_watermark_bytes: 64 * 1024,
            low_watermark_bytes: 16 * 1024,
            hard_limit_bytes: 1024 * 1024,
            overflow: Overflow::DropNewest,
            when_panicking: WhenPanicking::CloseConnection,
            linger: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            drain_lag: Duration::ZERO,
            seed: None,
            connect_timeout: Duration::from_secs(10),
            // As RFC 8305 recommends.
            attempt_delay: Duration::from_millis(250),
            deadlines: Deadlines::default(),
            rates: Rates::default(),
            accept_budget: 128,
            read_budget_bytes: 256 * 1024,
            frame_budget: 1024,
            messages_max: 64 * 1024,
            read_buffer_bytes: 64 * 1024,
            until_idle: false,
        }
    }
}
