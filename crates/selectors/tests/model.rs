//! Every mechanism against the others and against a plain model of what readiness must be.
//!
//! Random programs register, modify, unregister, write, read, shut down and close. After every few operations all
//! the mechanisms are asked about the same sockets, without waiting, and all must say what the model says.

#![forbid(unsafe_code)]
// The model is Linux's sockets.
#![cfg(target_os = "linux")]

#[path = "conformance/facts.rs"]
mod facts;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use trunkline_selectors::{Interest, Key, Mechanism, Selected, Selector, Waker};

use facts::facts_of;

/// How many sockets a program plays with.
const SLOTS: usize = 4;

/// The names of an interest's bits and of a readiness's, so that both compare and print well.
type Facts = Vec<&'static str>;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Register(Interest),
    Modify(Interest),
    Unregister,
    Write,
    Fill,
    Drain,
    Shutdown(Shutdown),
    PeerWrites,
    PeerDrains,
    PeerShutsDown(Shutdown),
    PeerCloses,
    /// Both ends closed and a new pair made, which takes the same numbers.
    Replace,
    Wake,
}

/// What the kernel knows of our end of a pair of local sockets.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
struct Model {
    unread: bool,
    peer_unread: bool,
    full: bool,
    receive_shut: bool,
    send_shut: bool,
    reset: bool,
    /// A hang-up was found that the interest has no fact for: nothing is watched until the next modification.
    silenced: bool,
}

impl Model {
    fn shut(&mut self, how: Shutdown) {
        self.receive_shut |= matches!(how, Shutdown::Read | Shutdown::Both);
        self.send_shut |= matches!(how, Shutdown::Write | Shutdown::Both);
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Write => self.peer_unread |= !self.send_shut,
            Operation::Fill if !self.send_shut => {
                self.full = true;
                self.peer_unread = true;
            }
            Operation::Drain => {
                self.unread = false;
                // The error is told once, by the read that finds no more data.
                self.reset = false;
            }
            Operation::Shutdown(how) => self.shut(how),
            Operation::PeerWrites => self.unread |= !self.receive_shut,
            Operation::PeerDrains => {
                self.peer_unread = false;
                self.full = false;
            }
            Operation::PeerShutsDown(Shutdown::Read) => self.shut(Shutdown::Write),
            Operation::PeerShutsDown(Shutdown::Write) => self.shut(Shutdown::Read),
            Operation::PeerShutsDown(Shutdown::Both) => self.shut(Shutdown::Both),
            Operation::PeerCloses => {
                self.shut(Shutdown::Both);
                // What the peer had not read is lost, and said to be.
                self.reset |= self.peer_unread;
                self.peer_unread = false;
                self.full = false;
            }
            Operation::Replace => *self = Model::default(),
            Operation::Unregister | Operation::Modify(_) => self.silenced = false,
            _ => {}
        }
    }

    /// What a wait does to the registration, besides reporting: see the field.
    fn waited(&mut self, interest: Interest) {
        let hang_up = self.receive_shut && self.send_shut;
        self.silenced |= interest == Interest::PRIORITY && hang_up && !self.reset;
    }

    /// What a selector must say for an interest; nothing at all where no fact holds.
    fn facts(self, interest: Interest, mechanism: Mechanism) -> Facts {
        let hang_up = self.receive_shut && self.send_shut;
        let read = interest.contains(Interest::READ);
        let write = interest.contains(Interest::WRITE);
        let readable = read && (self.unread || self.receive_shut || self.reset);
        let room = !self.full || self.reset;
        // The one difference, and it is the kernel's: the sets of `select` have no place for a hang-up where
        // nobody reads, nor for an error where nobody reads or writes.
        let unseen = mechanism == Mechanism::Select && !readable && !(write && room);
        if unseen || self.silenced {
            return Facts::new();
        }
        [
            (readable, "readable"),
            (write && (room || hang_up), "writable"),
            (read && self.receive_shut, "read closed"),
            (write && hang_up, "write closed"),
            (self.reset && !interest.is_empty(), "error"),
        ]
        .into_iter()
        .filter_map(|(holds, fact)| holds.then_some(fact))
        .collect()
    }
}

