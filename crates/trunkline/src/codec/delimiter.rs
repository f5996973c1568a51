//! Frames that end with a mark of any length.

use std::sync::Arc;

use super::mark::Mark;
use super::{Codec, DEFAULT_FRAME_BYTES_MAX, Decoded, FrameError, Unfinished};

/// Frames that end with a mark: any bytes, one or many.
///
/// ```
/// use trunkline::codec::{Codec, Decoded, Delimiter};
///
/// let mut codec = Delimiter::new("||").limit(1024);
/// assert_eq!(codec.decode(b"first|")?, Decoded::Incomplete);
/// let found = codec.decode(b"first||sec")?;
/// assert_eq!(found, Decoded::Frame { frame: &b"first"[..], consumed: 7 });
///
/// let mut output = Vec::new();
/// codec.encode(b"answer", &mut output)?;
/// assert_eq!(output, b"answer||");
/// # Ok::<(), trunkline::codec::FrameError>(())
/// ```
///
/// The work is linear in the bytes received, however they were cut on the way: what has been searched is
/// not searched again, save the last bytes that may be the beginning of a mark.
///
/// A clone shares the mark and the settings, so one per connection costs two words.
#[derive(Debug, Clone)]
pub struct Delimiter {
    settings: Arc<Settings>,
    /// No mark begins before this byte of the input.
    scanned: usize,
}

#[derive(Debug, Clone)]
struct Settings {
    mark: Mark,
    limit: usize,
    keep_mark: bool,
    unfinished: Unfinished,
}

impl Delimiter {
    /// Frames end with `mark`. The mark is not part of the frame, a frame may have
    /// [`DEFAULT_FRAME_BYTES_MAX`] bytes, and an unfinished frame at the end of the stream is dropped.
    ///
    /// ```
    /// use trunkline::codec::Delimiter;
    ///
    /// let from_text = Delimiter::new("\r\n.\r\n");
    /// let from_bytes = Delimiter::new([0]);
    /// ```
    ///
    /// # Panics
    /// When `mark` is empty: it would end a frame everywhere.
    pub fn new(mark: impl AsRef<[u8]>) -> Self {
        let settings = Settings {
            mark: Mark::new(mark.as_ref()),
            limit: DEFAULT_FRAME_BYTES_MAX,
            keep_mark: false,
            unfinished: Unfinished::Drop,
        };
        Self {
            settings: Arc::new(settings),
            scanned: 0,
        }
    }

    /// The most bytes that a received frame may have, its mark not counted. What is sent has no limit
    /// here: the receiver sets his own.
    ///
    /// ```
    /// use trunkline::codec::{Codec, Delimiter, FrameError};
    ///
    /// let mut codec = Delimiter::new(";").limit(3);
    /// assert_eq!(codec.decode(b"long"), Err(FrameError::TooLong { limit: 3 }));
    /// ```
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.settings).limit = bytes;
        self
    }

    /// Whether the frame includes its mark. If so, a message to send may bring its mark along too, so
    /// that a frame can be sent on as it is; where the mark is missing it is appended all the same.
    ///
    /// ```
    /// use trunkline::codec::{Codec, Decoded, Delimiter};
    ///
    /// let mut codec = Delimiter::new(";").keep_mark(true);
    /// let found = codec.decode(b"a;b")?;
    /// assert_eq!(found, Decoded::Frame { frame: &b"a;"[..], consumed: 2 });
    ///
    /// let mut output = Vec::new();
    /// codec.encode(b"a;", &mut output)?;
    /// codec.encode(b"b", &mut output)?;
    /// assert_eq!(output, b"a;b;");
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn keep_mark(mut self, keep: bool) -> Self {
        Arc::make_mut(&mut self.settings).keep_mark = keep;
        self
    }

    /// What becomes of bytes without a mark at the end of the stream: unless said otherwise they are a frame
    /// cut short, and dropped.
    ///
    /// ```
    /// use trunkline::codec::{Codec, Delimiter, FrameError, Unfinished};
    ///
    /// let mut codec = Delimiter::new(";");
    /// assert_eq!(codec.finish(b"cut sho")?, None);
    ///
    /// let mut codec = codec.unfinished(Unfinished::Deliver);
    /// assert_eq!(codec.finish(b"the rest")?, Some(&b"the rest"[..]));
    ///
    /// let mut codec = codec.unfinished(Unfinished::Refuse);
    /// assert_eq!(codec.finish(b"cut sho"), Err(FrameError::Unfinished));
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn unfinished(mut self, unfinished: Unfinished) -> Self {
        Arc::make_mut(&mut self.settings).unfinished = unfinished;
        self
    }
}

impl Codec for Delimiter {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    #[inline]
    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        let settings = &*self.settings;
        let mark_bytes = settings.mark.bytes().len();
        // A frame within the limit has its whole mark within that many bytes.
        let longest = settings.limit.saturating_add(mark_bytes);
        let window = longest.min(input.len());
        let start = self.scanned.min(window);
        if let Some(offset) = settings.mark.find_in(&input[start..window]) {
            self.scanned = 0;
            let end = start + offset;
            let consumed = end + mark_bytes;
            let frame = &input[..if settings.keep_mark { consumed } else { end }];
            return Ok(Decoded::Frame { frame, consumed });
        }
        if input.len() >= longest {
            return Err(FrameError::TooLong {
                limit: settings.limit,
            });
        }
        // The last bytes may be a mark's beginning, all but its last byte.
        self.scanned = start.max((window + 1).saturating_sub(mark_bytes));
        Ok(Decoded::Incomplete)
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.scanned = 0;
        self.settings.unfinished.decide(input, self.settings.limit)
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        let settings = &*self.settings;
        let mark = settings.mark.bytes();
        let start = output.len();
        output.reserve(message.len() + mark.len());
        output.extend_from_slice(message);
        if !(settings.keep_mark && message.ends_with(mark)) {
            output.extend_from_slice(mark);
        }
        // Searching message and mark together finds a mark that begins in the one and ends in the other:
        // with the mark "aa", the message "a" would arrive as an empty frame and a stray "a".
        let framed = &output[start..];
        if settings.mark.find_in(framed) == Some(framed.len() - mark.len()) {
            return Ok(());
        }
        output.truncate(start);
        Err(FrameError::ContainsMark)
    }
}
