//! One connection as plain state: what phase it is in, what waits to go out, what it asked for.
//!
//! No I/O and no clock here: the event loop asks this state what may be done and tells it what happened.

use trunkline_selectors::Interest;

use crate::handler::Cause;
use crate::mutant::{Mutant, planted};
use crate::net::Address;
use crate::network::Socket;
use crate::options::Overflow;
use crate::timer::TimerId;

pub(crate) mod facts;
pub(crate) mod inbound;
pub(crate) mod meter;
pub(crate) mod outbound;
pub(crate) mod own_timers;
pub(crate) mod watch;

pub(crate) use facts::{Facts, Phase};
use inbound::Inbound;
use outbound::Outbound;
use own_timers::OwnTimers;
use watch::Watch;

/// Which side began the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A client connected to one of our listeners.
    Accepted,
    /// We connected, by [`Io::connect`](crate::Io::connect) or the client builder.
    Connected,
}

/// The part of a connection that callbacks may touch, through `Io`, and what the loop must have at hand with it.
pub(crate) struct Connection {
    pub(crate) facts: Facts,
    /// What the network was last told, for level-triggered sockets.
    pub(crate) interest: Interest,
    pub(crate) role: Role,
    /// How many answers the handler still owes (`Io::hold`): then it is not idle.
    pub(crate) held: u16,
    /// `Socket::NONE` until it is made.
    pub(crate) socket: Socket,
    pub(crate) outbound: Outbound,
    pub(crate) inbound: Inbound,
    pub(crate) peer: Address,
    pub(crate) timers: OwnTimers,
    pub(crate) watch: Watch,
    /// What most connections have no need of; they pay a pointer for it.
    pub(crate) aside: Option<Box<Aside>>,
}

/// What few connections have.
#[derive(Default)]
pub(crate) struct Aside {
    /// Why it ends, once that is decided; `None` means in order.
    pub(crate) cause: Option<Cause>,
    /// What was chosen for this connection in place of the loop's own policy.
    pub(crate) overflow: Option<Overflow>,
    /// Runs while its queue is above the high watermark, where that may not be for long.
    pub(crate) too_slow: Option<TimerId>,
    pub(crate) lost: Lost,
}

/// Messages of a connection that were queued, or should have been, and are never sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Not queued for want of room.
    pub(crate) dropped: u64,
    /// Dropped to make room for later ones.
    pub(crate) dropped_oldest: u64,
    /// Replaced by later ones with the same key.
    pub(crate) replaced: u64,
}

// Of what an idle connection costs, most is this.
const _: () = assert!(size_of::<Connection>() <= 128);

impl Connection {
    pub(crate) fn new(peer: Address, role: Role) -> Self {
        Self {
            facts: Facts::new(role),
            interest: Interest::NONE,
            role,
            held: 0,
            socket: Socket::NONE,
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            peer,
            timers: OwnTimers::default(),
            watch: Watch::default(),
            aside: None,
        }
    }

    pub(crate) fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// The policy of this connection, if it is not the loop's.
    pub(crate) fn own_overflow(&self) -> Option<Overflow> {
        self.aside.as_ref()?.overflow
    }

    /// Do bytes wait in it, to be written or to become a frame?
    #[inline]
    pub(crate) fn holds_bytes(&self) -> bool {
        !self.outbound.is_empty() || !self.inbound.is_empty()
    }

    /// Is there something to write, and room for it?
    #[inline]
    pub(crate) fn is_to_be_written(&self) -> bool {
        !self.outbound.is_empty() && self.facts.may_be_written()
    }

    /// Its queue has grown above the high watermark.
    #[cold]
    pub(crate) fn rise_above_high(&mut self) {
        self.facts.set(Facts::ABOVE_HIGH);
        self.facts
            .put(Facts::HELD_BACK, self.role == Role::Accepted);
    }

    /// Its queue is at or below the low watermark again.
    pub(crate) fn fall_to_low(&mut self) {
        self.facts.clear(Facts::ABOVE_HIGH);
        self.facts.clear(Facts::HELD_BACK);
    }

    /// Notes whether the codec has still to look at what waits.
    pub(crate) fn set_unexamined(&mut self, unexamined: bool) {
        self.facts
            .put(Facts::UNEXAMINED, unexamined && !self.inbound.is_empty());
    }

    /// Begins a graceful close, for `cause` if it is not simply in order.
    pub(crate) fn begin_close(&mut self, cause: Option<Cause>) {
        self.facts.move_to(Phase::Closing);
        if let Some(cause) = cause.filter(|_| !planted(Mutant::CauseForgotten)) {
            self.aside().cause = Some(cause);
        }
    }

    /// Begins a reset. A connection that is already being reset keeps its first cause.
    pub(crate) fn begin_abort(&mut self, cause: Cause) {
        if self.facts.phase() < Phase::Aborting {
            self.facts.move_to(Phase::Aborting);
            self.aside().cause = Some(cause);
        }
    }
}
