//! Bugs that the simulation must find. Outside this crate's own tests every point is a constant `false`.

/// A bug to plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Mutant {
    /// A short write is taken for a whole one: the rest is lost.
    ShortWriteIgnored,
    /// A connection whose budget ran out is not served again.
    BudgetNotRequeued,
    /// After running out of descriptors accepting never resumes.
    AcceptLostAfterDescriptors,
    /// A graceful close does not wait for the queue.
    CloseBeforeFlush,
    /// One aborted connection in the backlog ends accepting.
    AbortedAcceptStops,
    /// The connection is closed without reading what the peer still sends.
    CloseWithoutLinger,
    /// Input does not pause when the connection's own output is above high.
    NoBackPressure,
    /// Input that paused for output does not resume.
    ResumeForgotten,
    /// The end of the stream is noticed while frames wait, and they are dropped.
    EndDropsFrames,
    /// The rest of a read that holds no whole frame is forgotten.
    PartialFrameLost,
    /// A full socket is not written to again.
    WriteInterestForgotten,
    /// A turn goes on while there is input, whatever the budget.
    BudgetIgnored,
    /// A read that fills the buffer is taken for all there is.
    EdgeWithoutDraining,
    /// A wait that ends early is taken for one whose time is over.
    InterruptTakenForTimeout,
    /// Timers come a moment too early.
    TimerEarly,
    /// The timers of a connection outlive it.
    TimersOutliveConnection,
    /// The descriptor of a connection is closed a second time.
    ClosedTwice,
    /// A connection that fails is not told as closed.
    FailureNotTold,
    /// A reset that was asked for is not carried out.
    AbortForgotten,
    /// An id of a closed connection reaches the next one in its place.
    StaleId,
    /// More connections are taken than the limit allows.
    ConnectionsMaxIgnored,
    /// A queue grows beyond its hard limit.
    HardLimitIgnored,
    /// A connection that is resumed is not served until something happens.
    ResumedNotServed,
    /// Frames go on after the handler has closed.
    FramesAfterClose,
    /// The bytes in the cork are lost when it is pulled.
    CorkLost,
    /// Shared bytes overtake those in the cork.
    BroadcastOvertakes,
    /// Of several messages from other threads all but the first are lost.
    MessagesLost,
    /// A drain does not look for requests that have arrived.
    DrainForgetsRequests,
    /// A drain has no deadline.
    DrainWithoutDeadline,
    /// The other attempts of a race are left open.
    AttemptsLeftOpen,
    /// The oldest message is dropped to make room, though a part of it is written.
    BegunMessageDropped,
    /// A message takes the place of one with its key, though a part of that is written.
    BegunMessageReplaced,
    /// A panic of the handler is reported, but its connection goes on.
    PanicClosesNobody,
    /// What the cork held when the handler panicked stays in it, for the next connection.
    CorkKeptAfterPanic,
    /// Bytes that come do not put the idle deadline off.
    IdleNotPutOff,
    /// Each byte of a frame puts its deadline off.
    FrameDeadlinePutOff,
    /// Deadlines count a tick too few.
    DeadlineEarly,
    /// A socket is not asked once more before a deadline closes its connection.
    DeadlineUnasked,
    /// The deadlines of bytes that wait are not kept.
    WaitingUnwatched,
    /// A graceful close has no deadline.
    LingerForever,
    /// Why a connection is closed is forgotten.
    CauseForgotten,
    /// What is read is not counted against the rate.
    RateUncounted,
    /// A connection that was held back for its rate stays so.
    HeldBackForEver,
    /// Whoever is too slow is left alone.
    SlownessOverlooked,
    /// A connection that has ended still counts for its peer.
    PeerStillCounted,
    /// Clients are accepted however fast they come.
    PaceIgnored,
    /// The drain begins before its lag is over.
    LagIgnored,
    /// Connections are evicted in the first half of a drain.
    EvictedEarly,
    /// A connection is evicted though an answer is owed to it.
    HeldEvicted,
    /// Connecting has no deadline.
    ConnectForever,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Plants `mutant` on this thread (`None`: the engine as it is).
#[cfg(test)]
pub(crate) fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}

#[cfg(test)]
pub(crate) fn planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

#[cfg(not(test))]
pub(crate) const fn planted(_: Mutant) -> bool {
    false
}
