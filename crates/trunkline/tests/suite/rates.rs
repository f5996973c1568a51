//! The cases about rates: never more than they allow, everything in the end, and an end for who is too slow.

use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{Cause, Deadlines, Flow, Options, Rates, Sent};

use super::pair::{CLIENT, Happening, PART, SERVER, bump, converse, counter, is_finished, options};

const PER_SECOND: u64 = 200_000;
/// What may come at once, as a part of a second.
const BURST: Duration = Duration::from_millis(125);
const WINDOW: Duration = Duration::from_millis(160);
const OFTEN: Duration = Duration::from_millis(9);

fn with(rates: Rates) -> Options {
    Options {
        deadlines: Deadlines::off(),
        rates,
        ..options()
    }
}

/// The client sends to the server, or the server to the client, and what comes is counted.
fn is_as_fast_as_allowed<N: Network>(network: N, rates: Rates) {
    const LINE: usize = 999;
    const LINES: usize = 100;
    let arrived = counter();
    let seen = Rc::clone(&arrived);
    let mut began = None;
    converse(network, with(rates), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => {
                began = Some(io.now());
                for _ in 0..LINES {
                    assert_ne!(io.send(&[b'r'; LINE]), Sent::Dropped);
                }
                io.finish();
            }
            (SERVER, Happening::Frame(_)) => {
                let bytes = bump(&seen) * (LINE + 1);
                let time = io.now() - began.unwrap() + BURST;
                let allowed = time.as_micros() * u128::from(PER_SECOND) / 1_000_000;
                assert!(bytes as u128 <= allowed, "{bytes} of {allowed} bytes");
            }
            (_, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(arrived.get(), LINES);
}

pub(crate) fn input_is_read_as_fast_as_its_rate<N: Network>(network: N) {
    let rates = Rates {
        in_bytes_per_second: Some(PER_SECOND),
        ..Rates::default()
    };
    is_as_fast_as_allowed(network, rates);
}

pub(crate) fn output_is_written_as_fast_as_its_rate<N: Network>(network: N) {
    let rates = Rates {
        out_bytes_per_second: Some(PER_SECOND),
        ..Rates::default()
    };
    is_as_fast_as_allowed(network, rates);
}

/// The client sends parts of one frame, each of so many bytes, for five windows. Says why the server's side ended.
fn sends_parts<N: Network>(network: N, bytes: usize) -> bool {
    let rates = Rates {
        least_bytes_per_second: Some(5_000),
        window: WINDOW,
        ..Rates::default()
    };
    let too_slow = counter();
    let seen = Rc::clone(&too_slow);
    let (mut began, mut stirs) = (None, 0);
    converse(network, with(rates), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => {
                began = Some(io.now());
                io.after(OFTEN, 1);
            }
            // Counted in what it does, for time in which the process stood still counts for no window.
            (CLIENT, Happening::Timer(_)) if stirs * OFTEN > 5 * WINDOW => {
                let _ = io.send(b"the end");
                io.close();
            }
            (CLIENT, Happening::Timer(times)) => {
                stirs += 1;
                let mut part = vec![b'p'; bytes + 1];
                part[0] = PART;
                let _ = io.send(&part);
                // What is due, however late the timer is on a busy machine.
                let due = (io.now() - began.unwrap()).as_nanos() / OFTEN.as_nanos();
                for _ in u128::from(times)..due {
                    let _ = io.send(&part);
                }
                io.after(OFTEN, times.max(due as u64) + 1);
            }
            (SERVER, Happening::Closed(closed)) => match closed.cause {
                Cause::BelowRate => {
                    let lasted = io.now() - began.unwrap();
                    assert!(lasted >= WINDOW, "early: {lasted:?}");
                    bump(&seen);
                }
                _ => assert!(is_finished(closed), "{closed:?}"),
            },
            (_, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    too_slow.get() > 0
}

pub(crate) fn who_sends_a_frame_too_slowly_is_reset<N: Network>(network: N) {
    assert!(sends_parts(network, 1));
}

pub(crate) fn who_sends_a_long_frame_fast_enough_is_left_alone<N: Network>(network: N) {
    assert!(!sends_parts(network, 500));
}

pub(crate) fn who_takes_output_too_slowly_is_reset<N: Network>(network: N) {
    let rates = Rates {
        least_bytes_per_second: Some(5_000),
        window: WINDOW,
        ..Rates::default()
    };
    let too_slow = counter();
    let seen = Rc::clone(&too_slow);
    let mut client = None;
    converse(network, with(rates), 1, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                client = Some(io.id());
                io.pause();
            }
            (SERVER, Happening::Open) => {
                io.stop_listening();
                while io.send(&[b'z'; 16_000]) != Sent::Dropped {}
            }
            (SERVER, Happening::Closed(closed)) => {
                assert!(matches!(closed.cause, Cause::BelowRate), "{closed:?}");
                bump(&seen);
                io.resume_connection(client.unwrap());
            }
            (CLIENT, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(too_slow.get(), 1);
}
