//! Passes each line on to everybody else in the room: connections that write to each other.
//!
//! One process is one room, whatever address its members came in by. What they share is a plain field of the
//! handler: there is one thread, so there is no lock.

use std::collections::BTreeSet;
use std::convert::Infallible;

use trunkline::{Closed, ConnectionId, Flow, Handler, Io, Sent};

use super::Log;
use crate::framing::Framing;

pub(crate) struct Rooms {
    log: Log,
    framing: Framing,
    members: BTreeSet<ConnectionId>,
}

impl Rooms {
    pub(crate) fn new(log: Log, framing: Framing) -> Self {
        Self {
            log,
            framing,
            members: BTreeSet::new(),
        }
    }

    /// Sends a line to everybody but `speaker`. `false` when it cannot be sent as a line.
    fn tell_others(&self, io: &mut Io<'_, Self>, speaker: ConnectionId, line: &[u8]) -> bool {
        let others = self
            .members
            .iter()
            .copied()
            .filter(|&member| member != speaker);
        io.broadcast(others, line).is_ok()
    }
}

impl Handler for Rooms {
    type Codec = Framing;
    /// A member's name: the address it came from.
    type State = String;
    type Message = Infallible;

    fn codec(&self) -> Framing {
        self.framing.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<String> {
        self.log.opened(io);
        let name = io.peer()?.to_string();
        let welcome = format!("* welcome, {name}; others here: {}", self.members.len());
        if let Sent::Rejected(_) = io.send(welcome.as_bytes()) {
            return None;
        }
        let id = io.id();
        self.tell_others(io, id, format!("* {name} joined").as_bytes());
        self.members.insert(id);
        Some(name)
    }

    fn frame(&mut self, name: &mut String, io: &mut Io<'_, Self>, line: &[u8]) -> Flow {
        let line = [name.as_bytes(), b": ", line].concat();
        let id = io.id();
        if self.tell_others(io, id, &line) {
            Flow::Continue
        } else {
            Flow::Close
        }
    }

    fn stopping(&mut self, io: &mut Io<'_, Self>) {
        let _ = io.broadcast(self.members.iter().copied(), b"* the server stops");
    }

    fn closed(&mut self, name: String, io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
        let id = io.id();
        self.members.remove(&id);
        self.tell_others(io, id, format!("* {name} left").as_bytes());
    }
}
