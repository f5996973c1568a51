//! What callbacks may change: queues, timers and wishes. No sockets here and no handler, so that nothing in this file
//! can block or call back.
//!
//! The usual message takes a short way: while a connection that has nothing else under way is served, `serving` names
//! it, and what its own callbacks send to it gathers in `cork`, one buffer for all. Whoever asks anything else of that
//! connection first pulls the cork: the bytes move to the connection's own queue, and from then on everything goes the
//! long way.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use trunkline_selectors::Slab;

use crate::connection::outbound::Spare;
use crate::connection::{Connection, Facts, Phase, Role};
use crate::handler::Cause;
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::net::{Address, UnixAddress, interleaved};
use crate::network::Reading;
use crate::options::{Options, Overflow};
use crate::stats::Stats;
use crate::timer::Timers;
use deadlines::Deadlines;
use meters::Meters;
pub(crate) use timers::Due;

mod deadlines;
pub(crate) mod meters;
mod output;
mod timers;

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stopping {
    No,
    Asked,
    /// Not ready any more, and everything else as before.
    Lagging,
    Draining,
    Killed,
}

/// A connection of ours whose socket is still to be made.
#[derive(Debug)]
pub(crate) struct ToConnect {
    pub(crate) id: ConnectionId,
    pub(crate) to: Destination,
}

#[derive(Debug)]
pub(crate) enum Destination {
    /// Any of these will do, the first ones rather.
    Ip(Vec<SocketAddr>),
    Unix(UnixAddress),
}

/// Everything callbacks may change: queues and timers, but neither sockets nor the handler.
pub(crate) struct Core<C> {
    pub(crate) codec: C,
    pub(crate) connections: Slab<Connection>,
    /// Private, for whoever sets one must see to the alarm: `set_timer`.
    timers: Timers<Due>,
    /// What the handler calls its timers, by index of the timer.
    pub(crate) timer_tokens: Vec<u64>,
    /// What the network's alarm is set to.
    pub(crate) alarm: Option<Instant>,
    /// A timer is due before the alarm.
    pub(crate) alarm_is_late: bool,
    pub(crate) deadlines: Deadlines,
    pub(crate) meters: Meters,
    pub(crate) spare: Spare,
    /// The connection that goes the usual way, whose output gathers in `cork`; `unserved` otherwise.
    pub(crate) serving: ConnectionId,
    pub(crate) cork: Vec<u8>,
    /// The connection that went the usual way until, in this turn of its, the cork was pulled; nobody otherwise.
    pub(crate) pulled: ConnectionId,
    /// The cork takes no more than this.
    cork_bytes_max: usize,
    /// Where a message is encoded that is for many, or whose bounds are kept. Empty between calls.
    scratch: Vec<u8>,
    /// Connections that a callback has changed; the loop looks after them before it waits again.
    pub(crate) touched: Vec<ConnectionId>,
    /// Connections of ours whose sockets are still to be made.
    pub(crate) to_connect: Vec<ToConnect>,
    pub(crate) close_listeners: bool,
    pub(crate) stopping: Stopping,
    /// There is more to do than to wait for events and to serve them: to connect, to close listeners, to stop, to look after
    /// those that are touched or in line, to fire timers, or to see whether the loop has ended.
    pub(crate) asked: bool,
    /// The clock, as it stood when it was first asked for in this turn.
    pub(crate) clock: Reading,
    pub(crate) options: Options,
    pub(crate) stats: Stats,
}

impl<C> Core<C> {
    pub(crate) fn new(codec: C, options: Options, mut clock: Reading) -> Self {
        let deadlines = Deadlines::new(&options);
        Self {
            codec,
            connections: Slab::new(),
            timers: Timers::new(clock.take()),
            timer_tokens: Vec::new(),
            alarm: None,
            alarm_is_late: false,
            meters: Meters::new(&options.rates, &deadlines.rules),
            deadlines,
            spare: Spare::default(),
            serving: ConnectionId::unserved(),
            cork: Vec::new(),
            pulled: ConnectionId::nobody(),
            cork_bytes_max: options.high_watermark_bytes.min(options.hard_limit_bytes),
            scratch: Vec::new(),
            touched: Vec::new(),
            to_connect: Vec::new(),
            close_listeners: false,
            stopping: Stopping::No,
            // Perhaps there is nothing to begin with, and the loop has ended.
            asked: true,
            clock,
            options,
            stats: Stats::default(),
        }
    }

    /// Is this the connection whose output gathers in the cork?
    #[inline(always)]
    pub(crate) fn is_serving(&self, id: ConnectionId) -> bool {
        // One comparison instead of two.
        self.serving.0.to_bits() == id.0.to_bits()
    }

    /// Ends the usual way, if it is this connection's: what is in the cork moves to its queue.
    #[inline]
    pub(crate) fn pull_cork_of(&mut self, id: ConnectionId) {
        if self.is_serving(id) {
            self.pull_cork();
        }
    }

