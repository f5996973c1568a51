//! The ways to wait, which of them work here, and which one is taken.

use std::env;
use std::fmt;
use std::io;
use std::str::FromStr;

use crate::backend;
use crate::capabilities::{Capabilities, Support};
use crate::interest::Trigger;

/// The environment variable that overrides the choice of the mechanism.
pub const ENVIRONMENT_VARIABLE: &str = "TRUNKLINE_MECHANISM";

/// A way to ask the operating system which sources are ready.
///
/// ```
/// use trunkline_selectors::{Mechanism, Trigger};
///
/// for availability in Mechanism::available() {
///     match availability.reason {
///         None => println!("{}", availability.mechanism),
///         Some(reason) => println!("{} (no: {reason})", availability.mechanism),
///     }
/// }
/// assert!(Mechanism::best().check().is_ok());
/// assert!(!Mechanism::Poll.supports(Trigger::Edge));
///
/// let error = "epol".parse::<Mechanism>().unwrap_err();
/// assert!(error.to_string().contains("did you mean \"epoll\"?"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mechanism {
    /// Linux's `epoll`: a call costs in proportion to what is ready. All triggers.
    Epoll,
    /// Linux's `io_uring` (5.17 and later): a call costs in proportion to what is ready, and registering and changing
    /// need no call of their own to the set, because they go with the wait. All triggers but the exclusive one.
    ///
    /// Not the choice unless asked for: it saves a little per event with edge trigger only, and many a sandbox forbids
    /// it. With the other triggers every event costs a new request, though no call of its own. What is unregistered
    /// stays open until the next wait, and a level-triggered report may be stale: see
    /// [`lets_go_at_once`](crate::Capabilities::lets_go_at_once) and
    /// [`level_tells_state`](crate::Capabilities::level_tells_state). A selector that is used in another thread than
    /// before makes itself a new ring there, which costs in proportion to what is registered. When it is dropped, the
    /// kernel may interrupt one later call of the thread that used it (`EINTR`), as a signal would.
    ///
    /// Valgrind (seen with 3.19) does not know that the call sleeps: under it all other threads of the program stand
    /// still while one waits. A thread by itself cannot notice, so the mechanism counts as one that works; take another
    /// there.
    IoUring,
    /// POSIX's `poll`, on Windows `WSAPoll`: a call costs in proportion to what is registered. Level and one-shot.
    Poll,
    /// POSIX's `select`: a call costs in proportion to the highest descriptor, on Windows to what is registered. Level and one-shot.
    /// Not limited to 1024 here, nor to Windows's 64: the sets grow.
    Select,
    /// The `kqueue` of macOS and the BSDs: a call costs in proportion to what is ready. Level and edge.
    Kqueue,
}

impl Mechanism {
    /// All mechanisms, best first, whether they work here or not.
    pub fn all() -> &'static [Mechanism] {
        &[
            Mechanism::Epoll,
            Mechanism::IoUring,
            Mechanism::Kqueue,
            Mechanism::Poll,
            Mechanism::Select,
        ]
    }

    /// All mechanisms, best first, each with the reason if it does not work here.
    pub fn available() -> Vec<Availability> {
        Mechanism::all()
            .iter()
            .map(|&mechanism| Availability {
                mechanism,
                reason: mechanism.check().err(),
            })
            .collect()
    }

    /// Whether the mechanism works here: it is tried, not guessed.
    pub fn check(self) -> Result<(), Unavailable> {
        backend::check(self).map_err(|reason| Unavailable {
            mechanism: self,
            reason,
        })
    }

    /// The mechanism of choice: the one that `TRUNKLINE_MECHANISM` names if it works here, otherwise the best that
    /// does. [`Selector::new`](crate::Selector::new) takes the same one, but a variable that names none is an error
    /// there.
    pub fn best() -> Mechanism {
        match Mechanism::from_environment() {
            Ok(Some(mechanism)) => mechanism,
            Ok(None) | Err(_) => Mechanism::best_available(),
        }
    }

    /// Whether sources can be registered with this trigger; [`capabilities`](Mechanism::capabilities) says how.
    #[inline]
    pub fn supports(self, trigger: Trigger) -> bool {
        self.support(trigger) != Support::None
    }

    /// Everything in which this mechanism differs from another for its user.
    ///
    /// ```
    /// use trunkline_selectors::{Mechanism, Support, Trigger};
    ///
    /// let poll = Mechanism::Poll.capabilities();
    /// assert_eq!(poll.support(Trigger::OneShot), Support::Emulated);
    /// assert_eq!(poll.support(Trigger::Exclusive), Support::None);
    /// ```
    pub fn capabilities(self) -> Capabilities {
        Capabilities::of(self)
    }

    /// Who does the work of a trigger, mechanism by mechanism.
    #[inline]
    #[allow(clippy::match_same_arms)] // a table
    pub(crate) fn support(self, trigger: Trigger) -> Support {
        match (self, trigger) {
            (Mechanism::Epoll, _) => Support::Kernel,
            (Mechanism::IoUring | Mechanism::Kqueue, Trigger::Exclusive) => Support::None,
            (Mechanism::IoUring | Mechanism::Kqueue, _) => Support::Kernel,
            (Mechanism::Poll | Mechanism::Select, Trigger::Level) => Support::Kernel,
            (Mechanism::Poll | Mechanism::Select, Trigger::OneShot) => Support::Emulated,
            (Mechanism::Poll | Mechanism::Select, _) => Support::None,
        }
    }

    /// The mechanism to take, or why the environment variable's is none.
    pub(crate) fn choose() -> io::Result<Mechanism> {
        Ok(Mechanism::from_environment()?.unwrap_or_else(Mechanism::best_available))
    }

    fn best_available() -> Mechanism {
        // Where not even poll works there is nothing left to try; creating the selector then says why.
        Mechanism::all()
            .iter()
            .copied()
            .find(|mechanism| mechanism.check().is_ok())
            .unwrap_or(Mechanism::Poll)
    }

    fn from_environment() -> io::Result<Option<Mechanism>> {
        match env::var_os(ENVIRONMENT_VARIABLE) {
            Some(value) if !value.is_empty() => {
                Mechanism::from_setting(&value.to_string_lossy()).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn from_setting(name: &str) -> io::Result<Mechanism> {
        let mechanism: Mechanism = name.parse().map_err(|error: ParseMechanismError| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{ENVIRONMENT_VARIABLE}: {error}"),
            )
        })?;
        mechanism.check().map_err(|error| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{ENVIRONMENT_VARIABLE}: {error}"),
            )
        })?;
        Ok(mechanism)
    }

    fn name(self) -> &'static str {
        match self {
            Mechanism::Epoll => "epoll",
            Mechanism::IoUring => "io_uring",
            Mechanism::Poll => "poll",
            Mechanism::Select => "select",
            Mechanism::Kqueue => "kqueue",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = ParseMechanismError;

    fn from_str(name: &str) -> Result<Mechanism, ParseMechanismError> {
        Mechanism::all()
            .iter()
            .copied()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| ParseMechanismError {
                name: name.to_owned(),
            })
    }
}

