//! The cases about the end of a connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{Cause, ErrorKind, Flow, Options, Sent};

use super::pair::{CLIENT, Happening, SERVER, bump, converse, counter, is_finished, options};

pub(crate) fn e1_half_close_is_an_event_and_not_a_close<N: Network>(network: N) {
    let answer = counter();
    let seen = Rc::clone(&answer);
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => {
                let _ = io.send(b"question");
                io.finish();
                assert_eq!(io.send(b"too late"), Sent::Gone);
            }
            // The question is answered only after the end of the stream has come.
            (SERVER, Happening::End) => {
                for line in 0..1000 {
                    let _ = io.send(format!("answer {line}").as_bytes());
                }
                io.close();
            }
            (CLIENT, Happening::Frame(_)) => drop(bump(&seen)),
            (CLIENT, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(answer.get(), 1000);
}

pub(crate) fn a5_close_loses_nothing_that_was_queued<N: Network>(network: N) {
    const LINES: usize = 20_000;
    let arrived = counter();
    let seen = Rc::clone(&arrived);
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                io.stop_listening();
                for line in 0..LINES {
                    let _ = io.send(format!("{line:0>60}").as_bytes());
                }
                io.close();
            }
            // What the closing server never reads must not turn its close into a reset.
            (CLIENT, Happening::Open) => {
                for _ in 0..1000 {
                    let _ = io.send(b"you will not read this");
                }
            }
            (CLIENT, Happening::Frame(frame)) => {
                assert_eq!(frame, format!("{:0>60}", seen.get()).as_bytes());
                bump(&seen);
            }
            (CLIENT, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{role:?} {closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(arrived.get(), LINES);
}

/// The peer never reads: the linger deadline ends the connection, once, neither early nor late.
pub(crate) fn a6_close_ends_within_the_linger_deadline<N: Network>(network: N) {
    const LINGER: Duration = Duration::from_millis(50);
    /// A machine that is busy with other tests may keep a turn waiting; in virtual time nothing is late.
    const LATE_MAX: Duration = Duration::from_secs(2);
    const LATE_IN_VIRTUAL_TIME_MAX: Duration = Duration::from_millis(2);
    let simulated = std::any::type_name::<N>().ends_with("Simulated");
    let late_max = if simulated {
        LATE_IN_VIRTUAL_TIME_MAX
    } else {
        LATE_MAX
    };
    let expired = counter();
    let seen = Rc::clone(&expired);
    let hasty = Options {
        linger: LINGER,
        ..options()
    };
    let (mut closed_at, mut client) = (None, None);
    converse(network, hasty, 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                io.stop_listening();
                for _ in 0..7 {
                    let _ = io.send(&vec![b'x'; (1 << 20) - 1]);
                }
                closed_at = Some(io.now());
                io.close();
            }
            (CLIENT, Happening::Open) => {
                client = Some(io.id());
                io.pause();
            }
            (SERVER, Happening::Closed(closed)) => {
                assert!(matches!(closed.cause, Cause::LingerExpired), "{closed:?}");
                assert!(closed.unsent > 0);
                let took = io.now() - closed_at.unwrap();
                assert!(took >= LINGER && took <= LINGER + late_max, "{took:?}");
                bump(&seen);
                // Paused, it does not hear of the reset.
                io.abort_connection(client.unwrap());
            }
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(expired.get(), 1);
}

pub(crate) fn abort_resets_the_peer<N: Network>(network: N) {
    let causes = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&causes);
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => drop(io.send(b"hello")),
            (SERVER, Happening::Frame(_)) => return Flow::Abort,
            (CLIENT, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => match (&closed.cause, role) {
                (Cause::Aborted, SERVER) => seen.borrow_mut().push("aborted"),
                (Cause::Failed(error), CLIENT) => {
                    assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
                    seen.borrow_mut().push("reset");
                }
                other => panic!("{other:?}"),
            },
            _ => {}
        }
        Flow::Continue
    });
    causes.borrow_mut().sort_unstable();
    assert_eq!(*causes.borrow(), ["aborted", "reset"]);
}
