//! One run: threads are started, connections made, the start is given to all at once, and the parts are put together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use trunkline::{Error, ErrorKind, Remote};

use super::driver::{Start, Word};
use super::live::Live;
use super::plan::Plan;
use super::record::Record;
use super::worker::{Effort, LOOK_AROUND, Progress, Report, Task, work};
use crate::failure::Failure;
use crate::quantity::grouped;

/// Between the last connection and the first message, so that every thread is ready; and for each connection.
const RUN_UP: Duration = Duration::from_millis(5);
const RUN_UP_EACH: Duration = Duration::from_micros(2);

/// What a run has come to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) record: Record,
    /// How the first connection ended that ended too soon.
    pub(crate) first_loss: Option<String>,
    /// How long was sent, without the warm-up.
    pub(crate) sending: Duration,
    /// How long it took to make the connections.
    pub(crate) connecting: Duration,
    /// By thread.
    pub(crate) efforts: Vec<Effort>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) interrupted: bool,
}

/// Carries a plan out.
pub(crate) fn run(
    plan: &Plan,
    interrupted: &Arc<AtomicBool>,
    live: &mut Live,
) -> Result<Outcome, Failure> {
    let begin = Instant::now();
    let (sender, reports) = channel();
    let progress: Vec<Arc<Progress>> = (0..plan.threads).map(|_| Arc::default()).collect();
    let threads = progress.iter().enumerate().map(|(index, progress)| {
        let task = Task {
            index,
            plan: plan.clone(),
            connections: super::pace::share(
                plan.connections as u64,
                index as u64,
                plan.threads as u64,
            ) as usize,
            progress: Arc::clone(progress),
            interrupted: Arc::clone(interrupted),
            reports: sender.clone(),
        };
        thread::Builder::new()
            .name(format!("load {index}"))
            .spawn(move || work(task))
    });
    let threads: Result<Vec<_>, _> = threads.collect();
    drop(sender);
    let outcome = match threads {
        Ok(_) => conduct(plan, interrupted, live, &reports, &progress, begin),
        Err(error) => Err(Failure::failed(format!("cannot start a thread: {error}"))),
    };
    live.clear();
    outcome
}

fn conduct(
    plan: &Plan,
    interrupted: &AtomicBool,
    live: &mut Live,
    reports: &Receiver<Report>,
    progress: &[Arc<Progress>],
    begin: Instant,
) -> Result<Outcome, Failure> {
    let ready = ready(plan, live, reports, progress)?;
    let made: usize = ready.iter().map(|(made, _)| made).sum();
    if made < plan.connections {
        return Err(Failure::failed(format!(
            "interrupted after {} of {} connections were made",
            grouped(made as u64),
            grouped(plan.connections as u64)
        )));
    }
    let connecting = begin.elapsed();
    let zero = Instant::now() + RUN_UP + RUN_UP_EACH * u32::try_from(made).unwrap_or(u32::MAX);
    let mut first = 0;
    for (made, remote) in &ready {
        let start = Start {
            zero,
            first,
            connections: plan.connections as u64,
        };
        // A thread that has ended has said why, or will.
        let _ = remote.post(Word::Start(start));
        first += *made as u64;
    }
    live.begin(zero);
    let mut outcome = Outcome {
        record: Record::new(plan.duration.map(super::pace::nanoseconds)),
        first_loss: None,
        sending: Duration::ZERO,
        connecting,
        efforts: Vec::new(),
        bytes_in: 0,
        bytes_out: 0,
        interrupted: false,
    };
    let remotes: Vec<_> = ready.into_iter().map(|(_, remote)| remote).collect();
    while let Some(report) = next(reports, live, progress, &remotes) {
        let Report::Done(part) = report else { continue };
        let part = part?;
        outcome.record.add(part.record);
        outcome.first_loss = outcome.first_loss.or(part.first_loss);
        outcome.sending = outcome.sending.max(Duration::from_nanos(part.sending));
        outcome.efforts.push(part.effort);
        outcome.bytes_in += part.stats.bytes_in;
        outcome.bytes_out += part.stats.bytes_out;
    }
    outcome.interrupted = interrupted.load(Ordering::Relaxed);
    Ok(outcome)
}

/// Waits until every thread has its connections; in the order of the threads.
fn ready(
    plan: &Plan,
    live: &mut Live,
    reports: &Receiver<Report>,
    progress: &[Arc<Progress>],
) -> Result<Vec<(usize, Remote<Word>)>, Failure> {
    let mut ready: Vec<Option<(usize, Remote<Word>)>> = vec![None; plan.threads];
    let mut failure = None;
    let mut heard = 0;
    while heard < plan.threads {
        let Some(report) = next(reports, live, progress, &[]) else {
            break;
        };
        let Report::Ready {
            index,
            made,
            outcome,
        } = report
        else {
            continue;
        };
        heard += 1;
        match outcome {
            Ok(remote) => ready[index] = Some((made, remote)),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    if let Some(error) = failure {
        ready.iter().flatten().for_each(|(_, remote)| remote.kill());
        let made: u64 = progress
            .iter()
            .map(|progress| progress.connected.load(Ordering::Relaxed))
            .sum();
        return Err(not_connected(plan, made, error));
    }
    Ok(ready.into_iter().flatten().collect())
}

/// The next report. Meanwhile these threads are told to see how late it is.
fn next(
    reports: &Receiver<Report>,
    live: &mut Live,
    progress: &[Arc<Progress>],
    remotes: &[Remote<Word>],
) -> Option<Report> {
    loop {
        match reports.recv_timeout(LOOK_AROUND) {
            Ok(report) => return Some(report),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                // One that has ended hears nothing any more.
                for remote in remotes {
                    let _ = remote.post(Word::Look);
                }
                live.show(progress);
            }
        }
    }
}

/// Says which side it was that had no room, where that can be known.
fn not_connected(plan: &Plan, made: u64, error: Error) -> Failure {
    if made == 0 {
        return error.into();
    }
    let which = grouped(made + 1);
    let message = format!(
        "connection {which} of {}: {error}",
        grouped(plan.connections as u64)
    );
    let failure = Failure::failed(message);
    match error.kind() {
        ErrorKind::OutOfDescriptors => failure.with_hint(
            "this side hit its limit of open files: `ulimit -Hn` shows it, and as root raises it",
        ),
        ErrorKind::AddressNotAvailable => failure.with_hint(
            "this side has no port left for that server: --source takes more addresses of this machine",
        ),
        ErrorKind::OutOfMemory => failure.with_hint("this side has no memory for more: try a smaller -c"),
        _ => failure.with_hint(format!(
            "the ones before were made, so it is the server's side that had no room: its backlog, its limit of \
             connections or of open files. -c {made} was possible; --connect-rate makes them more slowly"
        )),
    }
}
