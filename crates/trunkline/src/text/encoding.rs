//! The registry: every encoding with its names, in one table.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::name::{UnknownName, fold, nearest};
use super::scheme::{Kind, Order};
use super::unicode::{check_utf8, cut_bytes};
use super::{DecodePolicy, Decoder, EncodePolicy, Encoder, TextError};

/// Writes the enumeration, the list of all and the table from one list, so that none can be forgotten.
macro_rules! encodings {
    ($($(#[$documentation:meta])* $variant:ident, $name:literal, [$($alias:literal),*], $kind:expr;)*) => {
        /// A character encoding: how text is written as bytes.
        ///
        /// Encodings are named, never guessed. [`from_name`](Self::from_name) knows the names people write.
        ///
        /// ```
        /// use trunkline::text::{DecodePolicy, Encoding};
        ///
        /// let encoding = Encoding::from_name("latin1")?;
        /// assert_eq!(encoding, Encoding::Iso8859_1);
        /// assert_eq!(encoding.decode(b"caf\xe9", DecodePolicy::Strict)?, "café");
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Encoding {
            $($(#[$documentation])* $variant,)*
        }

        const ALL: &[Encoding] = &[$(Encoding::$variant),*];

        /// How many there are.
        pub(super) const COUNT: usize = ALL.len();

        const TABLE: &[Entry] = &[
            $(Entry { name: $name, aliases: &[$($alias),*], kind: $kind }),*
        ];
    };
}

struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    kind: Kind,
}

encodings! {
    /// UTF-8. A byte order mark is kept as the character U+FEFF.
    Utf8, "UTF-8", ["u8", "cp65001"], Kind::Utf8;
    /// UTF-8 behind a byte order mark, as some editors on Windows write it. Read with or without the mark,
    /// written with it.
    Utf8Mark, "UTF-8-SIG", ["utf-8-bom"], Kind::Utf8Mark;
    /// UTF-16 behind a byte order mark. Read in the order the mark says, little-endian when there is none;
    /// written as a little-endian mark and little-endian text.
    Utf16, "UTF-16", ["u16"], Kind::Utf16Mark;
    /// UTF-16, the less significant byte first, no mark.
    Utf16Le, "UTF-16LE", ["cp1200"], Kind::Utf16(Order::Little);
    /// UTF-16, the more significant byte first, no mark.
    Utf16Be, "UTF-16BE", ["cp1201"], Kind::Utf16(Order::Big);
    /// UTF-32 behind a byte order mark. Read in the order the mark says, little-endian when there is none;
    /// written as a little-endian mark and little-endian text.
    Utf32, "UTF-32", ["u32"], Kind::Utf32Mark;
    /// UTF-32, the least significant byte first, no mark.
    Utf32Le, "UTF-32LE", [], Kind::Utf32(Order::Little);
    /// UTF-32, the most significant byte first, no mark.
    Utf32Be, "UTF-32BE", [], Kind::Utf32(Order::Big);
    /// ASCII: seven bits. A byte above 0x7F is malformed.
    Ascii, "ASCII", ["us-ascii", "ansi_x3.4-1968", "iso646-us", "646", "cp367", "ibm367"], Kind::Ascii;
    /// ISO-8859-1, western Europe: each byte is the character of the same number. This is the standard, not
    /// the web's name for windows-1252.
    Iso8859_1, "ISO-8859-1", ["latin1", "l1", "8859-1", "cp819", "ibm819"],
        Kind::WithControls(encoding_rs::WINDOWS_1252);
    /// ISO-8859-2, central Europe.
    Iso8859_2, "ISO-8859-2", ["latin2", "l2", "8859-2"], Kind::Page(encoding_rs::ISO_8859_2);
    /// ISO-8859-3, southern Europe.
    Iso8859_3, "ISO-8859-3", ["latin3", "l3", "8859-3"], Kind::Page(encoding_rs::ISO_8859_3);
    /// ISO-8859-4, northern Europe.
    Iso8859_4, "ISO-8859-4", ["latin4", "l4", "8859-4"], Kind::Page(encoding_rs::ISO_8859_4);
    /// ISO-8859-5, Cyrillic.
    Iso8859_5, "ISO-8859-5", ["cyrillic", "8859-5"], Kind::Page(encoding_rs::ISO_8859_5);
    /// ISO-8859-6, Arabic.
    Iso8859_6, "ISO-8859-6", ["arabic", "8859-6", "asmo-708"], Kind::Page(encoding_rs::ISO_8859_6);
    /// ISO-8859-7, Greek, the edition of 2003.
    Iso8859_7, "ISO-8859-7", ["greek", "greek8", "8859-7"], Kind::Page(encoding_rs::ISO_8859_7);
    /// ISO-8859-8, Hebrew, in logical order.
    Iso8859_8, "ISO-8859-8", ["hebrew", "8859-8", "iso-8859-8-i"], Kind::Page(encoding_rs::ISO_8859_8);
    /// ISO-8859-9, Turkish. The standard, not the web's name for windows-1254.
    Iso8859_9, "ISO-8859-9", ["latin5", "l5", "8859-9"],
        Kind::WithControls(encoding_rs::WINDOWS_1254);
    /// ISO-8859-10, the Nordic languages.
    Iso8859_10, "ISO-8859-10", ["latin6", "l6", "8859-10"], Kind::Page(encoding_rs::ISO_8859_10);
    /// ISO-8859-11, Thai. The standard, not the web's name for windows-874.
    Iso8859_11, "ISO-8859-11", ["thai", "8859-11", "tis-620"], Kind::WithControls(encoding_rs::WINDOWS_874);
    /// ISO-8859-13, the Baltic languages.
    Iso8859_13, "ISO-8859-13", ["latin7", "l7", "8859-13"], Kind::Page(encoding_rs::ISO_8859_13);
    /// ISO-8859-14, the Celtic languages.
    Iso8859_14, "ISO-8859-14", ["latin8", "l8", "8859-14"], Kind::Page(encoding_rs::ISO_8859_14);
    /// ISO-8859-15, western Europe with the euro sign.
    Iso8859_15, "ISO-8859-15", ["latin9", "l9", "8859-15"], Kind::Page(encoding_rs::ISO_8859_15);
    /// ISO-8859-16, south-eastern Europe.
    Iso8859_16, "ISO-8859-16", ["latin10", "l10", "8859-16"], Kind::Page(encoding_rs::ISO_8859_16);
    /// windows-874, Thai.
    Windows874, "windows-874", ["cp874", "win874", "874"], Kind::WithoutControls(encoding_rs::WINDOWS_874);
    /// windows-1250, central Europe.
    Windows1250, "windows-1250", ["cp1250", "win1250", "1250"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1250);
    /// windows-1251, Cyrillic.
    Windows1251, "windows-1251", ["cp1251", "win1251", "1251"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1251);
    /// windows-1252, western Europe. Its five undefined bytes are malformed.
    Windows1252, "windows-1252", ["cp1252", "win1252", "1252"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1252);
    /// windows-1253, Greek.
    Windows1253, "windows-1253", ["cp1253", "win1253", "1253"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1253);
    /// windows-1254, Turkish.
    Windows1254, "windows-1254", ["cp1254", "win1254", "1254"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1254);
    /// windows-1255, Hebrew.
    Windows1255, "windows-1255", ["cp1255", "win1255", "1255"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1255);
    /// windows-1256, Arabic.
    Windows1256, "windows-1256", ["cp1256", "win1256", "1256"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1256);
    /// windows-1257, the Baltic languages.
    Windows1257, "windows-1257", ["cp1257", "win1257", "1257"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1257);
    /// windows-1258, Vietnamese.
    Windows1258, "windows-1258", ["cp1258", "win1258", "1258"],
        Kind::WithoutControls(encoding_rs::WINDOWS_1258);
    /// KOI8-R, Russian.
    Koi8R, "KOI8-R", ["koi8", "cp20866"], Kind::Page(encoding_rs::KOI8_R);
    /// KOI8-U, Ukrainian, as RFC 2319 defines it.
    Koi8U, "KOI8-U", ["cp21866"], Kind::Koi8U;
    /// IBM866, the Cyrillic page of DOS.
    Ibm866, "IBM866", ["cp866", "866"], Kind::Page(encoding_rs::IBM866);
    /// IBM037, EBCDIC of the United States and Canada.
    Ibm037, "IBM037", ["cp037", "cp37", "ibm37", "037", "ebcdic-cp-us", "ebcdic-us"],
        Kind::Ebcdic(&super::ebcdic::PAGE_037);
    /// IBM500, international EBCDIC.
    Ibm500, "IBM500", ["cp500", "500", "ebcdic-cp-be", "ebcdic-cp-ch", "ebcdic-international"],
        Kind::Ebcdic(&super::ebcdic::PAGE_500);
    /// `Shift_JIS`, Japanese, as Windows writes it (code page 932): what has this name nearly always is that.
    ShiftJis, "Shift_JIS", ["sjis", "x-sjis", "cp932", "ms932", "mskanji", "windows-31j", "932"],
        Kind::MultiByte(encoding_rs::SHIFT_JIS);
    /// EUC-JP, Japanese, with the extensions of Windows and with JIS X 0212.
    EucJp, "EUC-JP", ["ujis", "x-euc-jp", "cp51932"], Kind::MultiByte(encoding_rs::EUC_JP);
    /// EUC-KR, Korean, with the syllables that Windows adds (code page 949).
    EucKr, "EUC-KR", ["cp949", "ms949", "windows-949", "uhc", "949", "ksc5601", "ks_c_5601-1987"],
        Kind::MultiByte(encoding_rs::EUC_KR);
    /// GBK, simplified Chinese (code page 936). Read as its successor GB18030, four-byte characters included;
    /// written in at most two bytes a character.
    Gbk, "GBK", ["cp936", "ms936", "windows-936", "936", "gb2312", "euc-cn", "x-gbk"],
        Kind::MultiByte(encoding_rs::GBK);
    /// GB18030, Chinese: every character of Unicode save 19 private ones. The edition of 2022.
    Gb18030, "GB18030", ["gb18030-2022", "cp54936"], Kind::MultiByte(encoding_rs::GB18030);
    /// Big5, traditional Chinese, with Hong Kong's supplement.
    Big5, "Big5", ["big5-hkscs", "cn-big5"], Kind::MultiByte(encoding_rs::BIG5);
}

impl Encoding {
    /// The encoding that `name` means: its own name or an alias. Case, spaces, hyphens, underscores and
    /// dots do not matter.
    ///
    /// ```
    /// use trunkline::text::Encoding;
    ///
    /// for name in ["UTF-8", "utf8", "Utf_8", "utf 8"] {
    ///     assert_eq!(Encoding::from_name(name)?, Encoding::Utf8);
    /// }
    /// assert_eq!(Encoding::from_name("cp1252")?, Encoding::Windows1252);
    ///
    /// let error = Encoding::from_name("latn1").unwrap_err();
    /// assert_eq!(error.nearest(), Some("latin1"));
    /// # Ok::<(), trunkline::text::UnknownName>(())
    /// ```
    ///
    /// # Errors
    /// When no encoding has that name; the error suggests the nearest one.
    pub fn from_name(name: &str) -> Result<Self, UnknownName> {
        let wanted = fold(name);
        Self::all()
            .find(|encoding| encoding.names().any(|known| fold(known) == wanted))
            .ok_or_else(|| {
                let known = Self::all().flat_map(Self::names);
                UnknownName::encoding(name, nearest(name, known))
            })
    }

    /// The name it is known by.
    ///
    /// ```
    /// use trunkline::text::Encoding;
    ///
    /// assert_eq!(Encoding::ShiftJis.name(), "Shift_JIS");
    /// ```
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Other names that [`from_name`](Self::from_name) knows. No two of its names differ only in what does
    /// not matter: with `UTF-8` there, `utf8` need not be.
    ///
    /// ```
    /// use trunkline::text::Encoding;
    ///
    /// assert!(Encoding::Iso8859_1.aliases().contains(&"latin1"));
    /// ```
    pub fn aliases(self) -> &'static [&'static str] {
        self.entry().aliases
    }

    /// All encodings.
    ///
    /// ```
    /// use trunkline::text::Encoding;
    ///
    /// assert!(Encoding::all().any(|encoding| encoding.name() == "IBM037"));
    /// ```
    pub fn all() -> impl ExactSizeIterator<Item = Self> + Clone {
        ALL.iter().copied()
    }

    /// A decoder for one stream of bytes.
    ///
    /// ```
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let mut decoder = Encoding::Utf8.decoder(DecodePolicy::Strict);
    /// let mut text = String::new();
    /// decoder.decode(b"\xf0\x9f", &mut text, false)?;
    /// decoder.decode(b"\x9a\x82", &mut text, true)?;
    /// assert_eq!(text, "🚂");
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    pub fn decoder(self, policy: DecodePolicy) -> Decoder {
        Decoder::new(self, policy)
    }

    /// An encoder for one stream of text.
    ///
    /// ```
    /// use trunkline::text::{EncodePolicy, Encoding};
    ///
    /// let mut encoder = Encoding::Utf16.encoder(EncodePolicy::Strict);
    /// let mut bytes = Vec::new();
    /// encoder.encode("a", &mut bytes)?;
    /// encoder.encode("b", &mut bytes)?;
    /// // The mark stands once, in front.
    /// assert_eq!(bytes, b"\xff\xfea\0b\0");
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    pub fn encoder(self, policy: EncodePolicy) -> Encoder {
        Encoder::new(self, policy)
    }

    /// Decodes `bytes` as a whole, without a copy where the bytes are the text already.
    ///
    /// ```
    /// use std::borrow::Cow;
    /// use trunkline::text::{DecodePolicy, Encoding};
    ///
    /// let same = Encoding::Utf8.decode("naïve".as_bytes(), DecodePolicy::Strict)?;
    /// assert!(matches!(same, Cow::Borrowed("naïve")));
    ///
    /// let other = Encoding::Ascii.decode("naïve".as_bytes(), DecodePolicy::Ignore)?;
    /// assert_eq!(other, "nave");
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    ///
    /// # Errors
    /// Malformed bytes under [`DecodePolicy::Strict`].
    pub fn decode(self, bytes: &[u8], policy: DecodePolicy) -> Result<Cow<'_, str>, TextError> {
        if let Some(text) = self.as_text(bytes) {
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::new();
        self.decoder(policy).decode(bytes, &mut text, true)?;
        Ok(Cow::Owned(text))
    }

    /// Encodes `text` as a whole, without a copy where the text is the bytes already.
    ///
    /// ```
    /// use trunkline::text::{EncodePolicy, Encoding};
    ///
    /// let bytes = Encoding::Iso8859_1.encode("naïve €5", EncodePolicy::XmlCharRefReplace)?;
    /// assert_eq!(*bytes, *b"na\xefve &#8364;5");
    /// # Ok::<(), trunkline::text::TextError>(())
    /// ```
    ///
    /// # Errors
    /// A character that the encoding lacks, under [`EncodePolicy::Strict`].
    pub fn encode(self, text: &str, policy: EncodePolicy) -> Result<Cow<'_, [u8]>, TextError> {
        if let Some(bytes) = self.as_bytes(text) {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut bytes = Vec::new();
        self.encoder(policy).encode(text, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// `bytes` as text, where every byte is what it would be in UTF-8.
    #[inline]
    pub(crate) fn as_text(self, bytes: &[u8]) -> Option<&str> {
        let same = match self {
            Self::Utf8 => true,
            _ => self.kind().extends_ascii() && bytes.is_ascii(),
        };
        if same { check_utf8(bytes) } else { None }
    }

    /// The text at the front of `bytes`, all but a character that their end cuts, where every byte is what it
    /// would be in UTF-8.
    #[inline]
    pub(crate) fn text_in_front(self, bytes: &[u8]) -> Option<&str> {
        let cut = match self {
            Self::Utf8 => cut_bytes(bytes),
            _ => 0,
        };
        self.as_text(&bytes[..bytes.len() - cut])
    }

    /// `text` as bytes, where every byte is what it is in UTF-8.
    pub(crate) fn as_bytes(self, text: &str) -> Option<&[u8]> {
        let same = match self {
            Self::Utf8 => true,
            _ => self.kind().extends_ascii() && text.is_ascii(),
        };
        same.then_some(text.as_bytes())
    }

    pub(super) fn kind(self) -> Kind {
        self.entry().kind
    }

    fn entry(self) -> &'static Entry {
        &TABLE[self as usize]
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name()).chain(self.aliases().iter().copied())
    }
}

impl FromStr for Encoding {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::from_name(name)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
