//! What a source is watched for, and how it is reported.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a source is watched for: a set of [`READ`](Interest::READ), [`WRITE`](Interest::WRITE) and
/// [`PRIORITY`](Interest::PRIORITY).
///
/// ```
/// use trunkline_selectors::Interest;
///
/// let both = Interest::READ | Interest::WRITE;
/// assert!(both.contains(Interest::READ));
/// assert_eq!(both.without(Interest::WRITE), Interest::READ);
/// assert!(Interest::NONE.is_empty());
/// assert_eq!(format!("{both:?}"), "READ | WRITE");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interest(u8);

impl Interest {
    /// Nothing: the source stays registered and never wakes the selector.
    pub const NONE: Interest = Interest(0);
    /// Input, the end of input included.
    pub const READ: Interest = Interest(1);
    /// Room for output.
    pub const WRITE: Interest = Interest(2);
    /// Exceptional input, such as TCP's out-of-band data.
    pub const PRIORITY: Interest = Interest(4);

    /// The set as bits: the first two are those of [`Readiness`](crate::Readiness).
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Interest) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is wanted.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set and `other`; `|` where constants are not needed.
    #[must_use]
    pub const fn with(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// This set except for `other`.
    #[must_use]
    pub const fn without(self, other: Interest) -> Interest {
        Interest(self.0 & !other.0)
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        self.with(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        *self = self.with(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (Interest::READ, "READ"),
            (Interest::WRITE, "WRITE"),
            (Interest::PRIORITY, "PRIORITY"),
        ];
        write_set(
            formatter,
            named.map(|(bit, name)| (self.contains(bit), name)),
        )
    }
}

/// Writes the names of a set's members, `NONE` when there are none.
pub(crate) fn write_set<const N: usize>(
    formatter: &mut fmt::Formatter<'_>,
    members: [(bool, &str); N],
) -> fmt::Result {
    let mut separator = "";
    for (_, name) in members.into_iter().filter(|(present, _)| *present) {
        write!(formatter, "{separator}{name}")?;
        separator = " | ";
    }
    if separator.is_empty() {
        formatter.write_str("NONE")
    } else {
        Ok(())
    }
}

/// How often readiness is reported, and to whom.
///
/// [`Mechanism::capabilities`](crate::Mechanism::capabilities) says which mechanism offers which. A source keeps the
/// trigger it was registered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Trigger {
    /// At every wait for as long as the source is ready. Every mechanism has it.
    #[default]
    Level,
    /// Once per change. The source must then be read or written until it would block (or a stream until it gave
    /// less than was asked for), and every event of a batch must be taken before the next wait, for it is not
    /// repeated.
    Edge,
    /// Once. As soon as a batch holds an event of the source, the source is watched for nothing, not even for a
    /// hang-up, until [`modify`](crate::Selector::modify) arms it again, with the same interest or another; like
    /// every change that takes effect at the next wait. What is still true by then is reported again: nothing is lost
    /// between two shots. Every event of a batch must be taken before the next wait, for it is not repeated.
    OneShot,
    /// At every wait like [`Level`](Trigger::Level), but of the selectors that watch the same source for it, several
    /// in several threads, at least one wakes and not all of them: for a listener that many threads accept from.
    ///
    /// Who was woken must see it through: accept until it would block, or wait again. A selector that slept on is not
    /// told of what the other one left. [`Interest::PRIORITY`] cannot be watched this way, and
    /// [`READ_CLOSED`](crate::Readiness::READ_CLOSED) comes only with a hang-up of both directions: the system
    /// takes neither flag together with this one.
    Exclusive,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 4] = [
        Trigger::Level,
        Trigger::Edge,
        Trigger::OneShot,
        Trigger::Exclusive,
    ];
}

impl fmt::Display for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Trigger::Level => "level",
            Trigger::Edge => "edge",
            Trigger::OneShot => "one-shot",
            Trigger::Exclusive => "exclusive",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_behaves_like_a_set() {
        const READ_WRITE: Interest = Interest::READ.with(Interest::WRITE);
        let mut set = Interest::NONE;
        assert!(set.is_empty() && set.contains(Interest::NONE) && !set.contains(Interest::READ));
        set |= Interest::READ;
        set |= Interest::WRITE;
        assert_eq!(set, READ_WRITE);
        assert!(!set.contains(Interest::PRIORITY | Interest::READ));
        assert_eq!(set.without(READ_WRITE), Interest::default());
    }

    #[test]
    fn names_are_shown() {
        assert_eq!(format!("{:?}", Interest::NONE), "NONE");
        assert_eq!(
            format!("{:?}", Interest::READ | Interest::PRIORITY),
            "READ | PRIORITY"
        );
    }
}
