//! A program written in bytes, as a fuzzer writes them: any bytes are one.

use std::net::Shutdown;

use trunkline_selectors::{Interest, Trigger};

use crate::socket::Act;
use crate::world::{DESCRIPTORS, Operation, Place, SOCKETS, World};

/// How many bytes an operation takes: what, where, and how.
const OPERATION_BYTES: usize = 3;

/// After an operation with this bit in its second byte, every mechanism is asked.
const CHECK: u8 = 0x80;

/// Runs the program, and panics if a mechanism says anything else than the model.
pub(crate) fn run(program: &[u8]) {
    let mut world = World::new();
    for operation in program.chunks_exact(OPERATION_BYTES) {
        let &[what, place, how] = operation else {
            unreachable!("chunks of this size");
        };
        world.apply(place_of(place & !CHECK), operation_of(what, how));
        if place & CHECK != 0 {
            world.check();
        }
    }
    world.check();
}

fn place_of(byte: u8) -> Place {
    let number = usize::from(byte) % (SOCKETS * DESCRIPTORS);
    (number / DESCRIPTORS, number % DESCRIPTORS)
}

fn operation_of(what: u8, how: u8) -> Operation {
    match what % 16 {
        0 | 1 => Operation::Register(interest_of(how), trigger_of(how >> 3)),
        2 | 3 => Operation::Modify(interest_of(how)),
        4 => Operation::Unregister,
        5 => Operation::Duplicate,
        6 => Operation::Close,
        7 => Operation::Replace,
        8 => Operation::Wake,
        9 => Operation::Act(Act::Write),
        10 => Operation::Act(Act::Fill),
        11 => Operation::Act(Act::Drain),
        12 => Operation::Act(Act::PeerWrites),
        13 => Operation::Act(Act::PeerDrains),
        14 => Operation::Act(Act::PeerCloses),
        _ if how & 4 == 0 => Operation::Act(Act::Shutdown(direction_of(how))),
        _ => Operation::Act(Act::PeerShutsDown(direction_of(how))),
    }
}

fn interest_of(bits: u8) -> Interest {
    let bits = [
        (1, Interest::READ),
        (2, Interest::WRITE),
        (4, Interest::PRIORITY),
    ]
    .map(|(bit, interest)| {
        if bits & bit == 0 {
            Interest::NONE
        } else {
            interest
        }
    });
    bits[0] | bits[1] | bits[2]
}

fn trigger_of(byte: u8) -> Trigger {
    [Trigger::Level, Trigger::Edge, Trigger::OneShot][usize::from(byte) % 3]
}

fn direction_of(byte: u8) -> Shutdown {
    [Shutdown::Read, Shutdown::Write, Shutdown::Both][usize::from(byte & 3) % 3]
}
