//! Greets whoever connects, then sends each line back: the server speaks first.

use std::convert::Infallible;

use trunkline::{Closed, Flow, Handler, Io, Sent};

use super::{Log, after};
use crate::framing::Framing;

pub(crate) struct Greet {
    pub(crate) log: Log,
    pub(crate) framing: Framing,
}

impl Handler for Greet {
    type Codec = Framing;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Framing {
        self.framing.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.log.opened(io);
        let peer = io
            .peer()
            .map_or("stranger".to_owned(), |peer| peer.to_string());
        let greeting = format!("Hello, {peer}. I send each line back.");
        match io.send(greeting.as_bytes()) {
            Sent::Rejected(_) => None,
            _ => Some(()),
        }
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, line: &[u8]) -> Flow {
        after(io.send(line))
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
    }
}
