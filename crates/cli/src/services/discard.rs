//! Reads everything and answers nothing. When the peer ends its side, so does the service.

use std::convert::Infallible;

use trunkline::{Chunks, Closed, Flow, Handler, Io};

use super::Log;

pub(crate) struct Discard {
    pub(crate) log: Log,
}

impl Handler for Discard {
    type Codec = Chunks;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Chunks {
        Chunks
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.log.opened(io);
        Some(())
    }

    fn frame(&mut self, (): &mut (), _io: &mut Io<'_, Self>, _bytes: &[u8]) -> Flow {
        Flow::Continue
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
    }
}
