//! Peers that read too slowly, under each policy.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{Cause, ConnectionId, Flow, Io, Options, Overflow, Sent};

use super::pair::{CLIENT, Happening, Pair, SERVER, bump, converse, counter, is_finished, options};

const LIMIT: usize = 256 * 1024;

fn bounded(overflow: Overflow) -> Options {
    Options {
        overflow,
        hard_limit_bytes: LIMIT,
        high_watermark_bytes: 16 * 1024,
        low_watermark_bytes: 1024,
        ..options()
    }
}

/// A message that says its number, and by its length whether all of it is there.
fn numbered(number: u64) -> Vec<u8> {
    let mut message = format!("{number} ").into_bytes();
    message.resize(1000 + (number % 7) as usize, b'.');
    message
}

fn number_in(frame: &[u8]) -> u64 {
    let text = std::str::from_utf8(frame).unwrap();
    let number = text.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(frame, numbered(number), "cut or mixed up");
    number
}

/// Offers far more than the queue and the kernel hold to a client that does not read, then lets it read; says what
/// came, and checks that what did not come was counted. `choose` is asked when the server's connection opens.
fn offered_while_paused<N: Network>(
    network: N,
    options: Options,
    choose: impl Fn(&mut Io<'_, Pair>, ConnectionId) + 'static,
    offer: impl Fn(&mut Io<'_, Pair>, u64) -> Sent + 'static,
) -> Vec<u64> {
    const TURNS: u64 = 100;
    const A_TURN: u64 = 200;
    let came = Rc::new(RefCell::new(Vec::new()));
    let (coming, lost) = (Rc::clone(&came), counter());
    let losing = Rc::clone(&lost);
    let mut reader = None;
    let stats = converse(network, options, 1, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                reader = Some(io.id());
                io.pause();
            }
            (SERVER, Happening::Open) => {
                io.stop_listening();
                choose(io, io.id());
                io.after(Duration::ZERO, 0);
            }
            (SERVER, Happening::Timer(0)) if reader.is_none() => {
                io.after(Duration::from_millis(1), 0);
            }
            (SERVER, Happening::Timer(turn)) => {
                for number in turn * A_TURN..(turn + 1) * A_TURN {
                    let before = io.connection_stats(io.id()).unwrap();
                    let sent = offer(io, number);
                    let after = io.connection_stats(io.id()).unwrap();
                    assert!(after.queued_bytes <= LIMIT);
                    let told = match sent {
                        Sent::Dropped => (1, 0, 0),
                        Sent::DroppedOldest { count } => (0, u64::from(count), 0),
                        Sent::Replaced => (0, 0, 1),
                        Sent::Queued | Sent::AboveHigh => (0, 0, 0),
                        Sent::Gone | Sent::Rejected(_) => panic!("{sent:?}"),
                    };
                    let counted = (
                        after.dropped - before.dropped,
                        after.dropped_oldest - before.dropped_oldest,
                        after.replaced - before.replaced,
                    );
                    assert_eq!(told, counted);
                }
                if turn + 1 < TURNS {
                    io.after(Duration::ZERO, turn + 1);
                } else {
                    let stats = io.connection_stats(io.id()).unwrap();
                    losing.set((stats.dropped + stats.dropped_oldest + stats.replaced) as usize);
                    io.close();
                    io.resume_connection(reader.unwrap());
                }
            }
            (CLIENT, Happening::Frame(frame)) => coming.borrow_mut().push(number_in(frame)),
            (CLIENT, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    let came = came.take();
    assert!(lost.get() > 0, "everything fitted");
    assert_eq!(came.len() + lost.get(), (TURNS * A_TURN) as usize);
    let counted = stats.dropped + stats.dropped_oldest + stats.replaced;
    assert_eq!(lost.get() as u64, counted);
    assert!(stats.queue_bytes_peak <= LIMIT as u64 && stats.queue_bytes_peak > LIMIT as u64 / 2);
    assert_eq!(stats.queued_bytes, 0, "{stats:?}");
    came
}

const LAST: u64 = 100 * 200 - 1;

fn assert_rising(numbers: &[u64]) {
    assert!(numbers.windows(2).all(|two| two[0] < two[1]));
}

pub(crate) fn drop_newest_keeps_the_beginning<N: Network>(network: N) {
    let options = bounded(Overflow::DropNewest);
    let send = |io: &mut Io<'_, Pair>, number| io.send(&numbered(number));
    let came = offered_while_paused(network, options, |_, _| {}, send);
    assert_rising(&came);
    assert_ne!(came.last(), Some(&LAST));
    let unbroken = came.iter().copied().eq(0..came.len() as u64);
    assert!(unbroken, "nothing is dropped before the queue is full");
}

pub(crate) fn drop_oldest_keeps_the_end<N: Network>(network: N) {
    let options = bounded(Overflow::DropOldest);
    let send = |io: &mut Io<'_, Pair>, number| io.send(&numbered(number));
    let came = offered_while_paused(network, options, |_, _| {}, send);
    assert_rising(&came);
    // What the kernel had taken, and the message of which it had taken a part; then as many of the last as fit.
    assert_eq!((came[0], came.last()), (0, Some(&LAST)));
    let gaps = came.windows(2).filter(|two| two[0] + 1 < two[1]).count();
    assert_eq!(gaps, 1);
}

pub(crate) fn drop_oldest_can_be_chosen_for_one_connection<N: Network>(network: N) {
    let options = bounded(Overflow::Close);
    let choose = |io: &mut Io<'_, Pair>, id| io.set_overflow(id, Overflow::DropOldest);
    // Broadcast, to go all ways.
    let send = |io: &mut Io<'_, Pair>, number: u64| {
        let before = io.connection_stats(io.id()).unwrap().dropped_oldest;
        assert_eq!(io.broadcast([io.id()], &numbered(number)), Ok(1));
        match io.connection_stats(io.id()).unwrap().dropped_oldest - before {
            0 => Sent::Queued,
            count => Sent::DroppedOldest {
                count: count as u32,
            },
        }
    };
    let came = offered_while_paused(network, options, choose, send);
    assert_rising(&came);
    assert_eq!(came.last(), Some(&LAST));
}

pub(crate) fn a_key_conflates_what_waits<N: Network>(network: N) {
    const KEYS: u64 = 50;
    let options = bounded(Overflow::Close);
    let send = |io: &mut Io<'_, Pair>, number| {
        let (id, key) = (io.id(), number % KEYS);
        io.send_keyed(id, key, &numbered(number))
    };
    // The limit, which would end it, is never reached: what waits is as much as there are keys.
    let mut latest = BTreeMap::new();
    for number in conflated(network, options, send) {
        let before = latest.insert(number % KEYS, number);
        assert!(before < Some(number), "an older one after a newer one");
    }
    let expected = (LAST + 1 - KEYS..=LAST).map(|number| (number % KEYS, number));
    assert!(latest.into_iter().eq(expected.collect::<BTreeMap<_, _>>()));
}

/// As `offered_while_paused`, where the queue does not get full.
fn conflated<N: Network>(
    network: N,
    options: Options,
    offer: impl Fn(&mut Io<'_, Pair>, u64) -> Sent + 'static,
) -> Vec<u64> {
    let came = Rc::new(RefCell::new(Vec::new()));
    let coming = Rc::clone(&came);
    let mut reader = None;
    let stats = converse(network, options, 1, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                reader = Some(io.id());
                io.pause();
            }
            (SERVER, Happening::Open) => {
                io.stop_listening();
                io.after(Duration::ZERO, 0);
            }
            (SERVER, Happening::Timer(0)) if reader.is_none() => {
                io.after(Duration::from_millis(1), 0);
            }
            (SERVER, Happening::Timer(turn)) => {
                for number in turn * 200..(turn + 1) * 200 {
                    assert!(offer(io, number).is_queued());
                }
                if (turn + 1) * 200 <= LAST {
                    io.after(Duration::ZERO, turn + 1);
                } else {
                    io.close();
                    io.resume_connection(reader.unwrap());
                }
            }
            (CLIENT, Happening::Frame(frame)) => coming.borrow_mut().push(number_in(frame)),
            (CLIENT, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    let came = came.take();
    assert!(stats.replaced > 0);
    assert_eq!(came.len() as u64 + stats.replaced, LAST + 1);
    came
}

pub(crate) fn broadcast_by_key_reaches_the_quick_and_spares_the_slow<N: Network>(network: N) {
    const UPDATES: u64 = 3000;
    let options = bounded(Overflow::DropNewest);
    let (quick, slow) = (counter(), counter());
    let (seen_by_quick, seen_by_slow) = (Rc::clone(&quick), Rc::clone(&slow));
    let (mut members, mut clients) = (Vec::new(), Vec::new());
    let stats = converse(network, options, 2, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                clients.push(io.id());
                if clients.len() == 1 {
                    io.pause();
                }
            }
            (SERVER, Happening::Open) => {
                members.push(io.id());
                if members.len() == 2 {
                    io.stop_listening();
                    io.after(Duration::from_millis(1), 0);
                }
            }
            (SERVER, Happening::Timer(number)) => {
                let all = members.iter().copied();
                assert_eq!(io.broadcast_keyed(all, 7, &numbered(number)), Ok(2));
                if number + 1 < UPDATES {
                    // Most come singly, so that the quick one sees them all; a few at once for the slow one.
                    io.after(Duration::from_micros(1), number + 1);
                } else {
                    for &id in &members {
                        io.close_connection(id);
                    }
                    io.resume_connection(clients[0]);
                }
            }
            (CLIENT, Happening::Frame(frame)) => {
                number_in(frame);
                let seen = if io.id() == clients[0] {
                    &seen_by_slow
                } else {
                    &seen_by_quick
                };
                bump(seen);
            }
            (CLIENT, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    let came = (quick.get() + slow.get()) as u64;
    assert_eq!(came + stats.replaced, 2 * UPDATES);
    assert!(quick.get() >= slow.get(), "{quick:?} {slow:?}");
    assert_eq!(stats.dropped, 0);
}

/// Far above the high watermark.
const MUCH: usize = 8;
/// More than any kernel takes for a peer that does not read: on loopback it may have 4 MiB to send, and some to receive.
const TOO_MUCH: usize = 64;

fn send_much(io: &mut Io<'_, Pair>, id: ConnectionId, messages: usize) {
    for _ in 0..messages {
        assert!(io.send_to(id, &vec![b'm'; 1 << 19]).is_queued());
    }
}

pub(crate) fn close_after_ends_the_slow_one_alone<N: Network>(network: N) {
    // Long enough for the quick one to read it all, even where many other tests run.
    let patience = Duration::from_millis(1500);
    let options = Options {
        hard_limit_bytes: 64 << 20,
        ..bounded(Overflow::CloseAfter(patience))
    };
    let (too_slow, in_order) = (counter(), counter());
    let (seen_slow, seen_in_order) = (Rc::clone(&too_slow), Rc::clone(&in_order));
    let (mut clients, mut members) = (Vec::new(), Vec::new());
    let (mut begin, mut slow) = (None, None);
    let stats = converse(network, options, 2, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                clients.push(io.id());
                if clients.len() == 1 {
                    io.pause();
                }
                let _ = io.send(if clients.len() == 1 { b"slow" } else { b"fast" });
            }
            (SERVER, Happening::Frame(who)) => {
                if who == b"slow" {
                    slow = Some(io.id());
                }
                members.push(io.id());
                if members.len() == 2 {
                    io.stop_listening();
                    begin = Some(io.now());
                    for &id in &members {
                        let messages = if Some(id) == slow { TOO_MUCH } else { MUCH };
                        send_much(io, id, messages);
                        assert!(io.connection_stats(id).unwrap().above_high);
                    }
                }
            }
            (SERVER, Happening::Closed(closed)) if Some(io.id()) == slow => {
                assert!(matches!(closed.cause, Cause::TooSlow), "{closed:?}");
                assert!(closed.unsent > 0);
                assert!(io.now() >= begin.unwrap() + patience);
                bump(&seen_slow);
                io.abort_connection(clients[0]);
                // The other one has read it all long ago.
                let other = members.iter().find(|&&id| id != io.id()).unwrap();
                io.close_connection(*other);
            }
            (SERVER, Happening::Closed(closed)) => {
                assert!(is_finished(closed), "{closed:?}");
                bump(&seen_in_order);
            }
            (CLIENT, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!((too_slow.get(), in_order.get()), (1, 1), "{stats:?}");
}

pub(crate) fn a_connection_that_catches_up_in_time_is_kept<N: Network>(network: N) {
    // The time above the high watermark in each round is far less than the patience, so that a machine that stands still
    // for a while spoils nothing; that of all rounds is more.
    const ROUNDS: u32 = 10;
    let above = Duration::from_millis(600);
    let patience = Duration::from_secs(5);
    assert!(patience < above * ROUNDS);
    let options = Options {
        hard_limit_bytes: 64 << 20,
        ..bounded(Overflow::CloseAfter(patience))
    };
    let arrived = counter();
    let seen = Rc::clone(&arrived);
    let mut reader = None;
    let mut rounds = 0;
    converse(network, options, 1, move |role, io, happening| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                reader = Some(io.id());
                io.pause();
            }
            (SERVER, Happening::Open) => {
                io.stop_listening();
                io.after(Duration::from_millis(1), 0);
            }
            (SERVER, Happening::Timer(0)) if reader.is_none() => {
                io.after(Duration::from_millis(1), 0);
            }
            (SERVER, Happening::Timer(0)) => {
                send_much(io, io.id(), MUCH);
                io.after(above, 1);
            }
            (SERVER, Happening::Timer(_)) => io.resume_connection(reader.unwrap()),
            (SERVER, Happening::Drained) => {
                rounds += 1;
                if rounds < ROUNDS {
                    io.pause_connection(reader.unwrap());
                    io.after(Duration::from_millis(1), 0);
                } else {
                    io.close();
                }
            }
            (CLIENT, Happening::Frame(frame)) => {
                assert_eq!(frame.len(), 1 << 19);
                bump(&seen);
            }
            (CLIENT, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(arrived.get(), ROUNDS as usize * MUCH);
}
