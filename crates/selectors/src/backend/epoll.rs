//! Linux's `epoll`: the kernel keeps the set, and a wait costs in proportion to what is ready.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::platform::{borrow, check_open, timespec};
use super::{BATCH, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

pub(crate) struct Epoll {
    set: OwnedFd,
    /// The batch, and how much of it has been taken.
    events: Vec<Event>,
    taken: usize,
    /// What the kernel refuses to watch because it never blocks.
    files: Vec<File>,
    /// Whether the kernel has `epoll_pwait2`, as far as we know.
    nanoseconds: bool,
    /// Whether an entry could not be deleted, because its descriptor had been closed behind our back. If a duplicate
    /// keeps the file open, so it keeps the entry, and nothing but closing the whole set removes it.
    strays: bool,
}

/// A descriptor that `epoll` refuses (a regular file, a directory, `/dev/null`). `poll` calls it always ready for input
/// and output, and so do we.
struct File {
    key: Key,
    interest: Interest,
    trigger: Trigger,
    /// Whether it is to be reported: always with level trigger, once with edge trigger.
    armed: bool,
}

impl Epoll {
    pub(super) fn new(waker: BorrowedFd<'_>) -> io::Result<Epoll> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(
            &set,
            waker,
            EventData::new_u64(Key::NOTHING.to_bits()),
            EventFlags::IN,
        )?;
        Ok(Epoll {
            set,
            events: Vec::with_capacity(BATCH),
            taken: 0,
            files: Vec::new(),
            nanoseconds: true,
            strays: false,
        })
    }

    pub(super) fn register(
        &mut self,
        descriptor: RawFd,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        if interest.is_empty() {
            return check_open(descriptor);
        }
        let data = EventData::new_u64(key.to_bits());
        match epoll::add(
            &self.set,
            borrow(descriptor),
            data,
            asking(interest, trigger),
        ) {
            Err(Errno::PERM) => {
                self.files.push(File {
                    key,
                    interest,
                    trigger,
                    armed: true,
                });
                // Room for all of them in a batch, so that a wait allocates nothing.
                self.events
                    .reserve((BATCH + self.files.len()).saturating_sub(self.events.len()));
                Ok(())
            }
            result => Ok(result?),
        }
    }

    pub(super) fn modify(
        &mut self,
        descriptor: RawFd,
        key: Key,
        (old, new): (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        if old.is_empty() {
            return self.register(descriptor, key, new, trigger);
        }
        if new.is_empty() {
            // With an entry for nothing, hang-ups and errors would still be reported, at every wait.
            self.unregister(descriptor, key, old);
            return Ok(());
        }
        if let Some(file) = self.files.iter_mut().find(|file| file.key == key) {
            file.interest = new;
            file.armed = true;
            return Ok(());
        }
        let data = EventData::new_u64(key.to_bits());
        Ok(epoll::modify(
            &self.set,
            borrow(descriptor),
            data,
            asking(new, trigger),
        )?)
    }

    pub(super) fn unregister(&mut self, descriptor: RawFd, key: Key, interest: Interest) {
        if interest.is_empty() {
            return;
        }
        if let Some(position) = self.files.iter().position(|file| file.key == key) {
            self.files.swap_remove(position);
            return;
        }
        // Even if the descriptor is about to be closed: a duplicate elsewhere would keep the kernel's entry alive.
        self.strays |= epoll::delete(&self.set, borrow(descriptor)).is_err();
    }

    pub(super) fn holds(
        &self,
        descriptor: RawFd,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> bool {
        if interest.is_empty() || self.files.iter().any(|file| file.key == key) {
            return true;
        }
        // The kernel finds an entry by number and file. Asking for what we have already changes nothing else.
        let data = EventData::new_u64(key.to_bits());
        let probe = epoll::modify(
            &self.set,
            borrow(descriptor),
            data,
            asking(interest, trigger),
        );
        !matches!(probe, Err(Errno::NOENT | Errno::BADF))
    }

    pub(super) fn may_report_strays(&self) -> bool {
        self.strays
    }

    #[inline(always)]
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.events.clear();
        self.taken = 0;
        if self.files.is_empty() {
            self.wait_for_kernel(timeout)?;
        } else {
            let ready = self
                .files
                .iter()
                .any(|file| file.armed && !file.flags().readiness(file.interest).is_empty());
            self.wait_for_kernel(if ready { Some(Duration::ZERO) } else { timeout })?;
            self.add_files();
        }
        Ok(self.events.len())
    }

    pub(super) fn saw_waker(&self) -> bool {
        self.events
            .iter()
            .any(|event| event.data.u64() == Key::NOTHING.to_bits())
    }

    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<(Key, Flags)> {
        let Event { flags, data } = *self.events.get(self.taken)?;
        self.taken += 1;
        Some((Key::from_bits(data.u64()), Flags(flags.bits() as u16)))
    }

    #[inline(always)]
    fn wait_for_kernel(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if self.nanoseconds {
            let timeout = timeout.map(timespec);
            match epoll::wait(
                &self.set,
                rustix::buffer::spare_capacity(&mut self.events),
                timeout.as_ref(),
            ) {
                // Kernels before 5.11 do not have the call; some sandboxes refuse what they do not know.
                Err(Errno::NOSYS | Errno::PERM) => self.nanoseconds = false,
                result => return Ok(result.map(drop)?),
            }
        }
        self.wait_in_milliseconds(timeout)
    }

    /// `epoll_pwait`, for kernels before 5.11. A timeout too long for it ends early, and the selector waits again.
    /// Called by its number: the C library's function does more, as a point where a thread may be cancelled.
    fn wait_in_milliseconds(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let milliseconds = timeout.map_or(-1, |timeout| {
            i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let room = i32::try_from(self.events.capacity()).unwrap_or(i32::MAX);
        let buffer = self.events.as_mut_ptr().cast::<libc::epoll_event>();
        let no_signals: *const libc::sigset_t = std::ptr::null();
        // SAFETY: the vector is empty, and `room` is not more than its capacity. Both types are the kernel's struct
        // epoll_event, which the test below compares. Without a set of signals its size is not looked at.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait,
                self.set.as_raw_fd(),
                buffer,
                room,
                milliseconds,
                no_signals,
                0_usize,
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel has written that many events.
        unsafe { self.events.set_len(count) };
        Ok(())
    }

    fn add_files(&mut self) {
        for file in &mut self.files {
            if std::mem::replace(&mut file.armed, file.trigger == Trigger::Level) {
                let flags = file.flags();
                if !flags.readiness(file.interest).is_empty() {
                    let flags = EventFlags::from_bits_retain(flags.0.into());
                    self.events.push(Event {
                        flags,
                        data: EventData::new_u64(file.key.to_bits()),
                    });
                }
            }
        }
    }
}

impl File {
    fn flags(&self) -> Flags {
        Flags(Flags::asking(self.interest).0 & (Flags::IN | Flags::OUT))
    }
}

/// The flags to register with. They are the same numbers as those of `poll`, which a test checks.
fn asking(interest: Interest, trigger: Trigger) -> EventFlags {
    let flags = EventFlags::from_bits_retain(Flags::asking(interest).0.into());
    match trigger {
        Trigger::Level => flags,
        Trigger::Edge => flags | EventFlags::ET,
    }
}

/// Why `epoll` does not work here.
pub(super) fn check() -> io::Result<()> {
    epoll::create(CreateFlags::CLOEXEC)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::mem::{align_of, offset_of, size_of};
    use std::time::Instant;

    use super::super::Signal;
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
        assert_eq!(u32::from(Flags::ERROR), EventFlags::ERR.bits());
        assert_eq!(u32::from(Flags::HANG_UP), EventFlags::HUP.bits());
    }

    #[test]
    fn w4_an_old_kernel_waits_in_whole_milliseconds_rounded_up() {
        let signal = Signal::new().unwrap();
        let mut epoll = Epoll::new(signal.descriptor()).unwrap();
        epoll.nanoseconds = false;
        let start = Instant::now();
        assert_eq!(epoll.wait(Some(Duration::from_micros(1))).unwrap(), 0);
        assert!(
            start.elapsed() >= Duration::from_micros(999),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap(), 0);

        signal.raise().unwrap();
        for timeout in [
            None,
            Some(Duration::ZERO),
            Some(Duration::from_secs(50 * 24 * 60 * 60)),
        ] {
            assert_eq!(epoll.wait(timeout).unwrap(), 1);
            assert!(epoll.saw_waker());
            assert_eq!(epoll.next(), Some((Key::NOTHING, Flags(Flags::IN))));
            assert_eq!(epoll.next(), None);
        }
    }
}
