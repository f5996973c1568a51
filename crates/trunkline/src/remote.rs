//! Other threads' hold on a loop: post a message, stop it, kill it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::event_loop::Handed;
use crate::limits::LoopId;
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

/// What waits for the loop.
struct Mail<M> {
    messages: VecDeque<M>,
    handed: Vec<Handed>,
}

struct Shared<M> {
    mail: Mutex<Option<Mail<M>>>,
    /// Connections that the loop has, or will have once it comes by: counted where several share an acceptor.
    load: AtomicUsize,
    /// The most that `offer` lets wait.
    messages_max: AtomicUsize,
    wish: AtomicU8,
    ready: AtomicBool,
    /// Somebody waits for the counters.
    stats_wanted: AtomicBool,
    stats: Mutex<Published>,
    stats_published: Condvar,
    wake: Wake,
}

/// What became of a message that was offered to a loop.
#[must_use = "a message may have come back"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered<M> {
    /// It waits for the loop's [`Handler::message`](crate::Handler::message).
    Taken,
    /// So many messages wait there that it takes no more now.
    Full(M),
    /// The loop has ended.
    Gone(M),
}

/// The loop's own hold: when the loop goes, in whatever way, others learn that it is gone.
pub(crate) struct OwnRemote<M>(pub(crate) Remote<M>);

impl<M> Drop for OwnRemote<M> {
    fn drop(&mut self) {
        self.0.abandon();
    }
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
            mail: Mutex::new(Some(Mail {
                messages: VecDeque::new(),
                handed: Vec::new(),
            })),
            load: AtomicUsize::new(0),
            messages_max: AtomicUsize::new(usize::MAX),
            ready: AtomicBool::new(false),
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

    /// Hands `message` to the loop's [`Handler::message`](crate::Handler::message), in the order of posting, however
    /// many wait there: for posters who are few, or who wait for answers. Others [`offer`](Self::offer).
    ///
    /// # Errors
    /// Gives the message back when the loop has ended.
    pub fn post(&self, message: M) -> Result<(), M> {
        match self.lock().as_mut() {
            Some(mail) => mail.messages.push_back(message),
            None => return Err(message),
        }
        (self.shared.wake)();
        Ok(())
    }

    /// As `post`, as long as fewer than [`Options::messages_max`](crate::Options::messages_max) messages wait.
    pub fn offer(&self, message: M) -> Offered<M> {
        let max = self.shared.messages_max.load(Ordering::Relaxed);
        match self.lock().as_mut() {
            Some(mail) if mail.messages.len() >= max => return Offered::Full(message),
            Some(mail) => mail.messages.push_back(message),
            None => return Offered::Gone(message),
        }
        (self.shared.wake)();
        Offered::Taken
    }

    /// Does the loop want new clients? It does from when it first listens until it is asked to stop, and so says no already
    /// while it still accepts ([`Options::drain_lag`](crate::Options::drain_lag)): a load balancer that asks in this way
    /// sends the next client elsewhere.
    pub fn is_ready(&self) -> bool {
        self.shared.ready.load(Ordering::Acquire) && self.wished() == Wish::Run
    }

    pub(crate) fn set_ready(&self) {
        self.shared.ready.store(true, Ordering::Release);
    }

    pub(crate) fn set_not_ready(&self) {
        self.shared.ready.store(false, Ordering::Release);
    }

    pub(crate) fn set_messages_max(&self, max: usize) {
        self.shared
            .messages_max
            .store(max.max(1), Ordering::Relaxed);
    }

    /// Tells this loop from all others that there are.
    pub(crate) fn id(&self) -> LoopId {
        LoopId(Arc::as_ptr(&self.shared) as usize)
    }

    /// Has the loop ended?
    pub fn is_gone(&self) -> bool {
        self.lock().is_none()
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

    /// All that waits: connections and messages.
    pub(crate) fn take(&self) -> (Vec<Handed>, VecDeque<M>) {
        let mut mail = self.lock();
        let Some(mail) = mail.as_mut() else {
            return (Vec::new(), VecDeque::new());
        };
        (
            std::mem::take(&mut mail.handed),
            std::mem::take(&mut mail.messages),
        )
    }

    /// The connections that wait.
    pub(crate) fn take_handed(&self) -> Vec<Handed> {
        let mut mail = self.lock();
        let handed = mail.as_mut().map(|mail| std::mem::take(&mut mail.handed));
        handed.unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn take_messages(&self) -> VecDeque<M> {
        self.take().1
    }

    /// Gives the loop a connection. It comes back when the loop has ended.
    pub(crate) fn hand_over(&self, handed: Handed) -> Result<(), Handed> {
        match self.lock().as_mut() {
            Some(mail) => mail.handed.push(handed),
            None => return Err(handed),
        }
        self.shared.load.fetch_add(1, Ordering::Relaxed);
        (self.shared.wake)();
        Ok(())
    }

    /// How many connections it was given and has still.
    pub(crate) fn load(&self) -> usize {
        self.shared.load.load(Ordering::Relaxed)
    }

    /// One of them has ended.
    pub(crate) fn let_go(&self) {
        // Where connections come in another way, nobody counts and nobody asks.
        self.shared.load.fetch_sub(1, Ordering::Relaxed);
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
        self.set_not_ready();
        *self.lock() = None;
        let mut published = self.shared.published();
        published.last = true;
        self.publish_in(published, stats);
    }

    /// The loop goes, perhaps without having ended: then the counters stay as it told them last.
    fn abandon(&self) {
        self.set_not_ready();
        *self.lock() = None;
        self.shared.published().last = true;
        self.shared.stats_published.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Mail<M>>> {
        // A panic of another poster leaves a whole queue behind: it is safe to go on with it.
        self.shared
            .mail
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Shared<M> {
    fn published(&self) -> MutexGuard<'_, Published> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
