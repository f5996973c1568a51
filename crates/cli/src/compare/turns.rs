//! What it costs to learn which of many sources are ready.
//!
//! A turn: a byte is written to each of a sources; waits follow until all of them have been found and read. It is the
//! processor time of whole turns that is measured, so that what a mechanism saves in waiting and needs elsewhere counts
//! too. Every mechanism is used as it comes, level-triggered, through the selectors of this project.

#![allow(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds stay far below 2^52"
)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use trunkline::Mechanism;
use trunkline_selectors::{Interest, Selector};

/// How much processor time one measurement takes, if its turns are not longer.
const MEASURED: Duration = Duration::from_millis(10);
/// Until so much is done, nothing is measured.
const WARM_UP: Duration = Duration::from_millis(2);
/// Turns in a measurement, however long they take.
const TURNS_MIN: usize = 3;
/// The sources of a turn are this far apart: a prime, so that all have their turn, whatever their number.
const STRIDE: usize = 7919;
/// At most.
const DESCRIPTORS_OF_A_SELECTOR: usize = 8;

/// Socket pairs. One end is watched, what is written to the other makes it ready.
pub(crate) struct Pairs(Vec<(UnixStream, UnixStream)>);

impl Pairs {
    pub(crate) fn open(count: usize) -> io::Result<Self> {
        // A selector has descriptors of its own, such as its waker's. They are to be low: to `select` it matters which is
        // the highest of all. What is opened here is closed behind the pairs, and leaves the lowest numbers free.
        let mut low = Vec::new();
        for _ in 0..DESCRIPTORS_OF_A_SELECTOR {
            low.push(File::open("/dev/null")?);
        }
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let (watched, peer) = UnixStream::pair()?;
            watched.set_nonblocking(true)?;
            pairs.push((watched, peer));
        }
        Ok(Self(pairs))
    }

    /// The first of them, whose descriptors have the lowest numbers.
    pub(crate) fn first(&self, count: usize) -> &[(UnixStream, UnixStream)] {
        &self.0[..count]
    }

    /// So many, whose descriptors lie at or below `highest`, but as high as can be.
    pub(crate) fn up_to(&self, highest: usize, count: usize) -> &[(UnixStream, UnixStream)] {
        let is_below = |(watched, _): &(UnixStream, UnixStream)| {
            usize::try_from(watched.as_raw_fd()).is_ok_and(|number| number <= highest)
        };
        let end = self.0.partition_point(is_below).max(count);
        &self.0[end - count..end]
    }
}

/// Nanoseconds of processor time per event, over these pairs, of which so many are active in each turn.
pub(crate) fn cost(
    mechanism: Mechanism,
    pairs: &[(UnixStream, UnixStream)],
    active: usize,
) -> io::Result<f64> {
    let mut selector = Selector::with_mechanism(mechanism)?;
    for (watched, _) in pairs {
        selector.register(watched.as_fd(), Interest::READ, ())?;
    }
    // A mechanism that leaves this to the first wait would have a first turn of milliseconds, and be judged by few turns.
    selector.apply()?;
    let mut position = 0;
    // Caches and branch predictors; and how long a turn takes here.
    let mut turns = 1_u32;
    let time_per_turn = loop {
        let start = cpu_time();
        for _ in 0..turns {
            turn(&mut selector, pairs, active, &mut position)?;
        }
        let elapsed = cpu_time().saturating_sub(start);
        if elapsed >= WARM_UP {
            break elapsed.as_nanos() as f64 / f64::from(turns);
        }
        turns *= 2;
    };
    #[allow(clippy::cast_sign_loss, reason = "a quotient of two durations")]
    let turns = ((MEASURED.as_nanos() as f64 / time_per_turn) as usize).max(TURNS_MIN);
    let start = cpu_time();
    for _ in 0..turns {
        turn(&mut selector, pairs, active, &mut position)?;
    }
    let elapsed = cpu_time().saturating_sub(start);
    Ok(elapsed.as_nanos() as f64 / (turns * active) as f64)
}

fn turn(
    selector: &mut Selector<BorrowedFd<'_>>,
    pairs: &[(UnixStream, UnixStream)],
    active: usize,
    position: &mut usize,
) -> io::Result<()> {
    for _ in 0..active {
        *position = (*position + STRIDE) % pairs.len();
        (&pairs[*position].1).write_all(b"x")?;
    }
    let mut found = 0;
    while found < active {
        selector.select(None)?;
        while let Some(event) = selector.next_event() {
            if let Some(source) = selector.source(event.key) {
                found += drain(*source)?;
            }
        }
    }
    Ok(())
}

/// Reads what there is from a source, and says how many bytes that was: one for each time it was made ready.
fn drain(source: BorrowedFd<'_>) -> io::Result<usize> {
    let mut buffer = [0; 64];
    Ok(rustix::io::read(source, &mut buffer)?)
}

/// The processor time of this thread so far, in user space and in the kernel.
pub(crate) fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mechanism_finds_what_is_ready_wherever_it_is() {
        let pairs = Pairs::open(40).unwrap();
        for mechanism in Mechanism::all() {
            if mechanism.check().is_err() {
                continue;
            }
            for (count, active) in [(1, 1), (40, 1), (40, 7), (40, 40)] {
                let cost = cost(*mechanism, pairs.first(count), active).unwrap();
                assert!(cost > 0.0, "{mechanism}");
            }
        }
    }

    #[test]
    fn the_highest_below_a_number_are_taken() {
        let pairs = Pairs::open(20).unwrap();
        let number = |(watched, _): &(UnixStream, UnixStream)| watched.as_raw_fd();
        let all: Vec<_> = pairs.0.iter().map(number).collect();
        // Other tests open and close files meanwhile: the numbers need not be neighbours, nor in order.
        if all.is_sorted() {
            let limit = usize::try_from(all[9]).unwrap();
            let taken: Vec<_> = pairs.up_to(limit, 5).iter().map(number).collect();
            assert_eq!(taken, all[5..10]);
        }
        // Where there are not so many below, the lowest there are.
        assert_eq!(pairs.up_to(0, 5).len(), 5);
    }
}
