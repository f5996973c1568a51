//! A network's descriptors: the lowest free number is the next one, so numbers come back at once, and
//! whoever holds on to an old one is found out.

use std::fmt;
use std::net::SocketAddr;

use super::endpoint::EndpointId;
use super::world::State;
use crate::network::{Interest, Socket, Token};

/// 0, 1 and 2 are taken in every process.
const FIRST_NUMBER: usize = 3;

/// A socket of a simulated network. The number is used again after a close, the serial number never is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SimulatedSocket {
    number: u32,
    serial: u32,
}

impl SimulatedSocket {
    /// The descriptor number.
    pub fn number(self) -> u32 {
        self.number
    }

    pub(super) fn bits(self) -> u64 {
        u64::from(self.serial) << 32 | u64::from(self.number)
    }
}

impl From<Socket> for SimulatedSocket {
    fn from(socket: Socket) -> Self {
        Self {
            number: socket.0 as u32,
            serial: (socket.0 >> 32) as u32,
        }
    }
}

impl From<SimulatedSocket> for Socket {
    fn from(socket: SimulatedSocket) -> Self {
        Self(socket.bits())
    }
}

impl fmt::Debug for SimulatedSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.number, self.serial)
    }
}

/// What a descriptor stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Held for the time when there are none left.
    Reserve,
    /// Listens at this address.
    Listener(SocketAddr),
    /// One end of a connection.
    Stream(EndpointId),
}

/// An open descriptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptor {
    serial: u32,
    pub(super) kind: Kind,
    pub(super) token: Token,
    pub(super) interest: Interest,
}

/// All descriptors of one network.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Descriptor>>,
    serial: u32,
    pub(super) reserve: Option<SimulatedSocket>,
    /// Streams still open when the network was dropped.
    pub(super) left_open: usize,
    /// Waits that reported something although nothing was achieved since the one before.
    pub(super) vain_waits: u32,
    pub(super) progress_seen: u64,
}

impl Table {
    /// Whether one more descriptor is within `limit`.
    pub(super) fn has_room(&self, limit: usize) -> bool {
        self.open().count() < limit
    }

    /// Opens the lowest free number.
    pub(super) fn open_lowest(
        &mut self,
        kind: Kind,
        token: Token,
        interest: Interest,
    ) -> SimulatedSocket {
        self.serial += 1;
        let descriptor = Descriptor {
            serial: self.serial,
            kind,
            token,
            interest,
        };
        let index = self
            .slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.slots.len());
        if index == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[index] = Some(descriptor);
        SimulatedSocket {
            number: (index + FIRST_NUMBER) as u32,
            serial: self.serial,
        }
    }

    fn slot(&mut self, socket: SimulatedSocket) -> Option<&mut Option<Descriptor>> {
        let slot = self.slots.get_mut(socket.number as usize - FIRST_NUMBER)?;
        slot.is_some_and(|descriptor| descriptor.serial == socket.serial)
            .then_some(slot)
    }

    /// The descriptor, if it is still the one that `socket` names.
    pub(super) fn get(&mut self, socket: SimulatedSocket) -> Option<&mut Descriptor> {
        self.slot(socket).and_then(Option::as_mut)
    }

    pub(super) fn close(&mut self, socket: SimulatedSocket) -> Option<Descriptor> {
        self.slot(socket).and_then(Option::take)
    }

    /// Everything open, by number.
    pub(super) fn open(&self) -> impl Iterator<Item = (SimulatedSocket, Descriptor)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let descriptor = (*slot)?;
            let number = (index + FIRST_NUMBER) as u32;
            Some((
                SimulatedSocket {
                    number,
                    serial: descriptor.serial,
                },
                descriptor,
            ))
        })
    }
}

impl State {
    /// The descriptor that `socket` names.
    ///
    /// # Panics
    /// When it was closed: its number may already be somebody else's, so the caller has a bug.
    pub(super) fn descriptor(
        &mut self,
        table: usize,
        socket: SimulatedSocket,
        call: &str,
    ) -> &mut Descriptor {
        if self.tables[table].get(socket).is_none() {
            let text = format!("{call} of socket {socket:?}, which is closed");
            self.violation(text.as_str());
            panic!("simulated network: {text}");
        }
        self.tables[table].get(socket).expect("just looked up")
    }

    /// The endpoint behind a stream.
    ///
    /// # Panics
    /// When `socket` was closed or is a listener.
    pub(super) fn stream(
        &mut self,
        table: usize,
        socket: SimulatedSocket,
        call: &str,
    ) -> EndpointId {
        match self.descriptor(table, socket, call).kind {
            Kind::Stream(endpoint) => endpoint,
            Kind::Listener(_) | Kind::Reserve => {
                panic!("simulated network: {call} of listener {socket:?}")
            }
        }
    }

    /// Releases what a closed descriptor stood for.
    pub(super) fn release(&mut self, kind: Kind, reset: bool) {
        match kind {
            Kind::Reserve => {}
            Kind::Stream(endpoint) if reset => self.abort_endpoint(endpoint),
            Kind::Stream(endpoint) => self.close_endpoint(endpoint),
            Kind::Listener(address) => {
                let listener = self.listeners.remove(&address);
                for endpoint in listener.into_iter().flat_map(|listener| listener.queue) {
                    // The kernel resets what nobody has accepted; its peers lose what they have sent.
                    if let Some(other) = self
                        .endpoints
                        .get(&endpoint)
                        .and_then(|endpoint| endpoint.other)
                    {
                        self.injured.insert(other);
                    }
                    self.abort_endpoint(endpoint);
                }
            }
        }
    }
}
