//! Greets whoever connects, then sends each line back: the server speaks first.

use std::convert::Infallible;

use trunkline::{Closed, Flow, Handler, Io, Lines, Sent};

use super::{Log, after};

pub(crate) struct Greet {
    pub(crate) log: Log,
}

impl Handler for Greet {
    type Codec = Lines;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Lines {
        Lines::new()
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
