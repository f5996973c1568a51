//! The queue of one connection by itself: first in, first out, bounded, and open to inspection.
//!
//! The engine's own connections queue bytes rather than messages (see `connection::outbound`), because that is
//! cheapest. This type is for programs that work on the selectors directly, or that must know what waits: how many messages,
//! which ones, since when.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::{Duration, Instant};

/// Messages given to one write at most.
const SLICES_MAX: usize = 16;

/// What happens to a message for which there is no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum WhenOver {
    /// The sender gets it back, and decides: wait, drop it, or close the connection ([`Full::age`] helps).
    #[default]
    Refuse,
    /// The oldest messages make room for it. Never the one that is partly written: the peer has its beginning
    /// and must get its end.
    DropOldest,
}

/// Messages that wait to be written to one connection, in the order in which they were sent.
///
/// It has a limit, because a peer that reads slowly must not make our memory grow without end. A message is
/// anything made of bytes: a `Vec<u8>`, or an `Arc<[u8]>` that many queues share.
///
/// ```
/// use std::time::{Duration, Instant};
/// use trunkline::Queue;
///
/// let now = Instant::now();
/// let mut queue = Queue::new(10);
/// queue.push("first ", now)?;
/// queue.push("next", now + Duration::from_secs(1))?;
/// assert_eq!((queue.messages(), queue.bytes(), queue.room()), (2, 10, 0));
/// assert_eq!(queue.age(now + Duration::from_secs(5)), Duration::from_secs(5));
///
/// // No room: the message comes back.
/// let full = queue.push("more", now).unwrap_err();
/// assert_eq!(full.message, "more");
///
/// let mut written = Vec::new();
/// assert!(queue.write_to(&mut written)?, "nothing waits any more");
/// assert_eq!(written, b"first next");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Queue<M = Vec<u8>> {
    waiting: VecDeque<Waiting<M>>,
    /// How much of the first message is written: less than all of it.
    written: usize,
    /// Bytes that wait in all.
    bytes: usize,
    bytes_max: usize,
    messages_max: usize,
    when_over: WhenOver,
    dropped: u64,
}

/// Never empty.
#[derive(Debug, Clone)]
struct Waiting<M> {
    message: M,
    /// The length of the message, kept because nothing makes `AsRef` give the same one twice.
    length: usize,
    since: Instant,
}

impl<M: AsRef<[u8]>> Waiting<M> {
    fn bytes_from(&self, start: usize) -> &[u8] {
        &self.message.as_ref()[start..self.length]
    }
}

/// There is no room for a message; here it is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full<M> {
    /// The message.
    pub message: M,
    /// For how long the oldest message has been waiting. A peer that has taken nothing for minutes is perhaps better
    /// closed.
    pub age: Duration,
}

impl<M: AsRef<[u8]>> fmt::Display for Full<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "no room for {} more bytes",
            self.message.as_ref().len()
        )
    }
}

impl<M: AsRef<[u8]> + fmt::Debug> std::error::Error for Full<M> {}

impl<M: AsRef<[u8]>> Queue<M> {
    /// An empty queue for at most `bytes_max` bytes, which refuses what is more.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            written: 0,
            bytes: 0,
            bytes_max,
            messages_max: usize::MAX,
            when_over: WhenOver::Refuse,
            dropped: 0,
        }
    }

    /// Also a limit on the number of messages.
    #[must_use]
    pub fn messages_max(mut self, messages: usize) -> Self {
        self.messages_max = messages;
        self
    }

    /// What happens to a message for which there is no room: it is refused, unless said otherwise.
    ///
    /// ```
    /// use std::time::Instant;
    /// use trunkline::{Queue, WhenOver};
    ///
    /// let mut prices = Queue::new(12).when_over(WhenOver::DropOldest);
    /// for price in ["price 1", "price 2", "price 3"] {
    ///     prices.push(price, Instant::now())?;
    /// }
    /// assert!(prices.iter().eq([b"price 3"]));
    /// assert_eq!(prices.dropped(), 2);
    /// # Ok::<(), trunkline::Full<&str>>(())
    /// ```
    #[must_use]
    pub fn when_over(mut self, when_over: WhenOver) -> Self {
        self.when_over = when_over;
        self
    }

    /// Appends a message at the time `now`. An empty one is taken and forgotten, for there is nothing to write.
    ///
    /// # Errors
    /// Gives the message back when there is no room for it, and none can be made.
    pub fn push(&mut self, message: M, now: Instant) -> Result<(), Full<M>> {
        let length = message.as_ref().len();
        if length == 0 {
            return Ok(());
        }
        if !self.has_room(length) && !self.make_room(length) {
            let age = self.age(now);
            return Err(Full { message, age });
        }
        self.bytes += length;
        self.waiting.push_back(Waiting {
            message,
            length,
            since: now,
        });
        Ok(())
    }

    fn has_room(&self, length: usize) -> bool {
        length <= self.room() && self.waiting.len() < self.messages_max
    }

    /// Drops what may be dropped until there is room; drops nothing when even that would not do.
    fn make_room(&mut self, length: usize) -> bool {
        // The message that is partly written stays.
        let kept = usize::from(self.written > 0);
        let kept_bytes = self.waiting.front().filter(|_| kept > 0);
        let kept_bytes = kept_bytes.map_or(0, |first| first.length - self.written);
        let possible =
            kept_bytes.saturating_add(length) <= self.bytes_max && kept < self.messages_max;
        if self.when_over == WhenOver::Refuse || !possible {
            return false;
        }
        while !self.has_room(length) {
            let Some(oldest) = self.waiting.remove(kept) else {
                return false;
            };
            self.bytes -= oldest.length;
            self.dropped += 1;
        }
        true
    }

    /// Writes until the queue is empty or the destination takes no more. Says whether it is empty.
    ///
    /// # Errors
    /// What the destination reports, but neither "would block" nor an interruption. The queue then holds what is not
    /// written.
    pub fn write_to(&mut self, mut destination: impl Write) -> io::Result<bool> {
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.slices(&mut slices);
            match destination.write_vectored(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => self.consume(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Puts what waits into `out`, oldest first, one slice for each message, and says how many slices that took.
    /// For those who write by themselves, and then call [`consume`](Self::consume).
    pub fn slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (place, bytes) in out.iter_mut().zip(self.iter()) {
            *place = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// The first `bytes` bytes are written.
    ///
    /// # Panics
    /// When fewer wait.
    pub fn consume(&mut self, bytes: usize) {
        assert!(bytes <= self.bytes, "more bytes written than waited");
        self.bytes -= bytes;
        self.written += bytes;
        while let Some(first) = self.waiting.front() {
            if self.written < first.length {
                return;
            }
            self.written -= first.length;
            self.waiting.pop_front();
        }
    }

    /// Drops all that waits, and says how many bytes that was. What follows on the same connection would follow
    /// a message cut short: close it.
    pub fn clear(&mut self) -> usize {
        self.waiting.clear();
        self.written = 0;
        std::mem::take(&mut self.bytes)
    }

    /// What waits of each message, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut written = self.written;
        self.waiting
            .iter()
            .map(move |waiting| waiting.bytes_from(std::mem::take(&mut written)))
    }
}

impl<M> Queue<M> {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Messages that wait, the first perhaps written in part.
    pub fn messages(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes for which there is room.
    pub fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes)
    }

    /// When the oldest message was queued that is not yet wholly written.
    pub fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|first| first.since)
    }

    /// For how long the oldest message has been waiting at the time `now`; zero when none waits.
    pub fn age(&self, now: Instant) -> Duration {
        self.oldest()
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Messages dropped to make room for later ones, so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests;
