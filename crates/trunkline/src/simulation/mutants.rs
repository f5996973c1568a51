//! Bugs planted in the engine: each must be found, or the simulation has a hole.

use super::case::Case;
use super::run::run;
use crate::mutant::{Mutant, plant};

/// Every mutant, and the number of seeds within which it must be found.
const MUTANTS: [(Mutant, u64); 50] = [
    (Mutant::ShortWriteIgnored, 1000),
    (Mutant::BudgetNotRequeued, 1000),
    (Mutant::AcceptLostAfterDescriptors, 1000),
    (Mutant::CloseBeforeFlush, 1000),
    (Mutant::AbortedAcceptStops, 1000),
    (Mutant::CloseWithoutLinger, 1000),
    (Mutant::NoBackPressure, 1000),
    (Mutant::ResumeForgotten, 1000),
    (Mutant::EndDropsFrames, 1000),
    (Mutant::PartialFrameLost, 1000),
    (Mutant::WriteInterestForgotten, 1000),
    (Mutant::BudgetIgnored, 1000),
    (Mutant::EdgeWithoutDraining, 1000),
    (Mutant::InterruptTakenForTimeout, 1000),
    (Mutant::TimerEarly, 1000),
    (Mutant::TimersOutliveConnection, 1000),
    (Mutant::ClosedTwice, 1000),
    (Mutant::FailureNotTold, 1000),
    (Mutant::AbortForgotten, 1000),
    (Mutant::StaleId, 1000),
    (Mutant::ConnectionsMaxIgnored, 1000),
    (Mutant::HardLimitIgnored, 1000),
    (Mutant::ResumedNotServed, 1000),
    (Mutant::FramesAfterClose, 1000),
    (Mutant::CorkLost, 1000),
    (Mutant::BroadcastOvertakes, 1000),
    (Mutant::MessagesLost, 1000),
    (Mutant::DrainForgetsRequests, 1000),
    (Mutant::DrainWithoutDeadline, 1000),
    (Mutant::AttemptsLeftOpen, 1000),
    (Mutant::BegunMessageDropped, 1000),
    (Mutant::BegunMessageReplaced, 1000),
    (Mutant::PanicClosesNobody, 1000),
    (Mutant::CorkKeptAfterPanic, 1000),
    (Mutant::IdleNotPutOff, 1000),
    (Mutant::FrameDeadlinePutOff, 1000),
    (Mutant::DeadlineEarly, 1000),
    (Mutant::DeadlineUnasked, 1000),
    (Mutant::WaitingUnwatched, 1000),
    (Mutant::LingerForever, 1000),
    (Mutant::CauseForgotten, 1000),
    (Mutant::RateUncounted, 1000),
    (Mutant::HeldBackForEver, 1000),
    (Mutant::SlownessOverlooked, 1000),
    (Mutant::PeerStillCounted, 1000),
    (Mutant::PaceIgnored, 1000),
    (Mutant::LagIgnored, 1000),
    (Mutant::EvictedEarly, 1000),
    (Mutant::HeldEvicted, 1000),
    (Mutant::ConnectForever, 1000),
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
        let found = (0..seeds).find_map(|seed| {
            let wrong = run(&Case::from_seed(seed)).wrong;
            Some((seed, wrong.into_iter().next()?))
        });
        match found {
            Some((seed, wrong)) => println!("{mutant:?} found by seed {seed}: {wrong}"),
            None => survivors.push((mutant, seeds)),
        }
    }
    assert!(
        survivors.is_empty(),
        "not found within so many seeds: {survivors:?}"
    );
}
