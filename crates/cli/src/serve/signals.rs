//! Ctrl-C and SIGTERM: the first drains, the second stops at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use trunkline::Remote;

use crate::chatter::say;
use crate::failure::Failure;

/// The signals that stop a server, caught from now on and kept until somebody acts on them.
pub(crate) struct StopSignals(Signals);

/// What came of the signals.
pub(crate) struct Interrupted {
    at_once: Arc<AtomicBool>,
}

impl Interrupted {
    /// Whether a second signal ended it all.
    pub(crate) fn at_once(&self) -> bool {
        self.at_once.load(Ordering::Acquire)
    }
}

impl StopSignals {
    pub(crate) fn catch() -> Result<Self, Failure> {
        let signals = Signals::new([SIGINT, SIGTERM])
            .map_err(|error| Failure::failed(format!("cannot catch signals: {error}")))?;
        Ok(Self(signals))
    }

    /// From now on (those already caught included) the first signal drains the loops and the second kills them.
    pub(crate) fn stop(mut self, remotes: Vec<Remote<Infallible>>) -> Interrupted {
        let at_once = Arc::new(AtomicBool::new(false));
        let interrupted = Interrupted {
            at_once: Arc::clone(&at_once),
        };
        thread::spawn(move || {
            let mut signals = self.0.forever();
            if signals.next().is_none() {
                return;
            }
            say("stopping: open connections may finish; a second Ctrl-C stops at once");
            remotes.iter().for_each(Remote::stop);
            if signals.next().is_some() {
                at_once.store(true, Ordering::Release);
                remotes.iter().for_each(Remote::kill);
            }
        });
        interrupted
    }
}
