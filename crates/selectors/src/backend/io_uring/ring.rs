//! The ring itself: made as well as this kernel can, filled, entered and emptied. What the requests are about is
//! the business of `mod.rs`.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::io_uring::{
    IoringEnterFlags, IoringFeatureFlags, IoringSetupFlags, io_uring_enter, io_uring_enter_arg,
    io_uring_getevents_arg, io_uring_ptr,
};

use super::super::BATCH;
use super::super::platform::timespec;
use super::queues::{Answer, Answers, Name, Queues, Requests};

/// How many requests fit in the queue between two calls: as many as a batch has events to be watched again.
pub(super) const REQUESTS: u32 = BATCH as u32;

/// How many answers fit in their queue. The kernel keeps what does not fit elsewhere, at a price.
const ANSWERS: u32 = 8 * REQUESTS;

/// Linux 6.14: whoever sleeps in a call is not counted as waiting for a disk.
const NO_IOWAIT: IoringEnterFlags = IoringEnterFlags::from_bits_retain(1 << 7);

/// The kernel says so where it has that.
const FEATURE_NO_IOWAIT: IoringFeatureFlags = IoringFeatureFlags::from_bits_retain(1 << 17);

/// In the name of a cancellation, beside the name of what is cancelled. No slot has this bit: there are no more
/// descriptors than positive numbers of 32 bits.
const CANCELLATION: u32 = 1 << 31;

impl Name {
    /// The name of the cancellation of what has this name.
    fn of_cancellation(self) -> Name {
        let slot = self.slot | CANCELLATION;
        Name { slot, ..self }
    }

    /// The name of what is cancelled by what has this name.
    pub(super) fn of_cancelled(self) -> Name {
        let slot = self.slot & !CANCELLATION;
        Name { slot, ..self }
    }
}

/// How the kernel is asked to run a ring, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// Linux 6.6: as below, and the kernel takes requests from where they lie, without a list of their numbers.
    Straight,
    /// Linux 6.1: what woke a poll is looked at inside our own call, and by nobody else's interruption. The ring then
    /// belongs to one thread, the one that enters it first.
    Deferred,
    /// Linux 5.19: no interruption, but any system call of the thread may post answers.
    Cooperative,
    /// Before that: answers are posted at any time.
    Plain,
}

impl Setup {
    pub(super) const ALL: [Setup; 4] = [
        Setup::Straight,
        Setup::Deferred,
        Setup::Cooperative,
        Setup::Plain,
    ];

    /// Whether the ring belongs to one thread.
    pub(super) fn is_deferred(self) -> bool {
        matches!(self, Setup::Straight | Setup::Deferred)
    }
}

pub(super) struct Ring {
    queues: Queues,
    /// Whether it may be entered: a ring that will belong to a thread is made disabled, because a selector may be
    /// made in one thread and used in another.
    enabled: bool,
    /// Flags for every call, and for the usual wait.
    flags: IoringEnterFlags,
    wait_flags: IoringEnterFlags,
    /// Cancellations that have been added and not been looked after. Each brings an answer, to the cancelled request or
    /// to itself.
    cancelled: u32,
}

impl Ring {
    /// A ring set up as well as this kernel can.
    pub(super) fn new() -> io::Result<Ring> {
        let mut refused = None;
        for setup in Setup::ALL {
            match Ring::with(setup, REQUESTS) {
                // An unknown flag.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = Some(error),
                result => return result,
            }
        }
        Err(refused.unwrap_or_else(|| io::ErrorKind::Unsupported.into()))
    }

