//! A wake on its way: the part of a waker in which threads meet.
//!
//! It is apart from the rest so that `tests/loom.rs` can take in this very file, put loom's atomics and a model of the
//! signal in place of the real ones, and try every order in which threads may come.

use std::io;

use crate::backend::Signal;
use crate::sync::{AtomicBool, Ordering};

pub(crate) struct Wake {
    /// A wake is on its way or not yet taken: the next one needs no system call.
    pending: AtomicBool,
    signal: Signal,
}

impl Wake {
    pub(crate) fn new(signal: Signal) -> Wake {
        Wake {
            pending: AtomicBool::new(false),
            signal,
        }
    }

    /// What ends the wait.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Sends one, from any thread.
    pub(crate) fn send(&self) -> io::Result<()> {
        if self.pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let raised = self.signal.raise();
        if raised.is_err() {
            self.pending.store(false, Ordering::Release);
        }
        raised
    }

    /// Whether one may have come: false means that the signal is not raised either, because it is raised only
    /// after the flag is set, and the flag is cleared only after the signal is.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Takes it, once the mechanism has seen the signal; says whether there was one.
    ///
    /// The signal goes first, then the flag. A wake between the two finds the flag set and stays silent; it counts
    /// as part of this one, which has not been reported yet. The other way round it would raise the signal,
    /// lose it to our clearing, and leave the flag set: silent for ever.
    pub(crate) fn take(&self) -> bool {
        self.signal.clear();
        // A swap and not a store: it reads what a silent waker wrote, and so sees all that came before that.
        self.pending.swap(false, Ordering::AcqRel)
    }
}
