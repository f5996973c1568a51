//! The mechanisms, and everything that differs between platforms.
//!
//! # The contract
//!
//! One file per mechanism, the same functions in the same order:
//!
//! - `new(waker)`: an empty set that also watches the waker's descriptor for input, level-triggered, under
//!   [`Key::NOTHING`].
//! - `register(descriptor, key, interest, trigger)`: from now on watches the descriptor and reports it by `key`. Errors
//!   come at once and leave nothing behind. With no interest the descriptor is checked to be open, and not watched. A
//!   mechanism that says so in its capabilities (`refuses_closed_sources`) checks nothing.
//! - `modify(descriptor, key, (old, new), trigger)`: replaces the interest `old`, which is not `new`, unless it is to
//!   arm a one-shot again, fired or not, and then neither is empty. After an error the descriptor is not watched. A
//!   change never reaches another file that has got the descriptor's number where the mechanism can tell: an entry that
//!   the system forgot is an error, it is not made anew.
//! - `unregister(descriptor, key, interest)`: stops at once, and lets go of the file, so that whoever closes the source
//!   closes it: now or, if the capabilities say so (`lets_go_at_once`), with the next `wait` or `apply`. Never fails: a
//!   descriptor that was closed behind our back is gone already.
//! - `apply()`: tells the system what would go with the next wait. Leaves the batch alone.
//! - `holds(descriptor, key, interest)`: whether the mechanism still watches the file it was told to, and nothing
//!   changes by asking. False only if it is sure that the descriptor was closed in the meantime.
//! - `has_fired(key)`: whether this is a one-shot that was in a batch and was not armed again. Asked only of mechanisms
//!   that may report strays.
//! - `may_report_strays()`: whether the system may go on reporting keys that were unregistered, because it does not let
//!   go of them; a new set is the only cure.
//! - `most_entries()`, where some sources are in a batch beside those that the system finds: how many entries it may have.
//! - `wait(batch, timeout)`: waits and collects into the batch, which is empty and has room, what is found, the waker
//!   included, whose key names nothing. A one-shot that is in the batch is not watched any more, and one that is not still
//!   is. May end early with none. `EINTR` is returned as it is; the selector keeps the deadline. Allocates nothing.
//!
//! Where it pays, a mechanism has a straight way for the usual wait, without an end, beside it (`find`): whatever is not usual
//! there finds nothing, loses nothing, and is left to `wait`.
//!
//! A batch is at most [`BATCH`] entries and a few more, so that no mechanism needs memory in proportion to what is
//! ready. Mechanisms that walk a table begin where the last batch ended, so that nobody is left out.
//!
//! Triggers and interests that the capabilities exclude are refused before they come here.
//!
//! Descriptors come as numbers. That they are open is the selector's business, which owns their sources; a source
//! that was closed behind its back is a number the system does not know, which it says (`EBADF`, `POLLNVAL`).

use std::io;
use std::time::Duration;

use crate::interest::{Interest, Trigger};
use crate::mechanism::Mechanism;
use crate::readiness::Readiness;
use crate::slab::Key;

// Which mechanism is real on which platform. The others are `Absent` there: nobody can make one.

#[cfg_attr(all(test, target_os = "linux"), allow(dead_code))] // the tests have all of them
mod absent;
mod batch;
// All have the same functions, also where there is nothing to do or to refuse.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
mod epoll;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod epoll {
    pub(super) use super::absent::Absent as Epoll;
    pub(super) use super::absent::set;
}

#[cfg(target_os = "linux")]
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
mod io_uring;
#[cfg(not(target_os = "linux"))]
mod io_uring {
    pub(super) use super::absent::Absent as IoUring;
    use crate::mechanism::Mechanism;

    pub(super) fn check() -> Result<(), String> {
        Err(super::belongs_elsewhere(Mechanism::IoUring))
    }
}

#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    all(test, target_os = "linux")
))]
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
mod kqueue;
#[cfg(not(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    all(test, target_os = "linux")
)))]
mod kqueue {
    pub(super) use super::absent::{Absent as Kqueue, check};
}

mod one_shots;
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
#[cfg_attr(windows, path = "windows/poll.rs")]
mod poll;

#[cfg(any(
    windows,
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
#[cfg_attr(windows, path = "windows/select.rs")]
mod select;
#[cfg(not(any(
    windows,
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)))]
mod select {
    pub(super) use super::absent::{Absent as Select, check};
}

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
mod platform;
#[cfg(all(test, target_os = "linux"))]
pub(crate) mod tests;

