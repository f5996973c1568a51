//! What goes to the kernel and comes from it, in words that are the same on every system.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use rustix::io::Errno;

use super::Flags;

/// The kernel's side: a queue and the one call there is.
pub(crate) trait Queue: Sized {
    /// The kernel's own form of an entry.
    type Raw;

    fn open() -> io::Result<Self>;

    fn write(entry: &Entry) -> Self::Raw;

    fn read(raw: &Self::Raw) -> Entry;

    /// Applies `changes`, then waits for something to be ready, and fills `found`, which is empty, as far as its
    /// capacity goes. Receipts of changes come first and end the wait.
    fn kevent(
        &self,
        changes: &[Self::Raw],
        found: &mut Vec<Self::Raw>,
        timeout: Option<Duration>,
    ) -> Result<(), Errno>;
}

/// The direction that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Read,
    Write,
    /// Exceptional input, such as TCP's out-of-band data.
    Priority,
}

/// A change, its receipt, or what is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) descriptor: RawFd,
    pub(crate) filter: Filter,
    /// See [`Action`].
    pub(crate) action: u16,
    /// An error's number. In a receipt it is why the change was refused (0: it was not); with [`Action::EOF`] it is
    /// the error of the source (0: none).
    pub(crate) error: i32,
    /// The slot of the key.
    pub(crate) token: u32,
}

/// What to do, and what was found: the numbers are the same on all systems, which `system.rs` asserts.
pub(crate) struct Action;

impl Action {
    pub(crate) const ADD: u16 = 0x1;
    pub(crate) const DELETE: u16 = 0x2;
    pub(crate) const ENABLE: u16 = 0x4;
    pub(crate) const DISABLE: u16 = 0x8;
    /// Report once for each change.
    pub(crate) const CLEAR: u16 = 0x20;
    /// Answer with a receipt, whether the change is refused or not.
    pub(crate) const RECEIPT: u16 = 0x40;
    /// Report once, and then be disabled.
    pub(crate) const DISPATCH: u16 = 0x80;
    /// It is a receipt.
    pub(crate) const ERROR: u16 = 0x4000;
    /// The direction has ended.
    pub(crate) const EOF: u16 = 0x8000;
}

impl Entry {
    /// Why the change was refused, if this is its receipt and it was.
    pub(super) fn refusal(&self) -> Option<Errno> {
        let refused = self.action & Action::ERROR != 0 && self.error != 0;
        refused.then(|| Errno::from_raw_os_error(self.error))
    }

    /// What is ready, in the words of `poll`.
    pub(super) fn flags(&self, pipe: bool) -> Flags {
        let ended = self.action & Action::EOF != 0;
        let (ready, end) = match self.filter {
            Filter::Read => (Flags::IN, Flags::READ_HANG_UP),
            // A pipe without a reader is an error to `poll`, as it is to the one who writes.
            Filter::Write if pipe => (Flags::OUT, Flags::ERROR),
            Filter::Write => (Flags::OUT, Flags::WRITE_HANG_UP),
            Filter::Priority => (Flags::PRIORITY, 0),
        };
        let mut flags = ready;
        if ended {
            flags |= end;
            if self.error != 0 {
                flags |= Flags::ERROR;
            }
        }
        Flags(flags)
    }
}
