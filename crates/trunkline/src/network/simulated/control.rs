//! [`World`]: what a test holds on to. It makes networks and peers, sets limits and faults, and tells what
//! went wrong.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use std::collections::VecDeque;

#[cfg(test)]
use super::endpoint::{Endpoint, Reads};
use super::peer::{Peer, PeerId};
use super::socket::Simulated;
use super::table::Kind;
#[cfg(test)]
use super::table::SimulatedSocket;
use super::world::{Listener, State, nanoseconds};
use super::{Config, Faults, Limits, Random, errors};
#[cfg(test)]
use crate::network::Socket;
use crate::network::UnixAddress;

/// A simulated world. Clones are handles to the same one.
#[derive(Clone)]
pub struct World(Rc<RefCell<State>>);

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("World")
            .field("elapsed", &self.elapsed())
            .field("calls", &self.calls())
            .finish()
    }
}

impl World {
    /// A world made from `config`.
    pub fn new(config: Config) -> Self {
        Self(Rc::new(RefCell::new(State::new(config))))
    }

    /// A world where nothing goes wrong. See [`Config::calm`].
    pub fn calm(seed: u64) -> Self {
        Self::new(Config::calm(seed))
    }

    /// A world where things go wrong, as `seed` will have it. See [`Config::from_seed`].
    pub fn from_seed(seed: u64) -> Self {
        Self::new(Config::from_seed(seed))
    }

    /// One more network (a process, with descriptors of its own) in this world. All networks and peers reach
    /// each other. A wait of one network moves the clock for all; with several, let each turn without waiting
    /// (a timeout of zero) and move the clock with [`World::advance`].
    pub fn network(&self) -> Simulated {
        Simulated::new(Rc::clone(&self.0))
    }

    /// The virtual monotonic clock.
    pub fn now(&self) -> Instant {
        self.0.borrow().now()
    }

