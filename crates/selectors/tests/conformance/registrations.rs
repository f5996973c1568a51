//! The map of registrations: what is in it, what leaves it, and what its changes do to the events.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use trunkline_selectors::{Interest, Key, Mechanism, Selector, Trigger};

use super::support::{
    Borrowed, Stream, add, assert_quiet, borrowed, descriptors_up_to, now, number, pair, refused,
    selector, soon, told,
};

#[cfg(unix)]
pub(crate) fn r1_a_number_reused_within_a_batch_gets_no_stale_event(mechanism: Mechanism) {
    let mut selector: Selector<super::support::Owned, char> = selector(mechanism);
    let (a, mut to_a) = pair();
    let (b, mut to_b) = pair();
    let (c, mut to_c) = pair();
    let keys = [
        add(&mut selector, a.into(), Interest::READ, 'a'),
        add(&mut selector, b.into(), Interest::READ, 'b'),
    ];
    for to in [&mut to_a, &mut to_b, &mut to_c] {
        to.write_all(b"x").expect("written");
    }
    let ready = selector.select(Some(Duration::ZERO)).expect("select");
    assert_eq!(ready.events, 2);

    // The handler of the first closes the other, whose number goes to a new socket, ready as well.
    let first = selector.next_event().expect("two events").key;
    let other = if first == keys[0] { keys[1] } else { keys[0] };
    let (mut number, _) = selector.unregister(other).expect("registered");
    rustix::io::dup2(&c, &mut number).expect("the number's new owner");
    let new = add(&mut selector, number, Interest::READ, 'c');
    assert_ne!(new, other);

    let rest: Vec<_> = std::iter::from_fn(|| selector.next_event()).collect();
    assert_eq!(told(&rest), [], "the rest of the batch is about nobody");
    let next = told(&now(&mut selector));
    let mut expected = [(first, vec!["readable"]), (new, vec!["readable"])];
    expected.sort();
    assert_eq!(next, expected);
    assert_eq!(selector.data(new), Some(&'c'));
}

pub(crate) fn r2_unregister_silences_at_once(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add(&mut selector, a, Interest::READ | Interest::WRITE, ());
    assert_eq!(now(&mut selector).len(), 1);
    let (_a, ()) = selector.unregister(key).expect("registered");
    b.write_all(b"x").expect("written");
    assert_quiet(&mut selector);

    // The same where the kernel was never told of the registration, or not of its last change.
    let (c, mut d) = pair();
    d.write_all(b"x").expect("written");
    let key = add(&mut selector, c, Interest::READ, ());
    let (c, ()) = selector.unregister(key).expect("registered");
    assert_quiet(&mut selector);
    let key = add(&mut selector, c, Interest::NONE, ());
    assert_quiet(&mut selector);
    selector.modify(key, Interest::READ).expect("registered");
    let (_c, ()) = selector.unregister(key).expect("registered");
    assert_quiet(&mut selector);
}

pub(crate) fn r2_unregister_takes_effect_within_the_batch(mechanism: Mechanism) {
    const SOURCES: usize = 10;
    let mut selector = selector(mechanism);
    let mut peers = Vec::new();
    let mut keys = Vec::new();
    for _ in 0..SOURCES {
        let (a, b) = pair();
        peers.push(b);
        keys.push(add(&mut selector, a, Interest::WRITE, ()));
    }
    let selected = selector.select(Some(Duration::ZERO)).expect("select");
    assert_eq!(selected.events, SOURCES);
    let first = selector.next_event().expect("an event").key;
    keys.retain(|key| *key != first);
    for key in keys.drain(..SOURCES / 2) {
        assert!(selector.unregister(key).is_some());
    }
    let mut rest: Vec<Key> = std::iter::from_fn(|| selector.next_event())
        .map(|event| event.key)
        .collect();
    rest.sort();
    keys.sort();
    assert_eq!(rest, keys);
}

