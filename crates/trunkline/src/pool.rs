//! Threads for what takes long: a loop that computed would keep all its connections waiting.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::remote::Remote;

/// Threads that work for loops: a callback hands over a call, and its answer comes back as a
/// [`Handler::message`](crate::Handler::message).
///
/// A clone is a hold on the same threads. They end when the last hold is gone: what was handed over by then is still
/// done, and whoever drops the last hold waits for it.
///
/// Between the call and its answer the connection has nothing under way that the loop can see. [`Io::hold`] says that it
/// has, so that a drain waits for the answer; the answer's callback sends it and calls [`Io::release_connection`].
///
/// ```
/// use trunkline::{Pool, Submitted};
/// # use trunkline::{Chunks, ConnectionId, Flow, Frame, Handler, Io, Remote};
///
/// struct Digests {
///     pool: Pool,
///     remote: Option<Remote<(ConnectionId, String)>>,
/// }
///
/// impl Handler for Digests {
///     # type Codec = Chunks;
///     # type State = ();
///     type Message = (ConnectionId, String);
///     # fn codec(&self) -> Chunks { Chunks::new() }
///     # fn open(&mut self, _: &mut Io<'_, Self>) -> Option<()> { Some(()) }
///
///     fn started(&mut self, _: &mut Io<'_, Self>, remote: &Remote<Self::Message>) {
///         self.remote = Some(remote.clone());
///     }
///
///     fn frame(&mut self, _: &mut (), io: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
///         let (id, input) = (io.id(), frame.to_vec());
///         let Some(remote) = &self.remote else { return Flow::Abort };
///         let job = move || input.iter().map(|&byte| u64::from(byte)).sum::<u64>(); // takes long
///         let answer = move |sum| match sum {
///             Ok(sum) => (id, format!("{sum}\n")),
///             Err(panicked) => (id, format!("cannot: {panicked}\n")),
///         };
///         match self.pool.run(remote, job, answer) {
///             Submitted::Queued => io.hold(),
///             Submitted::Full => drop(io.send(b"too busy, ask again\n")),
///         }
///         Flow::Continue
///     }
///
///     fn message(&mut self, io: &mut Io<'_, Self>, (id, answer): Self::Message) {
///         let _ = io.send_to(id, answer.as_bytes());
///         io.release_connection(id);
///     }
/// }
/// ```
///
/// [`Io::hold`]: crate::Io::hold
/// [`Io::release_connection`]: crate::Io::release_connection
#[derive(Clone)]
pub struct Pool {
    workers: Arc<Workers>,
}

/// What became of a call.
#[must_use = "the call may not have been taken"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It will be made, and answered unless the loop ends before.
    Queued,
    /// So many wait already that it was not taken, and will not be answered.
    Full,
}

/// A call that panicked instead of returning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// What the panic said.
    pub message: String,
}

impl Panicked {
    pub(crate) fn of(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self {
            message: text.unwrap_or("it said nothing").to_owned(),
        }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "panicked: {}", self.message)
    }
}

impl std::error::Error for Panicked {}

/// What a pool has done, and has still to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Calls that wait for a thread.
    pub queued: usize,
    /// Calls that are being made.
    pub running: usize,
    /// Calls that have ended.
    pub done: u64,
    /// Of those, the ones that panicked.
    pub panicked: u64,
    /// Calls that were not taken, because too many waited.
    pub refused: u64,
}

/// The threads; joined by whoever lets go of them last.
struct Workers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// There is work, or the end.
    changed: Condvar,
    queue_max: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    ended: bool,
    stats: PoolStats,
}

/// Says whether it panicked.
type Job = Box<dyn FnOnce() -> bool + Send>;

