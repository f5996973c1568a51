//! The kinds of encoding, and the two functions that each kind is: both without state, so that only the
//! decoder has to think of cuts.

use super::encoding::Encoding;
use super::{multi_byte, single_byte, unicode};

/// What an encoding is, as the registry says it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Utf8,
    Utf8Mark,
    Utf16(Order),
    Utf16Mark,
    Utf32(Order),
    Utf32Mark,
    Ascii,
    /// A page of 256 characters that `encoding_rs` has as it should be.
    Page(&'static encoding_rs::Encoding),
    /// A page of Windows, where `encoding_rs` has control characters for undefined bytes.
    WithoutControls(&'static encoding_rs::Encoding),
    /// A page of ISO-8859: the page of Windows with control characters in place of all of 80–9F.
    WithControls(&'static encoding_rs::Encoding),
    Koi8U,
    Ebcdic(&'static [u8; 256]),
    MultiByte(&'static encoding_rs::Encoding),
}

/// Which byte of a unit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// What a decoding function did with its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// Bytes that became text.
    pub(super) used: usize,
    /// How many bytes behind them are malformed. When none are, what is behind them is the beginning of
    /// a character, or nothing.
    pub(super) malformed: usize,
}

impl Scan {
    /// Everything became text that can, up to byte `used`.
    pub(super) fn well_formed(used: usize) -> Self {
        Self { used, malformed: 0 }
    }
}

/// How an encoding reads and writes once its mark is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scheme {
    Utf8,
    Utf16(Order),
    Utf32(Order),
    SingleByte(&'static single_byte::Table),
    MultiByte(&'static multi_byte::Table),
}

impl Kind {
    /// Whether the bytes of ASCII text are that text, and bytes below 0x80 are nothing else when all are.
    pub(super) fn extends_ascii(self) -> bool {
        match self {
            Self::Utf8
            | Self::Ascii
            | Self::Page(_)
            | Self::WithoutControls(_)
            | Self::WithControls(_)
            | Self::Koi8U
            | Self::MultiByte(_) => true,
            Self::Utf8Mark
            | Self::Utf16(_)
            | Self::Utf16Mark
            | Self::Utf32(_)
            | Self::Utf32Mark
            | Self::Ebcdic(_) => false,
        }
    }
}

impl Scheme {
    /// How `encoding` is written, its mark left aside.
    pub(super) fn written(encoding: Encoding) -> Self {
        match encoding.kind() {
            Kind::Utf8 | Kind::Utf8Mark => Self::Utf8,
            Kind::Utf16(order) => Self::Utf16(order),
            Kind::Utf16Mark => Self::Utf16(Order::Little),
            Kind::Utf32(order) => Self::Utf32(order),
            Kind::Utf32Mark => Self::Utf32(Order::Little),
            Kind::MultiByte(web) => Self::MultiByte(multi_byte::table(encoding, web)),
            kind => Self::SingleByte(single_byte::table(encoding, kind)),
        }
    }

    /// How `encoding` is read. `None` when a mark at the beginning of the stream decides.
    pub(super) fn read(encoding: Encoding) -> Option<Self> {
        match encoding.kind() {
            Kind::Utf8Mark | Kind::Utf16Mark | Kind::Utf32Mark => None,
            _ => Some(Self::written(encoding)),
        }
    }

    /// What the mark at the beginning of a stream decides, and its length. `None` while too few bytes are
    /// there to tell and more may come.
    pub(super) fn by_mark(
        encoding: Encoding,
        beginning: &[u8],
        last: bool,
    ) -> Option<(Self, usize)> {
        let marks: &[(&[u8], Self)] = match encoding.kind() {
            Kind::Utf8Mark => &[(b"\xef\xbb\xbf", Self::Utf8)],
            Kind::Utf16Mark => &[
                (b"\xff\xfe", Self::Utf16(Order::Little)),
                (b"\xfe\xff", Self::Utf16(Order::Big)),
            ],
            Kind::Utf32Mark => &[
                (b"\xff\xfe\0\0", Self::Utf32(Order::Little)),
                (b"\0\0\xfe\xff", Self::Utf32(Order::Big)),
            ],
            _ => &[],
        };
        for &(mark, scheme) in marks {
            if beginning.starts_with(mark) {
                return Some((scheme, mark.len()));
            }
            if mark.starts_with(beginning) && !last {
                return None;
            }
        }
        Some((Self::written(encoding), 0))
    }

    /// What is written at the beginning of a stream.
    pub(super) fn mark(encoding: Encoding) -> &'static [u8] {
        match encoding.kind() {
            Kind::Utf8Mark => b"\xef\xbb\xbf",
            Kind::Utf16Mark => b"\xff\xfe",
            Kind::Utf32Mark => b"\xff\xfe\0\0",
            _ => b"",
        }
    }

    /// Appends the text of `bytes` to `output`, up to the first malformed sequence or the beginning of a
    /// character at the end.
    pub(super) fn decode(self, bytes: &[u8], output: &mut String) -> Scan {
        match self {
            Self::Utf8 => unicode::decode_utf8(bytes, output),
            Self::Utf16(order) => unicode::decode_utf16(order, bytes, output),
            Self::Utf32(order) => unicode::decode_utf32(order, bytes, output),
            Self::SingleByte(table) => table.decode(bytes, output),
            Self::MultiByte(table) => table.decode(bytes, output),
        }
    }

    /// Appends the bytes of `text` to `output`, up to the first character that cannot be written; says
    /// where in `text` that one is, and which.
    pub(super) fn encode(self, text: &str, output: &mut Vec<u8>) -> Option<(usize, char)> {
        match self {
            Self::Utf8 => output.extend_from_slice(text.as_bytes()),
            Self::Utf16(order) => unicode::encode_utf16(order, text, output),
            Self::Utf32(order) => unicode::encode_utf32(order, text, output),
            Self::SingleByte(table) => return table.encode(text, output),
            Self::MultiByte(table) => return table.encode(text, output),
        }
        None
    }
}
