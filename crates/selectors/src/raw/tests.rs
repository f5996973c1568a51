//! The raw door on every mechanism: by one thread, and by one that registers while another waits.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Pid;

use super::*;
use crate::capabilities::Support;

/// How long a test waits for what must happen. Only a failing test waits that long.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

const NO_TIME: Option<Duration> = Some(Duration::ZERO);

fn on_each_mechanism(test: impl Fn(&RawSelector)) {
    for entry in Mechanism::available() {
        if entry.is_available() {
            test(&RawSelector::new(entry.mechanism).unwrap());
        }
    }
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// A socket with input waiting, and its peer.
fn ready() -> (UnixStream, UnixStream) {
    let (a, mut b) = pair();
    b.write_all(b"x").unwrap();
    (a, b)
}

/// Registers for as long as a test lasts, or until it unregisters.
fn add_with(
    selector: &RawSelector,
    source: &impl AsRawFd,
    token: u64,
    interest: Interest,
    trigger: Trigger,
) -> io::Result<()> {
    // SAFETY: tests close no source before it is unregistered or they are done with the selector, but one, which says
    // so.
    unsafe { selector.register(source.as_raw_fd(), token, interest, trigger) }
}

fn add(selector: &RawSelector, source: &impl AsRawFd, token: u64, interest: Interest) {
    add_with(selector, source, token, interest, Trigger::Level).unwrap();
}

/// A wait that goes on when it is interrupted, as a process is that is stopped and continued.
fn select(selector: &RawSelector, events: &mut Events, timeout: Option<Duration>) -> Selected {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    let mut interrupted = false;
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        match selector.select(events, left) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => interrupted = true,
            // Another thread came in between.
            Err(error) if interrupted && error.kind() == io::ErrorKind::ResourceBusy => {}
            result => return result.unwrap(),
        }
    }
}

/// Tells the other threads of a test that it is over, also where it ends in a panic: they would go on for ever.
struct Over<'a> {
    is_over: &'a AtomicBool,
    selector: &'a RawSelector,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let _ = self.selector.waker().wake();
    }
}

/// What one wait tells: tokens with readiness, in the order of the tokens, and whether it was woken.
fn wait(selector: &RawSelector, timeout: Option<Duration>) -> (Vec<(u64, Readiness)>, bool) {
    let mut events = Events::new();
    let selected = select(selector, &mut events, timeout);
    let mut told: Vec<_> = events
        .iter()
        .map(|event| (event.token, event.readiness))
        .collect();
    assert_eq!(selected.events, told.len());
    told.sort_by_key(|(token, _)| *token);
    (told, selected.woken)
}

fn look(selector: &RawSelector) -> Vec<(u64, Readiness)> {
    let (told, woken) = wait(selector, NO_TIME);
    assert!(!woken);
    told
}

fn error_number(result: io::Result<()>) -> Option<Errno> {
    let error = result.expect_err("refused");
    Errno::from_io_error(&error)
}

const READABLE: Readiness = Readiness::READABLE;
const WRITABLE: Readiness = Readiness::WRITABLE;

#[test]
fn what_is_ready_is_told_by_its_token_at_every_wait() {
    on_each_mechanism(|selector| {
        let ((a, mut b), (c, _d)) = (pair(), pair());
        add(selector, &a, 7, Interest::READ);
        add(selector, &c, u64::MAX - 1, Interest::WRITE);
        for _ in 0..2 {
            assert_eq!(look(selector), [(u64::MAX - 1, WRITABLE)]);
        }
        b.write_all(b"x").unwrap();
        for _ in 0..2 {
            assert_eq!(look(selector), [(7, READABLE), (u64::MAX - 1, WRITABLE)]);
        }
        // At once: the token, the interest, and the end of it.
        let number = c.as_raw_fd();
        selector
            .modify(number, 8, Interest::READ, Trigger::Level)
            .unwrap();
        assert_eq!(look(selector), [(7, READABLE)]);
        selector
            .modify(number, 9, Interest::READ | Interest::WRITE, Trigger::Level)
            .unwrap();
        assert_eq!(look(selector), [(7, READABLE), (9, WRITABLE)]);
        selector.unregister(number).unwrap();
        selector.unregister(a.as_raw_fd()).unwrap();
        assert_eq!(look(selector), []);
        // What was unregistered can come again.
        add(selector, &a, 1, Interest::READ);
        assert_eq!(look(selector), [(1, READABLE)]);
    });
}