impl Pool {
    /// `threads` threads (at least one), for which at most `queue_max` calls wait.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(threads: usize, queue_max: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            queue_max,
        });
        // Dropped on the way out, it ends those threads that were made.
        let workers = Arc::new(Workers {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
        });
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new()
                .name(format!("pool {number}"))
                .spawn(move || shared.work())?;
            lock(&workers.threads).push(thread);
        }
        Ok(Self { workers })
    }

    /// Has `job` called on one of the threads; `answer` makes its outcome into a message for the loop of `remote`.
    pub fn run<T, M>(
        &self,
        remote: &Remote<M>,
        job: impl FnOnce() -> T + Send + 'static,
        answer: impl FnOnce(Result<T, Panicked>) -> M + Send + 'static,
    ) -> Submitted
    where
        M: Send + 'static,
    {
        let remote = remote.clone();
        let whole = move || {
            // What the job has left half-done goes with it: nothing of it is looked at again.
            let outcome = catch_unwind(AssertUnwindSafe(job));
            let panicked = outcome.is_err();
            let outcome = outcome.map_err(|payload| Panicked::of(&*payload));
            // A loop that has ended needs no answer.
            let _ = remote.post(answer(outcome));
            panicked
        };
        self.workers.shared.submit(Box::new(whole))
    }

    /// What it has done, and has still to do.
    pub fn stats(&self) -> PoolStats {
        let state = lock(&self.workers.shared.state);
        PoolStats {
            queued: state.jobs.len(),
            ..state.stats
        }
    }
}

impl Shared {
    fn submit(&self, job: Job) -> Submitted {
        let mut state = lock(&self.state);
        if state.jobs.len() >= self.queue_max {
            state.stats.refused += 1;
            return Submitted::Full;
        }
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Submitted::Queued
    }

    /// One thread's life: what waits is done before the end.
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.stats.running += 1;
                drop(state);
                // `answer` is the user's too.
                let panicked = catch_unwind(AssertUnwindSafe(job)).unwrap_or(true);
                state = lock(&self.state);
                state.stats.running -= 1;
                state.stats.done += 1;
                state.stats.panicked += u64::from(panicked);
            } else if state.ended {
                return;
            } else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        lock(&self.shared.state).ended = true;
        self.shared.changed.notify_all();
        let this = thread::current().id();
        for thread in lock(&self.threads).drain(..) {
            // A job may have held the last hold: its thread ends by itself.
            if thread.thread().id() != this {
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pool")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No job runs under a lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn nowhere<M>() -> Remote<M> {
        Remote::new(Arc::new(|| {}))
    }

    #[test]
    fn every_call_is_answered_a_panicking_one_too() {
        let pool = Pool::new(3, 1000).unwrap();
        let remote = nowhere();
        for number in 0..100_u32 {
            let job = move || {
                assert!(number % 10 != 0, "number {number}");
                number
            };
            assert_eq!(pool.run(&remote, job, |answer| answer), Submitted::Queued);
        }
        let other_hold = pool.clone();
        drop(pool);
        drop(other_hold);
        let answers = remote.take_messages();
        let panicked: Vec<_> = answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .collect();
        assert_eq!(answers.len(), 100);
        assert_eq!(panicked.len(), 10);
        assert!(
            panicked
                .iter()
                .all(|panicked| panicked.message.starts_with("number "))
        );
    }

    #[test]
    fn no_more_than_so_many_wait() {
        let pool = Pool::new(1, 2).unwrap();
        let remote = nowhere();
        let (started_sender, started) = channel();
        let (go, gone) = channel::<()>();
        let job = move || {
            started_sender.send(()).unwrap();
            let _ = gone.recv();
        };
        assert_eq!(pool.run(&remote, job, drop), Submitted::Queued);
        started.recv().unwrap();
        assert_eq!(pool.run(&remote, || (), drop), Submitted::Queued);
        assert_eq!(pool.run(&remote, || (), drop), Submitted::Queued);
        assert_eq!(pool.run(&remote, || (), drop), Submitted::Full);
        let stats = pool.stats();
        assert_eq!((stats.queued, stats.running, stats.refused), (2, 1, 1));
        drop(go);
        drop(pool);
        assert_eq!(remote.take_messages().len(), 3);
    }

    #[test]
    fn a_job_may_hold_the_pool_itself() {
        let pool = Pool::new(1, 10).unwrap();
        let (sender, done) = channel();
        let inner = pool.clone();
        let (go, gone) = channel::<()>();
        let job = move || {
            let _ = gone.recv();
            drop(inner);
            sender.send(()).unwrap();
        };
        assert_eq!(pool.run(&nowhere(), job, drop), Submitted::Queued);
        drop(pool);
        drop(go);
        done.recv().unwrap();
    }
}
