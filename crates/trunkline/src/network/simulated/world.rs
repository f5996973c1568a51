//! The state that all networks and peers of one world share: the clock, what is scheduled, who is there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::endpoint::{Endpoint, EndpointId, Owner};
use super::handover::Abandoned;
use super::peer::{Call, MakePeer, Seat};
use super::table::Table;
use super::trace::Trace;
use super::{Config, Random};
use crate::network::UnixAddress;

/// Where names in the Unix domain are in here.
const UNIX_NETWORK: u16 = 0xfd75;

/// Something that happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// What this endpoint has sent may arrive.
    Arrive(EndpointId),
    /// A reset reaches this endpoint.
    Reset(EndpointId),
    /// This endpoint's connection request reaches a listener.
    Request { client: EndpointId, attempt: u32 },
    /// The listener's answer reaches this endpoint.
    Established(EndpointId),
    /// A peer's turn.
    Peer(u64, Call),
}

/// Earliest first, then in the order they were scheduled: the run must not depend on anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scheduled {
    time: u64,
    sequence: u64,
    action: Action,
}

/// Who answers connection requests at an address.
pub(super) struct Listener {
    pub(super) backlog_max: usize,
    /// Connections that nobody has accepted yet, oldest first.
    pub(super) queue: VecDeque<EndpointId>,
    /// A scripted peer is made for each connection, instead of queueing it.
    pub(super) make: Option<MakePeer>,
}

/// All of a world but its handles.
pub(super) struct State {
    pub(super) config: Config,
    pub(super) random: Random,
    base: Instant,
    clock: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
    pub(super) endpoints: BTreeMap<EndpointId, Endpoint>,
    next_id: u64,
    next_port: u16,
    next_listening_port: u16,
    pub(super) listeners: BTreeMap<SocketAddr, Listener>,
    pub(super) seats: BTreeMap<u64, Seat>,
    /// Endpoints whose connection a fault has cut: their owners may have lost something.
    pub(super) injured: BTreeSet<EndpointId>,
    pub(super) tables: Vec<Table>,
    pub(super) violations: Vec<String>,
    pub(super) trace: Trace,
    /// Grows whenever anything is achieved: what tells a busy loop from a spinning one.
    pub(super) progress: u64,
    /// By how many nanoseconds the clock has leapt in all.
    pub(super) leapt: u64,
    /// By how many nanoseconds waits have ended late in all.
    pub(super) overslept: u64,
    pub(super) abandoned: Abandoned,
    /// What names in the Unix domain stand for in here.
    unix_names: BTreeMap<UnixAddress, SocketAddr>,
    /// By network and socket.
    #[cfg(test)]
    pub(super) traffic: BTreeMap<(usize, u64), super::Traffic>,
}

impl State {
    pub(super) fn new(config: Config) -> Self {
        Self {
            random: Random::new(config.seed),
            config,
            base: Instant::now(),
            clock: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            endpoints: BTreeMap::new(),
            next_id: 0,
            next_port: 40_000,
            next_listening_port: 10_000,
            listeners: BTreeMap::new(),
            seats: BTreeMap::new(),
            injured: BTreeSet::new(),
            tables: Vec::new(),
            violations: Vec::new(),
            trace: Trace::new(),
            progress: 0,
            leapt: 0,
            overslept: 0,
            abandoned: Abandoned::default(),
            unix_names: BTreeMap::new(),
            #[cfg(test)]
            traffic: BTreeMap::new(),
        }
    }

    /// Virtual nanoseconds since the world began.
    pub(super) fn clock(&self) -> u64 {
        self.clock
    }

    /// The virtual monotonic clock.
    pub(super) fn now(&self) -> Instant {
        self.base + Duration::from_nanos(self.clock)
    }

    /// A new name, for an endpoint or a peer.
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The address that stands for a name in the Unix domain: of an IPv6 network that nobody else is in.
    pub(super) fn address_of(&mut self, name: &UnixAddress) -> SocketAddr {
        let next = self.unix_names.len() as u16 + 1;
        let new = || SocketAddr::from(([UNIX_NETWORK, 0, 0, 0, 0, 0, 0, next], 1));
        *self.unix_names.entry(name.clone()).or_insert_with(new)
    }

