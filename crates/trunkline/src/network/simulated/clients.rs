//! Ready-made peers: a client of an echo server that checks every byte, with good and bad manners, and an
//! echo server.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::{Peer, PeerIo, Random};

const SEND: u64 = 1;
const READ: u64 = 2;
const READ_BYTES: usize = 4096;

/// How a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Everything, at once.
    Eager,
    /// At most so many bytes at a time, with a pause after each.
    Slow {
        /// Bytes at a time.
        bytes: usize,
        /// The pause.
        pause: Duration,
    },
    /// Nothing, ever.
    Never,
}

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Closes when it has sent everything and got everything back.
    Close,
    /// Ends its stream when it has sent everything, and closes at the end of the other stream.
    HalfClose,
    /// Sends everything, and closes when the other side has ended its stream: the other side decides.
    WhenClosed,
    /// Closes when it has sent so many bytes, whatever it got.
    CloseAfter(usize),
    /// Resets when it has sent so many bytes.
    ResetAfter(usize),
    /// When it has sent so many bytes it falls silent and never does anything again: a cable is cut.
    VanishAfter(usize),
}

/// A client of an echo server: sends bytes in random cuts, and checks every byte that comes back.
#[derive(Debug, Clone)]
pub struct EchoClient {
    sends: Vec<u8>,
    expects: Vec<u8>,
    cuts: Range<u64>,
    pause: Duration,
    reading: Reading,
    ending: Ending,
    lenient: bool,
    sent: usize,
    got: usize,
    finished: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Talking,
    /// The own stream is ended.
    Ended,
    /// Closed, reset, vanished or failed.
    Gone,
}

impl EchoClient {
    /// A client that sends `bytes` in one cut, reads eagerly, and closes when it has everything back.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let sends = bytes.into();
        Self {
            expects: sends.clone(),
            cuts: sends.len().max(1) as u64..sends.len() as u64 + 2,
            sends,
            pause: Duration::ZERO,
            reading: Reading::Eager,
            ending: Ending::Close,
            lenient: false,
            sent: 0,
            got: 0,
            finished: false,
            state: State::Waiting,
        }
    }

    /// Expects other bytes back than it sends.
    #[must_use]
    pub fn expecting(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.expects = bytes.into();
        self
    }

    /// Sends cuts of a random length in `lengths`, with a pause after each.
    #[must_use]
    pub fn in_cuts(mut self, lengths: Range<u64>, pause: Duration) -> Self {
        self.cuts = lengths.start.max(1)..lengths.end;
        self.pause = pause;
        self
    }

    /// Reads otherwise than eagerly.
    #[must_use]
    pub fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// Leaves otherwise than with a close at the end.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// May be refused or cut off by the other side at any time: only wrong bytes are a violation.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// A client with manners that follow from `random`, good ones as often as bad ones. Its stream has at most
    /// `bytes_max` bytes, in lines of ASCII letters.
    pub fn random(random: &mut Random, bytes_max: usize) -> Self {
        let bytes = lines(random, bytes_max);
        let part = random.index(bytes.len() + 1);
        let slow = Reading::Slow {
            bytes: 1 + random.index(100),
            pause: Duration::from_micros(random.below(3000)),
        };
        let longest = *random.pick(&[2, 10, 1000, 10_000]);
        let pause = Duration::from_micros(*random.pick(&[0, 1, 100, 30_000]));
        let client = Self::new(bytes).in_cuts(1..longest, pause);
        match random.below(10) {
            0..=2 => client,
            3 | 4 => client.ending(Ending::HalfClose),
            5 => client.ending(Ending::HalfClose).reading(slow),
            6 => client.reading(slow),
            7 => client.ending(Ending::CloseAfter(part)).lenient(),
            8 => client
                .ending(Ending::ResetAfter(part))
                .reading(*random.pick(&[Reading::Eager, Reading::Never]))
                .lenient(),
            _ => client
                .ending(Ending::VanishAfter(part))
                .reading(*random.pick(&[slow, Reading::Never]))
                .lenient(),
        }
    }

    /// Whether it may hold its connection for ever: it falls silent without a word, or never reads, so that
    /// neither side can send any more. Only a deadline frees what it holds.
    pub fn may_hang(&self) -> bool {
        matches!(self.ending, Ending::VanishAfter(_)) || self.reading == Reading::Never
    }

    fn step(&mut self, io: &mut PeerIo<'_>) {
        self.send(io);
        self.read(io);
        self.leave_if_done(io);
    }

    fn send(&mut self, io: &mut PeerIo<'_>) {
        let stop = match self.ending {
            Ending::CloseAfter(stop) | Ending::ResetAfter(stop) | Ending::VanishAfter(stop) => {
                stop.min(self.sends.len())
            }
            Ending::Close | Ending::HalfClose | Ending::WhenClosed => self.sends.len(),
        };
        while self.state == State::Talking && self.sent < stop {
            let cut = io.random().between(self.cuts.clone()) as usize;
            let end = (self.sent + cut).min(stop);
            match io.write(&self.sends[self.sent..end]) {
                Ok(length) => self.sent += length,
                // Room is a change, so `ready` follows; an error is told by `failed` or by the end.
                Err(_) => return,
            }
            if !self.pause.is_zero() && self.sent < stop {
                return io.after(self.pause, SEND);
            }
        }
        if self.state == State::Talking && self.sent == stop {
            self.leave(io);
        }
    }

    /// Everything that was to be sent is sent.
    fn leave(&mut self, io: &mut PeerIo<'_>) {
        match self.ending {
            Ending::Close | Ending::WhenClosed => return,
            Ending::HalfClose => {
                self.state = State::Ended;
                let _ = io.shutdown_write();
                return;
            }
            Ending::CloseAfter(_) => io.close(),
            Ending::ResetAfter(_) => io.abort(),
            Ending::VanishAfter(_) => {}
        }
        self.finished = true;
        self.state = State::Gone;
    }

    fn read(&mut self, io: &mut PeerIo<'_>) {
        let most = match self.reading {
            Reading::Eager => READ_BYTES,
            Reading::Slow { bytes, .. } => bytes.clamp(1, READ_BYTES),
            Reading::Never => return,
        };
        let mut buffer = [0; READ_BYTES];
        while matches!(self.state, State::Talking | State::Ended) {
            match io.read(&mut buffer[..most]) {
                Ok(0) => return self.end_of_stream(io),
                Ok(length) => self.check(io, &buffer[..length]),
                Err(_) => return,
            }
            if let Reading::Slow { pause, .. } = self.reading {
                return io.after(pause.max(Duration::from_nanos(1)), READ);
            }
        }
    }

    fn check(&mut self, io: &mut PeerIo<'_>, bytes: &[u8]) {
        let expected = self.expects.get(self.got..self.got + bytes.len());
        if expected != Some(bytes) {
            io.violation(format!(
                "wrong bytes after {} of {} good ones: {bytes:?}",
                self.got,
                self.expects.len()
            ));
            self.state = State::Gone;
            return io.abort();
        }
        // Only an echo can be compared with what was sent so far.
        if self.expects == self.sends && self.got + bytes.len() > self.sent {
            io.violation(format!(
                "got {} bytes back, sent only {}",
                self.got + bytes.len(),
                self.sent
            ));
        }
        self.got += bytes.len();
    }

    fn end_of_stream(&mut self, io: &mut PeerIo<'_>) {
        let in_time = self.state == State::Ended || self.ending == Ending::WhenClosed;
        self.finished = in_time && self.got == self.expects.len();
        self.state = State::Gone;
        io.close();
    }

    fn leave_if_done(&mut self, io: &mut PeerIo<'_>) {
        let done = self.sent == self.sends.len() && self.got == self.expects.len();
        if self.state == State::Talking && self.ending == Ending::Close && done {
            self.finished = true;
            self.state = State::Gone;
            io.close();
        }
    }
}

