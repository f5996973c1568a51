//! Ending a wait from another thread.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::{Borrowed, Signal};

/// Ends a selector's wait from any thread: the one under way, or else the next one.
///
/// A wake is never lost, and many wakes before the selector looks are one. Waking never blocks. A waker may outlive
/// its selector; it then does nothing.
///
/// ```
/// use std::net::TcpListener;
/// use trunkline_selectors::Selector;
///
/// # fn main() -> std::io::Result<()> {
/// let mut selector: Selector<TcpListener> = Selector::new()?;
/// let waker = selector.waker()?;
/// let thread = std::thread::spawn(move || waker.wake());
///
/// let selected = selector.select(None)?;
/// assert!(selected.woken);
/// thread.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

struct Shared {
    /// A wake is on its way or not yet taken: the next one needs no system call.
    pending: AtomicBool,
    signal: Signal,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Waker> {
        let shared = Shared {
            pending: AtomicBool::new(false),
            signal: Signal::new()?,
        };
        Ok(Waker {
            shared: Arc::new(shared),
        })
    }

    /// What the mechanism watches for input.
    pub(crate) fn descriptor(&self) -> Borrowed<'_> {
        self.shared.signal.descriptor()
    }

    /// Ends the wait.
    ///
    /// # Errors
    ///
    /// Only what the system refuses for reasons of its own; none is known for a selector that is alive.
    pub fn wake(&self) -> io::Result<()> {
        if self.shared.pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let raised = self.shared.signal.raise();
        if raised.is_err() {
            self.shared.pending.store(false, Ordering::Release);
        }
        raised
    }

    /// Whether a wake may have come: false means that the signal is not raised either, because it is raised only
    /// after the flag is set, and the flag is cleared only after the signal is.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.shared.pending.load(Ordering::Acquire)
    }

    /// Ends the wait without a wake, for those who watch the signal whether a wake is pending or not.
    pub(crate) fn nudge(&self) -> io::Result<()> {
        self.shared.signal.raise()
    }

    /// Takes the wake, once the mechanism has seen the signal; says whether there was one, and not just a nudge.
    ///
    /// The signal goes first, then the flag. A wake between the two finds the flag set and stays silent; it counts
    /// as part of this one, which has not been reported yet. The other way round it would raise the signal,
    /// lose it to our clearing, and leave the flag set: silent for ever.
    pub(crate) fn take(&self) -> bool {
        self.shared.signal.clear();
        // A swap and not a store: it reads what a silent waker wrote, and so sees all that came before that.
        self.shared.pending.swap(false, Ordering::AcqRel)
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Waker")
            .field("pending", &self.is_pending())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}

    #[test]
    fn many_wakes_are_one_until_taken() {
        let waker = Waker::new().unwrap();
        is_shared(&waker);
        assert!(!waker.is_pending());
        waker.wake().unwrap();
        waker.clone().wake().unwrap();
        assert!(waker.is_pending());
        assert!(waker.take() && !waker.take());
        assert!(!waker.is_pending());
        waker.nudge().unwrap();
        assert!(!waker.is_pending() && !waker.take());
        assert_eq!(format!("{waker:?}"), "Waker { pending: false, .. }");
    }
}
