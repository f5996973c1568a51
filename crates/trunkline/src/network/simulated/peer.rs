//! Scripted peers: the other side of the wire, run by the world itself.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Random;
use super::endpoint::{EndpointId, Owner, Phase};
use super::world::{Action, State, nanoseconds};

/// Names a peer of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(super) u64);

/// Makes the peer for one more connection.
pub(super) type MakePeer = Box<dyn FnMut(&mut Random) -> Box<dyn Peer>>;

/// One side of a connection, scripted. Callbacks run inside the world, in virtual time: they must not use
/// the [`World`](super::World) handle, only the [`PeerIo`] they are given.
pub trait Peer {
    /// The connection is there.
    fn connected(&mut self, io: &mut PeerIo<'_>);

    /// Something has changed since the last call: bytes have arrived, the stream has ended, or there is room
    /// to write. Like an edge: the peer reads what it wants, and is not told again what it left.
    fn ready(&mut self, io: &mut PeerIo<'_>);

    /// A timer set with [`PeerIo::after`] is due.
    fn timer(&mut self, _io: &mut PeerIo<'_>, _token: u64) {}

    /// The connection was refused (never connected) or reset. What had arrived can still be read.
    fn failed(&mut self, _io: &mut PeerIo<'_>, _error: io::Error) {}

    /// Once all is quiet: did the peer get all it should have got? `injured` says that a fault has cut its
    /// connection, so that it may have lost something.
    ///
    /// # Errors
    /// What is missing.
    fn at_rest(&self, _injured: bool) -> Result<(), String> {
        Ok(())
    }
}

/// Why a peer is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    /// It is time to connect.
    Start,
    /// Its endpoint has changed.
    Ready,
    /// Its timer with this token is due.
    Timer(u64),
}

/// A peer's place in the world.
pub(super) struct Seat {
    /// Away while its own callback runs.
    pub(super) peer: Option<Box<dyn Peer>>,
    pub(super) address: SocketAddr,
    /// Where it connects from, if not from the address's own host.
    pub(super) host: Option<IpAddr>,
    /// Its own address, once it has one.
    pub(super) local: Option<SocketAddr>,
    pub(super) endpoint: Option<EndpointId>,
    pub(super) connected: bool,
    /// A call is already scheduled.
    pub(super) notified: bool,
    /// A fault has cut its connection.
    pub(super) injured: bool,
}

impl State {
    /// Seats a peer that will connect to `address` after `delay`.
    pub(super) fn seat_connecting(
        &mut self,
        peer: Box<dyn Peer>,
        address: SocketAddr,
        host: Option<IpAddr>,
        delay: Duration,
    ) -> PeerId {
        let id = self.next_id();
        let peer = Some(peer);
        let seat = Seat {
            peer,
            address,
            host,
            local: None,
            endpoint: None,
            connected: false,
            notified: false,
            injured: false,
        };
        self.seats.insert(id, seat);
        self.schedule(nanoseconds(delay), Action::Peer(id, Call::Start));
        PeerId(id)
    }

    /// Seats a peer that has accepted the connection whose end is `endpoint`.
    pub(super) fn seat_accepted(&mut self, peer: Box<dyn Peer>, endpoint: EndpointId) {
        let id = self.next_id();
        let Some(held) = self.endpoints.get_mut(&endpoint) else {
            return;
        };
        held.owner = Owner::Peer(id);
        let (address, local) = (held.remote, Some(held.local));
        let endpoint = Some(endpoint);
        let seat = Seat {
            peer: Some(peer),
            address,
            host: None,
            local,
            endpoint,
            connected: false,
            notified: true,
            injured: false,
        };
        self.seats.insert(id, seat);
        self.schedule(0, Action::Peer(id, Call::Ready));
    }

    pub(super) fn call_peer(&mut self, id: u64, call: Call) {
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let address = seat.address;
        let host = seat.host.unwrap_or(address.ip());
        match call {
            Call::Start => {
                let local = self.ephemeral_address(host);
                let endpoint = self.add_endpoint(Owner::Peer(id), local, address);
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.endpoint = Some(endpoint);
                    seat.local = Some(local);
                }
                self.request(endpoint);
            }
            Call::Ready => {
                seat.notified = false;
                self.call_ready(id);
            }
            Call::Timer(token) => self.with_peer(id, |peer, io| peer.timer(io, token)),
        }
    }

    /// Finds out what has changed, and tells it in the order a program would see it.
    fn call_ready(&mut self, id: u64) {
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let Some(endpoint_id) = seat.endpoint else {
            return;
        };
        seat.injured |= self.injured.contains(&endpoint_id);
        let Some(endpoint) = self.endpoints.get_mut(&endpoint_id) else {
            return;
        };
        if endpoint.phase != Phase::Connecting && !seat.connected && endpoint.error.is_none() {
            seat.connected = true;
            self.with_peer(id, |peer, io| peer.connected(io));
        }
        let Some(endpoint) = self.endpoints.get_mut(&endpoint_id) else {
            return;
        };
        match endpoint.error.take() {
            Some(error) => self.with_peer(id, |peer, io| peer.failed(io, error.into())),
            None => self.with_peer(id, |peer, io| peer.ready(io)),
        }
    }

    fn with_peer(&mut self, id: u64, call: impl FnOnce(&mut dyn Peer, &mut PeerIo<'_>)) {
        let Some(mut peer) = self.seats.get_mut(&id).and_then(|seat| seat.peer.take()) else {
            return;
        };
        call(peer.as_mut(), &mut PeerIo { state: self, id });
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.peer = Some(peer);
        }
    }
}

/// What a peer may do in a callback. Peers see no faults: those are for the network under test.
pub struct PeerIo<'a> {
    state: &'a mut State,
    id: u64,
}

impl PeerIo<'_> {
    /// Virtual time since the world began.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.state.clock())
    }

    /// The world's generator.
    pub fn random(&mut self) -> &mut Random {
        &mut self.state.random
    }

    /// Whether the peer still holds its connection.
    pub fn is_open(&self) -> bool {
        self.endpoint()
            .is_some_and(|id| self.state.endpoints.contains_key(&id))
    }

    /// The peer's own address: what the other side sees as its remote one.
    pub fn local(&self) -> Option<SocketAddr> {
        self.endpoint()
            .and_then(|id| self.state.endpoints.get(&id))
            .map(|endpoint| endpoint.local)
    }

    /// The other side's address.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.endpoint()
            .and_then(|id| self.state.endpoints.get(&id))
            .map(|endpoint| endpoint.remote)
    }

    fn endpoint(&self) -> Option<EndpointId> {
        self.state
            .seats
            .get(&self.id)
            .and_then(|seat| seat.endpoint)
    }

    /// Reads what has arrived; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, and what a closed or reset connection says.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let id = self.endpoint().ok_or(io::ErrorKind::NotConnected)?;
        let endpoint = self
            .state
            .endpoints
            .get_mut(&id)
            .ok_or(io::ErrorKind::NotConnected)?;
        let length = endpoint.read(buffer)?;
        self.state.window_opened(id);
        Ok(length)
    }

    /// Writes, perhaps in part.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, and what a closed or reset connection says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let id = self.endpoint().ok_or(io::ErrorKind::NotConnected)?;
        let delay = self.state.latency();
        let arrives = self.state.clock() + delay;
        let endpoint = self
            .state
            .endpoints
            .get_mut(&id)
            .ok_or(io::ErrorKind::NotConnected)?;
        let length = endpoint.write(&[IoSlice::new(bytes)], usize::MAX, arrives)?;
        self.state.schedule(delay, Action::Arrive(id));
        Ok(length)
    }

    /// Ends the peer's own stream; it can still read.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        let id = self.endpoint().ok_or(io::ErrorKind::NotConnected)?;
        let delay = self.state.latency();
        let arrives = self.state.clock() + delay;
        let endpoint = self
            .state
            .endpoints
            .get_mut(&id)
            .ok_or(io::ErrorKind::NotConnected)?;
        endpoint.shutdown_write(arrives)?;
        self.state.schedule(delay, Action::Arrive(id));
        Ok(())
    }

    /// Closes the connection, as `close(2)` does: with unread bytes it is a reset.
    pub fn close(&mut self) {
        if let Some(id) = self.leave() {
            self.state.close_endpoint(id);
        }
    }

    /// Closes the connection with a reset.
    pub fn abort(&mut self) {
        if let Some(id) = self.leave() {
            self.state.abort_endpoint(id);
        }
    }

    fn leave(&mut self) -> Option<EndpointId> {
        let seat = self.state.seats.get_mut(&self.id)?;
        let endpoint = seat.endpoint.take()?;
        seat.injured |= self.state.injured.contains(&endpoint);
        Some(endpoint)
    }

    /// Calls [`Peer::timer`] with `token` after `delay`.
    pub fn after(&mut self, delay: Duration, token: u64) {
        self.state.schedule(
            nanoseconds(delay),
            Action::Peer(self.id, Call::Timer(token)),
        );
    }

    /// Notes that the other side broke a promise.
    pub fn violation(&mut self, text: impl Into<String>) {
        let text = format!("peer {}: {}", self.id, text.into());
        self.state.violation(text);
    }
}
