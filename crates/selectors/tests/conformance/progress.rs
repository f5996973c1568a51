//! Nobody is left behind: neither what a handler did not read, nor a source among busier ones.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use trunkline_selectors::{Interest, Key, Mechanism, Selector, Trigger};

use super::support::{
    Owned, Stream, add, assert_quiet, descriptors_up_to, now, pair, refused, selector, soon,
    tcp_pair, told,
};

/// Whoever reads less than there is finds the rest at the next wait: with level trigger always, with edge trigger once
/// more arrives or the interest is set anew.
pub(crate) fn e4_what_was_not_read_is_announced_again(mechanism: Mechanism) {
    let mut selector: Selector<Owned, &str> = selector(mechanism);
    let (a, mut to_a) = pair();
    let (b, mut to_b) = tcp_pair();
    let (c, mut to_c) = std::io::pipe().expect("a pipe");
    for (source, to) in [
        (Owned::from(a), &mut to_a as &mut dyn Write),
        (b.into(), &mut to_b),
        (c.into(), &mut to_c),
    ] {
        let key = add(&mut selector, source, Interest::READ, "level");
        to.write_all(b"0123456789").expect("written");
        for _ in 0..10 {
            assert_eq!(told(&soon(&mut selector)), [(key, vec!["readable"])]);
            read_one(&selector, key);
        }
        assert_quiet(&mut selector);
    }
}

pub(crate) fn e4_with_edge_trigger_more_input_is_a_new_edge(mechanism: Mechanism) {
    let mut selector: Selector<Owned, &str> = selector(mechanism);
    let (a, mut b) = pair();
    let registered = selector.register_with(a.into(), Interest::READ, Trigger::Edge, "edge");
    if !mechanism.supports(Trigger::Edge) {
        assert_eq!(refused(registered).0, ErrorKind::Unsupported);
        return;
    }
    let key = registered.expect("registered");
    for _ in 0..5 {
        // Each time one byte more is written than is read: the socket is never empty from now on.
        b.write_all(b"xy").expect("written");
        assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
        assert_quiet(&mut selector);
        read_one(&selector, key);
        assert_quiet(&mut selector);
    }
    // Nothing more arrives: whoever wants the rest asks anew.
    selector.modify(key, Interest::NONE).expect("registered");
    assert_quiet(&mut selector);
    selector.modify(key, Interest::READ).expect("registered");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    for _ in 0..5 {
        read_one(&selector, key);
    }
    assert_quiet(&mut selector);
}

fn read_one(selector: &Selector<Owned, &str>, key: Key) {
    let source = selector.source(key).expect("registered");
    assert_eq!(rustix::io::read(source, &mut [0]).expect("a byte"), 1);
}

pub(crate) fn e7_a_flooding_peer_starves_nobody(mechanism: Mechanism) {
    const LIGHT_PEERS: usize = 20;
    const ROUNDS: usize = 50;
    let mut selector: Selector<Stream, Option<usize>> = selector(mechanism);
    let (flooded, mut flooding) = pair();
    flooding.set_nonblocking(false).expect("blocking");
    let flooded = add(&mut selector, flooded, Interest::READ, None);
    let mut light = Vec::new();
    for number in 0..LIGHT_PEERS {
        let (ours, theirs) = pair();
        add(&mut selector, ours, Interest::READ, Some(number));
        light.push(theirs);
    }
    // As fast as the kernel takes it, until the other end is closed: when the selector is dropped at the latest.
    let flood = std::thread::spawn(move || while flooding.write(&[0; 16 * 1024]).is_ok() {});
    assert_eq!(soon(&mut selector)[0].key, flooded);
    for _ in 0..ROUNDS {
        for peer in &mut light {
            peer.write_all(b"x").expect("written");
        }
        // All that is ready fits into one batch, so one wait is all that the light peers may have to wait.
        let served: HashSet<usize> = soon(&mut selector)
            .into_iter()
            .filter_map(|event| serve(&selector, event.key))
            .collect();
        assert_eq!(served.len(), LIGHT_PEERS);
    }
    drop(selector);
    flood.join().expect("the flood ends");
}

/// Reads once, as much as a buffer holds, and says which light peer it was from.
fn serve(selector: &Selector<Stream, Option<usize>>, key: Key) -> Option<usize> {
    let (mut stream, number) = selector.get(key).expect("registered");
    // The flooding peer may have been slower than we.
    let _ = stream.read(&mut [0; 4096]);
    *number
}

