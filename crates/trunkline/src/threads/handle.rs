//! What others hold of a server on several threads.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use trunkline_selectors::Mechanism;

use super::Ended;
use crate::net::{Address, Error};
use crate::pool::Panicked;
use crate::remote::{Offered, Remote};
use crate::stats::Stats;

/// A hold on all loops of a server, from any thread; cheap to clone.
pub struct Remotes<M> {
    loops: Arc<[Remote<M>]>,
    acceptor: Option<Remote<Infallible>>,
}

impl<M> Clone for Remotes<M> {
    fn clone(&self) -> Self {
        Self {
            loops: Arc::clone(&self.loops),
            acceptor: self.acceptor.clone(),
        }
    }
}

impl<M> Remotes<M> {
    pub(super) fn new(loops: Arc<[Remote<M>]>, acceptor: Option<Remote<Infallible>>) -> Self {
        Self { loops, acceptor }
    }

    /// Each loop's own.
    pub fn loops(&self) -> &[Remote<M>] {
        &self.loops
    }

    /// Asks all loops to drain, as [`Remote::stop`]. An acceptor goes first: what it has accepted is a loop's before that
    /// loop drains.
    pub fn stop(&self) {
        match &self.acceptor {
            Some(acceptor) if !acceptor.is_gone() => acceptor.stop(),
            _ => self.loops.iter().for_each(Remote::stop),
        }
    }

    /// Asks all loops to end now, as [`Remote::kill`].
    pub fn kill(&self) {
        if let Some(acceptor) = &self.acceptor {
            acceptor.kill();
        }
        self.loops.iter().for_each(Remote::kill);
    }

    /// Does the server want new clients? As [`Remote::is_ready`].
    pub fn is_ready(&self) -> bool {
        match &self.acceptor {
            Some(acceptor) => acceptor.is_ready(),
            None => self.loops.iter().all(Remote::is_ready),
        }
    }

    /// The counters of all loops, added up: each is asked for them now, as [`Remote::stats`], and all have `patience`
    /// together. `None` when one of them does not answer in time.
    pub fn stats(&self, patience: Duration) -> Option<Stats> {
        let deadline = Instant::now() + patience;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut sum = match &self.acceptor {
            Some(acceptor) => acceptor.stats(left())?,
            None => Stats::default(),
        };
        for remote in self.loops.iter() {
            sum.add(&remote.stats(left())?);
        }
        Some(sum)
    }

    /// Offers a message to each loop, as [`Remote::offer`]; says how many took it.
    pub fn offer_all(&self, message: &M) -> usize
    where
        M: Clone,
    {
        let took = |remote: &&Remote<M>| matches!(remote.offer(message.clone()), Offered::Taken);
        self.loops.iter().filter(took).count()
    }
}

impl<M> fmt::Debug for Remotes<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Remotes")
            .field("loops", &self.loops.len())
            .field("acceptor", &self.acceptor.is_some())
            .finish()
    }
}

/// A handler's place among the loops of its server: given to the factory that makes it.
#[derive(Debug)]
pub struct Seat<M> {
    index: usize,
    remotes: Remotes<M>,
}

impl<M> Clone for Seat<M> {
    fn clone(&self) -> Self {
        Self {
            index: self.index,
            remotes: self.remotes.clone(),
        }
    }
}

impl<M> Seat<M> {
    pub(super) fn new(index: usize, remotes: Remotes<M>) -> Self {
        Self { index, remotes }
    }

    /// The number of this loop, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many loops there are.
    pub fn count(&self) -> usize {
        self.remotes.loops.len()
    }

    /// A hold on this handler's own loop, such as for a [`Pool`](crate::Pool).
    pub fn remote(&self) -> &Remote<M> {
        &self.remotes.loops[self.index]
    }

    /// The other loops, each with its number.
    pub fn others(&self) -> impl Iterator<Item = (usize, &Remote<M>)> {
        let all = self.remotes.loops.iter().enumerate();
        all.filter(|&(index, _)| index != self.index)
    }

    /// All loops, to stop them for example.
    pub fn remotes(&self) -> &Remotes<M> {
        &self.remotes
    }
}

/// A server that runs on several threads.
#[derive(Debug)]
pub struct Threads<M> {
    pub(super) addresses: Vec<Address>,
    pub(super) mechanism: Option<Mechanism>,
    pub(super) remotes: Remotes<M>,
    pub(super) ended: Receiver<Ended>,
}

impl<M> Threads<M> {
    /// Where it listens, in the order the addresses were asked for: with port 0, the port found.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The mechanism that tells the loops which socket is ready.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.mechanism
    }

    /// A hold on all loops.
    pub fn remotes(&self) -> Remotes<M> {
        self.remotes.clone()
    }

    /// Waits until all loops have ended, and adds up what they have counted.
    ///
    /// # Errors
    /// When a loop failed or panicked; the others have drained by then.
    pub fn join(self) -> Result<Stats, ThreadsFailed> {
        let mut stats = Stats::default();
        let mut failures = Vec::new();
        // Every thread says one thing, and the channel ends with the last of them.
        for Ended { index, result } in self.ended {
            match result {
                Ok(of_one) => stats.add(&of_one),
                Err(error) => failures.push((index, error)),
            }
        }
        if failures.is_empty() {
            Ok(stats)
        } else {
            Err(ThreadsFailed {
                failures,
                stats: Box::new(stats),
            })
        }
    }
}

/// Why a loop ended that was not stopped.
#[derive(Debug)]
pub enum LoopError {
    /// Waiting failed, or starting.
    Failed(Error),
    /// A panic came out of it: out of a callback, for example.
    Panicked(Panicked),
}

impl LoopError {
    /// Told in two places.
    pub(super) fn twin(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.twin()),
            Self::Panicked(panicked) => Self::Panicked(panicked.clone()),
        }
    }
}

impl fmt::Display for LoopError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(formatter),
            Self::Panicked(panicked) => panicked.fmt(formatter),
        }
    }
}

/// Some loops of a server failed.
#[derive(Debug)]
pub struct ThreadsFailed {
    /// Which loops (`None` is the acceptor), and why.
    pub failures: Vec<(Option<usize>, LoopError)>,
    /// What the others have counted.
    pub stats: Box<Stats>,
}

impl fmt::Display for ThreadsFailed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (index, error)) in self.failures.iter().enumerate() {
            if number > 0 {
                formatter.write_str("; ")?;
            }
            match index {
                Some(index) => write!(formatter, "loop {index}: {error}")?,
                None => write!(formatter, "the acceptor: {error}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ThreadsFailed {}
