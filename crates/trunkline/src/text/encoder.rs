//! A stream of text becomes bytes.

use super::scheme::Scheme;
use super::{EncodePolicy, Encoding, TextError};

/// Turns the text of one stream into bytes, piece by piece: however the text is cut, the bytes are the same.
///
/// It remembers where it is, for errors, and whether the mark at the beginning is written.
///
/// ```
/// use trunkline::text::{EncodePolicy, Encoder, Encoding};
///
/// let mut encoder = Encoder::new(Encoding::Windows1252, EncodePolicy::Replace);
/// let mut bytes = Vec::new();
/// encoder.encode("5 €, ", &mut bytes)?;
/// encoder.encode("5 ₽", &mut bytes)?;
/// assert_eq!(bytes, b"5 \x80, 5 ?");
/// # Ok::<(), trunkline::text::TextError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    encoding: Encoding,
    policy: EncodePolicy,
    scheme: Scheme,
    marked: bool,
    /// Bytes of text dealt with.
    offset: u64,
}

impl Encoder {
    /// An encoder at the beginning of a stream.
    ///
    /// ```
    /// use trunkline::text::{EncodePolicy, Encoder, Encoding};
    ///
    /// let encoder = Encoder::new(Encoding::Utf8, EncodePolicy::Strict);
    /// assert_eq!(encoder.encoding(), Encoding::Utf8);
    /// ```
    pub fn new(encoding: Encoding, policy: EncodePolicy) -> Self {
        Self {
            encoding,
            policy,
            scheme: Scheme::written(encoding),
            marked: false,
            offset: 0,
        }
    }

    /// Appends the bytes of `text` to `output`; before the first, the encoding's mark if it has one. A text
    /// ends between any two characters: there is nothing to finish.
    ///
    /// ```
    /// use trunkline::text::{EncodePolicy, Encoding};
    ///
    /// let mut encoder = Encoding::Ibm037.encoder(EncodePolicy::Strict);
    /// let mut bytes = Vec::new();
    /// encoder.encode("HELLO", &mut bytes)?;
    /// assert_eq!(bytes, b"\xc8\xc5\xd3\xd3\xd6");
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    ///
    /// # Errors
    /// A character that the encoding lacks, under [`EncodePolicy::Strict`]. Then `output` and the encoder
    /// are as they were: the text can be mended and written again.
    pub fn encode(&mut self, text: &str, output: &mut Vec<u8>) -> Result<(), TextError> {
        let start = output.len();
        if !self.marked {
            output.extend_from_slice(Scheme::mark(self.encoding));
        }
        let mut used = 0;
        while let Some((offset, character)) = self.scheme.encode(&text[used..], output) {
            used += offset;
            if self.policy == EncodePolicy::Strict {
                output.truncate(start);
                let offset = self.offset + used as u64;
                return Err(TextError::lacking(self.encoding, offset, character));
            }
            used += character.len_utf8();
            self.replace(character, output);
        }
        self.marked = true;
        self.offset += text.len() as u64;
        Ok(())
    }

    /// In the middle of a stream, whose mark is written or not wanted.
    pub(crate) fn without_mark(mut self) -> Self {
        self.marked = true;
        self
    }

    /// Begins a new stream.
    ///
    /// ```
    /// use trunkline::text::{EncodePolicy, Encoding};
    ///
    /// let mut encoder = Encoding::Utf16.encoder(EncodePolicy::Strict);
    /// let mut bytes = Vec::new();
    /// encoder.encode("a", &mut bytes)?;
    /// encoder.reset();
    /// encoder.encode("b", &mut bytes)?;
    /// assert_eq!(bytes, b"\xff\xfea\0\xff\xfeb\0");
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    pub fn reset(&mut self) {
        self.marked = false;
        self.offset = 0;
    }

    /// The encoding it writes.
    ///
    /// ```
    /// use trunkline::text::{EncodePolicy, Encoding};
    ///
    /// let encoder = Encoding::Koi8R.encoder(EncodePolicy::Strict);
    /// assert_eq!(encoder.encoding(), Encoding::Koi8R);
    /// ```
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What it does with a character that the encoding lacks.
    ///
    /// ```
    /// use trunkline::text::{EncodePolicy, Encoding};
    ///
    /// let encoder = Encoding::Koi8R.encoder(EncodePolicy::Ignore);
    /// assert_eq!(encoder.policy(), EncodePolicy::Ignore);
    /// ```
    pub fn policy(&self) -> EncodePolicy {
        self.policy
    }

    fn replace(&self, character: char, output: &mut Vec<u8>) {
        let number = u32::from(character);
        let replacement = match self.policy {
            EncodePolicy::Strict | EncodePolicy::Ignore => return,
            EncodePolicy::Replace => "?".to_owned(),
            EncodePolicy::XmlCharRefReplace => format!("&#{number};"),
            EncodePolicy::BackslashReplace => match number {
                0..=0xFF => format!("\\x{number:02x}"),
                0x100..=0xFFFF => format!("\\u{number:04x}"),
                _ => format!("\\U{number:08x}"),
            },
        };
        let lacking = self.scheme.encode(&replacement, output);
        debug_assert!(
            lacking.is_none(),
            "every encoding has what replacements are made of"
        );
    }
}
