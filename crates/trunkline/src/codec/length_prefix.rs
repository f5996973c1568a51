//! Frames with their length before them, as a binary number.

use super::{Codec, DEFAULT_FRAME_BYTES_MAX, Decoded, FrameError, Unfinished, examine};

/// The number before a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// One byte.
    U8,
    /// Two bytes.
    U16,
    /// Three bytes.
    U24,
    /// Four bytes.
    U32,
    /// Eight bytes.
    U64,
    /// One to ten bytes of seven bits each, least significant first, the topmost bit of all but the last set
    /// (unsigned LEB128, as Protocol Buffers use it).
    Varint,
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The most significant one: network order.
    #[default]
    Big,
    /// The least significant one.
    Little,
}

/// Frames with their length before them. They can hold any bytes, and nothing has to be searched.
///
/// ```
/// use trunkline::codec::{Codec, Decoded, FrameError, LengthPrefix, Prefix};
///
/// let mut codec = LengthPrefix::new(Prefix::U16).limit(1000);
/// assert_eq!(codec.decode(b"\x00\x05hel")?, Decoded::Incomplete);
/// let found = codec.decode(b"\x00\x05hello\x00")?;
/// assert_eq!(found, Decoded::Frame { frame: &b"hello"[..], consumed: 7 });
///
/// // A length over the limit is refused before a single byte of the frame has come.
/// assert_eq!(codec.decode(b"\xff\xff"), Err(FrameError::TooLong { limit: 1000 }));
///
/// let mut output = Vec::new();
/// codec.encode(b"any\nthing", &mut output)?;
/// assert_eq!(output, b"\x00\x09any\nthing");
/// # Ok::<(), FrameError>(())
/// ```
///
/// A frame cut short by the end of the stream is an error.
#[derive(Debug, Clone)]
pub struct LengthPrefix {
    limit: usize,
    /// With fewer bytes of input than this there is nothing new to see.
    needed: usize,
    prefix: Prefix,
    order: ByteOrder,
    counts_itself: bool,
}

/// 64 bits in groups of seven.
const VARINT_BYTES_MAX: usize = 10;

impl LengthPrefix {
    /// Numbers in network order that count the frame alone. A frame may have [`DEFAULT_FRAME_BYTES_MAX`] bytes.
    pub fn new(prefix: Prefix) -> Self {
        Self {
            limit: DEFAULT_FRAME_BYTES_MAX,
            needed: 0,
            prefix,
            order: ByteOrder::Big,
            counts_itself: false,
        }
    }

    /// The most bytes that a received frame may have, the number before it not counted. What is sent is
    /// limited only by what the number can say.
    ///
    /// ```
    /// use trunkline::codec::{Codec, FrameError, LengthPrefix, Prefix};
    ///
    /// let codec = LengthPrefix::new(Prefix::U8);
    /// let refused = codec.encode(&[0; 256], &mut Vec::new());
    /// assert_eq!(refused, Err(FrameError::TooLong { limit: 255 }));
    /// ```
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Which byte of the number comes first: the most significant, unless said otherwise. A
    /// [`Prefix::Varint`] has its own order.
    ///
    /// ```
    /// use trunkline::codec::{ByteOrder, Codec, LengthPrefix, Prefix};
    ///
    /// let mut output = Vec::new();
    /// let codec = LengthPrefix::new(Prefix::U24).order(ByteOrder::Little);
    /// codec.encode(b"abc", &mut output)?;
    /// assert_eq!(output, b"\x03\x00\x00abc");
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn order(mut self, order: ByteOrder) -> Self {
        self.order = order;
        self
    }

    /// Whether the number counts its own bytes too, as some protocols have it: it does not, unless said
    /// otherwise.
    ///
    /// ```
    /// use trunkline::codec::{Codec, Decoded, LengthPrefix, Prefix};
    ///
    /// let mut codec = LengthPrefix::new(Prefix::U32).counts_itself(true);
    /// let found = codec.decode(b"\x00\x00\x00\x07abc")?;
    /// assert_eq!(found, Decoded::Frame { frame: &b"abc"[..], consumed: 7 });
    /// # Ok::<(), trunkline::codec::FrameError>(())
    /// ```
    #[must_use]
    pub fn counts_itself(mut self, counts: bool) -> Self {
        self.counts_itself = counts;
        self
    }

