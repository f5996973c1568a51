//! The cases about one connection that is no reason for the others to wait.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{EventLoop, Flow, Io, Options, Role, Sent};

use super::pair::{
    CLIENT, Happening, Pair, SERVER, bump, converse, counter, finish, is_finished, options,
};

/// Sends until the queue says that it is enough.
fn fill(io: &mut Io<'_, Pair>) {
    while io.send(&[b'f'; 8_000]) == Sent::Queued {}
}

/// A client that never reads, on a queue that is always full; another one is answered at once, in as many turns as ever.
pub(crate) fn a4_a_slow_reader_does_not_hold_up_others<N: Network>(network: N) {
    const PINGS: usize = 200;
    const TURNS_MAX: u64 = 8;
    let answered = counter();
    let seen = Rc::clone(&answered);
    let (mut slow, mut asked_in) = (None, 0);
    converse(network, options(), 2, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) if io.stats().accepted == 2 => io.stop_listening(),
            (CLIENT, Happening::Open) if slow.is_none() => {
                slow = Some(io.id());
                let _ = io.send(b"flood");
                io.pause();
            }
            (CLIENT, Happening::Open) => {
                asked_in = io.stats().turns;
                let _ = io.send(b"ping");
            }
            (SERVER, Happening::Frame(b"flood")) => fill(io),
            (SERVER, Happening::Drained) if seen.get() < PINGS => fill(io),
            (SERVER, Happening::Frame(frame)) => {
                let _ = io.send(frame);
            }
            (CLIENT, Happening::Frame(b"ping")) => {
                let turns = io.stats().turns - asked_in;
                assert!(turns <= TURNS_MAX, "an answer after {turns} turns");
                if bump(&seen) == PINGS {
                    io.close();
                    io.resume_connection(slow.unwrap());
                    io.close_connection(slow.unwrap());
                } else {
                    asked_in = io.stats().turns;
                    let _ = io.send(b"ping");
                }
            }
            (_, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(answered.get(), PINGS);
}

/// A client that sends all the time and as fast as it can; the light ones are answered within a few turns each.
pub(crate) fn e7_a_flooding_peer_does_not_starve_the_light_ones<N: Network>(network: N) {
    const LIGHT: usize = 10;
    const PINGS: usize = 30;
    // One that floods keeps the loop turning while the kernel has still to deliver.
    const TURNS_MAX: u64 = 1000;
    let done = counter();
    let seen = Rc::clone(&done);
    let (mut flooding, mut asked) = (None, BTreeMap::new());
    let budgets = Options {
        read_budget_bytes: 32 * 1024,
        frame_budget: 16,
        ..options()
    };
    let stats = converse(network, budgets, 1 + LIGHT, move |role, io, happening| {
        let turn = io.stats().turns;
        match (role, happening) {
            (SERVER, Happening::Open) if io.stats().accepted as usize == 1 + LIGHT => {
                io.stop_listening();
            }
            (CLIENT, Happening::Open) if flooding.is_none() => {
                flooding = Some(io.id());
                fill(io);
            }
            (CLIENT, Happening::Drained) if seen.get() < LIGHT => fill(io),
            (CLIENT, Happening::Open) => {
                asked.insert(io.id(), (turn, 0));
                let _ = io.send(b"ping");
            }
            (SERVER, Happening::Frame(b"ping")) => drop(io.send(b"pong")),
            (CLIENT, Happening::Frame(_)) => {
                let (asked_in, answers) = asked.get_mut(&io.id()).unwrap();
                let turns = turn - *asked_in;
                assert!(turns <= TURNS_MAX, "an answer after {turns} turns");
                (*asked_in, *answers) = (turn, *answers + 1);
                if *answers < PINGS {
                    let _ = io.send(b"ping");
                } else {
                    io.close();
                    if bump(&seen) == LIGHT {
                        io.close_connection(flooding.unwrap());
                    }
                }
            }
            (_, Happening::End) => io.close(),
            (_, Happening::Closed(closed)) => assert!(is_finished(closed), "{closed:?}"),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(done.get(), LIGHT);
    assert!(stats.bytes_in > 100_000, "it did flood: {stats:?}");
}

/// Timers that are cancelled leave nothing that wakes the loop again and again.
pub(crate) fn w6_cancelled_timers_do_not_keep_the_loop_turning<N: Network>(network: N) {
    const TIMERS: u64 = 10_000;
    let play = |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => {
                let set = |token: u64| io.after(Duration::from_millis(2 + token % 5), token);
                let timers: Vec<_> = (0..TIMERS).filter_map(set).collect();
                assert_eq!(timers.len() as u64, TIMERS);
                assert!(timers.into_iter().all(|timer| io.cancel(timer)));
            }
            (_, Happening::Timer(token)) => panic!("{token} was cancelled"),
            (_, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let mut pair = EventLoop::over(network, Pair::new(play), options());
    let address = pair.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    pair.connect(address);
    while pair.stats().open < 2 {
        pair.turn(Some(Duration::from_millis(100))).unwrap();
    }
    // The time of all of them passes. The alarm may ring once for them, and a wait may end once for another reason.
    let begin = pair.network().now();
    let before = pair.stats().turns;
    while pair.network().now() - begin < Duration::from_millis(100) {
        pair.turn(Some(Duration::from_millis(100))).unwrap();
    }
    let turns = pair.stats().turns - before;
    assert!(turns <= 4, "{turns} turns for nothing");
    pair.remote().kill();
    finish(pair);
}
