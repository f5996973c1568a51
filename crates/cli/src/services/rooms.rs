//! Passes each line on to everybody else in the room: connections that write to each other.
//!
//! One process is one room, whatever address its members came in by. What they share is a plain field of the
//! handler: a loop has one thread, so there is no lock. On several threads each loop has its own members, and tells the
//! other loops what was said.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use trunkline::{Closed, ConnectionId, Flow, FrameError, Handler, Io, Seat, Sent, Text};

use super::{Log, name_of};
use crate::framing::Framing;

pub(crate) struct Rooms {
    log: Log,
    codec: Text<Framing>,
    members: BTreeSet<ConnectionId>,
    /// This loop among the others.
    seat: Seat<Arc<str>>,
    /// Members of all loops.
    here: Arc<AtomicUsize>,
}

impl Rooms {
    pub(crate) fn new(
        log: Log,
        codec: Text<Framing>,
        seat: Seat<Arc<str>>,
        here: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            log,
            codec,
            members: BTreeSet::new(),
            seat,
            here,
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
        io.broadcast(others, line).map(drop)?;
        self.tell_other_loops(line);
        Ok(())
    }

    /// A loop that cannot keep up with what the others say misses lines, rather than let them pile up.
    fn tell_other_loops(&self, line: &str) {
        if self.seat.count() > 1 {
            let line: Arc<str> = line.into();
            for (_, remote) in self.seat.others() {
                let _ = remote.offer(Arc::clone(&line));
            }
        }
    }
}

impl Handler for Rooms {
    type Codec = Text<Framing>;
    /// A member's name: the address it came from.
    type State = String;
    /// What was said in another loop.
    type Message = Arc<str>;

    fn codec(&self) -> Text<Framing> {
        self.codec.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<String> {
        self.log.opened(io);
        let name = name_of(io)?;
        let others = self.here.load(Ordering::Relaxed);
        let welcome = format!("* welcome, {name}; others here: {others}");
        if let Sent::Rejected(_) = io.send(&welcome) {
            return None;
        }
        self.here.fetch_add(1, Ordering::Relaxed);
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

    fn message(&mut self, io: &mut Io<'_, Self>, line: Arc<str>) {
        let _ = io.broadcast(self.members.iter().copied(), &line);
    }

    fn stopping(&mut self, io: &mut Io<'_, Self>) {
        let _ = io.broadcast(self.members.iter().copied(), "* the server stops");
    }

    fn closed(&mut self, name: String, io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
        let id = io.id();
        self.members.remove(&id);
        self.here.fetch_sub(1, Ordering::Relaxed);
        let _ = self.tell_others(io, id, &format!("* {name} left"));
    }
}
