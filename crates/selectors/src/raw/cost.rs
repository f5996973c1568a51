//! What the safe selector costs above the raw door, as a ratio within one run:
//!
//! `cargo test --release -p trunkline-selectors --lib raw::cost -- --ignored --nocapture`
//!
//! Both watch the same sockets, of which one has input that nobody reads, so that every wait finds one event. Rounds of
//! the two alternate; the figures are the processor time of the waiting thread, medians over all rounds.

use std::hint::black_box;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::{Events, RawSelector};
use crate::{Interest, Mechanism, Selector, Trigger};

const ROUNDS: usize = 41;
const SOURCES: usize = 1_000;

/// What a wait and its event may cost in the safe selector, as a multiple of the raw door's.
const RATIO_MAX: f64 = 1.05;

/// A closed loop of waits, long enough to be measured and short enough to be repeated.
fn turns(mechanism: Mechanism) -> u32 {
    match mechanism {
        Mechanism::Poll | Mechanism::Select => 200,
        _ => 20_000,
    }
}

/// Nanoseconds of processor time for each repetition of an action.
fn cost(repetitions: u32, mut action: impl FnMut()) -> f64 {
    let start = processor_time();
    for _ in 0..repetitions {
        action();
    }
    let took = processor_time().saturating_sub(start);
    took.as_secs_f64() * 1e9 / f64::from(repetitions)
}

/// What this thread has used so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).expect("less than a second");
    Duration::new(time.tv_sec.cast_unsigned(), nanoseconds)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Alternates two measurements, and prints their medians and the median of their ratios.
fn compare(what: &str, mut safe: impl FnMut() -> f64, mut raw: impl FnMut() -> f64) -> f64 {
    let pairs: Vec<_> = (0..ROUNDS)
        .map(|round| {
            // Neither is always the first.
            if round % 2 == 0 {
                let safe = safe();
                (safe, raw())
            } else {
                let raw = raw();
                (safe(), raw)
            }
        })
        .collect();
    let ratio = median(pairs.iter().map(|(safe, raw)| safe / raw).collect());
    let safe = median(pairs.iter().map(|(safe, _)| *safe).collect());
    let raw = median(pairs.iter().map(|(_, raw)| *raw).collect());
    println!("{what:32} safe {safe:8.0} ns   raw {raw:8.0} ns   ratio {ratio:.3}");
    ratio
}

#[test]
#[ignore = "a measurement, which wants a release build and a quiet machine"]
fn the_safe_selector_costs_little_above_the_raw_door() {
    for entry in Mechanism::available() {
        let mechanism = entry.mechanism;
        if !entry.is_available() {
            continue;
        }
        let pairs: Vec<_> = (0..SOURCES)
            .map(|_| UnixStream::pair().expect("this needs 2010 descriptors"))
            .collect();
        rustix::io::write(&pairs[SOURCES / 2].1, b"x").unwrap();
        let (spare, _peer) = UnixStream::pair().unwrap();

        let raw = RawSelector::new(mechanism).unwrap();
        let mut safe: Selector<&UnixStream> = Selector::with_mechanism(mechanism).unwrap();
        for (token, (source, _)) in (0..).zip(&pairs) {
            let number = source.as_raw_fd();
            // SAFETY: the sources are closed after the selector.
            unsafe { raw.register(number, token, Interest::READ, Trigger::Level) }.unwrap();
            safe.register(source, Interest::READ, ()).unwrap();
        }
        let turns = turns(mechanism);
        let mut events = Events::new();
        let ratio = compare(
            &format!("{mechanism}: a wait and its event"),
            || {
                cost(turns, || {
                    safe.select(None).unwrap();
                    while let Some(event) = safe.next_event() {
                        black_box(event);
                    }
                })
            },
            || {
                cost(turns, || {
                    raw.select(&mut events, None).unwrap();
                    for event in events.iter() {
                        black_box(event);
                    }
                })
            },
        );
        assert!(ratio <= RATIO_MAX, "{mechanism}: {ratio}");
        compare(
            &format!("{mechanism}: register, unregister"),
            || {
                cost(turns, || {
                    let key = safe.register(&spare, Interest::READ, ()).unwrap();
                    black_box(safe.unregister(key));
                })
            },
            || {
                cost(turns, || {
                    let number = spare.as_raw_fd();
                    // SAFETY: it stays open, and is unregistered at once.
                    unsafe { raw.register(number, 1, Interest::READ, Trigger::Level) }.unwrap();
                    raw.unregister(number).unwrap();
                })
            },
        );
    }
}
