//! Every mechanism against the others and against a plain model of what readiness must be.
//!
//! Random programs register, modify, unregister, duplicate, write, read, shut down and close. After every few
//! operations all the mechanisms are asked about the same sockets, without waiting, and all must say what the
//! model says: for level triggers exactly that, at every look; for one-shots exactly that, and then nothing until they
//! are armed again; for edges nothing but that, all of it as soon as a part is news, and nothing twice. Where a mechanism
//! differs, its capabilities say so.

#![forbid(unsafe_code)]
// The model is Linux's sockets.
#![cfg(target_os = "linux")]

#[path = "conformance/facts.rs"]
mod facts;
#[path = "model/socket.rs"]
mod socket;
#[path = "model/subject.rs"]
mod subject;

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use proptest::prelude::*;
use trunkline_selectors::{Interest, Mechanism, Trigger};

use socket::{Act, Socket};
use subject::Subject;

/// How many sockets a program plays with.
const SOCKETS: usize = 3;

/// How many descriptors of the same socket there may be: the first one and a duplicate.
const DESCRIPTORS: usize = 2;

/// One of the sources of a program: a socket, and which of its descriptors.
type Place = (usize, usize);

#[derive(Clone, Copy, Debug)]
enum Operation {
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

struct World {
    sockets: Vec<Socket>,
    /// Our descriptors of each socket; at least one of them is open.
    sources: Vec<[Option<Arc<UnixStream>>; DESCRIPTORS]>,
    subjects: Vec<Subject>,
    woken: bool,
}

impl World {
    fn new() -> World {
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

    fn apply(&mut self, place: Place, operation: Operation) {
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
    fn check(&mut self) {
        for subject in &mut self.subjects {
            subject.check(&self.sockets, self.woken);
        }
        self.woken = false;
    }
}

fn interests() -> impl Strategy<Value = Interest> {
    let bits = [Interest::READ, Interest::WRITE, Interest::PRIORITY];
    proptest::sample::subsequence(bits.to_vec(), 0..=3).prop_map(|bits| {
        let union = |all, bit| all | bit;
        bits.into_iter().fold(Interest::NONE, union)
    })
}

fn triggers() -> impl Strategy<Value = Trigger> {
    prop_oneof![
        2 => Just(Trigger::Level),
        2 => Just(Trigger::Edge),
        3 => Just(Trigger::OneShot),
    ]
}

fn acts() -> impl Strategy<Value = Act> {
    let how = prop_oneof![
        Just(Shutdown::Read),
        Just(Shutdown::Write),
        Just(Shutdown::Both)
    ];
    prop_oneof![
        2 => Just(Act::Write),
        2 => Just(Act::Fill),
        3 => Just(Act::Drain),
        1 => how.clone().prop_map(Act::Shutdown),
        3 => Just(Act::PeerWrites),
        2 => Just(Act::PeerDrains),
        1 => how.prop_map(Act::PeerShutsDown),
        1 => Just(Act::PeerCloses),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (interests(), triggers())
            .prop_map(|(interest, trigger)| Operation::Register(interest, trigger)),
        6 => interests().prop_map(Operation::Modify),
        2 => Just(Operation::Unregister),
        15 => acts().prop_map(Operation::Act),
        2 => Just(Operation::Duplicate),
        2 => Just(Operation::Close),
        1 => Just(Operation::Replace),
        1 => Just(Operation::Wake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_mechanism_says_what_the_model_says(
        program in prop::collection::vec(
            prop::collection::vec(((0..SOCKETS, 0..DESCRIPTORS), operations()), 1..4),
            1..25,
        )
    ) {
        let mut world = World::new();
        for step in program {
            for (place, operation) in step {
                world.apply(place, operation);
            }
            world.check();
        }
    }
}
