//! Frames that all have the same size.

use std::num::NonZeroUsize;

use super::{Codec, Decoded, FrameError, Unfinished};

/// Frames of one size, agreed on beforehand: no mark and no header. The size is the limit.
///
/// ```
/// use trunkline::codec::{Codec, Decoded, FixedSize, FrameError};
///
/// let mut codec = FixedSize::new(4);
/// assert_eq!(codec.decode(b"one")?, Decoded::Incomplete);
/// let found = codec.decode(b"one.two")?;
/// assert_eq!(found, Decoded::Frame { frame: &b"one."[..], consumed: 4 });
///
/// let mut output = Vec::new();
/// codec.encode(b"four", &mut output)?;
/// assert_eq!(output, b"four");
/// let refused = codec.encode(b"three", &mut output);
/// assert_eq!(refused, Err(FrameError::WrongSize { expected: 4, actual: 5 }));
/// # Ok::<(), trunkline::codec::FrameError>(())
/// ```
///
/// A frame cut short by the end of the stream is refused, unless said otherwise.
#[derive(Debug, Clone)]
pub struct FixedSize {
    size: NonZeroUsize,
    unfinished: Unfinished,
}

impl FixedSize {
    /// Every frame has `bytes` bytes.
    ///
    /// # Panics
    /// When `bytes` is 0: there would be frames without end.
    pub fn new(bytes: usize) -> Self {
        let size = NonZeroUsize::new(bytes).expect("a frame has at least one byte");
        Self {
            size,
            unfinished: Unfinished::Refuse,
        }
    }

    /// What becomes of a last frame that is too short.
    ///
    /// ```
    /// use trunkline::codec::{Codec, FixedSize, FrameError, Unfinished};
    ///
    /// let mut codec = FixedSize::new(512);
    /// assert_eq!(codec.finish(b"the rest"), Err(FrameError::Unfinished));
    ///
    /// let mut codec = FixedSize::new(512).unfinished(Unfinished::Deliver);
    /// assert_eq!(codec.finish(b"the rest")?, Some(&b"the rest"[..]));
    /// # Ok::<(), FrameError>(())
    /// ```
    #[must_use]
    pub fn unfinished(mut self, unfinished: Unfinished) -> Self {
        self.unfinished = unfinished;
        self
    }
}

impl Codec for FixedSize {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    #[inline]
    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        let consumed = self.size.get();
        Ok(input
            .get(..consumed)
            .map_or(Decoded::Incomplete, |frame| Decoded::Frame {
                frame,
                consumed,
            }))
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.unfinished.decide(input, self.size.get())
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        let expected = self.size.get();
        if message.len() != expected {
            return Err(FrameError::WrongSize {
                expected,
                actual: message.len(),
            });
        }
        output.extend_from_slice(message);
        Ok(())
    }
}
