//! Bytes ⇄ frames, incremental, with the limit built in. No I/O and no clock here.
//!
//! A codec is shown the bytes not yet consumed, always from the same starting byte and always at least as
//! many as last time, until it cuts a frame: it may remember how far it has looked, so that nothing is
//! scanned twice however the bytes were cut on the way.

use std::error::Error;
use std::fmt;

use crate::text::TextError;

mod chunks;
mod delimiter;
mod lines;
#[cfg(test)]
mod tests;
mod text;

pub use chunks::Chunks;
pub use delimiter::Delimiter;
pub use lines::{LineEnding, Lines};
pub use text::Text;

/// The limit on one frame unless said otherwise, in bytes.
pub const DEFAULT_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Cuts incoming bytes into frames, and writes outgoing messages as bytes.
pub trait Codec: Clone {
    /// A whole frame, borrowed from the input (or from the codec).
    type Frame<'a>
    where
        Self: 'a;
    /// What is sent.
    type Message: ?Sized;
    /// Whether a frame is but a piece, cut wherever the network cut: what begins in one may end in the next.
    /// [`Text`] then keeps the beginning of a character for the next piece.
    const PIECES: bool = false;

    /// Looks for a frame at the front of `input`: all bytes received and not yet consumed.
    ///
    /// # Errors
    /// A frame over the limit, or bytes that break the framing: the connection cannot go on.
    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<Self::Frame<'a>>, FrameError>;

    /// The stream has ended and `decode` finds no further frame in `input` (possibly empty): what is it?
    /// `Some` is handed over as the last frame; `None` means the rest is not a frame and is dropped.
    ///
    /// # Errors
    /// When an unfinished frame at the end is against the protocol.
    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<Self::Frame<'a>>, FrameError>;

    /// Appends `message`, framed, to `output`. On error `output` is as it was.
    ///
    /// # Errors
    /// When the message cannot be framed: too long, or it contains the mark.
    fn encode(&self, message: &Self::Message, output: &mut Vec<u8>) -> Result<(), FrameError>;
}

/// What [`Codec::decode`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<F> {
    /// A frame, and how many bytes of the input it used up (at least one), its mark included.
    Frame {
        /// The frame itself.
        frame: F,
        /// Bytes used up.
        consumed: usize,
    },
    /// Not yet a whole frame.
    Incomplete,
}

/// Why bytes are no frame, or a message cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is longer than the limit, in bytes.
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The message contains the mark that ends a message: the peer would cut it in two.
    ContainsMark,
    /// The stream ended inside a frame.
    Unfinished,
    /// The frame is no text, or the message cannot be written in the encoding of [`Text`].
    Text(TextError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => {
                write!(formatter, "frame longer than the limit of {limit} bytes")
            }
            Self::ContainsMark => {
                formatter.write_str("message contains the mark that ends a message")
            }
            Self::Unfinished => formatter.write_str("stream ended inside a frame"),
            // The error is transparent: its own cause would be the same words again.
            Self::Text(error) => error.fmt(formatter),
        }
    }
}

impl Error for FrameError {}

impl From<TextError> for FrameError {
    fn from(error: TextError) -> Self {
        Self::Text(error)
    }
}
