//! Names as people write them, and the nearest to one that is unknown.

use std::error::Error;
use std::fmt;

/// A name that no encoding, or no policy, has.
///
/// ```
/// use trunkline::text::{DecodePolicy, Encoding};
///
/// let error = Encoding::from_name("uft-8").unwrap_err();
/// assert_eq!(error.to_string(), "unknown encoding \"uft-8\": did you mean \"UTF-8\"?");
///
/// let error = "lenient".parse::<DecodePolicy>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "unknown policy \"lenient\": the policies are strict, replace, ignore and backslashreplace"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    name: String,
    nearest: Option<&'static str>,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Encoding,
    Policy(&'static [&'static str]),
}

impl UnknownName {
    pub(super) fn encoding(name: &str, nearest: Option<&'static str>) -> Self {
        Self {
            name: name.to_owned(),
            nearest,
            wanted: Wanted::Encoding,
        }
    }

    pub(super) fn policy(name: &str, known: &'static [&'static str]) -> Self {
        Self {
            name: name.to_owned(),
            nearest: nearest(name, known.iter().copied()),
            wanted: Wanted::Policy(known),
        }
    }

    /// The name that nobody has.
    ///
    /// ```
    /// let error = trunkline::text::Encoding::from_name("klingon").unwrap_err();
    /// assert_eq!(error.name(), "klingon");
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The known name nearest to it, when it is near enough to be a slip of the finger.
    ///
    /// ```
    /// let error = trunkline::text::Encoding::from_name("shiftjs").unwrap_err();
    /// assert_eq!(error.nearest(), Some("Shift_JIS"));
    /// ```
    pub fn nearest(&self) -> Option<&'static str> {
        self.nearest
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.wanted {
            Wanted::Encoding => "encoding",
            Wanted::Policy(_) => "policy",
        };
        write!(formatter, "unknown {what} {:?}: ", self.name)?;
        match (self.nearest, self.wanted) {
            (Some(nearest), _) => write!(formatter, "did you mean {nearest:?}?"),
            (None, Wanted::Policy(known)) => {
                formatter.write_str("the policies are ")?;
                write_list(formatter, known)
            }
            (None, Wanted::Encoding) => formatter.write_str(
                "names are like UTF-8, UTF-16, ASCII, ISO-8859-1, windows-1252, Shift_JIS, GB18030, IBM037",
            ),
        }
    }
}

impl Error for UnknownName {}

/// `a, b and c`.
pub(super) fn write_list(formatter: &mut fmt::Formatter<'_>, words: &[&str]) -> fmt::Result {
    for (index, word) in words.iter().enumerate() {
        let before = match index {
            0 => "",
            _ if index + 1 == words.len() => " and ",
            _ => ", ",
        };
        write!(formatter, "{before}{word}")?;
    }
    Ok(())
}

/// What matters of a name: `ISO_8859-1` and `iso 8859 1` are the same.
pub(super) fn fold(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '-' | '_' | ' ' | '.'))
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

/// The known name that takes the fewest changed letters, if those are few enough for a slip of the finger.
pub(super) fn nearest(
    name: &str,
    known: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    let name = fold(name);
    let slips_max = (name.chars().count() / 2).min(2);
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&name, &fold(known)), known))
        .min_by_key(|&(slips, _)| slips)
        .filter(|&(slips, _)| slips <= slips_max)
        .map(|(_, known)| known)
}
