//! The mechanisms, and everything that differs between platforms.
//!
//! # The contract
//!
//! One file per mechanism, the same functions in the same order:
//!
//! - `new(waker)`: an empty set that also watches the waker's descriptor for input, level-triggered, under
//!   [`Key::NOTHING`].
//! - `register(descriptor, key, interest, trigger)`: from now on watches the descriptor and reports it by `key`. Errors
//!   come at once and leave nothing behind. With no interest the descriptor is checked to be open, and not watched.
//! - `modify(descriptor, key, (old, new), trigger)`: replaces the interest `old`, which is not `new`, unless it is to
//!   arm a one-shot again, fired or not, and then neither is empty. After an error the descriptor is not watched. A
//!   change never reaches another file that has got the descriptor's number where the mechanism can tell: an entry that
//!   the system forgot is an error, it is not made anew.
//! - `unregister(descriptor, key, interest)`: stops at once, and lets go of the file, so that whoever closes the source
//!   closes it. Never fails: a descriptor that was closed behind our back is gone already.
//! - `holds(descriptor, key, interest)`: whether the mechanism still watches the file it was told to, and nothing
//!   changes by asking. False only if it is sure that the descriptor was closed in the meantime.
//! - `has_fired(key)`: whether this is a one-shot that was in a batch and was not armed again. Asked only of mechanisms
//!   that may report strays.
//! - `may_report_strays()`: whether the system may go on reporting keys that were unregistered, because it does not let
//!   go of them; a new set is the only cure.
//! - `wait(timeout)`: waits and collects a batch; says how many entries it has, the waker's included. A one-shot that is
//!   in the batch is not watched any more, and one that is not still is. May end early with none. `EINTR` is returned as
//!   it is; the selector keeps the deadline. Allocates nothing.
//! - `saw_waker()`: whether the waker's descriptor is in the batch.
//! - `next()`: the next entry of the batch, as the system's [`Flags`]. May give the waker's, whose key names nothing.
//!
//! A batch is at most [`BATCH`] entries and a few more, so that no mechanism needs memory in proportion to what is
//! ready. Mechanisms that walk a table begin where the last batch ended, so that nobody is left out.
//!
//! Descriptors come as numbers. That they are open is the selector's business, which owns their sources; a source
//! that was closed behind its back is a number the system does not know, which it says (`EBADF`, `POLLNVAL`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFlags, Timespec, eventfd};
use rustix::io::Errno;

use crate::interest::{Interest, Trigger};
use crate::mechanism::Mechanism;
use crate::readiness::Readiness;
use crate::slab::Key;

#[cfg(not(target_os = "linux"))]
compile_error!("trunkline-selectors runs on Linux only so far; kqueue and Windows are to come");

mod epoll;
mod one_shots;
// All have the same functions, also where a table in memory refuses nothing and knows nothing but numbers.
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
mod io_uring;
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
mod poll;
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
mod select;
#[cfg(test)]
mod tests;

/// How many entries a batch has at most, but for those that never block.
pub(crate) const BATCH: usize = 1024;

/// The waker's token, where a mechanism carries a number for each descriptor: that of the key that names nothing.
pub(crate) const WAKER: u64 = Key::NOTHING.to_bits();

/// The mechanisms whose kernel takes registrations from one thread while another waits, and what they report: for the
/// raw door, which brings a table of its own to the others.
pub(crate) use epoll::set::{Entries, Set as Native};

/// The set of a mechanism that is one of those.
pub(crate) fn native(mechanism: Mechanism, waker: BorrowedFd<'_>) -> io::Result<Option<Native>> {
    match mechanism {
        Mechanism::Epoll => Native::new(waker).map(Some),
        _ => Ok(None),
    }
}

/// The mechanism in use. Its tag has a byte of its own: the compiler's choice, hidden in the first variant's fields,
/// takes seven instructions to read.
#[repr(u8)]
pub(crate) enum Backend {
    Epoll(epoll::Epoll),
    IoUring(Box<io_uring::IoUring>),
    Poll(poll::Poll),
    Select(select::Select),
}

