//! `--frame`: where a message ends, chosen when the program starts.

use trunkline::{
    ByteOrder, Chunks, Cobs, Codec, Decoded, Delimiter, FixedSize, FrameError, LengthPrefix,
    LineEnding, Lines, Netstring, Prefix, Unfinished,
};

use crate::failure::Failure;
use crate::suggest;

/// Any of the codecs for bytes.
#[derive(Debug, Clone)]
pub(crate) enum Framing {
    Chunks(Chunks),
    Lines(Lines),
    Mark(Delimiter),
    Length(LengthPrefix),
    Fixed(FixedSize),
    Netstring(Netstring),
    Cobs(Cobs),
}

/// What `--frame` takes, for help and hints.
const NAMES: [&str; 7] = [
    "none",
    "lines",
    "eom",
    "length",
    "fixed",
    "netstring",
    "cobs",
];

const FORMS: &str = "none, lines, lines:lf, lines:crlf, eom:MARK, length:u32 (or u8, u16, u24, u64, varint; then :little, \
:self), fixed:BYTES, netstring, cobs";

impl Framing {
    /// What `--frame` says, with frames of at most `limit` bytes.
    pub(crate) fn named(text: &str, limit: usize) -> Result<Self, Failure> {
        let (name, details) = match text.split_once(':') {
            Some((name, details)) => (name, Some(details)),
            None => (text, None),
        };
        let wrong = |why: &str| wrong(text, why);
        Ok(match (name, details) {
            ("none", None) => Self::Chunks(Chunks::new()),
            ("lines", details) => {
                let ending = match details {
                    None => LineEnding::Either,
                    Some("lf") => LineEnding::Lf,
                    Some("crlf") => LineEnding::CrLf,
                    Some(_) => return Err(wrong("lines end with lf or crlf")),
                };
                Self::Lines(Lines::new().accept(ending).write(ending).limit(limit))
            }
            ("eom", Some(mark)) => {
                let mark = unescaped(mark).map_err(|why| wrong(&why))?;
                if mark.is_empty() {
                    return Err(wrong("the mark is empty"));
                }
                let delimiter = Delimiter::new(mark).unfinished(Unfinished::Refuse);
                Self::Mark(delimiter.limit(limit))
            }
            ("length", Some(details)) => {
                Self::Length(length(details).map_err(|why| wrong(&why))?.limit(limit))
            }
            ("fixed", Some(bytes)) => match bytes.parse() {
                Ok(bytes @ 1..) => Self::Fixed(FixedSize::new(bytes)),
                _ => return Err(wrong("the size is a number of bytes, at least 1")),
            },
            ("netstring", None) => Self::Netstring(Netstring::new().limit(limit)),
            ("cobs", None) => Self::Cobs(Cobs::new().limit(limit)),
            ("eom", None) => return Err(wrong("the mark is missing")),
            ("length", None) => return Err(wrong("the kind of number is missing")),
            ("fixed", None) => return Err(wrong("the number of bytes is missing")),
            ("none" | "netstring" | "cobs", Some(_)) => {
                return Err(wrong("nothing may follow that name"));
            }
            _ => return Err(unknown(text, name)),
        })
    }

    /// Whether there are messages at all, or only bytes.
    pub(crate) fn has_messages(&self) -> bool {
        !matches!(self, Self::Chunks(_))
    }

    /// Whether messages end at bytes that a message's own bytes could be taken for.
    pub(crate) fn looks_for_marks(&self) -> bool {
        matches!(self, Self::Lines(_) | Self::Mark(_))
    }

    /// The most bytes that framing adds to a message, but for one in 254 of [`Cobs`].
    pub(crate) fn overhead_bytes_max(&self) -> usize {
        let mut empty = Vec::new();
        // A message of a fixed size cannot be empty, and nothing is added to it.
        match self.encode(b"", &mut empty) {
            Ok(()) => empty.len().max(22),
            Err(_) => 0,
        }
    }
}

fn wrong(text: &str, why: &str) -> Failure {
    Failure::usage(format!("bad framing {text:?}: {why}"))
        .with_hint(format!("write one of {FORMS}"))
}

fn unknown(text: &str, name: &str) -> Failure {
    let failure = Failure::usage(format!("bad framing {text:?}: there is none of that name"));
    match suggest::nearest(name, NAMES) {
        Some(nearest) => failure.with_hint(format!("did you mean {nearest:?}?")),
        None => failure.with_hint(format!("write one of {FORMS}")),
    }
}

