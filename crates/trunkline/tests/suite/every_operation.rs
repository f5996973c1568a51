//! Every operation from every callback.

use std::time::Duration;

use trunkline::network::Network;
use trunkline::{Flow, Options, Overflow, Role};

use super::pair::{Happening, converse, options};

/// Every operation from every callback, on itself and on another connection: nothing panics, nothing hangs, each
/// connection closes exactly once.
pub(crate) fn a11_every_operation_from_every_callback<N: Network>(mut network: impl FnMut() -> N) {
    for operation in 0..OPERATIONS {
        for moment in 0..7 {
            every_operation_once(network(), operation, moment);
        }
    }
}

const OPERATIONS: u32 = 14;

fn every_operation_once<N: Network>(network: N, operation: u32, moment: u32) {
    let quick = Options {
        linger: Duration::from_millis(50),
        drain: Duration::from_millis(100),
        ..options()
    };
    let mut done = false;
    let mut others = Vec::new();
    converse(network, quick, 2, move |role, io, happening| {
        let now = match happening {
            Happening::Open => 0,
            Happening::Frame(_) => 1,
            Happening::Drained => 2,
            Happening::End => 3,
            Happening::Timer(_) => 4,
            Happening::Closed(_) => 5,
            Happening::Stopping => 6,
            Happening::Message(_) | Happening::ConnectFailed(_) => 7,
        };
        if matches!(happening, Happening::Open) {
            others.push(io.id());
            if others.len() == 4 {
                io.stop_listening();
            }
            let _ = io.send(b"hello");
            let _ = io.send(&vec![b'h'; 70_000]);
            io.after(Duration::from_millis(1), 1);
            // The end of the test, whatever the operation left behind.
            io.after(Duration::from_millis(20), 2);
        }
        if let Happening::Timer(2) = happening {
            io.close();
            io.stop();
        }
        if matches!(happening, Happening::End) {
            io.close();
        }
        if now == moment && !done && role.is_none_or(|role| role == Role::Accepted) {
            done = true;
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
                    _ => io.kill(),
                }
            }
        }
        Flow::Continue
    });
}
