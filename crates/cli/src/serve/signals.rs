//! Ctrl-C and SIGTERM: the first drains, the second stops at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::ready::ReadyFile;
use super::running::{Control, stop_all};
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

    /// From now on (those already caught included) the first signal drains the services and the second kills them. The
    /// ready file goes before anything else.
    pub(crate) fn stop(
        mut self,
        controls: Vec<Arc<dyn Control>>,
        ready: Arc<Mutex<Option<ReadyFile>>>,
    ) -> Interrupted {
        let at_once = Arc::new(AtomicBool::new(false));
        let interrupted = Interrupted {
            at_once: Arc::clone(&at_once),
        };
        thread::spawn(move || {
            let mut signals = self.0.forever();
            if signals.next().is_none() {
                return;
            }
            drop(ready.lock().map(|mut ready| ready.take()));
            say("stopping: open connections may finish; a second Ctrl-C stops at once");
            stop_all(&controls);
            if signals.next().is_some() {
                at_once.store(true, Ordering::Release);
                for control in controls {
                    control.kill();
                }
            }
        });
        interrupted
    }
}
