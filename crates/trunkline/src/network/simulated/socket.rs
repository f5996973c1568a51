//! [`Simulated`]: the network as the engine sees it, and the faults of its calls.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::delivery::Pending;
use super::endpoint::{Owner, Phase};
use super::errors;
use super::table::{Kind, SimulatedSocket, Table};
use super::trace::outcome;
#[cfg(test)]
use super::traffic::Way;
use super::world::{Action, Listener, State, nanoseconds};
use crate::network::{
    Address, Apart, Event, Interest, Network, Readiness, Socket, Token, Trigger, UnixAddress, Wake,
};

/// A network in memory. Made by [`World::network`](super::World::network); it ends when it is dropped, and
/// what it still holds open then is closed, as the kernel does for a process.
pub struct Simulated {
    state: Rc<RefCell<State>>,
    table: usize,
    batch: VecDeque<Pending>,
    woken: Arc<AtomicBool>,
    /// When the alarm rings, on the world's clock.
    alarm: Option<u64>,
    /// It rang in the last wait, which has not been told yet.
    rings: bool,
}

impl Simulated {
    pub(super) fn new(state: Rc<RefCell<State>>) -> Self {
        let table = {
            let mut state = state.borrow_mut();
            state.tables.push(Table::default());
            state.tables.len() - 1
        };
        Self {
            state,
            table,
            batch: VecDeque::new(),
            woken: Arc::default(),
            alarm: None,
            rings: false,
        }
    }

    /// The number of this network in its world.
    #[cfg(test)]
    pub(crate) fn number(&self) -> usize {
        self.table
    }

    /// Will the next wait end at once, because a wake came?
    #[cfg(test)]
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }

    /// Runs one call: lets it happen, then whatever is due because of it, and notes both.
    fn call<T>(
        &mut self,
        name: &str,
        about: u64,
        value: impl FnOnce(&T) -> i64,
        body: impl FnOnce(&mut State, usize) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state.borrow_mut();
        state.close_abandoned();
        let result = body(&mut state, self.table);
        let clock = state.clock();
        state
            .trace
            .call(clock, name, about, outcome(&result, value));
        state.progress += u64::from(result.is_ok());
        state.settle();
        result
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        // While a panic unwinds out of the world itself there is nothing to clean up.
        let Ok(mut state) = self.state.try_borrow_mut() else {
            return;
        };
        let open: Vec<_> = state.tables[self.table].open().collect();
        for (socket, descriptor) in open {
            state.tables[self.table].left_open +=
                usize::from(matches!(descriptor.kind, Kind::Stream(_)));
            state.tables[self.table].close(socket);
            state.release(descriptor.kind, false);
        }
    }
}

impl Network for Simulated {
    fn now(&self) -> Instant {
        self.state.borrow().now()
    }

    fn seed(&self) -> u64 {
        self.state.borrow().config.seed
    }

    fn trigger(&self) -> Trigger {
        self.state.borrow().config.trigger
    }

    fn listen(
        &mut self,
        address: SocketAddr,
        backlog: u32,
        token: Token,
    ) -> io::Result<(Socket, SocketAddr)> {
        self.call(
            "listen",
            u64::from(address.port()),
            |_| 0,
            |state, table| {
                let address = match address.port() {
                    0 => SocketAddr::new(address.ip(), state.free_listening_port()),
                    _ => address,
                };
                if state.listeners.contains_key(&address) {
                    return Err(errors::ADDRESS_IN_USE.into());
                }
                let socket = state.open(table, Kind::Listener(address), token, Interest::READ)?;
                let backlog_max = backlog.min(state.config.limits.backlog) as usize;
                state.listeners.insert(
                    address,
                    Listener {
                        backlog_max,
                        queue: VecDeque::new(),
                        make: None,
                    },
                );
                Ok((socket.into(), address))
            },
        )
    }

    fn listen_unix(
        &mut self,
        name: &UnixAddress,
        backlog: u32,
        _mode: Option<u32>,
        token: Token,
    ) -> io::Result<Socket> {
        let address = self.state.borrow_mut().address_of(name);
        Ok(self.listen(address, backlog, token)?.0)
    }

    fn accept(&mut self, listener: Socket, token: Token) -> io::Result<(Socket, Address)> {
        let listener = SimulatedSocket::from(listener);
        let value = |accepted: &(SimulatedSocket, SocketAddr)| accepted.0.bits().cast_signed();
        let accepted = self.call("accept", listener.bits(), value, |state, table| {
            state.accept(table, listener, token)
        });
        accepted.map(|(socket, peer)| (socket.into(), told(peer)))
    }