use batch::Batch;
pub(crate) use batch::Entries;
pub use platform::{AsSource, Descriptor};
pub(crate) use platform::{
    BAD_DESCRIPTOR, Borrowed, Signal, Slots, TELLS_END_BESIDE_DATA, TELLS_HANG_UP, check_open,
    descriptor_of, exists, is_descriptor, not_found, not_open,
};

/// How many entries a batch has at most, but for those that never block.
pub(crate) const BATCH: usize = 1024;

/// The waker's token, where a mechanism carries a number for each descriptor: that of the key that names nothing.
pub(crate) const WAKER: u64 = Key::NOTHING.to_bits();

/// The mechanisms whose kernel takes registrations from one thread while another waits: for the raw door, which brings
/// a table of its own to the others.
pub(crate) use epoll::set::Set as Native;

/// The set of a mechanism that is one of those.
pub(crate) fn native(mechanism: Mechanism, waker: Borrowed<'_>) -> io::Result<Option<Native>> {
    match mechanism {
        Mechanism::Epoll => Native::new(waker).map(Some),
        _ => Ok(None),
    }
}

/// Marks a descriptor that is not registered.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// The mechanism in use, and what its last wait has found.
pub(crate) struct Backend {
    machinery: Machinery,
    batch: Batch,
}

/// The mechanism itself. Its tag has a byte of its own: the compiler's choice, hidden in the first variant's fields,
/// takes seven instructions to read.
#[repr(u8)]
enum Machinery {
    Epoll(epoll::Epoll),
    IoUring(Box<io_uring::IoUring>),
    Poll(poll::Poll),
    Select(select::Select),
    Kqueue(kqueue::Kqueue),
}

/// What [`Backend::find`] has found.
pub(crate) enum Found {
    /// One source, and not the waker.
    Source,
    /// So many entries of the batch, the waker's perhaps among them. None if it failed or there is more to it: nothing is
    /// lost then, and `wait` is the one to call.
    Entries(usize),
}

/// Calls a function of the mechanism in use.
macro_rules! dispatch {
    ($machinery:expr, $mechanism:ident => $call:expr) => {
        match $machinery {
            Machinery::Epoll($mechanism) => $call,
            Machinery::IoUring($mechanism) => $call,
            Machinery::Poll($mechanism) => $call,
            Machinery::Select($mechanism) => $call,
            Machinery::Kqueue($mechanism) => $call,
        }
    };
}

impl Backend {
    pub(crate) fn new(mechanism: Mechanism, waker: Borrowed<'_>) -> io::Result<Backend> {
        let made = match mechanism {
            Mechanism::Epoll => epoll::Epoll::new(waker).map(Machinery::Epoll),
            Mechanism::IoUring => io_uring::IoUring::new(waker)
                .map(|io_uring| Machinery::IoUring(Box::new(io_uring)))
                .map_err(|error| mechanism.check().err().map_or(error, Into::into)),
            Mechanism::Poll => poll::Poll::new(waker).map(Machinery::Poll),
            Mechanism::Select => select::Select::new(waker).map(Machinery::Select),
            Mechanism::Kqueue => kqueue::Kqueue::new(waker).map(Machinery::Kqueue),
        };
        match made {
            Ok(machinery) => Ok(Backend {
                machinery,
                batch: Batch::with_capacity(BATCH),
            }),
            Err(error) => Err(match (error.kind(), mechanism.check()) {
                (io::ErrorKind::Unsupported, Err(unavailable)) => unavailable.into(),
                _ => error,
            }),
        }
    }

    // Here, as in `unregister` and `wait`, the default mechanism is told apart first, and its code alone goes into the
    // caller's.
    #[inline]
    pub(crate) fn register(
        &mut self,
        descriptor: Descriptor,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        match &mut self.machinery {
            Machinery::Epoll(epoll) => epoll.register(descriptor, key, interest, trigger)?,
            _ => self.register_otherwise(descriptor, key, interest, trigger)?,
        }
        self.make_room();
        Ok(())
    }

    #[inline(never)]
    fn register_otherwise(
        &mut self,
        descriptor: Descriptor,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        dispatch!(&mut self.machinery, mechanism => mechanism.register(descriptor, key, interest, trigger))
    }

