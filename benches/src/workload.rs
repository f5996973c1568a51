//! The work, and how much of it was ours.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::contender::{Contender, Task};
use crate::sources::{Sources, drain};

/// The sources of a turn are this far apart: a prime, so that all have their turn whatever their number.
pub(crate) const STRIDE: usize = 7919;

/// Registers all sources under their numbers.
pub fn register_all<'a>(
    contender: &mut impl Contender<'a>,
    sources: &'a Sources,
) -> io::Result<()> {
    (0..sources.len()).try_for_each(|number| contender.register(number, sources.source(number)))
}

/// One turn: `active` sources become ready, and waits follow until each has been found and read.
/// `position` remembers where the next turn goes on. Not inlined, so that it costs the same whoever it is done for.
#[inline(never)]
pub fn turn<'a>(
    contender: &mut impl Contender<'a>,
    sources: &'a Sources,
    active: usize,
    position: &mut usize,
) -> io::Result<()> {
    for _ in 0..active {
        *position = (*position + STRIDE) % sources.len();
        sources.raise(*position)?;
    }
    let (mut found, mut read) = (0, 0);
    while found < active {
        found += contender.wait(|source: BorrowedFd<'a>| read += drain(source))?;
    }
    if read == found {
        Ok(())
    } else {
        Err(io::Error::other(
            "a source that was reported had nothing to read",
        ))
    }
}

/// The processor time of this thread so far, in user space and in the kernel.
pub fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

/// Measures what something costs, in nanoseconds of processor time per operation.
pub enum Cost<'a> {
    /// Finding and reading a ready source: `turns` turns with `active` ready ones each.
    Dispatch {
        /// All of them are registered.
        sources: &'a Sources,
        /// How many of them are ready in each turn.
        active: usize,
        /// How many turns.
        turns: usize,
    },
    /// Registering and unregistering a source, both together, until the system knows of either.
    Registration {
        /// All of them are registered and unregistered.
        sources: &'a Sources,
    },
    /// Changing what a source is watched for, until the system knows of it.
    Modification {
        /// All of them are modified.
        sources: &'a Sources,
    },
}

impl<'a> Task<'a> for Cost<'a> {
    type Output = f64;

    fn run(self, mut contender: impl Contender<'a>) -> io::Result<f64> {
        match self {
            Cost::Dispatch {
                sources,
                active,
                turns,
            } => dispatch(contender, sources, active, turns),
            Cost::Registration { sources } => {
                // Tables have grown after the first time.
                register_and_unregister(&mut contender, sources)?;
                let start = cpu_time();
                register_and_unregister(&mut contender, sources)?;
                Ok(per(start, sources.len()))
            }
            Cost::Modification { sources } => {
                register_all(&mut contender, sources)?;
                modify_all(&mut contender, sources, true)?;
                let start = cpu_time();
                modify_all(&mut contender, sources, false)?;
                Ok(per(start, sources.len()))
            }
        }
    }
}

fn dispatch<'a>(
    mut contender: impl Contender<'a>,
    sources: &'a Sources,
    active: usize,
    turns: usize,
) -> io::Result<f64> {
    let mut position = 0;
    register_all(&mut contender, sources)?;
    // Caches and branch predictors, and with edge trigger the first look at everything.
    for _ in 0..turns.div_ceil(10) {
        turn(&mut contender, sources, active, &mut position)?;
    }
    let start = cpu_time();
    for _ in 0..turns {
        turn(&mut contender, sources, active, &mut position)?;
    }
    Ok(per(start, turns * active))
}

fn register_and_unregister<'a>(
    contender: &mut impl Contender<'a>,
    sources: &'a Sources,
) -> io::Result<()> {
    register_all(contender, sources)?;
    // Or else a mechanism that remembers changes for the next wait would never have told the system of these.
    contender.apply()?;
    (0..sources.len())
        .try_for_each(|number| contender.unregister(number, sources.source(number)))?;
    contender.apply()
}

fn modify_all<'a>(
    contender: &mut impl Contender<'a>,
    sources: &'a Sources,
    with_priority: bool,
) -> io::Result<()> {
    for number in 0..sources.len() {
        contender.modify(number, sources.source(number), with_priority)?;
    }
    contender.apply()
}

/// The processor time since `start`, shared among so many operations.
fn per(start: Duration, operations: usize) -> f64 {
    let elapsed = cpu_time().saturating_sub(start);
    elapsed.as_nanos() as f64 / operations as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flavour, Kind};

    /// Counts what a wait says, and checks that it says no more than is true.
    struct Check<'a>(&'a Sources);

    impl<'a> Task<'a> for Check<'a> {
        type Output = ();

        fn run(self, mut contender: impl Contender<'a>) -> io::Result<()> {
            let sources = self.0;
            let mut position = 0;
            register_all(&mut contender, sources)?;
            for active in [1, 10, 1, sources.len()] {
                // Reading what is not ready would be an error: the sources do not block.
                turn(&mut contender, sources, active, &mut position)?;
            }
            for with_priority in [true, false] {
                modify_all(&mut contender, sources, with_priority)?;
            }
            for number in 1..sources.len() {
                contender.unregister(number, sources.source(number))?;
                sources.raise(number)?;
            }
            sources.raise(0)?;
            let mut found = Vec::new();
            contender.wait(|source| found.push(std::os::fd::AsRawFd::as_raw_fd(&source)))?;
            assert_eq!(found, [std::os::fd::AsRawFd::as_raw_fd(&sources.source(0))]);
            Ok(())
        }
    }

    #[test]
    fn every_contender_does_the_work() {
        for flavour in [Flavour::Counter, Flavour::Socket] {
            for kind in Kind::all() {
                let sources = Sources::open(flavour, 50).unwrap();
                kind.run(Check(&sources))
                    .unwrap_or_else(|error| panic!("{kind}, {flavour}: {error}"));
            }
        }
    }
}
