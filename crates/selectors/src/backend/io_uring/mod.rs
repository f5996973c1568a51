//! Linux's `io_uring` as a readiness mechanism: each source is watched by a poll request, and everything there is to
//! tell the kernel goes with the wait, in one call.
//!
//! - **Level**: a request is answered once. What was reported is asked about again with the next wait, and if it is
//!   still ready, the answer is there at once. Nothing is lost by asking late, for a poll request looks before it
//!   waits.
//! - **Edge**: a request that is answered at every change, until it is cancelled.
//! - **One-shot**: a request that is answered once.
//!
//! Four surprises of the kernel, and what is done about them:
//!
//! - A poll request holds the *file*. A socket that is closed while it is watched stays open, and its peer learns
//!   nothing. So a cancellation goes to the kernel at once, before the source is given back.
//! - The answer to a request that had to wait is the *wake-up's* word for what happened, and wake-ups are generous:
//!   data on a socket says "priority" too, a pipe's last writer says "error" to the reader. The word is taken for input
//!   and output; what else it says is checked with one `poll(2)`, and so is every level-triggered source if a wake-up
//!   came while the caller was at work, since the caller may have taken the input already. One-shots are checked alike.
//!   Edges are not: they say what changed, and [`Capabilities`](crate::Capabilities) says so.
//! - The same wake-ups do not reach a request for priority alone. It asks for `RDBAND` too, which they carry.
//! - A ring that runs its work inside our call (the fast way) belongs to the thread that entered it first. A selector
//!   that has moved to another thread gets a new ring there, and all its sources are watched anew.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::PollFd;

use super::platform::{borrow, check_open, timespec};
use super::{BATCH, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

mod ring;
#[cfg(test)]
mod tests;
mod watched;

use ring::Ring;
use watched::Watched;

pub(crate) struct IoUring {
    ring: Ring,
    watched: Watched,
    /// Edges, and the waker's, that were found while a source was unregistered, between two waits: by the names of the
    /// requests, which are others if the interest is modified before the next wait.
    kept: Vec<(u64, Flags)>,
    /// The batch, and how much of it has been taken.
    batch: Vec<(Key, Flags)>,
    taken: usize,
    /// The entries to check, and the table to check them with.
    suspects: Vec<u32>,
    table: Vec<PollFd<'static>>,
}

/// How often to look for the answer to a cancellation. It comes with the first look, unless hundreds of wake-ups come
/// before it.
const LOOKS_MAX: usize = 1000;

impl IoUring {
    pub(super) fn new(waker: BorrowedFd<'_>) -> io::Result<IoUring> {
        Ok(IoUring::over(Ring::new()?, waker))
    }

    fn over(ring: Ring, waker: BorrowedFd<'_>) -> IoUring {
        IoUring {
            ring,
            watched: Watched::new(waker.as_raw_fd()),
            kept: Vec::new(),
            batch: Vec::with_capacity(BATCH + 1),
            taken: 0,
            suspects: Vec::with_capacity(BATCH),
            table: Vec::with_capacity(BATCH),
        }
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
            self.watched.add(descriptor, key, interest, trigger);
        }
        Ok(())
    }

    /// A descriptor that was closed in the meantime is reported as invalid by the next wait, as `poll` does it.
    pub(super) fn modify(
        &mut self,
        descriptor: RawFd,
        key: Key,
        (old, new): (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        if old.is_empty() {
            self.watched.add(descriptor, key, new, trigger);
        } else {
            self.watched.change(key, new);
        }
        Ok(())
    }

    pub(super) fn unregister(&mut self, _descriptor: RawFd, key: Key, _interest: Interest) {
        let stopped = self.watched.stop(key);
        if stopped.is_some() || self.watched.has_unwanted() || self.ring.has_requests() {
            self.cancel_at_once(stopped);
        }
    }

    /// A number is all that is known of a source that is not asked about, and the file all of one that is: whose number
    /// it is now cannot be told.
    pub(super) fn holds(&self, _descriptor: RawFd, _key: Key, _interest: Interest) -> bool {
        true
    }

    /// Nobody asks, for there are no strays.
    pub(super) fn has_fired(&self, _key: Key) -> bool {
        false
    }

    /// Requests are cancelled by their names, which works with a closed descriptor too.
    pub(super) fn may_report_strays(&self) -> bool {
        false
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.batch.clear();
        self.taken = 0;
        loop {
            match self.wait_in_this_thread(timeout) {
                Err(error) if belongs_to_another_thread(&error) => self.move_here()?,
                result => return result.map(|()| self.batch.len()),
            }
        }
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

    fn wait_in_this_thread(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        // Wake-ups from before this call: since then the caller may have taken what they were about.
        let late = self.ring.may_have_more() || self.ring.has_answers();
        let asked = match self.watched.ask(&mut self.ring) {
            Err(error) if belongs_to_another_thread(&error) => return Err(error),
            asked => asked,
        };
        self.take_kept();
        let mut twice = !self.batch.is_empty();
        let wanted = timeout.is_none_or(|timeout| !timeout.is_zero());
        let waits = wanted && asked.is_ok() && self.batch.is_empty() && !self.ring.has_answers();
        let outcome = if waits {
            self.ring.wait(timeout)
        } else {
            self.ring.look()
        };
        self.take_answers();
        while self.batch.len() < BATCH && self.ring.finds_more() {
            twice = true;
            self.take_answers();
        }
        if twice {
            self.merge();
        }
        match outcome {
            // Too many answers that nobody had taken; now somebody has.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) if self.batch.is_empty() => return Err(error),
            _ => {}
        }
        self.check(late);
        Ok(())
    }

    /// Takes answers into the batch, as many as it holds.
    fn take_answers(&mut self) {
        let IoUring {
            ring,
            watched,
            batch,
            ..
        } = self;
        if batch.len() < BATCH {
            ring.take(|answer| {
                batch.extend(watched.found(answer));
                batch.len() < BATCH
            });
        }
    }

    /// Has the kernel let go of a source, so that closing it closes it, and takes what else it answers meanwhile.
    #[cold]
    fn cancel_at_once(&mut self, name: Option<u64>) {
        if self
            .try_to_cancel(name)
            .is_err_and(|error| belongs_to_another_thread(&error))
        {
            // The old ring lets go of everything when it is closed. If there is no new one, the next wait says why.
            let _ = self.move_here();
        }
    }

    fn try_to_cancel(&mut self, name: Option<u64>) -> io::Result<()> {
        self.watched.cancel(&mut self.ring)?;
        let mut gone = name.is_none();
        for _ in 0..LOOKS_MAX {
            self.ring.look()?;
            let queued = self.watched.queue.len();
            let IoUring {
                ring,
                watched,
                kept,
                ..
            } = self;
            ring.take(|answer| {
                gone |= Some(answer.user_data()) == name;
                let name = answer.user_data();
                match watched.found(answer) {
                    Some((_, flags)) if watched.edge(name).is_some() => kept.push((name, flags)),
                    // The next wait looks afresh.
                    Some((key, _)) => watched.resume(key),
                    None => {}
                }
                true
            });
            // Those that were found first are to be asked about first, or the others would never have their turn.
            watched.queue.rotate_left(queued);
            if gone || !self.ring.may_have_more() {
                break;
            }
        }
        Ok(())
    }

    /// Puts what was found between the waits into the batch.
    fn take_kept(&mut self) {
        for (name, flags) in self.kept.drain(..self.kept.len().min(BATCH)) {
            if let Some(key) = self.watched.edge(name) {
                self.batch.push((key, flags));
            }
        }
    }

    /// Makes one entry of several about the same source: an edge that came between two looks.
    #[cold]
    fn merge(&mut self) {
        self.batch.sort_unstable_by_key(|(key, _)| *key);
        self.batch.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1.0 |= later.1.0;
            }
            same
        });
    }

    /// Replaces a ring that belongs to another thread.
    #[cold]
    fn move_here(&mut self) -> io::Result<()> {
        self.ring = Ring::new()?;
        self.watched.ask_all_again();
        Ok(())
    }

    /// Checks what needs to be checked, and corrects the batch: see the top of this file.
    fn check(&mut self, late: bool) {
        self.suspects.clear();
        self.table.clear();
        for (position, (key, flags)) in self.batch.iter().enumerate() {
            if let Some(row) = self.watched.row(*key)
                && (late && row.trigger != Trigger::Edge || flags.are_doubtful())
            {
                self.suspects.push(position as u32);
                let asked = Flags::asking(row.interest).poll();
                self.table
                    .push(PollFd::from_borrowed_fd(borrow(row.descriptor), asked));
            }
        }
        if self.suspects.is_empty() {
            return;
        }
        let now = timespec(Duration::ZERO);
        // Without the memory for this call they are told as they are.
        if rustix::io::retry_on_intr(|| rustix::event::poll(&mut self.table, Some(&now))).is_ok() {
            for (position, answer) in self.suspects.iter().zip(&self.table) {
                let (key, flags) = &mut self.batch[*position as usize];
                *flags = Flags(answer.revents().bits());
                if flags.0 == 0 {
                    self.watched.resume(*key);
                }
            }
            self.batch.retain(|(_, flags)| flags.0 != 0);
        }
    }
}

