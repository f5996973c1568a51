//! What a wait reports: readiness derived from the state of the sockets, and the faults of reporting.

use std::collections::VecDeque;

use super::endpoint::Polled;
use super::table::{Descriptor, Kind, SimulatedSocket};
use super::world::State;
use crate::network::{Event, Interest, Trigger};

/// This many reports in a row without anything achieved mean that the caller spins.
const VAIN_WAITS_MAX: u32 = 1_000;

/// An event that was found and not yet handed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    socket: SimulatedSocket,
    polled: Polled,
}

impl State {
    /// Finds what is ready, and lets the faults at it.
    pub(super) fn collect(&mut self, table: usize, batch: &mut VecDeque<Pending>) {
        batch.clear();
        let open: Vec<_> = self.tables[table].open().collect();
        // One at most: with one for each of many streams no wait would ever sleep, and no time pass.
        let extra = self.random.chance(self.config.faults.extra_edge);
        let extra = (extra && !open.is_empty()).then(|| self.random.index(open.len()));
        if let Some((_, descriptor)) = extra.map(|index| open[index])
            && let Kind::Stream(id) = descriptor.kind
            && let Some(endpoint) = self.endpoints.get_mut(&id)
        {
            endpoint.changed = true;
        }
        for (socket, descriptor) in &open {
            if let Some(polled) = self.ready(descriptor) {
                batch.push_back(Pending {
                    socket: *socket,
                    polled,
                });
            }
        }
        self.add_spurious(&open, batch);
        if self.random.chance(self.config.faults.reordered) {
            self.random.shuffle(batch.make_contiguous());
        }
        if batch.len() > 1 && self.random.chance(self.config.faults.one_event) {
            batch.swap(0, self.random.index(batch.len()));
            batch.truncate(1);
        }
        if !batch.is_empty() && self.random.chance(self.config.faults.doubled) {
            batch.push_back(batch[self.random.index(batch.len())]);
        }
        for pending in batch.iter() {
            self.reported(table, pending.socket);
        }
    }

    /// Whether this descriptor is to be reported now, and for what.
    fn ready(&self, descriptor: &Descriptor) -> Option<Polled> {
        let polled = match descriptor.kind {
            Kind::Reserve => return None,
            Kind::Listener(address) => {
                let waiting = self
                    .listeners
                    .get(&address)
                    .is_some_and(|listener| !listener.queue.is_empty());
                waiting.then(Polled::input)?
            }
            Kind::Stream(id) => {
                let edge = self.config.trigger == Trigger::Edge;
                let endpoint = self.endpoints.get(&id)?;
                if edge && !endpoint.changed {
                    return None;
                }
                endpoint.poll()
            }
        };
        polled.readiness(self.interest(descriptor)).map(|_| polled)
    }

    /// Under an edge trigger streams are reported for everything, whatever their interest.
    fn interest(&self, descriptor: &Descriptor) -> Interest {
        match (descriptor.kind, self.config.trigger) {
            (Kind::Stream(_), Trigger::Edge) => Interest::READ | Interest::WRITE,
            _ => descriptor.interest,
        }
    }

    /// An edge is used up only by the report: what a fault has cut from the batch comes again.
    fn reported(&mut self, table: usize, socket: SimulatedSocket) {
        let Some(Kind::Stream(id)) = self.tables[table]
            .get(socket)
            .map(|descriptor| descriptor.kind)
        else {
            return;
        };
        if let Some(endpoint) = self.endpoints.get_mut(&id) {
            endpoint.changed = false;
            endpoint.starved |= !endpoint.is_roomy();
        }
    }

    fn add_spurious(
        &mut self,
        open: &[(SimulatedSocket, Descriptor)],
        batch: &mut VecDeque<Pending>,
    ) {
        if open.is_empty() || !self.random.chance(self.config.faults.spurious) {
            return;
        }
        let (socket, descriptor) = *self.random.pick(open);
        let polled = Polled::spurious();
        let possible = !matches!(descriptor.kind, Kind::Reserve)
            && polled.readiness(self.interest(&descriptor)).is_some()
            && batch.iter().all(|pending| pending.socket != socket);
        // It swallows no real edge: whoever has one is in the batch already.
        if possible {
            batch.push_back(Pending { socket, polled });
        }
    }

    /// The next event whose socket is still the same one and still wants it.
    pub(super) fn next_event(
        &mut self,
        table: usize,
        batch: &mut VecDeque<Pending>,
    ) -> Option<Event> {
        loop {
            let pending = batch.pop_front()?;
            let Some(descriptor) = self.tables[table].get(pending.socket).copied() else {
                continue;
            };
            if let Some(readiness) = pending.polled.readiness(self.interest(&descriptor)) {
                let about = pending.socket.bits();
                self.trace.call(
                    self.clock(),
                    "event",
                    about,
                    i64::from(pending.polled.bits()),
                );
                return Some(Event {
                    token: descriptor.token,
                    readiness,
                });
            }
        }
    }

    /// Counts the reports that lead nowhere. Says whether the caller spins.
    pub(super) fn spins(&mut self, table: usize, reported: bool) -> bool {
        let progress = self.progress;
        let table = &mut self.tables[table];
        let vain = reported && table.progress_seen == progress;
        table.vain_waits = if vain { table.vain_waits + 1 } else { 0 };
        table.progress_seen = progress;
        if table.vain_waits < VAIN_WAITS_MAX {
            return false;
        }
        table.vain_waits = 0;
        self.violation(format!("the loop spins: {VAIN_WAITS_MAX} waits reported readiness and nothing was done about it"));
        true
    }
}
