//! Sources that are closed behind the selector's back, which takes unsafe code to do: the defects R3, R5 and R6, on
//! every mechanism.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::time::Duration;

use rustix::pipe::pipe;

use crate::{Event, Interest, Mechanism, Readiness, Selected, Selector};

const MECHANISMS: [Mechanism; 3] = [Mechanism::Epoll, Mechanism::Poll, Mechanism::Select];

/// The numbers of closed descriptors are about to be used again, on purpose: one test at a time.
static NUMBERS: Mutex<()> = Mutex::new(());

/// A number far above those that other tests get from the system, so that it is free once it is closed.
const NUMBER: RawFd = 700;

/// Puts `file` on the number, which must be free, and lends it without the owner's protection.
fn place(file: &OwnedFd) -> BorrowedFd<'static> {
    // SAFETY: the number is in the range that only these tests use, one at a time.
    let mut target = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(NUMBER) };
    rustix::io::dup2(file, &mut target).unwrap();
    let number = target.into_raw_fd();
    // SAFETY: it is open now. That it is closed before the last use of the number is what these tests are about; the
    // selector must cope.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn close() {
    // SAFETY: the number was placed by the same test, which does nothing with it after that but through the selector.
    unsafe { rustix::io::close(NUMBER) };
}

fn is_open() -> bool {
    super::check_open(NUMBER).is_ok()
}

/// Runs a test on every mechanism, with a pipe that has input waiting.
fn on_each_mechanism(test: impl Fn(Selector<BorrowedFd<'_>, u32>, &OwnedFd, &OwnedFd)) {
    let _one_at_a_time = NUMBERS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for mechanism in MECHANISMS {
        let (reader, writer) = pipe().unwrap();
        rustix::io::write(&writer, b"input").unwrap();
        test(
            Selector::with_mechanism(mechanism).unwrap(),
            &reader,
            &writer,
        );
        if is_open() {
            close();
        }
    }
}

fn look(selector: &mut Selector<BorrowedFd<'_>, u32>) -> (Selected, Vec<Event>) {
    let selected = selector.select(Some(Duration::ZERO)).unwrap();
    (
        selected,
        std::iter::from_fn(|| selector.next_event()).collect(),
    )
}

#[test]
fn r3_what_was_closed_can_be_unregistered_and_its_number_registered_again() {
    on_each_mechanism(|mut selector, reader, _| {
        let old = selector.register(place(reader), Interest::READ, 1).unwrap();
        close();
        assert_eq!(selector.unregister(old).map(|(_, data)| data), Some(1));
        let new = selector.register(place(reader), Interest::READ, 2).unwrap();
        let events = look(&mut selector).1;
        assert_eq!(
            events,
            [Event {
                key: new,
                readiness: Readiness::READABLE
            }]
        );
    });
}

#[test]
fn r3_a_number_whose_owner_is_known_to_be_gone_can_be_registered_at_once() {
    on_each_mechanism(|mut selector, reader, writer| {
        let old = selector.register(place(reader), Interest::READ, 1).unwrap();
        close();
        look(&mut selector); // where epoll is told by the kernel, poll and select find out here
        let new = selector.register(place(reader), Interest::READ, 2).unwrap();
        let again = selector
            .register(place_again(reader), Interest::READ, 3)
            .unwrap_err();
        assert_eq!(
            (again.kind(), again.data),
            (io::ErrorKind::AlreadyExists, 3)
        );

        // The old one is still there to be given back, and cannot touch the new one.
        assert_eq!(selector.data(old), Some(&1));
        selector.modify(old, Interest::WRITE).unwrap();
        let events = look(&mut selector).1;
        assert!(
            events.contains(&Event {
                key: new,
                readiness: Readiness::READABLE
            }),
            "{events:?}"
        );
        assert!(
            events.contains(&Event {
                key: old,
                readiness: Readiness::INVALID
            }),
            "{events:?}"
        );
        assert_eq!(selector.unregister(old).map(|(_, data)| data), Some(1));
        assert_eq!(
            look(&mut selector).1,
            [Event {
                key: new,
                readiness: Readiness::READABLE
            }]
        );
        assert_eq!(selector.key_of(&writer), None);
    });
}

/// The number, which is open, lent once more.
fn place_again(_: &OwnedFd) -> BorrowedFd<'static> {
    super::borrow(NUMBER)
}