impl Drop for IoUring {
    /// Lets go of all sources, so that they are closed when they are dropped, and not some time later.
    fn drop(&mut self) {
        // A thread to which the ring does not belong can do nothing; the kernel then does it when the ring is closed.
        while self.watched.stop_all() && self.watched.cancel(&mut self.ring).is_ok() {
            let mut left = self.watched.rows();
            while left > 0 && self.ring.look().is_ok() && self.ring.may_have_more() {
                self.ring.take(|_| true);
                left -= 1;
            }
        }
    }
}

impl Flags {
    /// Whether a wake-up may have said more than is true. `RDHUP` is no wake-up's word.
    fn are_doubtful(self) -> bool {
        let has = |flags: u16| self.0 & flags != 0;
        let ended = has(Flags::ERROR | Flags::HANG_UP) && !has(Flags::READ_HANG_UP);
        ended || has(Flags::PRIORITY)
    }
}

/// What a call says to a thread that is not the ring's.
fn belongs_to_another_thread(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EEXIST)
}

/// Why `io_uring` does not work here.
///
/// Tried in a thread of its own, because a ring that is closed interrupts the thread it was made in, some milliseconds
/// later: a question would make calls fail that have nothing to do with it. What a sandbox forbids it forbids there too.
pub(super) fn check() -> Result<(), String> {
    let trial = std::thread::Builder::new().spawn(try_here);
    match trial.map(std::thread::JoinHandle::join) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => try_here(),
    }
}

fn try_here() -> Result<(), String> {
    let ring = Ring::new().map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has none (Linux 5.17 has all that is needed)".to_owned(),
        Some(libc::EPERM | libc::EACCES) => {
            format!("the system or a sandbox forbids it, see kernel.io_uring_disabled ({error})")
        }
        _ => error.to_string(),
    })?;
    ring.lacks()
        .map_or(Ok(()), |lack| Err(format!("this kernel's {lack}")))
}
