//! A stream of bytes becomes text.

use std::fmt::Write;

use super::error::Bytes;
use super::scheme::Scheme;
use super::{DecodePolicy, Encoding, TextError};

/// Turns the bytes of one stream into text, piece by piece: however the stream is cut, the text is the same.
///
/// It keeps the beginning of a character whose end has not arrived, four bytes at most.
///
/// ```
/// use trunkline::text::{DecodePolicy, Decoder, Encoding};
///
/// let mut decoder = Decoder::new(Encoding::ShiftJis, DecodePolicy::Strict);
/// let mut text = String::new();
/// decoder.decode(b"\x93\xfa\x96", &mut text, false)?;
/// assert_eq!(text, "日");
/// assert_eq!(decoder.pending(), b"\x96");
/// decoder.decode(b"\x7b", &mut text, true)?;
/// assert_eq!(text, "日本");
/// # Ok::<(), trunkline::text::TextError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decoder {
    encoding: Encoding,
    policy: DecodePolicy,
    /// `None` before the mark at the beginning of the stream has decided.
    scheme: Option<Scheme>,
    /// Bytes of the stream that became text, or were dealt with by the policy.
    offset: u64,
    pending: Bytes,
    failed: Option<TextError>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Decoder, Encoding};
    ///
    /// let decoder = Decoder::new(Encoding::Utf8, DecodePolicy::Replace);
    /// assert_eq!(decoder.encoding(), Encoding::Utf8);
    /// ```
    pub fn new(encoding: Encoding, policy: DecodePolicy) -> Self {
        Self {
            encoding,
            policy,
            scheme: Scheme::read(encoding),
            offset: 0,
            pending: Bytes::default(),
            failed: None,
        }
    }

    /// Appends the text of `input` to `output`: all of it but a character that the end of `input` cuts.
    /// With `last`, the stream ends here: a cut character is malformed, and afterwards the decoder is at
    /// the beginning of a new stream.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let mut decoder = Encoding::Utf8.decoder(DecodePolicy::Replace);
    /// let mut text = String::new();
    /// decoder.decode(b"a\xffb\xc3", &mut text, false)?;
    /// assert_eq!(text, "a\u{fffd}b");
    /// decoder.decode(b"", &mut text, true)?;
    /// assert_eq!(text, "a\u{fffd}b\u{fffd}");
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    ///
    /// # Errors
    /// Malformed bytes under [`DecodePolicy::Strict`]. The text before them is in `output`. What lies behind
    /// them is not read: every further call says the same error, until [`reset`](Self::reset).
    pub fn decode(
        &mut self,
        input: &[u8],
        output: &mut String,
        last: bool,
    ) -> Result<(), TextError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let decoded = self.decode_next(input, output, last);
        match decoded {
            Ok(()) if last => self.reset(),
            Ok(()) => {}
            Err(error) => self.failed = Some(error),
        }
        decoded
    }

    /// Begins a new stream, whatever was before.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let mut decoder = Encoding::Utf8.decoder(DecodePolicy::Strict);
    /// let mut text = String::new();
    /// assert!(decoder.decode(b"\xff", &mut text, false).is_err());
    /// decoder.reset();
    /// assert!(decoder.decode(b"well", &mut text, true).is_ok());
    /// ```
    pub fn reset(&mut self) {
        *self = Self::new(self.encoding, self.policy);
    }

    /// The encoding it reads.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let decoder = Encoding::Big5.decoder(DecodePolicy::Strict);
    /// assert_eq!(decoder.encoding(), Encoding::Big5);
    /// ```
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What it does with malformed bytes.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let decoder = Encoding::Big5.decoder(DecodePolicy::Ignore);
    /// assert_eq!(decoder.policy(), DecodePolicy::Ignore);
    /// ```
    pub fn policy(&self) -> DecodePolicy {
        self.policy
    }

    /// How many bytes of the stream are dealt with: all that came, without those [`pending`](Self::pending).
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let mut decoder = Encoding::Utf8.decoder(DecodePolicy::Strict);
    /// decoder.decode(b"caf\xc3", &mut String::new(), false)?;
    /// assert_eq!(decoder.offset(), 3);
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The beginning of a character whose end has not arrived.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let mut decoder = Encoding::Utf8.decoder(DecodePolicy::Strict);
    /// decoder.decode(b"caf\xc3", &mut String::new(), false)?;
    /// assert_eq!(decoder.pending(), b"\xc3");
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    pub fn pending(&self) -> &[u8] {
        self.pending.as_slice()
    }

    /// Appends the text of `input` to `output` as [`decode`](Self::decode) does, but keeps nothing: the bytes
    /// that [`offset`](Self::offset) does not count afterwards are to be shown again, malformed ones too.
    pub(crate) fn decode_front(
        &mut self,
        input: &[u8],
        output: &mut String,
    ) -> Result<(), TextError> {
        let (scheme, mark_bytes) = match self.scheme {
            Some(scheme) => (scheme, 0),
            None => match Scheme::by_mark(self.encoding, input, false) {
                Some(decided) => decided,
                None => return Ok(()),
            },
        };
        self.scheme = Some(scheme);
        self.offset += mark_bytes as u64;
        self.decode_characters(scheme, &input[mark_bytes..], output)?;
        Ok(())
    }

    /// Counts bytes that became text without it.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.offset += bytes as u64;
    }

    fn decode_next(
        &mut self,
        input: &[u8],
        output: &mut String,
        last: bool,
    ) -> Result<(), TextError> {
        let (scheme, input) = match self.scheme {
            Some(scheme) => (scheme, input),
            None => match self.decide_by_mark(input, last) {
                Some(decided) => decided,
                None => return Ok(()),
            },
        };
        let input = self.finish_pending(scheme, input, output)?;
        if self.pending().is_empty() {
            let used = self.decode_characters(scheme, input, output)?;
            self.pending = Bytes::new(&input[used..]);
        }
        if last && !self.pending().is_empty() {
            let unfinished = std::mem::take(&mut self.pending);
            self.apply_policy(unfinished, true, output)?;
        }
        Ok(())
    }

    /// Waits for enough bytes to tell whether the stream begins with a mark; then leaves out the mark.
    fn decide_by_mark<'i>(
        &mut self,
        mut input: &'i [u8],
        last: bool,
    ) -> Option<(Scheme, &'i [u8])> {
        loop {
            let at_end = last && input.is_empty();
            let decided = Scheme::by_mark(self.encoding, self.pending(), at_end);
            if let Some((scheme, mark_bytes)) = decided {
                self.scheme = Some(scheme);
                self.pending = Bytes::new(&self.pending()[mark_bytes..]);
                self.offset += mark_bytes as u64;
                return Some((scheme, input));
            }
            let (&byte, rest) = input.split_first()?;
            self.pending.push(byte);
            input = rest;
        }
    }

    /// Decodes the pending bytes together with as many of `input` as they need; returns the rest of `input`.
    fn finish_pending<'i>(
        &mut self,
        scheme: Scheme,
        input: &'i [u8],
        output: &mut String,
    ) -> Result<&'i [u8], TextError> {
        let held = self.pending().len();
        if held == 0 {
            return Ok(input);
        }
        // With so many bytes, a character that begins among the pending ones ends among these.
        let mut joined = [0; 2 * Bytes::CAPACITY];
        let taken = input.len().min(joined.len() - held);
        joined[..held].copy_from_slice(self.pending());
        joined[held..held + taken].copy_from_slice(&input[..taken]);
        let joined = &joined[..held + taken];

        let used = self.decode_characters(scheme, joined, output)?;
        let (pending, from_input) = match used.checked_sub(held) {
            Some(from_input) => (&[][..], from_input),
            None => (&joined[used..], taken),
        };
        self.pending = Bytes::new(pending);
        Ok(&input[from_input..])
    }

    /// Decodes `bytes` under the policy, all but an unfinished character at their end; says how many.
    fn decode_characters(
        &mut self,
        scheme: Scheme,
        bytes: &[u8],
        output: &mut String,
    ) -> Result<usize, TextError> {
        let mut used = 0;
        loop {
            let scan = scheme.decode(&bytes[used..], output);
            used += scan.used;
            self.offset += scan.used as u64;
            if scan.malformed == 0 {
                return Ok(used);
            }
            let malformed = &bytes[used..used + scan.malformed];
            self.apply_policy(Bytes::new(malformed), false, output)?;
            used += scan.malformed;
        }
    }

    fn apply_policy(
        &mut self,
        malformed: Bytes,
        at_end: bool,
        output: &mut String,
    ) -> Result<(), TextError> {
        match self.policy {
            DecodePolicy::Strict => {
                let (encoding, offset) = (self.encoding, self.offset);
                return Err(TextError::malformed(encoding, offset, malformed, at_end));
            }
            DecodePolicy::Replace => output.push(char::REPLACEMENT_CHARACTER),
            DecodePolicy::Ignore => {}
            DecodePolicy::BackslashReplace => {
                for byte in malformed.as_slice() {
                    write!(output, "\\x{byte:02x}").expect("a string takes everything");
                }
            }
        }
        self.offset += malformed.as_slice().len() as u64;
        Ok(())
    }
}
