//! Who takes part.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use trunkline_selectors::{Mechanism, Trigger};

use crate::bare::{Bare, BareNanoseconds};
use crate::harness::Harness;
use crate::mio_poll::MioPoll;
use crate::ours::Ours;
use crate::polling_poller::PollingPoller;

/// Something that waits for many sources. Sources are numbered from zero, by whoever registers them.
pub trait Contender<'a> {
    /// Watches a source for input.
    fn register(&mut self, number: usize, source: BorrowedFd<'a>) -> io::Result<()>;

    /// Watches it for priority input too, or no more. May take effect at the next [`apply`](Contender::apply) only.
    fn modify(
        &mut self,
        number: usize,
        source: BorrowedFd<'a>,
        with_priority: bool,
    ) -> io::Result<()>;

    /// Makes sure that all modifications are known to the system.
    fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Watches it no more.
    fn unregister(&mut self, number: usize, source: BorrowedFd<'a>) -> io::Result<()>;

    /// Waits until there is input and calls `ready` with each source that has some. Says how many that were.
    fn wait(&mut self, ready: impl FnMut(BorrowedFd<'a>)) -> io::Result<usize>;
}

/// A contender by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody: what the harness itself does in a turn with one ready source. Takes part in nothing else.
    Harness,
    /// `epoll_wait` and `epoll_ctl`, and an array of sources.
    Bare(Trigger),
    /// The same with `epoll_pwait2`, level-triggered: what waiting to the nanosecond costs.
    BareNanoseconds,
    /// The selector of this project.
    Ours(Mechanism, Trigger),
    /// `mio::Poll`, which is edge-triggered.
    Mio,
    /// `polling::Poller`, level-triggered.
    PollingLevel,
    /// `polling::Poller` as it comes: one-shot, armed again after every event.
    PollingOneShot,
}

impl Kind {
    /// The yardstick: everybody's cost is given as a multiple of its.
    pub const BASE: Kind = Kind::Bare(Trigger::Level);

    /// Everybody who can take part here, the yardstick first.
    pub fn all() -> Vec<Kind> {
        let mut all = vec![Kind::BASE, Kind::Bare(Trigger::Edge), Kind::BareNanoseconds];
        for availability in Mechanism::available() {
            let mechanism = availability.mechanism;
            if !availability.is_available() {
                continue;
            }
            for trigger in [Trigger::Level, Trigger::Edge] {
                if mechanism.supports(trigger) {
                    all.push(Kind::Ours(mechanism, trigger));
                }
            }
        }
        all.extend([Kind::Mio, Kind::PollingLevel, Kind::PollingOneShot]);
        all
    }

    /// Whether a wait costs in proportion to what is registered.
    pub fn is_linear(self) -> bool {
        matches!(self, Kind::Ours(Mechanism::Poll | Mechanism::Select, _))
    }

    /// Makes the contender and has it do the task.
    pub fn run<'a, W: Task<'a>>(self, task: W) -> io::Result<W::Output> {
        match self {
            Kind::Harness => task.run(Harness::default()),
            Kind::Bare(trigger) => task.run(Bare::new(trigger)?),
            Kind::BareNanoseconds => task.run(BareNanoseconds::new()?),
            Kind::Ours(mechanism, trigger) => task.run(Ours::new(mechanism, trigger)?),
            Kind::Mio => task.run(MioPoll::new()?),
            Kind::PollingLevel => task.run(PollingPoller::new(polling::PollMode::Level)?),
            Kind::PollingOneShot => task.run(PollingPoller::new(polling::PollMode::Oneshot)?),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Kind::Harness => "the harness".to_owned(),
            Kind::Bare(trigger) => format!("bare epoll, {}", name(*trigger)),
            Kind::BareNanoseconds => "bare epoll_pwait2, level".to_owned(),
            Kind::Ours(mechanism, trigger) => {
                format!("trunkline {mechanism}, {}", name(*trigger))
            }
            Kind::Mio => "mio, edge".to_owned(),
            Kind::PollingLevel => "polling, level".to_owned(),
            Kind::PollingOneShot => "polling, one-shot".to_owned(),
        };
        formatter.pad(&name)
    }
}

fn name(trigger: Trigger) -> String {
    format!("{trigger:?}").to_lowercase()
}

/// What is done with a contender: the same code for all, compiled for each.
pub trait Task<'a> {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run(self, contender: impl Contender<'a>) -> io::Result<Self::Output>;
}