pub(crate) fn r4_a_duplicate_left_open_makes_no_events(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    // A forked child would hold the description open in the same way.
    let mut duplicate = a.try_clone().expect("a duplicate");
    b.write_all(b"x").expect("written");
    let key = add(&mut selector, a, Interest::READ, ());
    assert_eq!(now(&mut selector).len(), 1);
    drop(selector.unregister(key));
    assert_quiet(&mut selector);

    // The duplicate is as good as any source, and the original's going does not end its registration.
    let (c, mut d) = pair();
    let key_of_duplicate = add(
        &mut selector,
        c.try_clone().expect("a duplicate"),
        Interest::READ,
        (),
    );
    let key = add(&mut selector, c, Interest::READ, ());
    drop(selector.unregister(key));
    d.write_all(b"y").expect("written");
    assert_eq!(
        told(&now(&mut selector)),
        [(key_of_duplicate, vec!["readable"])]
    );
    assert_eq!(duplicate.read(&mut [0; 8]).expect("still open"), 1);
}

/// How many of this process's descriptors are open on the same socket as `like`. Tests run beside each other, so
/// counting all descriptors would count theirs.
#[cfg(target_os = "linux")]
fn descriptors_of(like: impl std::os::fd::AsFd) -> usize {
    let inode = rustix::fs::fstat(like).expect("a socket").st_ino;
    let name = format!("socket:[{inode}]");
    std::fs::read_dir("/proc/self/fd")
        .expect("the descriptors")
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.as_os_str() == name.as_str())
        .count()
}

pub(crate) fn r7_a_failed_registration_leaks_nothing(mechanism: Mechanism) {
    let mut selector: Selector<Arc<Stream>> = selector(mechanism);
    let (a, mut b) = pair();
    let a = Arc::new(a);
    let key = add(&mut selector, Arc::clone(&a), Interest::READ, ());
    for _ in 0..10 {
        drop(selector.register(Arc::clone(&a), Interest::READ, ()));
        drop(selector.register_with(Arc::clone(&a), Interest::READ, Trigger::Edge, ()));
    }
    assert_eq!(selector.len(), 1);
    assert_eq!(Arc::strong_count(&a), 2);
    #[cfg(target_os = "linux")]
    assert_eq!(descriptors_of(&a), 1);
    // What failed has left the registration that was there as it was.
    b.write_all(b"x").expect("written");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);

    drop(selector.unregister(key));
    drop(a);
    drop(selector);
    b.set_nonblocking(false).expect("blocking");
    // Closed with a byte unread, which the peer learns as a reset, else as the end.
    let end = b.read(&mut [0; 8]);
    assert!(
        matches!(end, Ok(0)) || end.is_err(),
        "somebody keeps it open"
    );
}

#[cfg(unix)]
pub(crate) fn r8_descriptor_2000_works(mechanism: Mechanism) {
    assert!(
        descriptors_up_to(4096),
        "this case needs descriptors above 2000"
    );
    let mut selector: Selector<super::support::Owned> = selector(mechanism);
    let (low, mut to_low) = pair();
    let (a, mut to_high) = pair();
    let high = rustix::io::fcntl_dupfd_cloexec(&a, 2000).expect("a high number");
    drop(a);
    assert!(number(&high) >= 2000);
    let low = add(&mut selector, low.into(), Interest::READ, ());
    let mut interest = Interest::READ;
    if mechanism.capabilities().priority {
        interest |= Interest::PRIORITY;
    }
    let high = add(&mut selector, high, interest, ());
    assert_quiet(&mut selector);
    to_high.write_all(b"x").expect("written");
    assert_eq!(told(&now(&mut selector)), [(high, vec!["readable"])]);
    to_low.write_all(b"x").expect("written");
    let mut both = [(low, vec!["readable"]), (high, vec!["readable"])];
    both.sort();
    assert_eq!(told(&now(&mut selector)), both);
    selector
        .modify(high, Interest::READ | Interest::WRITE)
        .expect("registered");
    assert!(told(&now(&mut selector)).contains(&(high, vec!["readable", "writable"])));
    drop(selector.unregister(high));
    assert_eq!(told(&now(&mut selector)), [(low, vec!["readable"])]);
}

