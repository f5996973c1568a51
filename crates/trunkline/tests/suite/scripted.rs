//! A peer that follows a script, byte by byte, beside a server's loop. It is a socket of a network and no more, so
//! that it can do what the engine would never do; and since nothing of it runs by itself, every case runs on one thread,
//! on every network.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trunkline::network::{Network, Socket, Token};
use trunkline::{EventLoop, Flow, Io, Options, Role, Stats};

use super::pair::{Apart, Happening, Pair, check_lives};

/// Turns in which nothing moves, after which nothing will: of the kernel, which works on the side, and of a
/// simulated network, where every turn lets the next thing happen.
const QUIET_TURNS: usize = 200;

/// A server's loop, and the network that its peers are on.
pub(crate) struct Stage<N: Network, P> {
    pub(crate) server: EventLoop<Pair, N>,
    address: SocketAddr,
    network: N,
    pass: P,
    peers: u64,
}

/// One end of a connection, in the hands of the case.
pub(crate) struct Peer {
    socket: Socket,
    pub(crate) heard: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) failed: Option<ErrorKind>,
}

impl<N: Network, P: FnMut()> Stage<N, P> {
    /// A server that plays this, and nobody there yet.
    pub(crate) fn new(
        apart: Apart<N, P>,
        mut options: Options,
        play: impl FnMut(Option<Role>, &mut Io<'_, Pair>, Happening<'_>) -> Flow + 'static,
    ) -> Self {
        options.until_idle = false;
        let mut server = EventLoop::over(apart.server, Pair::new(play), options);
        let address = server
            .listen("127.0.0.1:0".parse::<SocketAddr>().unwrap())
            .unwrap();
        Self {
            server,
            address,
            network: apart.client,
            pass: apart.pass,
            peers: 0,
        }
    }

    /// A turn of the server, and some time.
    pub(crate) fn step(&mut self) {
        assert!(self.server.turn(Some(Duration::ZERO)).unwrap());
        (self.pass)();
    }

    /// Some time, without a turn of the server.
    pub(crate) fn wait(&mut self) {
        (self.pass)();
    }

    /// Steps until it is so.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(
                Instant::now() < patience,
                "never: {what}; {:?}",
                self.server.stats()
            );
            self.step();
        }
    }

    /// Begins to connect.
    pub(crate) fn begin(&mut self) -> Peer {
        self.peers += 1;
        let socket = self.network.connect(self.address, Token(self.peers));
        Peer {
            socket: socket.unwrap(),
            heard: Vec::new(),
            ended: false,
            failed: None,
        }
    }

    pub(crate) fn is_connected(&mut self, peer: &Peer) -> bool {
        self.network.connected(peer.socket).unwrap()
    }

    pub(crate) fn connect(&mut self) -> Peer {
        let peer = self.begin();
        self.until("connected", |stage| stage.is_connected(&peer));
        peer
    }

    /// Sends what the network takes now; says how much that was.
    pub(crate) fn send_some(&mut self, peer: &mut Peer, bytes: &[u8]) -> usize {
        match self.network.write(peer.socket, &[IoSlice::new(bytes)]) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => {
                peer.failed = Some(error.kind());
                0
            }
        }
    }

    /// Sends everything, and takes no notice of what comes.
    pub(crate) fn send(&mut self, peer: &mut Peer, bytes: &[u8]) {
        let mut sent = 0;
        self.until("sent", |stage| {
            sent += stage.send_some(peer, &bytes[sent..]);
            sent == bytes.len()
        });
    }

    /// Takes what has come; says how much that was.
    pub(crate) fn hear(&mut self, peer: &mut Peer) -> usize {
        let before = peer.heard.len();
        let mut buffer = [0; 16 * 1024];
        while !peer.ended && peer.failed.is_none() {
            match self.network.read(peer.socket, &mut buffer) {
                Ok(0) => peer.ended = true,
                Ok(count) => peer.heard.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => peer.failed = Some(error.kind()),
            }
        }
        peer.heard.len() - before
    }

    /// Steps until so many bytes have been heard in all.
    pub(crate) fn hear_bytes(&mut self, peer: &mut Peer, count: usize) {
        self.until("heard", |stage| {
            stage.hear(peer);
            assert!(
                !peer.ended && peer.failed.is_none() || peer.heard.len() >= count,
                "{:?} after {} of {count} bytes",
                peer.failed,
                peer.heard.len()
            );
            peer.heard.len() >= count
        });
    }

    /// Steps until the server has ended its side, or reset the connection.
    pub(crate) fn hear_end(&mut self, peer: &mut Peer) {
        self.until("the end of the stream", |stage| {
            stage.hear(peer);
            peer.ended || peer.failed.is_some()
        });
    }

    /// Steps until nothing moves any more: the server takes nothing, and writes nothing.
    pub(crate) fn until_quiet(&mut self, mut also: impl FnMut(&mut Self) -> usize) {
        let moved = |stage: &Self| {
            (
                stage.server.stats().bytes_in,
                stage.server.stats().bytes_out,
            )
        };
        let (mut before, mut quiet) = (moved(self), 0);
        while quiet < QUIET_TURNS {
            let more = also(self);
            self.step();
            let now = moved(self);
            quiet = if more == 0 && now == before {
                quiet + 1
            } else {
                0
            };
            before = now;
        }
    }

    pub(crate) fn finish(&mut self, peer: &Peer) {
        self.network.shutdown_write(peer.socket).unwrap();
    }

    /// A reset.
    pub(crate) fn abort(&mut self, peer: &Peer) {
        self.network.abort(peer.socket);
    }

    /// Closes both directions in order, if the peer has read everything.
    pub(crate) fn close(&mut self, peer: &Peer) {
        self.network.close(peer.socket);
    }

    /// Stops the server and turns until it has ended. Each opened connection must have been closed exactly once.
    pub(crate) fn end(mut self) -> Stats {
        self.server.remote().stop();
        let patience = Instant::now() + Duration::from_secs(60);
        while self.server.turn(Some(Duration::ZERO)).unwrap() {
            assert!(Instant::now() < patience, "the server does not end");
            (self.pass)();
        }
        check_lives(self.server.handler());
        self.server.stats()
    }
}

/// Lines of `length` bytes, end included, each with its number, `count` of them.
pub(crate) fn numbered_lines(count: usize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * length);
    for number in 0..count {
        bytes.extend_from_slice(format!("{number:0width$}\n", width = length - 1).as_bytes());
    }
    bytes
}

/// Sends every line back, and closes when the peer has ended its side.
#[expect(clippy::needless_pass_by_value, reason = "what a stage plays")]
pub(crate) fn echo(_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>) -> Flow {
    match happening {
        Happening::Frame(frame) => {
            let _ = io.send(frame);
        }
        Happening::End => io.close(),
        _ => {}
    }
    Flow::Continue
}

/// A busy kernel may be late with a few packets. Whoever starves is late with most.
pub(crate) fn assert_few(late: usize, all: usize) {
    assert!(late * 5 <= all, "{late} of {all} answers were late");
}
