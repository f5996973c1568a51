//! The thread that accepts for all loops: a loop without connections, whose accepted ones go to others.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use super::{Ended, LoopError, spawn};
use crate::codec::Chunks;
use crate::event_loop::{EventLoop, Feed, Handed};
use crate::handler::{Flow, Frame, Handler};
use crate::io::Io;
use crate::limits::Gate;
use crate::net::{Bound, Error, ErrorKind, Operation};
use crate::options::Options;
use crate::pool::Panicked;
use crate::remote::Remote;
use crate::server::kernel;

/// Has no connections.
pub(crate) struct Nobody;

impl Handler for Nobody {
    type Codec = Chunks;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Chunks {
        Chunks::new()
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        None
    }

    fn frame(&mut self, (): &mut (), _io: &mut Io<'_, Self>, _frame: Frame<'_, Self>) -> Flow {
        Flow::Abort
    }
}

/// Starts the thread, and waits until it listens. At its end, in whatever way, the loops are stopped: what it has given
/// them is theirs by then.
pub(super) fn start<M: Send + 'static>(
    loops: Arc<[Remote<M>]>,
    listeners: Vec<Bound>,
    gate: Arc<Gate>,
    options: &Options,
    ended: Sender<Ended>,
) -> Result<Remote<Infallible>, Error> {
    let (started_sender, started) = channel();
    let options = Options {
        // The gate counts for all.
        connections_max: usize::MAX,
        ..options.clone()
    };
    let body = move || {
        let make = || {
            let feed = to_the_least_loaded(Arc::clone(&loops), Arc::clone(&gate));
            listen(listeners, feed, gate, options)
        };
        let serve = || {
            let acceptor = match make() {
                Ok(acceptor) => acceptor,
                Err(error) => {
                    let _ = started_sender.send(Err(error));
                    return None;
                }
            };
            let _ = started_sender.send(Ok(acceptor.remote()));
            Some(acceptor.run().map(|(_, stats)| stats))
        };
        let served = catch_unwind(AssertUnwindSafe(serve));
        for each in loops.iter() {
            each.stop();
        }
        let result = match served {
            Ok(None) => return,
            Ok(Some(result)) => result.map_err(LoopError::Failed),
            Err(payload) => Err(LoopError::Panicked(Panicked::of(&*payload))),
        };
        let _ = ended.send(Ended {
            index: None,
            result,
        });
    };
    spawn("acceptor".to_owned(), body)?;
    started
        .recv()
        .unwrap_or_else(|_| Err(Error::of_kind(ErrorKind::Other, Operation::Start, None)))
}

fn listen(
    listeners: Vec<Bound>,
    feed: Feed,
    gate: Arc<Gate>,
    options: Options,
) -> Result<EventLoop<Nobody>, Error> {
    let mut acceptor = EventLoop::over(kernel(&options)?, Nobody, options);
    acceptor.feed(feed);
    acceptor.share_gate(gate);
    for listener in listeners {
        acceptor.listen_with(listener)?;
    }
    Ok(acceptor)
}

/// Of loops that have as few, the next in turn.
pub(crate) fn to_the_least_loaded<M: Send + 'static>(
    loops: Arc<[Remote<M>]>,
    gate: Arc<Gate>,
) -> Feed {
    let mut turn = 0;
    Box::new(move |mut handed: Handed| {
        let mut order: Vec<_> = (0..loops.len()).collect();
        order.rotate_left(turn % loops.len());
        order.sort_by_key(|&index| loops[index].load());
        turn += 1;
        for index in order {
            match loops[index].hand_over(handed) {
                Ok(()) => return,
                // That loop has ended: the next one, then.
                Err(back) => handed = back,
            }
        }
        gate.leave(&handed.peer);
    })
}
