//! What Unix and Windows have by different names, in Unix's: descriptors, their flags, and what a waker raises.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFlags, Timespec};
use rustix::io::Errno;

use super::{Flags, NO_SLOT};
use crate::interest::Interest;

pub use std::os::fd::AsFd as AsSource;
pub(crate) use std::os::fd::BorrowedFd as Borrowed;
pub use std::os::fd::RawFd as Descriptor;

/// What the system answers when it does not know a descriptor.
pub(crate) const BAD_DESCRIPTOR: i32 = Errno::BADF.raw_os_error();

/// The descriptor of a source.
#[inline]
pub(crate) fn descriptor_of(source: &impl AsSource) -> Descriptor {
    source.as_fd().as_raw_fd()
}

/// The slot of the registration of each descriptor. Unix gives the lowest free number, so a plain table it is.
#[derive(Default)]
pub(crate) struct Slots(Vec<u32>);

impl Slots {
    /// Makes room for a descriptor: before anything is put there.
    #[inline]
    pub(crate) fn reserve(&mut self, descriptor: Descriptor) {
        if self.0.len() <= index(descriptor) {
            self.grow(index(descriptor) + 1);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.0
            .reserve_exact((needed - self.0.len()).max(self.0.len() / 4));
        self.0.resize(needed, NO_SLOT);
    }

    #[inline]
    pub(crate) fn put(&mut self, descriptor: Descriptor, slot: u32) {
        self.0[index(descriptor)] = slot;
    }

    #[inline]
    pub(crate) fn remove(&mut self, descriptor: Descriptor) {
        self.0[index(descriptor)] = NO_SLOT;
    }

    /// The descriptor's slot, or [`NO_SLOT`].
    #[inline]
    pub(crate) fn get(&self, descriptor: Descriptor) -> u32 {
        self.0.get(index(descriptor)).copied().unwrap_or(NO_SLOT)
    }
}

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "illumos"
))]
mod half_close {
    use rustix::event::PollFlags;

    /// The word of `poll` for "the peer sends no more", and what to ask for to hear it.
    pub(super) const READ_HANG_UP: PollFlags = PollFlags::RDHUP;
    pub(super) const ASKED: PollFlags = PollFlags::RDHUP;
    pub(super) const TOLD: bool = true;
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "illumos"
)))]
mod half_close {
    use rustix::event::PollFlags;

    /// Here `poll` has no word for it: a half-close is input without data. The bit is ours, the system never sees it.
    pub(super) const READ_HANG_UP: PollFlags = PollFlags::from_bits_retain(0x2000);
    pub(super) const ASKED: PollFlags = PollFlags::empty();
    /// But for Apple's systems, which have a hang-up for it.
    pub(super) const TOLD: bool = cfg!(target_vendor = "apple");
}

/// What `poll` may be asked for.
const ASKABLE: PollFlags = PollFlags::IN
    .union(PollFlags::OUT)
    .union(PollFlags::PRI)
    .union(half_close::ASKED);

impl Flags {
    pub(super) const IN: u16 = Flags::of(PollFlags::IN).0;
    pub(super) const PRIORITY: u16 = Flags::of(PollFlags::PRI).0;
    pub(super) const OUT: u16 = Flags::of(PollFlags::OUT).0;
    pub(super) const ERROR: u16 = Flags::of(PollFlags::ERR).0;
    pub(super) const HANG_UP: u16 = Flags::of(PollFlags::HUP).0;
    pub(super) const INVALID: u16 = Flags::of(PollFlags::NVAL).0;
    pub(super) const READ_HANG_UP: u16 = Flags::of(half_close::READ_HANG_UP).0;

    /// What `poll` answers: the same bits, which are signed in some systems' headers.
    pub(super) const fn of(flags: PollFlags) -> Flags {
        Flags(flags.bits() as _)
    }

    /// What to ask `poll` for.
    pub(super) fn poll(self) -> PollFlags {
        PollFlags::from_bits_retain(self.0 as _) & ASKABLE
    }

    /// What the flags mean to somebody with this interest, where that is not what they mean on Linux.
    pub(super) fn translated(self, interest: Interest) -> Flags {
        if cfg!(target_vendor = "apple") {
            self.with_half_close_told(interest)
        } else {
            self
        }
    }

    /// On Apple's systems `POLLHUP` means that one direction has ended, and hides `POLLOUT`. Whoever reads is told of
    /// the end of input, which is what it means with very few exceptions; whoever writes too may try.
    fn with_half_close_told(self, interest: Interest) -> Flags {
        if self.0 & Flags::HANG_UP == 0 || !interest.contains(Interest::READ) {
            return self;
        }
        Flags(self.0 & !Flags::HANG_UP | Flags::IN | Flags::READ_HANG_UP | Flags::OUT)
    }
}

/// What a waker raises and a mechanism watches: an eventfd.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) struct Signal(std::os::fd::OwnedFd);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Signal {
    pub(crate) fn new() -> io::Result<Signal> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Signal(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    fn ends(&self) -> (&impl AsSource, &impl AsSource) {
        (&self.0, &self.0)
    }
}

