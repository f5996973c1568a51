//! Linux's `epoll`: the kernel keeps the set, and a wait costs in proportion to what is ready.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use rustix::io::Errno;

use self::set::Set;
use super::batch::Batch;
use super::one_shots::OneShots;
use super::platform::check_open;
use super::{BATCH, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

pub(super) mod set;

pub(crate) struct Epoll {
    set: Set,
    /// What the kernel refuses to watch because it never blocks.
    files: Vec<File>,
    /// The kernel disarms its entries by itself; which ones have to be known when the set is built anew.
    one_shots: OneShots,
    /// Whether there are neither: then a wait is what the kernel does, and nothing else.
    plain: bool,
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
    /// Whether it is to be reported: always when level-triggered, once per modification with edge and one-shot.
    armed: bool,
}

/// What a number says that has no file, or another one than before.
const CLOSED: Errno = Errno::BADF;

impl Epoll {
    pub(super) fn new(waker: BorrowedFd<'_>) -> io::Result<Epoll> {
        Ok(Epoll {
            set: Set::new(waker)?,
            files: Vec::new(),
            one_shots: OneShots::default(),
            plain: true,
            strays: false,
        })
    }

    #[inline]
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
        match self.set.add(descriptor, key.to_bits(), interest, trigger) {
            Err(Errno::PERM) => self.watch_file(key, interest, trigger),
            // It kept the entry of a source that was closed behind our back, because a duplicate was open, and now the
            // same file has the same number again.
            Err(Errno::EXIST) => {
                self.set.delete(descriptor)?;
                self.set.add(descriptor, key.to_bits(), interest, trigger)?;
            }
            result => result?,
        }
        self.arm(key, trigger);
        Ok(())
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
            if !self.set.refuses(descriptor) {
                self.forget(key);
                return Err(CLOSED.into());
            }
            file.interest = new;
            file.armed = true;
            self.arm(key, trigger);
            return Ok(());
        }
        match self.set.modify(descriptor, key.to_bits(), new, trigger) {
            // What has the number now is no file that was ever watched.
            Err(Errno::PERM) => return Err(CLOSED.into()),
            result => result?,
        }
        self.arm(key, trigger);
        Ok(())
    }

    #[inline]
    pub(super) fn unregister(&mut self, descriptor: RawFd, key: Key, interest: Interest) {
        if interest.is_empty() || !self.plain && self.forget(key) {
            return;
        }
        // Even if the descriptor is about to be closed: a duplicate elsewhere would keep the kernel's entry alive.
        self.strays |= self.set.delete(descriptor).is_err();
    }

    /// Forgets what the kernel does not know of a registration, and says whether it knows nothing.
    #[inline(never)]
    fn forget(&mut self, key: Key) -> bool {
        self.one_shots.forget(key);
        let file = self.files.iter().position(|file| file.key == key);
        let file = file.map(|position| self.files.swap_remove(position));
        self.plain = self.files.is_empty() && self.one_shots.is_empty();
        file.is_some()
    }

    /// The system knows everything already, or is told by the wait itself.
    pub(super) fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn holds(&self, descriptor: RawFd, key: Key, interest: Interest) -> bool {
        if interest.is_empty() {
            true
        } else if self.files.iter().any(|file| file.key == key) {
            self.set.refuses(descriptor)
        } else {
            self.set.holds(descriptor)
        }
    }

    pub(super) fn has_fired(&self, key: Key) -> bool {
        self.one_shots.has_fired(key)
    }

    pub(super) fn may_report_strays(&self) -> bool {
        self.strays
    }

    pub(super) fn most_entries(&self) -> usize {
        BATCH + self.files.len()
    }

    #[inline(always)]
    pub(super) fn wait(&mut self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        if self.plain {
            self.set.wait(batch.entries(), timeout)
        } else {
            self.wait_with_extras(batch, timeout)
        }
    }

    /// A wait where there is more to do than the kernel does.
    #[inline(never)]
    fn wait_with_extras(&mut self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        let ready = self
            .files
            .iter()
            .any(|file| file.armed && !file.flags().readiness(file.interest).is_empty());
        let timeout = if ready { Some(Duration::ZERO) } else { timeout };
        self.set.wait(batch.entries(), timeout)?;
        self.add_files(batch);
        for (key, _) in batch.iter() {
            self.one_shots.fire(key);
        }
        Ok(())
    }

    /// Watches what the kernel refuses to.
    #[inline(never)]
    fn watch_file(&mut self, key: Key, interest: Interest, trigger: Trigger) {
        self.files.push(File {
            key,
            interest,
            trigger,
            armed: true,
        });
        self.plain = false;
    }

    /// Notes that a registration was made or armed again.
    #[inline]
    fn arm(&mut self, key: Key, trigger: Trigger) {
        if trigger == Trigger::OneShot {
            self.one_shots.arm(key);
            self.plain = false;
        }
    }

    fn add_files(&mut self, batch: &mut Batch) {
        for file in &mut self.files {
            if std::mem::replace(&mut file.armed, file.trigger == Trigger::Level) {
                let flags = file.flags();
                if !flags.readiness(file.interest).is_empty() {
                    batch.push(file.key, flags);
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