    /// Does this address stand for a name in the Unix domain?
    pub(super) fn is_unix(address: SocketAddr) -> bool {
        matches!(address, SocketAddr::V6(address) if address.ip().segments()[0] == UNIX_NETWORK)
    }

    /// An address on `host` for a connecting socket.
    pub(super) fn ephemeral_address(&mut self, host: IpAddr) -> SocketAddr {
        self.next_port = if self.next_port == u16::MAX {
            40_000
        } else {
            self.next_port + 1
        };
        SocketAddr::new(host, self.next_port)
    }

    /// A port that nobody listens at, for `listen` on port 0.
    pub(super) fn free_listening_port(&mut self) -> u16 {
        self.next_listening_port += 1;
        self.next_listening_port
    }

    /// Adds an endpoint between two addresses.
    pub(super) fn add_endpoint(
        &mut self,
        owner: Owner,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> EndpointId {
        let id = EndpointId(self.next_id());
        let limits = &self.config.limits;
        let endpoint = Endpoint::new(
            owner,
            local,
            remote,
            limits.send_buffer.max(1),
            limits.receive_buffer.max(1),
        );
        self.endpoints.insert(id, endpoint);
        id
    }

    /// The address somebody listens at who would answer for `address`.
    pub(super) fn listening_at(&self, address: SocketAddr) -> Option<SocketAddr> {
        let wildcard = match address {
            SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], address.port())),
            SocketAddr::V6(_) => SocketAddr::from(([0_u16; 8], address.port())),
        };
        [address, wildcard]
            .into_iter()
            .find(|address| self.listeners.contains_key(address))
    }

    /// How long one transmission takes, in nanoseconds.
    pub(super) fn latency(&mut self) -> u64 {
        let latency = nanoseconds(self.config.limits.latency);
        if self.random.chance(self.config.faults.jitter) {
            return latency
                + self
                    .random
                    .below(nanoseconds(self.config.limits.jitter).saturating_add(1));
        }
        latency
    }

    /// Lets `action` happen `delay` nanoseconds from now.
    pub(super) fn schedule(&mut self, delay: u64, action: Action) {
        self.sequence += 1;
        let time = self.clock.saturating_add(delay);
        self.queue.push(Reverse(Scheduled {
            time,
            sequence: self.sequence,
            action,
        }));
    }

    /// When the next thing happens.
    pub(super) fn next_time(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse(scheduled)| scheduled.time)
    }

    /// Moves the clock on (never back) and lets everything happen that is due then.
    ///
    /// # Panics
    /// When a million things happen without an end at one time: a peer is in an endless loop.
    pub(super) fn move_clock(&mut self, time: u64) {
        while let Some(next) = self.next_time().filter(|next| *next <= time) {
            self.set_clock(next);
            self.settle();
        }
        self.set_clock(time);
    }

    fn set_clock(&mut self, time: u64) {
        if time > self.clock {
            self.clock = time;
            self.progress += 1;
        }
    }

    /// Lets everything happen that is due now.
    pub(super) fn settle(&mut self) {
        for _ in 0..1_000_000 {
            match self.queue.peek() {
                Some(Reverse(scheduled)) if scheduled.time <= self.clock => {}
                _ => return,
            }
            if let Some(Reverse(scheduled)) = self.queue.pop() {
                self.perform(scheduled.action);
            }
        }
        panic!(
            "simulated network: a million things happened at one time; a peer is in an endless loop"
        );
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Arrive(from) => self.arrive(from),
            Action::Reset(target) => self.reset_arrives(target),
            Action::Request { client, attempt } => self.request_arrives(client, attempt),
            Action::Established(client) => self.establish(client),
            Action::Peer(peer, call) => self.call_peer(peer, call),
        }
    }

    /// Notes that a promise was broken.
    pub(super) fn violation(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.trace.note(&text);
        self.violations
            .push(format!("at {:?}: {text}", Duration::from_nanos(self.clock)));
    }
}

/// A duration in nanoseconds; 584 years are as good as for ever.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
