//! New connections of ours: one address, or several of which the first to answer is taken.
//!
//! A connection that is tried at several addresses (RFC 8305, "happy eyeballs") has no socket until one of the
//! attempts is made: the attempts' sockets are known by tokens of their own, and the one that wins is renamed.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use trunkline_selectors::{Interest, Key, Slab};

use super::accept::{FIRST_LISTENER, UNIX_FACTS};
use super::panics::guarded;
use super::{Ending, EventLoop};
use crate::connection::{Connection, Facts, Phase};
use crate::core::{Destination, Due, Stopping, ToConnect};
use crate::handler::{Callback, Cause, Handler};
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::net::{Address, Error, Operation, UnixAddress};
use crate::network::{Event, Network, Socket, Token};
use crate::timer::TimerId;
use crate::trace;

/// Tokens from here up to the listeners' are attempts' numbers. Connections' never come near it: it would take 4
/// billion of them at once.
pub(super) const FIRST_ATTEMPT: u64 = FIRST_LISTENER - ATTEMPTS_MAX;

/// Attempts under way at once, in all.
const ATTEMPTS_MAX: u64 = 1 << 24;

/// RFC 8305, section 5: never less than this between two attempts.
const ATTEMPT_DELAY_MIN: Duration = Duration::from_millis(10);

/// Nobody tells us when a backlog in the Unix domain has room again: look again after this.
const UNIX_RETRY: Duration = Duration::from_millis(10);

/// All connections that are tried at several addresses, and their attempts.
#[derive(Default)]
pub(super) struct Races {
    running: HashMap<ConnectionId, Race>,
    /// Those for which there was no room in the server's backlog yet.
    unix: HashMap<ConnectionId, UnixAddress>,
    attempts: Slab<Attempt>,
}

/// One connection that is tried at several addresses.
struct Race {
    /// Not yet tried, best first.
    left: VecDeque<SocketAddr>,
    running: Vec<Key>,
    failures: Vec<Error>,
    /// When the next address is tried, whether or not an attempt has failed until then.
    next: Option<TimerId>,
}

