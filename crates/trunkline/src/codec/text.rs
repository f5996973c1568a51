//! Frames of text: another codec cuts the bytes, an encoding makes them text.

use super::{Codec, Decoded, FrameError};
use crate::text::{DecodePolicy, Decoder, EncodePolicy, Encoder, Encoding};

/// Text in the frames of another codec: what a handler is given is `&str`, what it sends is `str`.
///
/// ```
/// use trunkline::codec::{Codec, Decoded, Lines, Text};
/// use trunkline::text::Encoding;
///
/// let mut codec = Text::new(Lines::new(), Encoding::Windows1252);
/// let found = codec.decode(b"5 \x80\n")?;
/// assert_eq!(found, Decoded::Frame { frame: "5 €", consumed: 4 });
///
/// let mut output = Vec::new();
/// codec.encode("7 €", &mut output)?;
/// assert_eq!(output, b"7 \x80\n");
/// # Ok::<(), trunkline::codec::FrameError>(())
/// ```
///
/// Each frame and each message is a text of its own: a character does not go on in the next frame, and where
/// an encoding has a mark, each begins with it. So offsets in errors count from the beginning of the frame.
///
/// Over [`Chunks`](super::Chunks) it is different, since there the network cuts: all that comes is one text, offsets
/// count from its beginning, and a character that is cut in two is still one. A frame may be empty, when all
/// that came is a mark, or ignored. What is sent has no mark.
///
/// ```
/// use trunkline::codec::{Chunks, Codec, Decoded, Text};
/// use trunkline::text::Encoding;
///
/// let mut codec = Text::new(Chunks::new(), Encoding::Utf8);
/// let found = codec.decode(b"caf\xc3")?;
/// assert_eq!(found, Decoded::Frame { frame: "caf", consumed: 3 });
/// assert_eq!(codec.decode(b"\xc3")?, Decoded::Incomplete);
/// let found = codec.decode(b"\xc3\xa9")?;
/// assert_eq!(found, Decoded::Frame { frame: "é", consumed: 2 });
/// # Ok::<(), trunkline::codec::FrameError>(())
/// ```
///
/// The limit of the codec below counts bytes. It looks for its marks in bytes too: with UTF-16, UTF-32 and EBCDIC
/// take one that looks for none, as lengths do, since a byte of a character may look like the end of a line.
///
/// A frame of UTF-8, and a frame of ASCII in any encoding that extends ASCII, is handed over without a
/// copy. The text of other frames is put together in a buffer, which is kept while there are whole frames.
#[derive(Debug, Clone)]
pub struct Text<C> {
    codec: C,
    encoding: Encoding,
    decode_policy: DecodePolicy,
    encode_policy: EncodePolicy,
    /// The text of the last frame, when its bytes are not the text themselves.
    buffer: String,
    /// Where frames are pieces of one text: reads it, and knows where it is. Made with the first piece.
    stream: Option<Box<Decoder>>,
}

impl<C> Text<C> {
    /// Text in `encoding` in the frames of `codec`. Malformed bytes and characters that the encoding lacks
    /// are errors.
    ///
    /// ```
    /// use trunkline::codec::{Codec, FrameError, Lines, Text};
    /// use trunkline::text::Encoding;
    ///
    /// let mut codec = Text::new(Lines::new(), Encoding::Utf8);
    /// let Err(FrameError::Text(error)) = codec.decode(b"caf\xe9\n") else {
    ///     panic!("that is ISO-8859-1");
    /// };
    /// assert_eq!((error.offset(), error.bytes()), (3, &b"\xe9"[..]));
    /// ```
    pub fn new(codec: C, encoding: Encoding) -> Self {
        Self {
            codec,
            encoding,
            decode_policy: DecodePolicy::Strict,
            encode_policy: EncodePolicy::Strict,
            buffer: String::new(),
            stream: None,
        }
    }

    /// What to do with malformed bytes.
    ///
    /// ```
    /// use trunkline::codec::{Codec, Decoded, Lines, Text};
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let mut codec = Text::new(Lines::new(), Encoding::Utf8).decode_policy(DecodePolicy::Replace);
    /// let found = codec.decode(b"caf\xe9\n")?;
    /// assert_eq!(found, Decoded::Frame { frame: "caf\u{fffd}", consumed: 5 });
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn decode_policy(mut self, policy: DecodePolicy) -> Self {
        self.decode_policy = policy;
        self
    }

