//! What became of connections when a loop drained.

/// What became of connections in a drain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Ended in order: everything that was asked is answered.
    pub finished: u64,
    /// Closed gracefully though busy, in the second half of the drain time. All that was queued was flushed.
    pub evicted: u64,
    /// Reset at the deadline, or when the loop was killed.
    pub aborted: u64,
    /// Ended by the peer, or the network, before they were done.
    pub failed: u64,
    /// Bytes that were queued on them and that the kernel never took.
    pub unsent_bytes: u64,
}

impl Drained {
    /// Was everything finished that had begun?
    pub fn is_clean(&self) -> bool {
        self.aborted == 0 && self.unsent_bytes == 0
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.finished += other.finished;
        self.evicted += other.evicted;
        self.aborted += other.aborted;
        self.failed += other.failed;
        self.unsent_bytes += other.unsent_bytes;
    }
}