/// Calls a function of the mechanism in use.
macro_rules! dispatch {
    ($backend:expr, $mechanism:ident => $call:expr) => {
        match $backend {
            Backend::Epoll($mechanism) => $call,
            Backend::IoUring($mechanism) => $call,
            Backend::Poll($mechanism) => $call,
            Backend::Select($mechanism) => $call,
        }
    };
}

impl Backend {
    pub(crate) fn new(mechanism: Mechanism, waker: BorrowedFd<'_>) -> io::Result<Backend> {
        match mechanism {
            Mechanism::Epoll => epoll::Epoll::new(waker).map(Backend::Epoll),
            Mechanism::IoUring => io_uring::IoUring::new(waker)
                .map(|io_uring| Backend::IoUring(Box::new(io_uring)))
                .map_err(|error| mechanism.check().err().map_or(error, Into::into)),
            Mechanism::Poll => Ok(Backend::Poll(poll::Poll::new(waker))),
            Mechanism::Select => Ok(Backend::Select(select::Select::new(waker))),
            Mechanism::Kqueue => Err(mechanism
                .check()
                .err()
                .map_or(io::ErrorKind::Unsupported.into(), Into::into)),
        }
    }

    pub(crate) fn register(
        &mut self,
        descriptor: RawFd,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        dispatch!(self, mechanism => mechanism.register(descriptor, key, interest, trigger))
    }

    pub(crate) fn modify(
        &mut self,
        descriptor: RawFd,
        key: Key,
        change: (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        dispatch!(self, mechanism => mechanism.modify(descriptor, key, change, trigger))
    }

    pub(crate) fn unregister(&mut self, descriptor: RawFd, key: Key, interest: Interest) {
        dispatch!(self, mechanism => mechanism.unregister(descriptor, key, interest));
    }

    pub(crate) fn holds(&self, descriptor: RawFd, key: Key, interest: Interest) -> bool {
        dispatch!(self, mechanism => mechanism.holds(descriptor, key, interest))
    }

    pub(crate) fn has_fired(&self, key: Key) -> bool {
        dispatch!(self, mechanism => mechanism.has_fired(key))
    }

    #[inline]
    pub(crate) fn may_report_strays(&self) -> bool {
        dispatch!(self, mechanism => mechanism.may_report_strays())
    }

    #[inline(always)]
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        match self {
            Backend::Epoll(epoll) => epoll.wait(timeout),
            _ => self.wait_otherwise(timeout),
        }
    }

    /// The default mechanism is told apart first, and its code alone goes into the caller's.
    #[inline(never)]
    fn wait_otherwise(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        dispatch!(self, mechanism => mechanism.wait(timeout))
    }

    #[inline]
    pub(crate) fn saw_waker(&self) -> bool {
        dispatch!(self, mechanism => mechanism.saw_waker())
    }

    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(Key, Flags)> {
        match self {
            Backend::Epoll(epoll) => epoll.next(),
            _ => self.next_otherwise(),
        }
    }

    #[inline(never)]
    fn next_otherwise(&mut self) -> Option<(Key, Flags)> {
        dispatch!(self, mechanism => mechanism.next())
    }
}

/// Why a mechanism does not work here.
pub(crate) fn check(mechanism: Mechanism) -> Result<(), String> {
    match mechanism {
        Mechanism::Epoll => epoll::set::check().map_err(|error| error.to_string()),
        Mechanism::IoUring => io_uring::check(),
        Mechanism::Poll | Mechanism::Select => Ok(()),
        Mechanism::Kqueue => Err("kqueue belongs to macOS and the BSDs, this is Linux".to_owned()),
    }
}

/// Whether a wait of this mechanism takes nanoseconds here: it is tried where it depends on the kernel.
pub(crate) fn takes_nanoseconds(mechanism: Mechanism) -> bool {
    match mechanism {
        Mechanism::Epoll => epoll::set::takes_nanoseconds(),
        Mechanism::IoUring | Mechanism::Poll | Mechanism::Select | Mechanism::Kqueue => true,
    }
}

