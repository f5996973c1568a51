//! Other threads' hold on a loop: post a message, stop it, kill it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::network::Wake;
use crate::stats::Stats;

/// What another thread last asked of the loop. Ordered: a later wish never weakens an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    Run = 0,
    Stop = 1,
    Kill = 2,
}

/// A hold on a running (or not yet running) loop; cheap to clone, usable from any thread.
pub struct Remote<M> {
    shared: Arc<Shared<M>>,
}

struct Shared<M> {
    messages: Mutex<Option<VecDeque<M>>>,
    wish: AtomicU8,
    /// Somebody waits for the counters.
    stats_wanted: AtomicBool,
    stats: Mutex<Published>,
    stats_published: Condvar,
    wake: Wake,
}

/// The loop's counters, as it told them last.
#[derive(Default)]
struct Published {
    /// How often it has told them.
    times: u64,
    /// There will be no others.
    last: bool,
    stats: Stats,
}

impl<M> Clone for Remote<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> std::fmt::Debug for Remote<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl<M> Remote<M> {
    pub(crate) fn new(wake: Wake) -> Self {
        let shared = Shared {
            messages: Mutex::new(Some(VecDeque::new())),
            wish: AtomicU8::new(Wish::Run as u8),
            stats_wanted: AtomicBool::new(false),
            stats: Mutex::default(),
            stats_published: Condvar::new(),
            wake,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Hands `message` to the loop's [`Handler::message`](crate::Handler::message), in the order of posting.
    ///
    /// # Errors
    /// Gives the message back when the loop has ended.
    pub fn post(&self, message: M) -> Result<(), M> {
        match self.lock().as_mut() {
            Some(queue) => queue.push_back(message),
            None => return Err(message),
        }
        (self.shared.wake)();
        Ok(())
    }

    /// Asks the loop to drain: accept no more, finish what is under way, end. It may be called before the
    /// loop runs, which then ends at once.
    pub fn stop(&self) {
        self.wish(Wish::Stop);
    }

    /// Asks the loop to end now: every connection is reset.
    pub fn kill(&self) {
        self.wish(Wish::Kill);
    }

    /// The loop's counters, asked for now: it is woken, and tells them at the end of its turn. After it has ended they
    /// are the last ones. `None` when it has not answered within `patience`: it does not run yet, a callback takes
    /// that long, or it is a callback of the loop itself that asks (which has [`Io::stats`](crate::Io::stats)).
    pub fn stats(&self, patience: Duration) -> Option<Stats> {
        let shared = &self.shared;
        let published = shared.published();
        let before = published.times;
        if !published.last {
            shared.stats_wanted.store(true, Ordering::Release);
            (shared.wake)();
        }
        let (published, _) = shared
            .stats_published
            .wait_timeout_while(published, patience, |published| {
                !published.last && published.times == before
            })
            .unwrap_or_else(PoisonError::into_inner);
        (published.last || published.times != before).then_some(published.stats)
    }

    fn wish(&self, wish: Wish) {
        self.shared.wish.fetch_max(wish as u8, Ordering::Release);
        (self.shared.wake)();
    }

    pub(crate) fn wished(&self) -> Wish {
        match self.shared.wish.load(Ordering::Acquire) {
            0 => Wish::Run,
            1 => Wish::Stop,
            _ => Wish::Kill,
        }
    }

    /// All messages posted so far.
    pub(crate) fn take(&self) -> VecDeque<M> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Has somebody asked for the counters?
    pub(crate) fn wants_stats(&self) -> bool {
        self.shared.stats_wanted.load(Ordering::Acquire)
    }

    /// Tells the counters to those who wait for them.
    pub(crate) fn publish(&self, stats: &Stats) {
        self.publish_in(self.shared.published(), stats);
    }

    fn publish_in(&self, mut published: MutexGuard<'_, Published>, stats: &Stats) {
        self.shared.stats_wanted.store(false, Ordering::Release);
        published.times += 1;
        published.stats = *stats;
        self.shared.stats_published.notify_all();
    }

    /// The loop has ended: from now on `post` gives messages back.
    pub(crate) fn shut(&self, stats: &Stats) {
        *self.lock() = None;
        let mut published = self.shared.published();
        published.last = true;
        self.publish_in(published, stats);
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<M>>> {
        // A panic of another poster leaves a whole queue behind: it is safe to go on with it.
        self.shared
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Shared<M> {
    fn published(&self) -> MutexGuard<'_, Published> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
