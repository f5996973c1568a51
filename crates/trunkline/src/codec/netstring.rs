//! Netstrings: a decimal length, a colon, the bytes, a comma.

use super::{Codec, DEFAULT_FRAME_BYTES_MAX, Decoded, FrameError, Unfinished, examine};

/// D. J. Bernstein's [netstrings](https://cr.yp.to/proto/netstrings.txt): `5:hello,`. They can hold any bytes,
/// and a person can read them.
///
/// ```
/// use trunkline::codec::{Codec, Decoded, FrameError, Netstring};
///
/// let mut codec = Netstring::new().limit(1000);
/// assert_eq!(codec.decode(b"5:hel")?, Decoded::Incomplete);
/// let found = codec.decode(b"5:hello,0:,")?;
/// assert_eq!(found, Decoded::Frame { frame: &b"hello"[..], consumed: 8 });
///
/// // A length over the limit is refused before a single byte of the frame has come.
/// assert_eq!(codec.decode(b"1001"), Err(FrameError::TooLong { limit: 1000 }));
///
/// let mut output = Vec::new();
/// codec.encode(b"12:34,", &mut output)?;
/// assert_eq!(output, b"6:12:34,,");
/// # Ok::<(), FrameError>(())
/// ```
///
/// As the specification asks, a length has no needless zeros before it, and no sign and no blank. What breaks a
/// rule, or is cut short by the end of the stream, is an error.
#[derive(Debug, Clone)]
pub struct Netstring {
    limit: usize,
    /// With fewer bytes of input than this there is nothing new to see.
    needed: usize,
}

/// The largest length that can be written, 18446744073709551615, has twenty digits.
const DIGITS_MAX: usize = 20;

const NO_NUMBER: FrameError = FrameError::Malformed {
    reason: "a netstring begins with its length in digits and a colon",
};

impl Default for Netstring {
    fn default() -> Self {
        Self::new()
    }
}

impl Netstring {
    /// A frame may have [`DEFAULT_FRAME_BYTES_MAX`] bytes.
    pub fn new() -> Self {
        Self {
            limit: DEFAULT_FRAME_BYTES_MAX,
            needed: 0,
        }
    }

    /// The most bytes that a received frame may have, length, colon and comma not counted.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The bytes before the frame, colon included, and the bytes in the frame. `None`: the colon is still to come.
    fn header(&self, input: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
        let too_long = FrameError::TooLong { limit: self.limit };
        let mut length = 0_usize;
        for (offset, &byte) in input.iter().take(DIGITS_MAX + 1).enumerate() {
            examine(1);
            match byte {
                b':' if offset > 0 => return Ok(Some((offset + 1, length))),
                b'0'..=b'9' if offset == 1 && length == 0 => {
                    return Err(FrameError::Malformed {
                        reason: "a netstring's length has a needless zero before it",
                    });
                }
                b'0'..=b'9' => {
                    length = length
                        .checked_mul(10)
                        .and_then(|length| length.checked_add(usize::from(byte - b'0')))
                        .filter(|&length| length <= self.limit)
                        .ok_or(too_long)?;
                }
                _ => return Err(NO_NUMBER),
            }
        }
        Ok(None)
    }
}

impl Codec for Netstring {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        if input.len() < self.needed {
            return Ok(Decoded::Incomplete);
        }
        let Some((start, length)) = self.header(input)? else {
            return Ok(Decoded::Incomplete);
        };
        let consumed = start
            .checked_add(length)
            .and_then(|end| end.checked_add(1))
            .ok_or(FrameError::TooLong { limit: self.limit })?;
        let Some(whole) = input.get(start..consumed) else {
            self.needed = consumed;
            return Ok(Decoded::Incomplete);
        };
        self.needed = 0;
        match whole.split_last() {
            Some((b',', frame)) => Ok(Decoded::Frame { frame, consumed }),
            _ => Err(FrameError::Malformed {
                reason: "a netstring ends with a comma",
            }),
        }
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.needed = 0;
        Unfinished::Refuse.decide(input, self.limit)
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        output.reserve(DIGITS_MAX + 2 + message.len());
        push_decimal(message.len(), output);
        output.push(b':');
        output.extend_from_slice(message);
        output.push(b',');
        Ok(())
    }
}

fn push_decimal(mut number: usize, output: &mut Vec<u8>) {
    let mut digits = [0; DIGITS_MAX];
    let mut first = DIGITS_MAX;
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    output.extend_from_slice(&digits[first..]);
}
