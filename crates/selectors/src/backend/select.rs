//! POSIX's `select`: three sets of descriptors as bitmaps, which grow with the highest descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::{FdSetElement, PollFd};
use rustix::io::Errno;

use super::batch::Batch;
use super::one_shots::OneShots;
use super::platform::{borrow, check_open, index, timespec};
use super::{BATCH, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

pub(crate) struct Select {
    /// Who is watched for input, output and exceptional input.
    watched: Sets,
    /// A copy for the kernel, which leaves in it who is ready.
    ready: Sets,
    /// The key of each descriptor.
    keys: Vec<Key>,
    one_shots: OneShots,
    /// The ready descriptors, for `poll` to say what they are ready for.
    table: Vec<PollFd<'static>>,
    /// The descriptor at which the next batch begins.
    start: RawFd,
}

impl Select {
    pub(super) fn new(waker: BorrowedFd<'_>) -> io::Result<Select> {
        let mut select = Select {
            watched: Sets::default(),
            ready: Sets::default(),
            keys: Vec::new(),
            one_shots: OneShots::default(),
            table: Vec::with_capacity(BATCH),
            start: 0,
        };
        select.grow(waker.as_raw_fd());
        select.keys[index(waker.as_raw_fd())] = Key::NOTHING;
        select.watched.put(waker.as_raw_fd(), Interest::READ);
        Ok(select)
    }

    pub(super) fn register(
        &mut self,
        descriptor: RawFd,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        check_open(descriptor)?;
        self.grow(descriptor);
        self.put(descriptor, key, interest, trigger);
        Ok(())
    }

    pub(super) fn modify(
        &mut self,
        descriptor: RawFd,
        key: Key,
        (_old, new): (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        self.put(descriptor, key, new, trigger);
        Ok(())
    }

    pub(super) fn unregister(&mut self, descriptor: RawFd, key: Key, _interest: Interest) {
        self.one_shots.forget(key);
        self.watched.put(descriptor, Interest::NONE);
        self.keys[index(descriptor)] = Key::NOTHING;
    }

    /// The system knows everything already, or is told by the wait itself.
    pub(super) fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// A number is all that `select` has: whose it is now it cannot tell.
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
        let bound = self.watched.bound();
        self.ready.copy_from(&self.watched);
        match self.ready.select(bound, timeout) {
            Ok(0) => return Ok(()),
            // One of them is not open, and the call does not say which: `poll` does, so all are asked about.
            Err(Errno::BADF) => self.ready.copy_from(&self.watched),
            result => drop(result?),
        }
        // As many as a table holds may not be ready if all are asked about.
        for _ in 0..=index(bound) / BATCH {
            self.classify(batch, bound)?;
            if !batch.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Asks `poll` what the descriptors found are ready for: `select` itself cannot tell input from a hang-up.
    fn classify(&mut self, batch: &mut Batch, bound: RawFd) -> io::Result<()> {
        self.collect(bound);
        loop {
            match rustix::event::poll(&mut self.table, Some(&timespec(Duration::ZERO))) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for row in &self.table {
            let flags = row.revents();
            if !flags.is_empty() {
                let descriptor = row.as_fd().as_raw_fd();
                let key = self.keys[index(descriptor)];
                batch.push(key, Flags::of(flags));
                if !self.one_shots.is_empty() && self.one_shots.fire(key) {
                    self.watched.put(descriptor, Interest::NONE);
                }
            }
        }
        Ok(())
    }

    /// Fills the table with the descriptors found, from where the last batch ended, as far as there is room.
    fn collect(&mut self, bound: RawFd) {
        self.table.clear();
        let start = std::mem::take(&mut self.start).min(bound);
        for (from, to) in [(start, bound), (0, start)] {
            let mut next = from;
            while let Some(descriptor) = self.ready.first(next, to) {
                if self.table.len() == BATCH {
                    self.start = descriptor;
                    return;
                }
                let flags = Flags::asking(self.watched.interest(descriptor));
                self.table
                    .push(PollFd::from_borrowed_fd(borrow(descriptor), flags.poll()));
                next = descriptor + 1;
            }
        }
    }

    fn put(&mut self, descriptor: RawFd, key: Key, interest: Interest, trigger: Trigger) {
        if trigger == Trigger::OneShot {
            self.one_shots.arm(key);
        }
        self.keys[index(descriptor)] = key;
        self.watched.put(descriptor, interest);
    }

    fn grow(&mut self, descriptor: RawFd) {
        if self.keys.len() <= index(descriptor) {
            self.keys.resize(index(descriptor) + 1, Key::NOTHING);
            self.watched.grow(descriptor);
            self.ready.grow(descriptor);
        }
    }
}

/// Three bitmaps of the same size, indexed by descriptor: for input, output and exceptional input.
#[derive(Default)]
struct Sets([Vec<usize>; 3]);

/// The interest that each bitmap stands for.
const INTERESTS: [Interest; 3] = [Interest::READ, Interest::WRITE, Interest::PRIORITY];

/// How many of the kernel's words, 32 or 64 bits wide, are one of ours.
const RATIO: usize = size_of::<usize>() / size_of::<FdSetElement>();

// Where they are narrower than ours, the lower half must come first in memory.
const _: () = assert!(RATIO == 1 || RATIO == 2 && cfg!(target_endian = "little"));
const _: () = assert!(align_of::<FdSetElement>() <= align_of::<usize>());

impl Sets {
    fn grow(&mut self, descriptor: RawFd) {
        for set in &mut self.0 {
            set.resize(word(descriptor) + 1, 0);
        }
    }

    fn put(&mut self, descriptor: RawFd, interest: Interest) {
        for (set, kind) in self.0.iter_mut().zip(INTERESTS) {
            if interest.contains(kind) {
                set[word(descriptor)] |= bit(descriptor);
            } else {
                set[word(descriptor)] &= !bit(descriptor);
            }
        }
    }

    fn interest(&self, descriptor: RawFd) -> Interest {
        let present = self
            .0
            .iter()
            .zip(INTERESTS)
            .filter(|(set, _)| set[word(descriptor)] & bit(descriptor) != 0);
        present.fold(Interest::NONE, |interest, (_, kind)| interest | kind)
    }

    fn copy_from(&mut self, other: &Sets) {
        for (set, other) in self.0.iter_mut().zip(&other.0) {
            set.copy_from_slice(other);
        }
    }

    /// The first descriptor between `from` and `to` that is in any of the three sets.
    fn first(&self, from: RawFd, to: RawFd) -> Option<RawFd> {
        let mut skipped = bit(from) - 1;
        for index in word(from)..self.0[0].len().min(word(to) + 1) {
            let found = self.union(index) & !std::mem::take(&mut skipped);
            if found != 0 {
                let descriptor = index * usize::BITS as usize + found.trailing_zeros() as usize;
                return Some(descriptor_at(descriptor)).filter(|descriptor| *descriptor < to);
            }
        }
        None
    }

    /// One more than the highest descriptor in any of the three sets.
    fn bound(&self) -> RawFd {
        let last = (0..self.0[0].len())
            .rev()
            .find(|index| self.union(*index) != 0);
        last.map_or(0, |index| {
            let used = usize::BITS - self.union(index).leading_zeros();
            descriptor_at(index * usize::BITS as usize + used as usize)
        })
    }

    fn union(&self, index: usize) -> usize {
        self.0.iter().fold(0, |union, set| union | set[index])
    }

    /// The system call: leaves in the sets who is ready, and says how many bits that is.
    fn select(&mut self, bound: RawFd, timeout: Option<Duration>) -> Result<i32, Errno> {
        let [input, output, exceptional] = &mut self.0;
        let timeout = timeout.map(timespec);
        // SAFETY: the bitmaps have a bit for each descriptor below `bound`, which rustix checks too. A descriptor that
        // is not open makes the call fail with `EBADF`; nothing is read or written through any of them.
        unsafe {
            rustix::event::select(
                bound,
                Some(elements(input)),
                Some(elements(output)),
                Some(elements(exceptional)),
                timeout.as_ref(),
            )
        }
    }
}

fn word(descriptor: RawFd) -> usize {
    index(descriptor) / usize::BITS as usize
}

fn bit(descriptor: RawFd) -> usize {
    1 << (index(descriptor) % usize::BITS as usize)
}

/// The descriptor at a place in a table.
fn descriptor_at(index: usize) -> RawFd {
    (index as u32).cast_signed()
}

/// The kernel's name for our words.
fn elements(words: &mut [usize]) -> &mut [FdSetElement] {
    // SAFETY: `FdSetElement` is a transparent integer, of which the assertions above found that `RATIO` are as wide as
    // a `usize` and aligned no more strictly; every bit pattern is valid for both.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * RATIO) }
}

/// Why `select` does not work here: it does.
pub(super) fn check() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_find_what_was_put_into_them() {
        let mut sets = Sets::default();
        assert_eq!((sets.bound(), sets.first(0, 0)), (0, None));
        sets.grow(200);
        let members = [
            (0, Interest::READ),
            (63, Interest::WRITE),
            (64, Interest::PRIORITY),
            (200, Interest::READ),
        ];
        for (descriptor, interest) in members {
            sets.put(descriptor, interest);
        }
        assert_eq!(sets.bound(), 201);
        let mut next = 0;
        for (descriptor, interest) in members {
            assert_eq!(sets.first(next, 201), Some(descriptor));
            assert_eq!(sets.first(next, descriptor), None);
            assert_eq!(sets.interest(descriptor), interest);
            next = descriptor + 1;
        }
        assert_eq!(sets.first(next, 201), None);
        sets.put(200, Interest::NONE);
        assert_eq!(sets.bound(), 65);
        assert_eq!(sets.interest(200), Interest::NONE);
    }
}
