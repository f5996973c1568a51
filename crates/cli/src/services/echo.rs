//! Sends every byte back: the smallest service.

use std::convert::Infallible;

use trunkline::{Chunks, Closed, Flow, Handler, Io};

use super::{Log, after};

pub(crate) struct Echo {
    pub(crate) log: Log,
}

impl Handler for Echo {
    /// Bytes as they come, in pieces of any size: an echo needs no end-of-message mark.
    type Codec = Chunks;
    /// There is nothing to remember about a connection.
    type State = ();
    /// No other thread has anything to say to this service.
    type Message = Infallible;

    fn codec(&self) -> Chunks {
        Chunks
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.log.opened(io);
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, bytes: &[u8]) -> Flow {
        after(io.send(bytes))
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
    }
}
