//! Codecs too simple to be wrong: they know the whole stream, keep nothing in mind, and look at every byte from the
//! beginning again for each frame.
//!
//! Used by the tests, and by the fuzz target `codecs`.

use std::fmt::Debug;

use trunkline::codec::{ByteOrder, FrameError, LineEnding, Prefix, Unfinished};

/// How one kind of frame is read and written, the plain way.
pub(crate) trait Naive: Debug {
    /// What is at the front of `rest`, which is not empty and goes on to the end of the stream.
    fn first(&self, rest: &[u8], limit: u128) -> First;

    /// What becomes of a frame that the end of the stream cuts short.
    fn unfinished(&self) -> Unfinished {
        Unfinished::Refuse
    }

    /// Whether it reads as frames what it writes as messages.
    fn understands_itself(&self) -> bool {
        true
    }

    /// The bytes of a message, if it can be one.
    fn written(&self, message: &[u8]) -> Result<Vec<u8>, FrameError>;
}

/// What a naive codec sees.
#[derive(Debug, PartialEq)]
pub(crate) enum First {
    /// A frame, and the bytes that it took.
    Frame(Vec<u8>, usize),
    /// The beginning of a frame.
    Cut,
    Refused(FrameError),
}

use First::{Cut, Frame, Refused};

pub(crate) const MALFORMED: FrameError = FrameError::Malformed { reason: "" };

/// A frame that need not be looked into.
fn frame(bytes: &[u8], used: usize) -> First {
    Frame(bytes.to_vec(), used)
}

/// The limit as the codec was given it.
fn too_long(limit: u128) -> First {
    Refused(FrameError::TooLong {
        limit: limit as usize,
    })
}

/// `first`, if its `length` is not over the limit.
fn within(limit: u128, length: usize, first: impl FnOnce() -> First) -> First {
    if length as u128 > limit {
        too_long(limit)
    } else {
        first()
    }
}

/// The frame of `length` bytes behind the first `start`, and `tail` bytes behind that.
fn announced(rest: &[u8], start: usize, length: u128, tail: usize, limit: u128) -> First {
    let used = start as u128 + length + tail as u128;
    if length > limit || used > usize::MAX as u128 {
        return too_long(limit);
    }
    if used > rest.len() as u128 {
        return Cut;
    }
    frame(&rest[start..start + length as usize], used as usize)
}

#[derive(Debug)]
pub(crate) struct NaiveLines {
    pub(crate) accepted: LineEnding,
    pub(crate) written: LineEnding,
    pub(crate) unfinished: Unfinished,
}

impl Naive for NaiveLines {
    fn first(&self, rest: &[u8], limit: u128) -> First {
        let endings: &[&[u8]] = match self.accepted {
            LineEnding::Lf => &[b"\n"],
            LineEnding::CrLf => &[b"\r\n"],
            LineEnding::Either => &[b"\r\n", b"\n"],
        };
        let ending_at = |at: usize| endings.iter().find(|ending| rest[at..].starts_with(ending));
        for at in 0..rest.len() {
            if let Some(ending) = ending_at(at) {
                return within(limit, at, || frame(&rest[..at], at + ending.len()));
            }
        }
        // The ending may have begun, and none of its bytes counts.
        let may_end = endings[0].len() == 2 && rest.ends_with(b"\r");
        within(limit, rest.len() - usize::from(may_end), || Cut)
    }

    fn unfinished(&self) -> Unfinished {
        self.unfinished
    }

    /// Not when it waits for a CR that it does not write.
    fn understands_itself(&self) -> bool {
        self.accepted != LineEnding::CrLf || self.written == LineEnding::CrLf
    }

    fn written(&self, message: &[u8]) -> Result<Vec<u8>, FrameError> {
        let ending: &[u8] = match self.written {
            LineEnding::CrLf => b"\r\n",
            LineEnding::Lf | LineEnding::Either => b"\n",
        };
        let wire = [message, ending].concat();
        if !self.understands_itself() {
            let reader = Self {
                accepted: LineEnding::Lf,
                ..*self
            };
            return arrives_as(&reader, wire, message);
        }
        // Where LF alone ends a line, a CR written before it is part of the line.
        let mut arrives = message.to_vec();
        if (self.accepted, self.written) == (LineEnding::Lf, LineEnding::CrLf) {
            arrives.push(b'\r');
        }
        arrives_as(self, wire, &arrives)
    }
}

