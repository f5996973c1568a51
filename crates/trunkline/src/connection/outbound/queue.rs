//! What waits on one connection: bytes, or messages where one of them may be dropped or replaced.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::spare::Held;
use crate::mutant::{Mutant, planted};

/// A buffer of this many bytes takes no further message: the next one begins another buffer, so that what
/// is written already is freed while the rest still waits.
pub(super) const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Places for segments, or keys, that a spare queue may keep.
pub(super) const SPARE_SEGMENTS_MAX: usize = 64;
/// A message whose bounds are kept costs memory beside its bytes: for each of so many bytes of the limit one may wait …
pub(super) const MESSAGE_BYTES_MIN: usize = 64;
/// … and these on top, so that small limits do not change their meaning.
pub(super) const MESSAGES_MIN: usize = 16;

/// First `buffer`, then `segments`, less the first `written` bytes.
///
/// One small message, written whole, needs no more than `buffer`. The segments come into use when shared
/// bytes or more than one full buffer wait, and for messages whose bounds matter, one segment each.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) buffer: Vec<u8>,
    pub(super) segments: VecDeque<Segment>,
    /// Bytes of the foremost piece that are written: of `buffer` unless that is empty, else of the first
    /// segment. Less than that piece has.
    pub(super) written: usize,
    /// Bytes that wait in all.
    pub(super) bytes: usize,
    /// The number of the first segment: they are numbered as they come and go.
    first: u64,
    /// Where the last message of each key is, by its number. An entry may be out of date.
    keys: HashMap<u64, u64>,
}

/// Never empty.
pub(super) enum Segment {
    /// Messages of which nobody asked where they begin.
    Owned(Vec<u8>),
    /// Likewise, and other connections may have them as well.
    Shared(Arc<[u8]>),
    /// One message, which may be dropped as long as none of it is written.
    Message { bytes: Arc<[u8]>, key: Option<u64> },
}

impl Queue {
    /// The buffer that the next message is appended to: perhaps a new segment, still empty.
    #[inline]
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
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
    pub(super) fn roll_back(&mut self, length: usize) {
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
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.segments.iter().map(Segment::bytes);
        let buffer = (!self.buffer.is_empty()).then_some(self.buffer.as_slice());
        let mut written = self.written;
        buffer
            .into_iter()
            .chain(segments)
            .map(move |piece| &piece[std::mem::take(&mut written)..])
    }

    /// Drops `count` bytes from the front; more than that wait.
    pub(super) fn advance(&mut self, count: usize, held: &mut Held) {
        self.bytes -= count;
        let mut left = count;
        if !self.buffer.is_empty() {
            let part = left.min(self.buffer.len() - self.written);
            held.subtract(part);
            self.written += part;
            left -= part;
            if self.written < self.buffer.len() {
                return;
            }
            self.written = 0;
            self.buffer.clear();
            self.buffer.shrink_to(BUFFER_BYTES_MAX);
        }
        while let Some(segment) = self.segments.front() {
            let length = segment.bytes().len();
            let part = left.min(length - self.written);
            if let Segment::Owned(_) = segment {
                held.subtract(part);
            }
            self.written += part;
            left -= part;
            if self.written < length {
                return;
            }
            self.written = 0;
            self.remove(0, held);
        }
    }

    #[inline]
    pub(super) fn reset(&mut self, held: &mut Held) {
        if self.segments.capacity() > 0 {
            self.clear_segments(held);
        }
        held.subtract(self.buffer.len().saturating_sub(self.written));
        self.buffer.clear();
        self.written = 0;
        self.bytes = 0;
        if self.buffer.capacity() > BUFFER_BYTES_MAX {
            self.buffer.shrink_to(BUFFER_BYTES_MAX);
        }
    }