#[test]
fn r5_a_change_does_not_reach_the_next_owner_of_the_number() {
    on_each_mechanism(|mut selector, reader, writer| {
        let old = selector.register(place(reader), Interest::READ, 1).unwrap();
        selector
            .modify(old, Interest::READ | Interest::WRITE)
            .unwrap();
        close();
        selector.unregister(old);
        // The next owner is always writable, and nobody has asked.
        let new = selector.register(place(writer), Interest::READ, 2).unwrap();
        assert_eq!(look(&mut selector), (Selected::default(), vec![]));
        assert_eq!(selector.interest(new), Some(Interest::READ));
    });
}

#[test]
fn r5_a_change_does_not_reach_a_stranger_under_epoll() {
    on_each_mechanism(|mut selector, reader, writer| {
        if selector.mechanism() != Mechanism::Epoll {
            return; // the others know nothing but the number
        }
        let old = selector.register(place(reader), Interest::READ, 1).unwrap();
        selector
            .modify(old, Interest::READ | Interest::WRITE)
            .unwrap();
        close();
        place(writer); // never registered
        assert_eq!(
            look(&mut selector).1,
            [Event {
                key: old,
                readiness: Readiness::INVALID
            }]
        );
        assert_eq!(look(&mut selector), (Selected::default(), vec![]));
    });
}

#[test]
fn r6_a_closed_descriptor_is_reported_once_and_does_not_spin() {
    on_each_mechanism(|mut selector, reader, _| {
        let (other, _writer) = pipe().unwrap();
        selector
            .register(super::borrow(other.as_raw_fd()), Interest::READ, 0)
            .unwrap();
        let key = selector.register(place(reader), Interest::READ, 1).unwrap();
        assert_eq!(
            look(&mut selector).1,
            [Event {
                key,
                readiness: Readiness::READABLE
            }]
        );
        close();
        let expected: &[Event] = match selector.mechanism() {
            Mechanism::Epoll => &[], // the kernel forgets what is closed
            _ => &[Event {
                key,
                readiness: Readiness::INVALID,
            }],
        };
        assert_eq!(look(&mut selector).1, expected);
        for _ in 0..3 {
            assert_eq!(look(&mut selector), (Selected::default(), vec![]));
        }
        let timeout = Some(Duration::from_millis(2));
        assert_eq!(selector.select(timeout).unwrap(), Selected::default());
        assert_eq!(selector.unregister(key).map(|(_, data)| data), Some(1));
    });
}

#[test]
fn r6_who_is_ready_beside_a_closed_descriptor_is_found_too() {
    on_each_mechanism(|mut selector, reader, _| {
        let ready = selector
            .register(super::borrow(reader.as_raw_fd()), Interest::READ, 0)
            .unwrap();
        selector.register(place(reader), Interest::READ, 1).unwrap();
        close();
        let events = look(&mut selector).1;
        assert!(
            events.contains(&Event {
                key: ready,
                readiness: Readiness::READABLE
            }),
            "{events:?}"
        );
    });
}

#[test]
fn registering_what_is_not_open_is_an_error_at_once() {
    on_each_mechanism(|mut selector, _, _| {
        for interest in [Interest::NONE, Interest::READ] {
            let failed = selector
                .register(super::borrow(NUMBER), interest, 9)
                .unwrap_err();
            assert_eq!(
                failed.error.raw_os_error(),
                Some(rustix::io::Errno::BADF.raw_os_error())
            );
            assert_eq!((failed.source.as_raw_fd(), failed.data), (NUMBER, 9));
        }
        assert!(selector.is_empty());
    });
}
