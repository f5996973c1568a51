//! Bugs planted in the engine: each must be found, or the simulation has a hole.

use super::life::failures;
use crate::mutant::{Mutant, plant};

/// Every mutant, and the number of seeds within which it must be found.
const MUTANTS: [(Mutant, u64); 11] = [
    (Mutant::ShortWriteIgnored, 50),
    (Mutant::BudgetNotRequeued, 50),
    (Mutant::AcceptLostAfterDescriptors, 50),
    (Mutant::CloseBeforeFlush, 50),
    (Mutant::AbortedAcceptStops, 50),
    (Mutant::CloseWithoutLinger, 50),
    (Mutant::NoBackPressure, 50),
    (Mutant::ResumeForgotten, 50),
    (Mutant::EndDropsFrames, 50),
    (Mutant::PartialFrameLost, 50),
    (Mutant::WriteInterestForgotten, 50),
];

/// Takes the mutant out again, whatever happens to the test.
struct Planted;

impl Planted {
    fn new(mutant: Mutant) -> Self {
        plant(Some(mutant));
        Self
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        plant(None);
    }
}

#[test]
fn every_mutant_is_found() {
    let mut survivors = Vec::new();
    for (mutant, seeds) in MUTANTS {
        let _planted = Planted::new(mutant);
        match (0..seeds).find(|seed| !failures(*seed).0.is_empty()) {
            Some(seed) => println!("{mutant:?} found by seed {seed}: {:?}", failures(seed).0[0]),
            None => survivors.push((mutant, seeds)),
        }
    }
    assert!(
        survivors.is_empty(),
        "not found within so many seeds: {survivors:?}"
    );
}
