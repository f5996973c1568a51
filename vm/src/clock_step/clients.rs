//! Clients, each of which lets one deadline of the server pass, and says how long that took. The time begins before the
//! server can know of it, so a deadline that is not early takes its time at least.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use trunkline::CauseKind;

use super::{FRAME, HANDSHAKE, IDLE, LIFETIME, LINGER, WRITE_STALL};

/// What the server calls one that has said nothing.
pub(super) const SILENT: &str = "nothing";
/// What the others say: the server sets timers, sends without an end, or closes.
pub(super) const TIMED: &str = "what is the time?";
pub(super) const GREEDY: &str = "more than I read";
pub(super) const LINGERING: &str = "close, please";
const IDLING: &str = "one line only";
const HALVES: &str = "the next line has no end";

/// How often a client stirs that has to.
const OFTEN: Duration = Duration::from_millis(50);
const GIVE_UP: Duration = Duration::from_secs(60);

/// A client: what it says first, and what becomes of its connection.
pub(super) struct Client {
    pub(super) line: &'static str,
    pub(super) cause: CauseKind,
    pub(super) after: Duration,
    /// Lives until the connection has ended; says when the time began.
    live: fn(TcpStream) -> io::Result<Option<Instant>>,
}

pub(super) const CLIENTS: [Client; 6] = [
    Client {
        line: SILENT,
        cause: CauseKind::HandshakeExpired,
        after: HANDSHAKE,
        live: |mut stream| read_to_the_end(&mut stream).map(|()| None),
    },
    Client {
        line: GREEDY,
        cause: CauseKind::WriteStalled,
        after: WRITE_STALL,
        live: |mut stream| {
            say(&mut stream, GREEDY)?;
            wait_for_a_reset(&stream).map(|()| None)
        },
    },
    Client {
        line: HALVES,
        cause: CauseKind::FrameExpired,
        after: FRAME,
        live: |mut stream| {
            ask(&mut stream, HALVES)?;
            let began = Instant::now();
            while is_open(&mut stream)? {
                stream.write_all(b"and so on, ")?;
            }
            Ok(Some(began))
        },
    },
    Client {
        line: LINGERING,
        cause: CauseKind::LingerExpired,
        after: LINGER,
        live: |mut stream| {
            let began = Instant::now();
            say(&mut stream, LINGERING)?;
            read_to_the_end(&mut stream)?;
            wait_for_a_reset(&stream).map(|()| Some(began))
        },
    },
    Client {
        line: IDLING,
        cause: CauseKind::IdleExpired,
        after: IDLE,
        live: |mut stream| {
            let began = Instant::now();
            ask(&mut stream, IDLING)?;
            read_to_the_end(&mut stream).map(|()| Some(began))
        },
    },
    Client {
        line: TIMED,
        cause: CauseKind::LifetimeExpired,
        after: LIFETIME,
        live: |mut stream| {
            ask(&mut stream, TIMED)?;
            while is_open(&mut stream)? {
                match ask(&mut stream, TIMED) {
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                    result => result?,
                }
            }
            Ok(None)
        },
    },
];

impl Client {
    /// How long its connection lasted, or what of it the deadline is for.
    pub(super) fn be(&self, server: SocketAddr) -> Result<Duration, String> {
        let began = Instant::now();
        let live = || {
            let stream = TcpStream::connect(server)?;
            stream.set_read_timeout(Some(GIVE_UP))?;
            (self.live)(stream)
        };
        let later: Option<Instant> =
            live().map_err(|error| format!("the client of {:?}: {error}", self.line))?;
        Ok(later.unwrap_or(began).elapsed())
    }
}

fn say(stream: &mut TcpStream, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes())
}

/// Says the line, and hears it.
fn ask(stream: &mut TcpStream, line: &str) -> io::Result<()> {
    say(stream, line)?;
    let mut answer = vec![0; line.len() + 1];
    stream.set_read_timeout(Some(GIVE_UP))?;
    stream.read_exact(&mut answer)?;
    if answer == format!("{line}\n").as_bytes() {
        Ok(())
    } else {
        Err(io::Error::other("another answer"))
    }
}

fn read_to_the_end(stream: &mut TcpStream) -> io::Result<()> {
    stream.read_to_end(&mut Vec::new()).map(drop)
}

/// Waits a little; says whether the server's end of the stream has not come by then.
fn is_open(stream: &mut TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(OFTEN))?;
    match stream.read(&mut [0]) {
        Ok(0) => Ok(false),
        Ok(_) => Err(io::Error::other("an answer to nothing")),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

fn wait_for_a_reset(stream: &TcpStream) -> io::Result<()> {
    let give_up = Instant::now() + GIVE_UP;
    while Instant::now() < give_up {
        match stream.take_error()? {
            // The latter where the server had ended its stream before.
            Some(error) => match error.kind() {
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return Ok(()),
                _ => return Err(error),
            },
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
    Err(ErrorKind::TimedOut.into())
}