    /// What to do with characters that the encoding lacks.
    ///
    /// ```
    /// use trunkline::codec::{Codec, Lines, Text};
    /// use trunkline::text::{EncodePolicy, Encoding};
    ///
    /// let codec = Text::new(Lines::new(), Encoding::Ascii).encode_policy(EncodePolicy::Replace);
    /// let mut output = Vec::new();
    /// codec.encode("café", &mut output)?;
    /// assert_eq!(output, b"caf?\n");
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn encode_policy(mut self, policy: EncodePolicy) -> Self {
        self.encode_policy = policy;
        self
    }

    /// The encoding of its frames and messages.
    ///
    /// ```
    /// use trunkline::codec::{Lines, Text};
    /// use trunkline::text::Encoding;
    ///
    /// assert_eq!(Text::new(Lines::new(), Encoding::Koi8R).encoding(), Encoding::Koi8R);
    /// ```
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }
}

/// The text of `frame`: the frame itself where its bytes are the text, otherwise put into `buffer`.
fn text_of<'a>(
    encoding: Encoding,
    policy: DecodePolicy,
    frame: &'a [u8],
    buffer: &'a mut String,
) -> Result<&'a str, FrameError> {
    if let Some(text) = encoding.as_text(frame) {
        return Ok(text);
    }
    buffer.clear();
    encoding.decoder(policy).decode(frame, buffer, true)?;
    Ok(buffer)
}

/// The text of `piece`, all but a character that its end cuts, and how many bytes that used up. What comes
/// before malformed bytes is handed over before the error is. Where bytes were used up but are no text, as
/// a mark is not, the frame is empty: left unconsumed, such bytes could come without end.
fn text_of_piece<'a>(
    stream: &mut Decoder,
    piece: &'a [u8],
    buffer: &'a mut String,
) -> Result<Decoded<&'a str>, FrameError> {
    let (frame, consumed) = if let Some(text) = stream.encoding().text_in_front(piece) {
        stream.skip(text.len());
        (text, text.len())
    } else {
        buffer.clear();
        let before = stream.offset();
        let outcome = stream.decode_front(piece, buffer);
        if buffer.is_empty() {
            outcome?;
        }
        (&**buffer, (stream.offset() - before) as usize)
    };
    Ok(match consumed {
        0 => Decoded::Incomplete,
        _ => Decoded::Frame { frame, consumed },
    })
}

impl<C> Codec for Text<C>
where
    C: 'static + for<'a> Codec<Frame<'a> = &'a [u8], Message = [u8]>,
{
    type Frame<'a> = &'a str;
    type Message = str;
    const PIECES: bool = C::PIECES;

    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a str>, FrameError> {
        let (frame, consumed) = match self.codec.decode(input)? {
            Decoded::Frame { frame, consumed } => (frame, consumed),
            Decoded::Incomplete => {
                self.buffer = String::new();
                return Ok(Decoded::Incomplete);
            }
        };
        let (encoding, policy) = (self.encoding, self.decode_policy);
        if C::PIECES {
            let new = || Box::new(Decoder::new(encoding, policy));
            let stream = self.stream.get_or_insert_with(new);
            return text_of_piece(stream, frame, &mut self.buffer);
        }
        let frame = text_of(encoding, policy, frame, &mut self.buffer)?;
        Ok(Decoded::Frame { frame, consumed })
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a str>, FrameError> {
        let (encoding, policy) = (self.encoding, self.decode_policy);
        let Some(frame) = self.codec.finish(input)? else {
            return Ok(None);
        };
        if C::PIECES {
            let stream = self.stream.take();
            let mut stream =
                stream.map_or_else(|| Decoder::new(encoding, policy), |stream| *stream);
            self.buffer.clear();
            stream.decode(frame, &mut self.buffer, true)?;
            return Ok((!self.buffer.is_empty()).then_some(&*self.buffer));
        }
        text_of(encoding, policy, frame, &mut self.buffer).map(Some)
    }

    fn encode(&self, message: &str, output: &mut Vec<u8>) -> Result<(), FrameError> {
        if let Some(bytes) = self.encoding.as_bytes(message) {
            return self.codec.encode(bytes, output);
        }
        let mut encoder = Encoder::new(self.encoding, self.encode_policy);
        if C::PIECES {
            encoder = encoder.without_mark();
        }
        let mut bytes = Vec::new();
        encoder.encode(message, &mut bytes)?;
        self.codec.encode(&bytes, output)
    }
}
