//! New connections, accepted from listeners.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use trunkline_selectors::Interest;

use super::panics::guarded;
use super::{EventLoop, Session};
use crate::connection::{Facts, Role};
use crate::core::{Due, Stopping};
use crate::handler::{Callback, Handler};
use crate::io::ConnectionId;
use crate::limits::{Gate, Pace};
use crate::mutant::{Mutant, planted};
use crate::net::{Address, Bound, Error, Operation};
use crate::network::{Apart, Network, Socket, Token};
use crate::options::WhenFull;
use crate::stats::Refusal;
use crate::trace;

/// Descriptors may be freed by other parts of the program, of which nobody tells us: look again after this.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);

/// Tokens from here up are listeners' numbers; connections' never come near it.
pub(super) const FIRST_LISTENER: u64 = u64::MAX - 0xffff;

pub(super) struct Listener {
    socket: Socket,
    /// How fast it accepts, if that is limited.
    pace: Option<Pace>,
    /// It is ahead of its pace, and left alone until a timer says so.
    ahead: bool,
}

/// Where accepted connections go that are not for this loop.
pub(crate) type Feed = Box<dyn FnMut(Handed) + Send>;

/// A connection on its way from the loop that accepted it to the one that will serve it.
pub(crate) struct Handed {
    pub(crate) stream: Apart,
    pub(crate) peer: Address,
}

/// Whether listeners are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepting {
    Yes,
    /// At `connections_max`, or out of descriptors: new clients wait in the backlog.
    Paused,
}

/// What is known of a new stream in the Unix domain.
pub(super) const UNIX_FACTS: Facts = Facts::UNIX.with(Facts::READ_TO_THE_END);

