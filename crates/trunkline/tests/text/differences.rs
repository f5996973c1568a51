//! In what the encodings here and Python's codecs are not the same, on purpose.

use trunkline::text::Encoding;

/// How an encoding differs from Python's codec on purpose.
pub(crate) struct Difference {
    pub(crate) encoding: Encoding,
    /// Python's codecs to read and to write with, the nearest there are.
    pub(crate) reads: &'static str,
    pub(crate) writes: &'static str,
    /// Streams without one of these in front are not compared.
    pub(crate) marks: &'static [&'static [u8]],
    /// What only we read: these bytes, or these with one more.
    pub(crate) wider: &'static [&'static [u8]],
    /// What is not compared: Python reads something else here, and goes on elsewhere.
    pub(crate) apart: &'static [&'static [u8]],
    /// The same bytes, another character: Python's, then ours.
    pub(crate) other: &'static [(char, char)],
    /// Whether characters that Python cannot write are no surprise.
    pub(crate) writes_more: bool,
    /// Characters that Python writes and we do not, as others are read from those bytes.
    pub(crate) unwritten: &'static str,
    /// Characters with two codes: ours begins with one of these bytes, and Python prefers the other.
    pub(crate) second_code: &'static [u8],
}

/// None.
pub(crate) const SAME: Difference = Difference {
    encoding: Encoding::Utf8,
    reads: "",
    writes: "",
    marks: &[],
    wider: &[],
    apart: &[],
    other: &[],
    writes_more: false,
    unwritten: "",
    second_code: &[],
};

/// The deliberate differences. The documentation of `trunkline::text` has the same in words.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        encoding: Encoding::Utf8Mark,
        reads: "utf-8-sig",
        writes: "utf-8-sig",
        ..SAME
    },
    // Without a mark little-endian. Python says so of a whole text (on a little-endian machine), but its
    // incremental decoders demand the mark.
    Difference {
        encoding: Encoding::Utf16,
        marks: &[b"\xff\xfe", b"\xfe\xff"],
        ..SAME
    },
    Difference {
        encoding: Encoding::Utf32,
        marks: &[b"\xff\xfe\0\0", b"\0\0\xfe\xff"],
        ..SAME
    },
    // Windows has one more point than the table of the Unicode Consortium.
    Difference {
        encoding: Encoding::Windows1255,
        wider: &[b"\xca"],
        writes_more: true,
        ..SAME
    },
    Difference {
        encoding: Encoding::Windows874,
        reads: "cp874",
        writes: "cp874",
        ..SAME
    },
    // Code page 932. Python reads four stray bytes as private characters, writes both the JIS and the
    // Windows form of six signs, and prefers NEC's code where IBM has one too.
    Difference {
        encoding: Encoding::ShiftJis,
        reads: "cp932",
        writes: "cp932",
        apart: &[b"\xa0", b"\xfd", b"\xfe", b"\xff"],
        unwritten: "\u{a2}\u{a3}\u{ac}\u{2016}\u{2212}\u{301c}\u{f8f0}\u{f8f1}\u{f8f2}\u{f8f3}",
        second_code: &[0xFA, 0xFB, 0xFC],
        ..SAME
    },
    // The rows of NEC (AD) and IBM (F9 and on), and the characters of Windows for seven signs.
    Difference {
        encoding: Encoding::EucJp,
        reads: "euc_jp",
        writes: "euc_jp",
        wider: &[b"\xad", b"\xf9", b"\xfa", b"\xfb", b"\xfc"],
        apart: &[b"\x8f\xa2\xb7"],
        other: &[
            ('\u{301c}', '\u{ff5e}'),
            ('\u{2016}', '\u{2225}'),
            ('\u{2212}', '\u{ff0d}'),
            ('\u{a2}', '\u{ffe0}'),
            ('\u{a3}', '\u{ffe1}'),
            ('\u{ac}', '\u{ffe2}'),
        ],
        writes_more: true,
        unwritten: "\u{a2}\u{a3}\u{a5}\u{ac}\u{2016}\u{203e}\u{2212}\u{301c}",
        second_code: &[0xAD, 0xF9, 0xFA, 0xFB, 0xFC],
        ..SAME
    },
    // Code page 949, of which Python has the same idea under that name.
    Difference {
        encoding: Encoding::EucKr,
        reads: "cp949",
        writes: "cp949",
        ..SAME
    },
    // Read as GB18030; written with the euro sign and the pairs that GB18030 added.
    Difference {
        encoding: Encoding::Gbk,
        writes: "gbk",
        writes_more: true,
        unwritten: "",
        ..CHINESE
    },
    Difference {
        encoding: Encoding::Gb18030,
        ..CHINESE
    },
    // Hong Kong's supplement in the edition of 2008 instead of 2004, and eleven signs.
    Difference {
        encoding: Encoding::Big5,
        reads: "big5hkscs",
        writes: "big5hkscs",
        apart: &[b"\xa2\x41", b"\xa2\x42"],
        wider: &[
            b"\x87", b"\x8e", b"\x8f", b"\x90", b"\x91", b"\x92", b"\x94", b"\x95", b"\x96",
            b"\x9b", b"\x9c", b"\x9d", b"\x9e", b"\x9f", b"\xa0", b"\xa3", b"\xc6", b"\xfa",
            b"\xfb", b"\xfc", b"\xfd", b"\xfe",
        ],
        other: &[
            ('\u{2022}', '\u{2027}'),
            ('\u{ff64}', '\u{fe51}'),
            ('\u{203e}', '\u{af}'),
            ('\u{223c}', '\u{ff5e}'),
            ('\u{2641}', '\u{2295}'),
            ('\u{2609}', '\u{2299}'),
            ('\u{a5}', '\u{ffe5}'),
            ('\u{a2}', '\u{ffe0}'),
            ('\u{a3}', '\u{ffe1}'),
        ],
        writes_more: true,
        unwritten: "\u{a2}\u{a3}\u{a5}\u{2022}\u{203e}\u{223c}\u{2609}\u{2641}\u{ff64}",
        second_code: &[0xA1, 0xA2],
        ..SAME
    },
];

