//! Wakers: a wake ends a wait, whenever and from wherever it comes.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use trunkline_selectors::{Interest, Mechanism, Selector, Waker};

use super::support::{PATIENCE, Stream, add, assert_quiet, pair, selector, while_asleep};

/// The result of the next wait: (events, woken).
fn wait(selector: &mut Selector<Stream>) -> (usize, bool) {
    let selected = selector.select(Some(PATIENCE)).expect("select");
    (selected.events, selected.woken)
}

fn glance(selector: &mut Selector<Stream>) -> (usize, bool) {
    let selected = selector.select(Some(Duration::ZERO)).expect("select");
    (selected.events, selected.woken)
}

pub(crate) fn w1_a_wake_before_the_wait_ends_it_at_once(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let waker = selector.waker().expect("a waker");
    std::thread::scope(|scope| {
        scope.spawn(|| waker.wake().expect("woken"));
    });
    assert_eq!(wait(&mut selector), (0, true));
    assert!(selector.next_event().is_none(), "a wake is not an event");
    assert_quiet(&mut selector);
}

pub(crate) fn w1_a_wake_during_the_wait_ends_it(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let waker = selector.waker().expect("a waker");
    for _ in 0..20 {
        let selected = while_asleep(
            || waker.wake().expect("woken"),
            || selector.select(None).expect("select"),
        );
        assert_eq!((selected.events, selected.woken), (0, true));
    }
    assert_quiet(&mut selector);
}

pub(crate) fn w1_a_wake_after_a_wait_counts_for_the_next(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let waker = selector.waker().expect("a waker");
    for _ in 0..1000 {
        assert_eq!(glance(&mut selector), (0, false));
        waker.wake().expect("woken");
        assert_eq!(glance(&mut selector), (0, true));
    }
}

pub(crate) fn w1_no_wake_is_lost_among_many_threads(mechanism: Mechanism) {
    const THREADS: usize = 4;
    const WAKES: usize = 2_000;
    let mut selector: Selector<Stream> = selector(mechanism);
    let waker = selector.waker().expect("a waker");
    let work = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (waker, work) = (waker.clone(), &work);
            scope.spawn(move || {
                for _ in 0..WAKES {
                    work.fetch_add(1, Ordering::SeqCst);
                    waker.wake().expect("woken");
                }
            });
        }
        // Work is counted before its wake: whoever has not seen all the work has a wake to come.
        while work.load(Ordering::SeqCst) < THREADS * WAKES {
            let seen = work.load(Ordering::SeqCst);
            assert_eq!(wait(&mut selector), (0, true), "lost after {seen}");
        }
    });
}

pub(crate) fn wakes_before_one_wait_are_one(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let waker = selector.waker().expect("a waker");
    for _ in 0..1000 {
        waker.wake().expect("woken");
    }
    assert_eq!(glance(&mut selector), (0, true));
    assert_quiet(&mut selector);
}

pub(crate) fn several_wakers_end_the_same_selector(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let wakers: Vec<Waker> = (0..5).map(|_| selector.waker().expect("a waker")).collect();
    for waker in &wakers {
        waker.wake().expect("woken");
        assert_eq!(glance(&mut selector), (0, true));
        waker.clone().wake().expect("woken");
        assert_eq!(glance(&mut selector), (0, true));
    }
    for waker in &wakers {
        waker.wake().expect("woken");
    }
    assert_eq!(glance(&mut selector), (0, true));
    assert_quiet(&mut selector);
}

pub(crate) fn a_wake_and_events_come_together(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let waker = selector.waker().expect("a waker");
    let (a, mut b) = pair();
    let key = add(&mut selector, a, Interest::READ, ());
    b.write_all(b"x").expect("written");
    waker.wake().expect("woken");
    assert_eq!(wait(&mut selector), (1, true));
    assert_eq!(selector.next_event().map(|event| event.key), Some(key));
    assert!(selector.next_event().is_none());
    assert_eq!(wait(&mut selector), (1, false));
}

pub(crate) fn a_waker_wakes_no_other_selector(mechanism: Mechanism) {
    let mut selector_a: Selector<Stream> = selector(mechanism);
    let mut selector_b: Selector<Stream> = selector(mechanism);
    let waker_a = selector_a.waker().expect("a waker");
    let _waker_b = selector_b.waker().expect("a waker");
    waker_a.wake().expect("woken");
    assert_quiet(&mut selector_b);
    assert_eq!(wait(&mut selector_a), (0, true));
}

pub(crate) fn a_waker_may_outlive_its_selector(mechanism: Mechanism) {
    let selector_a: Selector<Stream> = selector(mechanism);
    let orphan = selector_a.waker().expect("a waker");
    drop(selector_a);
    let mut selector_b: Selector<Stream> = selector(mechanism);
    let _waker_b = selector_b.waker().expect("a waker");
    // Whether it is an error to wake nobody is not the point: it must not reach somebody else.
    let _ = orphan.wake();
    assert_quiet(&mut selector_b);
}
