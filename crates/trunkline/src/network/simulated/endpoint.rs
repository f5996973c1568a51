//! One end of a simulated TCP connection: its buffers, its state, and what the kernel would answer.
//!
//! The answers and the readiness follow Linux (`tcp_poll`, `tcp_recvmsg`, `tcp_sendmsg`, `tcp_reset`); the
//! fidelity test compares them with the real thing. Nothing here knows the time or the other end.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use super::errors::{self, Errno};
use crate::network::{Interest, Readiness};

/// Names an endpoint; never used twice in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EndpointId(pub(super) u64);

/// Who holds an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A network's socket.
    Network,
    /// A scripted peer.
    Peer(u64),
    /// Nobody yet: it waits in a backlog.
    Backlog,
    /// Nobody any more: it was closed and only delivers what it still has.
    Nobody,
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The answer to our connection request is not here.
    Connecting,
    /// Bytes may flow.
    Open,
    /// Refused or reset.
    Dead,
}

/// One direction's end-of-stream mark, as its sender sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// Not sent.
    NotYet,
    /// Sent behind the last byte; it cannot arrive before this time.
    OnItsWay(u64),
    /// The other end has it.
    Arrived,
}

/// Bytes on their way that cannot arrive before a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) arrives: u64,
    pub(super) length: usize,
}

/// The readiness bits of `poll(2)` that occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Polled(u8);

impl Polled {
    const IN: u8 = 1;
    const OUT: u8 = 2;
    const HUP: u8 = 4;
    const RDHUP: u8 = 8;
    const ERR: u8 = 16;

    /// What a listener with somebody in its backlog says.
    pub(super) fn input() -> Self {
        Self(Self::IN)
    }

    /// What an event for no reason says.
    pub(super) fn spurious() -> Self {
        Self(Self::IN | Self::OUT)
    }

    /// The bits, for the trace.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    /// What remains for `interest`, by the same table as on every selector mechanism.
    pub(super) fn readiness(self, interest: Interest) -> Option<Readiness> {
        let has = |bits: u8| self.0 & bits != 0;
        let read = interest.contains(Interest::READ);
        let write = interest.contains(Interest::WRITE);
        let table = [
            (
                read && has(Self::IN | Self::HUP | Self::ERR | Self::RDHUP),
                Readiness::READABLE,
            ),
            (
                write && has(Self::OUT | Self::HUP | Self::ERR),
                Readiness::WRITABLE,
            ),
            (read && has(Self::RDHUP | Self::HUP), Readiness::READ_CLOSED),
            (write && has(Self::HUP), Readiness::WRITE_CLOSED),
            (!interest.is_empty() && has(Self::ERR), Readiness::ERROR),
        ];
        table
            .iter()
            .filter(|(applies, _)| *applies)
            .map(|(_, readiness)| *readiness)
            .reduce(|all, one| all | one)
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) owner: Owner,
    pub(super) phase: Phase,
    /// The other end, once there is one. It may be gone.
    pub(super) other: Option<EndpointId>,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Arrived and not read.
    pub(super) received: VecDeque<u8>,
    pub(super) receive_max: usize,
    /// Written and not arrived.
    pub(super) outgoing: VecDeque<u8>,
    pub(super) send_max: usize,
    /// How `outgoing` is cut on its way.
    pub(super) segments: VecDeque<Segment>,
    pub(super) finish: Finish,
    /// The other end's end-of-stream mark is here.
    pub(super) ended: bool,
    /// A pending error, told once.
    pub(super) error: Option<Errno>,
    /// A write found no room: room is a change to report (`SOCK_NOSPACE`).
    pub(super) starved: bool,
    /// Something has changed since the last report: what an edge trigger reports.
    pub(super) changed: bool,
    /// How often its owner read, and how many bytes that gave.
    pub(super) reads: Reads,
}

/// What a socket's owner has read from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
}

impl Endpoint {
    /// An endpoint at `local` that talks to `remote`, with buffers of `send_max` and `receive_max` bytes.
    pub(super) fn new(
        owner: Owner,
        local: SocketAddr,
        remote: SocketAddr,
        send_max: usize,
        receive_max: usize,
    ) -> Self {
        Self {
            owner,
            phase: Phase::Connecting,
            other: None,
            local,
            remote,
            received: VecDeque::new(),
            receive_max,
            outgoing: VecDeque::new(),
            send_max,
            segments: VecDeque::new(),
            finish: Finish::NotYet,
            ended: false,
            error: None,
            starved: false,
            changed: true,
            reads: Reads::default(),
        }
    }