    /// The bytes of the number at the front of `input`, and the number. `None`: it is not yet all there.
    #[inline]
    pub(super) fn number(&self, input: &[u8]) -> Result<Option<(usize, u64)>, FrameError> {
        let Some(bytes) = self.prefix.bytes() else {
            return self.varint(input);
        };
        let Some(number) = input.get(..bytes) else {
            return Ok(None);
        };
        examine(bytes);
        let append = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        let value = match self.order {
            ByteOrder::Big => number.iter().fold(0, append),
            ByteOrder::Little => number.iter().rev().fold(0, append),
        };
        Ok(Some((bytes, value)))
    }

    fn varint(&self, input: &[u8]) -> Result<Option<(usize, u64)>, FrameError> {
        let mut value = 0_u64;
        for (offset, &byte) in input.iter().take(VARINT_BYTES_MAX).enumerate() {
            examine(1);
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * offset as u32;
            if bits << shift >> shift != bits {
                return Err(FrameError::TooLong { limit: self.limit });
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(Some((offset + 1, value)));
            }
        }
        if input.len() < VARINT_BYTES_MAX {
            return Ok(None);
        }
        Err(FrameError::Malformed {
            reason: "a number of variable length has more than ten bytes",
        })
    }

    /// The bytes of the frame behind a number of `prefix_bytes` bytes that says `value`.
    #[inline]
    fn frame_bytes(&self, prefix_bytes: usize, value: u64) -> Result<usize, FrameError> {
        let own = if self.counts_itself { prefix_bytes } else { 0 };
        let bytes = value.checked_sub(own as u64).ok_or(FrameError::Malformed {
            reason: "a length that counts itself is smaller than itself",
        })?;
        usize::try_from(bytes)
            .ok()
            .filter(|&bytes| bytes <= self.limit)
            .ok_or(FrameError::TooLong { limit: self.limit })
    }

    /// How many bytes the number before `bytes` bytes takes, and the number.
    pub(super) fn number_for(&self, bytes: usize) -> (usize, u64) {
        let own = |prefix_bytes: usize| if self.counts_itself { prefix_bytes } else { 0 };
        let value = |prefix_bytes| (bytes as u64).saturating_add(own(prefix_bytes) as u64);
        let prefix_bytes = self.prefix.bytes().unwrap_or_else(|| {
            // Counting itself may make the number one byte longer; then that length fits.
            (1..VARINT_BYTES_MAX)
                .find(|&prefix_bytes| value(prefix_bytes) >> (7 * prefix_bytes) == 0)
                .unwrap_or(VARINT_BYTES_MAX)
        });
        (prefix_bytes, value(prefix_bytes))
    }

    /// Appends a number that the prefix can say.
    pub(super) fn push_number(&self, number: u64, output: &mut Vec<u8>) {
        match (self.prefix.bytes(), self.order) {
            (None, _) => push_varint(number, output),
            (Some(bytes), ByteOrder::Big) => {
                output.extend_from_slice(&number.to_be_bytes()[8 - bytes..]);
            }
            (Some(bytes), ByteOrder::Little) => {
                output.extend_from_slice(&number.to_le_bytes()[..bytes]);
            }
        }
    }
}

impl Prefix {
    /// How many bytes it takes, if that does not depend on the number.
    #[inline]
    fn bytes(self) -> Option<usize> {
        Some(match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U24 => 3,
            Self::U32 => 4,
            Self::U64 => 8,
            Self::Varint => return None,
        })
    }

    /// The largest number it can say.
    pub(super) fn max(self) -> u64 {
        self.bytes()
            .map_or(u64::MAX, |bytes| u64::MAX >> (64 - 8 * bytes))
    }
}

impl Codec for LengthPrefix {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    #[inline]
    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        if input.len() < self.needed {
            return Ok(Decoded::Incomplete);
        }
        let Some((start, value)) = self.number(input)? else {
            return Ok(Decoded::Incomplete);
        };
        let consumed = start
            .checked_add(self.frame_bytes(start, value)?)
            .ok_or(FrameError::TooLong { limit: self.limit })?;
        let Some(frame) = input.get(start..consumed) else {
            self.needed = consumed;
            return Ok(Decoded::Incomplete);
        };
        self.needed = 0;
        Ok(Decoded::Frame { frame, consumed })
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.needed = 0;
        Unfinished::Refuse.decide(input, self.limit)
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        let (prefix_bytes, value) = self.number_for(message.len());
        if value > self.prefix.max() {
            let most = self.prefix.max() - (value - message.len() as u64);
            let limit = usize::try_from(most).unwrap_or(usize::MAX);
            return Err(FrameError::TooLong { limit });
        }
        output.reserve(prefix_bytes + message.len());
        self.push_number(value, output);
        output.extend_from_slice(message);
        Ok(())
    }
}

fn push_varint(mut value: u64, output: &mut Vec<u8>) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}
