//! What a selector holds, and that it lets go: of sources, of old interests, of the thread it was used in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use trunkline_selectors::{Interest, Mechanism, Selector, Trigger};

use super::support::{
    Owned, PATIENCE, Stream, add, assert_quiet, descriptors_up_to, drain, now, pair, selector,
    tcp_pair, told, while_asleep, within,
};

/// The triggers there are to try.
fn triggers(mechanism: Mechanism) -> impl Iterator<Item = Trigger> {
    let all = [Trigger::Level, Trigger::Edge, Trigger::OneShot];
    all.into_iter()
        .filter(move |&trigger| mechanism.supports(trigger))
}

/// Asserts that the other end of `peer` is closed, by reading from it until the end.
fn assert_closed(peer: impl AsFd) {
    rustix::fs::fcntl_setfl(&peer, OFlags::empty()).expect("a descriptor");
    let timeout = rustix::event::Timespec {
        tv_sec: PATIENCE.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    let mut table = [rustix::event::PollFd::new(
        &peer,
        rustix::event::PollFlags::IN,
    )];
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut table, Some(&timeout)));
    let ready = ready.expect("poll");
    assert_eq!(ready, 1, "somebody keeps it open");
    assert_eq!(rustix::io::read(&peer, &mut [0; 8]), Ok(0));
}

/// Ends that nobody writes to, each with its peer.
fn silent_ends() -> [(Owned, Owned); 3] {
    let local = pair();
    let tcp: (TcpStream, TcpStream) = tcp_pair();
    let blocking = Stream::pair().expect("a socket pair");
    [
        (local.0.into(), local.1.into()),
        (tcp.0.into(), tcp.1.into()),
        (blocking.0.into(), blocking.1.into()),
    ]
}

pub(crate) fn unregister_lets_go_of_the_source_when_they_say(mechanism: Mechanism) {
    let at_once = mechanism.capabilities().lets_go_at_once;
    for trigger in triggers(mechanism) {
        // What no wait has seen is let go of at once everywhere, and the rest by whatever comes next.
        for (waits_before, applies) in [(0, false), (1, false), (2, false), (1, true), (2, true)] {
            let mut selector: Selector<Owned> = selector(mechanism);
            for (ours, peer) in silent_ends() {
                let key = selector
                    .register_with(ours, Interest::READ, trigger, ())
                    .expect("registered");
                for _ in 0..waits_before {
                    assert_eq!(now(&mut selector), []);
                }
                drop(selector.unregister(key).expect("registered"));
                if applies {
                    selector.apply().expect("applied");
                } else if !at_once && waits_before > 0 {
                    assert_eq!(now(&mut selector), []);
                }
                assert_closed(&peer);
            }
            assert!(selector.is_empty());
        }
    }
}

/// The last word reaches the peer although the selector that would have sent it sleeps on.
pub(crate) fn a_wait_lets_go_before_it_sleeps(mechanism: Mechanism) {
    for trigger in triggers(mechanism) {
        let mut selector: Selector<Owned> = selector(mechanism);
        let waker = selector.waker().expect("a waker");
        for (ours, peer) in silent_ends() {
            let key = selector
                .register_with(ours, Interest::READ, trigger, ())
                .expect("registered");
            assert_eq!(now(&mut selector), []);
            drop(selector.unregister(key).expect("registered"));
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Ends the wait whatever becomes of the assertion, or the case would never end.
                    let closed = std::panic::catch_unwind(|| assert_closed(&peer));
                    waker.wake().expect("woken");
                    closed.expect("closed while the selector sleeps");
                });
                let selected = selector.select(None).expect("select");
                assert_eq!((selected.events, selected.woken), (0, true));
            });
        }
    }
}

/// Thousands that go without a wait in between: so many are not held.
pub(crate) fn not_more_than_a_thousand_are_held(mechanism: Mechanism) {
    const SOURCES: usize = 3000;
    assert!(
        descriptors_up_to(8192),
        "this case needs two descriptors for each source"
    );
    for trigger in triggers(mechanism) {
        let mut selector: Selector<Stream> = selector(mechanism);
        let (sources, peers): (Vec<_>, Vec<_>) = (0..SOURCES).map(|_| pair()).unzip();
        let keys: Vec<_> = sources
            .into_iter()
            .map(|source| {
                let registered = selector.register_with(source, Interest::READ, trigger, ());
                registered.expect("registered")
            })
            .collect();
        assert_quiet(&mut selector);
        for key in keys {
            drop(selector.unregister(key).expect("registered"));
        }
        let is_open = |mut peer: &Stream| peer.read(&mut [0]).is_err();
        let held = peers.iter().filter(|peer| is_open(peer)).count();
        let limit = if mechanism.capabilities().lets_go_at_once {
            0
        } else {
            1024
        };
        assert!(held <= limit, "{held} are held");
        selector.apply().expect("applied");
        assert_eq!(peers.iter().filter(|peer| is_open(peer)).count(), 0);
    }
}

