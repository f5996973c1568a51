//! The cases about what else wakes the loop: timers and other threads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{EventLoop, Flow, Io, Options, Role};

use super::pair::{CLIENT, Happening, Pair, SERVER, bump, converse, counter, finish, options};

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

/// Once each, at the last time they were given, with the token they were set with.
pub(crate) fn timers_can_be_set_anew<N: Network>(network: N) {
    const HOUR: u64 = 3_600_000;
    let ms = Duration::from_millis;
    let fired = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&fired);
    let mut began = None;
    let mut sooner = None;
    converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => io.stop_listening(),
            (CLIENT, Happening::Open) => {
                began = Some(io.now());
                let [put_off, brought_forward, dropped, lasting] =
                    [2, HOUR, 3, HOUR].map(|delay| io.after(ms(delay), delay).unwrap());
                for delay in 3..=8 {
                    assert_eq!(io.rearm(put_off, ms(delay)), Some(put_off));
                }
                sooner = io.rearm(brought_forward, ms(4));
                assert!(sooner.is_some_and(|name| name != brought_forward));
                assert!(io.rearm(brought_forward, ms(1)).is_none() && !io.cancel(brought_forward));
                // It dies with its connection under the new name as well.
                assert!(io.rearm(lasting, ms(HOUR / 2)).is_some());
                let dropped = io.rearm(dropped, ms(5)).unwrap();
                assert!(io.cancel(dropped));
                assert!(io.rearm(dropped, ms(1)).is_none());
            }
            (CLIENT, Happening::Timer(token)) => {
                let passed = io.now() - began.unwrap();
                seen.borrow_mut().push(token);
                if token == HOUR {
                    assert!(passed >= ms(4), "early");
                    assert!(io.rearm(sooner.unwrap(), ms(1)).is_none(), "it has fired");
                } else {
                    assert!(passed >= ms(8), "early");
                    io.close();
                }
            }
            (SERVER, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(*fired.borrow(), [HOUR, 2]);
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

/// A timer of no time at all that sets itself again: it comes once a turn, and what arrives is served meanwhile.
pub(crate) fn s42_timer_reentrancy<N: Network>(network: N) {
    // In virtual time a turn takes no longer than the timer: there are millions of them to an answer.
    const LINES: usize = 5;
    let fired = counter();
    let seen = Rc::clone(&fired);
    let (mut turn, mut answers) = (0, 0);
    let stats = converse(network, options(), 1, move |role, io, happening| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                io.stop_listening();
                io.after(Duration::ZERO, 0);
            }
            (SERVER, Happening::Timer(_)) => {
                assert_ne!(turn, io.stats().turns, "twice in one turn");
                turn = io.stats().turns;
                bump(&seen);
                io.after(Duration::ZERO, 0);
            }
            (SERVER, Happening::Frame(frame)) => drop(io.send(frame)),
            (CLIENT, Happening::Open) => drop(io.send(b"ping")),
            (CLIENT, Happening::Frame(_)) => {
                answers += 1;
                if answers == LINES {
                    io.close();
                } else {
                    let _ = io.send(b"ping");
                }
            }
            (_, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    });
    assert_eq!(stats.frames_in as usize, 2 * LINES);
    assert!(fired.get() > 0);
}

/// A message posted to the own loop from inside a callback, when the loop is anything but asleep, comes in a later turn,
/// which does not wait.
pub(crate) fn s40_wake_in_callback<N: Network>(network: N) {
    const ROUNDS: u32 = 100;
    let told = counter();
    let seen = Rc::clone(&told);
    let remote = Rc::new(RefCell::new(None::<trunkline::Remote<u32>>));
    let own = Rc::clone(&remote);
    let play =
        move |_: Option<Role>, io: &mut trunkline::Io<'_, Pair>, happening: Happening<'_>| {
            if let Happening::Message(round) = happening {
                bump(&seen);
                if round == ROUNDS {
                    io.stop();
                } else {
                    own.borrow().as_ref().unwrap().post(round + 1).unwrap();
                }
            }
            Flow::Continue
        };
    let pair = EventLoop::over(network, Pair::new(play), Options::default());
    // Before the first wait.
    pair.remote().post(1).unwrap();
    *remote.borrow_mut() = Some(pair.remote());
    let began = std::time::Instant::now();
    finish(pair);
    assert_eq!(told.get(), ROUNDS as usize);
    // A turn here waits a second for news, unless a wake has been noted.
    assert!(began.elapsed() < Duration::from_secs(u64::from(ROUNDS) / 2));
}
