//! One socket, what is done to it, and what the kernel then knows of our end.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use trunkline_selectors::{Capabilities, Interest};

/// The names of a readiness's members, so that they compare and print well.
pub(crate) type Facts = Vec<&'static str>;

/// What is done to a socket: by us, whichever descriptor of ours it is done through, or by the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Write,
    Fill,
    Drain,
    Shutdown(Shutdown),
    PeerWrites,
    PeerDrains,
    PeerShutsDown(Shutdown),
    PeerCloses,
}

pub(crate) struct Socket {
    peer: Option<UnixStream>,
    pub(crate) state: State,
}

impl Socket {
    /// A socket and our descriptor of it.
    pub(crate) fn new() -> (Socket, UnixStream) {
        let (ours, peer) = UnixStream::pair().expect("a socket pair");
        ours.set_nonblocking(true).expect("non-blocking");
        peer.set_nonblocking(true).expect("non-blocking");
        let socket = Socket {
            peer: Some(peer),
            state: State::default(),
        };
        (socket, ours)
    }

    pub(crate) fn act(&mut self, act: Act, ours: &UnixStream) {
        match (act, &self.peer) {
            (Act::Write, _) => write_one(ours),
            (Act::Fill, _) => fill(ours),
            (Act::Drain, _) => drain(ours),
            (Act::Shutdown(how), _) => {
                // After the peer's close there may be nothing left to shut.
                let _ = ours.shutdown(how);
            }
            (Act::PeerWrites, Some(peer)) => write_one(peer),
            (Act::PeerDrains, Some(peer)) => drain(peer),
            (Act::PeerShutsDown(how), Some(peer)) => peer.shutdown(how).expect("shut down"),
            (Act::PeerCloses, _) => self.peer = None,
            // It is gone.
            (Act::PeerWrites | Act::PeerDrains | Act::PeerShutsDown(_), None) => {}
        }
        self.state.apply(act);
    }

    pub(crate) fn close(&mut self) {
        self.peer = None;
    }
}

fn write_one(mut to: &UnixStream) {
    // Full, or shut: the model knows, and readiness is what is under test.
    let _ = to.write(b"x");
}

fn fill(mut to: &UnixStream) {
    let block = [0; 16 * 1024];
    while to.write(&block).is_ok() {}
}

fn drain(mut from: &UnixStream) {
    let mut block = [0; 16 * 1024];
    while matches!(from.read(&mut block), Ok(1..)) {}
}

/// What the kernel knows of our end of a pair of local sockets.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub(crate) struct State {
    unread: bool,
    peer_unread: bool,
    full: bool,
    receive_shut: bool,
    send_shut: bool,
    reset: bool,
}

impl State {
    fn shut(&mut self, how: Shutdown) {
        self.receive_shut |= matches!(how, Shutdown::Read | Shutdown::Both);
        self.send_shut |= matches!(how, Shutdown::Write | Shutdown::Both);
    }

    fn apply(&mut self, act: Act) {
        match act {
            Act::Write => self.peer_unread |= !self.send_shut,
            Act::Fill => {
                self.full |= !self.send_shut;
                self.peer_unread |= !self.send_shut;
            }
            Act::Drain => {
                self.unread = false;
                // The error is told once, by the read that finds no more data.
                self.reset = false;
            }
            Act::Shutdown(how) => self.shut(how),
            Act::PeerWrites => self.unread |= !self.receive_shut,
            Act::PeerDrains => {
                self.peer_unread = false;
                self.full = false;
            }
            Act::PeerShutsDown(Shutdown::Read) => self.shut(Shutdown::Write),
            Act::PeerShutsDown(Shutdown::Write) => self.shut(Shutdown::Read),
            Act::PeerShutsDown(Shutdown::Both) => self.shut(Shutdown::Both),
            Act::PeerCloses => {
                self.shut(Shutdown::Both);
                // What the peer had not read is lost, and said to be.
                self.reset |= self.peer_unread;
                self.peer_unread = false;
                self.full = false;
            }
        }
    }

    /// A hang-up that the interest has no fact for: it may end one wait, and after that the source is not watched.
    pub(crate) fn silences(self, interest: Interest) -> bool {
        let hang_up = self.receive_shut && self.send_shut;
        interest == Interest::PRIORITY && hang_up && !self.reset
    }

    /// What a selector must say for an interest; nothing at all where no fact holds.
    pub(crate) fn facts(self, interest: Interest, capabilities: Capabilities) -> Facts {
        let hang_up = self.receive_shut && self.send_shut;
        let read = interest.contains(Interest::READ);
        let write = interest.contains(Interest::WRITE);
        let readable = read && (self.unread || self.receive_shut || self.reset);
        let room = !self.full || self.reset;
        let error_alone = interest == Interest::PRIORITY && self.reset;
        let hang_up_alone = write && !read && hang_up && !room;
        if error_alone && !capabilities.error_with_priority_alone
            || hang_up_alone && !capabilities.hang_up_with_write_alone
        {
            return Facts::new();
        }
        [
            (readable, "readable"),
            (write && (room || hang_up), "writable"),
            (read && self.receive_shut, "read closed"),
            (write && hang_up, "write closed"),
            (self.reset && !interest.is_empty(), "error"),
        ]
        .into_iter()
        .filter_map(|(holds, fact)| holds.then_some(fact))
        .collect()
    }
}