    pub(super) fn with(setup: Setup, requests: u32) -> io::Result<Ring> {
        let deferred = IoringSetupFlags::SUBMIT_ALL
            | IoringSetupFlags::SINGLE_ISSUER
            | IoringSetupFlags::DEFER_TASKRUN
            | IoringSetupFlags::TASKRUN_FLAG
            | IoringSetupFlags::R_DISABLED;
        let flags = match setup {
            Setup::Straight => deferred | IoringSetupFlags::NO_SQARRAY,
            Setup::Deferred => deferred,
            Setup::Cooperative => {
                IoringSetupFlags::SUBMIT_ALL
                    | IoringSetupFlags::COOP_TASKRUN
                    | IoringSetupFlags::TASKRUN_FLAG
            }
            Setup::Plain => IoringSetupFlags::empty(),
        };
        let queues = Queues::new(flags, requests, requests * (ANSWERS / REQUESTS))?;
        let flags = if queues.features().contains(FEATURE_NO_IOWAIT) {
            NO_IOWAIT
        } else {
            IoringEnterFlags::empty()
        };
        Ok(Ring {
            queues,
            enabled: !setup.is_deferred(),
            flags,
            wait_flags: flags | IoringEnterFlags::GETEVENTS,
            cancelled: 0,
        })
    }

