//! One line on the terminal while a run goes on; nothing at all where standard error is none.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::worker::Progress;
use crate::quantity::{Unit, grouped};

/// The line and what it showed last.
pub(crate) struct Live {
    shown: bool,
    wanted: bool,
    label: String,
    zero: Option<Instant>,
    last: (Instant, u64),
    next: Instant,
}

impl Live {
    /// How often the line changes.
    const INTERVAL: Duration = Duration::from_millis(200);

    /// A line that begins with this.
    pub(crate) fn new(label: impl Into<String>) -> Self {
        Self {
            shown: false,
            wanted: std::io::stderr().is_terminal(),
            label: label.into(),
            zero: None,
            last: (Instant::now(), 0),
            next: Instant::now(),
        }
    }

    /// Never to be seen.
    pub(crate) fn hidden() -> Self {
        Self {
            wanted: false,
            ..Self::new("")
        }
    }

    /// The first message is due now.
    pub(crate) fn begin(&mut self, zero: Instant) {
        self.zero = Some(zero);
        self.last = (zero, 0);
    }

    pub(crate) fn show(&mut self, progress: &[Arc<Progress>]) {
        if !self.wanted || self.next > Instant::now() {
            return;
        }
        self.next = Instant::now() + Self::INTERVAL;
        let sum = |counter: fn(&Progress) -> &AtomicU64| {
            progress
                .iter()
                .map(|progress| counter(progress).load(Ordering::Relaxed))
                .sum::<u64>()
        };
        let line = match self.zero {
            None => format!(
                "{} connections",
                grouped(sum(|progress| &progress.connected))
            ),
            Some(zero) => {
                let (sent, answered) = (
                    sum(|progress| &progress.sent),
                    sum(|progress| &progress.answered),
                );
                let now = Instant::now();
                let since = now
                    .saturating_duration_since(self.last.0)
                    .as_secs_f64()
                    .max(1e-3);
                #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
                let rate = answered.saturating_sub(self.last.1) as f64 / since;
                self.last = (now, answered);
                format!(
                    "{:.1} s · {} answers · {} sent · {} under way · {} lost",
                    now.saturating_duration_since(zero).as_secs_f64(),
                    Unit::PerSecond.show(rate),
                    grouped(sent),
                    grouped(sent.saturating_sub(answered)),
                    grouped(sum(|progress| &progress.lost)),
                )
            }
        };
        self.shown = true;
        // Nobody listening is no reason to fail.
        let _ = write!(std::io::stderr().lock(), "\r\x1b[K{}{line}", self.label);
    }

    /// Leaves the line empty for what comes after.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}
