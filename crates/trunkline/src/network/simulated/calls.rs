//! What the calls of a network do, and what goes wrong with them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::delivery::Pending;
use super::endpoint::{EndpointId, Owner, Phase};
use super::errors;
use super::table::{Kind, SimulatedSocket};
use super::world::{Action, State};
use crate::network::{Interest, Token};

impl State {
    pub(super) fn open(
        &mut self,
        table: usize,
        kind: Kind,
        token: Token,
        interest: Interest,
    ) -> io::Result<SimulatedSocket> {
        if !self.tables[table].has_room(self.config.limits.descriptors) {
            return Err(errors::OUT_OF_DESCRIPTORS.into());
        }
        Ok(self.tables[table].open_lowest(kind, token, interest))
    }

    /// The endpoint of an open socket, which lives as long as the socket.
    pub(super) fn endpoint(&mut self, id: EndpointId) -> &mut super::endpoint::Endpoint {
        self.endpoints
            .get_mut(&id)
            .expect("an open socket has an endpoint")
    }

    pub(super) fn accept(
        &mut self,
        table: usize,
        listener: SimulatedSocket,
        token: Token,
    ) -> io::Result<(SimulatedSocket, SocketAddr)> {
        let id = self.accept_endpoint(table, listener)?;
        let remote = self.endpoint(id).remote;
        let socket = self.open(table, Kind::Stream(id), token, Interest::READ)?;
        Ok((socket, remote))
    }

    /// Takes the connection at the head of the backlog.
    pub(super) fn accept_endpoint(
        &mut self,
        table: usize,
        listener: SimulatedSocket,
    ) -> io::Result<EndpointId> {
        let Kind::Listener(address) = self.descriptor(table, listener, "accept").kind else {
            panic!("simulated network: accept of stream {listener:?}");
        };
        // Like Linux: the descriptor comes first, so a full table hides an empty backlog.
        if !self.tables[table].has_room(self.config.limits.descriptors) {
            return Err(errors::OUT_OF_DESCRIPTORS.into());
        }
        self.accept_faults()?;
        let queue = self
            .listeners
            .get_mut(&address)
            .map(|listener| &mut listener.queue);
        let Some(id) = queue.and_then(VecDeque::pop_front) else {
            return Err(errors::WOULD_BLOCK.into());
        };
        if self.random.chance(self.config.faults.accept_aborted) {
            self.cut(id, false);
            self.endpoints.remove(&id);
            return Err(errors::ABORTED.into());
        }
        let endpoint = self.endpoint(id);
        endpoint.owner = Owner::Network;
        endpoint.changed = true;
        Ok(id)
    }

    pub(super) fn read(&mut self, id: EndpointId, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.read_faults(id, buffer.len())?;
        let length = self.endpoint(id).read(&mut buffer[..most])?;
        self.endpoint(id).reads.bytes += length as u64;
        self.window_opened(id);
        Ok(length)
    }

    pub(super) fn write(&mut self, id: EndpointId, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered = buffers.iter().map(|buffer| buffer.len()).sum();
        let most = self.write_faults(id, offered)?;
        let delay = self.latency();
        let arrives = self.clock() + delay;
        let length = self.endpoint(id).write(buffers, most, arrives)?;
        self.schedule(delay, Action::Arrive(id));
        Ok(length)
    }

    fn accept_faults(&mut self) -> io::Result<()> {
        if self.random.chance(self.config.faults.accept_exhausted) {
            let shortages = [
                errors::OUT_OF_DESCRIPTORS,
                errors::SYSTEM_OUT_OF_DESCRIPTORS,
                errors::OUT_OF_BUFFERS,
            ];
            return Err((*self.random.pick(&shortages)).into());
        }
        if self.random.chance(self.config.faults.would_block) {
            return Err(errors::WOULD_BLOCK.into());
        }
        Ok(())
    }

