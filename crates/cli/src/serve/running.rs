//! A service that runs: how to stop it, and what it says at its end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use trunkline::{Address, Mechanism, Remotes, Stats, Threads, ThreadsFailed};

use crate::chatter::say;
use crate::failure::Failure;
use crate::services::Service;

/// How long a loop may take to tell its counters.
const PATIENCE: Duration = Duration::from_millis(500);

/// A hold on the loops of a service, whatever they tell each other.
pub(crate) trait Control: Send + Sync {
    fn stop(&self);
    fn kill(&self);
    /// The counters of all loops; `None` when one of them is too busy to tell.
    fn stats(&self) -> Option<Stats>;
}

impl<M: Send> Control for Remotes<M> {
    fn stop(&self) {
        Remotes::stop(self);
    }

    fn kill(&self) {
        Remotes::kill(self);
    }

    fn stats(&self) -> Option<Stats> {
        Remotes::stats(self, PATIENCE)
    }
}

/// A service that listens.
pub(crate) struct Running {
    pub(crate) service: Service,
    pub(crate) addresses: Vec<Address>,
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) control: Arc<dyn Control>,
}

/// A service that has ended.
pub(crate) struct Ended {
    service: Service,
    result: Result<Stats, ThreadsFailed>,
}

impl Running {
    /// A thread waits for its end.
    pub(crate) fn new<M: Send + 'static>(
        service: Service,
        threads: Threads<M>,
        ended: Sender<Ended>,
    ) -> Result<Self, Failure> {
        let running = Self {
            service,
            addresses: threads.addresses().to_vec(),
            mechanism: threads.mechanism(),
            control: Arc::new(threads.remotes()),
        };
        let wait = move || {
            let result = threads.join();
            let _ = ended.send(Ended { service, result });
        };
        thread::Builder::new()
            .name(service.name().to_owned())
            .spawn(wait)
            .map_err(|error| {
                Failure::failed(format!("cannot start service {}: {error}", service.name()))
            })?;
        Ok(running)
    }

    pub(crate) fn announce(&self) {
        let mechanism = self
            .mechanism
            .map_or_else(String::new, |mechanism| format!(" ({mechanism})"));
        for address in &self.addresses {
            say(&format!(
                "{} listening on {address}{mechanism}",
                self.service.name()
            ));
        }
    }
}

pub(super) fn stop_all(controls: &[Arc<dyn Control>]) {
    for control in controls {
        control.stop();
    }
}

/// What all services together have cut when they stopped.
#[derive(Default)]
pub(crate) struct Cut {
    pub(crate) aborted: u64,
    pub(crate) unsent_bytes: u64,
}

/// Reports each service as it ends. When one fails the others are stopped; its error is returned.
pub(crate) fn wait_for(
    ended: &Receiver<Ended>,
    controls: &[Arc<dyn Control>],
) -> Result<Cut, Failure> {
    let mut failure = None;
    let mut cut = Cut::default();
    let mut ended_count = 0;
    for Ended { service, result } in ended {
        ended_count += 1;
        match result {
            Ok(stats) => {
                say(&summary(service, &stats));
                cut.aborted += stats.drained.aborted;
                cut.unsent_bytes += stats.drained.unsent_bytes;
            }
            Err(error) => {
                failure.get_or_insert_with(|| {
                    Failure::failed(format!("service {} failed: {error}", service.name()))
                });
                stop_all(controls);
            }
        }
    }
    if ended_count < controls.len() {
        failure.get_or_insert(Failure::failed(
            "a service ended without a word: this is a bug in trunkline",
        ));
    }
    failure.map_or(Ok(cut), Err)
}

fn summary(service: Service, stats: &Stats) -> String {
    let mut line = format!(
        "{}: served {}, errors {}, peak {}",
        service.name(),
        stats.accepted,
        stats.failed,
        stats.peak_open
    );
    let drained = &stats.drained;
    for (what, count) in [
        ("refused", stats.refused),
        // A client reset in the backlog, or no descriptor left (`ulimit -n`): none that was served.
        ("accepts that failed", stats.accept_errors),
        ("messages dropped", stats.dropped),
        ("finished while stopping", drained.finished),
        ("closed though busy", drained.evicted),
        ("reset at the deadline", drained.aborted),
        ("bytes not sent", drained.unsent_bytes),
    ] {
        if count > 0 {
            let _ = write!(line, ", {what} {count}");
        }
    }
    line
}
