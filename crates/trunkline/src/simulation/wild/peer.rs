//! A peer that sends numbered lines, takes what comes, and writes both down.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::super::case::{Manner, NEVER, Plan};
use super::ledger::{Entry, Ledger};
use crate::network::simulated::{Peer, PeerIo, Random, lines};

const SEND: u64 = 1;
const READ: u64 = 2;
const READ_BYTES: usize = 4096;

pub(super) struct Talker {
    plan: Plan,
    sends: Vec<u8>,
    sent: usize,
    /// Waits for the time to send more.
    pausing: bool,
    ledger: Ledger,
    address: Option<SocketAddr>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Talking,
    /// All is sent, and perhaps the end.
    Listening,
    Gone,
}

impl Talker {
    pub(super) fn new(plan: &Plan, ledger: &Ledger) -> Self {
        let numbers = &plan.numbers;
        let mut sends = lines(&mut Random::new(numbers.seed), numbers.bytes as usize);
        if plan.manner == Manner::Unfinished {
            sends.extend_from_slice(b"the end");
        }
        Self {
            plan: plan.clone(),
            sends,
            sent: 0,
            pausing: false,
            ledger: ledger.clone(),
            address: None,
            state: State::Talking,
        }
    }

    /// Whether nothing but the end of the stream makes it leave.
    fn reads_to_the_end(&self) -> bool {
        let stays = matches!(
            self.plan.manner,
            Manner::HalfClose | Manner::Unfinished | Manner::Quit
        );
        stays && self.plan.numbers.read != NEVER
    }

    fn note<T>(&self, note: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        Some(note(
            self.ledger.borrow_mut().entry(self.address?).or_default(),
        ))
    }

    fn send(&mut self, io: &mut PeerIo<'_>) {
        let numbers = &self.plan.numbers;
        let stop = match self.plan.manner {
            Manner::CloseAfter | Manner::ResetAfter | Manner::VanishAfter => {
                (numbers.part as usize).min(self.sends.len())
            }
            _ => self.sends.len(),
        };
        while self.state == State::Talking && self.sent < stop && !self.pausing {
            let cut = io.random().between(1..numbers.cut) as usize;
            let end = (self.sent + cut).min(stop);
            let length = match io.write(&self.sends[self.sent..end]) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An error is told once; after it a read only says that there is no more.
                Err(_) => return self.leave(false, io),
            };
            let sent = self.sends[self.sent..self.sent + length].to_vec();
            self.note(|entry| entry.sent.extend(sent));
            self.sent += length;
            if numbers.pause_ns > 0 && self.sent < stop {
                self.pausing = true;
                return io.after(Duration::from_nanos(numbers.pause_ns), SEND);
            }
        }
        if self.state == State::Talking && self.sent == stop {
            self.state = State::Listening;
            match self.plan.manner {
                Manner::HalfClose | Manner::Unfinished => drop(io.shutdown_write()),
                Manner::CloseAfter => self.leave(false, io),
                Manner::ResetAfter => self.leave(true, io),
                Manner::VanishAfter => {
                    self.note(|entry| entry.left = true);
                    self.state = State::Gone;
                }
                // Stays until the server ends it.
                _ => {}
            }
        }
    }

    fn leave(&mut self, reset: bool, io: &mut PeerIo<'_>) {
        self.note(|entry| entry.left = true);
        self.state = State::Gone;
        if reset {
            io.abort();
        } else {
            io.close();
        }
    }

    fn read(&mut self, io: &mut PeerIo<'_>) {
        let most = match self.plan.numbers.read {
            0 => READ_BYTES,
            NEVER => return,
            bytes => READ_BYTES.min(bytes as usize),
        };
        let mut buffer = [0; READ_BYTES];
        while self.state != State::Gone {
            let read = match io.read(&mut buffer[..most]) {
                Ok(0) => {
                    let right = self.note(|entry| entry.end()).unwrap_or(Ok(()));
                    self.judge(right, io);
                    return self.leave(false, io);
                }
                Ok(length) => self.note(|entry| entry.read(&buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.leave(false, io),
            };
            self.judge(read.unwrap_or(Ok(())), io);
            if self.plan.numbers.read > 0 {
                return io.after(
                    Duration::from_nanos(self.plan.numbers.read_pause_ns + 1),
                    READ,
                );
            }
        }
    }

    fn judge(&mut self, result: Result<(), String>, io: &mut PeerIo<'_>) {
        if let Err(wrong) = result {
            io.violation(wrong);
            self.leave(true, io);
        }
    }
}

impl Peer for Talker {
    fn connected(&mut self, io: &mut PeerIo<'_>) {
        self.address = io.local();
        let reads = self.reads_to_the_end();
        self.note(|entry| entry.reads = reads);
        self.send(io);
        self.read(io);
    }

    fn ready(&mut self, io: &mut PeerIo<'_>) {
        self.send(io);
        self.read(io);
    }

    fn timer(&mut self, io: &mut PeerIo<'_>, token: u64) {
        if token == SEND {
            self.pausing = false;
            self.send(io);
        } else {
            self.read(io);
        }
    }

    fn failed(&mut self, io: &mut PeerIo<'_>, _error: io::Error) {
        if self.state != State::Gone {
            self.leave(false, io);
        }
    }
}
