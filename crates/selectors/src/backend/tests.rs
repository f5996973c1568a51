//! Sources that are closed behind the selector's back, which takes unsafe code to do: the defects R3 to R6, on
//! every mechanism.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rustix::pipe::pipe;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{Event, Interest, Mechanism, Readiness, Selected, Selector, Trigger};

/// The numbers of closed descriptors are about to be used again, on purpose: one test at a time.
static NUMBERS: Mutex<()> = Mutex::new(());

/// A number far above those that other tests get from the system, so that it is free once it is closed: some of the
/// last that the process may have.
static NUMBER: LazyLock<RawFd> = LazyLock::new(|| {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(DESCRIPTORS_MAX);
    if limit.current.is_some_and(|current| current < most) {
        limit.current = Some(most);
        setrlimit(Resource::Nofile, limit).unwrap();
    }
    let most = limit.current.unwrap_or(u64::MAX).min(DESCRIPTORS_MAX);
    RawFd::try_from(most).unwrap() - 20
});

/// What the conformance suite asks for too, which runs in this process over a model: neither lowers the other's limit.
const DESCRIPTORS_MAX: u64 = 20_000;

/// The number, or one of the few after it for tests that run beside those that use it.
pub(crate) fn free_number(after: RawFd) -> RawFd {
    *NUMBER + after
}

/// A pipe whose first end has input waiting.
fn ready_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe().unwrap();
    rustix::io::write(&writer, b"input").unwrap();
    (reader, writer)
}

/// Moves `file` to the number, which must be free, and lends it without the owner's protection.
fn place(file: OwnedFd) -> BorrowedFd<'static> {
    let borrowed = place_duplicate(&file);
    drop(file);
    borrowed
}

/// The same for a duplicate of `file`, which keeps the open file alive when the number is closed.
fn place_duplicate(file: &OwnedFd) -> BorrowedFd<'static> {
    // SAFETY: the number is in the range that only these tests use, one at a time.
    let mut target = unsafe { OwnedFd::from_raw_fd(*NUMBER) };
    rustix::io::dup2(file, &mut target).unwrap();
    lend(&ManuallyDrop::new(target))
}

/// Lends a descriptor without the owner's protection.
fn lend(file: &OwnedFd) -> BorrowedFd<'static> {
    super::platform::borrow(file.as_raw_fd())
}

fn close() {
    // SAFETY: the number was placed by the same test, which does nothing with it after that but through the selector.
    unsafe { rustix::io::close(*NUMBER) };
}

/// Runs a test on every mechanism.
fn on_each_mechanism(test: impl Fn(&mut Selector<BorrowedFd<'static>, u32>)) {
    let _one_at_a_time = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    let works = |mechanism: &&Mechanism| mechanism.check().is_ok();
    for &mechanism in Mechanism::all().iter().filter(works) {
        test(&mut Selector::with_mechanism(mechanism).unwrap());
        if super::platform::check_open(*NUMBER).is_ok() {
            close();
        }
    }
}

fn look(selector: &mut Selector<BorrowedFd<'static>, u32>) -> (Selected, Vec<Event>) {
    let selected = selector.select(Some(Duration::ZERO)).unwrap();
    (
        selected,
        std::iter::from_fn(|| selector.next_event()).collect(),
    )
}

#[test]
fn r3_what_was_closed_can_be_unregistered_and_its_number_registered_again() {
    on_each_mechanism(|selector| {
        let (first, _writer) = ready_pipe();
        let old = selector.register(place(first), Interest::READ, 1).unwrap();
        close();
        assert_eq!(selector.unregister(old).map(|(_, data)| data), Some(1));
        let (second, _writer) = ready_pipe();
        let new = selector.register(place(second), Interest::READ, 2).unwrap();
        assert_eq!(
            look(selector).1,
            [Event {
                key: new,
                readiness: Readiness::READABLE
            }]
        );
    });
}

#[test]
fn r3_a_number_whose_owner_is_known_to_be_gone_can_be_registered_at_once() {
    on_each_mechanism(|selector| {
        let (first, _writer) = ready_pipe();
        let old = selector.register(place(first), Interest::READ, 1).unwrap();
        close();
        look(selector); // the kernel tells epoll when it is asked; poll and select find out here
        let (second, _writer) = ready_pipe();
        let borrowed = place(second);
        let new = selector.register(borrowed, Interest::READ, 2).unwrap();
        let again = selector.register(borrowed, Interest::READ, 3).unwrap_err();
        assert_eq!(
            (again.kind(), again.data),
            (io::ErrorKind::AlreadyExists, 3)
        );
        assert_eq!(selector.key_of(&borrowed), Some(new));

        // The old one is still there to be given back, and cannot touch the new one.
        assert_eq!(selector.data(old), Some(&1));
        selector.modify(old, Interest::WRITE).unwrap();
        let events = look(selector).1;
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
            look(selector).1,
            [Event {
                key: new,
                readiness: Readiness::READABLE
            }]
        );
    });
}

