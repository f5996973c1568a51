//! Bytes ⇄ frames, incremental, with the limit built in. No I/O and no clock here.
//!
//! A codec is shown the bytes not yet consumed, always from the same starting byte and always at least as
//! many as last time, until it cuts a frame: it may remember how far it has looked, so that nothing is
//! scanned twice however the bytes were cut on the way.
//!
//! | Codec | A message ends | It may hold | What the sender adds |
//! |---|---|---|---|
//! | [`Chunks`] | nowhere: there are no messages | anything | nothing |
//! | [`Lines`] | at LF or CRLF | anything but a line's end | 1 or 2 bytes |
//! | [`Delimiter`] | at a mark of your choice | anything but the mark | the mark |
//! | [`LengthPrefix`] | where the number before it says | anything | 1 to 10 bytes |
//! | [`Netstring`] | where the decimal number before it says | anything | 3 bytes and more |
//! | [`FixedSize`] | after a number of bytes agreed on before | anything of that size | nothing |
//! | [`Cobs`] | at a zero byte, which it encodes in the message | anything | 2 bytes, and 1 in 254 |
//!
//! A frame that has arrived whole is handed over as a slice of the input, without a copy. [`Cobs`] alone has
//! to decode what it received, into a buffer of its own.
//!
//! Every codec has a limit on what it receives, [`DEFAULT_FRAME_BYTES_MAX`] unless said otherwise, and refuses a
//! longer frame as soon as it can be known: at the limit where a mark ends the frame, at the header where
//! a number announces it. What is sent has no limit: the receiver sets his own.

use std::error::Error;
use std::fmt;

use crate::text::TextError;

mod chunks;
mod cobs;
mod delimiter;
mod fixed_size;
mod length_prefix;
mod lines;
mod mark;
mod netstring;
#[cfg(test)]
mod tests;
mod text;

pub use chunks::Chunks;
pub use cobs::Cobs;
pub use delimiter::Delimiter;
pub use fixed_size::FixedSize;
pub use length_prefix::{ByteOrder, LengthPrefix, Prefix};
pub use lines::{LineEnding, Lines};
pub use netstring::Netstring;
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

/// What becomes of bytes that still wait for the end of their frame when the stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unfinished {
    /// They are the last frame.
    Deliver,
    /// They are dropped; [`Closed::unread`](crate::Closed::unread) counts them.
    Drop,
    /// They are an error, [`FrameError::Unfinished`]: a peer that cuts a frame short breaks the protocol.
    Refuse,
}

impl Unfinished {
    /// Of `rest`, which a part of a mark may have carried over the `limit`.
    fn decide(self, rest: &[u8], limit: usize) -> Result<Option<&[u8]>, FrameError> {
        match self {
            _ if rest.is_empty() => Ok(None),
            Self::Deliver if rest.len() > limit => Err(FrameError::TooLong { limit }),
            Self::Deliver => Ok(Some(rest)),
            Self::Drop => Ok(None),
            Self::Refuse => Err(FrameError::Unfinished),
        }
    }
}

/// Why bytes are no frame, or a message cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is longer than the limit, or the message longer than its header can say, in bytes.
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The message has not the one size that messages have here.
    WrongSize {
        /// The size it has to have, in bytes.
        expected: usize,
        /// The size it has, in bytes.
        actual: usize,
    },
    /// The bytes break the rules of the framing.
    Malformed {
        /// Which rule.
        reason: &'static str,
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
            Self::WrongSize { expected, actual } => {
                write!(
                    formatter,
                    "message of {actual} bytes where all have {expected}"
                )
            }
            Self::Malformed { reason } => write!(formatter, "malformed frame: {reason}"),
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

/// Tells the tests how many bytes a codec has just looked at. Costs nothing outside of them.
#[inline]
fn examine(bytes: usize) {
    #[cfg(test)]
    tests::count_examined(bytes);
    let _ = bytes;
}
