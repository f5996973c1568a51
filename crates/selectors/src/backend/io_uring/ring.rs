//! The ring itself: made as well as this kernel can, filled, entered and emptied. What the requests are about is
//! the business of `mod.rs`.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use io_uring::types::{Fd, Timespec};
use io_uring::{EnterFlags, Probe, cqueue, opcode, squeue};

use super::super::BATCH;

/// How many requests fit in the queue between two calls: as many as a batch has events to be watched again.
const REQUESTS: u32 = BATCH as u32;

/// How many answers fit in their queue. The kernel keeps what does not fit elsewhere, at a price.
const ANSWERS: u32 = 4 * REQUESTS;

/// Names the answers nobody waits for: those of cancellations that found nothing.
const NOBODY: u64 = u64::MAX - 1;

/// How the kernel is asked to run a ring, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// Linux 6.1: what woke a poll is looked at inside our own call, and by nobody else's interruption. The ring then
    /// belongs to one thread, the one that enters it first.
    Deferred,
    /// Linux 5.19: no interruption, but any system call of the thread may post answers.
    Cooperative,
    /// Before that: answers are posted at any time.
    Plain,
}

impl Setup {
    pub(super) const ALL: [Setup; 3] = [Setup::Deferred, Setup::Cooperative, Setup::Plain];
}

pub(super) struct Ring {
    queues: io_uring::IoUring,
    /// Whether it may be entered: a ring that will belong to a thread is made disabled, because a selector may be
    /// made in one thread and used in another.
    enabled: bool,
    /// Flags for every call.
    flags: EnterFlags,
    /// Cancellations that have been added since the last look. Each brings an answer, to the cancelled request or to
    /// itself, which is nothing that anybody waits for.
    cancelled: u32,
}