/// `wire`, if a reader makes one frame of it, and the right one.
fn arrives_as(reader: &impl Naive, wire: Vec<u8>, message: &[u8]) -> Result<Vec<u8>, FrameError> {
    if reader.first(&wire, u128::MAX) == frame(message, wire.len()) {
        Ok(wire)
    } else {
        Err(FrameError::ContainsMark)
    }
}

#[derive(Debug)]
pub(crate) struct NaiveDelimiter {
    pub(crate) mark: &'static [u8],
    pub(crate) keep_mark: bool,
    pub(crate) unfinished: Unfinished,
}

impl Naive for NaiveDelimiter {
    fn first(&self, rest: &[u8], limit: u128) -> First {
        let mark_bytes = self.mark.len();
        let found = (0..rest.len()).find(|&at| rest[at..].starts_with(self.mark));
        let Some(at) = found else {
            // The mark may have begun: all but its last byte, none of which counts.
            return within(limit, rest.len().saturating_sub(mark_bytes - 1), || Cut);
        };
        let kept = if self.keep_mark { mark_bytes } else { 0 };
        within(limit, at, || frame(&rest[..at + kept], at + mark_bytes))
    }

    fn unfinished(&self) -> Unfinished {
        self.unfinished
    }

    fn written(&self, message: &[u8]) -> Result<Vec<u8>, FrameError> {
        let brought = self.keep_mark && message.ends_with(self.mark);
        let wire = [message, if brought { b"" } else { self.mark }].concat();
        let arrives = if self.keep_mark { &wire } else { message };
        arrives_as(self, wire.clone(), arrives)
    }
}

#[derive(Debug)]
pub(crate) struct NaiveLengthPrefix {
    pub(crate) prefix: Prefix,
    pub(crate) order: ByteOrder,
    pub(crate) counts_itself: bool,
}

impl NaiveLengthPrefix {
    fn prefix_bytes(&self) -> Option<usize> {
        match self.prefix {
            Prefix::U8 => Some(1),
            Prefix::U16 => Some(2),
            Prefix::U24 => Some(3),
            Prefix::U32 => Some(4),
            Prefix::U64 => Some(8),
            Prefix::Varint => None,
        }
    }

    /// The number at the front, and its bytes.
    fn number(&self, rest: &[u8], limit: u128) -> Result<(u128, usize), First> {
        let digits = match self.prefix_bytes() {
            Some(bytes) => {
                let mut digits = rest.get(..bytes).ok_or(Cut)?.to_vec();
                if self.order == ByteOrder::Big {
                    digits.reverse();
                }
                digits.into_iter().map(u128::from).collect()
            }
            None => varint_digits(rest, limit)?,
        };
        let base = if self.prefix == Prefix::Varint {
            128
        } else {
            256
        };
        let value = digits
            .iter()
            .rev()
            .fold(0, |value, digit| value * base + digit);
        Ok((value, digits.len()))
    }
}

/// The digits in base 128, least significant first.
fn varint_digits(rest: &[u8], limit: u128) -> Result<Vec<u128>, First> {
    let digits: Vec<u128> = rest
        .iter()
        .take(10)
        .map(|byte| u128::from(byte % 128))
        .collect();
    let last = rest.iter().take(10).position(|&byte| byte < 128);
    match (last, digits.get(9)) {
        // More than 64 bits.
        (None | Some(9), Some(2..)) => Err(too_long(limit)),
        (None, Some(_)) => Err(Refused(MALFORMED)),
        (None, None) => Err(Cut),
        (Some(last), _) => Ok(digits[..=last].to_vec()),
    }
}

impl Naive for NaiveLengthPrefix {
    fn first(&self, rest: &[u8], limit: u128) -> First {
        let (value, start) = match self.number(rest, limit) {
            Ok(number) => number,
            Err(first) => return first,
        };
        let own = if self.counts_itself { start as u128 } else { 0 };
        match value.checked_sub(own) {
            Some(length) => announced(rest, start, length, 0, limit),
            None => Refused(MALFORMED),
        }
    }