/// What a waker raises and a mechanism watches: a pipe, which every Unix has.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) struct Signal(std::io::PipeReader, std::io::PipeWriter);

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Signal {
    pub(crate) fn new() -> io::Result<Signal> {
        let (reader, writer) = std::io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        Ok(Signal(reader, writer))
    }

    fn ends(&self) -> (&impl AsSource, &impl AsSource) {
        (&self.0, &self.1)
    }
}

impl Signal {
    pub(crate) fn descriptor(&self) -> Borrowed<'_> {
        self.ends().0.as_fd()
    }

    pub(crate) fn raise(&self) -> io::Result<()> {
        loop {
            match rustix::io::write(self.ends().1, &1_u64.to_ne_bytes()) {
                // A counter or a pipe that is full is as raised as can be.
                Ok(_) | Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn clear(&self) {
        // It does not block, and has nothing to say but "not raised", which is what is wanted here. The waker raises
        // it once before it is cleared, so what one raise wrote is all there is. Left raised it would end every wait.
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(self.ends().0, &mut [0_u8; 8]));
    }
}

/// The longest that every system agrees to wait: some count in milliseconds, some refuse more than three years. A
/// wait that ends early is begun again by the selector.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const LONGEST_WAIT: Duration = Duration::from_millis(i32::MAX as u64);
/// Linux takes whatever fits.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LONGEST_WAIT: Duration = Duration::MAX;

/// The system's form of a timeout. The selector asks for nothing that does not fit.
pub(super) fn timespec(timeout: Duration) -> Timespec {
    let timeout = timeout.min(LONGEST_WAIT);
    Timespec {
        tv_sec: timeout.as_secs().cast_signed(),
        tv_nsec: timeout.subsec_nanos().into(),
    }
}

/// The place of a descriptor in a table. Descriptors from `AsFd` are never negative.
pub(super) fn index(descriptor: RawFd) -> usize {
    descriptor.cast_unsigned() as usize
}

/// A descriptor by its number.
pub(super) fn borrow(descriptor: RawFd) -> Borrowed<'static> {
    // SAFETY: the number is that of a source the selector owns (or that is lent to it), taken from `AsFd` and so not
    // -1, or one that came through the raw door, which refuses negative ones and has the caller promise that it stays
    // open. The selector unregisters it before it gives the source back. If somebody closed it all the same, by unsafe
    // means, the number is used only to name it to `epoll_ctl`, `poll`, `select`, `kevent`, `fstat`, `isatty` and
    // `fcntl(F_GETFD)`, which answer with an error, and which read and write nothing through it.
    unsafe { Borrowed::borrow_raw(descriptor) }
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

/// Whether the number could be a descriptor's.
pub(crate) fn is_descriptor(number: Descriptor) -> bool {
    number >= 0
}

/// Whether `poll` and `select` keep their timeouts to the nanosecond, here as `ppoll` and `pselect`.
pub(super) const POLL_TAKES_NANOSECONDS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "dragonfly"
));
pub(super) const SELECT_TAKES_NANOSECONDS: bool =
    cfg!(any(target_os = "linux", target_os = "android"));

/// Whether `poll` tells a half-close from input.
pub(super) const POLL_TELLS_HALF_CLOSE: bool = half_close::TOLD;
/// Whether `kqueue` has a filter for priority input, here or, if it is not here, on most systems.
pub(super) const KQUEUE_TELLS_PRIORITY: bool =
    !cfg!(any(target_os = "freebsd", target_os = "netbsd"));
/// Whether the end of both directions is told, and the end of input while there is still input.
pub(crate) const TELLS_HANG_UP: bool = true;
pub(crate) const TELLS_END_BESIDE_DATA: bool = true;

/// Says whether a descriptor is open, for mechanisms that would say so only at the next wait.
pub(crate) fn check_open(descriptor: RawFd) -> io::Result<()> {
    rustix::io::fcntl_getfd(borrow(descriptor))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Readiness;

    #[test]
    fn apples_hang_up_is_the_end_of_input_to_whoever_reads() {
        let answer = Flags(Flags::HANG_UP);
        let both = Interest::READ | Interest::WRITE;
        assert_eq!(
            answer.with_half_close_told(both).readiness(both),
            Readiness::READABLE | Readiness::WRITABLE | Readiness::READ_CLOSED
        );
        let reader = answer.with_half_close_told(Interest::READ);
        assert_eq!(
            reader.readiness(Interest::READ),
            Readiness::READABLE | Readiness::READ_CLOSED
        );
        assert_eq!(answer.with_half_close_told(Interest::WRITE), answer);
        let input = Flags(Flags::IN);
        assert_eq!(input.with_half_close_told(both), input);
    }

    #[test]
    fn what_only_we_know_is_not_asked_for() {
        let all = Interest::READ | Interest::WRITE | Interest::PRIORITY;
        assert_eq!(Flags::asking(all).poll(), ASKABLE);
    }
}
