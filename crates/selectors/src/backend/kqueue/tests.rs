//! The backend over the model of a `kqueue`: the contract, and what only this mechanism does. The conformance suite
//! runs over the model too, see `suite.rs`.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use super::model::Model;
use super::*;
use crate::backend::Signal;
use crate::backend::tests::free_number;

const KEY: Key = Key::from_bits(3);
const OTHER: Key = Key::from_bits(7 << 32 | 5);

struct Fixture {
    filters: Filters<Model>,
    signal: Signal,
}

fn fixture() -> Fixture {
    let signal = Signal::new().unwrap();
    let filters = Filters::new(signal.descriptor()).unwrap();
    Fixture { filters, signal }
}

fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    (a, b)
}

/// What a wait of no length finds.
fn look(filters: &mut Filters<Model>) -> Vec<(Key, u16)> {
    let mut batch = Batch::with_capacity(filters.most_entries());
    filters.wait(&mut batch, Some(Duration::ZERO)).unwrap();
    batch.iter().map(|(key, flags)| (key, flags.0)).collect()
}

#[test]
fn two_directions_are_one_entry_of_the_batch() {
    let Fixture { mut filters, .. } = fixture();
    let (a, mut b) = pair();
    let both = Interest::READ | Interest::WRITE;
    filters
        .register(a.as_raw_fd(), KEY, both, Trigger::Level)
        .unwrap();
    assert_eq!(look(&mut filters), [(KEY, Flags::OUT)]);
    b.write_all(b"x").unwrap();
    for _ in 0..2 {
        assert_eq!(look(&mut filters), [(KEY, Flags::IN | Flags::OUT)]);
    }
    drop(b);
    let end = Flags::READ_HANG_UP | Flags::WRITE_HANG_UP;
    assert_eq!(look(&mut filters), [(KEY, Flags::IN | Flags::OUT | end)]);
    filters.unregister(a.as_raw_fd(), KEY, both);
    assert_eq!(look(&mut filters), []);
}

#[test]
fn the_waker_is_found_and_a_wait_ends_with_its_time() {
    let Fixture {
        mut filters,
        signal,
    } = fixture();
    let mut batch = Batch::with_capacity(1);
    let soon = Some(Duration::from_millis(1));
    filters.wait(&mut batch, soon).unwrap();
    assert!(batch.is_empty() && !batch.has_waker());
    signal.raise().unwrap();
    filters.wait(&mut batch, None).unwrap();
    assert!(batch.has_waker());
    assert_eq!(batch.next(), Some((Key::NOTHING, Flags(Flags::IN))));
    assert_eq!(batch.next(), None);
    signal.clear();
    assert_eq!(look(&mut filters), []);
}

#[test]
fn an_edge_is_told_once_and_again_after_a_change() {
    let Fixture { mut filters, .. } = fixture();
    let (mut a, mut b) = pair();
    let descriptor = a.as_raw_fd();
    filters
        .register(descriptor, KEY, Interest::READ, Trigger::Edge)
        .unwrap();
    b.write_all(b"xy").unwrap();
    assert_eq!(look(&mut filters), [(KEY, Flags::IN)]);
    a.read_exact(&mut [0]).unwrap();
    assert_eq!(look(&mut filters), []);
    b.write_all(b"z").unwrap();
    assert_eq!(look(&mut filters), [(KEY, Flags::IN)]);
    assert_eq!(look(&mut filters), []);
    let both = Interest::READ | Interest::WRITE;
    let change = (Interest::READ, both);
    filters
        .modify(descriptor, KEY, change, Trigger::Edge)
        .unwrap();
    assert_eq!(look(&mut filters), [(KEY, Flags::IN | Flags::OUT)]);
    assert_eq!(look(&mut filters), []);
}

#[test]
fn r5_a_change_does_not_reach_the_numbers_next_owner() {
    let Fixture { mut filters, .. } = fixture();
    let (a, _b) = pair();
    // A number far above those that other tests get from the system, and a duplicate that keeps the socket alive.
    let number = rustix::io::fcntl_dupfd_cloexec(&a, free_number(1)).unwrap();
    let descriptor = number.as_raw_fd();
    filters
        .register(descriptor, KEY, Interest::READ, Trigger::Level)
        .unwrap();
    assert!(filters.holds(descriptor, KEY, Interest::READ));
    let (stranger, _peer) = pair();
    let mut number = number;
    rustix::io::dup2(&stranger, &mut number).unwrap();
    assert!(!filters.holds(descriptor, KEY, Interest::READ));
    let change = (Interest::READ, Interest::WRITE);
    let error = filters
        .modify(descriptor, KEY, change, Trigger::Level)
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(
        look(&mut filters),
        [],
        "the stranger is writable, and nobody has asked"
    );
}

