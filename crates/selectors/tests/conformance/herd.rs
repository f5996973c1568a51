//! Several threads that wait for the same source. Linux only, where one can see that they sleep.

use std::io::Write;
use std::sync::mpsc;
use std::sync::{Arc, Barrier};

use trunkline_selectors::{Interest, Mechanism, Trigger, Waker};

use super::support::{PATIENCE, Stream, await_sleep_of, pair, selector};
use super::triggers::add_with;

/// One of several threads that sleep in a wait for the same source; says how many events it woke up with.
fn sleeper(
    mechanism: Mechanism,
    trigger: Trigger,
    source: Arc<Stream>,
    about_to_wait: &mpsc::Sender<(rustix::process::Pid, Waker)>,
    all_are_awake: &Barrier,
) -> usize {
    let mut selector = selector(mechanism);
    add_with(&mut selector, source, Interest::READ, trigger, ());
    let waker = selector.waker().expect("a waker");
    about_to_wait
        .send((rustix::thread::gettid(), waker))
        .expect("the case listens");
    let selected = selector.select(Some(PATIENCE)).expect("select");
    // A selector that goes might hand its news on: none goes before all have looked.
    all_are_awake.wait();
    selected.events
}

/// How many of so many sleeping threads hear of one source's becoming ready.
fn sleepers_told(mechanism: Mechanism, trigger: Trigger, threads: usize) -> usize {
    // As a listener would be shared, but what one end writes the other has before the call returns.
    let (source, mut peer) = pair();
    let source = Arc::new(source);
    let (sender, about_to_wait) = mpsc::channel();
    let all_are_awake = Barrier::new(threads);
    std::thread::scope(|scope| {
        let sleepers: Vec<_> = (0..threads)
            .map(|_| {
                let (source, sender) = (Arc::clone(&source), sender.clone());
                let barrier = &all_are_awake;
                scope.spawn(move || sleeper(mechanism, trigger, source, &sender, barrier))
            })
            .collect();
        let mut wakers = Vec::new();
        for _ in 0..threads {
            let (thread, waker) = about_to_wait.recv().expect("a thread");
            await_sleep_of(thread);
            wakers.push(waker);
        }
        peer.write_all(b"x").expect("written");
        // Those who were not told wake by this, and have nothing to tell.
        for waker in wakers {
            waker.wake().expect("woken");
        }
        let told = sleepers
            .into_iter()
            .map(|thread| thread.join().expect("a result"));
        told.sum()
    })
}

pub(crate) fn exclusive_wakes_one_at_least_and_not_all(mechanism: Mechanism) {
    const THREADS: usize = 4;
    if !mechanism.capabilities().supports(Trigger::Exclusive) {
        return;
    }
    // Level-triggered the whole herd wakes: else the other figure would prove nothing.
    let herd = sleepers_told(mechanism, Trigger::Level, THREADS);
    assert_eq!(herd, THREADS);
    // Whoever is between two waits at that very moment is told too, because it does not sleep: so are all of them where
    // this process was stopped and has just been continued.
    for _ in 0..20 {
        let woken = sleepers_told(mechanism, Trigger::Exclusive, THREADS);
        assert!(woken > 0, "nobody woke");
        if woken < THREADS {
            return;
        }
    }
    panic!("all of {THREADS} woke, every time");
}
