//! What one connection has still to write: a bounded first-in-first-out queue of bytes.
//!
//! An idle connection must own no buffer, so the queue is one pointer, empty while nothing waits. The box
//! behind it, with the buffers it has grown, comes from a small pool that all connections of a loop share
//! and goes back there with its last byte.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use crate::codec::FrameError;

/// A buffer of this many bytes takes no further message: the next one begins another buffer, so that what
/// is written already is freed while the rest still waits.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Shared bytes fewer than this are copied: cheaper than one more slice and a count in shared memory.
const SHARED_BYTES_MIN: usize = 256;
/// Queues kept for the next connection that writes.
const SPARE_QUEUES_MAX: usize = 32;
/// Places for segments that a spare queue may keep.
const SPARE_SEGMENTS_MAX: usize = 64;

/// Queues that no connection uses at the moment, kept for their buffers.
#[derive(Default)]
pub(crate) struct Spare {
    /// The one that was given back last: of one connection after another, each takes it and gives it back.
    last: Option<Box<Queue>>,
    #[expect(
        clippy::vec_box,
        reason = "a box moves between pool and connection as one pointer"
    )]
    queues: Vec<Box<Queue>>,
}

/// The bytes that one connection has still to write, oldest first.
#[derive(Default)]
pub(crate) struct Outbound {
    /// Present only while bytes wait.
    queue: Option<Box<Queue>>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Its bytes wait to be written, behind others: that many in all.
    Queued {
        /// Bytes that wait now.
        bytes: usize,
    },
    /// The queue would have grown beyond its limit: it is as it was.
    OverLimit,
}

/// First `buffer`, then `segments`, less the first `written` bytes.
///
/// One small message, written whole, needs no more than `buffer`. The segments come into use when shared
/// bytes or more than one full buffer wait.
#[derive(Default)]
struct Queue {
    buffer: Vec<u8>,
    segments: VecDeque<Segment>,
    /// Bytes of the foremost piece that are written: of `buffer` unless that is empty, else of the first
    /// segment. Less than that piece has.
    written: usize,
    /// Bytes that wait in all.
    bytes: usize,
}

/// Never empty.
enum Segment {
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Outbound {
    /// Queues what `encode` appends. When that fails, or when more than `hard_limit` bytes would wait,
    /// nothing is queued.
    ///
    /// # Panics
    /// When `encode` takes away bytes of earlier messages, which only a broken codec does.
    #[inline]
    pub(crate) fn append_with(
        &mut self,
        spare: &mut Spare,
        hard_limit: usize,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), FrameError>,
    ) -> Result<Appended, FrameError> {
        let queue = self.queue.get_or_insert_with(|| spare.take());
        let tail = queue.tail();
        let start = tail.len();
        let encoded = encode(tail);
        let appended = tail.len().checked_sub(start);
        let appended = appended.expect("a codec only appends to the output");
        let bytes = queue.bytes + appended;
        if encoded.is_ok() && appended > 0 && bytes <= hard_limit {
            queue.bytes = bytes;
            return Ok(Appended::Queued { bytes });
        }
        queue.roll_back(start);
        self.give_back_if_empty(spare);
        encoded?;
        let bytes = self.bytes();
        Ok(if appended == 0 {
            Appended::Queued { bytes }
        } else {
            Appended::OverLimit
        })
    }

    /// Queues bytes that other connections may queue as well. `false` when more than `hard_limit` bytes
    /// would wait: then nothing is queued.
    pub(crate) fn push_shared(
        &mut self,
        spare: &mut Spare,
        hard_limit: usize,
        shared: Arc<[u8]>,
    ) -> bool {
        let bytes = self.bytes() + shared.len();
        if bytes > hard_limit {
            return false;
        }
        if shared.is_empty() {
            return true;
        }
        let queue = self.queue.get_or_insert_with(|| spare.take());
        queue.bytes = bytes;
        if shared.len() < SHARED_BYTES_MIN {
            queue.tail().extend_from_slice(&shared);
        } else {
            queue.segments.push_back(Segment::Shared(shared));
        }
        true
    }

    /// Queues `bytes`, whatever the limits, by taking their buffer over where it can: `bytes` is empty then.
    pub(crate) fn adopt(&mut self, spare: &mut Spare, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let queue = self.queue.get_or_insert_with(|| spare.take());
        queue.bytes += bytes.len();
        if queue.bytes == bytes.len() {
            std::mem::swap(&mut queue.buffer, bytes);
        } else {
            queue.tail().append(bytes);
        }
    }

    /// How many bytes wait.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Whether no bytes wait.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// All that waits, when it is in one piece: the usual case, which needs no gathering.
    #[inline]
    pub(crate) fn single(&self) -> Option<&[u8]> {
        let queue = self.queue.as_ref()?;
        (queue.segments.is_empty()).then(|| &queue.buffer[queue.written..])
    }

    /// The bytes of the first piece, at most so many.
    pub(crate) fn first_bytes(&self, bytes_max: usize) -> &[u8] {
        let first = self.queue.as_ref().and_then(|queue| queue.pieces().next());
        first.map_or(&[], |piece| &piece[..piece.len().min(bytes_max)])
    }