    /// Virtual time since the world began.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.borrow().clock())
    }

    /// Lets `duration` pass, with all that happens in it.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.0.borrow_mut();
        let time = state.clock().saturating_add(nanoseconds(duration));
        state.move_clock(time);
    }

    /// Moves the clock to when the next thing happens; `false` when nothing ever will.
    pub fn advance_to_next(&self) -> bool {
        let mut state = self.0.borrow_mut();
        let next = state.next_time();
        if let Some(next) = next {
            state.move_clock(next);
        }
        next.is_some()
    }

    /// Whether nothing will ever happen any more unless a network does something.
    pub fn is_quiet(&self) -> bool {
        self.0.borrow().next_time().is_none()
    }

    /// A peer that connects to `address` after `delay`.
    pub fn connect(
        &self,
        address: SocketAddr,
        delay: Duration,
        peer: impl Peer + 'static,
    ) -> PeerId {
        self.0
            .borrow_mut()
            .seat_connecting(Box::new(peer), address, None, delay)
    }

    /// As `connect`, from another host than the one that `address` is on.
    pub fn connect_from(
        &self,
        host: IpAddr,
        address: SocketAddr,
        delay: Duration,
        peer: impl Peer + 'static,
    ) -> PeerId {
        self.0
            .borrow_mut()
            .seat_connecting(Box::new(peer), address, Some(host), delay)
    }

    /// As `connect`, to a socket in the Unix domain.
    pub fn connect_unix(
        &self,
        name: &UnixAddress,
        delay: Duration,
        peer: impl Peer + 'static,
    ) -> PeerId {
        let address = self.0.borrow_mut().address_of(name);
        self.connect(address, delay, peer)
    }

    /// As `listen`, at a name in the Unix domain.
    ///
    /// # Errors
    /// When somebody listens there already.
    pub fn listen_unix<P: Peer + 'static>(
        &self,
        name: &UnixAddress,
        make: impl FnMut(&mut Random) -> P + 'static,
    ) -> io::Result<()> {
        let address = self.0.borrow_mut().address_of(name);
        self.listen(address, make)
    }

    /// `count` peers that connect to `address` at random times within `span`.
    pub fn storm<P: Peer + 'static>(
        &self,
        address: SocketAddr,
        count: usize,
        span: Duration,
        mut make: impl FnMut(&mut Random) -> P,
    ) -> Vec<PeerId> {
        let mut state = self.0.borrow_mut();
        (0..count)
            .map(|_| {
                let delay =
                    Duration::from_nanos(state.random.below(nanoseconds(span).saturating_add(1)));
                let peer = Box::new(make(&mut state.random));
                state.seat_connecting(peer, address, None, delay)
            })
            .collect()
    }

    /// Listens at `address` with scripted peers: `make` makes one for each connection.
    ///
    /// # Errors
    /// When somebody listens there already.
    pub fn listen<P: Peer + 'static>(
        &self,
        address: SocketAddr,
        mut make: impl FnMut(&mut Random) -> P + 'static,
    ) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if state.listeners.contains_key(&address) {
            return Err(errors::ADDRESS_IN_USE.into());
        }
        let make =
            Some(Box::new(move |random: &mut Random| Box::new(make(random)) as Box<dyn Peer>) as _);
        state.listeners.insert(
            address,
            Listener {
                backlog_max: 0,
                queue: VecDeque::new(),
                make,
            },
        );
        Ok(())
    }

    /// What goes wrong.
    pub fn faults(&self) -> Faults {
        self.0.borrow().config.faults.clone()
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().config.faults = faults;
    }

    /// How much room there is.
    pub fn limits(&self) -> Limits {
        self.0.borrow().config.limits.clone()
    }

    /// Changes the limits. Buffers keep the size they were made with.
    pub fn set_limits(&self, limits: Limits) {
        self.0.borrow_mut().config.limits = limits;
    }

    /// Descriptors open now in all networks: listeners, streams and reserves.
    pub fn open_descriptors(&self) -> usize {
        self.0
            .borrow()
            .tables
            .iter()
            .map(|table| table.open().count())
            .sum()
    }

    /// Streams open now in all networks.
    pub fn open_streams(&self) -> usize {
        let state = self.0.borrow();
        let open = state.tables.iter().flat_map(super::table::Table::open);
        open.filter(|(_, descriptor)| matches!(descriptor.kind, Kind::Stream(_)))
            .count()
    }

    /// Streams open now in the network with this number.
    #[cfg(test)]
    pub(crate) fn open_streams_of(&self, network: usize) -> usize {
        let state = self.0.borrow();
        let open = state.tables[network].open();
        open.filter(|(_, descriptor)| matches!(descriptor.kind, Kind::Stream(_)))
            .count()
    }

    /// Grows whenever anything is achieved.
    #[cfg(test)]
    pub(crate) fn progress(&self) -> u64 {
        self.0.borrow().progress
    }

    /// How long it is until the next thing happens, if anything will.
    #[cfg(test)]
    pub(crate) fn time_to_next(&self) -> Option<Duration> {
        let state = self.0.borrow();
        let next = state.next_time()?;
        Some(Duration::from_nanos(next.saturating_sub(state.clock())))
    }

    /// Streams that were still open when their network was dropped: descriptors a program has leaked.
    pub fn left_open(&self) -> usize {
        self.0
            .borrow()
            .tables
            .iter()
            .map(|table| table.left_open)
            .sum()
    }

    /// The fingerprint of all calls and their results so far. The same configuration and the same program give
    /// the same fingerprint; if not, something depends on the outside world.
    pub fn trace_hash(&self) -> u64 {
        self.0.borrow().trace.hash()
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.0.borrow().trace.calls()
    }

    /// Keeps the last calls as text from now on, for [`World::log`].
    pub fn keep_log(&self) {
        self.0.borrow_mut().trace.keep_log();
    }

    /// The last calls and their results, oldest first.
    pub fn log(&self) -> Vec<String> {
        self.0.borrow().trace.log()
    }

    /// How far the clock has leapt in all ([`Faults::leap`]).
    pub fn leapt(&self) -> Duration {
        Duration::from_nanos(self.0.borrow().leapt)
    }

    /// How much of the time that has passed nobody was there to use: the clock leapt, or a wait overslept.
    #[cfg(test)]
    pub(crate) fn lost_time(&self) -> u64 {
        let state = self.0.borrow();
        state.leapt + state.overslept
    }

    /// What has gone over a socket, open or closed, of the network with this number.
    #[cfg(test)]
    pub(crate) fn traffic<T>(
        &self,
        network: usize,
        socket: Socket,
        look: impl FnOnce(&super::Traffic) -> T,
    ) -> T {
        let state = self.0.borrow();
        let bits = SimulatedSocket::from(socket).bits();
        match state.traffic.get(&(network, bits)) {
            Some(traffic) => look(traffic),
            None => look(&super::Traffic::default()),
        }
    }

    /// The peer with this address of its own was rightly cut off: it may have lost something.
    #[cfg(test)]
    pub(crate) fn excuse(&self, peer: SocketAddr) {
        let mut state = self.0.borrow_mut();
        for seat in state.seats.values_mut() {
            seat.injured |= seat.local == Some(peer);
        }
    }

    /// What the owner of a socket of the network with this number has read from it.
    #[cfg(test)]
    pub(crate) fn reads(&self, network: usize, socket: Socket) -> Option<Reads> {
        self.look_at(network, socket, |endpoint| endpoint.reads)
    }

    /// Where in this world the other end of a socket is, Unix domain or not.
    #[cfg(test)]
    pub(crate) fn peer_of(&self, network: usize, socket: Socket) -> Option<SocketAddr> {
        self.look_at(network, socket, |endpoint| endpoint.remote)
    }

    /// The address in this world of a name in the Unix domain.
    #[cfg(test)]
    pub(crate) fn address_of(&self, name: &UnixAddress) -> SocketAddr {
        self.0.borrow_mut().address_of(name)
    }

    /// What has arrived at a socket of the network with this number and is not read.
    #[cfg(test)]
    pub(crate) fn unread(&self, network: usize, socket: Socket) -> Option<Vec<u8>> {
        self.look_at(network, socket, |endpoint| {
            endpoint.received.iter().copied().collect()
        })
    }

    #[cfg(test)]
    fn look_at<T>(
        &self,
        network: usize,
        socket: Socket,
        look: impl FnOnce(&Endpoint) -> T,
    ) -> Option<T> {
        let mut state = self.0.borrow_mut();
        let descriptor = state.tables.get_mut(network)?.get(socket.into())?;
        let Kind::Stream(id) = descriptor.kind else {
            return None;
        };
        state.endpoints.get(&id).map(look)
    }

    /// Notes a broken promise that the test itself has found.
    pub fn violation(&self, text: impl Into<String>) {
        self.0.borrow_mut().violation(text);
    }

    /// Every broken promise that was noticed: wrong bytes, closed sockets used, a loop that spins.
    pub fn violations(&self) -> Vec<String> {
        self.0.borrow().violations.clone()
    }

    /// What is wrong now that all should be quiet: the violations, and the peers that miss something.
    pub fn check_at_rest(&self) -> Vec<String> {
        let state = self.0.borrow();
        let mut wrong = state.violations.clone();
        for (id, seat) in &state.seats {
            let injured = seat.injured
                || seat
                    .endpoint
                    .is_some_and(|endpoint| state.injured.contains(&endpoint));
            if let Some(Err(text)) = seat.peer.as_ref().map(|peer| peer.at_rest(injured)) {
                wrong.push(format!("peer {id}: {text}"));
            }
        }
        wrong
    }
}
