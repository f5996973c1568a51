//! What can be set on a loop. Every limit has a default that keeps the promises.

use std::time::Duration;

use trunkline_selectors::Mechanism;

mod deadlines;
mod rates;

pub use deadlines::Deadlines;
pub use rates::Rates;

/// What happens to a message that would take a connection's outgoing queue over its hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is dropped and counted.
    DropNewest,
    /// The connection is reset: its peer reads too slowly.
    Close,
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

/// The settings of an event loop.
#[derive(Debug, Clone)]
pub struct Options {
    /// The mechanism; `None` takes the best here.
    pub mechanism: Option<Mechanism>,
    /// Connections open at once, the accepted ones and our own.
    pub connections_max: usize,
    /// At the maximum, or out of descriptors: wait or refuse.
    pub when_full: WhenFull,
    /// Connections the kernel may hold for us before we accept them.
    pub backlog: u32,
    /// Outgoing bytes above which an accepted connection's own input pauses, and `send` says so on any.
    pub high_watermark_bytes: usize,
    /// Outgoing bytes at which it resumes.
    pub low_watermark_bytes: usize,
    /// Outgoing bytes that a connection's queue never exceeds.
    pub hard_limit_bytes: usize,
    /// What happens to a message over the hard limit.
    pub overflow: Overflow,
    /// Between `close` and the end of the connection at the latest.
    pub linger: Duration,
    /// Between `stop` and the end of the loop at the latest.
    pub drain: Duration,
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
            backlog: 4096,
            high_watermark_bytes: 64 * 1024,
            low_watermark_bytes: 16 * 1024,
            hard_limit_bytes: 1024 * 1024,
            overflow: Overflow::DropNewest,
            linger: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            // As RFC 8305 recommends.
            attempt_delay: Duration::from_millis(250),
            deadlines: Deadlines::default(),
            rates: Rates::default(),
            accept_budget: 128,
            read_budget_bytes: 256 * 1024,
            frame_budget: 1024,
            read_buffer_bytes: 64 * 1024,
            until_idle: false,
        }
    }
}

/// The counters of a loop, since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections of ours that were made.
    pub connected: u64,
    /// Connections turned away: by the handler, or because there was no place.
    pub refused: u64,
    /// Connections that have ended, in whatever way.
    pub closed: u64,
    /// Of those, the ones that did not end in order.
    pub failed: u64,
    /// Connections of ours that could not be made.
    pub connect_failed: u64,
    /// Calls to accept that failed, other than for want of a client.
    pub accept_errors: u64,
    /// Connections open now.
    pub open: u64,
    /// The most that were open at once.
    pub peak_open: u64,
    /// Frames handed to the handler.
    pub frames_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Messages dropped at a hard limit.
    pub dropped: u64,
    /// Turns of the loop.
    pub turns: u64,
}

impl Stats {
    pub(crate) fn opened(&mut self) {
        self.open += 1;
        self.peak_open = self.peak_open.max(self.open);
    }
}