#[test]
fn readiness_is_not_masked_and_a_hang_up_lasts() {
    on_each_mechanism(|selector| {
        let (a, b) = pair();
        add(selector, &a, 1, Interest::READ);
        drop(b);
        let hang_up = READABLE | WRITABLE | Readiness::READ_CLOSED | Readiness::WRITE_CLOSED;
        for _ in 0..3 {
            assert_eq!(look(selector), [(1, hang_up)]);
        }
    });
}

#[test]
fn errors_come_at_once() {
    on_each_mechanism(|selector| {
        let (a, _b) = ready();
        let number = a.as_raw_fd();
        let level = Trigger::Level;
        let modify = |number| selector.modify(number, 1, Interest::READ, level);
        assert_eq!(error_number(modify(number)), Some(Errno::NOENT));
        let unregister = selector.unregister(number);
        assert_eq!(error_number(unregister), Some(Errno::NOENT));
        add(selector, &a, 1, Interest::READ);
        let again = add_with(selector, &a, 2, Interest::READ, level);
        assert_eq!(error_number(again), Some(Errno::EXIST));
        assert_eq!(look(selector), [(1, READABLE)]);

        for closed in [-1, -7, 900_000, RawFd::MAX] {
            let register = add_with(selector, &closed, 1, Interest::READ, level);
            assert_eq!(error_number(register), Some(Errno::BADF));
            assert_eq!(error_number(modify(closed)), Some(Errno::BADF));
            let unregister = selector.unregister(closed);
            assert_eq!(error_number(unregister), Some(Errno::BADF));
        }
        let (c, _d) = pair();
        for (token, interest) in [(1, Interest::NONE), (u64::MAX, Interest::READ)] {
            let refused = add_with(selector, &c, token, interest, level).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            let refused = selector.modify(number, token, interest, level);
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(look(selector), [(1, READABLE)]);
        selector.unregister(number).unwrap();
        assert_eq!(
            error_number(selector.unregister(number)),
            Some(Errno::NOENT)
        );
    });
}

#[test]
fn a_regular_file_is_refused_or_always_ready() {
    on_each_mechanism(|selector| {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let result = add_with(selector, &file, 1, Interest::READ, Trigger::Level);
        if selector.capabilities().regular_files {
            result.unwrap();
            assert_eq!(look(selector), [(1, READABLE)]);
        } else {
            assert_eq!(error_number(result), Some(Errno::PERM));
            assert_eq!(look(selector), []);
        }
    });
}

#[test]
fn the_triggers_are_those_of_the_capabilities() {
    on_each_mechanism(|selector| {
        for trigger in Trigger::ALL {
            let (a, _b) = ready();
            let modify = |token| selector.modify(a.as_raw_fd(), token, Interest::READ, trigger);
            let result = add_with(selector, &a, 1, Interest::READ, trigger);
            if selector.capabilities().support(trigger) == Support::None {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Unsupported);
                continue;
            }
            result.unwrap();
            let again = matches!(trigger, Trigger::Level | Trigger::Exclusive);
            for token in [1, 2, 2] {
                modify(token).unwrap();
                assert_eq!(look(selector), [(token, READABLE)], "{trigger}");
                let more: &[_] = if again { &[(token, READABLE)] } else { &[] };
                assert_eq!(look(selector), more, "{trigger}");
            }
            selector.unregister(a.as_raw_fd()).unwrap();
            assert_eq!(look(selector), []);
        }
        // From one to another and back.
        let (a, _b) = ready();
        add(selector, &a, 1, Interest::READ);
        for (trigger, looks) in [(Trigger::OneShot, 1), (Trigger::Level, 3)] {
            selector
                .modify(a.as_raw_fd(), 1, Interest::READ, trigger)
                .unwrap();
            let told = (0..3).filter(|_| !look(selector).is_empty());
            assert_eq!(told.count(), looks);
        }
    });
}

/// Returns once the kernel says that `thread` sleeps.
fn await_sleep_of(thread: Pid) {
    let status = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    let give_up = Instant::now() + PATIENCE.unwrap();
    loop {
        let text = std::fs::read_to_string(&status).expect("the thread's status");
        // The name in brackets may hold anything; the state is the letter after it.
        if text.rsplit(')').next().unwrap().trim().starts_with('S') {
            return;
        }
        assert!(Instant::now() < give_up, "it does not sleep: {text}");
        std::thread::yield_now();
    }
}

