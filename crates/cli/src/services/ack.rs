//! Answers each message with "Got " and the message.

use std::convert::Infallible;

use trunkline::{Closed, Flow, Handler, Io};

use super::{Log, after};
use crate::framing::Framing;

pub(crate) struct Ack {
    pub(crate) log: Log,
    pub(crate) framing: Framing,
}

impl Handler for Ack {
    /// A message ends at the end of a line, unless told otherwise, however the network cut the bytes.
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

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, message: &[u8]) -> Flow {
        let answer = [b"Got ", message].concat();
        after(io.send(&answer))
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
    }
}
