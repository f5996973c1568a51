//! Ending a wait from another thread.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::backend::{Borrowed, Signal};
use crate::wake::Wake;

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
    wake: Arc<Wake>,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Waker> {
        let wake = Wake::new(Signal::new()?);
        Ok(Waker {
            wake: Arc::new(wake),
        })
    }

    /// What the mechanism watches for input.
    pub(crate) fn descriptor(&self) -> Borrowed<'_> {
        self.wake.signal().descriptor()
    }

    /// Ends the wait.
    ///
    /// # Errors
    ///
    /// Only what the system refuses for reasons of its own; none is known for a selector that is alive.
    pub fn wake(&self) -> io::Result<()> {
        self.wake.send()
    }

    /// Whether a wake may have come.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.wake.is_pending()
    }

    /// Ends the wait without a wake, for those who watch the signal whether a wake is pending or not.
    pub(crate) fn nudge(&self) -> io::Result<()> {
        self.wake.signal().raise()
    }

    /// Takes the wake, once the mechanism has seen the signal; says whether there was one, and not just a nudge.
    pub(crate) fn take(&self) -> bool {
        self.wake.take()
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
