//! The waker under loom: every order in which its threads may come, and everything that weak memory allows.
//!
//! The code under test is the crate's own file. Around it stand loom's atomics, and a model of what the kernel does: a
//! signal that is raised and cleared under a lock, and a wait that sleeps until it is raised. A wake that is lost
//! leaves the selector's thread asleep for ever, which loom reports as a deadlock.

// It is the same everywhere.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![forbid(unsafe_code)]

#[path = "../src/wake.rs"]
mod wake;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
}

mod backend {
    use std::io;

    use loom::sync::{Condvar, Mutex};

    /// An eventfd in the mechanism's set, level-triggered.
    #[derive(Default)]
    pub(crate) struct Signal {
        raised: Mutex<bool>,
        changed: Condvar,
        fails: bool,
    }

    impl Signal {
        /// One that cannot be raised.
        pub(crate) fn broken() -> Signal {
            Signal {
                fails: true,
                ..Signal::default()
            }
        }

        pub(crate) fn raise(&self) -> io::Result<()> {
            if self.fails {
                return Err(io::ErrorKind::Other.into());
            }
            *self.raised.lock().expect("not poisoned") = true;
            self.changed.notify_one();
            Ok(())
        }

        pub(crate) fn clear(&self) {
            *self.raised.lock().expect("not poisoned") = false;
        }

        /// The mechanism's wait without a timeout.
        pub(crate) fn wait(&self) {
            let mut raised = self.raised.lock().expect("not poisoned");
            while !*raised {
                raised = self.changed.wait(raised).expect("not poisoned");
            }
        }

        /// The mechanism's wait with a timeout of zero: whether it saw the signal.
        pub(crate) fn is_raised(&self) -> bool {
            *self.raised.lock().expect("not poisoned")
        }
    }
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use backend::Signal;
use wake::Wake;

/// A waker, and something that other threads do before they wake. Whoever is woken must see it: the counter is
/// relaxed, so that nothing but the waker orders it.
struct World {
    wake: Wake,
    done: AtomicUsize,
}

impl World {
    fn new(signal: Signal) -> Arc<World> {
        Arc::new(World {
            wake: Wake::new(signal),
            done: AtomicUsize::new(0),
        })
    }

    fn do_and_wake(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.wake.send().expect("raised");
    }

    /// What `Selector::select` does with its waker, over and over until that much has been done. (It looks at the
    /// counter after a wake only, as a program does.)
    fn select_until_done(&self, wanted: usize) {
        while self.done.load(Ordering::Relaxed) < wanted {
            self.wake.signal().wait();
            if self.wake.is_pending() {
                self.wake.take();
            }
        }
    }
}

fn on_a_thread(world: &Arc<World>, act: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || act(&world))
}

/// Tries every order in which no thread is interrupted more than three times: all the others together take a minute
/// (`LOOM_MAX_PREEMPTIONS=9` has them tried too).
fn in_most_orders(act: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound.get_or_insert(3);
    model.check(act);
}

#[test]
fn w1_no_wake_of_two_threads_is_lost() {
    in_most_orders(|| {
        let world = World::new(Signal::default());
        let wakers = [(); 2].map(|()| on_a_thread(&world, World::do_and_wake));
        world.select_until_done(2);
        for waker in wakers {
            waker.join().expect("woken");
        }
    });
}

#[test]
fn w1_no_wake_of_one_thread_that_wakes_again_and_again_is_lost() {
    in_most_orders(|| {
        let world = World::new(Signal::default());
        // Three times: one that is being taken, one in the middle of that, and one that must not be silent.
        let waker = on_a_thread(&world, |world| (0..3).for_each(|_| world.do_and_wake()));
        world.select_until_done(3);
        waker.join().expect("woken");
    });
}

#[test]
fn without_a_pending_wake_the_signal_is_down() {
    loom::model(|| {
        let world = World::new(Signal::default());
        let waker = on_a_thread(&world, World::do_and_wake);
        // The selector counts the signal among what it found only if a wake is pending.
        let saw = world.wake.signal().is_raised();
        assert!(!saw || world.wake.is_pending(), "an event of nobody");
        assert!(!saw || world.wake.take(), "a wake, and none");
        waker.join().expect("woken");
        // Taken or still pending, never neither nor both.
        assert_eq!(world.wake.signal().is_raised(), world.wake.is_pending());
        assert_eq!(world.wake.is_pending(), !saw);
    });
}

#[test]
fn a_wake_that_failed_does_not_silence_the_next() {
    loom::model(|| {
        let world = World::new(Signal::broken());
        assert!(world.wake.send().is_err());
        assert!(!world.wake.is_pending());
        assert!(world.wake.send().is_err(), "tried again");
    });
}
