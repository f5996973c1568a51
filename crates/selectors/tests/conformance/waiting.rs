//! How long a wait lasts.

use std::time::{Duration, Instant};

use trunkline_selectors::{Interest, Mechanism, Selected, Selector, Trigger};

use super::support::{PATIENCE, Stream, add, facts_of, pair, selector, tcp_pair, while_asleep};

/// The shortest of several waits: the longest says more about the machine than about the selector.
fn shortest_wait(selector: &mut Selector<Stream>, timeout: Duration, tries: u32) -> Duration {
    (0..tries)
        .map(|_| {
            let start = Instant::now();
            let selected = selector.select(Some(timeout)).expect("select");
            let took = start.elapsed();
            assert_eq!((selected.events, selected.woken), (0, false));
            assert!(took >= timeout, "{timeout:?} lasted only {took:?}");
            took
        })
        .min()
        .expect("at least one try")
}

pub(crate) fn w4_short_timeouts_are_neither_cut_nor_rounded_to_a_millisecond(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    // Where the kernel counts in milliseconds they are rounded up, and must not become two.
    let rounded = !mechanism.capabilities().nanosecond_timeouts;
    let (a, _b) = pair();
    add(&mut selector, a, Interest::READ, ());
    // Only some systems count finer than in milliseconds, or take less than that for a tick of their clock.
    let fine = cfg!(target_os = "linux");
    for micros in [1, 100, 700, 999] {
        let took = shortest_wait(&mut selector, Duration::from_micros(micros), 100);
        // Rounded up, it would last two milliseconds where a kernel adds a tick, never less than one.
        let limit = Duration::from_micros(if micros < 900 && !rounded { 1000 } else { 1900 });
        assert!(!fine || took < limit, "{micros} µs lasted {took:?}");
    }
    let took = shortest_wait(&mut selector, Duration::from_micros(1500), 100);
    let limit = Duration::from_millis(if rounded { 3 } else { 2 });
    assert!(!fine || took < limit, "1.5 ms lasted {took:?}");
}

pub(crate) fn w4_zero_stays_zero(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, _b) = pair();
    add(&mut selector, a, Interest::READ, ());
    let took = shortest_wait(&mut selector, Duration::ZERO, 100);
    assert!(took < Duration::from_millis(1), "zero lasted {took:?}");
}

pub(crate) fn w5_very_long_timeouts_wait(mechanism: Mechanism) {
    let day = Duration::from_secs(24 * 60 * 60);
    for timeout in [
        25 * day,          // more milliseconds than 31 bits hold
        50 * day,          // … than 32 bits
        day * 365 * 1_000, // longer than anybody waits
        Duration::from_secs(i64::MAX.unsigned_abs()),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ] {
        let mut selector: Selector<Stream> = selector(mechanism);
        let waker = selector.waker().expect("a waker");
        let selected = while_asleep(
            || waker.wake().expect("woken"),
            || selector.select(Some(timeout)),
        );
        let Selected { events, woken, .. } = selected.expect("select");
        assert_eq!((events, woken), (0, true), "{timeout:?} did not wait");
    }
}

pub(crate) fn no_timeout_waits_until_something_is_ready(mechanism: Mechanism) {
    use std::io::Write;
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add(&mut selector, a, Interest::READ, ());
    let selected = while_asleep(
        || b.write_all(b"x").expect("written"),
        || selector.select(None),
    );
    let selected = selected.expect("select");
    assert_eq!((selected.events, selected.woken), (1, false));
    let event = selector.next_event().expect("an event");
    assert_eq!(event.key, key);
    assert_eq!(facts_of(event.readiness), ["readable"]);
    assert!(selector.next_event().is_none());
}

pub(crate) fn an_empty_selector_waits_for_its_timeout(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let took = shortest_wait(&mut selector, Duration::from_millis(5), 3);
    assert!(took < PATIENCE);
}

/// Two threads that answer each other over many sockets: news come before, during and after waits, at any moment.
pub(crate) fn w1_no_news_is_lost_while_others_are_taken(mechanism: Mechanism) {
    use std::io::{Read, Write};
    const SOURCES: usize = 64;
    const ROUNDS: usize = 300;
    let (ours, peers): (Vec<_>, Vec<_>) = (0..SOURCES).map(|_| tcp_pair()).unzip();
    for trigger in [Trigger::Level, Trigger::Edge] {
        if !mechanism.supports(trigger) {
            continue;
        }
        let mut selector = selector(mechanism);
        for source in &ours {
            let registered = selector.register_with(source, Interest::READ, trigger, ());
            registered.expect("registered");
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for peer in &peers {
                    peer.set_nonblocking(false).expect("blocking");
                    peer.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                }
                for _ in 0..ROUNDS {
                    for mut peer in &peers {
                        peer.write_all(b"x").expect("written");
                    }
                    for mut peer in &peers {
                        peer.read_exact(&mut [0]).expect("an answer");
                    }
                }
            });
            let mut answered = 0;
            while answered < SOURCES * ROUNDS {
                let selected = selector.select(Some(PATIENCE)).expect("select");
                assert!(selected.events > 0, "{trigger:?}: {answered} answered");
                while let Some(event) = selector.next_event() {
                    let mut source = *selector.source(event.key).expect("registered");
                    let mut bytes = [0; 8];
                    match source.read(&mut bytes) {
                        Ok(count) => {
                            source.write_all(&bytes[..count]).expect("room");
                            answered += count;
                        }
                        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                    }
                }
            }
        });
    }
}
