//! Answers each line with "Got " and the line.

use std::convert::Infallible;

use trunkline::{Closed, Flow, Handler, Io, Lines};

use super::{Log, after};

pub(crate) struct Ack {
    pub(crate) log: Log,
}

impl Handler for Ack {
    /// A message ends at the end of a line, however the network cut the bytes.
    type Codec = Lines;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.log.opened(io);
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, line: &[u8]) -> Flow {
        let answer = [b"Got ", line].concat();
        after(io.send(&answer))
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
    }
}