pub(crate) fn apply_leaves_the_batch_and_all_news_where_they_are(mechanism: Mechanism) {
    for trigger in triggers(mechanism) {
        let mut selector = selector(mechanism);
        let waker = selector.waker().expect("a waker");
        let mut peers = Vec::new();
        let mut keys = Vec::new();
        for _ in 0..4 {
            let (ours, peer) = pair();
            peers.push(peer);
            let registered = selector.register_with(ours, Interest::READ, trigger, ());
            keys.push(registered.expect("registered"));
        }
        selector.apply().expect("applied");
        assert_quiet(&mut selector);
        for peer in &mut peers[..3] {
            peer.write_all(b"x").expect("written");
        }
        let selected = selector.select(Some(Duration::ZERO)).expect("select");
        assert_eq!(selected.events, 3);
        // Others go, come and change while the batch is worked on.
        drop(selector.unregister(keys[3]).expect("registered"));
        selector
            .modify(keys[2], Interest::WRITE)
            .expect("registered");
        let (ours, mut peer) = pair();
        peer.write_all(b"x").expect("written");
        let registered = selector.register_with(ours, Interest::READ, trigger, ());
        let new = registered.expect("registered");
        waker.wake().expect("woken");
        for _ in 0..2 {
            selector.apply().expect("applied");
        }
        // The interest that was taken back masks its event.
        let events: Vec<_> = std::iter::from_fn(|| selector.next_event()).collect();
        let mut expected = [keys[0], keys[1]].map(|key| (key, vec!["readable"]));
        expected.sort();
        assert_eq!(told(&events), expected);
        for key in &keys[..2] {
            drain(selector.source(*key).expect("registered"));
        }
        // What happened meanwhile is told by the next wait, and no later.
        let selected = selector.select(Some(Duration::ZERO)).expect("select");
        assert_eq!((selected.events, selected.woken), (2, true));
        let events: Vec<_> = std::iter::from_fn(|| selector.next_event()).collect();
        let mut expected = [(keys[2], vec!["writable"]), (new, vec!["readable"])];
        expected.sort();
        assert_eq!(told(&events), expected);
    }
}

pub(crate) fn a_dropped_selector_lets_go_of_its_sources(mechanism: Mechanism) {
    for trigger in triggers(mechanism) {
        let mut selector: Selector<Owned> = selector(mechanism);
        let peers = silent_ends().map(|(ours, peer)| {
            selector
                .register_with(ours, Interest::READ, trigger, ())
                .expect("registered");
            peer
        });
        assert_quiet(&mut selector);
        drop(selector);
        peers.iter().for_each(assert_closed);
    }
}

pub(crate) fn an_old_interest_does_not_answer_for_the_new_one(mechanism: Mechanism) {
    for trigger in triggers(mechanism) {
        let mut selector = selector(mechanism);
        let (a, mut b) = pair();
        let key = selector
            .register_with(a, Interest::READ, trigger, ())
            .expect("registered");
        for _ in 0..10 {
            assert_eq!(told(&now(&mut selector)), []);
            // Ready for what was asked before, just before something else is asked.
            b.write_all(b"x").expect("written");
            selector.modify(key, Interest::WRITE).expect("registered");
            assert_eq!(told(&now(&mut selector)), [(key, vec!["writable"])]);
            selector.modify(key, Interest::READ).expect("registered");
            assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
            drain(selector.source(key).expect("registered"));
            selector.modify(key, Interest::NONE).expect("registered");
            b.write_all(b"x").expect("written");
            assert_eq!(told(&now(&mut selector)), []);
            drain(selector.source(key).expect("registered"));
            selector.modify(key, Interest::READ).expect("registered");
        }
    }
}

