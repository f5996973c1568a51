//! The cases about deadlines: each closes with its own cause, never early, and late by the precision at most.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use trunkline::network::Network;
use trunkline::{Closed, Deadlines, Flow, Io, Options, Role, Sent};

use super::pair::{
    CLIENT, Happening, PART, Pair, SERVER, bump, converse, counter, is_finished, options,
};

/// The deadline of every case.
const DEADLINE: Duration = Duration::from_millis(160);
/// What the deadlines may be late: an eighth, which is two ticks of the loop.
const TICK: Duration = Duration::from_millis(20);
/// How often a client that is not idle stirs.
const OFTEN: Duration = Duration::from_millis(9);

fn with(deadlines: Deadlines) -> Options {
    Options {
        deadlines,
        ..options()
    }
}

/// When the server's connection began to be late, and when and why it ended.
#[derive(Default)]
struct Ended {
    since: Option<Instant>,
    at: Option<Instant>,
    cause: Option<String>,
}

/// How long a machine that is busy with other tests may keep a turn waiting.
const PATIENCE: Duration = Duration::from_secs(5);
/// In virtual time nothing but the way of the bytes takes any.
const ON_THE_WAY: Duration = Duration::from_millis(2);

/// One client and one server; the server's connection must end for `cause` after the deadline, counted from the last
/// time `play` said that it begins anew.
fn ends<N: Network>(
    network: N,
    deadlines: Deadlines,
    cause: &str,
    mut play: impl FnMut(Option<Role>, &mut Io<'_, Pair>, &Happening<'_>) -> Begins + 'static,
) {
    let ended = Rc::new(RefCell::new(Ended::default()));
    let seen = Rc::clone(&ended);
    converse(network, with(deadlines), 1, move |role, io, happening| {
        let mut ended = seen.borrow_mut();
        let first = ended.since.is_none();
        if play(role, io, &happening) == Begins::Anew || first {
            ended.since = Some(io.now());
        }
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (SERVER, Happening::Closed(closed)) => {
                assert!(ended.cause.is_none(), "it ends once");
                ended.at = Some(io.now());
                ended.cause = Some(name(closed));
            }
            (CLIENT, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    let ended = ended.borrow();
    assert_eq!(ended.cause.as_deref(), Some(cause));
    let took = ended.at.unwrap() - ended.since.unwrap();
    assert!(took >= DEADLINE, "early: {took:?}");
    let simulated = std::any::type_name::<N>().ends_with("Simulated");
    let late = TICK + if simulated { ON_THE_WAY } else { PATIENCE };
    assert!(took <= DEADLINE + late, "late: {took:?}");
}

/// Does the time of the deadline begin now?
#[derive(PartialEq, Eq)]
enum Begins {
    Anew,
    No,
}

fn name(closed: &Closed) -> String {
    format!("{:?}", closed.cause)
}

/// Stirs the client often: the token counts how often it did.
fn keep_stirring(io: &mut Io<'_, Pair>, times: u64) {
    io.after(OFTEN, times);
}

pub(crate) fn no_frame_ends_the_handshake_in_time<N: Network>(network: N) {
    let handshake = Deadlines {
        handshake: Some(DEADLINE),
        ..Deadlines::off()
    };
    ends(
        network,
        handshake,
        "HandshakeExpired",
        |role, io, happening| {
            match (role, happening) {
                (CLIENT, Happening::Open) => {
                    io.end_handshake();
                    let _ = io.send(&[&[PART], &b"hel"[..]].concat());
                    keep_stirring(io, 1);
                }
                (CLIENT, Happening::Timer(times)) => {
                    let _ = io.send(&[PART, b'l']);
                    keep_stirring(io, times + 1);
                }
                (SERVER, Happening::Open) => return Begins::Anew,
                _ => {}
            }
            Begins::No
        },
    );
}

pub(crate) fn the_first_frame_ends_the_handshake_unless_it_is_a_long_one<N: Network>(network: N) {
    let handshake = Deadlines {
        handshake: Some(DEADLINE),
        ..Deadlines::off()
    };
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&outcomes);
    let mut opened = 0;
    converse(network, with(handshake), 3, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                io.end_handshake();
                let _ = io.send(b"hello");
                // Long after the deadline.
                io.after(3 * DEADLINE, 0);
            }
            // Time in which the process stood still counts for timers, and not for deadlines.
            (CLIENT, Happening::Timer(_)) if seen.borrow().is_empty() => {
                io.after(DEADLINE, 0);
            }
            (CLIENT, Happening::Timer(_)) | (_, Happening::End) => io.close(),
            (SERVER, Happening::Open) => {
                opened += 1;
                // The first has a short handshake, the second a long one, the third one that ends.
                if opened > 1 {
                    io.begin_handshake();
                }
                if opened == 3 {
                    io.stop_listening();
                    io.after(DEADLINE / 4, 0);
                }
            }
            (SERVER, Happening::Timer(_)) => io.end_handshake(),
            (SERVER, Happening::Frame(frame)) => assert_eq!(frame, b"hello"),
            (SERVER, Happening::Closed(closed)) => seen.borrow_mut().push(name(closed)),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(
        *outcomes.borrow(),
        ["HandshakeExpired", "Finished", "Finished"]
    );
}

pub(crate) fn a10_slowloris_is_closed_when_its_frame_takes_too_long<N: Network>(network: N) {
    let frame = Deadlines {
        frame: Some(DEADLINE),
        ..Deadlines::off()
    };
    let mut begun = false;
    ends(
        network,
        frame,
        "FrameExpired",
        move |role, io, happening| {
            match (role, happening) {
                (CLIENT, Happening::Open) => keep_stirring(io, 1),
                (CLIENT, Happening::Timer(times)) => {
                    // Whole frames for longer than the deadline, then one that never ends.
                    let often = (3 * DEADLINE.as_millis() / OFTEN.as_millis()) as u64;
                    let whole = *times < often;
                    let _ = if whole {
                        io.send(b"in time")
                    } else {
                        io.send(&[PART, b'x'])
                    };
                    keep_stirring(io, times + 1);
                    if !whole && !begun {
                        begun = true;
                        return Begins::Anew;
                    }
                }
                _ => {}
            }
            Begins::No
        },
    );
}

pub(crate) fn a_paused_connection_is_not_blamed_for_half_a_frame<N: Network>(network: N) {
    let frame = Deadlines {
        frame: Some(DEADLINE),
        ..Deadlines::off()
    };
    ends(network, frame, "FrameExpired", |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                let _ = io.send(b"whole");
                let _ = io.send(&[&[PART], &b"half"[..]].concat());
            }
            (SERVER, Happening::Frame(_)) => {
                io.pause();
                io.after(2 * DEADLINE, 0);
            }
            (SERVER, Happening::Timer(_)) => {
                io.resume();
                return Begins::Anew;
            }
            _ => {}
        }
        Begins::No
    });
}

