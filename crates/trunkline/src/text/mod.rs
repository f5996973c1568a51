//! Bytes ⇄ text, incremental, in encodings that are named and never guessed. No I/O and no clock here.
//!
//! Text inside a program is `str`. Bytes become text at the receiving edge and text becomes bytes at the
//! sending edge, and what does not fit is an error there, not a riddle later:
//!
//! ```
//! use trunkline::text::{DecodePolicy, EncodePolicy, Encoding};
//!
//! let encoding: Encoding = "cp1252".parse()?;
//! let mut decoder = encoding.decoder(DecodePolicy::Strict);
//! let mut text = String::new();
//! decoder.decode(b"5 \x80", &mut text, true)?;
//! assert_eq!(text, "5 €");
//!
//! let error = Encoding::Ascii.encode(&text, EncodePolicy::Strict).unwrap_err();
//! assert_eq!(error.character(), Some('€'));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! However a stream is cut, the outcome is the same: a [`Decoder`] keeps the beginning of a character that
//! the network has split. [`Text`](crate::codec::Text) does this for the frames of a connection.
//!
//! # What is malformed, and how much of it
//!
//! Offsets, and what the policies make of malformed bytes, are those of Python's codecs: in UTF-8 the longest
//! beginning of a character that cannot be finished is one malformed sequence; in UTF-16 a unit, in UTF-32
//! four bytes; in the other encodings one byte, and reading goes on with the next, so that no ASCII
//! character behind a stray byte is swallowed. At the end of a stream an unfinished character is one sequence.
//!
//! # The same encoding elsewhere
//!
//! The same name does not mean the same everywhere. Where the web's standard, Python and the standards
//! themselves differ, this is what is meant here:
//!
//! | Name | Here | Elsewhere |
//! |---|---|---|
//! | ASCII, ISO-8859-1, -9, -11 | the standards: seven bits; control characters at 80–9F | on the web: windows-1252, -1254, -874 |
//! | windows-… | undefined bytes are malformed, as in the Unicode Consortium's tables | on the web: control characters |
//! | windows-1255 | byte CA is the point U+05BA, as in Windows | Python: undefined |
//! | KOI8-U | RFC 2319: AE and BE are box drawing | on the web: Ў and ў of KOI8-RU |
//! | `Shift_JIS` | code page 932; A0, FD, FE and FF are malformed | Python's `shift_jis` is JIS X 0208 alone; its `cp932` reads those four bytes as private characters, and writes some rare characters in the row of NEC instead of IBM's |
//! | EUC-JP | with the rows of NEC and IBM, and 8F A2 B7 is ～ | Python reads only JIS X 0208 and 0212, 8F A2 B7 as ~ |
//! | Japanese ～ ∥ － ￠ ￡ ￢ | the characters of Windows, U+FF5E, 2225, FF0D, FFE0, FFE1, FFE2 | Python's `shift_jis` and `euc_jp`: U+301C, 2016, 2212, 00A2, 00A3, 00AC |
//! | EUC-KR | code page 949 | Python's `euc_kr` is KS X 1001 alone; its `cp949` is the same as here |
//! | GBK | byte 80 is €; four-byte characters of GB18030 are read, never written | Python's `gbk` has neither, nor the pairs that GB18030 added |
//! | GB18030 | the bytes of the edition of 2022; 19 private characters have none. Byte 80 is read as €, A3 A0 as U+3000 | Python has the edition of 2000: 20 pairs of bytes mean other characters; it judges the first two bytes of four only when all four are there |
//! | Big5 | with Hong Kong's supplement of 2008, read and written | Python's `big5` has no supplement, its `big5hkscs` that of 2004; eleven signs differ |
//! | UTF-16, UTF-32 | without a mark little-endian, on every machine | Python: the machine's order for a whole text, an error in a stream |
//! | UTF-8-SIG | a mark cut by the end of the stream is malformed | Python forgets it |
//!
//! **Strict encoding never changes a character.** The web writes ¥ as a backslash in `Shift_JIS`, and − as the
//! wider －; here a character is written only as bytes that are read as the same character again. And what was
//! read can be written, save GBK's characters of four bytes, and two letters with a mark of their own in Big5.

mod decoder;
mod ebcdic;
mod encoder;
mod encoding;
mod error;
mod multi_byte;
mod name;
mod policy;
mod scheme;
mod single_byte;
mod unicode;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use encoding::Encoding;
pub use error::TextError;
pub use name::UnknownName;
pub use policy::{DecodePolicy, EncodePolicy};
