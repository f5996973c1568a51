//! Some sockets, every mechanism there is, and what happens to them.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use trunkline_selectors::{Interest, Mechanism, Trigger};

use crate::socket::{Act, Socket};
use crate::subject::Subject;

/// How many sockets a program plays with.
pub(crate) const SOCKETS: usize = 3;

/// How many descriptors of the same socket there may be: the first one and a duplicate.
pub(crate) const DESCRIPTORS: usize = 2;

/// One of the sources of a program: a socket, and which of its descriptors.
pub(crate) type Place = (usize, usize);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Register(Interest, Trigger),
    Modify(Interest),
    Unregister,
    Act(Act),
    /// This descriptor is opened as a duplicate of the socket's other one.
    Duplicate,
    /// This descriptor is unregistered and closed, if the socket has another one: its registration must not care.
    Close,
    /// All ends are closed and a new pair made, which takes the same numbers.
    Replace,
    Wake,
}

pub(crate) struct World {
    sockets: Vec<Socket>,
    /// Our descriptors of each socket; at least one of them is open.
    sources: Vec<[Option<Arc<UnixStream>>; DESCRIPTORS]>,
    subjects: Vec<Subject>,
    woken: bool,
}

impl World {
    pub(crate) fn new() -> World {
        let (sockets, sources) = (0..SOCKETS)
            .map(|_| {
                let (socket, ours) = Socket::new();
                (socket, [Some(Arc::new(ours)), None])
            })
            .unzip();
        let works = |mechanism: &&Mechanism| mechanism.check().is_ok();
        World {
            sockets,
            sources,
            subjects: Mechanism::all()
                .iter()
                .filter(works)
                .map(|mechanism| Subject::new(*mechanism))
                .collect(),
            woken: false,
        }
    }

    pub(crate) fn apply(&mut self, place: Place, operation: Operation) {
        let (socket, which) = place;
        match operation {
            Operation::Register(interest, trigger) => self.register(place, interest, trigger),
            Operation::Modify(interest) => {
                for subject in &mut self.subjects {
                    subject.modify(place, interest);
                }
            }
            Operation::Unregister => self.unregister(place),
            Operation::Act(act) => {
                let ours = self.sources[socket].iter().flatten().next();
                self.sockets[socket].act(act, ours.expect("one is open"));
            }
            Operation::Duplicate => {
                let [first, second] = &self.sources[socket];
                let of = first.as_ref().or(second.as_ref()).expect("one is open");
                let duplicate = of.try_clone().expect("a duplicate");
                self.sources[socket][which].get_or_insert(Arc::new(duplicate));
            }
            Operation::Close => {
                if self.sources[socket].iter().all(Option::is_some) {
                    self.unregister(place);
                    self.sources[socket][which] = None;
                }
            }
            Operation::Replace => self.replace(socket),
            Operation::Wake => {
                for subject in &self.subjects {
                    subject.wake();
                }
                self.woken = true;
            }
        }
        for subject in &mut self.subjects {
            subject.note(&self.sockets);
        }
    }

    fn register(&mut self, place: Place, interest: Interest, trigger: Trigger) {
        let (socket, which) = place;
        if let Some(source) = &self.sources[socket][which] {
            for subject in &mut self.subjects {
                subject.register(place, source, interest, trigger);
            }
        }
    }

    fn unregister(&mut self, place: Place) {
        let (socket, which) = place;
        for subject in &mut self.subjects {
            subject.unregister(place);
        }
        if let Some(source) = &self.sources[socket][which] {
            assert_eq!(Arc::strong_count(source), 1, "somebody kept it");
        }
    }

    fn replace(&mut self, socket: usize) {
        for which in 0..DESCRIPTORS {
            self.unregister((socket, which));
        }
        // Closed first, opened after: so the numbers come again.
        let (spare, _) = UnixStream::pair().expect("a socket pair");
        self.sockets[socket].close();
        self.sources[socket] = [None, None];
        let (new, ours) = Socket::new();
        drop(spare);
        self.sockets[socket] = new;
        self.sources[socket] = [Some(Arc::new(ours)), None];
    }

    /// Asks every mechanism twice. What was found and is not worth an event may end one wait, but not the next.
    pub(crate) fn check(&mut self) {
        for subject in &mut self.subjects {
            subject.check(&self.sockets, self.woken);
        }
        self.woken = false;
    }
}