pub(crate) fn news_survive_the_end_of_another_registration(mechanism: Mechanism) {
    for trigger in triggers(mechanism) {
        let mut selector = selector(mechanism);
        let waker = selector.waker().expect("a waker");
        let (a, mut b) = pair();
        let key = selector
            .register_with(a, Interest::READ, trigger, ())
            .expect("registered");
        for _ in 0..10 {
            let (c, _d) = pair();
            let other = selector
                .register_with(c, Interest::READ, trigger, ())
                .expect("registered");
            assert_eq!(told(&now(&mut selector)), []);
            b.write_all(b"x").expect("written");
            waker.wake().expect("woken");
            assert!(selector.unregister(other).is_some());
            let selected = selector.select(None).expect("select");
            assert_eq!((selected.events, selected.woken), (1, true));
            let events: Vec<_> = std::iter::from_fn(|| selector.next_event()).collect();
            assert_eq!(told(&events), [(key, vec!["readable"])]);
            drain(selector.source(key).expect("registered"));
            if trigger == Trigger::OneShot {
                selector.modify(key, Interest::READ).expect("registered");
            }
        }
    }
}

pub(crate) fn a_selector_may_move_to_another_thread(mechanism: Mechanism) {
    for trigger in triggers(mechanism) {
        let mut selector = selector(mechanism);
        let waker = selector.waker().expect("a waker");
        let (a, mut b) = pair();
        let (c, d) = pair();
        let mut keys = [a, c].map(|source| {
            selector
                .register_with(source, Interest::READ, trigger, ())
                .expect("registered")
        });
        assert_quiet(&mut selector);
        for round in 0..3 {
            // Each in a thread of its own, which ends after that.
            selector = thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    b.write_all(b"x").expect("written");
                    let events = within(&mut selector, PATIENCE);
                    assert_eq!(told(&events), [(keys[0], vec!["readable"])], "{round}");
                    let mut source = selector.source(keys[0]).expect("registered");
                    source.read_exact(&mut [0]).expect("a byte");
                    if trigger == Trigger::OneShot {
                        let armed = selector.modify(keys[0], Interest::READ);
                        armed.expect("registered");
                    }
                    assert_quiet(&mut selector);
                    selector
                });
                waiting.join().expect("the thread's assertions")
            });
            let woken = while_asleep(
                || waker.wake().expect("woken"),
                || selector.select(Some(PATIENCE)).expect("select"),
            );
            assert!(woken.woken);
        }
        // What another thread had asked for is let go of all the same.
        let (source, ()) = thread::scope(|scope| {
            let unregistering = scope.spawn(|| selector.unregister(keys[1]));
            unregistering.join().expect("no panic")
        })
        .expect("registered");
        drop(source);
        selector.apply().expect("applied");
        assert_closed(&d);
        keys[1] = add(&mut selector, d, Interest::READ, ());
        assert_eq!(told(&now(&mut selector)).len(), 1);
    }
}

pub(crate) fn changes_of_thousands_at_once(mechanism: Mechanism) {
    const SOURCES: usize = 3000;
    assert!(
        descriptors_up_to(4096),
        "this case needs as many descriptors as sources"
    );
    for trigger in triggers(mechanism) {
        let mut selector = selector(mechanism);
        let (a, _b) = pair();
        let keys: Vec<_> = (0..SOURCES)
            .map(|_| a.try_clone().expect("a duplicate"))
            .map(|duplicate| {
                let registered = selector.register_with(duplicate, Interest::READ, trigger, ());
                registered.expect("registered")
            })
            .collect();
        for _ in 0..2 {
            assert_quiet(&mut selector);
            for &key in &keys {
                selector.modify(key, Interest::WRITE).expect("registered");
            }
            let mut seen = Vec::new();
            while seen.len() < SOURCES {
                let events = now(&mut selector);
                assert!(!events.is_empty(), "{} of {SOURCES}", seen.len());
                seen.extend(events.iter().map(|event| event.key));
                if trigger == Trigger::Level {
                    for event in events {
                        selector
                            .modify(event.key, Interest::READ)
                            .expect("registered");
                    }
                }
            }
            seen.sort();
            let mut expected = keys.clone();
            expected.sort();
            assert_eq!(seen, expected, "each once");
            for &key in &keys {
                selector.modify(key, Interest::READ).expect("registered");
            }
        }
        for key in keys {
            assert!(selector.unregister(key).is_some());
        }
        assert_quiet(&mut selector);
    }
}