impl Peer for EchoClient {
    fn connected(&mut self, io: &mut PeerIo<'_>) {
        self.state = State::Talking;
        self.step(io);
    }

    fn ready(&mut self, io: &mut PeerIo<'_>) {
        self.step(io);
    }

    fn timer(&mut self, io: &mut PeerIo<'_>, token: u64) {
        match token {
            SEND => self.send(io),
            _ => self.read(io),
        }
        self.leave_if_done(io);
    }

    fn failed(&mut self, io: &mut PeerIo<'_>, _error: io::Error) {
        // What had arrived before the reset still counts.
        if self.reading != Reading::Never && self.state != State::Gone {
            self.reading = Reading::Eager;
            self.read(io);
            self.leave_if_done(io);
        }
        self.state = State::Gone;
        io.close();
    }

    fn at_rest(&self, injured: bool) -> Result<(), String> {
        if self.finished || self.lenient || injured {
            return Ok(());
        }
        Err(format!(
            "sent {} of {} bytes and got {} of {} back, then {}",
            self.sent,
            self.sends.len(),
            self.got,
            self.expects.len(),
            if self.state == State::Gone {
                "the other side ended it"
            } else {
                "nothing more came"
            },
        ))
    }
}

/// Lines of random ASCII letters, at most `bytes_max` bytes and at least one line.
pub fn lines(random: &mut Random, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let target = random.index(bytes_max.max(1));
    loop {
        let longest = *random.pick(&[1, 4, 40, 400]);
        let length = random.index(longest).min(bytes_max);
        bytes.extend((0..length).map(|_| b'a' + random.below(26) as u8));
        bytes.push(b'\n');
        if bytes.len() >= target {
            return bytes;
        }
    }
}

/// A server that sends back what it gets, and closes at the end of the stream.
#[derive(Debug, Clone, Default)]
pub struct EchoServer {
    waiting: Vec<u8>,
    ended: bool,
}

impl EchoServer {
    /// An echo server for one connection.
    pub fn new() -> Self {
        Self::default()
    }

    fn step(&mut self, io: &mut PeerIo<'_>) {
        let mut buffer = [0; READ_BYTES];
        loop {
            while let Some(length) = io.write(&self.waiting).ok().filter(|length| *length > 0) {
                self.waiting.drain(..length);
            }
            if !self.waiting.is_empty() {
                return;
            }
            if self.ended {
                return io.close();
            }
            match io.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(length) => self.waiting.extend_from_slice(&buffer[..length]),
                Err(_) => return,
            }
        }
    }
}

impl Peer for EchoServer {
    fn connected(&mut self, io: &mut PeerIo<'_>) {
        self.step(io);
    }

    fn ready(&mut self, io: &mut PeerIo<'_>) {
        self.step(io);
    }

    fn failed(&mut self, io: &mut PeerIo<'_>, _error: io::Error) {
        io.close();
    }
}