    /// Says how many bytes a read may hand over.
    fn read_faults(&mut self, id: EndpointId, wanted: usize) -> io::Result<usize> {
        let Faulty { would_block, short } = self.stream_faults(id, self.config.faults.short_read);
        if would_block {
            return Err(self.block(id));
        }
        let possible = wanted.min(self.endpoint(id).received.len());
        Ok(if short {
            self.shorten(id, possible).min(wanted)
        } else {
            wanted
        })
    }

    /// Says how many bytes a write may take.
    fn write_faults(&mut self, id: EndpointId, offered: usize) -> io::Result<usize> {
        if self.random.chance(self.config.faults.broken_pipe) {
            self.cut(id, true);
        }
        let Faulty { would_block, short } = self.stream_faults(id, self.config.faults.short_write);
        if would_block {
            return Err(self.block(id));
        }
        let possible = offered.min(self.endpoint(id).room());
        Ok(if short {
            self.shorten(id, possible)
        } else {
            usize::MAX
        })
    }

    fn stream_faults(&mut self, id: EndpointId, short: f64) -> Faulty {
        if self.random.chance(self.config.faults.early_arrival) {
            self.hurry(id);
        }
        if self.random.chance(self.config.faults.reset) {
            self.cut(id, false);
        }
        let would_block = self.endpoints[&id].phase == Phase::Open
            && self.random.chance(self.config.faults.would_block);
        Faulty {
            would_block,
            short: self.random.chance(short),
        }
    }

    /// "Would block" for no reason: as if the reason came and went, so the way out is reported as a change.
    fn block(&mut self, id: EndpointId) -> io::Error {
        self.endpoint(id).changed = true;
        errors::WOULD_BLOCK.into()
    }

    /// Fewer bytes than possible: as if the rest became possible just afterwards, which is a change.
    /// (An engine may take a short read under an edge trigger for "drained".)
    fn shorten(&mut self, id: EndpointId, possible: usize) -> usize {
        if possible < 2 {
            return usize::MAX;
        }
        self.endpoint(id).changed = true;
        1 + self.random.index(possible - 1)
    }

    pub(super) fn wait(
        &mut self,
        table: usize,
        deadline: Option<u64>,
        batch: &mut VecDeque<Pending>,
        woken: &AtomicBool,
    ) -> io::Result<bool> {
        if self.random.chance(self.config.faults.empty_wait) {
            return Ok(woken.swap(false, Ordering::SeqCst));
        }
        self.leap();
        loop {
            self.collect(table, batch);
            let woken = woken.swap(false, Ordering::SeqCst);
            if woken || !batch.is_empty() {
                return self.not_spinning(table).map(|()| woken);
            }
            match (self.next_time(), deadline) {
                (Some(next), _) if deadline.is_none_or(|deadline| next <= deadline) => {
                    self.move_clock(next);
                }
                (_, Some(deadline)) => {
                    self.sleep_until(deadline);
                    return Ok(false);
                }
                (_, None) => {
                    return Err(io::Error::other(
                        "simulated network: nothing can ever happen again",
                    ));
                }
            }
        }
    }

    fn not_spinning(&mut self, table: usize) -> io::Result<()> {
        if self.spins(table, true) {
            return Err(io::Error::other("simulated network: the loop spins"));
        }
        Ok(())
    }

    /// The machine sleeps for a while, and nobody in it notices but by the clock.
    fn leap(&mut self) {
        if self.random.chance(self.config.faults.leap) {
            let nanoseconds = self.random.below(100_000_000_000);
            self.leapt += nanoseconds;
            self.move_clock(self.clock().saturating_add(nanoseconds));
        }
    }

    fn sleep_until(&mut self, deadline: u64) {
        // Who does not sleep does not oversleep.
        let sleeps = deadline > self.clock();
        let late = if sleeps && self.random.chance(self.config.faults.oversleep) {
            self.random.below(50_000_000)
        } else {
            0
        };
        self.overslept += late;
        self.move_clock(deadline.saturating_add(late));
    }
}

/// What goes wrong with one call on a stream.
struct Faulty {
    would_block: bool,
    short: bool,
}
