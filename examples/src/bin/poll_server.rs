//! S9, the `poll` server: its flags told apart, and the way from a descriptor back to its connection.
//!
//!     poll_server ADDRESS [COUNT]        ends when COUNT clients have come and gone
//!
//! Whatever a client sends comes back; what `poll` says of each client is printed. Unlike the `select` server,
//! this one answers a client that has finished its own side (a half-close) before it closes.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use trunkline::Queue;
use trunkline_examples::Socket;
use trunkline_selectors::{Interest, Key, Mechanism, Readiness, Selector};

const BUFFER_BYTES: usize = 4096;
const QUEUE_BYTES_MAX: usize = 64 * 1024;

/// What belongs to a registration; `select` hands it back with each event.
struct Connection {
    peer: SocketAddr,
    queue: Queue,
}

type Clients = Selector<Socket, Connection>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rest @ ..] = &arguments[..] else {
        return Err("usage: poll_server ADDRESS [COUNT]".into());
    };
    let mut to_serve: usize = rest
        .first()
        .map_or(Ok(usize::MAX), |number| number.parse())?;

    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let local = listener.local_addr()?;
    println!("listening on {local}");

    let mut selector = Clients::with_mechanism(Mechanism::Poll)?;
    let nothing = Connection {
        peer: local,
        queue: Queue::new(0),
    };
    let listening = selector.register(Socket::Listener(listener), Interest::READ, nothing)?;

    while to_serve > 0 {
        selector.select(None)?;
        while let Some(event) = selector.next_event() {
            if event.key == listening {
                accept(&mut selector, listening)?;
                continue;
            }
            if let Some(connection) = selector.data(event.key) {
                println!("{}: {}", connection.peer, describe(event.readiness));
            }
            if serve(&mut selector, event.key, event.readiness).is_none() {
                selector.unregister(event.key);
                to_serve -= 1;
            }
        }
    }
    Ok(())
}

/// Takes every client that waits: one for each `poll` would be slow, and the backlog would overflow.
fn accept(selector: &mut Clients, listening: Key) -> Result<(), Box<dyn Error>> {
    while let Some(Socket::Listener(listener)) = selector.source(listening) {
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue, // it gave up
            Err(error) => return Err(error.into()),
        };
        stream.set_nonblocking(true)?;
        let connection = Connection {
            peer,
            queue: Queue::new(QUEUE_BYTES_MAX),
        };
        let interest = Interest::READ | Interest::PRIORITY;
        selector.register(Socket::Client(stream), interest, connection)?;
    }
    Ok(())
}

/// The flags in words. One event may carry several.
fn describe(readiness: Readiness) -> String {
    let flags = [
        (readiness.is_readable(), "input"),
        (readiness.is_priority(), "priority input"),
        (readiness.is_writable(), "output possible"),
        (readiness.is_read_closed(), "the client finished its side"),
        (readiness.is_write_closed(), "hang-up"),
        (readiness.is_error(), "error"),
        (readiness.is_invalid(), "invalid"),
    ];
    let set: Vec<&str> = flags
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| *name)
        .collect();
    set.join(", ")
}

/// Does what the flags allow. `None`: the connection is over.
fn serve(selector: &mut Clients, key: Key, readiness: Readiness) -> Option<()> {
    if readiness.is_error() || readiness.is_invalid() {
        return None;
    }
    let (Socket::Client(stream), connection) = selector.pair_mut(key)? else {
        return None;
    };
    let mut interest = Interest::PRIORITY;
    if readiness.is_writable() {
        connection.queue.write_to(stream).ok()?;
    }
    // "Finished" may come together with the last input: what is still there is read first, and only when
    // nothing is left does `read` say 0. From then on there is nothing to read, only answers to write.
    match read(stream, &mut connection.queue) {
        Input::Open => interest = interest.with(Interest::READ),
        Input::Ended if connection.queue.is_empty() => return None,
        Input::Ended | Input::NoRoom => {}
        Input::Failed => return None,
    }
    if !connection.queue.is_empty() {
        interest = interest.with(Interest::WRITE);
    }
    selector.modify(key, interest).ok()
}

/// What reading found out about the client's side.
enum Input {
    /// Not asked: the answers would not fit into the queue.
    NoRoom,
    Open,
    Ended,
    Failed,
}

/// Reads once and queues what came as the answer.
fn read(mut stream: &TcpStream, queue: &mut Queue) -> Input {
    if queue.room() < BUFFER_BYTES {
        return Input::NoRoom;
    }
    let mut buffer = [0; BUFFER_BYTES];
    match stream.read(&mut buffer) {
        Ok(0) => Input::Ended,
        Ok(count) => match queue.push(buffer[..count].to_vec(), Instant::now()) {
            Ok(()) => Input::Open,
            Err(_full) => Input::Failed,
        },
        Err(error) if error.kind() == ErrorKind::WouldBlock => Input::Open,
        Err(_) => Input::Failed,
    }
}
