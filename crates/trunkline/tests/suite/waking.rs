//! The cases about what else wakes the loop: timers and other threads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{EventLoop, Flow, Options, Role};

use super::pair::{CLIENT, Happening, Pair, SERVER, converse, finish, options};

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