    pub(crate) fn modify(
        &mut self,
        descriptor: Descriptor,
        key: Key,
        change: (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        dispatch!(&mut self.machinery, mechanism => mechanism.modify(descriptor, key, change, trigger))?;
        self.make_room();
        Ok(())
    }

    /// So that a wait allocates nothing.
    #[inline]
    fn make_room(&mut self) {
        let most_entries = match &self.machinery {
            Machinery::Epoll(epoll) => epoll.most_entries(),
            Machinery::Kqueue(kqueue) => kqueue.most_entries(),
            Machinery::IoUring(_) | Machinery::Poll(_) | Machinery::Select(_) => BATCH,
        };
        if most_entries > BATCH {
            self.batch.make_room(most_entries);
        }
    }

    #[inline]
    pub(crate) fn unregister(&mut self, descriptor: Descriptor, key: Key, interest: Interest) {
        match &mut self.machinery {
            Machinery::Epoll(epoll) => epoll.unregister(descriptor, key, interest),
            _ => self.unregister_otherwise(descriptor, key, interest),
        }
    }

    #[inline(never)]
    fn unregister_otherwise(&mut self, descriptor: Descriptor, key: Key, interest: Interest) {
        dispatch!(&mut self.machinery, mechanism => mechanism.unregister(descriptor, key, interest));
    }

    pub(crate) fn apply(&mut self) -> io::Result<()> {
        dispatch!(&mut self.machinery, mechanism => mechanism.apply())
    }

    pub(crate) fn holds(&self, descriptor: Descriptor, key: Key, interest: Interest) -> bool {
        dispatch!(&self.machinery, mechanism => mechanism.holds(descriptor, key, interest))
    }

    pub(crate) fn has_fired(&self, key: Key) -> bool {
        dispatch!(&self.machinery, mechanism => mechanism.has_fired(key))
    }

    #[inline]
    pub(crate) fn may_report_strays(&self) -> bool {
        dispatch!(&self.machinery, mechanism => mechanism.may_report_strays())
    }

    /// A wait without an end, the straightest way there is.
    #[inline(always)]
    pub(crate) fn find(&mut self) -> Found {
        match &mut self.machinery {
            Machinery::Epoll(epoll) => {
                self.batch.clear();
                let waited = epoll.wait(&mut self.batch, None);
                Found::Entries(waited.map_or(0, |()| self.batch.len()))
            }
            Machinery::IoUring(io_uring) => {
                let found = io_uring.find();
                self.batch.clear();
                let Some((key, flags)) = found else {
                    return Found::Entries(io_uring.find_more(&mut self.batch));
                };
                self.batch.push(key, flags);
                Found::Source
            }
            _ => Found::Entries(self.wait(None).unwrap_or(0)),
        }
    }

    /// Waits and collects a batch, and says how many entries it has, the waker's included.
    #[inline(always)]
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.batch.clear();
        match &mut self.machinery {
            Machinery::Epoll(epoll) => epoll.wait(&mut self.batch, timeout)?,
            _ => self.wait_otherwise(timeout)?,
        }
        Ok(self.batch.len())
    }

    #[inline(never)]
    fn wait_otherwise(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        dispatch!(&mut self.machinery, mechanism => mechanism.wait(&mut self.batch, timeout))
    }

    /// Whether the waker's descriptor is in the batch.
    pub(crate) fn saw_waker(&self) -> bool {
        self.batch.has_waker()
    }

    /// The next entry of the batch. May be the waker's.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(Key, Flags)> {
        self.batch.next()
    }
}

/// Why a mechanism does not work here.
pub(crate) fn check(mechanism: Mechanism) -> Result<(), String> {
    let checked = match mechanism {
        Mechanism::Epoll => epoll::set::check(),
        Mechanism::IoUring => return io_uring::check(),
        Mechanism::Kqueue => kqueue::check(),
        Mechanism::Select => select::check(),
        Mechanism::Poll => Ok(()),
    };
    checked.map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => belongs_elsewhere(mechanism),
        _ => error.to_string(),
    })
}

/// Where a mechanism belongs that this platform does not have.
fn belongs_elsewhere(mechanism: Mechanism) -> String {
    let home = match mechanism {
        Mechanism::Epoll | Mechanism::IoUring => "Linux",
        Mechanism::Kqueue => "macOS and the BSDs",
        Mechanism::Select => "Linux, macOS, the BSDs and Windows",
        Mechanism::Poll => "every system",
    };
    format!("it belongs to {home}, and this is {}", std::env::consts::OS)
}

/// Whether a wait of this mechanism takes nanoseconds here: it is tried where it depends on the kernel.
pub(crate) fn takes_nanoseconds(mechanism: Mechanism) -> bool {
    match mechanism {
        Mechanism::Epoll => epoll::set::takes_nanoseconds(),
        Mechanism::IoUring | Mechanism::Kqueue => true,
        Mechanism::Poll => platform::POLL_TAKES_NANOSECONDS,
        Mechanism::Select => platform::SELECT_TAKES_NANOSECONDS,
    }
}