fn pair() -> (Arc<UnixStream>, Option<UnixStream>) {
    let (ours, peer) = UnixStream::pair().expect("a socket pair");
    ours.set_nonblocking(true).expect("non-blocking");
    peer.set_nonblocking(true).expect("non-blocking");
    (Arc::new(ours), Some(peer))
}

fn write_one(mut to: &UnixStream) {
    // Full, or shut: the model knows, and readiness is what is under test.
    let _ = to.write(b"x");
}

fn fill(mut to: &UnixStream) {
    let block = [0; 16 * 1024];
    while to.write(&block).is_ok() {}
}

fn drain(mut from: &UnixStream) {
    let mut block = [0; 16 * 1024];
    while matches!(from.read(&mut block), Ok(1..)) {}
}

struct Slot {
    ours: Arc<UnixStream>,
    peer: Option<UnixStream>,
    model: Model,
    interest: Option<Interest>,
}

/// One mechanism under test, with its keys: the current one of each slot, or the last, stale one.
struct Subject {
    selector: Selector<Arc<UnixStream>, usize>,
    waker: Waker,
    keys: [Option<Key>; SLOTS],
}

struct World {
    slots: Vec<Slot>,
    subjects: Vec<Subject>,
    woken: bool,
}

impl World {
    fn new() -> World {
        let slots = (0..SLOTS).map(|_| {
            let (ours, peer) = pair();
            Slot {
                ours,
                peer,
                model: Model::default(),
                interest: None,
            }
        });
        let mechanisms = [Mechanism::Epoll, Mechanism::Poll, Mechanism::Select];
        let subjects = mechanisms.map(|mechanism| {
            let selector = Selector::with_mechanism(mechanism).expect("works here");
            let waker = selector.waker().expect("a waker");
            Subject {
                selector,
                waker,
                keys: [None; SLOTS],
            }
        });
        World {
            slots: slots.collect(),
            subjects: subjects.into(),
            woken: false,
        }
    }

    fn apply(&mut self, index: usize, operation: Operation) {
        match operation {
            Operation::Register(interest) => self.register(index, interest),
            Operation::Modify(interest) => self.modify(index, interest),
            Operation::Unregister => self.unregister(index),
            Operation::Wake => {
                for subject in &self.subjects {
                    subject.waker.wake().expect("woken");
                }
                self.woken = true;
            }
            Operation::Replace => {
                self.unregister(index);
                let slot = &mut self.slots[index];
                // Closed first, opened after: so the numbers come again.
                slot.peer = None;
                let (spare, _) = pair();
                slot.ours = spare;
                (slot.ours, slot.peer) = pair();
            }
            _ => self.slots[index].act(operation),
        }
        self.slots[index].model.apply(operation);
    }

    fn register(&mut self, index: usize, interest: Interest) {
        let slot = &mut self.slots[index];
        for subject in &mut self.subjects {
            let registered = subject
                .selector
                .register(Arc::clone(&slot.ours), interest, index);
            match (registered, slot.interest) {
                (Ok(key), None) => {
                    assert_ne!(Some(key), subject.keys[index], "a key given twice");
                    subject.keys[index] = Some(key);
                }
                (Err(refused), Some(_)) => {
                    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
                }
                (registered, before) => panic!("{before:?}, now {registered:?}"),
            }
        }
        slot.interest.get_or_insert(interest);
    }

    fn modify(&mut self, index: usize, interest: Interest) {
        let slot = &mut self.slots[index];
        for subject in &mut self.subjects {
            let Some(key) = subject.keys[index] else {
                continue;
            };
            match subject.selector.modify(key, interest) {
                Ok(()) => assert!(slot.interest.is_some(), "a stale key was taken"),
                Err(error) => {
                    assert_eq!(slot.interest, None, "{error}");
                    assert_eq!(error.kind(), ErrorKind::NotFound);
                }
            }
        }
        if slot.interest.is_some() {
            slot.interest = Some(interest);
        }
    }

    fn unregister(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let registered = slot.interest.take().is_some();
        for subject in &mut self.subjects {
            if let Some(key) = subject.keys[index] {
                let given_back = subject.selector.unregister(key);
                assert_eq!(given_back.is_some(), registered);
            }
        }
        assert_eq!(Arc::strong_count(&slot.ours), 1);
    }

