//! Peers that make no sense: random bytes, or a frame without an end.

use std::io;
use std::time::Duration;

use super::{Peer, PeerIo};

const CUT: usize = 1_000;

/// Sends bytes that mean nothing, takes whatever comes, and closes at the end of its bytes or when the other side has
/// ended: a server must neither be confused by it nor give it more room than others.
#[derive(Debug, Clone)]
pub struct Garbage {
    left: usize,
    pause: Duration,
    /// Repeated for ever; `None` stands for random bytes.
    byte: Option<u8>,
    waits: bool,
    ended: bool,
}

impl Garbage {
    /// Sends `count` random bytes, with a pause after each thousand.
    pub fn new(count: usize, pause: Duration) -> Self {
        Self {
            left: count,
            pause,
            byte: None,
            waits: false,
            ended: false,
        }
    }

    /// Sends one and the same byte all the time: a line, or a frame, without an end.
    #[must_use]
    pub fn of(mut self, byte: u8) -> Self {
        self.byte = Some(byte);
        self
    }

    fn step(&mut self, io: &mut PeerIo<'_>) {
        let mut buffer = [0; CUT];
        loop {
            match io.read(&mut buffer) {
                Ok(0) => return self.end(io),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        while self.left > 0 && !self.waits {
            let length = self.left.min(CUT);
            let bytes = match self.byte {
                Some(byte) => vec![byte; length],
                None => io.random().bytes(length),
            };
            match io.write(&bytes) {
                Ok(length) => self.left -= length,
                Err(_) => return,
            }
            if !self.pause.is_zero() {
                self.waits = true;
                return io.after(self.pause, 0);
            }
        }
        if self.left == 0 {
            self.end(io);
        }
    }

    fn end(&mut self, io: &mut PeerIo<'_>) {
        if !self.ended {
            self.ended = true;
            io.close();
        }
    }
}

impl Peer for Garbage {
    fn connected(&mut self, io: &mut PeerIo<'_>) {
        self.step(io);
    }

    fn ready(&mut self, io: &mut PeerIo<'_>) {
        self.step(io);
    }

    fn timer(&mut self, io: &mut PeerIo<'_>, _token: u64) {
        self.waits = false;
        self.step(io);
    }

    fn failed(&mut self, io: &mut PeerIo<'_>, _error: io::Error) {
        self.end(io);
    }
}
