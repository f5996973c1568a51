//! The cases about accepting.

use std::rc::Rc;

use trunkline::network::Network;
use trunkline::{Flow, Io, Role};

use super::pair::{Apart, Happening, Pair, bump, converse_apart, counter, options};

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