pub(crate) fn idle_connections_are_closed_and_busy_ones_are_not<N: Network>(network: N) {
    let idle = Deadlines {
        idle: Some(DEADLINE),
        ..Deadlines::off()
    };
    ends(network, idle, "IdleExpired", |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                io.set_idle_timeout(None);
                keep_stirring(io, 1);
            }
            (CLIENT, Happening::Timer(times)) => {
                let _ = io.send(b"still here");
                let often = (3 * DEADLINE.as_millis() / OFTEN.as_millis()) as u64;
                if *times < often {
                    keep_stirring(io, times + 1);
                }
                return Begins::Anew;
            }
            _ => {}
        }
        Begins::No
    });
}

pub(crate) fn a_connection_may_have_an_idle_deadline_of_its_own<N: Network>(network: N) {
    let long = Deadlines {
        idle: Some(100 * DEADLINE),
        precision: Some(TICK),
        ..Deadlines::off()
    };
    ends(network, long, "IdleExpired", |role, io, happening| {
        if let (SERVER, Happening::Open) = (role, happening) {
            io.set_idle_timeout(DEADLINE);
            return Begins::Anew;
        }
        Begins::No
    });
}

pub(crate) fn output_that_nobody_takes_ends_the_connection<N: Network>(network: N) {
    let stall = Deadlines {
        write_stall: Some(DEADLINE),
        ..Deadlines::off()
    };
    let mut client = None;
    ends(
        network,
        stall,
        "WriteStalled",
        move |role, io, happening| {
            match (role, happening) {
                (CLIENT, Happening::Open) => {
                    client = Some(io.id());
                    io.pause();
                }
                (SERVER, Happening::Open) => {
                    // More than sockets hold, as much as the queue takes.
                    while io.send(&[b'z'; 16_000]) != Sent::Dropped {}
                    return Begins::Anew;
                }
                (SERVER, Happening::Closed(closed)) => {
                    assert!(closed.unsent > 0, "{closed:?}");
                    io.resume_connection(client.unwrap());
                }
                _ => {}
            }
            Begins::No
        },
    );
}

