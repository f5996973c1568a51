//! The handler of each of several loops: it echoes, sends notes to the other loops, and leaves some answers to the worker.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::super::witness::Witness;
use crate::network::simulated::{Random, World};
use crate::{Closed, ConnectionId, Flow, Handler, Io, LineEnding, Lines, Remote, Sent};

/// What one loop is told by another, or by the worker.
#[derive(Debug)]
pub(super) enum Note {
    /// From the loop with the first number, and the how-manieth of it.
    Number { from: usize, number: u64 },
    /// The worker's answer for a connection.
    Answer { id: ConnectionId, line: Vec<u8> },
}

/// What the worker has still to do.
pub(super) struct Job {
    pub(super) due: Duration,
    pub(super) to: usize,
    pub(super) id: ConnectionId,
    pub(super) line: Vec<u8>,
}

/// What all handlers and the driver share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) jobs: Vec<Job>,
    /// Notes posted, by sender and receiver.
    pub(super) posted: BTreeMap<(usize, usize), u64>,
    pub(super) arrived: BTreeMap<(usize, usize), u64>,
    pub(super) calm: bool,
    pub(super) wrong: Vec<String>,
}

pub(super) struct Several {
    pub(super) index: usize,
    pub(super) frame_max: usize,
    pub(super) random: Random,
    pub(super) world: World,
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) remotes: Rc<RefCell<Vec<Remote<Note>>>>,
    pub(super) live: BTreeSet<ConnectionId>,
    pub(super) witness: Witness,
}

impl Several {
    fn wrong(&self, text: String) {
        self.shared.borrow_mut().wrong.push(text);
    }

    /// Tells another loop something, or this one.
    fn post(&mut self) {
        let remotes = self.remotes.borrow();
        let to = self.random.index(remotes.len());
        let mut shared = self.shared.borrow_mut();
        let count = shared.posted.entry((self.index, to)).or_default();
        let note = Note::Number {
            from: self.index,
            number: *count,
        };
        if remotes[to].post(note).is_ok() {
            *count += 1;
        }
    }

    /// Leaves the answer to the worker; what comes after it waits.
    fn submit(&mut self, io: &mut Io<'_, Self>, line: &[u8]) {
        let delay = Duration::from_nanos(self.random.below(50_000_000));
        io.hold();
        self.witness.held(io.id());
        self.shared.borrow_mut().jobs.push(Job {
            due: self.world.elapsed() + delay,
            to: self.index,
            id: io.id(),
            line: line.to_vec(),
        });
    }

    fn answer(&mut self, io: &mut Io<'_, Self>, id: ConnectionId, line: &[u8]) {
        if !self.live.contains(&id) {
            if io.send_to(id, line) != Sent::Gone {
                self.wrong(format!("{id:?} is gone, and takes an answer"));
            }
            return;
        }
        let open = !Witness::is_ended_by_engine(io, id);
        let sent = io.send_to(id, line);
        if open && !sent.is_queued() {
            self.wrong(format!("an answer that is owed to {id:?}: {sent:?}"));
        }
        io.release_connection(id);
        self.witness.released(id);
        io.resume_connection(id);
        self.witness.resumed(id);
    }
}

impl Handler for Several {
    type Codec = Lines;
    type State = ConnectionId;
    type Message = Note;

    fn codec(&self) -> Lines {
        Lines::new()
            .limit(self.frame_max)
            .accept(LineEnding::Lf)
            .write(LineEnding::Lf)
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<ConnectionId> {
        let id = io.id();
        self.witness.opened(io);
        if !self.live.insert(id) {
            self.wrong(format!("{id:?} opens twice"));
        }
        Some(id)
    }

    fn frame(&mut self, id: &mut ConnectionId, io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        self.witness.frame(*id, frame.len() + 1);
        if self.random.chance(0.1) {
            self.post();
        }
        if frame == b"QUIT" {
            let _ = io.send(b"BYE");
            return Flow::Close;
        }
        if self.random.chance(0.05) && !self.shared.borrow().calm {
            self.submit(io, frame);
            return Flow::Pause;
        }
        let sent = io.send(frame);
        if !sent.is_queued() {
            self.wrong(format!("an echo on {id:?}: {sent:?}"));
        }
        Flow::Continue
    }

    fn message(&mut self, io: &mut Io<'_, Self>, note: Note) {
        match note {
            Note::Number { from, number } => {
                let mut shared = self.shared.borrow_mut();
                let due = shared.arrived.entry((from, self.index)).or_default();
                let expected = std::mem::replace(due, number + 1);
                if number != expected {
                    let text = format!("note {number} of loop {from}, {expected} was due");
                    shared.wrong.push(text);
                }
            }
            Note::Answer { id, line } => self.answer(io, id, &line),
        }
    }

    fn drained(&mut self, id: &mut ConnectionId, _io: &mut Io<'_, Self>) {
        self.witness.drained(*id);
    }

    fn stopping(&mut self, _io: &mut Io<'_, Self>) {
        self.witness.stopping();
    }

    fn draining(&mut self, id: &mut ConnectionId, _io: &mut Io<'_, Self>) {
        self.witness.draining(*id);
    }

    fn closed(&mut self, id: ConnectionId, _io: &mut Io<'_, Self>, closed: Closed) {
        self.witness.closed(id, &closed);
        if !self.live.remove(&id) {
            self.wrong(format!("{id:?} is closed twice"));
        }
    }
}
