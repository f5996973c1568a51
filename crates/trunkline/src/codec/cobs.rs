//! Frames that end with a zero byte, with the zeros inside them encoded away.

use memchr::memchr;

use super::{Codec, DEFAULT_FRAME_BYTES_MAX, Decoded, FrameError, Unfinished, examine};

/// Consistent overhead byte stuffing: a frame ends with a zero byte, and may hold zero bytes all the same.
///
/// What is sent is cut into blocks at its zeros. Each block goes out as its length plus one, then its bytes,
/// none of which is zero; so the mark that ends the frame can be nothing else, and a reader that has lost its
/// place finds it again. It costs one byte, one more in 254, and the mark (S. Cheshire, M. Baker, *Consistent
/// Overhead Byte Stuffing*, 1999).
///
/// ```
/// use trunkline::codec::{Cobs, Codec, Decoded};
///
/// let mut codec = Cobs::new().limit(1000);
/// let mut output = Vec::new();
/// codec.encode(b"ab\0c", &mut output)?;
/// assert_eq!(output, b"\x03ab\x02c\0");
///
/// assert_eq!(codec.decode(b"\x03ab\x02")?, Decoded::Incomplete);
/// let found = codec.decode(b"\x03ab\x02c\0")?;
/// assert_eq!(found, Decoded::Frame { frame: &b"ab\0c"[..], consumed: 6 });
/// # Ok::<(), trunkline::codec::FrameError>(())
/// ```
///
/// A frame of one block (no zeros, fewer than 255 bytes) is handed over as it lies in the input. Others are
/// decoded into a buffer that the codec keeps for the next, as large as the largest so far. A frame cut short by the end
/// of the stream is an error, and so is a mark without a frame before it.
#[derive(Debug, Clone)]
pub struct Cobs {
    /// There is no mark before this byte of the input.
    scanned: usize,
    limit: usize,
    decoded: Vec<u8>,
}

const MARK: u8 = 0;

/// The most bytes in one block.
const BLOCK_BYTES_MAX: usize = 254;

/// The length byte of a block that holds as much as a block can: no zero follows it.
const FULL_BLOCK: usize = BLOCK_BYTES_MAX + 1;

impl Default for Cobs {
    fn default() -> Self {
        Self::new()
    }
}

impl Cobs {
    /// A frame may have [`DEFAULT_FRAME_BYTES_MAX`] bytes.
    pub fn new() -> Self {
        Self {
            scanned: 0,
            limit: DEFAULT_FRAME_BYTES_MAX,
            decoded: Vec::new(),
        }
    }

    /// The most bytes that a received frame may have once it is decoded.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Whether it has a buffer of its own.
    #[cfg(test)]
    pub(super) fn holds_memory(&self) -> bool {
        self.decoded.capacity() > 0
    }

    /// What lies between two marks, decoded.
    fn decode_blocks<'a>(&'a mut self, encoded: &'a [u8]) -> Result<&'a [u8], FrameError> {
        let too_long = FrameError::TooLong { limit: self.limit };
        if let Some((&code, only)) = encoded.split_first()
            && usize::from(code) == encoded.len()
        {
            return if only.len() > self.limit {
                Err(too_long)
            } else {
                Ok(only)
            };
        }
        examine(encoded.len());
        self.decoded.clear();
        self.decoded.reserve(encoded.len());
        let mut rest = encoded;
        loop {
            let (&code, behind) = rest.split_first().ok_or(NO_FRAME)?;
            let code = usize::from(code);
            let (block, behind) = behind.split_at_checked(code - 1).ok_or(CUT_BLOCK)?;
            self.decoded.extend_from_slice(block);
            if behind.is_empty() {
                break;
            }
            if code < FULL_BLOCK {
                self.decoded.push(0);
            }
            rest = behind;
        }
        if self.decoded.len() > self.limit {
            return Err(too_long);
        }
        Ok(&self.decoded)
    }
}

const NO_FRAME: FrameError = FrameError::Malformed {
    reason: "a mark has no frame before it",
};

const CUT_BLOCK: FrameError = FrameError::Malformed {
    reason: "a block goes on beyond the mark that ends its frame",
};

/// The most bytes that a frame of `bytes` bytes takes before its mark.
fn encoded_bytes_max(bytes: usize) -> usize {
    bytes.saturating_add(bytes / BLOCK_BYTES_MAX + 1)
}

impl Codec for Cobs {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        let longest = encoded_bytes_max(self.limit);
        let window = &input[..longest.saturating_add(1).min(input.len())];
        let found = memchr(MARK, &window[self.scanned.min(window.len())..]);
        examine(found.map_or(window.len() - self.scanned, |offset| offset + 1));
        let Some(offset) = found else {
            self.scanned = window.len();
            if window.len() > longest {
                return Err(FrameError::TooLong { limit: self.limit });
            }
            return Ok(Decoded::Incomplete);
        };
        let end = self.scanned + offset;
        self.scanned = 0;
        let frame = self.decode_blocks(&input[..end])?;
        Ok(Decoded::Frame {
            frame,
            consumed: end + 1,
        })
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.scanned = 0;
        Unfinished::Refuse.decide(input, self.limit)
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        output.reserve(encoded_bytes_max(message.len()) + 1);
        let mut rest = message;
        loop {
            let head = &rest[..rest.len().min(BLOCK_BYTES_MAX)];
            let zero = memchr(0, head);
            let block = &head[..zero.unwrap_or(head.len())];
            output.push(block.len() as u8 + 1);
            output.extend_from_slice(block);
            // A zero ends its block and is not written; what follows is another block, be it empty.
            rest = &rest[block.len() + usize::from(zero.is_some())..];
            if rest.is_empty() && zero.is_none() {
                break;
            }
        }
        output.push(MARK);
        Ok(())
    }
}
