//! Asking about a source, and what the answers must be.

use std::fmt::Debug;
use std::os::fd::{AsFd, BorrowedFd};

use trunkline_selectors::{Interest, Key, Mechanism, Selector};

use crate::support::{add, assert_quiet, now, selector, soon, told, until, while_asleep};

/// Everything one can ask about.
const ALL: Interest = Interest::READ
    .with(Interest::WRITE)
    .with(Interest::PRIORITY);

/// The interests that a fact answers to.
fn asked_by(fact: &str) -> Interest {
    match fact {
        "readable" | "read closed" => Interest::READ,
        "writable" | "write closed" => Interest::WRITE,
        "priority" => Interest::PRIORITY,
        "error" => ALL,
        other => unreachable!("no such fact: {other}"),
    }
}

/// What of `facts` must be told to somebody with this interest.
fn share<'a>(facts: &[&'a str], interest: Interest) -> Vec<&'a str> {
    facts
        .iter()
        .copied()
        .filter(|fact| asked_by(fact).without(interest) != asked_by(fact))
        .collect()
}

/// Asserts that `source` is ready for exactly `facts`: all of them, and the right part of them for those who ask
/// about one direction only. Each is asked twice, for level-triggered means that what is true is said again.
pub(crate) fn assert_ready(mechanism: Mechanism, source: impl AsFd, facts: &[&str]) {
    let unseen = if mechanism.capabilities().error_with_priority_alone {
        Interest::NONE
    } else {
        Interest::PRIORITY
    };
    assert_answers(mechanism, source, facts, unseen);
}

/// The same for a source that hung up and takes no output, such as a pipe's reader without a writer.
pub(crate) fn assert_hung_up(mechanism: Mechanism, source: impl AsFd) {
    let facts = ["readable", "writable", "read closed", "write closed"];
    await_facts(mechanism, &source, &facts);
    let unseen = if mechanism.capabilities().hang_up_with_write_alone {
        Interest::NONE
    } else {
        Interest::WRITE
    };
    assert_answers(mechanism, source, &facts, unseen);
}

/// Whoever asks just for `unseen` is told nothing: the mechanism's capabilities say that it cannot.
fn assert_answers(mechanism: Mechanism, source: impl AsFd, facts: &[&str], unseen: Interest) {
    for interest in [ALL, Interest::READ, Interest::WRITE, Interest::PRIORITY] {
        let mut selector: Selector<BorrowedFd<'_>> = selector(mechanism);
        let key = add(&mut selector, source.as_fd(), interest, ());
        let share = share(facts, interest);
        let expected: Vec<_> = if share.is_empty() || interest == unseen {
            Vec::new()
        } else {
            vec![(key, share)]
        };
        for ask in ["asked first", "asked again"] {
            let answer = told(&now(&mut selector));
            assert_eq!(answer, expected, "{interest:?}, {ask}");
        }
    }
}

/// Waits until `source` is ready for `facts` at least, then asserts that it is ready for these alone: for sources
/// whose news take their time. A network's do, and so does a close: for a moment, a child that another case starts
/// holds a duplicate of every descriptor.
pub(crate) fn assert_gets_ready(mechanism: Mechanism, source: impl AsFd, facts: &[&str]) {
    await_facts(mechanism, &source, facts);
    assert_ready(mechanism, source, facts);
}

fn await_facts(mechanism: Mechanism, source: impl AsFd, facts: &[&str]) {
    let mut selector: Selector<BorrowedFd<'_>> = selector(mechanism);
    let key = add(&mut selector, source.as_fd(), ALL, ());
    until(&mut selector, key, facts);
}

/// Asserts the life of a source of input: silent, then ready as soon as `happen` makes it so in another thread (which
/// must end the wait), ready until `consume` has taken the input, and silent again.
pub(crate) fn assert_wakes<S: AsFd + Debug>(
    mechanism: Mechanism,
    source: S,
    happen: impl FnOnce() + Send,
    consume: impl FnOnce(&S),
) {
    let mut selector: Selector<S> = selector(mechanism);
    let key = add(&mut selector, source, Interest::READ, ());
    assert_quiet(&mut selector);
    let expected: [(Key, Vec<&str>); 1] = [(key, vec!["readable"])];
    let events = while_asleep(happen, || soon(&mut selector));
    assert_eq!(told(&events), expected);
    assert_eq!(told(&now(&mut selector)), expected, "asked again");
    consume(selector.source(key).expect("registered"));
    assert_quiet(&mut selector);
}