/// `u32`, `u16:little`, `varint:self`.
fn length(details: &str) -> Result<LengthPrefix, String> {
    let mut words = details.split(':');
    let prefix = match words.next().unwrap_or_default() {
        "u8" => Prefix::U8,
        "u16" => Prefix::U16,
        "u24" => Prefix::U24,
        "u32" => Prefix::U32,
        "u64" => Prefix::U64,
        "varint" => Prefix::Varint,
        other => return Err(format!("{other:?} is no kind of number")),
    };
    let mut codec = LengthPrefix::new(prefix);
    for word in words {
        codec = match word {
            "big" => codec.order(ByteOrder::Big),
            "little" => codec.order(ByteOrder::Little),
            "self" => codec.counts_itself(true),
            other => return Err(format!("{other:?} is not big, little or self")),
        };
    }
    Ok(codec)
}

/// Bytes as they can be typed: `\n`, `\r`, `\t`, `\0`, `\\` and `\x1f` stand for one byte each.
pub(crate) fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut characters = escape.chars();
        bytes.push(match characters.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits = characters.as_str().get(..2).unwrap_or_default();
                // Not left to the number's parser alone: it would take "+1".
                let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let byte = u8::from_str_radix(digits, 16).ok().filter(|_| hexadecimal);
                characters.nth(1);
                byte.ok_or("\\x takes two hexadecimal digits, such as \\x1f")?
            }
            _ => return Err("a backslash is followed by n, r, t, 0, x or another one".to_owned()),
        });
        rest = characters.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// The same call on whichever codec it is.
macro_rules! each {
    ($framing:expr, $codec:ident => $call:expr) => {
        match $framing {
            Framing::Chunks($codec) => $call,
            Framing::Lines($codec) => $call,
            Framing::Mark($codec) => $call,
            Framing::Length($codec) => $call,
            Framing::Fixed($codec) => $call,
            Framing::Netstring($codec) => $call,
            Framing::Cobs($codec) => $call,
        }
    };
}

impl Codec for Framing {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        each!(self, codec => codec.decode(input))
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        each!(self, codec => codec.finish(input))
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        each!(self, codec => codec.encode(message, output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(framing: &str) -> Vec<u8> {
        let framing = Framing::named(framing, 100).unwrap();
        let mut output = Vec::new();
        framing.encode(b"abc", &mut output).unwrap();
        output
    }

    #[test]
    fn every_form_is_understood() {
        for (framing, bytes) in [
            ("none", &b"abc"[..]),
            ("lines", b"abc\n"),
            ("lines:lf", b"abc\n"),
            ("lines:crlf", b"abc\r\n"),
            ("eom:||", b"abc||"),
            ("eom::", b"abc:"),
            (r"eom:\r\n\t\0\\\x1f.", b"abc\r\n\t\0\\\x1f."),
            ("eom:\u{2022}", b"abc\xe2\x80\xa2"),
            ("length:u8", b"\x03abc"),
            ("length:u16", b"\0\x03abc"),
            ("length:u16:little", b"\x03\0abc"),
            ("length:u24:self", b"\0\0\x06abc"),
            ("length:u32:big", b"\0\0\0\x03abc"),
            ("length:u64:little:self", b"\x0b\0\0\0\0\0\0\0abc"),
            ("length:varint", b"\x03abc"),
            ("fixed:3", b"abc"),
            ("netstring", b"3:abc,"),
            ("cobs", b"\x04abc\0"),
        ] {
            assert_eq!(written(framing), bytes, "{framing}");
        }
    }

    #[test]
    fn what_is_no_framing_is_refused() {
        for wrong in [
            "",
            "line",
            "lines:cr",
            "eom",
            "eom:",
            r"eom:\",
            r"eom:\q",
            r"eom:\x1",
            r"eom:\x+1",
            r"eom:\x\u{e9}",
            "length",
            "length:",
            "length:u33",
            "length:u8:middle",
            "fixed",
            "fixed:0",
            "fixed:-1",
            "netstring:1",
            "none:1",
            "cobs:",
        ] {
            assert!(Framing::named(wrong, 100).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_limit_reaches_the_codec() {
        for framing in ["lines", "eom:||", "length:u32", "netstring", "cobs"] {
            let mut codec = Framing::named(framing, 5).unwrap();
            let mut long = Vec::new();
            codec.encode(b"123456", &mut long).unwrap();
            assert_eq!(
                codec.decode(&long),
                Err(FrameError::TooLong { limit: 5 }),
                "{framing}"
            );
        }
    }
}
