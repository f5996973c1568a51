//! What to do with bytes that are no text, and with characters that an encoding lacks.

use std::fmt;
use std::str::FromStr;

use super::name::{UnknownName, fold};

/// What a [`Decoder`](super::Decoder) does with malformed bytes.
///
/// ```
/// use trunkline::text::{DecodePolicy, Encoding};
///
/// let bytes = b"one\xfftwo";
/// let decoded = |policy| Encoding::Utf8.decode(bytes, policy);
/// assert!(decoded(DecodePolicy::Strict).is_err());
/// assert_eq!(decoded(DecodePolicy::Replace)?, "one\u{fffd}two");
/// assert_eq!(decoded(DecodePolicy::Ignore)?, "onetwo");
/// assert_eq!(decoded(DecodePolicy::BackslashReplace)?, "one\\xfftwo");
///
/// // From the command line, by name:
/// assert_eq!("ignore".parse(), Ok(DecodePolicy::Ignore));
/// # Ok::<(), trunkline::text::TextError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DecodePolicy {
    /// `strict`: they are an error.
    #[default]
    Strict,
    /// `replace`: each malformed sequence becomes U+FFFD, the replacement character.
    Replace,
    /// `ignore`: they are left out. Text that was told apart by them is no longer: not for anything that
    /// security rests on.
    Ignore,
    /// `backslashreplace`: each malformed byte becomes `\x` and two hexadecimal digits.
    BackslashReplace,
}

/// What an [`Encoder`](super::Encoder) does with a character that the encoding lacks.
///
/// ```
/// use trunkline::text::{EncodePolicy, Encoding};
///
/// let encoded = |policy| Encoding::Ascii.encode("5 €", policy);
/// assert!(encoded(EncodePolicy::Strict).is_err());
/// assert_eq!(*encoded(EncodePolicy::Replace)?, *b"5 ?");
/// assert_eq!(*encoded(EncodePolicy::Ignore)?, *b"5 ");
/// assert_eq!(*encoded(EncodePolicy::BackslashReplace)?, *b"5 \\u20ac");
/// assert_eq!(*encoded(EncodePolicy::XmlCharRefReplace)?, *b"5 &#8364;");
///
/// // From the command line, by name:
/// assert_eq!("xmlcharrefreplace".parse(), Ok(EncodePolicy::XmlCharRefReplace));
/// # Ok::<(), trunkline::text::TextError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum EncodePolicy {
    /// `strict`: it is an error.
    #[default]
    Strict,
    /// `replace`: it becomes a question mark.
    Replace,
    /// `ignore`: it is left out.
    Ignore,
    /// `backslashreplace`: it becomes `\xNN`, `\uNNNN` or `\UNNNNNNNN`, its number in hexadecimal.
    BackslashReplace,
    /// `xmlcharrefreplace`: it becomes `&#N;`, its number in decimal.
    XmlCharRefReplace,
}

const DECODE_NAMES: &[&str] = &["strict", "replace", "ignore", "backslashreplace"];
const DECODE_POLICIES: [DecodePolicy; 4] = [
    DecodePolicy::Strict,
    DecodePolicy::Replace,
    DecodePolicy::Ignore,
    DecodePolicy::BackslashReplace,
];

const ENCODE_NAMES: &[&str] = &[
    "strict",
    "replace",
    "ignore",
    "backslashreplace",
    "xmlcharrefreplace",
];
const ENCODE_POLICIES: [EncodePolicy; 5] = [
    EncodePolicy::Strict,
    EncodePolicy::Replace,
    EncodePolicy::Ignore,
    EncodePolicy::BackslashReplace,
    EncodePolicy::XmlCharRefReplace,
];

impl DecodePolicy {
    /// All of them.
    ///
    /// ```
    /// use trunkline::text::DecodePolicy;
    ///
    /// assert_eq!(DecodePolicy::all().map(|policy| policy.name()).last(), Some("backslashreplace"));
    /// ```
    pub fn all() -> impl ExactSizeIterator<Item = Self> + Clone {
        DECODE_POLICIES.into_iter()
    }

    /// Its name on the command line.
    ///
    /// ```
    /// assert_eq!(trunkline::text::DecodePolicy::Replace.name(), "replace");
    /// ```
    pub fn name(self) -> &'static str {
        DECODE_NAMES[self as usize]
    }
}

impl EncodePolicy {
    /// All of them.
    ///
    /// ```
    /// use trunkline::text::EncodePolicy;
    ///
    /// assert_eq!(EncodePolicy::all().map(|policy| policy.name()).last(), Some("xmlcharrefreplace"));
    /// ```
    pub fn all() -> impl ExactSizeIterator<Item = Self> + Clone {
        ENCODE_POLICIES.into_iter()
    }

    /// Its name on the command line.
    ///
    /// ```
    /// assert_eq!(trunkline::text::EncodePolicy::XmlCharRefReplace.name(), "xmlcharrefreplace");
    /// ```
    pub fn name(self) -> &'static str {
        ENCODE_NAMES[self as usize]
    }
}

/// The names of the policies that let malformed bytes pass.
pub(super) fn lenient_decoding() -> &'static [&'static str] {
    &DECODE_NAMES[1..]
}

/// The names of the policies that let a character pass that the encoding lacks.
pub(super) fn lenient_encoding() -> &'static [&'static str] {
    &ENCODE_NAMES[1..]
}

impl FromStr for DecodePolicy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::all()
            .find(|policy| policy.name() == fold(name))
            .ok_or_else(|| UnknownName::policy(name, DECODE_NAMES))
    }
}

impl FromStr for EncodePolicy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::all()
            .find(|policy| policy.name() == fold(name))
            .ok_or_else(|| UnknownName::policy(name, ENCODE_NAMES))
    }
}

impl fmt::Display for DecodePolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl fmt::Display for EncodePolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
