//! What the queues of a loop have in common: a pool of unused ones, and the count of the bytes in all of them.

use std::sync::Arc;

use super::queue::Queue;

/// Queues kept for the next connection that writes.
pub(super) const SPARE_QUEUES_MAX: usize = 32;
/// Each of them keeps no more of its buffer than this, but for the last one: what a burst has grown is not held for ever.
pub(super) const SPARE_BYTES_MAX: usize = 4 * 1024;

/// Queues that no connection uses at the moment, kept for their buffers; and what those in use hold together.
#[derive(Default)]
pub(crate) struct Spare {
    /// The one that was given back last: of one connection after another, each takes it and gives it back.
    last: Option<Box<Queue>>,
    #[expect(
        clippy::vec_box,
        reason = "a box moves between pool and connection as one pointer"
    )]
    queues: Vec<Box<Queue>>,
    pub(crate) held: Held,
}

/// The bytes in the queues of all connections. What a connection alone sends counts while it waits; what many share
/// counts once, in its full length, for as long as any of them has a part of it still to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: usize,
    /// The most there was at once.
    pub(crate) bytes_peak: usize,
    /// The most that ever waited in one queue.
    pub(crate) queue_peak: usize,
}

/// A message for one connection or many: encoded once, and shared from the first queue on that keeps it as it is.
pub(crate) struct Parcel<'a> {
    pub(super) bytes: &'a [u8],
    shared: Option<Arc<[u8]>>,
}

impl Held {
    #[inline]
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.bytes_peak = self.bytes_peak.max(self.bytes);
    }

    #[inline]
    pub(super) fn subtract(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes, "counted out more than in");
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// One owner less; the last one counts the bytes out.
    pub(super) fn release(&mut self, shared: Arc<[u8]>) {
        if Arc::strong_count(&shared) == 1 {
            self.subtract(shared.len());
        }
        drop(shared);
    }

    /// Notes how much waits in one queue now.
    #[inline]
    pub(super) fn note_queue(&mut self, bytes: usize) {
        self.queue_peak = self.queue_peak.max(bytes);
    }
}

impl<'a> Parcel<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            shared: None,
        }
    }

    /// The shared bytes, for one more queue.
    pub(super) fn share(&mut self, held: &mut Held) -> Arc<[u8]> {
        let shared = self.shared.get_or_insert_with(|| {
            held.add(self.bytes.len());
            Arc::from(self.bytes)
        });
        Arc::clone(shared)
    }

    /// It has been offered to all who should have it.
    pub(crate) fn end(self, spare: &mut Spare) {
        if let Some(shared) = self.shared {
            spare.held.release(shared);
        }
    }
}

impl Spare {
    #[inline]
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "the box is what is kept and used again"
    )]
    pub(super) fn take(&mut self) -> Box<Queue> {
        match self.last.take() {
            Some(queue) => queue,
            None => self.take_another(),
        }
    }

    #[inline(never)]
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "the box is what is kept and used again"
    )]
    fn take_another(&mut self) -> Box<Queue> {
        self.queues.pop().unwrap_or_default()
    }

    #[inline]
    pub(super) fn put(&mut self, mut queue: Box<Queue>) {
        queue.reset(&mut self.held);
        if self.last.is_none() {
            self.last = Some(queue);
        } else {
            self.put_another(queue);
        }
    }

    #[inline(never)]
    fn put_another(&mut self, mut queue: Box<Queue>) {
        if self.queues.len() < SPARE_QUEUES_MAX {
            queue.buffer.shrink_to(SPARE_BYTES_MAX);
            self.queues.push(queue);
        }
    }

    /// The last one first.
    #[cfg(test)]
    pub(super) fn kept(&self) -> impl Iterator<Item = &Queue> {
        self.last.iter().chain(&self.queues).map(Box::as_ref)
    }
}