    /// Both directions have ended in order: nothing the other end does matters any more.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.finish == Finish::Arrived
    }

    /// Room for bytes that arrive.
    pub(super) fn receive_room(&self) -> usize {
        self.receive_max.saturating_sub(self.received.len())
    }

    /// How many bytes a write may take.
    pub(super) fn room(&self) -> usize {
        self.send_max.saturating_sub(self.outgoing.len())
    }

    /// Room enough to be called writable: like Linux, a third of the buffer, not the first free byte.
    pub(super) fn is_roomy(&self) -> bool {
        let free = self.room();
        free > 0 && free >= self.outgoing.len() / 2
    }

    /// What `poll(2)` would say.
    pub(super) fn poll(&self) -> Polled {
        let dead = self.phase == Phase::Dead;
        let read_shut = self.ended || dead;
        let write_shut = self.finish != Finish::NotYet || dead;
        let mut bits = 0;
        if read_shut {
            bits |= Polled::IN | Polled::RDHUP;
        }
        if read_shut && write_shut {
            bits |= Polled::HUP;
        }
        if self.phase != Phase::Connecting {
            if !self.received.is_empty() {
                bits |= Polled::IN;
            }
            if write_shut || self.is_roomy() {
                bits |= Polled::OUT;
            }
        }
        if self.error.is_some() {
            bits |= Polled::ERR;
        }
        Polled(bits)
    }

    /// `read(2)`. What has arrived comes before the end of the stream, and that before a pending error.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if !self.received.is_empty() {
            return io::Read::read(&mut self.received, buffer).map(|first| {
                // A ring has two halves; the second continues the first.
                first + io::Read::read(&mut self.received, &mut buffer[first..]).unwrap_or(0)
            });
        }
        if self.ended {
            return Ok(0);
        }
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        if self.phase == Phase::Dead {
            Ok(0)
        } else {
            Err(errors::WOULD_BLOCK.into())
        }
    }

    /// `writev(2)` of at most `most` bytes, which cannot arrive before `arrives`.
    pub(super) fn write(
        &mut self,
        buffers: &[IoSlice<'_>],
        most: usize,
        arrives: u64,
    ) -> io::Result<usize> {
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        if self.phase == Phase::Dead || self.finish != Finish::NotYet {
            return Err(errors::BROKEN_PIPE.into());
        }
        if self.phase == Phase::Connecting {
            return Err(errors::WOULD_BLOCK.into());
        }
        let offered: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let room = self.room();
        self.starved |= offered > room;
        if offered > 0 && room == 0 {
            return Err(errors::WOULD_BLOCK.into());
        }
        let length = offered.min(room).min(most);
        self.outgoing
            .extend(buffers.iter().flat_map(|buffer| buffer.iter()).take(length));
        self.push_segment(Segment { arrives, length });
        Ok(length)
    }

    /// Segments never overtake each other.
    fn push_segment(&mut self, mut segment: Segment) {
        if segment.length == 0 {
            return;
        }
        if let Some(last) = self.segments.back_mut() {
            segment.arrives = segment.arrives.max(last.arrives);
            if last.arrives == segment.arrives {
                last.length += segment.length;
                return;
            }
        }
        self.segments.push_back(segment);
    }

    /// `shutdown(SHUT_WR)`; the mark cannot arrive before `arrives`.
    pub(super) fn shutdown_write(&mut self, arrives: u64) -> io::Result<()> {
        // Linux wakes whoever polls, even when the call fails.
        self.changed = true;
        if self.phase != Phase::Open || self.is_over() {
            return Err(errors::NOT_CONNECTED.into());
        }
        if self.finish == Finish::NotYet {
            self.finish = Finish::OnItsWay(arrives);
        }
        Ok(())
    }

    /// A reset arrives, or the connection request fails. Says whether it changed anything.
    pub(super) fn reset(&mut self, refusal: Errno) -> bool {
        if self.phase == Phase::Dead || self.is_over() {
            return false;
        }
        self.error = Some(match self.phase {
            Phase::Connecting => refusal,
            // Linux: a reset after the end of the stream is a broken pipe.
            _ if self.ended => errors::BROKEN_PIPE,
            _ => errors::RESET,
        });
        self.die();
        true
    }

    /// Nothing can be sent any more; what has arrived can still be read.
    pub(super) fn die(&mut self) {
        self.phase = Phase::Dead;
        self.outgoing.clear();
        self.segments.clear();
        self.changed = true;
    }
}
