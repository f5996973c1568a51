//! What a mechanism's capabilities say about it is so, whichever way they say it.

use std::io::{ErrorKind, Read, Write};
#[cfg(unix)]
use std::net::Shutdown;

#[cfg(unix)]
use super::support::{Owned, fill};
use super::support::{
    PATIENCE, Stream, add, assert_quiet, drain, now, pair, refused, selector, told,
};
use super::triggers::add_with;
use trunkline_selectors::{Interest, Mechanism, Selector, Trigger};

#[cfg(unix)]
pub(crate) fn an_error_with_priority_alone_is_seen_as_they_say(mechanism: Mechanism) {
    if !mechanism.capabilities().priority {
        return; // it cannot be asked for, as another case says
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut selector: Selector<Owned> = selector(mechanism);
    let key = add(&mut selector, writer.into(), Interest::PRIORITY, ());
    assert_quiet(&mut selector);
    drop(reader);
    if mechanism.capabilities().error_with_priority_alone {
        assert_eq!(told(&now(&mut selector)), [(key, vec!["error"])]);
    } else {
        assert_quiet(&mut selector);
    }
    // With an interest that the sets have a place for it is seen everywhere.
    selector
        .modify(key, Interest::WRITE | Interest::PRIORITY)
        .expect("registered");
    assert_eq!(
        told(&now(&mut selector)),
        [(key, vec!["writable", "error"])]
    );
}

#[cfg(unix)]
pub(crate) fn a_hang_up_with_write_alone_is_seen_as_they_say(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let (a, b) = pair();
    fill(&a);
    let key = add(&mut selector, a, Interest::WRITE, ());
    assert_quiet(&mut selector);
    // The peer takes no more, and what it has not read stays where it is: there is no room.
    b.shutdown(Shutdown::Both).expect("shut down");
    if mechanism.capabilities().hang_up_with_write_alone {
        assert_eq!(
            told(&now(&mut selector)),
            [(key, vec!["writable", "write closed"])]
        );
    } else {
        assert_quiet(&mut selector);
    }
    selector
        .modify(key, Interest::READ | Interest::WRITE)
        .expect("registered");
    let all = vec!["readable", "writable", "read closed", "write closed"];
    assert_eq!(told(&now(&mut selector)), [(key, all)]);
}

#[cfg(unix)]
pub(crate) fn the_selector_says_what_its_mechanism_says(mechanism: Mechanism) {
    let selector: Selector<Stream> = selector(mechanism);
    assert_eq!(selector.capabilities(), mechanism.capabilities());
}

pub(crate) fn priority_is_taken_or_refused_as_they_say(mechanism: Mechanism) {
    let mut selector: Selector<Stream> = selector(mechanism);
    let (a, mut b) = pair();
    let urgent = Interest::READ | Interest::PRIORITY;
    let takes = mechanism.capabilities().priority;
    let registered = selector.register(a, urgent, ());
    assert_eq!(selector.len(), usize::from(takes));
    let key = if takes {
        registered.expect("taken")
    } else {
        let (kind, text, a, ()) = refused(registered);
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(text.contains(&mechanism.to_string()), "{text}");
        add(&mut selector, a, Interest::READ, ())
    };
    let modified = selector.modify(key, urgent);
    assert_eq!(modified.is_ok(), takes);
    let kind = modified.err().map(|error| error.kind());
    assert!(takes || kind == Some(ErrorKind::Unsupported));
    // What was refused has changed nothing.
    b.write_all(b"x").expect("written");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
}

/// Level and one-shot, where there is one.
fn triggers_of_the_state(mechanism: Mechanism) -> impl Iterator<Item = Trigger> {
    let both = [Trigger::Level, Trigger::OneShot].into_iter();
    both.filter(move |trigger| mechanism.supports(*trigger))
}

pub(crate) fn what_was_taken_without_being_told_is_told_as_they_say(mechanism: Mechanism) {
    for trigger in triggers_of_the_state(mechanism) {
        let mut selector: Selector<Stream> = selector(mechanism);
        let (a, mut b) = pair();
        let key = add_with(&mut selector, a, Interest::READ, trigger, ());
        assert_quiet(&mut selector);
        b.write_all(b"x").expect("written");
        let mut source = selector.source(key).expect("registered");
        source.read_exact(&mut [0]).expect("a byte");
        let stale = told(&now(&mut selector));
        if mechanism.capabilities().level_tells_state {
            assert_eq!(stale, []);
        } else {
            assert!(stale.is_empty() || stale == [(key, vec!["readable"])]);
        }
        // Once, and then what holds.
        assert_quiet(&mut selector);
        b.write_all(b"x").expect("written");
        if trigger == Trigger::OneShot {
            selector.modify(key, Interest::READ).expect("armed");
        }
        assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    }
}

/// A reader who reads only what it is told of, until there is no more, and a peer that writes whenever it can: no
/// report finds nothing. Where wake-ups are not looked into, the peer's may come after its bytes have been read: that takes
/// a peer that is interrupted between two steps of its system call, which is rare.
pub(crate) fn what_is_taken_only_when_told_is_not_told_in_vain(mechanism: Mechanism) {
    const REPORTS: usize = 2000;
    for trigger in triggers_of_the_state(mechanism) {
        let mut selector: Selector<Stream> = selector(mechanism);
        let (a, mut b) = pair();
        b.set_nonblocking(false).expect("blocking");
        let key = add_with(&mut selector, a, Interest::READ, trigger, ());
        let peer = std::thread::spawn(move || while b.write(&[0; 100]).is_ok() {});
        let mut stale = 0;
        for report in 0..REPORTS {
            let selected = selector.select(Some(PATIENCE)).expect("select");
            assert_eq!(selected.events, 1, "{trigger:?}: report {report}");
            let event = selector.next_event().expect("an event");
            assert!(event.readiness.is_readable());
            let source = selector.source(key).expect("registered");
            stale += usize::from(drain(source) == 0);
            if trigger == Trigger::OneShot {
                selector.modify(key, Interest::READ).expect("armed");
            }
        }
        let tells_state = mechanism.capabilities().level_tells_state;
        let stale_max = if tells_state { 0 } else { REPORTS / 20 };
        assert!(stale <= stale_max, "{trigger:?}: {stale} of {REPORTS}");
        drop(selector);
        peer.join().expect("the peer ends");
    }
}