#[test]
fn a_failed_registration_leaves_nothing_behind() {
    let Fixture { mut filters, .. } = fixture();
    for interest in [
        Interest::NONE,
        Interest::READ,
        Interest::READ | Interest::WRITE,
    ] {
        let error = filters
            .register(free_number(10), KEY, interest, Trigger::Level)
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
    }
    assert_eq!(look(&mut filters), []);
}

#[test]
fn a_pipe_without_a_reader_is_an_error_whether_it_can_be_watched_or_not() {
    let expected = [(KEY, Flags::OUT | Flags::ERROR)];
    for refuses in [false, true] {
        let Fixture { mut filters, .. } = fixture();
        if refuses {
            filters.queue = filters.queue.refusing_broken_pipes();
        }
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let descriptor = writer.as_fd().as_raw_fd();
        filters
            .register(descriptor, KEY, Interest::WRITE, Trigger::Level)
            .unwrap();
        for _ in 0..2 {
            assert_eq!(look(&mut filters), expected, "{refuses}");
        }
        let pause = (Interest::WRITE, Interest::NONE);
        filters
            .modify(descriptor, KEY, pause, Trigger::Level)
            .unwrap();
        assert_eq!(look(&mut filters), []);
        let resume = (Interest::NONE, Interest::WRITE);
        filters
            .modify(descriptor, KEY, resume, Trigger::Level)
            .unwrap();
        assert_eq!(look(&mut filters), expected, "{refuses}");
        filters.unregister(descriptor, KEY, Interest::WRITE);
        assert_eq!(look(&mut filters), []);
    }
}

#[test]
fn what_never_blocks_is_constant_and_obeys() {
    let Fixture { mut filters, .. } = fixture();
    let null = std::fs::File::open("/dev/null").unwrap();
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let (null, file) = (null.as_raw_fd(), file.as_raw_fd());
    filters
        .register(null, KEY, Interest::READ, Trigger::Level)
        .unwrap();
    filters
        .register(file, OTHER, Interest::READ, Trigger::Edge)
        .unwrap();
    assert_eq!(look(&mut filters), [(KEY, Flags::IN), (OTHER, Flags::IN)]);
    assert_eq!(look(&mut filters), [(KEY, Flags::IN)]);
    assert!(filters.holds(null, KEY, Interest::READ));
    let change = (Interest::READ, Interest::PRIORITY);
    filters.modify(null, KEY, change, Trigger::Level).unwrap();
    assert_eq!(look(&mut filters), []);
    let change = (Interest::READ, Interest::WRITE);
    filters.modify(file, OTHER, change, Trigger::Edge).unwrap();
    assert_eq!(look(&mut filters), [(OTHER, Flags::OUT)]);
    filters.unregister(null, KEY, Interest::PRIORITY);
    filters.unregister(file, OTHER, Interest::WRITE);
    assert!(filters.constant.is_empty());
}

#[test]
fn a_one_shot_is_one_shot_in_both_directions() {
    let Fixture { mut filters, .. } = fixture();
    let (a, mut b) = pair();
    let both = Interest::READ | Interest::WRITE;
    let descriptor = a.as_raw_fd();
    filters
        .register(descriptor, KEY, both, Trigger::OneShot)
        .unwrap();
    assert_eq!(look(&mut filters), [(KEY, Flags::OUT)]);
    assert!(filters.has_fired(KEY));
    b.write_all(b"x").unwrap();
    assert_eq!(look(&mut filters), [], "input is a second shot");
    assert!(filters.holds(descriptor, KEY, both));
    for _ in 0..2 {
        filters
            .modify(descriptor, KEY, (both, both), Trigger::OneShot)
            .unwrap();
        assert!(!filters.has_fired(KEY));
        assert_eq!(look(&mut filters), [(KEY, Flags::IN | Flags::OUT)]);
    }
    // Armed again before the other direction was disabled: that must not happen any more.
    filters
        .modify(descriptor, KEY, (both, Interest::READ), Trigger::OneShot)
        .unwrap();
    assert_eq!(look(&mut filters), [(KEY, Flags::IN)]);
    filters.unregister(descriptor, KEY, Interest::READ);
    assert!(filters.one_shots.is_empty() && filters.disarm.is_empty());
}
