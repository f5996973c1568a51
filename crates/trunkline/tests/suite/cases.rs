//! The cases, each for any network. Named after the rows of the list of known defects where there is one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{Cause, ErrorKind, EventLoop, Flow, Io, Options, Overflow, Role, Sent};

use super::pair::{Apart, Happening, Pair, converse, converse_apart, finish, is_finished, options};

pub(crate) const SERVER: Option<Role> = Some(Role::Accepted);
pub(crate) const CLIENT: Option<Role> = Some(Role::Connected);

pub(crate) fn counter() -> Rc<Cell<usize>> {
    Rc::new(Cell::new(0))
}

pub(crate) fn bump(counter: &Cell<usize>) -> usize {
    counter.set(counter.get() + 1);
    counter.get()
}

/// An echo over `clients` connections of `lines` lines each; every line comes back, in order.
fn echo<N: Network>(network: N, options: Options, clients: usize, lines: usize) {
    let orderly = counter();
    let seen = Rc::clone(&orderly);
    let mut replies = std::collections::BTreeMap::new();
    let stats = converse(network, options, clients, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                for line in 0..lines {
                    assert!(!matches!(
                        io.send(format!("line {line}").as_bytes()),
                        Sent::Dropped | Sent::Gone
                    ));
                }
            }
            (SERVER, Happening::Open) => io.stop_listening_after(clients),
            (SERVER, Happening::Frame(frame)) => assert_ne!(io.send(frame), Sent::Dropped),
            (CLIENT, Happening::Frame(frame)) => {
                let next = replies.entry(io.id()).or_insert(0);
                assert_eq!(frame, format!("line {next}").as_bytes());
                *next += 1;
                if *next == lines {
                    io.close();
                }
            }
            (SERVER, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => {
                assert!(is_finished(closed), "{closed:?}");
                bump(&seen);
            }
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(orderly.get(), 2 * clients);
    assert_eq!(stats.frames_in as usize, 2 * clients * lines);
    assert_eq!(stats.open, 0);
}

/// Closes the listeners once `count` connections were accepted, so that the loop ends when they do.
trait StopListening {
    fn stop_listening_after(&mut self, count: usize);
}

impl StopListening for trunkline::Io<'_, Pair> {
    fn stop_listening_after(&mut self, count: usize) {
        if self.stats().accepted as usize >= count {
            self.stop_listening();
        }
    }
}

pub(crate) fn echo_in_order<N: Network>(network: N) {
    echo(network, options(), 1, 200);
}

pub(crate) fn echo_over_many_connections<N: Network>(network: N) {
    echo(network, options(), 50, 20);
}

pub(crate) fn e7_smallest_budgets_still_deliver_everything<N: Network>(network: N) {
    let smallest = Options {
        accept_budget: 1,
        read_budget_bytes: 1,
        frame_budget: 1,
        read_buffer_bytes: 3,
        high_watermark_bytes: 1,
        low_watermark_bytes: 0,
        ..options()
    };
    echo(network, smallest, 8, 10);
}

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

pub(crate) fn a6_close_ends_within_the_linger_deadline<N: Network>(network: N) {
    let expired = counter();
    let seen = Rc::clone(&expired);
    let hasty = Options {
        linger: Duration::from_millis(50),
        ..options()
    };
    converse(network, hasty, 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                io.stop_listening();
                for _ in 0..7 {
                    let _ = io.send(&vec![b'x'; (1 << 20) - 1]);
                }
                io.close();
            }
            (CLIENT, Happening::Open) => {
                io.pause();
                io.after(Duration::from_millis(500), 0);
            }
            (CLIENT, Happening::Timer(_)) => io.abort(),
            (SERVER, Happening::Closed(closed)) => {
                assert!(matches!(closed.cause, Cause::LingerExpired), "{closed:?}");
                assert!(closed.unsent > 0);
                bump(&seen);
            }
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(expired.get(), 1);
}

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

pub(crate) fn timers_fire_in_order_never_early_and_die_with_their_connection<N: Network>(
    network: N,
) {
    let fired = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&fired);
    let mut began = None;
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => {
                began = Some(io.now());
                for milliseconds in [9, 3, 6, 1] {
                    io.after(Duration::from_millis(milliseconds), milliseconds);
                }
                let cancelled = io.after(Duration::from_millis(2), 2).unwrap();
                assert!(io.cancel(cancelled));
                assert!(!io.cancel(cancelled));
                io.after(Duration::from_millis(12), 12);
                io.after(Duration::from_secs(3600), 3600);
            }
            (CLIENT, Happening::Timer(token)) => {
                assert!(
                    io.now() - began.unwrap() >= Duration::from_millis(token),
                    "early"
                );
                seen.borrow_mut().push(token);
                if token == 9 {
                    io.close();
                }
            }
            (SERVER, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    let fired = fired.borrow();
    // The one at 12 ms may be due in the very turn that closes.
    assert!(
        fired.starts_with(&[1, 3, 6, 9]) && !fired.contains(&3600) && !fired.contains(&2),
        "{fired:?}"
    );
}

pub(crate) fn broadcast_reaches_everybody<N: Network>(network: N) {
    const CLIENTS: usize = 20;
    let arrived = counter();
    let seen = Rc::clone(&arrived);
    let mut members = Vec::new();
    converse(network, options(), CLIENTS, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                members.push(io.id());
                if members.len() == CLIENTS {
                    io.stop_listening();
                    assert_eq!(
                        io.broadcast(members.iter().copied(), b"all here"),
                        Ok(CLIENTS)
                    );
                }
            }
            (CLIENT, Happening::Frame(frame)) => {
                assert_eq!(frame, b"all here");
                bump(&seen);
                io.close();
            }
            (SERVER, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(arrived.get(), CLIENTS);
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

pub(crate) fn w1_messages_of_other_threads_all_arrive<N: Network>(network: N) {
    const EACH: u32 = 1000;
    let sum = Rc::new(Cell::new(0));
    let seen = Rc::clone(&sum);
    let mut count = 0;
    let play =
        move |_: Option<Role>, io: &mut trunkline::Io<'_, Pair>, happening: Happening<'_>| {
            if let Happening::Message(message) = happening {
                seen.set(seen.get() + u64::from(message));
                count += 1;
                if count == 4 * EACH {
                    io.stop();
                }
            }
            Flow::Continue
        };
    let pair = EventLoop::over(network, Pair::new(play), Options::default());
    let remote = pair.remote();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let remote = remote.clone();
            scope.spawn(move || (1..=EACH).for_each(|message| remote.post(message).unwrap()));
        }
        finish(pair);
    });
    assert_eq!(sum.get(), 4 * u64::from(EACH) * u64::from(EACH + 1) / 2);
}

/// Every other client is gone, with a reset, before the server has accepted any.
pub(crate) fn a2_resets_in_the_backlog_end_nothing<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const CLIENTS: usize = 10;
    let answered = counter();
    let (asked, heard) = (counter(), Rc::clone(&answered));
    let mut opened = 0;
    let serve = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Frame(_) => {
                let _ = io.send(b"answer");
                if bump(&asked) == CLIENTS / 2 {
                    io.stop();
                }
            }
            Happening::End => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let ask = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Open if opened % 2 == 0 => {
                opened += 1;
                io.abort();
            }
            Happening::Open => {
                opened += 1;
                let _ = io.send(b"question");
            }
            Happening::Frame(_) => {
                bump(&heard);
            }
            Happening::End => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let (server, _) = converse_apart(apart, options(), CLIENTS, serve, ask);
    assert_eq!(answered.get(), CLIENTS / 2, "{server:?}");
}