    /// Asks every mechanism twice, and demands what the model says both times: level means still true. What was
    /// found and is not worth an event may end one wait, but not the next.
    fn check(&mut self) {
        for subject in &mut self.subjects {
            let mechanism = subject.selector.mechanism();
            let expected: Vec<Facts> = self
                .slots
                .iter()
                .map(|slot| {
                    let interest = slot.interest.unwrap_or(Interest::NONE);
                    slot.model.facts(interest, mechanism)
                })
                .collect();
            let (selected, told) = subject.ask();
            assert_eq!(selected.woken, self.woken, "{mechanism}");
            assert_eq!(told, expected, "{mechanism}");

            let (selected, told) = subject.ask();
            assert!(!selected.woken, "{mechanism}");
            assert_eq!(told, expected, "{mechanism}, asked again");
            let events = expected.iter().filter(|facts| !facts.is_empty()).count();
            assert_eq!(selected.events, events, "{mechanism}");

            let registered = self.slots.iter().filter(|slot| slot.interest.is_some());
            assert_eq!(subject.selector.len(), registered.count());
        }
        self.woken = false;
        for slot in &mut self.slots {
            if let Some(interest) = slot.interest {
                slot.model.waited(interest);
            }
        }
    }
}

impl Subject {
    /// One wait of no length, and what it says about each slot.
    fn ask(&mut self) -> (Selected, Vec<Facts>) {
        let selected = self.selector.select(Some(Duration::ZERO)).expect("select");
        let mut told = vec![Facts::new(); SLOTS];
        while let Some(event) = self.selector.next_event() {
            let index = *self.selector.data(event.key).expect("registered");
            assert_eq!(self.keys[index], Some(event.key));
            assert!(told[index].is_empty(), "told twice in one batch");
            assert!(!event.readiness.is_empty(), "an event without news");
            told[index] = facts_of(event.readiness);
        }
        (selected, told)
    }
}

impl Slot {
    /// Does to the sockets what the model is told was done.
    fn act(&mut self, operation: Operation) {
        match (operation, &self.peer) {
            (Operation::Write, _) => write_one(&self.ours),
            (Operation::Fill, _) => fill(&self.ours),
            (Operation::Drain, _) => drain(&self.ours),
            (Operation::Shutdown(how), _) => {
                // After the peer's close there may be nothing left to shut.
                let _ = self.ours.shutdown(how);
            }
            (Operation::PeerWrites, Some(peer)) => write_one(peer),
            (Operation::PeerDrains, Some(peer)) => drain(peer),
            (Operation::PeerShutsDown(how), Some(peer)) => {
                peer.shutdown(how).expect("shut down");
            }
            (Operation::PeerCloses, _) => self.peer = None,
            _ => {}
        }
    }
}

fn interests() -> impl Strategy<Value = Interest> {
    let bits = [Interest::READ, Interest::WRITE, Interest::PRIORITY];
    proptest::sample::subsequence(bits.to_vec(), 0..=3).prop_map(|bits| {
        let union = |all, bit| all | bit;
        bits.into_iter().fold(Interest::NONE, union)
    })
}

fn operations() -> impl Strategy<Value = Operation> {
    let how = prop_oneof![
        Just(Shutdown::Read),
        Just(Shutdown::Write),
        Just(Shutdown::Both)
    ];
    prop_oneof![
        4 => interests().prop_map(Operation::Register),
        6 => interests().prop_map(Operation::Modify),
        2 => Just(Operation::Unregister),
        2 => Just(Operation::Write),
        2 => Just(Operation::Fill),
        3 => Just(Operation::Drain),
        1 => how.clone().prop_map(Operation::Shutdown),
        3 => Just(Operation::PeerWrites),
        2 => Just(Operation::PeerDrains),
        1 => how.prop_map(Operation::PeerShutsDown),
        1 => Just(Operation::PeerCloses),
        1 => Just(Operation::Replace),
        1 => Just(Operation::Wake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_mechanism_says_what_the_model_says(
        program in prop::collection::vec(
            prop::collection::vec((0..SLOTS, operations()), 1..4),
            1..25,
        )
    ) {
        let mut world = World::new();
        for step in program {
            for (index, operation) in step {
                world.apply(index, operation);
            }
            world.check();
        }
    }
}
