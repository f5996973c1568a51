//! The clock leaps, as it does for a process that was stopped: on the simulated network, where a test can make it.

use std::rc::Rc;
use std::time::Duration;

use trunkline::network::simulated::{Config, World};
use trunkline::{Deadlines, EventLoop, Flow, Io, Options, Role, Trigger};

use super::pair::{CLIENT, Happening, Pair, SERVER, bump, counter, finish, options};

const CLIENTS: usize = 20;
const IDLE: Duration = Duration::from_secs(8);
const OFTEN: Duration = Duration::from_secs(1);

/// An hour passes at once. Who was active before it and is again afterwards is not closed, timers that came due come once
/// each, and who really is idle then is closed in its own time.
fn s44_nobody_is_closed_for_an_hour_in_which_nothing_ran(trigger: Trigger) {
    let world = World::new(Config {
        trigger,
        ..Config::calm(44)
    });
    let timers = counter();
    let expired = counter();
    let (ticks, ends) = (Rc::clone(&timers), Rc::clone(&expired));
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match (role, happening) {
            (CLIENT, Happening::Open) => drop(io.after(OFTEN, 1)),
            (CLIENT, Happening::Timer(number)) => {
                bump(&ticks);
                let _ = io.send(b"here");
                if number < 20 {
                    io.after(OFTEN, number + 1);
                }
            }
            (SERVER, Happening::Closed(closed)) => {
                assert_eq!(format!("{:?}", closed.cause), "IdleExpired");
                assert_eq!(ticks.get(), CLIENTS * 20, "closed while it was active");
                bump(&ends);
            }
            (SERVER, Happening::Open) if io.stats().accepted as usize == CLIENTS => {
                io.stop_listening();
            }
            (_, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let options = Options {
        deadlines: Deadlines {
            idle: Some(IDLE),
            ..Deadlines::off()
        },
        ..options()
    };
    let mut pair = EventLoop::over(world.network(), Pair::new(play), options);
    let address = pair.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..CLIENTS {
        pair.connect(address);
    }
    while timers.get() < CLIENTS * 5 {
        pair.turn(Some(OFTEN)).unwrap();
    }
    let before = timers.get();
    world.advance(Duration::from_secs(3600));
    pair.turn(Some(Duration::ZERO)).unwrap();
    pair.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(timers.get(), before + CLIENTS, "due timers come once each");
    assert_eq!(expired.get(), 0);
    finish(pair);
    assert_eq!(expired.get(), CLIENTS);
}

#[test]
fn s44_nobody_is_closed_for_an_hour_in_which_nothing_ran_level() {
    s44_nobody_is_closed_for_an_hour_in_which_nothing_ran(Trigger::Level);
}

#[test]
fn s44_nobody_is_closed_for_an_hour_in_which_nothing_ran_edge() {
    s44_nobody_is_closed_for_an_hour_in_which_nothing_ran(Trigger::Edge);
}