#[test]
fn r4_a_duplicate_that_outlives_a_closed_source_does_not_spin() {
    on_each_mechanism(|selector| {
        let (bystander, _writer) = ready_pipe();
        let other = selector
            .register(lend(&bystander), Interest::READ, 0)
            .unwrap();
        let (duplicate, _writer) = ready_pipe();
        let key = selector
            .register(place_duplicate(&duplicate), Interest::READ, 1)
            .unwrap();
        close();
        selector.unregister(key);
        look(selector); // at most once
        for _ in 0..3 {
            let expected = Selected {
                events: 1,
                woken: false,
            };
            assert_eq!(
                look(selector),
                (
                    expected,
                    vec![Event {
                        key: other,
                        readiness: Readiness::READABLE
                    }]
                )
            );
        }
        selector.waker().unwrap().wake().unwrap();
        assert!(look(selector).0.woken);
    });
}

#[test]
fn r4_a_displaced_source_with_a_duplicate_does_not_spin() {
    on_each_mechanism(|selector| {
        let (duplicate, _writer) = ready_pipe();
        let old = selector
            .register(place_duplicate(&duplicate), Interest::READ, 1)
            .unwrap();
        close();
        look(selector);
        let (silent, _writer) = pipe().unwrap();
        let new = selector.register(place(silent), Interest::READ, 2).unwrap();
        look(selector); // at most once
        for _ in 0..3 {
            assert_eq!(look(selector), (Selected::default(), vec![]));
        }
        assert_eq!(selector.interest(old), Some(Interest::NONE));
        assert_eq!(selector.interest(new), Some(Interest::READ));
    });
}

#[test]
fn r4_a_one_shot_that_has_fired_is_not_armed_by_a_new_set() {
    on_each_mechanism(|selector| {
        let (fired, _writer) = ready_pipe();
        let (waiting, writer) = pipe().unwrap();
        let [fired, waiting] = [fired, waiting].map(|reader| {
            let source = super::platform::borrow(reader.into_raw_fd());
            selector
                .register_with(source, Interest::READ, Trigger::OneShot, 0)
                .unwrap()
        });
        let readable = |key| Event {
            key,
            readiness: Readiness::READABLE,
        };
        assert_eq!(look(selector).1, [readable(fired)]);

        let (duplicate, _writer) = ready_pipe();
        let stray = selector
            .register(place_duplicate(&duplicate), Interest::READ, 1)
            .unwrap();
        close();
        selector.unregister(stray);
        for _ in 0..3 {
            assert_eq!(look(selector).1, []); // epoll builds a new set after the first
        }
        rustix::io::write(&writer, b"input").unwrap();
        assert_eq!(look(selector).1, [readable(waiting)]);
        selector.modify(fired, Interest::READ).unwrap();
        assert_eq!(look(selector).1, [readable(fired)]);
        assert_eq!(look(selector).1, []);
        for key in [fired, waiting] {
            let (source, _) = selector.unregister(key).unwrap();
            // SAFETY: the test gave up its ownership above, and nothing is done with the source after this.
            unsafe { rustix::io::close(source.as_raw_fd()) };
        }
    });
}

#[test]
fn r5_a_change_does_not_reach_the_next_owner_of_the_number() {
    on_each_mechanism(|selector| {
        let (reader, writer) = ready_pipe();
        let old = selector.register(place(reader), Interest::READ, 1).unwrap();
        selector
            .modify(old, Interest::READ | Interest::WRITE)
            .unwrap();
        close();
        selector.unregister(old);
        drop(writer);
        let (_reader, next_owner) = ready_pipe();
        // It is always writable, and nobody has asked.
        let new = selector
            .register(place(next_owner), Interest::READ, 2)
            .unwrap();
        assert_eq!(look(selector), (Selected::default(), vec![]));
        assert_eq!(selector.interest(new), Some(Interest::READ));
    });
}

