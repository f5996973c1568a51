//! Lines, ended by LF or CRLF.

use memchr::{memchr, memmem};

use super::{Codec, DEFAULT_FRAME_BYTES_MAX, Decoded, FrameError, Unfinished, examine};

/// What ends a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LineEnding {
    /// LF alone. A CR before it belongs to the line.
    Lf,
    /// CR and LF together. One without the other belongs to the line.
    CrLf,
    /// LF, with or without one CR before it. Written as LF.
    #[default]
    Either,
}

/// Lines of bytes, handed over without their ending.
///
/// ```
/// use trunkline::codec::{Codec, Decoded, Lines};
///
/// let mut codec = Lines::new();
/// assert_eq!(codec.decode(b"hel")?, Decoded::Incomplete);
/// let found = codec.decode(b"hello\r\nwor")?;
/// assert_eq!(found, Decoded::Frame { frame: &b"hello"[..], consumed: 7 });
/// // The last line may lack its ending.
/// assert_eq!(codec.finish(b"world")?, Some(&b"world"[..]));
///
/// let mut output = Vec::new();
/// codec.encode(b"hello", &mut output)?;
/// assert_eq!(output, b"hello\n");
/// # Ok::<(), trunkline::codec::FrameError>(())
/// ```
///
/// No byte is searched twice, however the input was cut on the way.
///
/// A message is refused with [`FrameError::ContainsMark`] when a peer that reads as this codec does would
/// see another line, or more than one: when it contains an ending, or when, read as
/// [`LineEnding::Either`], it ends with a CR that would be taken for part of the LF written behind it.
#[derive(Debug, Clone)]
pub struct Lines {
    /// No line ends before this byte of the input.
    scanned: usize,
    limit: usize,
    accepted: LineEnding,
    written: LineEnding,
    unfinished: Unfinished,
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Lines {
    /// Reads lines ended by LF or CRLF, writes LF. A line may have [`DEFAULT_FRAME_BYTES_MAX`] bytes, and
    /// the last one may lack its ending.
    ///
    /// ```
    /// use trunkline::codec::{LineEnding, Lines};
    ///
    /// let lenient = Lines::new();
    /// let as_telnet = Lines::new().write(LineEnding::CrLf);
    /// let strict = Lines::new().accept(LineEnding::CrLf).write(LineEnding::CrLf).limit(510);
    /// ```
    pub fn new() -> Self {
        Self {
            scanned: 0,
            limit: DEFAULT_FRAME_BYTES_MAX,
            accepted: LineEnding::Either,
            written: LineEnding::Lf,
            unfinished: Unfinished::Deliver,
        }
    }

    /// The most bytes that a received line may have, its ending not counted. What is sent has no limit
    /// here: the receiver sets his own.
    ///
    /// ```
    /// use trunkline::codec::{Codec, FrameError, Lines};
    ///
    /// let mut codec = Lines::new().limit(3);
    /// assert_eq!(codec.decode(b"long"), Err(FrameError::TooLong { limit: 3 }));
    /// ```
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// What ends a line that is received: either, unless said otherwise.
    ///
    /// ```
    /// use trunkline::codec::{Codec, Decoded, LineEnding, Lines};
    ///
    /// let mut codec = Lines::new().accept(LineEnding::CrLf);
    /// let found = codec.decode(b"one\nline\r\n")?;
    /// assert_eq!(found, Decoded::Frame { frame: &b"one\nline"[..], consumed: 10 });
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn accept(mut self, ending: LineEnding) -> Self {
        self.accepted = ending;
        self
    }

    /// What is written behind a line that is sent: LF, unless said otherwise.
    ///
    /// ```
    /// use trunkline::codec::{Codec, LineEnding, Lines};
    ///
    /// let mut output = Vec::new();
    /// Lines::new().write(LineEnding::CrLf).encode(b"hello", &mut output)?;
    /// assert_eq!(output, b"hello\r\n");
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn write(mut self, ending: LineEnding) -> Self {
        self.written = ending;
        self
    }

    /// What becomes of bytes without an ending at the end of the stream: unless said otherwise they are the
    /// last line.
    ///
    /// ```
    /// use trunkline::codec::{Codec, FrameError, Lines, Unfinished};
    ///
    /// let mut codec = Lines::new().unfinished(Unfinished::Drop);
    /// assert_eq!(codec.finish(b"cut sho")?, None);
    ///
    /// let mut codec = Lines::new().unfinished(Unfinished::Refuse);
    /// assert_eq!(codec.finish(b"cut sho"), Err(FrameError::Unfinished));
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn unfinished(mut self, unfinished: Unfinished) -> Self {
        self.unfinished = unfinished;
        self
    }

    /// Where the line ends whose LF is the byte `line_feed`, if that LF ends one.
    #[inline]
    fn end_of_line(&self, input: &[u8], line_feed: usize) -> Option<usize> {
        let after_return = line_feed > 0 && input[line_feed - 1] == b'\r';
        match self.accepted {
            LineEnding::Lf => Some(line_feed),
            LineEnding::CrLf => after_return.then(|| line_feed - 1),
            LineEnding::Either => Some(line_feed - usize::from(after_return)),
        }
    }

    /// Whether `input`, in which no line ends, can no longer become a line within the limit.
    fn is_over_limit(&self, input: &[u8]) -> bool {
        let Some(beyond) = input.get(self.limit..) else {
            return false;
        };
        match self.accepted {
            LineEnding::Lf => !beyond.is_empty(),
            // The first byte over the limit may still be the ending's CR.
            LineEnding::CrLf | LineEnding::Either => !matches!(beyond, [] | [b'\r']),
        }
    }

    fn contains_ending(&self, message: &[u8]) -> bool {
        let writes_return = self.written == LineEnding::CrLf;
        if writes_return && self.accepted == LineEnding::CrLf {
            return memmem::find(message, b"\r\n").is_some();
        }
        let return_is_lost = self.accepted == LineEnding::Either && !writes_return;
        memchr(b'\n', message).is_some() || (return_is_lost && message.ends_with(b"\r"))
    }
}

/// Where the first LF at or after `start` is.
#[inline]
fn find_line_feed(input: &[u8], start: usize) -> Option<usize> {
    let rest = input.get(start..)?;
    let found = memchr(b'\n', rest);
    examine(found.map_or(rest.len(), |offset| offset + 1));
    Some(start + found?)
}

impl Codec for Lines {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    #[inline]
    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        let too_long = FrameError::TooLong { limit: self.limit };
        // A line within the limit has its whole ending, two bytes at most, within this window.
        let window = &input[..self.limit.saturating_add(2).min(input.len())];
        while let Some(line_feed) = find_line_feed(window, self.scanned) {
            self.scanned = line_feed + 1;
            let Some(end) = self.end_of_line(window, line_feed) else {
                continue;
            };
            if end > self.limit {
                return Err(too_long);
            }
            self.scanned = 0;
            return Ok(Decoded::Frame {
                frame: &input[..end],
                consumed: line_feed + 1,
            });
        }
        self.scanned = window.len();
        if self.is_over_limit(window) {
            return Err(too_long);
        }
        Ok(Decoded::Incomplete)
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.scanned = 0;
        self.unfinished.decide(input, self.limit)
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        if self.contains_ending(message) {
            return Err(FrameError::ContainsMark);
        }
        let ending: &[u8] = match self.written {
            LineEnding::CrLf => b"\r\n",
            LineEnding::Lf | LineEnding::Either => b"\n",
        };
        output.reserve(message.len() + ending.len());
        output.extend_from_slice(message);
        output.extend_from_slice(ending);
        Ok(())
    }
}
