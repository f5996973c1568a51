//! Other threads' hold on a loop: post a message, stop it, kill it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::network::Wake;

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
    wake: Wake,
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

    /// The loop has ended: from now on `post` gives messages back.
    pub(crate) fn shut(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<VecDeque<M>>> {
        // A panic of another poster leaves a whole queue behind: it is safe to go on with it.
        self.shared
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
