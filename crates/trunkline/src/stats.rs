//! What a loop counts.

/// The counters and gauges of a loop, since it began.
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
    /// Bytes in the outgoing queues now. What one connection alone sends counts while it waits; bytes that a broadcast
    /// shares count once, in full, for as long as any connection has a part of them still to write. (Of one connection,
    /// [`Io::queued`](crate::Io::queued) tells all that it has to write, shared or not.)
    pub queued_bytes: u64,
    /// The most there were at once.
    pub queued_bytes_peak: u64,
    /// The most that ever waited on one connection, in bytes.
    pub queue_bytes_peak: u64,
    /// Messages dropped because a queue was at its hard limit.
    pub dropped: u64,
    /// Messages dropped to make room for later ones ([`Overflow::DropOldest`](crate::Overflow::DropOldest)).
    pub dropped_oldest: u64,
    /// Messages replaced by later ones with the same key ([`Io::send_keyed`](crate::Io::send_keyed)).
    pub replaced: u64,
    /// Turns of the loop.
    pub turns: u64,
}

impl Stats {
    pub(crate) fn opened(&mut self) {
        self.open += 1;
        self.peak_open = self.peak_open.max(self.open);
    }
}
