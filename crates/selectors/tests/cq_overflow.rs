//! The scenario `cq-overflow`: more becomes ready between two waits than any queue of answers holds (that of `io_uring`
//! has room for 4096). Nothing is lost. A program of its own, because it takes thousands of descriptors.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use trunkline_selectors::{Interest, Mechanism, Selector, Trigger};

/// More than two such queues.
const SOURCES: usize = 9000;

/// How long it may take until everything has been told.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether there can be as many sources: the soft limit is raised to the hard one.
fn descriptors_suffice() -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let suffices = limit.maximum.is_none_or(|most| most > SOURCES as u64 + 100);
    suffices && setrlimit(Resource::Nofile, limit).is_ok()
}

fn everything_is_told(mechanism: Mechanism, trigger: Trigger) {
    let mut selector = Selector::with_mechanism(mechanism).expect("it was checked");
    let (source, mut peer) = UnixStream::pair().expect("a pair");
    source.set_nonblocking(true).expect("non-blocking");
    let keys: BTreeSet<_> = (0..SOURCES)
        .map(|_| source.try_clone().expect("a duplicate"))
        .map(|duplicate| {
            let registered = selector.register_with(duplicate, Interest::READ, trigger, ());
            registered.expect("registered")
        })
        .collect();
    // The system is told of them, and nothing is ready.
    assert_eq!(
        selector
            .select(Some(Duration::ZERO))
            .expect("select")
            .events,
        0
    );
    for round in 0..2 {
        // All of them become ready, or have more to read, while nobody waits.
        peer.write_all(b"x").expect("written");
        let mut told = BTreeSet::new();
        let give_up = Instant::now() + PATIENCE;
        while told.len() < SOURCES {
            assert!(
                Instant::now() < give_up,
                "{mechanism} {trigger:?}, round {round}: {} of {SOURCES}",
                told.len()
            );
            selector.select(Some(PATIENCE)).expect("select");
            while let Some(event) = selector.next_event() {
                told.insert(event.key);
            }
        }
        assert_eq!(told, keys);
    }
}

#[test]
fn s49_cq_overflow() {
    if !descriptors_suffice() {
        eprintln!("skipped: the hard limit on descriptors is below {SOURCES}");
        assert!(std::env::var_os("CI").is_none());
        return;
    }
    for mechanism in [
        Mechanism::Epoll,
        Mechanism::IoUring,
        Mechanism::Poll,
        Mechanism::Select,
    ] {
        if let Err(reason) = mechanism.check() {
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            continue;
        }
        everything_is_told(mechanism, Trigger::Level);
        if mechanism.supports(Trigger::Edge) {
            everything_is_told(mechanism, Trigger::Edge);
        }
    }
}