/// Has this thread act while another one sleeps in a wait; what that one was told.
fn while_it_waits(
    selector: &RawSelector,
    timeout: Option<Duration>,
    act: impl FnOnce(&dyn Fn()),
) -> (Vec<(u64, Readiness)>, bool) {
    let (sender, started) = mpsc::channel();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            sender.send(rustix::thread::gettid()).unwrap();
            wait(selector, timeout)
        });
        let thread = started.recv().unwrap();
        let sleeps = || {
            await_sleep_of(thread);
            assert!(!waiter.is_finished(), "it did not wait");
        };
        sleeps();
        act(&sleeps);
        waiter.join().unwrap()
    })
}

#[test]
fn what_is_registered_while_another_thread_waits_ends_the_wait() {
    on_each_mechanism(|selector| {
        let (a, _b) = ready();
        let told = while_it_waits(selector, PATIENCE, |_| add(selector, &a, 5, Interest::READ));
        assert_eq!(told, (vec![(5, READABLE)], false));
        selector.unregister(a.as_raw_fd()).unwrap();

        // The same where it has to become ready first; until then, nothing that is done ends the wait.
        let ((idle, _peer), (a, mut b)) = (pair(), pair());
        let told = while_it_waits(selector, PATIENCE, |sleeps| {
            add(selector, &idle, 1, Interest::READ);
            sleeps();
            add(selector, &a, 2, Interest::PRIORITY);
            sleeps();
            selector
                .modify(a.as_raw_fd(), 3, Interest::READ, Trigger::Level)
                .unwrap();
            sleeps();
            selector.unregister(idle.as_raw_fd()).unwrap();
            sleeps();
            b.write_all(b"x").unwrap();
        });
        assert_eq!(told, (vec![(3, READABLE)], false));
    });
}

#[test]
fn errors_come_at_once_while_another_thread_waits() {
    on_each_mechanism(|selector| {
        let (a, _b) = pair();
        let waker = selector.waker();
        let level = Trigger::Level;
        let told = while_it_waits(selector, PATIENCE, |sleeps| {
            add(selector, &a, 1, Interest::READ);
            let again = add_with(selector, &a, 2, Interest::READ, level);
            assert_eq!(error_number(again), Some(Errno::EXIST));
            let closed = add_with(selector, &900_000, 2, Interest::READ, level);
            assert_eq!(error_number(closed), Some(Errno::BADF));
            selector.unregister(a.as_raw_fd()).unwrap();
            let unregister = selector.unregister(a.as_raw_fd());
            assert_eq!(error_number(unregister), Some(Errno::NOENT));
            sleeps();
            waker.wake().unwrap();
        });
        assert_eq!(told, (vec![], true));
    });
}

#[test]
fn what_is_unregistered_while_another_thread_waits_is_silent() {
    on_each_mechanism(|selector| {
        let (a, mut b) = pair();
        add(selector, &a, 1, Interest::READ);
        let waker = selector.waker();
        let told = while_it_waits(selector, PATIENCE, |sleeps| {
            selector.unregister(a.as_raw_fd()).unwrap();
            sleeps();
            b.write_all(b"x").unwrap();
            waker.wake().unwrap();
        });
        assert_eq!(told, (vec![], true));
    });
}

#[test]
fn a_number_that_is_closed_and_used_again_during_a_wait_is_its_new_owners() {
    on_each_mechanism(|selector| {
        let (a, mut b) = pair();
        let number = a.as_raw_fd();
        add(selector, &a, 1, Interest::READ);
        let mut new = None;
        let told = while_it_waits(selector, PATIENCE, |sleeps| {
            selector.unregister(number).unwrap();
            let (c, mut d) = pair();
            // Other tests open descriptors too, so the number is passed on without being free in between.
            let mut owned = std::os::fd::OwnedFd::from(a);
            rustix::io::dup2(&c, &mut owned).unwrap();
            assert_eq!(owned.as_raw_fd(), number);
            add(selector, &owned, 2, Interest::READ);
            sleeps();
            // The old file has no owner but the peer's interest, which is nobody's business here.
            assert!(b.write_all(b"x").is_err());
            d.write_all(b"x").unwrap();
            new = Some((owned, c, d));
        });
        assert_eq!(told, (vec![(2, READABLE)], false));
    });
}