#[test]
fn r5_a_change_does_not_reach_a_stranger_where_files_are_watched() {
    on_each_mechanism(|selector| {
        if !selector.capabilities().watches_files {
            return; // all it knows is the number
        }
        let (reader, _writer) = ready_pipe();
        let old = selector.register(place(reader), Interest::READ, 1).unwrap();
        selector
            .modify(old, Interest::READ | Interest::WRITE)
            .unwrap();
        close();
        let (_reader, stranger) = ready_pipe();
        place(stranger);
        assert_eq!(
            look(selector).1,
            [Event {
                key: old,
                readiness: Readiness::INVALID
            }]
        );
        assert_eq!(look(selector), (Selected::default(), vec![]));
    });
}

#[test]
fn r4_a_file_that_comes_back_to_its_number_can_be_registered_and_watched_again() {
    on_each_mechanism(|selector| {
        let (reader, _writer) = ready_pipe();
        let old = selector
            .register(place_duplicate(&reader), Interest::READ, 1)
            .unwrap();
        close();
        selector.unregister(old).unwrap();
        let new = selector
            .register(place_duplicate(&reader), Interest::READ, 2)
            .unwrap();
        let readable = Event {
            key: new,
            readiness: Readiness::READABLE,
        };
        assert_eq!(look(selector).1, [readable]);

        // The same for one that was not watched when it was closed.
        close();
        selector.modify(new, Interest::NONE).unwrap();
        look(selector);
        place_duplicate(&reader);
        selector.modify(new, Interest::READ).unwrap();
        assert_eq!(look(selector).1, [readable]);
    });
}

#[test]
fn r5_a_change_does_not_reach_a_regular_file_with_the_number_of_a_pipe() {
    on_each_mechanism(|selector| {
        if !selector.capabilities().watches_files {
            return; // all it knows is the number
        }
        for trigger in [Trigger::Level, Trigger::Exclusive, Trigger::OneShot] {
            let (reader, _writer) = ready_pipe();
            let key = selector
                .register_with(place(reader), Interest::READ, trigger, 1)
                .unwrap();
            look(selector);
            close();
            place(std::fs::File::open("/dev/null").unwrap().into());
            selector.modify(key, Interest::WRITE).unwrap();
            let invalid = Event {
                key,
                readiness: Readiness::INVALID,
            };
            assert_eq!(look(selector).1, [invalid], "{trigger}");
            assert_eq!(look(selector), (Selected::default(), vec![]), "{trigger}");
            selector.unregister(key).unwrap();
            close();
        }
    });
}

#[test]
fn r6_a_closed_regular_file_is_invalid_once_it_is_modified() {
    on_each_mechanism(|selector| {
        let file = std::fs::File::open("/dev/null").unwrap();
        let key = selector
            .register(place(file.into()), Interest::READ, 1)
            .unwrap();
        assert_eq!(
            look(selector).1,
            [Event {
                key,
                readiness: Readiness::READABLE
            }]
        );
        close();
        selector
            .modify(key, Interest::READ | Interest::WRITE)
            .unwrap();
        let invalid = Event {
            key,
            readiness: Readiness::INVALID,
        };
        assert_eq!(look(selector).1, [invalid]);
        assert_eq!(look(selector), (Selected::default(), vec![]));

        // The number is free for another.
        let (reader, _writer) = ready_pipe();
        let next = selector.register(place(reader), Interest::READ, 2).unwrap();
        assert_eq!(
            look(selector).1,
            [Event {
                key: next,
                readiness: Readiness::READABLE
            }]
        );
        assert_eq!(selector.unregister(key).map(|(_, data)| data), Some(1));
    });
}