/// A mechanism, and why it does not work here if it doesn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// Which.
    pub mechanism: Mechanism,
    /// `None`: it works.
    pub reason: Option<Unavailable>,
}

impl Availability {
    /// Whether it works here.
    pub fn is_available(&self) -> bool {
        self.reason.is_none()
    }
}

/// Why a mechanism does not work here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    mechanism: Mechanism,
    reason: String,
}

impl Unavailable {
    /// Which does not work.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} is not available here: {}",
            self.mechanism, self.reason
        )
    }
}

impl std::error::Error for Unavailable {}

impl From<Unavailable> for io::Error {
    fn from(unavailable: Unavailable) -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, unavailable)
    }
}

/// The name is no mechanism's; says which there are, and which one may have been meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseMechanismError {
    name: String,
}

impl ParseMechanismError {
    /// The mechanism whose name is nearest, if one is near.
    pub fn suggestion(&self) -> Option<Mechanism> {
        let name = self.name.to_lowercase();
        let nearest = Mechanism::all()
            .iter()
            .map(|&candidate| (distance(&name, candidate.name()), candidate));
        nearest
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= 2)
            .map(|(_, nearest)| nearest)
    }
}

impl fmt::Display for ParseMechanismError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "no mechanism is called {:?}; there are",
            self.name
        )?;
        for (position, mechanism) in Mechanism::all().iter().enumerate() {
            write!(
                formatter,
                "{} {mechanism}",
                if position == 0 { "" } else { "," }
            )?;
        }
        match self.suggestion() {
            Some(nearest) => write!(formatter, "; did you mean \"{nearest}\"?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseMechanismError {}

/// How many characters must be put in, left out or replaced to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, left) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, right) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for &mechanism in Mechanism::all() {
            assert_eq!(mechanism.to_string().parse(), Ok(mechanism));
            assert_eq!(mechanism.to_string().to_uppercase().parse(), Ok(mechanism));
        }
        assert_eq!(format!("{:>8}", Mechanism::Poll), "    poll");
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let error = "slect".parse::<Mechanism>().unwrap_err();
        assert_eq!(error.suggestion(), Some(Mechanism::Select));
        assert_eq!(
            error.to_string(),
            "no mechanism is called \"slect\"; there are epoll, io_uring, kqueue, poll, select; did you mean \"select\"?"
        );
        assert_eq!(
            "iocp and so on"
                .parse::<Mechanism>()
                .unwrap_err()
                .suggestion(),
            None
        );
    }

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("poll", "epoll", 1),
            ("queue", "kqueue", 1),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }

    #[test]
    fn a_setting_must_name_what_works_here() {
        assert_eq!(Mechanism::from_setting("poll").unwrap(), Mechanism::Poll);
        let unknown = Mechanism::from_setting("pol").unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::InvalidInput);
        assert!(
            unknown
                .to_string()
                .starts_with("TRUNKLINE_MECHANISM: no mechanism"),
            "{unknown}"
        );
        if Mechanism::Kqueue.check().is_ok() {
            return;
        }
        let unavailable = Mechanism::from_setting("kqueue").unwrap_err();
        assert_eq!(unavailable.kind(), io::ErrorKind::Unsupported);
        assert!(
            unavailable
                .to_string()
                .contains("kqueue is not available here: "),
            "{unavailable}"
        );
    }

    #[test]
    fn what_is_available_comes_best_first_with_reasons() {
        let available = Mechanism::available();
        assert_eq!(
            available
                .iter()
                .map(|entry| entry.mechanism)
                .collect::<Vec<_>>(),
            Mechanism::all()
        );
        for entry in available {
            assert_eq!(entry.is_available(), entry.mechanism.check().is_ok());
            if cfg!(target_os = "linux") && entry.mechanism != Mechanism::IoUring {
                assert_eq!(entry.is_available(), entry.mechanism != Mechanism::Kqueue);
            }
        }
    }
}