#[test]
fn a_one_shot_is_armed_again_while_another_thread_waits() {
    on_each_mechanism(|selector| {
        if !selector.capabilities().supports(Trigger::OneShot) {
            return;
        }
        let (a, _b) = ready();
        add_with(selector, &a, 1, Interest::READ, Trigger::OneShot).unwrap();
        assert_eq!(look(selector), [(1, READABLE)]);
        for token in 2..5 {
            let told = while_it_waits(selector, PATIENCE, |_| {
                selector
                    .modify(a.as_raw_fd(), token, Interest::READ, Trigger::OneShot)
                    .unwrap();
            });
            assert_eq!(told, (vec![(token, READABLE)], false));
        }
        assert_eq!(look(selector), []);
    });
}

#[test]
fn changes_do_not_move_the_deadline() {
    on_each_mechanism(|selector| {
        let (a, _b) = pair();
        let timeout = Duration::from_millis(150);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                while !done.load(Ordering::Relaxed) && start.elapsed() < PATIENCE.unwrap() {
                    add(selector, &a, 1, Interest::READ);
                    selector.unregister(a.as_raw_fd()).unwrap();
                    // Not to synchronise with anything: this is the rate.
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let start = Instant::now();
            let told = wait(selector, Some(timeout));
            let took = start.elapsed();
            done.store(true, Ordering::Relaxed);
            assert_eq!(told, (vec![], false));
            assert!(took >= timeout, "ended early, after {took:?}");
            assert!(took < PATIENCE.unwrap() / 2, "ended late, after {took:?}");
        });
    });
}

/// One thread registers, another waits and answers, thousands of times: no registration may be overlooked.
#[test]
fn no_registration_is_overlooked_among_many() {
    const ROUNDS: u64 = 3_000;
    on_each_mechanism(|selector| {
        let (sender, told) = mpsc::channel();
        let is_over = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _over = Over { is_over, selector };
            scope.spawn(|| {
                let _over = Over { is_over, selector };
                let mut events = Events::new();
                while !is_over.load(Ordering::Acquire) {
                    select(selector, &mut events, PATIENCE);
                    for event in events.iter() {
                        sender.send(event.token).unwrap();
                    }
                }
            });
            let sources: Vec<_> = (0..4).map(|_| ready()).collect();
            let mut gone = HashSet::new();
            for round in 0..ROUNDS {
                let (source, _) = &sources[round as usize % sources.len()];
                add(selector, source, round, Interest::READ);
                // It is level-triggered, so it is told several times, and an older one may still be on its way.
                loop {
                    let token = told.recv_timeout(PATIENCE.unwrap()).expect("overlooked");
                    if token == round {
                        break;
                    }
                    assert!(gone.contains(&token), "nobody's: {token}");
                }
                selector.unregister(source.as_raw_fd()).unwrap();
                gone.insert(round);
            }
        });
    });
}

/// Changes use the waker's signal to reach the waiting thread: they must not use up a wake.
#[test]
fn w1_no_wake_is_lost_among_changes() {
    const WAKES: usize = 3_000;
    on_each_mechanism(|selector| {
        let (a, _b) = pair();
        let is_over = &AtomicBool::new(false);
        let (sender, woken) = mpsc::channel();
        std::thread::scope(|scope| {
            let _over = Over { is_over, selector };
            scope.spawn(|| {
                let _over = Over { is_over, selector };
                let mut events = Events::new();
                while !is_over.load(Ordering::Acquire) {
                    let selected = select(selector, &mut events, PATIENCE);
                    assert_eq!(selected.events, 0);
                    if selected.woken {
                        sender.send(()).unwrap();
                    }
                }
            });
            scope.spawn(|| {
                let _over = Over { is_over, selector };
                while !is_over.load(Ordering::Acquire) {
                    add(selector, &a, 1, Interest::READ);
                    selector.unregister(a.as_raw_fd()).unwrap();
                }
            });
            let waker = selector.waker();
            for _ in 0..WAKES {
                waker.wake().unwrap();
                woken.recv_timeout(PATIENCE.unwrap()).expect("a wake");
            }
        });
    });
}