/// What a failed accept means.
enum Failure {
    /// The backlog is empty.
    NoneWaiting,
    /// This one client is lost; the next may be well.
    ThisOne,
    /// No descriptors, or no memory: nothing to do until some are freed.
    Exhausted,
}

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// Adds a listener.
    ///
    /// # Errors
    /// When the address cannot be bound; the error says why and what to do.
    pub fn listen(&mut self, address: SocketAddr) -> Result<SocketAddr, Error> {
        let backlog = self.core.options.backlog;
        let (socket, bound) = self
            .network
            .listen(address, backlog, self.next_listener())
            .map_err(|error| Error::new(Operation::Bind, Some(address.to_string()), error))?;
        self.add_listener(socket, bound.into());
        Ok(bound)
    }

    /// Adds a listener in either domain, and says where it is bound.
    ///
    /// # Errors
    /// When the address cannot be bound; the error says why and what to do.
    pub fn listen_on(&mut self, address: &Address) -> Result<Address, Error> {
        let name = match address {
            Address::Ip(address) => return self.listen(*address).map(Address::Ip),
            Address::Unix(name) => name,
        };
        let (backlog, mode) = (self.core.options.backlog, self.core.options.unix_mode);
        let socket = self
            .network
            .listen_unix(name, backlog, mode, self.next_listener())
            .map_err(|error| Error::new(Operation::Bind, Some(address.to_string()), error))?;
        self.add_listener(socket, address.clone());
        Ok(address.clone())
    }

    /// Adds a listener that was bound elsewhere.
    pub(crate) fn listen_with(&mut self, bound: Bound) -> Result<(), Error> {
        let address = bound.address().clone();
        let socket = self
            .network
            .adopt_listener(bound, self.next_listener())
            .map_err(|error| Error::new(Operation::Bind, Some(address.to_string()), error))?;
        self.add_listener(socket, address);
        Ok(())
    }

    fn next_listener(&self) -> Token {
        Token(FIRST_LISTENER + self.listeners.len() as u64)
    }

    fn add_listener(&mut self, socket: Socket, address: Address) {
        self.listeners.push(Listener {
            socket,
            pace: self.core.options.limits.accept_rate.map(Pace::new),
            ahead: false,
        });
        self.addresses.extend(address.socket_addr());
        self.bound.push(address);
        if self.core.options.when_full == WhenFull::Refuse {
            // Without the reserve clients wait instead of being refused, which is no reason not to serve.
            let _ = self.network.hold_reserve();
        }
        self.remote.0.set_ready();
    }

    /// Hands everything that is accepted from now on to others, who count and limit with this gate.
    pub(crate) fn feed(&mut self, feed: Feed) {
        self.feed = Some(feed);
    }

    /// Shares the limits with other loops.
    pub(crate) fn share_gate(&mut self, gate: Arc<Gate>) {
        self.gate = Some(gate);
    }

    /// Accepts what waits, within the budget; level-triggered, a listener reports the rest next turn.
    #[inline(never)]
    pub(super) fn accept_from(&mut self, index: usize) {
        let budget = self.core.options.accept_budget.max(1);
        self.accept_at_most(index, budget);
    }

    /// Says whether more may be waiting.
    pub(super) fn accept_at_most(&mut self, index: usize, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(listener) = self.listeners.get(index) else {
                return false;
            };
            let socket = listener.socket;
            let mut refusal = None;
            if !self.has_place() {
                if self.core.options.when_full == WhenFull::Wait {
                    // The end of one of our connections resumes it.
                    self.pause_until_a_place_is_free();
                    return false;
                }
                refusal = Some(Refusal::Full);
            } else if self.is_ahead(index) {
                self.give_place_back();
                if self.core.options.when_full == WhenFull::Wait {
                    return false;
                }
                refusal = Some(Refusal::Rate);
            }
            if let Err(error) = self.accept_one(index, socket, refusal) {
                if refusal.is_none() {
                    self.give_place_back();
                }
                match classify(&error) {
                    Failure::NoneWaiting => return false,
                    Failure::ThisOne => {
                        self.core.stats.accept_errors += 1;
                        if planted(Mutant::AbortedAcceptStops) {
                            self.close_listeners();
                        }
                    }
                    Failure::Exhausted => {
                        self.core.stats.accept_errors += 1;
                        if !self.refuse_one(index) {
                            self.pause_accepting();
                            self.retry_accepting_later();
                            return false;
                        }
                    }
                }
            }
        }
        true
    }

    /// Takes one client in, or turns him away.
    fn accept_one(
        &mut self,
        index: usize,
        listener: Socket,
        refusal: Option<Refusal>,
    ) -> io::Result<()> {
        if self.feed.is_some() {
            let (stream, peer) = self.network.accept_apart(listener)?;
            match refusal.or_else(|| self.refusal_of(index, &peer)) {
                // Its descriptor is closed with it.
                Some(refusal) => self.refused(refusal),
                None => {
                    // Counted as accepted by the loop that gets it.
                    if let Some(feed) = &mut self.feed {
                        feed(Handed { stream, peer });
                    }
                }
            }
            return Ok(());
        }
        let token = Token(self.core.connections.vacant_key().to_bits());
        let (socket, peer) = self.network.accept(listener, token)?;
        match refusal.or_else(|| self.refusal_of(index, &peer)) {
            Some(refusal) => {
                self.network.close(socket);
                self.refused(refusal);
            }
            None => self.accepted(socket, peer),
        }
        Ok(())
    }

    /// Takes a place for a client, if there is one.
    fn has_place(&self) -> bool {
        !self.is_full_itself() && self.gate.as_ref().is_none_or(|gate| gate.take_place())
    }

    fn give_place_back(&self) {
        if let Some(gate) = &self.gate {
            gate.give_place_back();
        }
    }

    /// Has this listener accepted more than its rate allows? In a drain nothing is too fast: those who wait were
    /// promised a connection.
    fn is_ahead(&mut self, index: usize) -> bool {
        let listener = &mut self.listeners[index];
        let Some(pace) = &mut listener.pace else {
            return false;
        };
        if self.core.stopping >= Stopping::Draining || planted(Mutant::PaceIgnored) {
            return false;
        }
        let Some(again) = pace.not_before(self.core.clock.take()) else {
            return false;
        };
        if self.core.options.when_full == WhenFull::Wait {
            listener.ahead = true;
            self.network.set_interest(listener.socket, Interest::NONE);
            self.core.set_timer(again, Due::Pace(index as u32));
        }
        true
    }

    /// The pace of a listener allows the next client.
    pub(super) fn accept_again(&mut self, index: usize) {
        let Some(listener) = self.listeners.get_mut(index) else {
            return;
        };
        listener.ahead = false;
        if self.accepting == Accepting::Yes {
            self.network.set_interest(listener.socket, Interest::READ);
        }
    }

    /// Whoever has a place is counted, unless as many of his are here already; then the place is free again.
    fn refusal_of(&mut self, index: usize, peer: &Address) -> Option<Refusal> {
        let gate = self.gate.as_ref();
        if gate.is_some_and(|gate| !gate.enter(peer)) {
            self.give_place_back();
            return Some(Refusal::PerPeer);
        }
        if let Some(pace) = self.listeners.get_mut(index)?.pace.as_mut() {
            pace.take(self.core.clock.take());
        }
        None
    }

    /// Takes over a connection that another loop has accepted and counted.
    pub(crate) fn take_over(&mut self, handed: Handed) {
        let token = Token(self.core.connections.vacant_key().to_bits());
        if let Ok(socket) = self.network.adopt(handed.stream, token) {
            self.accepted(socket, handed.peer);
            return;
        }
        self.core.stats.accept_errors += 1;
        if let Some(gate) = &self.gate {
            gate.leave(&handed.peer);
            self.remote.0.let_go();
        }
    }

    fn accepted(&mut self, socket: Socket, peer: Address) {
        let is_unix = peer.is_unix();
        let id = self.core.insert(peer, Role::Accepted);
        if is_unix && let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.facts.set(UNIX_FACTS);
        }
        self.keep(id, socket, Interest::READ);
        self.core.stats.accepted += 1;
        self.opened(id);
    }

    pub(super) fn keep(&mut self, id: ConnectionId, socket: Socket, interest: Interest) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.socket = socket;
            connection.interest = interest;
        }
        let index = id.0.index() as usize;
        if index >= self.sessions.len() {
            // Grown by a quarter, not doubled: an idle place is memory too.
            if index >= self.sessions.capacity() {
                self.sessions
                    .reserve_exact((self.sessions.len() / 4).max(16) + index - self.sessions.len());
            }
            self.sessions.resize_with(index + 1, || None);
        }
        let decoder = self.core.codec.clone();
        let state = None;
        self.sessions[index] = Some(Session { decoder, state });
    }

    /// A connection is there: asks the handler whether it wants it.
    pub(super) fn opened(&mut self, id: ConnectionId) {
        self.core.stats.opened();
        self.core.opens(id);
        let connection = self.core.connections.get(id.0);
        if let Some(connection) = connection {
            trace::opened(id, &connection.peer, connection.role == Role::Accepted);
        }
        let opened = guarded(
            &mut self.handler,
            &mut self.core,
            id,
            Callback::Open,
            H::open,
        );
        if let Some(None) = opened {
            self.refused(Refusal::Handler);
            self.core.close(id, None);
        }
        let state = opened.flatten();
        if let Some(session) = self.session(id) {
            session.state = state;
        }
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            if self.core.stopping == Stopping::Draining {
                // Accepted at the last moment: its first request may be there already.
                connection.facts.set(Facts::READABLE);
            }
            if connection.facts.any(Facts::CLOSE_WHEN_OPEN) {
                connection.facts.clear(Facts::CLOSE_WHEN_OPEN);
                self.core.close(id, None);
            }
        }
        self.settle(id);
    }

    /// With `WhenFull::Refuse`, gives the reserve descriptor up for a moment to tell one client that there is no
    /// place. `false` when that is not possible, or not wanted.
    fn refuse_one(&mut self, index: usize) -> bool {
        if self.core.options.when_full == WhenFull::Wait {
            return false;
        }
        let socket = self.listeners[index].socket;
        self.network.release_reserve();
        let refused = self
            .accept_one(index, socket, Some(Refusal::Descriptors))
            .is_ok();
        self.network.hold_reserve().is_ok() && refused
    }

    fn refused(&mut self, reason: Refusal) {
        self.core.stats.refuse(reason);
        trace::refused(reason);
    }

    /// Leaves new clients in the backlog, without being told of them again and again.
    fn pause_accepting(&mut self) {
        if self.accepting == Accepting::Yes {
            self.core.stats.accept_pauses += 1;
            trace::accepting_paused(self.core.connections.len());
        }
        self.accepting = Accepting::Paused;
        self.watch_listeners(Interest::NONE);
    }

    /// With limits shared by several loops, the place may become free in another one.
    fn pause_until_a_place_is_free(&mut self) {
        self.pause_accepting();
        self.look_for_a_place();
    }

    /// After a wake-up: was it that a place is free? Another loop may have been faster: then it is waited for again. Where
    /// descriptors have run out a free place is no help: to look for one would fail again, give it back and wake us for it.
    pub(super) fn look_for_a_place(&mut self) {
        let without_descriptors = self.retry_accept.is_some();
        if self.accepting == Accepting::Yes || self.is_full_itself() || without_descriptors {
            return;
        }
        let (id, wake) = (self.remote.0.id(), self.network.waker());
        if self.gate.as_ref().is_some_and(|gate| gate.wait(id, wake)) {
            self.resume_accepting();
        }
    }

    fn is_full_itself(&self) -> bool {
        self.core.connections.len() >= self.core.options.connections_max
            && !planted(Mutant::ConnectionsMaxIgnored)
    }

    /// Others may free descriptors and nobody tells us: one timer looks again.
    fn retry_accepting_later(&mut self) {
        if self.retry_accept.is_none() {
            let deadline = self.core.deadline(RETRY_ACCEPT);
            self.retry_accept = Some(self.core.set_timer(deadline, Due::RetryAccept));
        }
    }

    pub(super) fn retry_accepting(&mut self) {
        self.retry_accept = None;
        self.resume_accepting();
    }

    pub(super) fn resume_accepting(&mut self) {
        if self.accepting == Accepting::Paused && !planted(Mutant::AcceptLostAfterDescriptors) {
            self.accepting = Accepting::Yes;
            trace::accepting_resumed(self.core.connections.len());
            if let Some(timer) = self.retry_accept.take() {
                self.core.cancel_timer(timer);
            }
            self.watch_listeners(Interest::READ);
        }
    }

    fn watch_listeners(&mut self, interest: Interest) {
        for listener in &self.listeners {
            let interest = if listener.ahead {
                Interest::NONE
            } else {
                interest
            };
            self.network.set_interest(listener.socket, interest);
        }
    }

    /// Who comes from now on is refused, and at once: a client that has seen us close its connection may try again before
    /// the next wait.
    pub(super) fn close_listeners(&mut self) {
        if self.listeners.is_empty() {
            return;
        }
        for listener in self.listeners.drain(..) {
            self.network.close(listener.socket);
        }
        // What fails here is done with the next wait.
        let _ = self.network.apply();
        // They may have been all that the loop was for.
        self.core.asked = true;
    }

    pub(crate) fn listener_count(&self) -> usize {
        self.listeners.len()
    }
}

fn classify(error: &io::Error) -> Failure {
    let Some(errno) = Errno::from_io_error(error) else {
        return if error.kind() == ErrorKind::WouldBlock {
            Failure::NoneWaiting
        } else {
            Failure::ThisOne
        };
    };
    match errno {
        Errno::AGAIN => Failure::NoneWaiting,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC => {
            Failure::Exhausted
        }
        // accept(2): Linux passes errors that are already pending on the new socket; they are the client's.
        Errno::CONNABORTED
        | Errno::PROTO
        | Errno::NETDOWN
        | Errno::NOPROTOOPT
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH
        | Errno::OPNOTSUPP
        | Errno::NETUNREACH
        | Errno::PERM
        | Errno::INTR
        | Errno::CONNRESET
        | Errno::TIMEDOUT => Failure::ThisOne,
        // Anything else would come again at once: the pause and the retry keep it from spinning.
        _ => Failure::Exhausted,
    }
}
