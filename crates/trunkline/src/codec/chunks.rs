//! No framing: whatever has arrived is handed over as it is.

use super::{Codec, Decoded, FrameError};

/// No framing at all: each piece of input, cut wherever the network happened to cut it, is a frame.
///
/// A frame is never empty, and nothing is ever kept back, so there is no limit to set.
///
/// ```
/// use trunkline::codec::{Chunks, Codec, Decoded};
///
/// let mut codec = Chunks::new();
/// let found = codec.decode(b"whatever came")?;
/// assert_eq!(found, Decoded::Frame { frame: &b"whatever came"[..], consumed: 13 });
/// # Ok::<(), trunkline::codec::FrameError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunks;

impl Chunks {
    /// There is nothing to set.
    ///
    /// ```
    /// assert_eq!(trunkline::codec::Chunks::new(), trunkline::codec::Chunks);
    /// ```
    pub const fn new() -> Self {
        Self
    }
}

impl Codec for Chunks {
    type Frame<'a> = &'a [u8];
    type Message = [u8];
    const PIECES: bool = true;

    #[inline]
    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        if input.is_empty() {
            return Ok(Decoded::Incomplete);
        }
        Ok(Decoded::Frame {
            frame: input,
            consumed: input.len(),
        })
    }

    #[inline]
    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        Ok((!input.is_empty()).then_some(input))
    }

    #[inline]
    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        output.extend_from_slice(message);
        Ok(())
    }
}
