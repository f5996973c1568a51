//! Passes each line on to everybody else in the room: connections that write to each other.
//!
//! One process is one room, whatever address its members came in by. What they share is a plain field of the
//! handler: there is one thread, so there is no lock.

use std::collections::BTreeSet;
use std::convert::Infallible;

use trunkline::{Closed, ConnectionId, Flow, FrameError, Handler, Io, Sent, Text};

use super::Log;
use crate::framing::Framing;

pub(crate) struct Rooms {
    log: Log,
    codec: Text<Framing>,
    members: BTreeSet<ConnectionId>,
}

impl Rooms {
    pub(crate) fn new(log: Log, codec: Text<Framing>) -> Self {
        Self {
            log,
            codec,
            members: BTreeSet::new(),
        }
    }

    /// Sends a line to everybody but `speaker`.
    fn tell_others(
        &self,
        io: &mut Io<'_, Self>,
        speaker: ConnectionId,
        line: &str,
    ) -> Result<(), FrameError> {
        let others = self
            .members
            .iter()
            .copied()
            .filter(|&member| member != speaker);
        io.broadcast(others, line).map(drop)
    }
}

impl Handler for Rooms {
    type Codec = Text<Framing>;
    /// A member's name: the address it came from.
    type State = String;
    type Message = Infallible;

    fn codec(&self) -> Text<Framing> {
        self.codec.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<String> {
        self.log.opened(io);
        let name = io.peer()?.to_string();
        let welcome = format!("* welcome, {name}; others here: {}", self.members.len());
        if let Sent::Rejected(_) = io.send(&welcome) {
            return None;
        }
        let id = io.id();
        // What cannot be sent as a message is not told: that does not concern the newcomer.
        let _ = self.tell_others(io, id, &format!("* {name} joined"));
        self.members.insert(id);
        Some(name)
    }

    fn frame(&mut self, name: &mut String, io: &mut Io<'_, Self>, line: &str) -> Flow {
        let line = format!("{name}: {line}");
        let id = io.id();
        match self.tell_others(io, id, &line) {
            Ok(()) => Flow::Continue,
            Err(error) => {
                self.log.unsaid(io, error);
                Flow::Close
            }
        }
    }

    fn stopping(&mut self, io: &mut Io<'_, Self>) {
        let _ = io.broadcast(self.members.iter().copied(), "* the server stops");
    }

    fn closed(&mut self, name: String, io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
        let id = io.id();
        self.members.remove(&id);
        let _ = self.tell_others(io, id, &format!("* {name} left"));
    }
}
