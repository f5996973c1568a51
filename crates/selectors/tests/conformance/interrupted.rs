//! Waits that a signal interrupts. Linux only, where a signal can be sent to the thread that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use trunkline_selectors::{Interest, Mechanism, Selector};

use super::support::{Stream, add, pair, selector};

/// Signals a thread about a thousand times a second until dropped, or for a few seconds at most.
struct Signals {
    stop: Arc<AtomicBool>,
    sender: Option<std::thread::JoinHandle<()>>,
}

impl Signals {
    const LONGEST: Duration = Duration::from_secs(10);

    fn at(thread: Pid) -> Signals {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = std::thread::spawn(move || {
            let start = Instant::now();
            while !stopped.load(Ordering::Relaxed) && start.elapsed() < Self::LONGEST {
                // Linux takes a thread's number here too, and hands the signal to that thread if it can.
                kill_process(thread, Signal::USR1).expect("the thread lives");
                // Not to synchronise with anything: this is the rate.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Signals {
            stop,
            sender: Some(sender),
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            // A failure in the sender is one of the case, unless that has failed already.
            assert!(sender.join().is_ok() || std::thread::panicking());
        }
    }
}

pub(crate) fn w3_eintr_keeps_the_deadline(mechanism: Mechanism) {
    let caught = Arc::new(AtomicUsize::new(0));
    signal_hook::flag::register_usize(signal_hook::consts::SIGUSR1, Arc::clone(&caught), 1)
        .expect("a handler");
    let mut selector: Selector<Stream> = selector(mechanism);
    let (a, _b) = pair();
    add(&mut selector, a, Interest::READ, ());
    let signals = Signals::at(rustix::thread::gettid());

    // The signals do interrupt this thread's waits, or the rest would prove nothing.
    let second = Timespec {
        tv_sec: 5,
        tv_nsec: 0,
    };
    assert_eq!(
        rustix::event::poll(&mut [], Some(&second)),
        Err(Errno::INTR)
    );
    assert!(caught.load(Ordering::Relaxed) > 0);

    let timeout = Duration::from_millis(150);
    let start = Instant::now();
    let selected = selector.select(Some(timeout)).expect("EINTR stays inside");
    let took = start.elapsed();
    drop(signals);
    assert_eq!((selected.events, selected.woken), (0, false));
    assert!(took >= timeout, "the wait ended early, after {took:?}");
    // A timeout restarted by every signal ends only when the signals do.
    assert!(
        took < Signals::LONGEST / 2,
        "the deadline was missed: {took:?}"
    );
}
