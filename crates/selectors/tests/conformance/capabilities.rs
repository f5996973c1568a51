//! What a mechanism's capabilities say about it is so, whichever way they say it.

use std::net::Shutdown;

use trunkline_selectors::{Interest, Mechanism, Selector};

use super::support::{Owned, Stream, add, assert_quiet, fill, now, pair, selector, told};

pub(crate) fn an_error_with_priority_alone_is_seen_as_they_say(mechanism: Mechanism) {
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

pub(crate) fn the_selector_says_what_its_mechanism_says(mechanism: Mechanism) {
    let selector: Selector<Stream> = selector(mechanism);
    assert_eq!(selector.capabilities(), mechanism.capabilities());
}
