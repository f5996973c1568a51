//! Every operation from every callback.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use trunkline::network::Network;
use trunkline::{EventLoop, Flow, Io, Options, Overflow, Role};

use super::pair::{Happening, Pair, finish, options};

/// Every operation from every callback, on itself and on another connection: nothing panics, nothing hangs, each
/// connection closes exactly once.
pub(crate) fn a11_every_operation_from_every_callback<N: Network>(mut network: impl FnMut() -> N) {
    for operation in 0..OPERATIONS {
        for moment in 0..8 {
            every_operation_once(network(), operation, moment);
        }
    }
}

const OPERATIONS: u32 = 23;
/// The timer at which one client ends its side of the stream.
const FINISH: u64 = 2;
const FINISH_AFTER: Duration = Duration::from_millis(5);
/// When the loop is told to stop, whatever the operation left behind.
const STOP_AFTER: Duration = Duration::from_millis(15);

fn every_operation_once<N: Network>(network: N, operation: u32, moment: u32) {
    let quick = Options {
        linger: Duration::from_millis(20),
        drain: Duration::from_millis(30),
        ..options()
    };
    let done = Rc::new(Cell::new(false));
    let doing = Rc::clone(&done);
    let (mut others, mut finished) = (Vec::new(), false);
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        let now = match happening {
            Happening::Open => 0,
            Happening::Frame(_) => 1,
            Happening::Drained => 2,
            Happening::End => 3,
            Happening::Timer(_) => 4,
            Happening::Closed(_) => 5,
            Happening::Stopping => 6,
            Happening::ConnectFailed(_) => 7,
            Happening::Message(_) => 8,
        };
        if matches!(happening, Happening::Open) {
            others.push(io.id());
            match others.len() {
                // Nobody is there.
                1 => drop(io.connect("127.0.0.1:1".parse().unwrap())),
                4 => io.stop_listening(),
                _ => {}
            }
            let _ = io.send(b"hello");
            let _ = io.send(&vec![b'h'; 70_000]);
            io.after(Duration::from_millis(1), 1);
            io.after(FINISH_AFTER, FINISH);
        }
        if let Happening::Timer(FINISH) = happening
            && role == Some(Role::Connected)
            && !finished
        {
            finished = true;
            io.finish();
        }
        if matches!(happening, Happening::End) {
            io.close();
        }
        if now == moment && !doing.get() && role.is_none_or(|role| role == Role::Accepted) {
            doing.set(true);
            for id in [io.id()].into_iter().chain(others.clone()) {
                // Whatever else is done, looking does no harm.
                let there = io.connection_stats(id).is_some();
                assert_eq!(there, io.peer_of(id).is_some());
                match operation {
                    0 => drop(io.send_to(id, b"more")),
                    1 => io.close_connection(id),
                    2 => io.abort_connection(id),
                    3 => io.finish_connection(id),
                    4 => io.pause_connection(id),
                    5 => io.resume_connection(id),
                    6 => drop(io.connect("127.0.0.1:1".parse().unwrap())),
                    7 => io.stop(),
                    8 => drop(io.send_keyed(id, 1, b"more")),
                    9 => drop(io.broadcast([id, io.id()], &[b'b'; 1000])),
                    10 => drop(io.broadcast_keyed([id, io.id()], 1, &[b'k'; 1000])),
                    11 => io.set_overflow(id, Overflow::DropOldest),
                    12 => io.set_overflow(id, Overflow::CloseAfter(Duration::from_millis(1))),
                    13 => io.kill(),
                    14 => drop(io.after_on(id, Duration::ZERO, 4)),
                    15 => {
                        let timer = io.after_on(id, Duration::from_secs(60), 5);
                        let timer = timer.and_then(|timer| io.rearm(timer, Duration::ZERO));
                        assert!(timer.is_none_or(|timer| io.cancel(timer)));
                    }
                    16 => io.hold_connection(id),
                    17 => io.release_connection(id),
                    18 => io.stop_listening(),
                    19 => drop(io.connect_any(&["127.0.0.1:1".parse().unwrap(); 2])),
                    20 => io.set_idle_timeout(Duration::from_millis(1)),
                    21 => io.begin_handshake(),
                    22 => io.end_handshake(),
                    _ => unreachable!("operation {operation}"),
                }
            }
        }
        Flow::Continue
    };
    let mut pair = EventLoop::over(network, Pair::new(play), quick);
    let address = pair.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..2 {
        pair.connect(address);
    }
    let remote = pair.remote();
    let began = pair.network().now();
    while pair.network().now() - began < STOP_AFTER && pair.turn(Some(FINISH_AFTER)).unwrap() {}
    remote.stop();
    finish(pair);
    assert!(
        done.get(),
        "operation {operation}: moment {moment} never came"
    );
}