    #[inline(never)]
    pub(crate) fn pull_cork(&mut self) {
        let id = std::mem::replace(&mut self.serving, ConnectionId::unserved());
        self.pulled = id;
        if let Some(connection) = self.connections.get_mut(id.0) {
            if planted(Mutant::CorkLost) {
                self.cork.clear();
            }
            connection.outbound.adopt(&mut self.spare, &mut self.cork);
            // Its turn is not over: it will be settled at the end of it.
            connection.facts.set(Facts::TOUCHED);
        }
        self.cork.clear();
    }

    pub(crate) fn touch(&mut self, id: ConnectionId) {
        self.pull_cork_of(id);
        if let Some(connection) = self.connections.get_mut(id.0)
            && !connection.facts.any(Facts::TOUCHED)
        {
            connection.facts.set(Facts::TOUCHED);
            self.touched.push(id);
            self.asked = true;
        }
    }

    /// A new connection, under the loop's policies.
    pub(crate) fn insert(&mut self, peer: Address, role: Role) -> ConnectionId {
        let mut connection = Connection::new(peer, role);
        if self.options.overflow == Overflow::DropOldest {
            connection.facts.set(Facts::KEEPS_BOUNDS);
        }
        ConnectionId(self.connections.insert(connection))
    }

    pub(crate) fn start_connect(&mut self, addresses: &[SocketAddr]) -> ConnectionId {
        let addresses = interleaved(addresses);
        // Where it leads is known once it is made.
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let peer = addresses.first().copied().unwrap_or(unknown);
        self.begin_to_connect(peer.into(), Destination::Ip(addresses))
    }

    pub(crate) fn start_connect_to(&mut self, address: &Address) -> ConnectionId {
        let to = match address {
            Address::Ip(ip) => Destination::Ip(vec![*ip]),
            Address::Unix(name) => Destination::Unix(name.clone()),
        };
        self.begin_to_connect(address.clone(), to)
    }

    fn begin_to_connect(&mut self, peer: Address, to: Destination) -> ConnectionId {
        // A handler that connects anew whenever a connection fails would keep a killed loop for ever.
        if self.stopping == Stopping::Killed {
            return ConnectionId::nobody();
        }
        let id = self.insert(peer, Role::Connected);
        self.to_connect.push(ToConnect { id, to });
        self.asked = true;
        id
    }

    pub(crate) fn stop(&mut self) {
        self.stopping = self.stopping.max(Stopping::Asked);
        self.asked = true;
    }

    pub(crate) fn kill(&mut self) {
        self.stopping = Stopping::Killed;
        self.asked = true;
    }

    pub(crate) fn pause(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.facts.set(Facts::PAUSED);
            self.touch(id);
        }
    }

    pub(crate) fn resume(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.facts.clear(Facts::PAUSED);
            connection.frame_goes_on(self.deadlines.now());
            if planted(Mutant::ResumedNotServed) {
                return;
            }
            self.touch(id);
        }
    }

    pub(crate) fn hold(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.held = connection.held.saturating_add(1);
        }
    }

    pub(crate) fn release(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            // So many that nobody counts any more are held for good.
            if connection.held != u16::MAX {
                connection.held = connection.held.saturating_sub(1);
            }
            // In a drain it may be idle now.
            self.touch(id);
        }
    }

    pub(crate) fn finish(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.facts.set(Facts::FINISHING);
            self.touch(id);
        }
    }

    /// Bytes queued on a connection, those in the cork included.
    pub(crate) fn queued_on(&self, id: ConnectionId) -> usize {
        if self.is_serving(id) {
            return self.cork.len();
        }
        let connection = self.connections.get(id.0);
        connection.map_or(0, |connection| connection.outbound.bytes())
    }

    /// The counters, and the gauges that are kept elsewhere.
    pub(crate) fn stats(&self) -> Stats {
        let held = self.spare.held;
        Stats {
            queued_bytes: held.bytes as u64,
            queued_bytes_peak: held.bytes_peak as u64,
            queue_bytes_peak: held.queue_peak as u64,
            ..self.stats
        }
    }

    /// Begins a graceful close; the linger deadline starts now. One that is still to be made is closed as soon as it
    /// is: what was queued on it until now is flushed.
    pub(crate) fn close(&mut self, id: ConnectionId, cause: Option<Cause>) {
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        match connection.facts.phase() {
            Phase::Connecting => {
                connection.facts.set(Facts::CLOSE_WHEN_OPEN);
                return;
            }
            Phase::Open => connection.begin_close(cause),
            Phase::Closing | Phase::Lingering | Phase::Aborting => return,
        }
        let deadline = self.deadline(self.options.linger);
        if !planted(Mutant::LingerForever) {
            self.set_own_timer(id, deadline, Due::Linger(id.0.index()));
        }
        self.touch(id);
    }

    pub(crate) fn abort(&mut self, id: ConnectionId, cause: Cause) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.begin_abort(cause);
            self.touch(id);
        }
    }
}