pub(crate) fn more_sources_ready_than_one_batch_holds(mechanism: Mechanism) {
    const SOURCES: usize = 1500;
    assert!(
        descriptors_up_to(4096),
        "this case needs as many descriptors as sources"
    );
    let mut selector = selector(mechanism);
    let (a, _b) = pair();
    let mut keys: Vec<Key> = (0..SOURCES)
        .map(|_| a.try_clone().expect("a duplicate"))
        .map(|duplicate| add(&mut selector, duplicate, Interest::WRITE, ()))
        .collect();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(now(&mut selector).iter().map(|event| event.key));
    }
    seen.sort();
    seen.dedup();
    keys.sort();
    assert_eq!(seen.len(), SOURCES, "some sources starve");
    assert_eq!(seen, keys);
}

pub(crate) fn registering_twice_is_already_exists(mechanism: Mechanism) {
    let mut selector: Selector<Arc<Stream>, u8> = selector(mechanism);
    let (a, _b) = pair();
    let a = Arc::new(a);
    // With and without the kernel's knowing of the first registration.
    for interest in [Interest::READ, Interest::WRITE, Interest::NONE] {
        let key = add(&mut selector, Arc::clone(&a), interest, 1);
        for _ in 0..2 {
            let (kind, text, _, data) =
                refused(selector.register(Arc::clone(&a), Interest::READ, 2));
            assert_eq!(kind, ErrorKind::AlreadyExists, "{text}");
            assert_eq!(data, 2);
            assert_eq!(selector.data(key), Some(&1));
            assert_eq!(selector.interest(key), Some(interest));
            now(&mut selector);
        }
        assert!(selector.unregister(key).is_some());
    }
    add(&mut selector, a, Interest::READ, 3);
}

pub(crate) fn a_stale_key_is_not_found_everywhere(mechanism: Mechanism) {
    let mut selector: Selector<Stream, u8> = selector(mechanism);
    let (a, _b) = pair();
    let stale = add(&mut selector, a, Interest::READ, 1);
    let (a, _) = selector.unregister(stale).expect("registered");
    for reused in [false, true] {
        if reused {
            let source = a.try_clone().expect("a duplicate");
            let new = add(&mut selector, source, Interest::NONE, 2);
            assert_ne!(new, stale, "a key is never given twice");
        }
        let error = selector.modify(stale, Interest::WRITE).expect_err("stale");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(selector.get(stale).is_none());
        assert!(selector.source(stale).is_none());
        assert!(selector.data(stale).is_none());
        assert!(selector.data_mut(stale).is_none());
        assert!(selector.pair_mut(stale).is_none());
        assert!(selector.interest(stale).is_none());
        assert!(selector.unregister(stale).is_none());
        assert_quiet(&mut selector);
    }
}

pub(crate) fn modify_takes_effect_at_the_next_wait(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    b.write_all(b"x").expect("written");
    let key = add(&mut selector, a, Interest::NONE, ());
    for (interest, facts) in [
        (Interest::NONE, vec![]),
        (Interest::READ, vec!["readable"]),
        (Interest::WRITE, vec!["writable"]),
        (
            Interest::READ | Interest::WRITE,
            vec!["readable", "writable"],
        ),
        (Interest::NONE, vec![]),
        (Interest::PRIORITY, vec![]),
        (Interest::READ | Interest::PRIORITY, vec!["readable"]),
        (Interest::WRITE, vec!["writable"]),
    ] {
        if interest.contains(Interest::PRIORITY) && !mechanism.capabilities().priority {
            continue;
        }
        selector.modify(key, interest).expect("registered");
        assert_eq!(selector.interest(key), Some(interest));
        let expected: Vec<_> = Some((key, facts))
            .into_iter()
            .filter(|(_, facts)| !facts.is_empty())
            .collect();
        // Twice: what the first wait applied, the second keeps.
        assert_eq!(told(&now(&mut selector)), expected);
        assert_eq!(told(&now(&mut selector)), expected);
    }
}

