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

#[path = "model/bytes.rs"]
mod bytes;
#[path = "conformance/facts.rs"]
mod facts;
#[path = "model/socket.rs"]
mod socket;
#[path = "model/subject.rs"]
mod subject;
#[path = "model/world.rs"]
mod world;

use std::net::Shutdown;

use proptest::prelude::*;
use trunkline_selectors::{Interest, Trigger};

use socket::Act;
use world::{DESCRIPTORS, Operation, SOCKETS, World};

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

/// What the fuzzer found worth keeping: one program for each thing that only it makes happen.
#[test]
fn the_fuzzers_programs_say_what_the_model_says() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/selectors");
    let mut programs = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let program = std::fs::read(&path).expect("a program");
        // Shown only if it fails.
        println!("{}", path.display());
        bytes::run(&program);
        programs += 1;
    }
    assert!(programs > 0, "the corpus is empty");
}