#[derive(Clone, Copy)]
struct Attempt {
    id: ConnectionId,
    address: SocketAddr,
    socket: Socket,
}

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// Makes the sockets of the connections that were asked for.
    #[inline(never)]
    pub(super) fn make_connections(&mut self) {
        self.core.asked = self.core.close_listeners
            || !self.core.touched.is_empty()
            || matches!(self.core.stopping, Stopping::Asked | Stopping::Killed);
        for ToConnect { id, to } in std::mem::take(&mut self.core.to_connect) {
            if !self.core.connections.contains(id.0) {
                continue;
            }
            match to {
                Destination::Unix(name) => self.connect_to_unix(id, name),
                Destination::Ip(addresses) => match addresses[..] {
                    [address] => self.connect_to_ip(id, address),
                    _ => self.begin_race(id, addresses),
                },
            }
        }
    }

    /// In the Unix domain a connection is made at once, or not at all while the server's backlog is full: then it is
    /// tried again until the deadline.
    fn connect_to_unix(&mut self, id: ConnectionId, name: UnixAddress) {
        self.start_connect_timeout(id);
        self.races.unix.insert(id, name);
        self.try_unix(id);
    }

    fn try_unix(&mut self, id: ConnectionId) {
        let Some(name) = self.races.unix.get(&id) else {
            return;
        };
        match self.network.connect_unix(name, Token(id.0.to_bits())) {
            Ok(socket) => {
                self.races.unix.remove(&id);
                self.keep(id, socket, Interest::WRITE);
                if let Some(connection) = self.core.connections.get_mut(id.0) {
                    connection.facts.set(UNIX_FACTS);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let deadline = self.core.deadline(UNIX_RETRY);
                let due = Due::NextAttempt(id.0.index());
                self.core.set_own_timer(id, deadline, due);
            }
            Err(error) => self.connect_failed(id, Operation::Connect, error),
        }
    }

    fn connect_to_ip(&mut self, id: ConnectionId, address: SocketAddr) {
        match self.network.connect(address, Token(id.0.to_bits())) {
            Ok(socket) => {
                self.keep(id, socket, Interest::WRITE);
                self.start_connect_timeout(id);
            }
            Err(error) => self.connect_failed(id, Operation::Connect, error),
        }
    }

    fn start_connect_timeout(&mut self, id: ConnectionId) {
        if planted(Mutant::ConnectForever) {
            return;
        }
        let deadline = self.core.deadline(self.core.options.connect_timeout);
        self.core
            .set_own_timer(id, deadline, Due::Connect(id.0.index()));
    }

    /// A connecting socket reported something.
    pub(super) fn connecting_ready(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        match self.network.connected(connection.socket) {
            Ok(true) => self.established(id),
            Ok(false) => {
                // Nothing may be written yet, whatever the event seemed to say.
                connection.facts.clear(Facts::WRITABLE);
            }
            Err(error) => self.connect_failed(id, Operation::Connect, error),
        }
    }

    fn established(&mut self, id: ConnectionId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else {
            return;
        };
        connection.facts.move_to(Phase::Open);
        connection
            .facts
            .set(Facts::ESTABLISHED.with(Facts::WRITABLE));
        // All timers it can have so far are about connecting.
        for timer in connection.timers.take() {
            self.core.cancel_timer(timer);
        }
        self.core.stats.connected += 1;
        let above_high = |connection: &Connection| connection.facts.any(Facts::ABOVE_HIGH);
        if self.core.connections.get(id.0).is_some_and(above_high) {
            self.core.begin_patience(id);
        }
        self.opened(id);
    }

    fn begin_race(&mut self, id: ConnectionId, addresses: Vec<SocketAddr>) {
        let race = Race {
            left: addresses.into(),
            running: Vec::new(),
            failures: Vec::new(),
            next: None,
        };
        self.races.running.insert(id, race);
        self.start_connect_timeout(id);
        self.next_attempt(id);
    }

    /// Tries the next address: at the beginning, when an attempt has failed, or when its time has come.
    pub(super) fn next_attempt(&mut self, id: ConnectionId) {
        let Some(race) = self.races.running.get_mut(&id) else {
            self.try_unix(id);
            return;
        };
        if let Some(timer) = race.next.take() {
            self.core.cancel_timer(timer);
        }
        while let Some(address) = race.left.pop_front() {
            let index = self.races.attempts.vacant_key().index();
            let token = Token(FIRST_ATTEMPT + u64::from(index));
            match self.network.connect(address, token) {
                Ok(socket) => {
                    let attempt = Attempt {
                        id,
                        address,
                        socket,
                    };
                    race.running.push(self.races.attempts.insert(attempt));
                    if !race.left.is_empty() {
                        let delay = self.core.options.attempt_delay.max(ATTEMPT_DELAY_MIN);
                        let deadline = self.core.deadline(delay);
                        let due = Due::NextAttempt(id.0.index());
                        race.next = Some(self.core.set_timer(deadline, due));
                    }
                    return;
                }
                Err(error) => race.failures.push(attempt_failed(address, error)),
            }
        }
        if race.running.is_empty() {
            let error = Error::of_attempts(std::mem::take(&mut race.failures));
            self.done(id, Cause::Failed(error), Ending::Reset);
        }
    }

    /// Sockets that are not yet a connection's.
    #[cfg(test)]
    pub(crate) fn attempts(&self) -> usize {
        self.races.attempts.len()
    }

    /// The socket of an attempt reported something.
    pub(super) fn attempt_ready(&mut self, event: Event) {
        let index = (event.token.0 - FIRST_ATTEMPT) as u32;
        let attempts = &mut self.races.attempts;
        let Some(key) = attempts.key_at(index) else {
            return;
        };
        let Some(&Attempt {
            id,
            address,
            socket,
        }) = attempts.get(key)
        else {
            return;
        };
        match self.network.connected(socket) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(race) = self.races.running.get_mut(&id) {
                    race.running.retain(|&other| other != key);
                }
                self.races.attempts.remove(key);
                self.end_race(id);
                self.network.rename(socket, Token(id.0.to_bits()));
                self.keep(id, socket, Interest::WRITE);
                if let Some(connection) = self.core.connections.get_mut(id.0) {
                    connection.peer = address.into();
                    // With edge triggers the peer's first bytes may be told of in this very event.
                    connection.facts.report(event.readiness);
                }
                self.established(id);
            }
            Err(error) => {
                self.network.close(socket);
                self.races.attempts.remove(key);
                if let Some(race) = self.races.running.get_mut(&id) {
                    race.running.retain(|&other| other != key);
                    race.failures.push(attempt_failed(address, error));
                }
                self.next_attempt(id);
            }
        }
    }

    /// Gives up all attempts that are still under way for a connection, if it is tried at several addresses.
    fn end_race(&mut self, id: ConnectionId) {
        self.races.unix.remove(&id);
        let Some(race) = self.races.running.remove(&id) else {
            return;
        };
        if let Some(timer) = race.next {
            self.core.cancel_timer(timer);
        }
        for key in race.running {
            if let Some(attempt) = self.races.attempts.remove(key)
                && !planted(Mutant::AttemptsLeftOpen)
            {
                self.network.close(attempt.socket);
            }
        }
        // There may be descriptors again.
        self.resume_accepting();
    }

    /// The deadline for connecting has passed.
    pub(super) fn connect_timed_out(&mut self, id: ConnectionId) {
        let Some(race) = self.races.running.get_mut(&id) else {
            self.connect_failed(id, Operation::Connect, ErrorKind::TimedOut.into());
            return;
        };
        let attempts = &self.races.attempts;
        let running = race.running.iter().filter_map(|&key| attempts.get(key));
        let timed_out =
            running.map(|attempt| attempt_failed(attempt.address, ErrorKind::TimedOut.into()));
        race.failures.extend(timed_out);
        let error = Error::of_attempts(std::mem::take(&mut race.failures));
        self.done(id, Cause::Failed(error), Ending::Reset);
    }

    pub(super) fn connect_failed(
        &mut self,
        id: ConnectionId,
        operation: Operation,
        error: io::Error,
    ) {
        let Some(connection) = self.core.connections.get(id.0) else {
            return;
        };
        let error = Error::new(operation, Some(connection.peer.to_string()), error);
        self.done(id, Cause::Failed(error), Ending::Reset);
    }

    pub(super) fn tell_connect_failed(&mut self, id: ConnectionId, peer: &Address, cause: Cause) {
        self.end_race(id);
        self.core.stats.connect_failed += 1;
        let error = if let Cause::Failed(error) = cause {
            error
        } else {
            let given_up = io::Error::new(ErrorKind::Interrupted, "given up before it was made");
            Error::new(Operation::Connect, Some(peer.to_string()), given_up)
        };
        trace::connect_failed(id, &error);
        guarded(
            &mut self.handler,
            &mut self.core,
            id,
            Callback::ConnectFailed,
            |handler, io| handler.connect_failed(io, id, error),
        );
    }
}

fn attempt_failed(address: SocketAddr, error: io::Error) -> Error {
    Error::new(Operation::Connect, Some(address.to_string()), error)
}