    /// Why rings like this one are of no use here, if so.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        let features = self.queues.features();
        [
            (IoringFeatureFlags::NODROP, "loses answers (Linux 5.5)"),
            (IoringFeatureFlags::EXT_ARG, "takes no timeout (Linux 5.11)"),
            (
                IoringFeatureFlags::CQE_SKIP,
                "answers where it should be silent (Linux 5.17)",
            ),
        ]
        .into_iter()
        .find_map(|(feature, lack)| (!features.contains(feature)).then_some(lack))
        .or_else(|| self.queues.lacks())
    }

    /// Adds a request to watch a descriptor, once or (`multishot`) until it is cancelled. A number that is not open any
    /// more is answered with an error.
    #[inline(always)]
    pub(super) fn watch(
        &mut self,
        descriptor: RawFd,
        flags: u32,
        multishot: bool,
        name: Name,
    ) -> Result<(), Errno> {
        while !self
            .queues
            .requests()
            .watch(descriptor, flags, multishot, name)
        {
            self.make_room()?;
        }
        Ok(())
    }

    /// Adds a request to cancel the one of that name. It gets an answer of its own only if it fails.
    #[inline]
    pub(super) fn cancel(&mut self, name: Name) -> Result<(), Errno> {
        while !self.queues.requests().cancel(name, name.of_cancellation()) {
            self.make_room()?;
        }
        self.cancelled += 1;
        Ok(())
    }

    /// A place to put requests if there is room for so many.
    #[inline(always)]
    pub(super) fn requests(&mut self, count: usize) -> Option<Requests<'_>> {
        (count <= self.queues.room() as usize).then(|| self.queues.requests())
    }

    /// Hands over a full queue.
    #[cold]
    fn make_room(&mut self) -> Result<(), Errno> {
        let before = self.queues.pending();
        self.enter(0, None, IoringEnterFlags::empty())?;
        if self.queues.pending() < before {
            Ok(())
        } else {
            Err(Errno::BUSY)
        }
    }

    /// Whether there is more to a wait than to enter the ring.
    pub(super) fn is_special(&self) -> bool {
        !self.enabled || self.cancelled > 0 || self.has_requests()
    }

    /// Whether there are requests that have not been handed over.
    #[inline(always)]
    pub(super) fn has_requests(&self) -> bool {
        self.queues.pending() > 0
    }

    /// Waits for an answer. Not for a ring that is special. Whether that went well is not asked: there is an answer then,
    /// and what failed fails again in the next call, which [`wait_for`](Ring::wait_for) makes.
    #[inline(always)]
    pub(super) fn wait(&mut self) {
        // SAFETY: this hands over no request.
        let _ = unsafe { io_uring_enter(self.queues.descriptor(), 0, 1, self.wait_flags) };
    }

    /// The same, and hands over the requests. Those that are left make the ring special.
    #[inline(always)]
    pub(super) fn ask_and_wait(&mut self) {
        let requests = self.queues.pending();
        // SAFETY: as many requests are in the queue.
        let _ = unsafe { io_uring_enter(self.queues.descriptor(), requests, 1, self.wait_flags) };
        self.queues.note_handed_over();
    }

    /// Hands over the requests and waits for an answer, but not longer than `timeout`. May end earlier with none: who has
    /// something cancelled does not wait in that call, for a cancellation may have to be repeated.
    #[inline(never)]
    pub(super) fn wait_for(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        if self.cancelled > 0 {
            return self.look();
        }
        self.enter(1, timeout, IoringEnterFlags::GETEVENTS)
    }

    /// What became of a call that handed over requests and found nothing: it tells of the former, and not that a signal
    /// has ended it.
    #[cold]
    fn unless_interrupted(timeout: Option<Duration>, start: Option<Instant>) -> Result<(), Errno> {
        let in_time = timeout
            .zip(start)
            .is_none_or(|(timeout, start)| start.elapsed() < timeout);
        if in_time { Err(Errno::INTR) } else { Ok(()) }
    }

    /// Hands over the requests and collects the answers there are, those to cancellations among them.
    pub(super) fn look(&mut self) -> Result<(), Errno> {
        // The kernel looks at as many wake-ups as answers are waited for, and at some twenty in any case.
        let answers = self.cancelled.min(REQUESTS);
        self.cancelled -= answers;
        let timeout = (answers > 0).then_some(Duration::ZERO);
        self.enter(answers, timeout, IoringEnterFlags::GETEVENTS)
    }

    fn enter(
        &mut self,
        answers: u32,
        timeout: Option<Duration>,
        flags: IoringEnterFlags,
    ) -> Result<(), Errno> {
        if !self.enabled {
            self.enable()?;
        }
        let requests = self.queues.pending();
        let mut start = None;
        let flags = flags | self.flags;
        let ring = self.queues.descriptor();
        let entered = match timeout {
            // SAFETY: as many requests are in the queue.
            None => unsafe { io_uring_enter(ring, requests, answers, flags) },
            Some(timeout) => {
                start = (requests > 0).then(Instant::now);
                let timeout = timespec(timeout);
                let arguments = io_uring_getevents_arg {
                    ts: io_uring_ptr::from(std::ptr::from_ref(&timeout).cast_mut().cast()),
                    ..Default::default()
                };
                let flags = flags | IoringEnterFlags::EXT_ARG;
                // SAFETY: as many requests are in the queue. The timeout that the arguments point to lives until the
                // call returns; they name no signals.
                unsafe { io_uring_enter_arg(ring, requests, answers, flags, Some(&arguments)) }
            }
        };
        self.queues.note_handed_over();
        match entered {
            Ok(1..) if answers > 0 && !self.has_answers() => {
                Ring::unless_interrupted(timeout, start)
            }
            // A timeout is an answer too.
            Ok(_) | Err(Errno::TIME) => Ok(()),
            Err(error) => Err(error),
        }
    }

    #[cold]
    fn enable(&mut self) -> Result<(), Errno> {
        self.queues.enable()?;
        self.enabled = true;
        Ok(())
    }

    /// Looks again if the kernel has more answers than it has posted, and says whether there are some now.
    #[inline]
    pub(super) fn finds_more(&mut self) -> bool {
        self.may_have_more() && self.look().is_ok() && self.has_answers()
    }

    /// Whether the kernel may have more answers than it has posted: it looks at some twenty wake-ups per call. It also
    /// says so for a while after a wake-up that it has looked at already: the flag is raised by whoever wakes, after the
    /// wake-up is there to be looked at.
    #[inline(always)]
    pub(super) fn may_have_more(&self) -> bool {
        self.queues.may_have_more()
    }

    /// Whether there are answers that have not been taken.
    #[inline(always)]
    pub(super) fn has_answers(&self) -> bool {
        self.queues.has_answers()
    }

    /// The answer that has not been taken, if there is one and no other, in the queue or not yet in it. It stays there.
    #[inline(always)]
    pub(super) fn only_answer(&self) -> Option<Answer> {
        self.queues.only_answer()
    }

    /// Takes the answer that is there.
    #[inline(always)]
    pub(super) fn take_answer(&mut self) {
        self.queues.take_answer();
    }

    /// The answers that have not been taken.
    #[inline(always)]
    pub(super) fn answers(&mut self) -> Answers<'_> {
        self.queues.answers()
    }
}