    fn accept_apart(&mut self, listener: Socket) -> io::Result<(Apart, Address)> {
        let listener = SimulatedSocket::from(listener);
        let accepted = self.call(
            "accept_apart",
            listener.bits(),
            |_| 0,
            |state, table| {
                let id = state.accept_endpoint(table, listener)?;
                let peer = state.endpoint(id).remote;
                Ok((state.ticket(id), peer))
            },
        );
        accepted.map(|(ticket, peer)| (Apart::of_simulation(ticket), told(peer)))
    }

    fn adopt(&mut self, stream: Apart, token: Token) -> io::Result<Socket> {
        let ticket = stream.into_ticket().ok_or(io::ErrorKind::InvalidInput)?;
        let value = |socket: &SimulatedSocket| socket.bits().cast_signed();
        let adopted = self.call("adopt", 0, value, |state, table| {
            let id = ticket.redeem();
            // The descriptor is there already: accepting has made it.
            state.endpoint(id).changed = true;
            Ok(state.tables[table].open_lowest(Kind::Stream(id), token, Interest::READ))
        });
        adopted.map(Into::into)
    }

    fn connect(&mut self, address: SocketAddr, token: Token) -> io::Result<Socket> {
        let value = |socket: &SimulatedSocket| socket.bits().cast_signed();
        let connected = self.call(
            "connect",
            u64::from(address.port()),
            value,
            |state, table| {
                if state.random.chance(state.config.faults.connect_failed) {
                    return Err(errors::ADDRESS_NOT_AVAILABLE.into());
                }
                let local = state.ephemeral_address(address.ip());
                let id = state.add_endpoint(Owner::Network, local, address);
                let opened = state.open(table, Kind::Stream(id), token, Interest::WRITE);
                match opened {
                    Ok(_) => state.request(id),
                    Err(_) => drop(state.endpoints.remove(&id)),
                }
                opened
            },
        );
        connected.map(Into::into)
    }

    fn connect_unix(&mut self, name: &UnixAddress, token: Token) -> io::Result<Socket> {
        let value = |socket: &SimulatedSocket| socket.bits().cast_signed();
        let connected = self.call("connect_unix", 0, value, |state, table| {
            let remote = state.address_of(name);
            let local = state.ephemeral_address(remote.ip());
            let id = state.add_endpoint(Owner::Network, local, remote);
            let opened = state
                .open(table, Kind::Stream(id), token, Interest::WRITE)
                .and_then(|socket| {
                    let met = state.connect_at_once(id, local, remote);
                    met.map(|()| socket).inspect_err(|_| {
                        state.tables[table].close(socket);
                    })
                });
            if opened.is_err() {
                state.endpoints.remove(&id);
            }
            opened
        });
        connected.map(Into::into)
    }

    fn rename(&mut self, socket: Socket, token: Token) {
        let socket = SimulatedSocket::from(socket);
        let mut state = self.state.borrow_mut();
        state.descriptor(self.table, socket, "rename").token = token;
        let clock = state.clock();
        state.trace.call(clock, "rename", socket.bits(), 0);
    }

    fn connected(&mut self, socket: Socket) -> io::Result<bool> {
        let socket = SimulatedSocket::from(socket);
        self.call(
            "connected",
            socket.bits(),
            |done| i64::from(*done),
            |state, table| {
                let id = state.stream(table, socket, "connected");
                let endpoint = state.endpoint(id);
                match endpoint.error.take() {
                    Some(error) => Err(error.into()),
                    // After both ends the kernel no longer knows a peer.
                    None => Ok(endpoint.phase == Phase::Open && !endpoint.is_over()),
                }
            },
        )
    }

    fn read(&mut self, socket: Socket, buffer: &mut [u8]) -> io::Result<usize> {
        let socket = SimulatedSocket::from(socket);
        self.call(
            "read",
            socket.bits(),
            |length: &usize| length.cast_signed() as i64,
            |state, table| {
                let id = state.stream(table, socket, "read");
                state.endpoint(id).reads.calls += 1;
                let outcome = state.read(id, buffer);
                #[cfg(test)]
                state.note_traffic(table, socket, id, Way::In, &outcome);
                outcome
            },
        )
    }

    fn write(&mut self, socket: Socket, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = SimulatedSocket::from(socket);
        self.call(
            "write",
            socket.bits(),
            |length: &usize| length.cast_signed() as i64,
            |state, table| {
                let id = state.stream(table, socket, "write");
                let outcome = state.write(id, buffers);
                #[cfg(test)]
                state.note_traffic(table, socket, id, Way::Out, &outcome);
                outcome
            },
        )
    }

