//! The cases about bytes on their way.

use std::rc::Rc;

use trunkline::network::Network;
use trunkline::{Flow, Options, Sent};

use super::pair::{CLIENT, Happening, Pair, SERVER, bump, converse, counter, is_finished, options};

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
