//! What went over each socket and when, for the simulation's models to look at: only in this crate's own tests.

use std::io;

use super::endpoint::EndpointId;
use super::table::SimulatedSocket;
use super::world::State;

/// What a network has read from a socket of its own, and written to it. Times are the world's nanoseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    /// When bytes were read, and how many had been by then.
    pub(crate) reads: Vec<(u64, u64)>,
    /// When bytes were written, and how many had been by then.
    pub(crate) writes: Vec<(u64, u64)>,
    /// When a read last said "would block", and nothing was there.
    pub(crate) empty_at: Option<u64>,
    /// When a write last said "would block", and no room was there.
    pub(crate) full_at: Option<u64>,
    /// A call said that the connection is broken.
    pub(crate) broken: bool,
}

/// Which way a call went.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    In,
    Out,
}

impl State {
    /// Notes the outcome of ending a stream.
    pub(super) fn note_shutdown(
        &mut self,
        table: usize,
        socket: SimulatedSocket,
        outcome: &io::Result<()>,
    ) {
        let traffic = self.traffic.entry((table, socket.bits())).or_default();
        traffic.broken |= outcome.is_err();
    }

    /// Notes the outcome of a read or a write.
    pub(super) fn note_traffic(
        &mut self,
        table: usize,
        socket: SimulatedSocket,
        id: EndpointId,
        way: Way,
        outcome: &io::Result<usize>,
    ) {
        let now = self.clock();
        let endpoint = self.endpoints.get(&id);
        let empty = endpoint.is_none_or(|endpoint| endpoint.received.is_empty());
        let full =
            endpoint.is_none_or(|endpoint| endpoint.outgoing.len() >= endpoint.send_max.max(1));
        let traffic = self.traffic.entry((table, socket.bits())).or_default();
        let (log, blocked_at, truly) = match way {
            Way::In => (&mut traffic.reads, &mut traffic.empty_at, empty),
            Way::Out => (&mut traffic.writes, &mut traffic.full_at, full),
        };
        match outcome {
            Ok(0) => {}
            Ok(count) => {
                let before = log.last().map_or(0, |&(_, bytes)| bytes);
                log.push((now, before + *count as u64));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if truly {
                    *blocked_at = Some(now);
                }
            }
            Err(_) => traffic.broken = true,
        }
    }
}
