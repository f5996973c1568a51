//! What a selector says about a source: never more than is true, never less than is asked for.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;
use trunkline_selectors::{AsSource, Interest, Mechanism, Selector};

use super::support::{
    A_WHILE, Owned, PATIENCE, PEER_GONE, RESET_MAY_READ_AS_END, Stream, add, assert_quiet, drain,
    facts_of, fill, gone_beside_data, half_closed, now, pair, read_from, selector, soon, tcp_pair,
    told, until, while_asleep,
};

/// Closes a TCP socket so that its peer gets a reset.
fn reset(socket: TcpStream) {
    SockRef::from(&socket)
        .set_linger(Some(Duration::ZERO))
        .expect("lingers not");
    drop(socket);
}

pub(crate) fn e1_half_close_is_not_a_hang_up(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = tcp_pair();
    let key = add(&mut selector, a, Interest::READ | Interest::WRITE, ());
    b.shutdown(Shutdown::Write).expect("half-closed");
    let end = half_closed(mechanism);
    let readiness = until(&mut selector, key, &end);
    assert_eq!(
        facts_of(readiness),
        [&end[..1], &["writable"], &end[1..]].concat(),
        "the other direction still works"
    );
    let mut a = selector.source(key).expect("registered");
    assert_eq!(a.read(&mut [0; 8]).expect("the end"), 0);
    a.write_all(b"answer").expect("written");
    b.set_nonblocking(false).expect("blocking");
    b.read_exact(&mut [0; 6]).expect("the answer");

    // Whoever has seen the end and wants no more of it is left in peace.
    selector.modify(key, Interest::WRITE).expect("registered");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["writable"])]);
    selector.modify(key, Interest::NONE).expect("registered");
    assert_quiet(&mut selector);
}

pub(crate) fn e1_half_close_keeps_unread_data(mechanism: Mechanism) {
    let mut selector: Selector<Owned, usize> = selector(mechanism);
    let (a, mut b) = pair();
    let (c, mut d) = tcp_pair();
    b.write_all(b"last words").expect("written");
    d.write_all(b"last words").expect("written");
    b.shutdown(Shutdown::Write).expect("half-closed");
    d.shutdown(Shutdown::Write).expect("half-closed");
    for source in [Owned::from(a), Owned::from(c)] {
        let key = add(&mut selector, source, Interest::READ, 0);
        let hidden = !mechanism.capabilities().end_beside_data;
        let end = half_closed(mechanism);
        until(
            &mut selector,
            key,
            &end[..if hidden { 1 } else { end.len() }],
        );
        // One byte at a time: each is announced, and so is the end.
        let mut read = Vec::new();
        loop {
            let mut facts = told(&soon(&mut selector));
            if hidden && read.len() < b"last words".len() {
                facts[0].1.truncate(1);
                assert_eq!(facts, [(key, end[..1].to_vec())]);
            } else {
                assert_eq!(facts, [(key, end.clone())]);
            }
            let mut byte = [0];
            let source = selector.source(key).expect("registered");
            if read_from(source, &mut byte).expect("readable") == 0 {
                break;
            }
            read.push(byte[0]);
        }
        assert_eq!(read, b"last words");
        assert!(selector.unregister(key).is_some());
    }
}

pub(crate) fn e1_half_close_is_silent_without_read_interest(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (mut a, b) = pair();
    fill(&mut a);
    let key = add(&mut selector, a, Interest::WRITE, ());
    b.shutdown(Shutdown::Write).expect("half-closed");
    assert_quiet(&mut selector);
    drain(&b);
    assert_eq!(told(&now(&mut selector)), [(key, vec!["writable"])]);
}

