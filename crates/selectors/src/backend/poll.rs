//! POSIX's `poll`: a table of descriptors, handed to the kernel at every wait.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::PollFd;

use super::batch::Batch;
use super::one_shots::OneShots;
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
    one_shots: OneShots,
    /// The row at which the next batch begins.
    start: usize,
}

/// Marks a slot that has no row.
const NO_ROW: u32 = u32::MAX;

impl Poll {
    pub(super) fn new(waker: BorrowedFd<'_>) -> io::Result<Poll> {
        Ok(Poll {
            table: vec![row(waker.as_raw_fd(), Interest::READ)],
            keys: vec![Key::NOTHING],
            rows: Vec::new(),
            one_shots: OneShots::default(),
            start: 0,
        })
    }

    pub(super) fn register(
        &mut self,
        descriptor: RawFd,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        check_open(descriptor)?;
        if !interest.is_empty() {
            self.put(descriptor, key, interest, trigger);
        }
        Ok(())
    }

    pub(super) fn modify(
        &mut self,
        descriptor: RawFd,
        key: Key,
        (old, new): (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        if new.is_empty() {
            self.unregister(descriptor, key, old);
        } else {
            self.put(descriptor, key, new, trigger);
        }
        Ok(())
    }

    pub(super) fn unregister(&mut self, _descriptor: RawFd, key: Key, interest: Interest) {
        if interest.is_empty() {
            return;
        }
        self.one_shots.forget(key);
        self.remove(key);
    }

    /// The system knows everything already, or is told by the wait itself.
    pub(super) fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// A number is all that `poll` has: whose it is now it cannot tell.
    pub(super) fn holds(&self, _descriptor: RawFd, _key: Key, _interest: Interest) -> bool {
        true
    }

    pub(super) fn has_fired(&self, key: Key) -> bool {
        self.one_shots.has_fired(key)
    }

    pub(super) fn may_report_strays(&self) -> bool {
        false
    }

    pub(super) fn wait(&mut self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        let ready = rustix::event::poll(&mut self.table, timeout.map(timespec).as_ref())?;
        let rows = self.table.len();
        let mut position = self.start % rows;
        for _ in 0..rows {
            if batch.len() == ready.min(BATCH) {
                break;
            }
            let flags = self.table[position].revents();
            if !flags.is_empty() {
                batch.push(self.keys[position], Flags::of(flags));
            }
            position = if position + 1 == rows {
                0
            } else {
                position + 1
            };
        }
        self.start = position;
        if !self.one_shots.is_empty() {
            self.disarm(batch);
        }
        Ok(())
    }

    /// The key's row from now on, new or not.
    fn put(&mut self, descriptor: RawFd, key: Key, interest: Interest, trigger: Trigger) {
        if trigger == Trigger::OneShot {
            self.one_shots.arm(key);
        }
        let slot = key.index() as usize;
        if self.rows.len() <= slot {
            self.rows.resize(slot + 1, NO_ROW);
        }
        let row = row(descriptor, interest);
        if let Some(present) = self.table.get_mut(self.rows[slot] as usize) {
            *present = row;
            return;
        }
        self.rows[slot] = self.table.len() as u32;
        self.table.push(row);
        self.keys.push(key);
    }

    /// Takes the key's row out, if it has one: a one-shot that has fired has none.
    fn remove(&mut self, key: Key) {
        let hole = std::mem::replace(&mut self.rows[key.index() as usize], NO_ROW) as usize;
        if hole >= self.table.len() {
            return;
        }
        self.table.swap_remove(hole);
        self.keys.swap_remove(hole);
        if let Some(moved) = self.keys.get(hole) {
            self.rows[moved.index() as usize] = hole as u32;
        }
    }

    /// Takes the one-shots out that are in the batch.
    fn disarm(&mut self, batch: &Batch) {
        for (key, _) in batch.iter() {
            if self.one_shots.fire(key) {
                self.remove(key);
            }
        }
    }
}

fn row(descriptor: RawFd, interest: Interest) -> PollFd<'static> {
    PollFd::from_borrowed_fd(borrow(descriptor), Flags::asking(interest).poll())
}
