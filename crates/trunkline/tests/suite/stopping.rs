//! The cases about the end of a loop.

use std::rc::Rc;

use trunkline::network::Network;
use trunkline::{EventLoop, Flow, Io, Options, Role};

use super::pair::{
    Apart, CLIENT, Happening, Pair, SERVER, bump, converse, converse_apart, counter, finish,
    options,
};

pub(crate) fn a7_drain_answers_what_was_asked<N: Network>(network: N) {
    const CLIENTS: usize = 10;
    let answered = counter();
    let seen = Rc::clone(&answered);
    let mut asked = 0;
    let stats = converse(
        network,
        Options {
            until_idle: false,
            ..options()
        },
        CLIENTS,
        move |role, io, happening| {
            match (role, happening) {
                (CLIENT, Happening::Open) => {
                    let _ = io.send(b"question");
                }
                (SERVER, Happening::Frame(_)) => {
                    asked += 1;
                    let _ = io.send(b"answer");
                    if asked == CLIENTS / 2 {
                        io.stop();
                    }
                }
                (CLIENT, Happening::Frame(_)) => drop(bump(&seen)),
                (_, Happening::End) => io.close(),
                _ => {}
            }
            Flow::Continue
        },
    );
    assert_eq!(answered.get() as u64, stats.connected);
    assert!(answered.get() >= CLIENTS / 2);
}

/// Each end in a loop of its own, so that only the server drains, also where answers are long on their way.
pub(crate) fn a7_drain_answers_every_request_it_took<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const CLIENTS: usize = 20;
    let (taken, answered) = (counter(), counter());
    let (taking, answering) = (Rc::clone(&taken), Rc::clone(&answered));
    let serve = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Frame(_) => {
                let _ = io.send(b"answer");
                if bump(&taking) == CLIENTS / 2 {
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
            Happening::Open => drop(io.send(b"question")),
            Happening::Frame(_) => drop(bump(&answering)),
            Happening::End => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let (server, client) = converse_apart(apart, options(), CLIENTS, serve, ask);
    assert_eq!(taken.get(), answered.get(), "{server:?} {client:?}");
    assert!(taken.get() >= CLIENTS / 2);
}

pub(crate) fn w2_stop_before_run_is_not_forgotten<N: Network>(network: N) {
    let play = |_: Option<Role>, _: &mut trunkline::Io<'_, Pair>, _: Happening<'_>| Flow::Continue;
    let mut pair = EventLoop::over(network, Pair::new(play), Options::default());
    pair.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let remote = pair.remote();
    remote.stop();
    finish(pair);
    assert_eq!(remote.post(1), Err(1), "the loop has ended");
}
