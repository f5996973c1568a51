//! Greets whoever connects, then sends each line back: the server speaks first.

use std::convert::Infallible;

use trunkline::{Closed, Flow, Handler, Io, Sent, Text};

use super::{Log, after, name_of};
use crate::framing::Framing;

pub(crate) struct Greet {
    pub(crate) log: Log,
    pub(crate) codec: Text<Framing>,
}

impl Handler for Greet {
    type Codec = Text<Framing>;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Text<Framing> {
        self.codec.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.log.opened(io);
        let peer = name_of(io).unwrap_or_else(|| "stranger".to_owned());
        let greeting = format!("Hello, {peer}. I send each line back.");
        match io.send(&greeting) {
            Sent::Rejected(_) => None,
            _ => Some(()),
        }
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, line: &str) -> Flow {
        let sent = io.send(line);
        after(&self.log, io, sent)
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
    }
}
