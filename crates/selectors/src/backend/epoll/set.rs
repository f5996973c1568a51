//! The kernel's set, through which one thread may register while another waits: under both the selector and the raw
//! door.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::super::batch::Entries;
use super::super::platform::{borrow, timespec};
use super::super::{Flags, WAKER};
use crate::interest::{Interest, Trigger};

pub(crate) struct Set {
    kernel: OwnedFd,
    /// Whether the kernel has `epoll_pwait2`, as far as we know.
    nanoseconds: AtomicBool,
}

impl Set {
    /// An empty set that watches the waker's descriptor.
    pub(crate) fn new(waker: BorrowedFd<'_>) -> io::Result<Set> {
        let kernel = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&kernel, waker, EventData::new_u64(WAKER), EventFlags::IN)?;
        Ok(Set {
            kernel,
            nanoseconds: AtomicBool::new(true),
        })
    }

    pub(crate) fn add(
        &self,
        descriptor: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> Result<(), Errno> {
        let data = EventData::new_u64(token);
        epoll::add(
            &self.kernel,
            borrow(descriptor),
            data,
            asking(interest, trigger),
        )
    }

    /// Replaces an entry, which is not made anew where the kernel has forgotten it.
    pub(crate) fn modify(
        &self,
        descriptor: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> Result<(), Errno> {
        if trigger == Trigger::Exclusive {
            // The kernel does not modify such an entry.
            self.delete(descriptor)?;
            return self.add(descriptor, token, interest, trigger);
        }
        let data = EventData::new_u64(token);
        epoll::modify(
            &self.kernel,
            borrow(descriptor),
            data,
            asking(interest, trigger),
        )
    }

    pub(crate) fn delete(&self, descriptor: RawFd) -> Result<(), Errno> {
        epoll::delete(&self.kernel, borrow(descriptor))
    }

    /// Whether there is an entry for the file that has this number now; true if that cannot be found out.
    pub(super) fn holds(&self, descriptor: RawFd) -> bool {
        !matches!(
            self.probe(descriptor),
            Ok(()) | Err(Errno::BADF | Errno::PERM)
        )
    }

    /// Whether the number is that of a file which the kernel does not watch because it never blocks.
    pub(super) fn refuses(&self, descriptor: RawFd) -> bool {
        self.probe(descriptor) == Err(Errno::PERM)
    }

    /// What the kernel says to another entry for the file that has this number now; there is none afterwards that was not
    /// there before.
    fn probe(&self, descriptor: RawFd) -> Result<(), Errno> {
        // The kernel finds an entry by number and file. Modifying would do as well, but arm a one-shot that has fired.
        let descriptor = borrow(descriptor);
        let data = EventData::new_u64(WAKER);
        epoll::add(&self.kernel, descriptor, data, EventFlags::empty())?;
        // This cannot fail: the descriptor is open.
        let _ = epoll::delete(&self.kernel, descriptor);
        Ok(())
    }

    /// Waits and collects as many entries as there is room for.
    #[inline(always)]
    pub(crate) fn wait(&self, entries: &mut Entries, timeout: Option<Duration>) -> io::Result<()> {
        entries.0.clear();
        match timeout {
            None => self.wait_in_milliseconds(entries, None),
            Some(timeout) => self.wait_until(entries, timeout),
        }
    }

    #[inline(never)]
    fn wait_until(&self, entries: &mut Entries, timeout: Duration) -> io::Result<()> {
        if self.nanoseconds.load(Ordering::Relaxed) && !timeout.is_zero() {
            match self.wait_in_nanoseconds(entries, timeout) {
                // Kernels before 5.11 do not have the call; some sandboxes refuse what they do not know.
                Err(error) if is_refusal(&error) => {
                    self.nanoseconds.store(false, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        // Rounded up. One too long for the call ends early, and the caller waits again.
        self.wait_in_milliseconds(entries, Some(timeout.min(LONGEST_IN_MILLISECONDS)))
    }

    /// `epoll_pwait`, which every kernel has: for a wait without an end or without waiting it is as good as the other.
    #[inline(always)]
    fn wait_in_milliseconds(
        &self,
        entries: &mut Entries,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let timeout = timeout.map(timespec);
        let room = rustix::buffer::spare_capacity(&mut entries.0);
        match epoll::wait(&self.kernel, room, timeout.as_ref()) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// `epoll_pwait2`, by its number: old C libraries do not have it.
    fn wait_in_nanoseconds(&self, entries: &mut Entries, timeout: Duration) -> io::Result<()> {
        let room = i32::try_from(entries.0.capacity()).unwrap_or(i32::MAX);
        let buffer = entries.0.as_mut_ptr().cast::<libc::epoll_event>();
        let timeout = timespec(timeout);
        let no_signals: *const libc::sigset_t = std::ptr::null();
        // SAFETY: the vector is empty, and `room` is not more than its capacity. Both types are the kernel's struct
        // epoll_event, which the test below compares; rustix's timespec is the kernel's with 64 bits, which is what
        // this call takes on every platform. Without a set of signals its size is not looked at.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.kernel.as_raw_fd(),
                buffer,
                room,
                &raw const timeout,
                no_signals,
                0_usize,
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel has written that many events.
        unsafe { entries.0.set_len(count) };
        Ok(())
    }
}

/// The flags to register with. They are the same numbers as those of `poll`, which a test checks.
fn asking(interest: Interest, trigger: Trigger) -> EventFlags {
    let flags = EventFlags::from_bits_retain(Flags::asking(interest).0.into());
    match trigger {
        Trigger::Level => flags,
        Trigger::Edge => flags | EventFlags::ET,
        Trigger::OneShot => flags | EventFlags::ONESHOT,
        // The kernel takes hardly anything beside it: input and output, and what comes without asking.
        Trigger::Exclusive => flags & (EventFlags::IN | EventFlags::OUT) | EventFlags::EXCLUSIVE,
    }
}

/// What `epoll_pwait` takes at most.
const LONGEST_IN_MILLISECONDS: Duration = Duration::from_millis(i32::MAX as u64);

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOSYS | Errno::PERM)
    )
}

/// Why `epoll` does not work here.
pub(in super::super) fn check() -> io::Result<()> {
    epoll::create(CreateFlags::CLOEXEC)?;
    Ok(())
}

/// Whether the kernel has `epoll_pwait2` and lets us call it.
pub(in super::super) fn takes_nanoseconds() -> bool {
    let Ok(kernel) = epoll::create(CreateFlags::CLOEXEC) else {
        return false;
    };
    let set = Set {
        kernel,
        nanoseconds: AtomicBool::new(true),
    };
    let mut entries = Entries::with_capacity(1);
    set.wait_in_nanoseconds(&mut entries, Duration::ZERO)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use std::mem::{align_of, offset_of, size_of};
    use std::time::Instant;

    use rustix::event::epoll::Event;

    use super::super::super::Signal;
    use super::*;

    #[test]
    fn the_two_names_of_the_kernels_event_are_one_layout() {
        assert_eq!(size_of::<Event>(), size_of::<libc::epoll_event>());
        assert_eq!(align_of::<Event>(), align_of::<libc::epoll_event>());
        assert_eq!(
            offset_of!(Event, flags),
            offset_of!(libc::epoll_event, events)
        );
        assert_eq!(offset_of!(Event, data), offset_of!(libc::epoll_event, u64));
    }

    #[test]
    fn the_flags_are_those_of_poll() {
        let all = Interest::READ | Interest::WRITE | Interest::PRIORITY;
        let expected = EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT | EventFlags::PRI;
        assert_eq!(asking(all, Trigger::Level), expected);
        assert_eq!(asking(all, Trigger::Edge), expected | EventFlags::ET);
        assert_eq!(
            asking(all, Trigger::OneShot),
            expected | EventFlags::ONESHOT
        );
        assert_eq!(
            asking(all, Trigger::Exclusive),
            EventFlags::IN | EventFlags::OUT | EventFlags::EXCLUSIVE
        );
        assert_eq!(u32::from(Flags::ERROR), EventFlags::ERR.bits());
        assert_eq!(u32::from(Flags::HANG_UP), EventFlags::HUP.bits());
    }

    #[test]
    fn w4_an_old_kernel_waits_in_whole_milliseconds_rounded_up() {
        let signal = Signal::new().unwrap();
        let set = Set::new(signal.descriptor()).unwrap();
        set.nanoseconds.store(false, Ordering::Relaxed);
        let mut entries = Entries::with_capacity(2);
        let mut wait = |timeout| {
            // One that is interrupted, as in a process that is stopped and continued, begins anew.
            while let Err(error) = set.wait(&mut entries, timeout) {
                assert_eq!(error.kind(), io::ErrorKind::Interrupted);
            }
            entries.iter().collect::<Vec<_>>()
        };
        let start = Instant::now();
        assert_eq!(wait(Some(Duration::from_micros(1))), []);
        assert!(
            start.elapsed() >= Duration::from_micros(999),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(wait(Some(Duration::ZERO)), []);

        signal.raise().unwrap();
        for timeout in [
            None,
            Some(Duration::ZERO),
            Some(Duration::from_secs(50 * 24 * 60 * 60)),
        ] {
            assert_eq!(wait(timeout), [(WAKER, Flags(Flags::IN))]);
        }
    }
}