#[test]
fn a_wake_comes_with_events_and_may_outlive_the_selector() {
    let mut wakers = Vec::new();
    on_each_mechanism(|selector| {
        let (a, _b) = ready();
        add(selector, &a, 1, Interest::READ);
        selector.waker().wake().unwrap();
        assert_eq!(wait(selector, None), (vec![(1, READABLE)], true));
        assert_eq!(look(selector), [(1, READABLE)]);
        selector.unregister(a.as_raw_fd()).unwrap();
        selector.waker().wake().unwrap();
        assert_eq!(wait(selector, None), (vec![], true));
        assert_eq!(look(selector), []);
    });
    for &mechanism in Mechanism::all() {
        if let Ok(selector) = RawSelector::new(mechanism) {
            wakers.push(selector.waker());
        }
    }
    for waker in wakers {
        waker.wake().unwrap();
    }
}

#[test]
fn several_threads_wait_where_the_capabilities_say_so() {
    on_each_mechanism(|selector| {
        let (a, mut b) = pair();
        add(selector, &a, 1, Interest::READ);
        let first = while_it_waits(selector, PATIENCE, |sleeps| {
            let mut events = Events::new();
            if selector.capabilities().several_waiters {
                assert_eq!(select(selector, &mut events, NO_TIME), Selected::default());
            } else {
                let refused = loop {
                    match selector.select(&mut events, NO_TIME) {
                        Err(error) if error.kind() != io::ErrorKind::Interrupted => break error,
                        // The first one was interrupted, and waits again.
                        _ => sleeps(),
                    }
                };
                assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
            }
            b.write_all(b"x").unwrap();
        });
        assert_eq!(first, (vec![(1, READABLE)], false));
        // The other one is done, so it is anybody's turn.
        assert_eq!(look(selector), [(1, READABLE)]);
    });
}

#[test]
fn w3_a_signal_ends_the_wait_as_interrupted() {
    let caught = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGUSR2, Arc::clone(&caught)).unwrap();
    on_each_mechanism(|selector| {
        // Others interrupt waits too: whoever stops this process and continues it.
        caught.store(false, Ordering::Relaxed);
        while !caught.load(Ordering::Relaxed) {
            interrupt_a_wait(selector);
        }
        // And it is as good as before.
        let (a, _b) = ready();
        add(selector, &a, 1, Interest::READ);
        assert_eq!(look(selector), [(1, READABLE)]);
    });
}

/// Has a thread wait, and sends it a signal once it sleeps.
fn interrupt_a_wait(selector: &RawSelector) {
    let (sender, started) = mpsc::channel();
    let (may_end, end) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            sender.send(rustix::thread::gettid()).unwrap();
            let result = selector.select(&mut Events::new(), PATIENCE);
            // Its number is its own until the signal was sent.
            let _ = end.recv();
            result
        });
        let thread = started.recv().unwrap();
        await_sleep_of(thread);
        // Linux takes a thread's number here too, and hands the signal to that thread if it can.
        rustix::process::kill_process(thread, rustix::process::Signal::USR2).unwrap();
        drop(may_end);
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    });
}

#[test]
fn more_are_ready_than_a_batch_holds() {
    const SOURCES: u64 = 1_500;
    on_each_mechanism(|selector| {
        let (a, _b) = ready();
        let sources: Vec<_> = (0..SOURCES).map(|_| a.try_clone().unwrap()).collect();
        for (token, source) in (0..).zip(&sources) {
            add(selector, source, token, Interest::READ);
        }
        let mut told = HashSet::new();
        let mut events = Events::new();
        for _ in 0..3 {
            select(selector, &mut events, NO_TIME);
            told.extend(events.iter().map(|event| event.token));
        }
        assert_eq!(told.len() as u64, SOURCES, "some starve");
    });
}

#[test]
fn closing_the_selector_leaves_the_sources_open() {
    for &mechanism in Mechanism::all() {
        let (mut a, _b) = ready();
        let Ok(selector) = RawSelector::new(mechanism) else {
            continue;
        };
        add(&selector, &a, 1, Interest::READ);
        let shared = Arc::new(selector);
        let elsewhere = Arc::clone(&shared);
        let told = std::thread::spawn(move || wait(&elsewhere, PATIENCE));
        assert_eq!(told.join().unwrap(), (vec![(1, READABLE)], false));
        assert_eq!(
            format!("{shared:?}"),
            format!("RawSelector {{ mechanism: {mechanism:?}, .. }}")
        );
        drop(shared);
        assert_eq!(a.read(&mut [0; 8]).unwrap(), 1);
    }
}