pub(crate) fn modify_masks_the_current_batch(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    b.write_all(b"x").expect("written");
    let key = add(&mut selector, a, Interest::READ | Interest::WRITE, ());
    for (interest, facts) in [
        (Interest::READ, Some(vec!["readable"])),
        (Interest::WRITE, Some(vec!["writable"])),
        (Interest::PRIORITY, None),
        (Interest::NONE, None),
    ] {
        if interest == Interest::PRIORITY && !mechanism.capabilities().priority {
            continue;
        }
        selector
            .modify(key, Interest::READ | Interest::WRITE)
            .expect("registered");
        let selected = selector.select(Some(Duration::ZERO)).expect("select");
        assert_eq!(selected.events, 1);
        selector.modify(key, interest).expect("registered");
        let rest: Vec<_> = std::iter::from_fn(|| selector.next_event()).collect();
        let expected: Vec<_> = facts.into_iter().map(|facts| (key, facts)).collect();
        assert_eq!(told(&rest), expected);
    }
}

pub(crate) fn modify_there_and_back_changes_nothing(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add(&mut selector, a, Interest::READ, ());
    assert_quiet(&mut selector);
    b.write_all(b"x").expect("written");
    for _ in 0..3 {
        for interest in [Interest::NONE, Interest::WRITE, Interest::READ] {
            selector.modify(key, interest).expect("registered");
        }
        assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    }
}

pub(crate) fn look_up_by_source_and_by_key(mechanism: Mechanism) {
    let mut selector: Selector<Arc<Stream>, &str> = selector(mechanism);
    let (a, b) = pair();
    let (a, b) = (Arc::new(a), Arc::new(b));
    assert_eq!(selector.key_of(&a), None);
    let key_a = add(&mut selector, Arc::clone(&a), Interest::READ, "a");
    let key_b = add(&mut selector, Arc::clone(&b), Interest::NONE, "b");
    assert_eq!(selector.key_of(&a), Some(key_a));
    // Anything with the same descriptor names the same source.
    assert_eq!(selector.key_of(&borrowed(&b)), Some(key_b));
    let (source, data) = selector.get(key_a).expect("registered");
    assert!(Arc::ptr_eq(source, &a));
    assert_eq!(*data, "a");
    assert!(Arc::ptr_eq(selector.source(key_b).expect("registered"), &b));
    assert_eq!(selector.data(key_b), Some(&"b"));
    assert_eq!(selector.interest(key_b), Some(Interest::NONE));
    assert!(selector.unregister(key_a).is_some());
    assert_eq!(selector.key_of(&a), None);
    assert_eq!(selector.key_of(&b), Some(key_b));
}

pub(crate) fn iteration_visits_every_registration(mechanism: Mechanism) {
    let mut selector: Selector<Stream, usize> = selector(mechanism);
    assert!(selector.is_empty());
    assert_eq!(selector.iter().count(), 0);
    // A waker is no registration.
    let _waker = selector.waker().expect("a waker");
    let mut expected = Vec::new();
    for data in 0..20 {
        let (a, _) = pair();
        let number_of_a = number(&a);
        let key = add(&mut selector, a, Interest::READ, data);
        expected.push((key, number_of_a, data));
    }
    for (key, ..) in expected.split_off(15) {
        assert!(selector.unregister(key).is_some());
    }
    let mut visited: Vec<_> = selector
        .iter()
        .map(|(key, source, data)| (key, number(source), *data))
        .collect();
    visited.sort();
    expected.sort();
    assert_eq!(visited, expected);
    assert_eq!(selector.len(), expected.len());
    assert!(!selector.is_empty());
}

