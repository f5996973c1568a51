//! Bytes that are no text; text that an encoding cannot write.

use std::error::Error;
use std::fmt;

use super::Encoding;
use super::name::write_list;
use super::policy::{lenient_decoding, lenient_encoding};

/// Under the policy `strict`: bytes that are no text, or a character that the encoding lacks.
///
/// ```
/// use trunkline::text::{DecodePolicy, EncodePolicy, Encoding};
///
/// let error = Encoding::Utf8.decode(b"caf\xe9!", DecodePolicy::Strict).unwrap_err();
/// assert_eq!((error.offset(), error.bytes()), (3, &b"\xe9"[..]));
/// assert_eq!(
///     error.to_string(),
///     "byte E9 at offset 3 is not UTF-8; \
///      the policies replace, ignore and backslashreplace let it pass"
/// );
///
/// let error = Encoding::Iso8859_1.encode("5 €", EncodePolicy::Strict).unwrap_err();
/// assert_eq!((error.offset(), error.character()), (2, Some('€')));
/// assert_eq!(
///     error.to_string(),
///     "character '€' (U+20AC) at offset 2 cannot be written in ISO-8859-1; \
///      the policies replace, ignore, backslashreplace and xmlcharrefreplace let it pass"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextError {
    encoding: Encoding,
    offset: u64,
    problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    Malformed(Bytes),
    Unfinished(Bytes),
    Lacking(char),
}

impl TextError {
    /// The stream goes on behind the malformed bytes, unless it ended inside a character.
    pub(super) fn malformed(encoding: Encoding, offset: u64, bytes: Bytes, at_end: bool) -> Self {
        let problem = if at_end {
            Problem::Unfinished(bytes)
        } else {
            Problem::Malformed(bytes)
        };
        Self {
            encoding,
            offset,
            problem,
        }
    }

    pub(super) fn lacking(encoding: Encoding, offset: u64, character: char) -> Self {
        Self {
            encoding,
            offset,
            problem: Problem::Lacking(character),
        }
    }

    /// The encoding that was to be read or written.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let error = Encoding::Ascii.decode(b"\x80", DecodePolicy::Strict).unwrap_err();
    /// assert_eq!(error.encoding(), Encoding::Ascii);
    /// ```
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Where it is, in bytes from the beginning of the stream: of the bytes to decode, or of the text to
    /// encode (as Rust counts: in bytes of UTF-8, so that a slice can begin there).
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let mut decoder = Encoding::Ascii.decoder(DecodePolicy::Strict);
    /// let mut text = String::new();
    /// decoder.decode(b"all is well, ", &mut text, false)?;
    /// let error = decoder.decode(b"then \x80", &mut text, false).unwrap_err();
    /// assert_eq!(error.offset(), 18);
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The malformed bytes, four at most; none when a character cannot be encoded.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let error = Encoding::Utf16Le.decode(b"\0\xdc", DecodePolicy::Strict).unwrap_err();
    /// assert_eq!(error.bytes(), b"\0\xdc");
    /// ```
    pub fn bytes(&self) -> &[u8] {
        match &self.problem {
            Problem::Malformed(bytes) | Problem::Unfinished(bytes) => bytes.as_slice(),
            Problem::Lacking(_) => &[],
        }
    }

    /// The character that cannot be encoded; none when bytes cannot be decoded.
    ///
    /// ```
    /// use trunkline::text::{EncodePolicy, Encoding};
    ///
    /// let error = Encoding::Ascii.encode("é", EncodePolicy::Strict).unwrap_err();
    /// assert_eq!(error.character(), Some('é'));
    /// ```
    pub fn character(&self) -> Option<char> {
        match self.problem {
            Problem::Lacking(character) => Some(character),
            Problem::Malformed(_) | Problem::Unfinished(_) => None,
        }
    }

    /// Whether the bytes began a character well, but the stream ended inside it.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let error = Encoding::Utf8.decode(b"caf\xc3", DecodePolicy::Strict).unwrap_err();
    /// assert!(error.is_unfinished());
    /// ```
    pub fn is_unfinished(&self) -> bool {
        matches!(self.problem, Problem::Unfinished(_))
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            encoding, offset, ..
        } = self;
        let policies = match self.problem {
            Problem::Malformed(bytes) => {
                write!(
                    formatter,
                    "{bytes} at offset {offset} {} not {encoding}",
                    bytes.verb()
                )?;
                lenient_decoding()
            }
            Problem::Unfinished(bytes) => {
                write!(
                    formatter,
                    "the end cuts a character of {encoding}: {bytes} at offset {offset}"
                )?;
                lenient_decoding()
            }
            Problem::Lacking(character) => {
                write!(
                    formatter,
                    "character {character:?} (U+{:04X}) at offset {offset} cannot be written in {encoding}",
                    u32::from(character)
                )?;
                lenient_encoding()
            }
        };
        formatter.write_str("; the policies ")?;
        write_list(formatter, policies)?;
        formatter.write_str(" let it pass")
    }
}

impl Error for TextError {}

/// The bytes of one character at most: what a decoder keeps of a split one, and what an error shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    bytes: [u8; Self::CAPACITY],
    count: u8,
}

impl Bytes {
    /// No encoding here has a longer character, or a longer mark.
    pub(super) const CAPACITY: usize = 4;

    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut new = Self::default();
        new.bytes[..bytes.len()].copy_from_slice(bytes);
        new.count = bytes.len() as u8;
        new
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.count)] = byte;
        self.count += 1;
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.count)]
    }

    fn verb(self) -> &'static str {
        if self.count == 1 { "is" } else { "are" }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.count == 1 { "byte" } else { "bytes" })?;
        self.as_slice()
            .iter()
            .try_for_each(|byte| write!(formatter, " {byte:02X}"))
    }
}