    fn shutdown_write(&mut self, socket: Socket) -> io::Result<()> {
        let socket = SimulatedSocket::from(socket);
        self.call(
            "shutdown_write",
            socket.bits(),
            |()| 0,
            |state, table| {
                let id = state.stream(table, socket, "shutdown_write");
                let delay = state.latency();
                let arrives = state.clock() + delay;
                let outcome = state.endpoint(id).shutdown_write(arrives);
                #[cfg(test)]
                state.note_shutdown(table, socket, &outcome);
                outcome?;
                state.schedule(delay, Action::Arrive(id));
                Ok(())
            },
        )
    }

    fn close(&mut self, socket: Socket) {
        let socket = SimulatedSocket::from(socket);
        let _ = self.call(
            "close",
            socket.bits(),
            |()| 0,
            |state, table| {
                let kind = state.descriptor(table, socket, "close").kind;
                state.tables[table].close(socket);
                state.release(kind, false);
                Ok(())
            },
        );
    }

    fn abort(&mut self, socket: Socket) {
        let socket = SimulatedSocket::from(socket);
        let _ = self.call(
            "abort",
            socket.bits(),
            |()| 0,
            |state, table| {
                let kind = state.descriptor(table, socket, "abort").kind;
                state.tables[table].close(socket);
                state.release(kind, true);
                Ok(())
            },
        );
    }

    fn set_interest(&mut self, socket: Socket, interest: Interest) {
        let socket = SimulatedSocket::from(socket);
        let mut state = self.state.borrow_mut();
        let edge = state.config.trigger == Trigger::Edge;
        let descriptor = state.descriptor(self.table, socket, "set_interest");
        if !(edge && matches!(descriptor.kind, Kind::Stream(_))) {
            descriptor.interest = interest;
        }
        let bits = i64::from(interest.contains(Interest::READ))
            | i64::from(interest.contains(Interest::WRITE)) << 1;
        let clock = state.clock();
        state.trace.call(clock, "set_interest", socket.bits(), bits);
    }

    fn hold_reserve(&mut self) -> io::Result<()> {
        self.call(
            "hold_reserve",
            0,
            |()| 0,
            |state, table| {
                if state.tables[table].reserve.is_none() {
                    let socket = state.open(table, Kind::Reserve, Token(0), Interest::NONE)?;
                    state.tables[table].reserve = Some(socket);
                }
                Ok(())
            },
        )
    }

    fn release_reserve(&mut self) {
        let _ = self.call(
            "release_reserve",
            0,
            |()| 0,
            |state, table| {
                if let Some(socket) = state.tables[table].reserve.take() {
                    state.tables[table].close(socket);
                }
                Ok(())
            },
        );
    }

    fn set_alarm(&mut self, deadline: Option<Instant>) {
        let mut state = self.state.borrow_mut();
        let clock = state.clock();
        let now = state.now();
        self.alarm =
            deadline.map(|deadline| clock + nanoseconds(deadline.saturating_duration_since(now)));
        let about = self.alarm.unwrap_or_default();
        state.trace.call(clock, "set_alarm", about, 0);
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut state = self.state.borrow_mut();
        state.close_abandoned();
        state.settle();
        self.batch.clear();
        let timeout = timeout.map(|timeout| state.clock().saturating_add(nanoseconds(timeout)));
        let deadline = timeout.into_iter().chain(self.alarm).min();
        let result = state.wait(self.table, deadline, &mut self.batch, &self.woken);
        let clock = state.clock();
        self.rings = self.alarm.is_some_and(|alarm| alarm <= clock);
        state.trace.call(
            clock,
            "wait",
            self.batch.len() as u64,
            outcome(&result, |woken| i64::from(*woken)),
        );
        result
    }

    fn next_event(&mut self) -> Option<Event> {
        let event = self
            .state
            .borrow_mut()
            .next_event(self.table, &mut self.batch);
        event.or_else(|| {
            let rings = std::mem::take(&mut self.rings);
            rings.then_some(Event {
                token: Token::ALARM,
                readiness: Readiness::READABLE,
            })
        })
    }

    fn waker(&self) -> Wake {
        let woken = Arc::clone(&self.woken);
        Arc::new(move || woken.store(true, Ordering::SeqCst))
    }
}

/// A peer's address, as the engine is told it: clients in the Unix domain have no name.
fn told(peer: SocketAddr) -> Address {
    if State::is_unix(peer) {
        UnixAddress::unnamed().into()
    } else {
        peer.into()
    }
}
