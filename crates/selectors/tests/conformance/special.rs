//! Sources that are not sockets or pipes: files, devices and terminals.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use trunkline_selectors::{Interest, Mechanism, Selector, Trigger};

use super::support::{Owned, add, assert_quiet, now, pair, selector, soon, told};

/// A regular file that is surely there: this very program.
fn regular_file() -> Owned {
    let path = std::env::current_exe().expect("this program has a file");
    File::open(path).expect("readable").into()
}

fn null_device() -> Owned {
    let mut options = File::options();
    let file = options.read(true).write(true).open("/dev/null");
    file.expect("the null device").into()
}

/// The answer of poll, which the others must give too: ready for whatever input and output is asked for.
fn always_ready(mechanism: Mechanism, source: Owned) {
    let mut selector = selector(mechanism);
    let key = add(&mut selector, source, Interest::READ, ());
    let mut all = Interest::READ | Interest::WRITE;
    if mechanism.capabilities().priority {
        all |= Interest::PRIORITY;
    }
    for (interest, facts) in [
        (Interest::READ, vec!["readable"]),
        (Interest::WRITE, vec!["writable"]),
        (all, vec!["readable", "writable"]),
    ] {
        selector.modify(key, interest).expect("registered");
        for _ in 0..3 {
            // With all the time in the world, it takes none.
            let selected = selector.select(None).expect("select");
            assert_eq!((selected.events, selected.woken), (1, false));
            let events: Vec<_> = std::iter::from_fn(|| selector.next_event()).collect();
            assert_eq!(told(&events), [(key, facts.clone())]);
        }
    }
}

pub(crate) fn r9_a_regular_file_is_always_ready(mechanism: Mechanism) {
    always_ready(mechanism, regular_file());
}

pub(crate) fn r9_the_null_device_is_always_ready(mechanism: Mechanism) {
    always_ready(mechanism, null_device());
}

pub(crate) fn r9_always_ready_sources_obey_modify_and_unregister(mechanism: Mechanism) {
    for source in [regular_file(), null_device()] {
        let mut selector: Selector<Owned, u8> = selector(mechanism);
        let key = add(&mut selector, source, Interest::NONE, 1);
        assert_quiet(&mut selector);
        selector.modify(key, Interest::READ).expect("registered");
        assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
        if mechanism.capabilities().priority {
            selector
                .modify(key, Interest::PRIORITY)
                .expect("registered");
            assert_quiet(&mut selector);
        }
        selector.modify(key, Interest::READ).expect("registered");
        assert_eq!(told(&soon(&mut selector)), [(key, vec!["readable"])]);
        selector.modify(key, Interest::NONE).expect("registered");
        assert_quiet(&mut selector);
        selector.modify(key, Interest::READ).expect("registered");
        let selected = selector.select(Some(Duration::ZERO)).expect("select");
        assert_eq!(selected.events, 1);
        let (source, data) = selector.unregister(key).expect("registered");
        assert_eq!(data, 1);
        assert!(selector.next_event().is_none());
        assert_quiet(&mut selector);

        let mut source = Some(source);
        for trigger in [Trigger::Edge, Trigger::OneShot] {
            if !mechanism.capabilities().supports(trigger) {
                continue;
            }
            let taken = source.take().expect("given back");
            let key = selector
                .register_with(taken, Interest::READ, trigger, 2)
                .expect("registered");
            assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
            // Nothing ever changes, so there is no further event until the interest changes.
            assert_quiet(&mut selector);
            selector.modify(key, Interest::WRITE).expect("registered");
            assert_eq!(told(&now(&mut selector)), [(key, vec!["writable"])]);
            assert_quiet(&mut selector);
            selector.modify(key, Interest::WRITE).expect("registered");
            // The same interest again is no change, but it arms a one-shot.
            let expected: &[_] = match trigger {
                Trigger::OneShot => &[(key, vec!["writable"])],
                _ => &[],
            };
            assert_eq!(told(&now(&mut selector)), expected);
            assert_quiet(&mut selector);
            source = selector.unregister(key).map(|(source, _)| source);
        }
    }
}

pub(crate) fn r9_an_always_ready_source_does_not_hide_others(mechanism: Mechanism) {
    let mut selector: Selector<Owned> = selector(mechanism);
    let waker = selector.waker().expect("a waker");
    let (a, mut b) = pair();
    let (idle, _peer) = pair();
    let file = add(&mut selector, regular_file(), Interest::READ, ());
    let null = add(&mut selector, null_device(), Interest::WRITE, ());
    let socket = add(&mut selector, a.into(), Interest::READ, ());
    add(&mut selector, idle.into(), Interest::READ, ());
    let mut expected = vec![(file, vec!["readable"]), (null, vec!["writable"])];
    expected.sort();
    assert_eq!(told(&now(&mut selector)), expected);
    b.write_all(b"x").expect("written");
    waker.wake().expect("woken");
    expected.push((socket, vec!["readable"]));
    expected.sort();
    let selected = selector.select(None).expect("select");
    assert_eq!((selected.events, selected.woken), (3, true));
    let events: Vec<_> = std::iter::from_fn(|| selector.next_event()).collect();
    assert_eq!(told(&events), expected);
}

#[cfg(target_os = "linux")]
pub(crate) fn r9_a_terminal_is_ready_when_there_is_input(mechanism: Mechanism) {
    use rustix::pty::OpenptFlags;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let user = rustix::pty::openpt(flags).expect("a terminal");
    rustix::pty::unlockpt(&user).expect("unlocked");
    let terminal = rustix::pty::ioctl_tiocgptpeer(&user, flags).expect("its other side");
    let mut selector = selector(mechanism);
    let key = add(&mut selector, terminal, Interest::READ, ());
    assert_quiet(&mut selector);
    // Half a line is not input yet: terminals hand over whole lines.
    rustix::io::write(&user, b"he").expect("typed");
    rustix::io::write(&user, b"llo\n").expect("typed");
    assert_eq!(told(&soon(&mut selector)), [(key, vec!["readable"])]);
    let mut line = [0; 16];
    let terminal = selector.source(key).expect("registered");
    let length = rustix::io::read(terminal, &mut line).expect("a line");
    assert_eq!(&line[..length], b"hello\n");
    assert_quiet(&mut selector);
}