    /// Puts the bytes to write next, oldest first, into `out`, and says how many slices that took: none is
    /// empty, and bytes that `out` had no place for are not among them.
    #[inline]
    pub(crate) fn slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let Some(queue) = &self.queue else {
            return 0;
        };
        // The usual case.
        if queue.segments.is_empty()
            && let Some(first) = out.first_mut()
        {
            *first = IoSlice::new(&queue.buffer[queue.written..]);
            return 1;
        }
        let mut count = 0;
        for (place, piece) in out.iter_mut().zip(queue.pieces()) {
            *place = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// The first `count` bytes have been written.
    ///
    /// # Panics
    /// When fewer bytes wait.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize, spare: &mut Spare) {
        if count == self.bytes() {
            self.clear(spare);
        } else {
            self.advance(count);
        }
    }

    #[inline(never)]
    fn advance(&mut self, count: usize) {
        let queue = self.queue.as_mut().filter(|queue| count < queue.bytes);
        queue
            .expect("no more bytes are written than waited")
            .advance(count);
    }

    /// Drops all that waits, and says how many bytes that was.
    #[inline]
    pub(crate) fn clear(&mut self, spare: &mut Spare) -> usize {
        let Some(queue) = self.queue.take() else {
            return 0;
        };
        let bytes = queue.bytes;
        spare.put(queue);
        bytes
    }

    fn give_back_if_empty(&mut self, spare: &mut Spare) {
        if self.bytes() == 0 {
            self.clear(spare);
        }
    }
}

impl Queue {
    /// The buffer that the next message is appended to: perhaps a new segment, still empty.
    #[inline]
    fn tail(&mut self) -> &mut Vec<u8> {
        if self.segments.is_empty() && self.buffer.len() < BUFFER_BYTES_MAX {
            return &mut self.buffer;
        }
        self.last_owned_segment()
    }

    fn last_owned_segment(&mut self) -> &mut Vec<u8> {
        let takes_more = |segment: &Segment| matches!(segment, Segment::Owned(bytes) if bytes.len() < BUFFER_BYTES_MAX);
        if !self.segments.back().is_some_and(takes_more) {
            self.segments.push_back(Segment::Owned(Vec::new()));
        }
        match self.segments.back_mut() {
            Some(Segment::Owned(bytes)) => bytes,
            _ => unreachable!("an owned segment was there or has just been pushed"),
        }
    }

    /// Cuts the tail, as `tail` gave it out, back to `length` bytes.
    #[cold]
    fn roll_back(&mut self, length: usize) {
        match self.segments.back_mut() {
            Some(Segment::Owned(bytes)) if length > 0 => {
                bytes.truncate(length);
                bytes.shrink_to(BUFFER_BYTES_MAX);
            }
            Some(_) => {
                self.segments.pop_back();
            }
            None => {
                self.buffer.truncate(length);
                self.buffer.shrink_to(BUFFER_BYTES_MAX);
            }
        }
    }

    /// What waits, piece by piece.
    #[inline]
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.segments.iter().map(Segment::bytes);
        let buffer = (!self.buffer.is_empty()).then_some(self.buffer.as_slice());
        let mut written = self.written;
        buffer
            .into_iter()
            .chain(segments)
            .map(move |piece| &piece[std::mem::take(&mut written)..])
    }

    /// Drops `count` bytes from the front; more than that wait.
    fn advance(&mut self, count: usize) {
        self.bytes -= count;
        self.written += count;
        if !self.buffer.is_empty() {
            if self.written < self.buffer.len() {
                return;
            }
            self.written -= self.buffer.len();
            self.buffer.clear();
            self.buffer.shrink_to(BUFFER_BYTES_MAX);
        }
        while let Some(segment) = self.segments.front() {
            let length = segment.bytes().len();
            if self.written < length {
                return;
            }
            self.written -= length;
            self.segments.pop_front();
        }
    }

    #[inline]
    fn reset(&mut self) {
        self.buffer.clear();
        self.written = 0;
        self.bytes = 0;
        if self.buffer.capacity() > BUFFER_BYTES_MAX || self.segments.capacity() > 0 {
            self.shrink();
        }
    }

    #[inline(never)]
    fn shrink(&mut self) {
        self.buffer.shrink_to(BUFFER_BYTES_MAX);
        self.segments.clear();
        self.segments.shrink_to(SPARE_SEGMENTS_MAX);
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Spare {
    #[inline]
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "the box is what is kept and used again"
    )]
    fn take(&mut self) -> Box<Queue> {
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
    fn put(&mut self, mut queue: Box<Queue>) {
        queue.reset();
        if self.last.is_none() {
            self.last = Some(queue);
        } else {
            self.put_another(queue);
        }
    }

    #[inline(never)]
    fn put_another(&mut self, queue: Box<Queue>) {
        if self.queues.len() < SPARE_QUEUES_MAX {
            self.queues.push(queue);
        }
    }
}

#[cfg(test)]
mod tests;
