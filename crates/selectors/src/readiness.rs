//! What a wait found.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use crate::interest::{Interest, write_set};
use crate::slab::Key;

/// What a source is ready for: a set. The crate's first page says what each member means.
///
/// ```
/// use trunkline_selectors::Readiness;
///
/// let last_input = Readiness::READABLE | Readiness::READ_CLOSED;
/// assert!(last_input.is_readable() && last_input.is_read_closed());
/// assert!(!last_input.is_writable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    pub const NONE: Readiness = Readiness(0);
    /// A read will not block: there is input, the end of input or an error.
    pub const READABLE: Readiness = Readiness(1);
    /// A write will not block: there is room or an error.
    pub const WRITABLE: Readiness = Readiness(2);
    /// There is exceptional input, such as TCP's out-of-band data.
    pub const PRIORITY: Readiness = Readiness(4);
    /// The peer sends no more; what it sent before may still be unread.
    pub const READ_CLOSED: Readiness = Readiness(8);
    /// Writing has become useless: both directions are closed.
    pub const WRITE_CLOSED: Readiness = Readiness(16);
    /// The source has an error; the next operation on it says which.
    pub const ERROR: Readiness = Readiness(32);
    /// The descriptor is not open: somebody closed it behind the selector's back. Delivered once; from then on the
    /// registration's interest counts as empty.
    pub const INVALID: Readiness = Readiness(64);

    /// Input (bit 0) and output (bit 1) as far as they are wanted: the interests have the same bits.
    #[inline]
    pub(crate) const fn wanted(bits: u8, interest: Interest) -> Readiness {
        Readiness(bits & interest.bits())
    }

    /// The set as bits, in the order of the constants: `READABLE` is 1, `WRITABLE` is 2, and so on.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Readiness) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in this set.
    pub const fn intersects(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    /// This set and `other`; `|` where constants are not needed.
    #[must_use]
    pub const fn with(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }

    /// Whether the source is ready for nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether [`READABLE`](Readiness::READABLE) is in the set.
    pub const fn is_readable(self) -> bool {
        self.contains(Readiness::READABLE)
    }

    /// Whether [`WRITABLE`](Readiness::WRITABLE) is in the set.
    pub const fn is_writable(self) -> bool {
        self.contains(Readiness::WRITABLE)
    }

    /// Whether [`PRIORITY`](Readiness::PRIORITY) is in the set.
    pub const fn is_priority(self) -> bool {
        self.contains(Readiness::PRIORITY)
    }

    /// Whether [`READ_CLOSED`](Readiness::READ_CLOSED) is in the set.
    pub const fn is_read_closed(self) -> bool {
        self.contains(Readiness::READ_CLOSED)
    }

    /// Whether [`WRITE_CLOSED`](Readiness::WRITE_CLOSED) is in the set.
    pub const fn is_write_closed(self) -> bool {
        self.contains(Readiness::WRITE_CLOSED)
    }

    /// Whether [`ERROR`](Readiness::ERROR) is in the set.
    pub const fn is_error(self) -> bool {
        self.contains(Readiness::ERROR)
    }

    /// Whether [`INVALID`](Readiness::INVALID) is in the set.
    pub const fn is_invalid(self) -> bool {
        self.contains(Readiness::INVALID)
    }
}

impl BitOr for Readiness {
    type Output = Readiness;

    fn bitor(self, other: Readiness) -> Readiness {
        self.with(other)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Readiness) {
        *self = self.with(other);
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = [
            (self.is_readable(), "READABLE"),
            (self.is_writable(), "WRITABLE"),
            (self.is_priority(), "PRIORITY"),
            (self.is_read_closed(), "READ_CLOSED"),
            (self.is_write_closed(), "WRITE_CLOSED"),
            (self.is_error(), "ERROR"),
            (self.is_invalid(), "INVALID"),
        ];
        write_set(formatter, members)
    }
}

/// A source is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Which, as [`Selector::register`](crate::Selector::register) named it.
    pub key: Key,
    /// For what.
    pub readiness: Readiness,
}

/// How a wait ended: with events, woken by a [`Waker`](crate::Waker), both, or neither (its time was up).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selected {
    /// How many events there are for [`Selector::next_event`](crate::Selector::next_event). It gives fewer when
    /// sources are unregistered or their interest is taken back in the meantime.
    pub events: usize,
    /// Whether a waker ended the wait.
    pub woken: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_its_question() {
        let mut set = Readiness::NONE;
        assert!(set.is_empty());
        set |= Readiness::READABLE | Readiness::ERROR;
        assert!(set.is_readable() && set.is_error() && !set.is_empty());
        assert!(!set.is_writable() && !set.is_priority() && !set.is_invalid());
        assert!(!set.is_read_closed() && !set.is_write_closed());
        assert_eq!(format!("{set:?}"), "READABLE | ERROR");
        assert_eq!(format!("{:?}", Readiness::default()), "NONE");
    }
}
