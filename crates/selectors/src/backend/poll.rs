//! POSIX's `poll`: a table of descriptors, handed to the kernel at every wait.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::PollFd;

use super::platform::{borrow, check_open, timespec};
use super::{BATCH, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

pub(crate) struct Poll {
    /// The kernel's table. The waker is its first row.
    table: Vec<PollFd<'static>>,
    /// The key of each row.
    keys: Vec<Key>,
    /// The row of each key's slot.
    rows: Vec<u32>,
    /// The batch, and how much of it has been taken.
    batch: Vec<(Key, Flags)>,
    taken: usize,
    /// The row at which the next batch begins.
    start: usize,
}

/// Marks a slot that has no row.
const NO_ROW: u32 = u32::MAX;

impl Poll {
    pub(super) fn new(waker: BorrowedFd<'_>) -> Poll {
        Poll {
            table: vec![row(waker.as_raw_fd(), Interest::READ)],
            keys: vec![Key::NOTHING],
            rows: Vec::new(),
            batch: Vec::with_capacity(BATCH),
            taken: 0,
            start: 0,
        }
    }

    pub(super) fn register(
        &mut self,
        descriptor: RawFd,
        key: Key,
        interest: Interest,
        _level: Trigger,
    ) -> io::Result<()> {
        check_open(descriptor)?;
        if !interest.is_empty() {
            self.add(descriptor, key, interest);
        }
        Ok(())
    }

    pub(super) fn modify(
        &mut self,
        descriptor: RawFd,
        key: Key,
        (old, new): (Interest, Interest),
        _level: Trigger,
    ) -> io::Result<()> {
        if old.is_empty() {
            self.add(descriptor, key, new);
        } else if new.is_empty() {
            self.unregister(descriptor, key, old);
        } else {
            self.table[self.rows[key.index() as usize] as usize] = row(descriptor, new);
        }
        Ok(())
    }

    pub(super) fn unregister(&mut self, _descriptor: RawFd, key: Key, interest: Interest) {
        if interest.is_empty() {
            return;
        }
        let hole = std::mem::replace(&mut self.rows[key.index() as usize], NO_ROW);
        self.table.swap_remove(hole as usize);
        self.keys.swap_remove(hole as usize);
        if let Some(moved) = self.keys.get(hole as usize) {
            self.rows[moved.index() as usize] = hole;
        }
    }

    /// A number is all that `poll` has: whose it is now it cannot tell.
    pub(super) fn holds(
        &self,
        _descriptor: RawFd,
        _key: Key,
        _interest: Interest,
        _level: Trigger,
    ) -> bool {
        true
    }

    pub(super) fn may_report_strays(&self) -> bool {
        false
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.batch.clear();
        self.taken = 0;
        let ready = rustix::event::poll(&mut self.table, timeout.map(timespec).as_ref())?;
        let rows = self.table.len();
        let mut position = self.start % rows;
        for _ in 0..rows {
            if self.batch.len() == ready.min(BATCH) {
                break;
            }
            let flags = self.table[position].revents();
            if !flags.is_empty() {
                self.batch.push((self.keys[position], Flags::of(flags)));
            }
            position = if position + 1 == rows {
                0
            } else {
                position + 1
            };
        }
        self.start = position;
        Ok(self.batch.len())
    }

    pub(super) fn saw_waker(&self) -> bool {
        self.batch.iter().any(|(key, _)| *key == Key::NOTHING)
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<(Key, Flags)> {
        let entry = *self.batch.get(self.taken)?;
        self.taken += 1;
        Some(entry)
    }

    fn add(&mut self, descriptor: RawFd, key: Key, interest: Interest) {
        let slot = key.index() as usize;
        if self.rows.len() <= slot {
            self.rows.resize(slot + 1, NO_ROW);
        }
        self.rows[slot] = self.table.len() as u32;
        self.table.push(row(descriptor, interest));
        self.keys.push(key);
    }
}

fn row(descriptor: RawFd, interest: Interest) -> PollFd<'static> {
    PollFd::from_borrowed_fd(borrow(descriptor), Flags::asking(interest).poll())
}