/// Whether this mechanism can be asked for priority input.
pub(crate) fn tells_priority(mechanism: Mechanism) -> bool {
    mechanism != Mechanism::Kqueue || platform::KQUEUE_TELLS_PRIORITY
}

/// Whether this mechanism tells a half-close from input.
pub(crate) fn tells_half_close(mechanism: Mechanism) -> bool {
    let asks_poll = matches!(mechanism, Mechanism::Poll | Mechanism::Select);
    !asks_poll || platform::POLL_TELLS_HALF_CLOSE
}

/// What the system says about a descriptor: the platform's flags of `poll`, which on Linux are those of `epoll` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The sending direction has ended, whatever the other does: none of `poll`'s flags, for it knows only both.
    const WRITE_HANG_UP: u16 = 0x4000;

    /// What to ask the system for. Errors and hang-ups come without asking.
    fn asking(interest: Interest) -> Flags {
        let mut flags = 0;
        if interest.contains(Interest::READ) {
            flags |= Flags::IN | Flags::READ_HANG_UP;
        }
        if interest.contains(Interest::WRITE) {
            flags |= Flags::OUT;
        }
        if interest.contains(Interest::PRIORITY) {
            flags |= Flags::PRIORITY;
        }
        Flags(flags)
    }

    /// What of it an interest would have brought.
    pub(crate) fn asked_by(self, interest: Interest) -> Flags {
        let mut flags = Flags::asking(interest).0;
        flags |= Flags::ERROR | Flags::HANG_UP | Flags::INVALID;
        if interest.contains(Interest::WRITE) {
            flags |= Flags::WRITE_HANG_UP;
        }
        Flags(self.0 & flags)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What a mechanism would report of a descriptor whose registration it refused.
    pub(crate) fn refused(error: &io::Error) -> Flags {
        let closed = error.raw_os_error() == Some(BAD_DESCRIPTOR);
        Flags(if closed { Flags::INVALID } else { Flags::ERROR })
    }

    /// The answer in the crate's terms: the one table that makes all mechanisms agree.
    #[inline(always)]
    pub(crate) fn readiness(self, interest: Interest) -> Readiness {
        match self.usual_readiness(interest) {
            Some(readiness) => readiness,
            None => self.full_readiness(interest),
        }
    }

    /// The usual answer, told apart first: input or output and nothing else.
    #[inline(always)]
    pub(crate) fn usual_readiness(self, interest: Interest) -> Option<Readiness> {
        let wanted = if Flags::IN == 1 && Flags::OUT == 4 {
            // Input is bit 0 here and there, output bit 2 here and bit 1 there.
            (self.0 | self.0 >> 1) as u8 & 3
        } else {
            u8::from(self.0 & Flags::IN != 0) | u8::from(self.0 & Flags::OUT != 0) << 1
        };
        (self.0 & !(Flags::IN | Flags::OUT) == 0).then(|| Readiness::wanted(wanted, interest))
    }

    fn full_readiness(self, interest: Interest) -> Readiness {
        let translated = self.translated(interest);
        let has = |flags: u16| translated.0 & flags != 0;
        let mut readiness = Readiness::NONE;
        if interest.contains(Interest::READ) {
            if has(Flags::IN | Flags::HANG_UP | Flags::ERROR | Flags::READ_HANG_UP) {
                readiness |= Readiness::READABLE;
            }
            if has(Flags::HANG_UP | Flags::READ_HANG_UP) {
                readiness |= Readiness::READ_CLOSED;
            }
        }
        if interest.contains(Interest::WRITE) {
            if has(Flags::OUT | Flags::HANG_UP | Flags::WRITE_HANG_UP | Flags::ERROR) {
                readiness |= Readiness::WRITABLE;
            }
            if has(Flags::HANG_UP | Flags::WRITE_HANG_UP) {
                readiness |= Readiness::WRITE_CLOSED;
            }
        }
        if interest.contains(Interest::PRIORITY) && has(Flags::PRIORITY) {
            readiness |= Readiness::PRIORITY;
        }
        if !interest.is_empty() && has(Flags::ERROR | Flags::INVALID) {
            readiness |= if has(Flags::INVALID) {
                Readiness::INVALID
            } else {
                Readiness::ERROR
            };
        }
        readiness
    }
}