pub(crate) fn e2_a_reset_wakes_reader_and_writer(mechanism: Mechanism) {
    let read = vec!["readable", "read closed", "error"];
    let write = vec!["writable", "write closed", "error"];
    let both = vec![
        "readable",
        "writable",
        "read closed",
        "write closed",
        "error",
    ];
    for (interest, facts) in [
        (Interest::READ, read),
        (Interest::WRITE, write),
        (Interest::READ | Interest::WRITE, both),
    ] {
        let mut selector: Selector<TcpStream> = selector(mechanism);
        let (a, b) = tcp_pair();
        let key = add(&mut selector, a, interest, ());
        now(&mut selector);
        reset(b);
        until(&mut selector, key, &["error"]);
        assert_eq!(told(&now(&mut selector)), [(key, facts)]);
        let mut a = selector.source(key).expect("registered");
        match a.read(&mut [0; 8]) {
            Ok(length) => assert!(RESET_MAY_READ_AS_END && length == 0, "no reset"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[cfg(unix)]
pub(crate) fn e2_a_broken_pipe_wakes_the_writer(mechanism: Mechanism) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut selector = selector(mechanism);
    rustix::io::ioctl_fionbio(&writer, true).expect("non-blocking");
    fill(&writer);
    let key = add(&mut selector, writer, Interest::WRITE, ());
    assert_quiet(&mut selector);
    drop(reader);
    assert_eq!(
        told(&now(&mut selector)),
        [(key, vec!["writable", "error"])]
    );
    let mut writer = selector.source(key).expect("registered");
    let error = writer.write(b"x").expect_err("a broken pipe");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

/// Counts the waits that end early within a short time, whether they bring an event or not.
fn wakes<S: AsSource, T>(selector: &mut Selector<S, T>) -> usize {
    let mut wakes = 0;
    for _ in 0..5 {
        let start = std::time::Instant::now();
        selector.select(Some(A_WHILE / 3)).expect("select");
        wakes += usize::from(start.elapsed() < A_WHILE / 3);
        while let Some(event) = selector.next_event() {
            assert!(!event.readiness.is_empty(), "an event without news");
        }
    }
    wakes
}

pub(crate) fn e3_empty_interest_never_storms(mechanism: Mechanism) {
    for told_before in [false, true] {
        let mut selector: Selector<Owned> = selector(mechanism);
        let (a, b) = pair();
        let (c, d) = tcp_pair();
        #[cfg(unix)]
        let (pipe_reader, pipe_writer) = std::io::pipe().expect("a pipe");
        // Paused before the first wait, and after one that told the kernel of an interest.
        let interest = if told_before {
            Interest::READ
        } else {
            Interest::NONE
        };
        let sources = [
            Owned::from(a),
            Owned::from(c),
            #[cfg(unix)]
            pipe_writer.into(),
        ];
        let keys = sources.map(|source| add(&mut selector, source, interest, ()));
        now(&mut selector);
        for key in keys {
            selector.modify(key, Interest::NONE).expect("registered");
        }
        now(&mut selector);
        drop(b);
        reset(d);
        #[cfg(unix)]
        drop(pipe_reader);
        let wakes = wakes(&mut selector);
        assert!(
            wakes <= 1,
            "{wakes} wake-ups for sources that nobody asked about"
        );
    }
}

pub(crate) fn e3_a_paused_reader_hears_of_the_hang_up_on_resuming(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add(&mut selector, a, Interest::READ, ());
    assert_quiet(&mut selector);
    selector.modify(key, Interest::NONE).expect("registered");
    b.write_all(b"last words").expect("written");
    drop(b);
    assert!(wakes(&mut selector) <= 1);
    selector
        .modify(key, Interest::READ | Interest::WRITE)
        .expect("registered");
    let facts = gone_beside_data(mechanism);
    assert_eq!(told(&now(&mut selector)), [(key, facts)]);
    let a = selector.source(key).expect("registered");
    assert_eq!(drain(a), 10);
    assert_eq!(told(&now(&mut selector)), [(key, PEER_GONE.to_vec())]);
}

pub(crate) fn e3_priority_interest_never_storms(mechanism: Mechanism) {
    if !mechanism.capabilities().priority {
        return; // refused, which another case demands
    }
    // A hang-up is no urgent data, yet the kernel tells of it whatever one asks for.
    let mut selector = selector(mechanism);
    let (a, b) = pair();
    let key = add(&mut selector, a, Interest::PRIORITY, ());
    assert_quiet(&mut selector);
    drop(b);
    let wakes = wakes(&mut selector);
    assert!(wakes <= 1, "{wakes} wake-ups for no urgent data");
    selector.modify(key, Interest::READ).expect("registered");
    assert_eq!(
        told(&now(&mut selector)),
        [(key, vec!["readable", "read closed"])]
    );
}

pub(crate) fn e4_a_partial_read_is_not_forgotten(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add(&mut selector, a, Interest::READ, ());
    b.write_all(b"0123456789").expect("written");
    for _ in 0..5 {
        assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
        let mut a = selector.source(key).expect("registered");
        a.read_exact(&mut [0; 2]).expect("two of the rest");
    }
    assert_quiet(&mut selector);
}

pub(crate) fn e5_a_second_reader_may_find_nothing(mechanism: Mechanism) {
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let duplicate = a.try_clone().expect("a duplicate");
    let mut keys = [
        add(&mut selector, a, Interest::READ, ()),
        add(&mut selector, duplicate, Interest::READ, ()),
    ];
    keys.sort();
    for _ in 0..10 {
        b.write_all(b"x").expect("written");
        let events = now(&mut selector);
        assert_eq!(told(&events), keys.map(|key| (key, vec!["readable"])));
        let mut reader = selector.source(events[0].key).expect("registered");
        reader.read_exact(&mut [0]).expect("the only byte");
        let mut reader = selector.source(events[1].key).expect("registered");
        let error = reader.read(&mut [0; 8]).expect_err("nothing left");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        // What was true a moment ago is not repeated.
        assert_quiet(&mut selector);
    }
}

pub(crate) fn e6_out_of_band_data_is_not_readable_for_ever(mechanism: Mechanism) {
    if !mechanism.capabilities().priority {
        return; // refused, which another case demands
    }
    let mut selector = selector(mechanism);
    let (a, b) = tcp_pair();
    let key = add(&mut selector, a, Interest::PRIORITY, ());
    SockRef::from(&b).send_out_of_band(b"!").expect("sent");
    assert_eq!(told(&soon(&mut selector)), [(key, vec!["priority"])]);

    // There is nothing to read in the stream: a reader who believed otherwise would spin.
    selector.modify(key, Interest::READ).expect("registered");
    assert_quiet(&mut selector);
    selector
        .modify(key, Interest::READ | Interest::PRIORITY)
        .expect("registered");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["priority"])]);

    let mut urgent = [std::mem::MaybeUninit::uninit()];
    let a = selector.source(key).expect("registered");
    let received = SockRef::from(a).recv_out_of_band(&mut urgent);
    assert_eq!(received.expect("urgent"), 1);
    assert_quiet(&mut selector);
}

pub(crate) fn readiness_facts_are_told_apart(mechanism: Mechanism) {
    let mut selector: Selector<Owned> = selector(mechanism);
    let tells_priority = mechanism.capabilities().priority;
    let mut all = Interest::READ | Interest::WRITE;
    if tells_priority {
        all |= Interest::PRIORITY;
    }
    let (full, _full_peer) = pair();
    fill(&full);
    let (readable, readable_peer) = pair();
    fill(&readable);
    (&readable_peer).write_all(b"x").expect("written");
    let (writable, _writable_peer) = pair();
    let (urgent, urgent_peer) = tcp_pair();
    SockRef::from(&urgent_peer)
        .send_out_of_band(b"!")
        .expect("sent");
    let (half, half_peer) = tcp_pair();
    half_peer.shutdown(Shutdown::Write).expect("half-closed");
    let (gone, gone_peer) = pair();
    drop(gone_peer);
    let (broken, broken_peer) = tcp_pair();
    reset(broken_peer);

    let mut add = |source| add(&mut selector, source, all, ());
    let _full = add(full.into());
    let readable = add(readable.into());
    let writable = add(writable.into());
    let urgent = add(urgent.into());
    let half = add(half.into());
    let gone = add(gone.into());
    let broken = add(broken.into());
    // What comes over a network may take a moment.
    let end = half_closed(mechanism);
    let mut urgently = vec!["writable"];
    if tells_priority {
        urgently.push("priority");
    }
    until(&mut selector, urgent, &urgently);
    until(&mut selector, half, &end);
    until(&mut selector, broken, &["error"]);

    let mut expected = [
        (readable, vec!["readable"]),
        (writable, vec!["writable"]),
        (urgent, urgently),
        (half, [&end[..1], &["writable"], &end[1..]].concat()),
        (gone, PEER_GONE.to_vec()),
        (
            broken,
            vec![
                "readable",
                "writable",
                "read closed",
                "write closed",
                "error",
            ],
        ),
    ];
    expected.sort();
    assert_eq!(told(&now(&mut selector)), expected);
}

pub(crate) fn a_full_writer_becomes_writable_again(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let (a, b) = pair();
    let key = add(&mut selector, a, Interest::WRITE, ());
    for _ in 0..3 {
        assert_eq!(told(&now(&mut selector)), [(key, vec!["writable"])]);
        fill(selector.source(key).expect("registered"));
        assert_quiet(&mut selector);
        assert!(drain(&b) > 0);
    }
}

pub(crate) fn e6_priority_interest_hears_of_urgent_data_alone(mechanism: Mechanism) {
    if !mechanism.capabilities().priority {
        return; // refused, which another case demands
    }
    let mut selector = selector(mechanism);
    let (a, b) = tcp_pair();
    let key = add(&mut selector, a, Interest::PRIORITY, ());
    assert_quiet(&mut selector);
    // Ordinary data is none of its business, before the wait or during it.
    (&b).write_all(b"ordinary").expect("written");
    assert_quiet(&mut selector);
    let selected = while_asleep(
        || {
            SockRef::from(&b).send_out_of_band(b"!").expect("sent");
        },
        || selector.select(Some(PATIENCE)).expect("select"),
    );
    assert_eq!((selected.events, selected.woken), (1, false));
    let event = selector.next_event().expect("an event");
    assert_eq!(told(&[event]), [(key, vec!["priority"])]);
    // Level-triggered: as long as it is there.
    assert_eq!(told(&now(&mut selector)), [(key, vec!["priority"])]);
    let source = selector.source(key).expect("registered");
    let mut byte = [std::mem::MaybeUninit::uninit()];
    let received = SockRef::from(source).recv_out_of_band(&mut byte);
    assert_eq!(received.expect("the byte"), 1);
    drain(source);
    assert_quiet(&mut selector);
}

#[cfg(unix)]
pub(crate) fn the_end_of_a_pipe_is_no_error(mechanism: Mechanism) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut selector = selector(mechanism);
    let key = add(&mut selector, reader, Interest::READ, ());
    assert_quiet(&mut selector);
    let selected = while_asleep(
        || drop(writer),
        || selector.select(Some(PATIENCE)).expect("select"),
    );
    assert_eq!((selected.events, selected.woken), (1, false));
    for _ in 0..3 {
        let events: Vec<_> = std::iter::from_fn(|| selector.next_event()).collect();
        assert_eq!(told(&events), [(key, vec!["readable", "read closed"])]);
        selector.select(None).expect("select");
    }
}