#[test]
fn r3_the_number_of_a_closed_regular_file_goes_to_its_next_owner() {
    on_each_mechanism(|selector| {
        if !selector.capabilities().watches_files {
            return; // all it knows is the number
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        let old = selector
            .register(place(file.into()), Interest::READ, 1)
            .unwrap();
        close();
        let (reader, _writer) = ready_pipe();
        let new = selector.register(place(reader), Interest::READ, 2).unwrap();
        let readable = Event {
            key: new,
            readiness: Readiness::READABLE,
        };
        assert_eq!(look(selector).1, [readable]);
        assert_eq!(selector.unregister(old).map(|(_, data)| data), Some(1));
        assert_eq!(look(selector).1, [readable]);
    });
}

#[test]
fn r6_a_closed_descriptor_is_reported_once_and_does_not_spin() {
    on_each_mechanism(|selector| {
        let (reader, _writer) = ready_pipe();
        let key = selector.register(place(reader), Interest::READ, 1).unwrap();
        assert_eq!(
            look(selector).1,
            [Event {
                key,
                readiness: Readiness::READABLE
            }]
        );
        close();
        let invalid = Event {
            key,
            readiness: Readiness::INVALID,
        };
        let told = selector.capabilities().reports_closed_sources;
        let expected: &[Event] = if told { &[invalid] } else { &[] };
        assert_eq!(look(selector).1, expected);
        for _ in 0..3 {
            assert_eq!(look(selector), (Selected::default(), vec![]));
        }
        assert_eq!(
            selector.select(Some(Duration::from_millis(2))).unwrap(),
            Selected::default()
        );
        assert_eq!(selector.unregister(key).map(|(_, data)| data), Some(1));
    });
}

#[test]
fn r6_who_is_ready_beside_a_closed_descriptor_is_found_too() {
    on_each_mechanism(|selector| {
        let (bystander, _writer) = ready_pipe();
        let other = selector
            .register(lend(&bystander), Interest::READ, 0)
            .unwrap();
        let (reader, _writer) = ready_pipe();
        selector.register(place(reader), Interest::READ, 1).unwrap();
        close();
        let events = look(selector).1;
        assert!(
            events.contains(&Event {
                key: other,
                readiness: Readiness::READABLE
            }),
            "{events:?}"
        );
    });
}

#[test]
fn r6_who_is_ready_beside_a_closed_descriptor_and_a_thousand_idle_ones_is_found_at_once() {
    on_each_mechanism(|selector| {
        let (idle, _writer) = pipe().unwrap();
        let many: Vec<_> = (0..1100).map(|_| idle.try_clone().unwrap()).collect();
        for file in &many {
            selector.register(lend(file), Interest::READ, 0).unwrap();
        }
        let (closed, _other) = pipe().unwrap();
        selector.register(place(closed), Interest::READ, 1).unwrap();
        look(selector);
        close();
        let (bystander, _another) = ready_pipe();
        let key = selector
            .register(lend(&bystander), Interest::READ, 2)
            .unwrap();
        let readable = Event {
            key,
            readiness: Readiness::READABLE,
        };
        assert!(look(selector).1.contains(&readable));
    });
}

#[test]
fn registering_what_is_not_open_is_an_error_at_once() {
    on_each_mechanism(|selector| {
        if !selector.capabilities().refuses_closed_sources {
            return; // the case below
        }
        for interest in [Interest::NONE, Interest::READ] {
            let failed = selector
                .register(super::platform::borrow(*NUMBER), interest, 9)
                .unwrap_err();
            assert_eq!(
                failed.error.raw_os_error(),
                Some(rustix::io::Errno::BADF.raw_os_error())
            );
            assert_eq!((failed.source.as_raw_fd(), failed.data), (*NUMBER, 9));
        }
        assert!(selector.is_empty());
    });
}

#[test]
fn registering_what_is_not_open_is_reported_once_where_it_is_no_error() {
    on_each_mechanism(|selector| {
        if selector.capabilities().refuses_closed_sources {
            return;
        }
        let closed = super::platform::borrow(*NUMBER);
        let key = selector.register(closed, Interest::READ, 9).unwrap();
        let invalid = Event {
            key,
            readiness: Readiness::INVALID,
        };
        assert_eq!(look(selector).1, [invalid]);
        for _ in 0..3 {
            assert_eq!(look(selector), (Selected::default(), vec![]));
        }
        assert_eq!(selector.unregister(key).map(|(_, data)| data), Some(9));
    });
}