/// The kernel's `struct io_uring_getevents_arg`.
#[repr(C)]
struct Arguments {
    signals: u64,
    signals_bytes: u32,
    least_wait_micros: u32,
    timeout: u64,
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
        let mut builder = io_uring::IoUring::builder();
        builder.setup_cqsize(requests * (ANSWERS / REQUESTS));
        match setup {
            Setup::Deferred => builder
                .setup_submit_all()
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_taskrun_flag()
                .setup_r_disabled(),
            Setup::Cooperative => builder
                .setup_submit_all()
                .setup_coop_taskrun()
                .setup_taskrun_flag(),
            Setup::Plain => &mut builder,
        };
        let queues = builder.build(requests)?;
        // Else a thread that sleeps here would be counted as waiting for a disk.
        let flags = if queues.params().is_feature_no_iowait() {
            EnterFlags::NO_IOWAIT
        } else {
            EnterFlags::empty()
        };
        Ok(Ring {
            queues,
            enabled: setup != Setup::Deferred,
            flags,
            cancelled: 0,
        })
    }

    /// Why rings like this one are of no use here, if so.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        let parameters = self.queues.params();
        let mut probe = Probe::new();
        if self.queues.submitter().register_probe(&mut probe).is_err() {
            return Some("cannot be asked what it can do (Linux 5.6 can)");
        }
        [
            (parameters.is_feature_nodrop(), "loses answers (Linux 5.5)"),
            (
                parameters.is_feature_ext_arg(),
                "takes no timeout (Linux 5.11)",
            ),
            (
                parameters.is_feature_skip_cqe_on_success(),
                "answers where it should be silent (Linux 5.17)",
            ),
            (
                probe.is_supported(opcode::PollAdd::CODE),
                "has no poll request",
            ),
            (
                probe.is_supported(opcode::AsyncCancel::CODE),
                "has no request to cancel",
            ),
        ]
        .into_iter()
        .find_map(|(has, lack)| (!has).then_some(lack))
    }

    /// Adds a request to watch a descriptor, once or (`multishot`) until it is cancelled.
    pub(super) fn watch(
        &mut self,
        descriptor: RawFd,
        flags: u32,
        multishot: bool,
        name: u64,
    ) -> io::Result<()> {
        let request = opcode::PollAdd::new(Fd(descriptor), flags)
            .multi(multishot)
            .build()
            .user_data(name);
        self.push(&request)
    }

    /// Adds a request to cancel the one of that name. It gets an answer of its own only if there is none.
    pub(super) fn cancel(&mut self, name: u64) -> io::Result<()> {
        // Not the request to remove a poll: that one leaves alone a poll that has just been woken.
        let request = opcode::AsyncCancel::new(name)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(NOBODY);
        self.push(&request)?;
        self.cancelled += 1;
        Ok(())
    }

    fn push(&mut self, request: &squeue::Entry) -> io::Result<()> {
        if self.queues.submission().is_full() {
            self.enter(0, None, EnterFlags::empty())?;
        }
        // SAFETY: the requests name a descriptor and hold no pointer, so nothing has to outlive them. A number that is
        // not open any more is answered with an error.
        unsafe { self.queues.submission().push(request) }
            .map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))
    }

    /// Hands over the requests and waits for an answer, but not longer than `timeout`.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let answers = 1 + std::mem::take(&mut self.cancelled);
        // A call that hands over requests tells of these, and not that a signal has ended it.
        let start = (timeout.is_some() && self.has_requests()).then(Instant::now);
        let handed_over = self.enter(answers, timeout, EnterFlags::GETEVENTS)?;
        let in_time = timeout
            .zip(start)
            .is_none_or(|(timeout, start)| start.elapsed() < timeout);
        if handed_over > 0 && in_time && !self.has_answers() && !self.has_requests() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    /// Hands over the requests and collects the answers there are.
    pub(super) fn look(&mut self) -> io::Result<()> {
        self.cancelled = 0;
        self.enter(0, None, EnterFlags::GETEVENTS).map(drop)
    }

    /// Says how many requests were handed over.
    #[inline]
    fn enter(
        &mut self,
        answers: u32,
        timeout: Option<Duration>,
        flags: EnterFlags,
    ) -> io::Result<usize> {
        if !self.enabled {
            self.enable()?;
        }
        let requests = self.queues.submission().len() as u32;
        let timeout = timeout.map(Timespec::from);
        let arguments = timeout.as_ref().map(|timeout| Arguments {
            signals: 0,
            signals_bytes: 0,
            least_wait_micros: 0,
            timeout: std::ptr::from_ref(timeout).addr() as u64,
        });
        let mut flags = flags | self.flags;
        if arguments.is_some() {
            flags |= EnterFlags::EXT_ARG;
        }
        // SAFETY: as many requests are in the queue. The arguments are laid out as the kernel's, their size goes with
        // them, and the timeout they point to lives until the call returns; they name no set of signals.
        let entered = unsafe {
            self.queues
                .submitter()
                .enter(requests, answers, flags.bits(), arguments.as_ref())
        };
        match entered {
            // A timeout is an answer too.
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => Ok(0),
            result => result,
        }
    }

    #[cold]
    fn enable(&mut self) -> io::Result<()> {
        self.queues.submitter().register_enable_rings()?;
        self.enabled = true;
        Ok(())
    }

    /// Whether there are requests that the kernel has not been given.
    pub(super) fn has_requests(&mut self) -> bool {
        !self.queues.submission().is_empty()
    }

    /// Looks again if the kernel has more answers than it has posted, and says whether there are some now.
    pub(super) fn finds_more(&mut self) -> bool {
        self.may_have_more() && self.look().is_ok() && self.has_answers()
    }

    /// Whether the kernel may have more answers than it has posted: it looks at some twenty wake-ups per call. It also
    /// says so for a while after a wake-up that it has looked at already: the flag is raised by whoever wakes, after the
    /// wake-up is there to be looked at.
    pub(super) fn may_have_more(&mut self) -> bool {
        let submission = self.queues.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    /// Whether there are answers that have not been taken.
    pub(super) fn has_answers(&mut self) -> bool {
        !self.queues.completion().is_empty()
    }

    /// Takes answers until there are no more or `take` says that it has enough.
    pub(super) fn take(&mut self, mut take: impl FnMut(&cqueue::Entry) -> bool) {
        for answer in self.queues.completion() {
            if !take(&answer) {
                break;
            }
        }
    }
}
