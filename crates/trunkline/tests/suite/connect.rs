//! The cases about connecting, and about what a connection's id names.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{ErrorKind, EventLoop, Flow, Io, Role, Sent};

use super::pair::{
    CLIENT, Happening, Pair, SERVER, bump, converse, counter, finish, is_finished, options,
};

pub(crate) fn connect_refused_is_told_apart<N: Network>(network: N) {
    let told = counter();
    let seen = Rc::clone(&told);
    let play = move |_: Option<Role>, _: &mut trunkline::Io<'_, Pair>, happening: Happening<'_>| {
        if let Happening::ConnectFailed(error) = happening {
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            bump(&seen);
        }
        Flow::Continue
    };
    let mut pair = EventLoop::over(network, Pair::new(play), options());
    // Nobody listens on the reserved port 1.
    pair.connect("127.0.0.1:1".parse().unwrap());
    let stats = finish(pair);
    assert_eq!(
        (told.get(), stats.connect_failed, stats.connected),
        (1, 1, 0)
    );
}

pub(crate) fn close_before_it_is_made_follows_what_was_queued<N: Network>(network: N) {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hearing = Rc::clone(&heard);
    let mut address = None;
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) if address.is_none() => {
                address = io.peer();
                let hasty = io.connect_to(address.as_ref().unwrap());
                assert_eq!(io.send_to(hasty, b"fire and forget"), Sent::Queued);
                io.close_connection(hasty);
                assert_eq!(io.send_to(hasty, b"too late"), Sent::Gone);
                io.close();
            }
            (SERVER, Happening::Frame(frame)) => {
                hearing.borrow_mut().push(frame.to_vec());
                io.stop_listening();
            }
            (_, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            (None, Happening::ConnectFailed(error)) => panic!("{error}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(*heard.borrow(), [b"fire and forget"]);
}

pub(crate) fn r1_an_id_never_names_a_later_connection<N: Network>(network: N) {
    let checked = counter();
    let seen = Rc::clone(&checked);
    let mut first = None;
    let mut address = None;
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                address = io.peer();
                if let Some(first) = first {
                    assert_ne!(first, io.id());
                    assert_eq!(io.send_to(first, b"to the dead"), Sent::Gone);
                    io.abort_connection(first);
                    bump(&seen);
                    io.close();
                    io.stop_listening();
                } else {
                    first = Some(io.id());
                    io.abort();
                }
            }
            (CLIENT, Happening::Closed(_)) if seen.get() == 0 => {
                io.connect_to(address.as_ref().unwrap());
            }
            (SERVER, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(checked.get(), 1);
}

/// Connections that are given up at every moment of their making: each ends exactly once, one way or the other.
pub(crate) fn s14_connect_close_race<N: Network>(network: N) {
    const CLIENTS: usize = 60;
    let ends = counter();
    let seen = Rc::clone(&ends);
    let mut begun = Vec::new();
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        let ended = match (role, &happening) {
            (CLIENT, Happening::Open) if begun.is_empty() => {
                let address = io.peer().unwrap();
                begun.extend((0..CLIENTS).map(|_| io.connect_to(&address)));
                for (number, &id) in begun.iter().enumerate() {
                    match number % 6 {
                        0 => io.close_connection(id),
                        1 => io.abort_connection(id),
                        _ => {}
                    }
                }
                // At once, but in a later turn: by then the sockets are there.
                io.after(Duration::ZERO, 0);
                false
            }
            (CLIENT, Happening::Timer(_)) => {
                for (number, &id) in begun.iter().enumerate() {
                    match number % 6 {
                        2 => io.close_connection(id),
                        3 => io.abort_connection(id),
                        _ => {}
                    }
                }
                io.close();
                false
            }
            (CLIENT, Happening::Open) => {
                let number = begun.iter().position(|&id| id == io.id()).unwrap();
                match number % 6 {
                    4 => io.close(),
                    5 => io.abort(),
                    _ => {}
                }
                false
            }
            (SERVER, Happening::End) => {
                io.close();
                false
            }
            (CLIENT, Happening::Closed(_)) | (None, Happening::ConnectFailed(_)) => true,
            _ => false,
        };
        // The one that began it all ends too.
        if ended && bump(&seen) == CLIENTS + 1 {
            io.stop();
        }
        Flow::Continue
    };
    let stats = converse(network, options(), 1, play);
    assert_eq!(ends.get(), CLIENTS + 1);
    let made_or_not = stats.connected + stats.connect_failed;
    assert_eq!(made_or_not as usize, CLIENTS + 1, "{stats:?}");
    assert_eq!(stats.open, 0);
}