/// What the system says about a descriptor: the flags of `poll`, which on Linux are those of `epoll` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    const IN: u16 = PollFlags::IN.bits();
    const PRIORITY: u16 = PollFlags::PRI.bits();
    const OUT: u16 = PollFlags::OUT.bits();
    const ERROR: u16 = PollFlags::ERR.bits();
    const HANG_UP: u16 = PollFlags::HUP.bits();
    const INVALID: u16 = PollFlags::NVAL.bits();
    const READ_HANG_UP: u16 = PollFlags::RDHUP.bits();

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
        let unasked = Flags::ERROR | Flags::HANG_UP | Flags::INVALID;
        Flags(self.0 & (Flags::asking(interest).0 | unasked))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What a mechanism would report of a descriptor whose registration it refused.
    pub(crate) fn refused(error: &io::Error) -> Flags {
        let closed = error.raw_os_error() == Some(Errno::BADF.raw_os_error());
        Flags(if closed { Flags::INVALID } else { Flags::ERROR })
    }

    fn poll(self) -> PollFlags {
        PollFlags::from_bits_retain(self.0)
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
        // Input is bit 0 here and there, output bit 2 here and bit 1 there.
        const { assert!(Flags::IN == 1 && Flags::OUT == 4) };
        (self.0 & !(Flags::IN | Flags::OUT) == 0)
            .then(|| Readiness::wanted((self.0 | self.0 >> 1) as u8 & 3, interest))
    }

    fn full_readiness(self, interest: Interest) -> Readiness {
        let has = |flags: u16| self.0 & flags != 0;
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
            if has(Flags::OUT | Flags::HANG_UP | Flags::ERROR) {
                readiness |= Readiness::WRITABLE;
            }
            if has(Flags::HANG_UP) {
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

/// What a waker raises and a mechanism watches: an eventfd.
pub(crate) struct Signal(OwnedFd);

impl Signal {
    pub(crate) fn new() -> io::Result<Signal> {
        Ok(Signal(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(crate) fn raise(&self) -> io::Result<()> {
        loop {
            match rustix::io::write(&self.0, &1_u64.to_ne_bytes()) {
                // A counter that is full is as raised as can be.
                Ok(_) | Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn clear(&self) {
        // A non-blocking eventfd has nothing to say but "not raised", which is what is wanted here.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

/// The system's form of a timeout. The selector asks for nothing that does not fit.
fn timespec(timeout: Duration) -> Timespec {
    Timespec {
        tv_sec: timeout.as_secs().cast_signed(),
        tv_nsec: timeout.subsec_nanos().into(),
    }
}

/// The place of a descriptor in a table. Descriptors from `AsFd` are never negative.
pub(crate) fn index(descriptor: RawFd) -> usize {
    descriptor.cast_unsigned() as usize
}

/// The descriptor at a place in a table.
fn descriptor_at(index: usize) -> RawFd {
    (index as u32).cast_signed()
}

/// A descriptor by its number.
fn borrow(descriptor: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the number is that of a source the selector owns (or that is lent to it), taken from `AsFd` and so not
    // -1, or one that came through the raw door, which refuses negative ones and has the caller promise that it stays
    // open. The selector unregisters it before it gives the source back. If somebody closed it all the same, by unsafe
    // means, the number is used only to name it to `epoll_ctl`, `poll`, `select` and `fcntl(F_GETFD)`, which answer
    // with an error, and which read and write nothing through it.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}

/// "It is registered already", as `epoll` says it.
pub(crate) fn exists() -> io::Error {
    Errno::EXIST.into()
}

/// "It is not registered", as `epoll` says it.
pub(crate) fn not_found() -> io::Error {
    Errno::NOENT.into()
}

/// "Not an open descriptor".
pub(crate) fn not_open() -> io::Error {
    Errno::BADF.into()
}

/// Says whether a descriptor is open, for mechanisms that would say so only at the next wait.
pub(crate) fn check_open(descriptor: RawFd) -> io::Result<()> {
    rustix::io::fcntl_getfd(borrow(descriptor))?;
    Ok(())
}
