//! Answers each message with "Got " and the message.

use std::convert::Infallible;

use trunkline::{Closed, Flow, Handler, Io, Text};

use super::{Log, after};
use crate::framing::Framing;

pub(crate) struct Ack {
    pub(crate) log: Log,
    pub(crate) codec: Text<Framing>,
}

impl Handler for Ack {
    /// A message ends at the end of a line, unless told otherwise, however the network cut the bytes.
    type Codec = Text<Framing>;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Text<Framing> {
        self.codec.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.log.opened(io);
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, message: &str) -> Flow {
        let answer = format!("Got {message}");
        let sent = io.send(&answer);
        after(&self.log, io, sent)
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
    }
}
