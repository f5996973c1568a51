//! What one connection has still to write: a bounded first-in-first-out queue of bytes.
//!
//! An idle connection must own no buffer, so the queue is one pointer, empty while nothing waits. The box
//! behind it, with the buffers it has grown, comes from a small pool that all connections of a loop share
//! and goes back there with its last byte.
//!
//! As a rule nobody asks where one message ends and the next begins, and they are bytes in a buffer. Where the policy
//! for too much output drops old messages, or where messages have keys, each is a segment of its own.

use std::io::IoSlice;

use crate::codec::FrameError;
use crate::mutant::{Mutant, planted};

mod queue;
mod spare;

use queue::{MESSAGE_BYTES_MIN, MESSAGES_MIN, Queue, Segment};
pub(crate) use spare::{Held, Parcel, Spare};

/// Shared bytes fewer than this are copied: cheaper than one more slice and a count in shared memory.
const SHARED_BYTES_MIN: usize = 256;

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
    /// As `Queued`, and older messages are gone.
    Exchanged {
        /// Bytes that wait now.
        bytes: usize,
        /// An older message with the same key made place.
        replaced: bool,
        /// That many of the oldest messages were dropped to make room.
        dropped: u32,
    },
    /// The queue would have grown beyond its limit: it is as it was.
    OverLimit,
}

/// Takes the beginning of a message back unless it is told that the message is whole: also when the codec panics.
struct Beginning<'a> {
    outbound: &'a mut Outbound,
    spare: &'a mut Spare,
    start: usize,
}

impl Drop for Beginning<'_> {
    #[cold]
    fn drop(&mut self) {
        if let Some(queue) = &mut self.outbound.queue {
            queue.roll_back(self.start);
            self.outbound.give_back_if_empty(self.spare);
        }
    }
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
        let start = queue.tail().len();
        let beginning = Beginning {
            outbound: self,
            spare,
            start,
        };
        let Some(queue) = &mut beginning.outbound.queue else {
            unreachable!("it has just been put there")
        };
        let before = queue.bytes;
        let tail = queue.tail();
        encode(tail)?;
        let appended = tail.len().checked_sub(start);
        let appended = appended.expect("a codec only appends to the output");
        let bytes = before + appended;
        if appended == 0 {
            return Ok(Appended::Queued { bytes });
        }
        if bytes > hard_limit {
            return Ok(Appended::OverLimit);
        }
        queue.bytes = bytes;
        beginning.spare.held.add(appended);
        beginning.spare.held.note_queue(bytes);
        std::mem::forget(beginning);
        Ok(Appended::Queued { bytes })
    }

    /// Queues bytes that other connections may queue as well. Nothing is queued when more than `hard_limit` bytes
    /// would wait.
    pub(crate) fn push_shared(
        &mut self,
        spare: &mut Spare,
        hard_limit: usize,
        parcel: &mut Parcel<'_>,
    ) -> Appended {
        let length = parcel.bytes.len();
        let bytes = self.bytes() + length;
        if bytes > hard_limit {
            return Appended::OverLimit;
        }
        if length > 0 {
            let queue = self.queue.get_or_insert_with(|| spare.take());
            queue.bytes = bytes;
            if length < SHARED_BYTES_MIN {
                queue.tail().extend_from_slice(parcel.bytes);
                spare.held.add(length);
            } else {
                let shared = parcel.share(&mut spare.held);
                queue.segments.push_back(Segment::Shared(shared));
            }
            spare.held.note_queue(bytes);
        }
        Appended::Queued { bytes }
    }

    /// Queues a message whose bounds are kept: it takes the place of one with the same key that has not begun to be
    /// written. When there is no room, and the oldest may be dropped, as many are dropped as must be; messages of
    /// which a part is written stay, and so do bytes that were queued without their bounds.
    pub(crate) fn push_message(
        &mut self,
        spare: &mut Spare,
        hard_limit: usize,
        drop_oldest: bool,
        parcel: &mut Parcel<'_>,
        key: Option<u64>,
    ) -> Appended {
        let length = parcel.bytes.len();
        if length == 0 {
            let bytes = self.bytes();
            return Appended::Queued { bytes };
        }
        let queue = self.queue.get_or_insert_with(|| spare.take());
        let room = Room {
            bytes_max: hard_limit,
            segments_max: hard_limit / MESSAGE_BYTES_MIN + MESSAGES_MIN,
        };
        let (kept, kept_bytes) = queue.kept();
        let possible = drop_oldest && room.has(kept, kept_bytes, length);
        let mut dropped = 0;
        loop {
            let older = key.and_then(|key| queue.position_of(key));
            let freed = older.map_or(0, |position| queue.length_at(position));
            let segments = queue.segments.len() - usize::from(older.is_some());
            if room.has(segments, queue.bytes - freed, length) {
                let shared = parcel.share(&mut spare.held);
                match older {
                    Some(position) => queue.replace(position, shared, &mut spare.held),
                    None => queue.push_message(shared, key),
                }
                let (bytes, replaced) = (queue.bytes, older.is_some());
                spare.held.note_queue(bytes);
                return if replaced || dropped > 0 {
                    Appended::Exchanged {
                        bytes,
                        replaced,
                        dropped,
                    }
                } else {
                    Appended::Queued { bytes }
                };
            }
            if !possible {
                self.give_back_if_empty(spare);
                return Appended::OverLimit;
            }
            let first = if planted(Mutant::BegunMessageDropped) {
                0
            } else {
                kept
            };
            queue.drop_at(first, &mut spare.held);
            dropped += 1;
        }
    }

    /// Queues `bytes`, whatever the limits, by taking their buffer over where it can: `bytes` is empty then.
    pub(crate) fn adopt(&mut self, spare: &mut Spare, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let queue = self.queue.get_or_insert_with(|| spare.take());
        queue.bytes += bytes.len();
        spare.held.add(bytes.len());
        spare.held.note_queue(queue.bytes);
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
            self.advance(count, &mut spare.held);
        }
    }

    #[inline(never)]
    fn advance(&mut self, count: usize, held: &mut Held) {
        let queue = self.queue.as_mut().filter(|queue| count < queue.bytes);
        queue
            .expect("no more bytes are written than waited")
            .advance(count, held);
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

    /// How many keys the queue remembers.
    #[cfg(test)]
    fn remembered_keys(&self) -> usize {
        self.queue
            .as_ref()
            .map_or(0, |queue| queue.remembered_keys())
    }

    fn give_back_if_empty(&mut self, spare: &mut Spare) {
        if self.bytes() == 0 {
            self.clear(spare);
        }
    }
}

/// What may wait on one connection where bounds are kept.
struct Room {
    bytes_max: usize,
    segments_max: usize,
}

impl Room {
    /// Is there room for `length` bytes more, in a segment of their own?
    fn has(&self, segments: usize, bytes: usize, length: usize) -> bool {
        bytes.saturating_add(length) <= self.bytes_max && segments < self.segments_max
    }
}

#[cfg(test)]
mod tests;