pub(crate) fn a_slow_reader_that_takes_something_is_not_stalled<N: Network>(network: N) {
    const LINES: usize = 400;
    let stall = Deadlines {
        write_stall: Some(DEADLINE),
        ..Deadlines::off()
    };
    let tight = Options {
        high_watermark_bytes: 1 << 20,
        ..with(stall)
    };
    let arrived = counter();
    let seen = Rc::clone(&arrived);
    converse(network, tight, 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                io.stop_listening();
                for _ in 0..LINES {
                    assert_ne!(io.send(&[b'z'; 16_000]), Sent::Dropped);
                }
                io.finish();
            }
            (CLIENT, Happening::Open) => {
                io.pause();
                io.after(OFTEN, 0);
            }
            (CLIENT, Happening::Timer(_)) => io.resume(),
            (CLIENT, Happening::Frame(_)) if bump(&seen).is_multiple_of(4) => {
                io.after(OFTEN, 0);
                return Flow::Pause;
            }
            (_, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(arrived.get(), LINES);
}

pub(crate) fn a_lifetime_ends_whatever_the_connection_does<N: Network>(network: N) {
    let lifetime = Deadlines {
        lifetime: Some(DEADLINE),
        ..Deadlines::off()
    };
    ends(
        network,
        lifetime,
        "LifetimeExpired",
        |role, io, happening| {
            match (role, happening) {
                (CLIENT, Happening::Open) => keep_stirring(io, 1),
                (CLIENT, Happening::Timer(times)) => {
                    let _ = io.send(b"busy");
                    keep_stirring(io, times + 1);
                }
                (SERVER, Happening::Open) => return Begins::Anew,
                _ => {}
            }
            Begins::No
        },
    );
}

/// All of them at once over many connections: who keeps them all is left alone, and nothing is left running.
pub(crate) fn who_keeps_all_deadlines_never_notices_them<N: Network>(network: N) {
    const CLIENTS: usize = 50;
    let all = Deadlines {
        handshake: Some(PATIENCE),
        frame: Some(PATIENCE),
        idle: Some(PATIENCE),
        write_stall: Some(PATIENCE),
        lifetime: Some(10 * PATIENCE),
        precision: Some(Duration::from_millis(1)),
    };
    let ended = counter();
    let seen = Rc::clone(&ended);
    let stats = converse(network, with(all), CLIENTS, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) if io.stats().accepted as usize == CLIENTS => {
                io.stop_listening();
            }
            (CLIENT, Happening::Open) => {
                let _ = io.send(b"hello");
                keep_stirring(io, 1);
            }
            (CLIENT, Happening::Timer(times)) => {
                let _ = io.send(&[&[PART], &b"in pa"[..]].concat());
                if times == 10 {
                    io.close();
                } else {
                    let _ = io.send(b"rts");
                    keep_stirring(io, times + 1);
                }
            }
            (SERVER, Happening::Frame(frame)) => {
                let _ = io.send(frame);
            }
            (_, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => {
                assert!(is_finished(closed), "{closed:?}");
                bump(&seen);
            }
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(ended.get(), 2 * CLIENTS);
    assert_eq!(stats.failed, 0);
}