    #[inline(never)]
    fn clear_segments(&mut self, held: &mut Held) {
        let mut written = if self.buffer.is_empty() {
            std::mem::take(&mut self.written)
        } else {
            0
        };
        for segment in self.segments.drain(..) {
            match segment {
                Segment::Owned(bytes) => held.subtract(bytes.len() - written),
                Segment::Shared(bytes) | Segment::Message { bytes, .. } => held.release(bytes),
            }
            written = 0;
        }
        self.segments.shrink_to(SPARE_SEGMENTS_MAX);
        self.first = 0;
        self.keys.clear();
        self.keys.shrink_to(SPARE_SEGMENTS_MAX);
    }
}

/// Messages whose bounds are kept. They stand behind all bytes whose bounds are not.
impl Queue {
    pub(super) fn push_message(&mut self, bytes: Arc<[u8]>, key: Option<u64>) {
        if let Some(key) = key {
            let number = self.first + self.segments.len() as u64;
            self.keys.insert(key, number);
        }
        self.bytes += bytes.len();
        self.segments.push_back(Segment::Message { bytes, key });
    }

    /// Where the message with this key waits, if none of it is written yet.
    pub(super) fn position_of(&self, key: u64) -> Option<usize> {
        let number = *self.keys.get(&key)?;
        let position = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let is_it = matches!(
            self.segments.get(position),
            Some(Segment::Message { key: Some(of), .. }) if *of == key
        );
        let begun = self.has_begun(position) && !planted(Mutant::BegunMessageReplaced);
        (is_it && !begun).then_some(position)
    }

    pub(super) fn length_at(&self, position: usize) -> usize {
        self.segments[position].bytes().len()
    }

    /// Puts `bytes` in the place of the message at `position`, none of which is written.
    pub(super) fn replace(&mut self, position: usize, bytes: Arc<[u8]>, held: &mut Held) {
        let length = bytes.len();
        if let Segment::Message { bytes: place, .. } = &mut self.segments[position] {
            let old = std::mem::replace(place, bytes);
            self.bytes = self.bytes - old.len() + length;
            held.release(old);
        }
    }

    /// What cannot be dropped: segments in front, and bytes of those and of the buffer.
    pub(super) fn kept(&self) -> (usize, usize) {
        let is_kept = |position: usize, segment: &Segment| {
            self.has_begun(position) || !matches!(segment, Segment::Message { .. })
        };
        let segments = self.segments.iter().enumerate();
        let kept = segments.take_while(|&(position, segment)| is_kept(position, segment));
        let (count, bytes) = kept.fold((0, 0), |(count, bytes), (_, segment)| {
            (count + 1, bytes + segment.bytes().len())
        });
        (count, self.buffer.len() + bytes - self.written)
    }

    /// Drops the message at `position`, none of which is written.
    pub(super) fn drop_at(&mut self, position: usize, held: &mut Held) {
        self.bytes -= self.length_at(position);
        // A message that has begun moves up by one number, and its entry with it, to be found when it has gone.
        if position > 0
            && let Some(Segment::Message { key: Some(key), .. }) = self.segments.front()
            && let Some(number) = self.keys.get_mut(key)
            && *number == self.first
        {
            *number += 1;
        }
        self.remove(position, held);
    }

    /// Takes a segment out. Those behind it keep their numbers; those before it have no use for theirs: all in front of
    /// a message that is dropped are begun, or no messages.
    fn remove(&mut self, position: usize, held: &mut Held) {
        let Some(segment) = self.segments.remove(position) else {
            return;
        };
        let number = self.first + position as u64;
        self.first += 1;
        match segment {
            // Counted out as it was written.
            Segment::Owned(_) => {}
            Segment::Shared(bytes) => held.release(bytes),
            Segment::Message { bytes, key } => {
                if let Some(key) = key
                    && self.keys.get(&key) == Some(&number)
                {
                    self.keys.remove(&key);
                }
                held.release(bytes);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn remembered_keys(&self) -> usize {
        self.keys.len()
    }

    /// Is a part of this segment written?
    fn has_begun(&self, position: usize) -> bool {
        position == 0 && self.written > 0 && self.buffer.is_empty()
    }
}

impl Segment {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) | Self::Message { bytes, .. } => bytes,
        }
    }
}
