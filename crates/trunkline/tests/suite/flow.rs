//! The cases about back-pressure: queues, limits, pausing.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{Cause, Flow, Options, Overflow, Sent};

use super::pair::{CLIENT, Happening, SERVER, bump, converse, counter, is_finished, options};

pub(crate) fn a3_a_peer_that_never_reads_costs_bounded_memory<N: Network>(network: N) {
    const LIMIT: usize = 256 * 1024;
    let dropped = counter();
    let seen = Rc::clone(&dropped);
    let bounded = Options {
        hard_limit_bytes: LIMIT,
        linger: Duration::from_millis(20),
        ..options()
    };
    let (mut reader, mut over) = (None, false);
    converse(network, bounded, 1, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) if over => io.abort(),
            (CLIENT, Happening::Open) => {
                reader = Some(io.id());
                io.pause();
            }
            (SERVER, Happening::Open) => {
                io.stop_listening();
                io.after(Duration::ZERO, 0);
            }
            // 64 MB are offered, a part each turn so that the kernel may take what it can.
            (SERVER, Happening::Timer(turn)) => {
                for _ in 0..64 {
                    if io.send(&[b'y'; 16 * 1024]) == Sent::Dropped {
                        bump(&seen);
                    }
                    assert!(io.queued() <= LIMIT, "{} bytes queued", io.queued());
                }
                if turn < 64 {
                    io.after(Duration::ZERO, turn + 1);
                } else {
                    io.abort();
                }
            }
            // Paused, it does not hear of the reset.
            (SERVER, Happening::Closed(_)) => {
                over = true;
                if let Some(reader) = reader {
                    io.abort_connection(reader);
                }
            }
            _ => {}
        }
        Flow::Continue
    });
    assert!(dropped.get() > 0);
}

pub(crate) fn overflow_can_close_the_slow_one<N: Network>(network: N) {
    let overflowed = counter();
    let seen = Rc::clone(&overflowed);
    let strict = Options {
        hard_limit_bytes: 1000,
        overflow: Overflow::Close,
        ..options()
    };
    converse(network, strict, 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                io.stop_listening();
                assert_eq!(io.send(&[b'z'; 2000]), Sent::Dropped);
                assert_eq!(io.send(b"and no more"), Sent::Gone);
            }
            (SERVER, Happening::Closed(closed)) => {
                assert!(matches!(closed.cause, Cause::Overflow), "{closed:?}");
                bump(&seen);
            }
            (CLIENT, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(overflowed.get(), 1);
}

pub(crate) fn own_output_above_high_pauses_own_input<N: Network>(network: N) {
    const LINES: usize = 4000;
    const HIGH: usize = 8 * 1024;
    let arrived = counter();
    let seen = Rc::clone(&arrived);
    let tight = Options {
        high_watermark_bytes: HIGH,
        low_watermark_bytes: 1024,
        frame_budget: 64,
        ..options()
    };
    converse(network, tight, 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => {
                for _ in 0..LINES {
                    let _ = io.send(&[b'q'; 100]);
                }
                // Its own queue is above high too; it resumes by itself when the server has read.
            }
            (SERVER, Happening::Frame(_)) => {
                // Ten times as much goes out as came in: without the pause the queue would grow and grow.
                let _ = io.send(&[b'a'; 1000]);
                assert!(io.queued() <= HIGH + 1001, "{} bytes queued", io.queued());
            }
            (CLIENT, Happening::Frame(_)) if bump(&seen) == LINES => {
                io.close();
            }
            (SERVER, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{role:?} {closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(arrived.get(), LINES);
}

pub(crate) fn drained_is_told_once_the_queue_is_low<N: Network>(network: N) {
    let told = counter();
    let seen = Rc::clone(&told);
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                io.stop_listening();
                assert_eq!(io.send(b"small"), Sent::Queued);
                assert_eq!(io.send(&vec![b'b'; 100_000]), Sent::AboveHigh);
            }
            (SERVER, Happening::Drained) => {
                bump(&seen);
                io.close();
            }
            (CLIENT, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(told.get(), 1);
}

pub(crate) fn pause_holds_frames_back_until_resume<N: Network>(network: N) {
    let order = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&order);
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => {
                for line in [&b"one"[..], b"two", b"three"] {
                    let _ = io.send(line);
                }
                io.close();
            }
            (SERVER, Happening::Frame(frame)) => {
                seen.borrow_mut()
                    .push(String::from_utf8(frame.to_vec()).unwrap());
                io.after(Duration::from_millis(5), 0);
                return Flow::Pause;
            }
            (SERVER, Happening::Timer(_)) => {
                seen.borrow_mut().push("resume".into());
                io.resume();
            }
            (SERVER, Happening::End) => io.close(),
            (SERVER, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(
        *order.borrow(),
        ["one", "resume", "two", "resume", "three", "resume"]
    );
}
