//! New connections, accepted from listeners.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use trunkline_selectors::Interest;

use super::panics::guarded;
use super::{EventLoop, Session};
use crate::connection::{Facts, Role};
use crate::core::{Due, Stopping};
use crate::handler::{Callback, Handler};
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::net::{Error, Operation};
use crate::network::{Network, Socket, Token};
use crate::options::WhenFull;
use crate::stats::Refusal;
use crate::trace;

/// Descriptors may be freed by other parts of the program, of which nobody tells us: look again after this.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);

/// Tokens from here up are listeners' numbers; connections' never come near it.
pub(super) const FIRST_LISTENER: u64 = u64::MAX - 0xffff;

pub(super) struct Listener {
    socket: Socket,
}

/// Whether listeners are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepting {
    Yes,
    /// At `connections_max`, or out of descriptors: new clients wait in the backlog.
    Paused,
}

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
        let token = Token(FIRST_LISTENER + self.listeners.len() as u64);
        let (socket, bound) = self
            .network
            .listen(address, self.core.options.backlog, token)
            .map_err(|error| Error::new(Operation::Bind, Some(address.to_string()), error))?;
        self.listeners.push(Listener { socket });
        self.addresses.push(bound);
        if self.core.options.when_full == WhenFull::Refuse {
            // Without the reserve clients wait instead of being refused, which is no reason not to serve.
            let _ = self.network.hold_reserve();
        }
        Ok(bound)
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
            let full = self.core.connections.len() >= self.core.options.connections_max;
            if full && self.core.options.when_full == WhenFull::Wait {
                // The end of one of our connections resumes it.
                self.pause_accepting();
                return false;
            }
            let token = Token(self.core.connections.vacant_key().to_bits());
            match self.network.accept(socket, token) {
                Ok((socket, _)) if full => {
                    self.network.close(socket);
                    self.refused(Refusal::Full);
                }
                Ok((socket, peer)) => self.accepted(socket, peer),
                Err(error) => match classify(&error) {
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
                },
            }
        }
        true
    }

    fn accepted(&mut self, socket: Socket, peer: SocketAddr) {
        let id = self.core.insert(peer, Role::Accepted);
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
        let connection = self.core.connections.get(id.0);
        if let Some(connection) = connection {
            trace::opened(id, connection.peer, connection.role == Role::Accepted);
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
        let token = Token(self.core.connections.vacant_key().to_bits());
        let accepted = self.network.accept(socket, token);
        let refused = accepted.is_ok();
        if let Ok((socket, _)) = accepted {
            self.network.close(socket);
            self.refused(Refusal::Descriptors);
        }
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

    /// Others may free descriptors and nobody tells us: one timer looks again.
    fn retry_accepting_later(&mut self) {
        if self.retry_accept.is_none() {
            let deadline = self.core.deadline(RETRY_ACCEPT);
            self.retry_accept = Some(self.core.timers.insert(deadline, Due::RetryAccept));
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
                self.core.timers.cancel(timer);
            }
            self.watch_listeners(Interest::READ);
        }
    }

    fn watch_listeners(&mut self, interest: Interest) {
        for listener in &self.listeners {
            self.network.set_interest(listener.socket, interest);
        }
    }

    pub(super) fn close_listeners(&mut self) {
        for listener in self.listeners.drain(..) {
            self.network.close(listener.socket);
        }
    }

    pub(super) fn listener_count(&self) -> usize {
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