/// The edition of 2022; Python's is that of 2000. Byte 80 is the euro sign.
const CHINESE: Difference = Difference {
    reads: "gb18030",
    writes: "gb18030",
    wider: &[b"\x80"],
    other: &[
        ('\u{e5e5}', '\u{3000}'),
        ('\u{e78d}', '\u{fe10}'),
        ('\u{e78e}', '\u{fe12}'),
        ('\u{e78f}', '\u{fe11}'),
        ('\u{e790}', '\u{fe13}'),
        ('\u{e791}', '\u{fe14}'),
        ('\u{e792}', '\u{fe15}'),
        ('\u{e793}', '\u{fe16}'),
        ('\u{e794}', '\u{fe17}'),
        ('\u{e795}', '\u{fe18}'),
        ('\u{e796}', '\u{fe19}'),
        ('\u{e7c7}', '\u{1e3f}'),
        ('\u{1e3f}', '\u{e7c7}'),
        ('\u{e81e}', '\u{9fb4}'),
        ('\u{e826}', '\u{9fb5}'),
        ('\u{e82b}', '\u{9fb6}'),
        ('\u{e82c}', '\u{9fb7}'),
        ('\u{e832}', '\u{9fb8}'),
        ('\u{e843}', '\u{9fb9}'),
        ('\u{e854}', '\u{9fba}'),
        ('\u{e864}', '\u{9fbb}'),
    ],
    unwritten: "\u{e5e5}\u{e78d}\u{e78e}\u{e78f}\u{e790}\u{e791}\u{e792}\u{e793}\u{e794}\u{e795}\u{e796}\
                \u{e81e}\u{e826}\u{e82b}\u{e82c}\u{e832}\u{e843}\u{e854}\u{e864}",
    ..SAME
};
