//! The queue of outgoing messages that every connection has: first in, first out, and bounded.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Messages waiting to be written to one connection, in the order in which they were sent.
///
/// It has a limit, because a peer that reads slowly must not make our memory grow without end.
#[derive(Debug)]
pub struct Queue {
    messages: VecDeque<Vec<u8>>,
    /// How much of the first message has been written.
    written: usize,
    bytes: usize,
    bytes_max: usize,
}

/// The queue has no room for a message; here is the message back.
#[derive(Debug, PartialEq, Eq)]
pub struct Full(pub Vec<u8>);

impl fmt::Display for Full {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no room for {} more bytes", self.0.len())
    }
}

impl std::error::Error for Full {}

impl Queue {
    /// An empty queue for at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            messages: VecDeque::new(),
            written: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// Appends a message, unless that would exceed the limit.
    ///
    /// # Errors
    /// Gives the message back when there is no room for it.
    pub fn push(&mut self, message: Vec<u8>) -> Result<(), Full> {
        if message.len() > self.room() {
            return Err(Full(message));
        }
        self.bytes += message.len();
        if !message.is_empty() {
            self.messages.push_back(message);
        }
        Ok(())
    }

    /// Writes until the queue is empty or the destination takes no more. Says whether it is empty.
    ///
    /// # Errors
    /// What the destination reports, but neither "would block" nor an interruption.
    pub fn write_to(&mut self, mut destination: impl Write) -> io::Result<bool> {
        while let Some(first) = self.messages.front() {
            match destination.write(&first[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.bytes -= count;
                    self.written += count;
                    if self.written == first.len() {
                        self.messages.pop_front();
                        self.written = 0;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Messages that wait, the first perhaps written in part.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes for which there is room.
    pub fn room(&self) -> usize {
        self.bytes_max - self.bytes
    }

    /// What waits of each message, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let skipped = std::iter::once(self.written).chain(std::iter::repeat(0));
        self.messages
            .iter()
            .zip(skipped)
            .map(|(message, skip)| &message[skip..])
    }
}
