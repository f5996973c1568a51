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
//!   nothing. A cancellation goes with the next wait all the same, for a call of its own would cost more than the
//!   registration; [`Capabilities`](crate::Capabilities) says so, and [`Selector::apply`](crate::Selector::apply) is for
//!   those who cannot wait. No call sleeps that hands over a cancellation: one that fails because the source is being
//!   woken at that very time is repeated before.
//! - The answer to a request that had to wait is the *wake-up's* word for what happened, and wake-ups are generous:
//!   data on a socket says "priority" too, a pipe's last writer says "error" to the reader. The word is taken for input
//!   and output; what else it says is checked with one `poll(2)`. And it is the word of that time: the owner may have
//!   taken the input since, which the capabilities say too. What was reported is asked about afresh, and such a request
//!   begins with a look, so whoever reads only what was reported never meets this.
//! - The same wake-ups do not reach a request for priority alone. It asks for `RDBAND` too, which they carry.
//! - A ring that runs its work inside our call (the fast way) belongs to the thread that entered it first. A selector
//!   that has moved to another thread gets a new ring there, and all its sources are watched anew.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::PollFd;
use rustix::io::{Errno, retry_on_intr};

use super::batch::Batch;
use super::platform::{borrow, timespec};
use super::{BATCH, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

mod queues;
mod ring;
#[cfg(test)]
mod tests;
mod watched;

use ring::Ring;
use watched::{Request, Watched};

pub(crate) struct IoUring {
    ring: Ring,
    watched: Watched,
    /// Edges, and the waker's, that were found while a source was unregistered or modified, between two waits.
    kept: Vec<(Key, Flags)>,
    /// The entries to check, and the table to check them with.
    suspects: Vec<u32>,
    table: Vec<PollFd<'static>>,
}

/// How many sources the kernel may hold on to after they were unregistered: as many as can be cancelled in one call. With
/// eight times as many, the last first, ten thousand would go in three quarters of the time: the kernel has 256 lists for
/// them, and begins with the newest.
const HELD_MAX: usize = ring::REQUESTS as usize;

/// How often to look for the answers to cancellations. They come with the first look, unless hundreds of wake-ups come
/// before them.
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
            return Ok(());
        }
        if self.ring.has_answers() {
            self.keep_all_answers();
        }
        self.watched.change(key, new);
        Ok(())
    }

    pub(super) fn unregister(&mut self, _descriptor: RawFd, key: Key, _interest: Interest) {
        self.watched.stop(key);
        if self.watched.unwanted() >= HELD_MAX {
            // What goes wrong goes wrong again with the next wait, which tells of it.
            let _ = self.apply();
        }
    }

    #[cold]
    pub(super) fn apply(&mut self) -> io::Result<()> {
        loop {
            match self.apply_in_this_thread() {
                Err(ANOTHER_THREAD) => self.move_here()?,
                result => return Ok(result?),
            }
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

    /// The usual wait, written straight: no end to it, nothing to tell the kernel, and one answer, of a source that is
    /// watched for edges. None if anything is otherwise, and then [`find_more`](IoUring::find_more) goes on.
    #[inline(always)]
    pub(super) fn find(&mut self) -> Option<(Key, Flags)> {
        if self.watched.special || !self.watched.queue.is_empty() {
            return None;
        }
        self.ring.wait();
        let answer = self.ring.only_answer()?;
        let found = self.watched.found_usual(&answer, Request::Edge)?;
        self.ring.take_answer();
        Some(found)
    }

    /// A wait without an end that did not go the usual way: how many were found. Zero if it failed or is not over; then
    /// [`wait`](IoUring::wait) is to be called, and fails again or goes on.
    #[inline(never)]
    pub(super) fn find_more(&mut self, batch: &mut Batch) -> usize {
        let found = if self.watched.special {
            self.wait(batch, None)
        } else if self.watched.queue.is_empty() {
            self.finish(batch)
        } else {
            self.find_by_state(batch)
        };
        found.map_or(0, |()| batch.len())
    }

    /// The usual wait with level trigger: what was reported is asked about again.
    #[inline(always)]
    fn find_by_state(&mut self, batch: &mut Batch) -> io::Result<()> {
        if !self.watched.ask_one(&mut self.ring) {
            self.watched.ask(&mut self.ring)?;
        }
        self.ring.ask_and_wait();
        if self.ring.has_requests() {
            self.watched.special = true;
        } else if let Some(answer) = self.ring.only_answer()
            && let Some((key, flags)) = self.watched.found_usual(&answer, Request::Level)
        {
            self.ring.take_answer();
            self.watched.ask_again(key);
            batch.push(key, flags);
            return Ok(());
        }
        self.finish(batch)
    }

    #[inline(never)]
    pub(super) fn wait(&mut self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        let entered = self.enter_with_care(batch, timeout);
        self.finish_with_care(batch, timeout, entered)
    }

    #[inline(never)]
    fn enter_with_care(
        &mut self,
        batch: &mut Batch,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        let told = self.watched.tell(&mut self.ring);
        let keeps = !self.kept.is_empty();
        if keeps {
            self.take_kept(batch);
        }
        let entered = if !keeps && told.is_ok() && timeout.is_none_or(|timeout| !timeout.is_zero())
        {
            self.ring.wait_for(timeout)
        } else {
            let looked = self.ring.look();
            if keeps {
                // There may be answers about the same sources.
                self.take_more(batch);
                self.check(batch);
            }
            told.and(looked)
        };
        self.watched.special =
            self.watched.has_news() || !self.kept.is_empty() || self.ring.is_special();
        entered
    }

    /// What a wait does after the call if there is more to do than to take the answers.
    #[inline(never)]
    fn finish_with_care(
        &mut self,
        batch: &mut Batch,
        timeout: Option<Duration>,
        entered: Result<(), Errno>,
    ) -> io::Result<()> {
        self.take_answers(batch);
        if self.ring.may_have_more() {
            self.take_more(batch);
        }
        self.check(batch);
        match entered {
            Ok(()) => Ok(()),
            Err(error) => self.wait_all_the_same(batch, timeout, error),
        }
    }

    /// What a wait does after a call that went well.
    #[inline(never)]
    fn finish(&mut self, batch: &mut Batch) -> io::Result<()> {
        let told = self.take_answers(batch);
        if told.may_say_too_much() || self.ring.may_have_more() {
            return self.finish_with_care(batch, None, Ok(()));
        }
        Ok(())
    }

    /// A call has failed. What was found all the same comes first; the error then comes again.
    #[cold]
    fn wait_all_the_same(
        &mut self,
        batch: &mut Batch,
        timeout: Option<Duration>,
        error: Errno,
    ) -> io::Result<()> {
        match error {
            _ if !batch.is_empty() => Ok(()),
            ANOTHER_THREAD => {
                self.move_here()?;
                self.wait(batch, timeout)
            }
            error => excuse(error),
        }
    }

    /// Takes answers into the batch, as many as it holds, and gives all that they say.
    #[inline(always)]
    fn take_answers(&mut self, batch: &mut Batch) -> Flags {
        let IoUring { ring, watched, .. } = self;
        let mut told = Flags(0);
        let mut answers = ring.answers();
        while batch.len() < BATCH
            && let Some(answer) = answers.next()
        {
            if let Some((key, flags)) = watched.found(&answer) {
                told.0 |= flags.0;
                batch.push(key, flags);
            }
        }
        told
    }

    /// Fills the batch up with what the kernel had no time for, and makes one entry of several about the same source:
    /// an edge that came between two looks.
    #[inline(never)]
    fn take_more(&mut self, batch: &mut Batch) {
        self.take_answers(batch);
        while batch.len() < BATCH && self.ring.finds_more() {
            self.take_answers(batch);
        }
        batch.merge();
    }

    fn apply_in_this_thread(&mut self) -> Result<(), Errno> {
        let IoUring { ring, watched, .. } = self;
        if watched.queue.is_empty() && !watched.has_news() && !ring.is_special() {
            return Ok(());
        }
        for _ in 0..LOOKS_MAX {
            retry_on_intr(|| self.watched.tell(&mut self.ring))?;
            let looked = self.ring.look();
            self.keep_answers();
            match looked {
                Ok(()) | Err(Errno::INTR | Errno::BUSY) => {}
                error => {
                    self.watched.special |= self.ring.is_special();
                    return error;
                }
            }
            if self.watched.unwanted() == 0 && !self.ring.may_have_more() {
                break;
            }
        }
        Ok(())
    }

    /// Before a source is modified that may have an answer which the last batch had no room for. It would be nobody's
    /// then: among many that are always ready, who is modified before each wait would never have its turn.
    #[cold]
    fn keep_all_answers(&mut self) {
        self.keep_answers();
        // The kernel looks at some twenty wake-ups per call: after so many, at all that were there at the first.
        let looks = self.watched.rows() / 16;
        for _ in 0..looks {
            if !self.ring.finds_more() {
                break;
            }
            self.keep_answers();
        }
    }

    /// Takes what is found between the waits, and keeps it for the next one.
    fn keep_answers(&mut self) {
        let queued = self.watched.queue.len();
        let IoUring {
            ring,
            watched,
            kept,
            ..
        } = self;
        for answer in ring.answers() {
            match watched.found(&answer) {
                Some((key, flags)) if watched.edges_of(key).is_some() => {
                    kept.push((key, flags));
                    watched.special = true;
                }
                // The next wait looks afresh.
                Some((key, _)) => watched.resume(key),
                None => {}
            }
        }
        // Those that were found first are to be asked about first, or the others would never have their turn.
        self.watched.queue.rotate_left(queued);
    }

    /// Puts what was found between the waits into the batch.
    #[cold]
    fn take_kept(&mut self, batch: &mut Batch) {
        for (key, flags) in self.kept.drain(..self.kept.len().min(BATCH)) {
            let wanted = self.watched.edges_of(key).unwrap_or(Flags(0));
            if flags.0 & wanted.0 != 0 {
                batch.push(key, Flags(flags.0 & wanted.0));
            }
        }
    }

    /// Replaces a ring that belongs to another thread.
    #[cold]
    fn move_here(&mut self) -> io::Result<()> {
        self.ring = Ring::new()?;
        self.watched.ask_all_again();
        Ok(())
    }

    /// Checks what needs to be checked, and corrects the batch: see the top of this file.
    #[cold]
    fn check(&mut self, batch: &mut Batch) {
        self.suspects.clear();
        self.table.clear();
        for (position, (key, flags)) in batch.iter().enumerate() {
            if flags.are_doubtful()
                && let Some(row) = self.watched.row(key)
            {
                self.suspects.push(position as u32);
                let asked = row.wanted.poll();
                self.table
                    .push(PollFd::from_borrowed_fd(borrow(row.descriptor), asked));
            }
        }
        if self.suspects.is_empty() {
            return;
        }
        let now = timespec(Duration::ZERO);
        // Without the memory for this call they are told as they are.
        if retry_on_intr(|| rustix::event::poll(&mut self.table, Some(&now))).is_ok() {
            for (position, answer) in self.suspects.iter().zip(&self.table) {
                let flags = Flags(answer.revents().bits());
                let position = *position as usize;
                if flags.is_empty()
                    && let Some((key, _)) = batch.get(position)
                {
                    self.watched.resume(key);
                }
                batch.set(position, flags);
            }
            batch.drop_empty();
        }
    }
}

impl Drop for IoUring {
    /// Lets go of all sources, so that they are closed when they are dropped, and not some time later.
    fn drop(&mut self) {
        let IoUring { ring, watched, .. } = self;
        // A thread to which the ring does not belong can do nothing; the kernel then does it when the ring is closed.
        while watched.stop_all() && retry_on_intr(|| watched.cancel(ring)).is_ok() {
            let mut left = watched.rows();
            while left > 0 && retry_on_intr(|| ring.look()).is_ok() {
                // One that has to be cancelled again is unwanted again.
                for answer in ring.answers() {
                    watched.found(&answer);
                }
                left = if ring.may_have_more() { left - 1 } else { 0 };
            }
        }
    }
}

impl Flags {
    /// Whether a wake-up may have said more than is true.
    #[inline]
    fn may_say_too_much(self) -> bool {
        self.0 & (Flags::ERROR | Flags::HANG_UP | Flags::PRIORITY) != 0
    }

    /// The same, looked at closely: `RDHUP` is no wake-up's word.
    fn are_doubtful(self) -> bool {
        let has = |flags: u16| self.0 & flags != 0;
        let ended = has(Flags::ERROR | Flags::HANG_UP) && !has(Flags::READ_HANG_UP);
        ended || has(Flags::PRIORITY)
    }
}

/// What a call says to a thread that is not the ring's.
const ANOTHER_THREAD: Errno = Errno::EXIST;

/// Whether a call that found nothing has failed.
fn excuse(error: Errno) -> io::Result<()> {
    match error {
        // Too many answers that nobody had taken; now somebody has.
        Errno::BUSY => Ok(()),
        error => Err(error.into()),
    }
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
