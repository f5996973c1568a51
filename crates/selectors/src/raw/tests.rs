//! The raw door on every mechanism: by one thread; `threads` has several.

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

mod threads;

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