pub(crate) fn data_makes_the_round_trip(mechanism: Mechanism) {
    // Any data, a callback included.
    type Callback = fn(&Stream) -> u8;
    fn first_byte(mut from: &Stream) -> u8 {
        let mut byte = [0];
        from.read_exact(&mut byte).expect("readable");
        byte[0]
    }
    let mut selector: Selector<Stream, (Callback, Vec<u8>)> =
        Selector::with_mechanism(mechanism).expect("works here");
    let (a, mut b) = pair();
    let registered = selector.register(a, Interest::READ, (first_byte, Vec::new()));
    let key = registered.expect("registered");
    for byte in *b"abc" {
        b.write_all(&[byte]).expect("written");
        for event in soon(&mut selector) {
            let (source, (callback, log)) = selector.pair_mut(event.key).expect("registered");
            log.push(callback(source));
        }
    }
    selector
        .data_mut(key)
        .expect("registered")
        .1
        .extend_from_slice(b"!");
    let (_, (_, log)) = selector.unregister(key).expect("registered");
    assert_eq!(log, b"abc!");
}

pub(crate) fn unregister_gives_source_and_data_back(mechanism: Mechanism) {
    let mut selector: Selector<Stream, String> = selector(mechanism);
    let (a, mut b) = pair();
    let number_of_a = number(&a);
    let key = add(&mut selector, a, Interest::READ, "data".to_owned());
    let (mut a, data) = selector.unregister(key).expect("registered");
    assert_eq!((number(&a), data.as_str()), (number_of_a, "data"));
    assert!(selector.unregister(key).is_none());
    // Still open, and free to go to another selector, or to this one again.
    b.write_all(b"x").expect("written");
    let mut other: Selector<Stream, ()> = super::support::selector(mechanism);
    let key = add(&mut other, a, Interest::READ, ());
    assert_eq!(told(&now(&mut other)), [(key, vec!["readable"])]);
    a = other.unregister(key).expect("registered").0;
    let key = add(&mut selector, a, Interest::READ, data);
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
}

pub(crate) fn a_failed_register_gives_source_and_data_back(mechanism: Mechanism) {
    let mut selector: Selector<Arc<Stream>, String> = selector(mechanism);
    let (a, _b) = pair();
    let a = Arc::new(a);
    add(&mut selector, Arc::clone(&a), Interest::READ, "1".into());
    let twice = selector.register(Arc::clone(&a), Interest::READ, "2".into());
    let (_, _, source, data) = refused(twice);
    assert!(Arc::ptr_eq(&source, &a));
    assert_eq!(data, "2");
}

pub(crate) fn any_kind_of_source_is_welcome(mechanism: Mechanism) {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    #[cfg(unix)]
    let (pipe, mut to_pipe) = std::io::pipe().expect("a pipe");
    let mut selector: Selector<Borrowed<'_>, char> = selector(mechanism);
    #[cfg(unix)]
    let pipe = add(&mut selector, borrowed(&pipe), Interest::READ, 'p');
    let udp_key = add(&mut selector, borrowed(&udp), Interest::READ, 'u');
    let accept = add(&mut selector, borrowed(&listener), Interest::READ, 'l');
    assert_quiet(&mut selector);

    #[cfg(unix)]
    {
        to_pipe.write_all(b"x").expect("written");
        assert_eq!(told(&now(&mut selector)), [(pipe, vec!["readable"])]);
        assert!(selector.unregister(pipe).is_some());
    }
    let own = udp.local_addr().expect("bound");
    udp.send_to(b"x", own).expect("sent");
    assert_eq!(told(&soon(&mut selector)), [(udp_key, vec!["readable"])]);
    assert!(selector.unregister(udp_key).is_some());
    let own = listener.local_addr().expect("bound");
    let _client = std::net::TcpStream::connect(own).expect("connected");
    assert_eq!(told(&soon(&mut selector)), [(accept, vec!["readable"])]);
}