/// More sources ready at every wait than a batch holds, and one that is seldom: it comes, and so does the waker, after
/// no more waits than it takes to go round once.
pub(crate) fn e7_a_seldom_source_gets_its_turn_among_too_many_busy_ones(mechanism: Mechanism) {
    const BUSY: usize = 2100;
    /// A batch is 1024 events at least; one more wait, because the round may have begun just behind the source.
    const WAITS_MAX: usize = BUSY / 1024 + 1 + 1;
    assert!(
        descriptors_up_to(8192),
        "this case, on all mechanisms, needs as many descriptors as sources"
    );
    let mut selector: Selector<Stream> = selector(mechanism);
    let waker = selector.waker().expect("a waker");
    let (seldom, mut to_seldom) = pair();
    let (never_full, _peer) = pair();
    let busy = |selector: &mut Selector<Stream>| {
        let duplicate = never_full.try_clone().expect("a duplicate");
        add(selector, duplicate, Interest::WRITE, ());
    };
    // The seldom one stands in the middle of the tables that some mechanisms walk.
    (0..BUSY / 2).for_each(|_| busy(&mut selector));
    let seldom = add(&mut selector, seldom, Interest::READ, ());
    (0..BUSY / 2).for_each(|_| busy(&mut selector));

    for round in 0..10 {
        // Begin each round somewhere else.
        for _ in 0..round {
            now(&mut selector);
        }
        to_seldom.write_all(b"x").expect("written");
        waker.wake().expect("woken");
        let (mut found, mut woken) = (false, false);
        for _ in 0..WAITS_MAX {
            let selected = selector.select(Some(Duration::ZERO)).expect("select");
            woken |= selected.woken;
            while let Some(event) = selector.next_event() {
                found |= event.key == seldom;
            }
        }
        assert!(found, "round {round}: {WAITS_MAX} waits without the source");
        assert!(woken, "round {round}: {WAITS_MAX} waits without the wake");
        let mut source = selector.source(seldom).expect("registered");
        source.read_exact(&mut [0]).expect("a byte");
    }
}

/// More sources than a batch holds, always ready, and more still if they are asked for it.
fn busy_ones(
    selector: &mut Selector<Stream, usize>,
    trigger: Trigger,
) -> (Vec<Key>, Stream, Stream) {
    const BUSY: usize = 1500;
    assert!(
        descriptors_up_to(8192),
        "this case, on all mechanisms, needs as many descriptors as sources"
    );
    let (never_full, peer) = pair();
    let keys = (0..BUSY).map(|number| {
        let duplicate = never_full.try_clone().expect("a duplicate");
        selector
            .register_with(duplicate, Interest::WRITE, trigger, number)
            .expect("registered")
    });
    (keys.collect(), never_full, peer)
}

/// What a source is modified to before each wait: now this, now that. A one-shot is armed again, for the same.
fn now_and_then(turn: usize, trigger: Trigger, interest: Interest) -> Interest {
    if trigger == Trigger::OneShot || turn.is_multiple_of(2) {
        interest
    } else {
        Interest::READ | Interest::WRITE
    }
}

/// Where there are too many for one batch, it may be in the next for which a source is modified, or one after.
const TURNS_MAX: usize = 8;

fn triggers(mechanism: Mechanism) -> impl Iterator<Item = Trigger> {
    [Trigger::Level, Trigger::Edge, Trigger::OneShot]
        .into_iter()
        .filter(move |trigger| mechanism.supports(*trigger))
}

/// A modification makes nobody wait anew behind those who are always ready.
pub(crate) fn e7_who_is_modified_before_each_wait_gets_its_turn(mechanism: Mechanism) {
    for trigger in triggers(mechanism) {
        let mut selector: Selector<Stream, usize> = selector(mechanism);
        let (_keys, _never_full, _peer) = busy_ones(&mut selector, Trigger::Level);
        let (ours, mut peer) = pair();
        peer.write_all(b"x").expect("written");
        let key = selector
            .register_with(ours, Interest::READ, trigger, usize::MAX)
            .expect("registered");
        let its_turn = (0..TURNS_MAX).find(|turn| {
            let is_told = now(&mut selector).iter().any(|event| event.key == key);
            let interest = now_and_then(turn + 1, trigger, Interest::READ);
            selector.modify(key, interest).expect("modified");
            is_told
        });
        assert!(its_turn.is_some(), "{trigger}: not in {TURNS_MAX} waits");
    }
}

/// Nor does it if all are modified.
pub(crate) fn e7_all_get_their_turn_who_are_modified_before_each_wait(mechanism: Mechanism) {
    for trigger in triggers(mechanism) {
        let mut selector: Selector<Stream, usize> = selector(mechanism);
        let (keys, _never_full, _peer) = busy_ones(&mut selector, trigger);
        let mut told = HashSet::new();
        for turn in 0..TURNS_MAX {
            told.extend(now(&mut selector).iter().map(|event| event.key));
            let interest = now_and_then(turn + 1, trigger, Interest::WRITE);
            for key in &keys {
                selector.modify(*key, interest).expect("modified");
            }
        }
        assert_eq!(
            told.len(),
            keys.len(),
            "{trigger}: not all in {TURNS_MAX} waits"
        );
    }
}
