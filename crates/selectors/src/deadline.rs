//! How long a wait may still last, when it has to begin again.

use std::time::{Duration, Instant};

pub(crate) struct Deadline {
    remaining: Option<Duration>,
    /// The clock is read only where there is an end to keep.
    end: Option<Instant>,
}

/// A wait of more than a hundred years is a wait without an end.
const LONGEST_WAIT: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

impl Deadline {
    /// `None`: never.
    pub(crate) fn after(timeout: Option<Duration>) -> Deadline {
        let remaining = timeout.filter(|timeout| *timeout <= LONGEST_WAIT);
        let end = remaining
            .filter(|timeout| !timeout.is_zero())
            .map(|timeout| Instant::now() + timeout);
        Deadline { remaining, end }
    }

    /// The timeout for the next wait.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.remaining
    }

    /// Whether that wait was the last: it was without waiting.
    pub(crate) fn has_passed(&self) -> bool {
        self.remaining.is_some_and(|timeout| timeout.is_zero())
    }

    /// A wait has ended early, or at the deadline: then there is one last look, without waiting, else signals could
    /// hide what is ready.
    pub(crate) fn wait_again(&mut self) {
        if let Some(end) = self.end {
            self.remaining = Some(end.saturating_duration_since(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_after_one_last_look() {
        let mut soon = Deadline::after(Some(Duration::from_nanos(1)));
        assert_eq!(soon.remaining(), Some(Duration::from_nanos(1)));
        assert!(!soon.has_passed());
        while !soon.has_passed() {
            soon.wait_again();
        }
        assert_eq!(soon.remaining(), Some(Duration::ZERO));

        let mut now = Deadline::after(Some(Duration::ZERO));
        now.wait_again();
        assert!(now.has_passed() && now.end.is_none());
        for timeout in [None, Some(Duration::MAX)] {
            let mut never = Deadline::after(timeout);
            never.wait_again();
            assert_eq!((never.remaining(), never.has_passed()), (None, false));
        }
    }
}
