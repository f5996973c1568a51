//! Reads everything and answers nothing. When the peer ends its side, so does the service.

use std::convert::Infallible;

use trunkline::{Closed, Flow, Handler, Io};

use super::Log;
use crate::framing::Framing;

pub(crate) struct Discard {
    pub(crate) log: Log,
    pub(crate) framing: Framing,
}

impl Handler for Discard {
    type Codec = Framing;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Framing {
        self.framing.clone()
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