    fn written(&self, message: &[u8]) -> Result<Vec<u8>, FrameError> {
        let value_with = |prefix_bytes| {
            let own = if self.counts_itself { prefix_bytes } else { 0 };
            message.len() + own
        };
        let Some(prefix_bytes) = self.prefix_bytes() else {
            let fits = |&bytes: &usize| value_with(bytes) < 1 << (7 * bytes);
            let bytes = (1..9).find(fits).expect("no message is that long");
            let digit = |at| (value_with(bytes) >> (7 * at)) as u8 % 128;
            let digits = (0..bytes).map(|at| digit(at) + if at + 1 < bytes { 128 } else { 0 });
            return Ok(digits.chain(message.iter().copied()).collect());
        };
        let value = value_with(prefix_bytes) as u128;
        let most = (1_u128 << (8 * prefix_bytes)) - 1;
        if value > most {
            let limit = (most - (value - message.len() as u128)) as usize;
            return Err(FrameError::TooLong { limit });
        }
        let mut wire: Vec<u8> = (0..prefix_bytes)
            .map(|at| (value >> (8 * at)) as u8)
            .collect();
        if self.order == ByteOrder::Big {
            wire.reverse();
        }
        wire.extend(message);
        Ok(wire)
    }
}

#[derive(Debug)]
pub(crate) struct NaiveNetstring;

impl Naive for NaiveNetstring {
    fn first(&self, rest: &[u8], limit: u128) -> First {
        let digits: Vec<u8> = rest
            .iter()
            .copied()
            .take_while(u8::is_ascii_digit)
            .collect();
        if digits.is_empty() || (digits[0] == b'0' && digits.len() > 1) {
            return Refused(MALFORMED);
        }
        let digits = String::from_utf8(digits).expect("ASCII");
        let length = digits.parse().unwrap_or(u128::MAX);
        if length > limit {
            return too_long(limit);
        }
        match rest.get(digits.len()) {
            None => return Cut,
            Some(b':') => {}
            Some(_) => return Refused(MALFORMED),
        }
        match announced(rest, digits.len() + 1, length, 1, limit) {
            Frame(_, used) if rest[used - 1] != b',' => Refused(MALFORMED),
            first => first,
        }
    }

    fn written(&self, message: &[u8]) -> Result<Vec<u8>, FrameError> {
        let header = format!("{}:", message.len());
        Ok([header.as_bytes(), message, b","].concat())
    }
}

#[derive(Debug)]
pub(crate) struct NaiveFixedSize {
    pub(crate) size: usize,
    pub(crate) unfinished: Unfinished,
}

impl Naive for NaiveFixedSize {
    fn first(&self, rest: &[u8], _: u128) -> First {
        let whole = rest.get(..self.size);
        whole.map_or(Cut, |whole| frame(whole, self.size))
    }

    fn unfinished(&self) -> Unfinished {
        self.unfinished
    }

    fn written(&self, message: &[u8]) -> Result<Vec<u8>, FrameError> {
        if message.len() == self.size {
            return Ok(message.to_vec());
        }
        Err(FrameError::WrongSize {
            expected: self.size,
            actual: message.len(),
        })
    }
}

#[derive(Debug)]
pub(crate) struct NaiveCobs;

impl Naive for NaiveCobs {
    fn first(&self, rest: &[u8], limit: u128) -> First {
        let encoded_max = limit.saturating_add(limit / 254 + 1);
        let mark = rest.iter().position(|&byte| byte == 0);
        if mark.unwrap_or(rest.len()) as u128 > encoded_max {
            return too_long(limit);
        }
        let Some(mark) = mark else {
            return Cut;
        };
        let mut decoded = Vec::new();
        let mut at = 0;
        loop {
            let next = at + usize::from(rest[at]);
            if next == at || next > mark {
                return Refused(MALFORMED);
            }
            decoded.extend(&rest[at + 1..next]);
            if next == mark {
                break;
            }
            if next - at < 255 {
                decoded.push(0);
            }
            at = next;
        }
        within(limit, decoded.len(), || Frame(decoded, mark + 1))
    }

    fn written(&self, message: &[u8]) -> Result<Vec<u8>, FrameError> {
        let mut wire = Vec::new();
        let mut parts = message.split(|&byte| byte == 0).peekable();
        while let Some(between_zeros) = parts.next() {
            // Between full blocks there is no zero; an empty block ends what is empty, or ends with a zero.
            let mut blocks = between_zeros.chunks(254).collect::<Vec<_>>();
            let last_is_full = blocks.last().is_some_and(|block| block.len() == 254);
            let zero_follows = parts.peek().is_some();
            if blocks.is_empty() || (last_is_full && zero_follows) {
                blocks.push(b"");
            }
            for block in blocks {
                wire.push(block.len() as u8 + 1);
                wire.extend(block);
            }
        }
        wire.push(0);
        Ok(wire)
    }
}
