//! The kernel's own `kqueue`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::io::{Errno, FdFlags};

use super::entry::{Action, Entry, Filter, Queue};
use crate::backend::platform::timespec;

pub(crate) struct System(OwnedFd);

/// The kernel's structure. Its pointer is a number to us.
#[repr(transparent)]
pub(crate) struct Raw(libc::kevent);

// SAFETY: the pointer in it is never followed, neither here nor by the kernel: it holds a slot's number.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

// The numbers are the same everywhere.
const _: () = assert!(
    Action::ADD as u32 == libc::EV_ADD as u32
        && Action::DELETE as u32 == libc::EV_DELETE as u32
        && Action::ENABLE as u32 == libc::EV_ENABLE as u32
        && Action::DISABLE as u32 == libc::EV_DISABLE as u32
        && Action::DISPATCH as u32 == libc::EV_DISPATCH as u32
        && Action::CLEAR as u32 == libc::EV_CLEAR as u32
        && Action::RECEIPT as u32 == libc::EV_RECEIPT as u32
        && Action::ERROR as u32 == libc::EV_ERROR as u32
        && Action::EOF as u32 == libc::EV_EOF as u32
);

/// The filter for exceptional input, and what to ask it for.
#[cfg(not(any(target_os = "freebsd", target_os = "netbsd")))]
const PRIORITY: Option<(i64, u32)> = Some((libc::EVFILT_EXCEPT as i64, libc::NOTE_OOB));
#[cfg(any(target_os = "freebsd", target_os = "netbsd"))]
const PRIORITY: Option<(i64, u32)> = None;

const _: () = assert!(PRIORITY.is_some() == crate::backend::platform::KQUEUE_TELLS_PRIORITY);

impl Queue for System {
    type Raw = Raw;

    fn open() -> io::Result<System> {
        let queue = rustix::event::kqueue::kqueue()?;
        rustix::io::fcntl_setfd(&queue, FdFlags::CLOEXEC)?;
        Ok(System(queue))
    }

    fn write(entry: &Entry) -> Raw {
        let (filter, notes) = match (entry.filter, PRIORITY) {
            (Filter::Read, _) => (libc::EVFILT_READ as i64, 0),
            (Filter::Write, _) => (libc::EVFILT_WRITE as i64, 0),
            (Filter::Priority, Some(priority)) => priority,
            (Filter::Priority, None) => unreachable!("refused before it comes here"),
        };
        // SAFETY: all fields are numbers, and a pointer that may be null.
        let mut raw: libc::kevent = unsafe { std::mem::zeroed() };
        raw.ident = entry.descriptor as _;
        raw.filter = filter as _;
        raw.flags = entry.action as _;
        raw.fflags = notes;
        raw.udata = entry.token as usize as _;
        Raw(raw)
    }

    fn read(Raw(raw): &Raw) -> Entry {
        let action = raw.flags as u16;
        let filter = match raw.filter {
            libc::EVFILT_READ => Filter::Read,
            libc::EVFILT_WRITE => Filter::Write,
            _ => Filter::Priority,
        };
        let error = if action & Action::ERROR != 0 {
            raw.data as i32
        } else {
            raw.fflags as i32
        };
        // Exceptional input has its kind where the others have an error.
        let error = if filter == Filter::Priority && action & Action::ERROR == 0 {
            0
        } else {
            error
        };
        Entry {
            descriptor: raw.ident as _,
            filter,
            action,
            error,
            token: raw.udata as usize as u32,
        }
    }

    fn kevent(
        &self,
        changes: &[Raw],
        found: &mut Vec<Raw>,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        let timeout = timeout.map(timespec).map(|timeout| libc::timespec {
            tv_sec: timeout.tv_sec as _,
            tv_nsec: timeout.tv_nsec as _,
        });
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: both arrays are as long as is said, `Raw` being a transparent `struct kevent`; the timeout outlives
        // the call. Descriptors are only named: one that is not open is an error in its receipt.
        let count = unsafe {
            libc::kevent(
                self.0.as_raw_fd(),
                changes.as_ptr().cast(),
                changes.len() as _,
                found.as_mut_ptr().cast(),
                found.capacity() as _,
                timeout,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
        };
        // SAFETY: the kernel has written that many entries, which is not more than there is room for.
        unsafe { found.set_len(count) };
        Ok(())
    }
}
