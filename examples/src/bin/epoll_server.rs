//! S10, the `epoll` server: the same service for thousands of connections.
//!
//!     epoll_server ADDRESS [COUNT]       ends when COUNT clients have come and gone
//!
//! What changes with thousands: `epoll` reports only who is ready, so a turn costs as much as there is to do and
//! not as much as there are clients; an idle client must cost next to nothing, so all share one buffer and a
//! queue is empty until it is needed; and no client may keep the others waiting, so everyone gets one read, and
//! the listener a few clients, before it is the next one's turn.
//!
//! The mechanism is the selector's choice, `epoll` where there is one: `TRUNKLINE_MECHANISM=poll` serves the same.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::time::Instant;

use trunkline::Queue;
use trunkline_examples::Socket;
use trunkline_selectors::{Interest, Key, Readiness, Selector};

const BUFFER_BYTES: usize = 64 * 1024;
const QUEUE_BYTES_MAX: usize = 4 * BUFFER_BYTES;
/// Clients accepted before the others have their turn again.
const ACCEPTS_MAX: usize = 64;

struct Server {
    selector: Selector<Socket, Queue>,
    listening: Key,
    buffer: Vec<u8>,
    served: usize,
    most_at_once: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rest @ ..] = &arguments[..] else {
        return Err("usage: epoll_server ADDRESS [COUNT]".into());
    };
    let count = rest
        .first()
        .map_or(Ok(usize::MAX), |number| number.parse())?;

    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);

    let mut selector = Selector::new()?;
    let listening = selector.register(Socket::Listener(listener), Interest::READ, Queue::new(0))?;
    let mut server = Server {
        selector,
        listening,
        buffer: vec![0; BUFFER_BYTES],
        served: 0,
        most_at_once: 0,
    };
    while server.served < count {
        server.turn()?;
    }
    println!(
        "{} clients served, at most {} at once",
        server.served, server.most_at_once
    );
    Ok(())
}

impl Server {
    /// Waits until somebody is ready, and gives each of those one turn.
    fn turn(&mut self) -> Result<(), Box<dyn Error>> {
        self.selector.select(None)?;
        while let Some(event) = self.selector.next_event() {
            if event.key == self.listening {
                self.accept()?;
            } else if self.serve(event.key, event.readiness).is_none() {
                self.selector.unregister(event.key);
                self.served += 1;
            }
        }
        self.most_at_once = self.most_at_once.max(self.selector.len() - 1);
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Box<dyn Error>> {
        for _ in 0..ACCEPTS_MAX {
            let Some(Socket::Listener(listener)) = self.selector.source(self.listening) else {
                break;
            };
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    // Messages are small and answered at once: do not hold them back to fill a packet.
                    stream.set_nodelay(true)?;
                    self.selector.register(
                        Socket::Client(stream),
                        Interest::READ,
                        Queue::new(QUEUE_BYTES_MAX),
                    )?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// One client's turn. `None`: the connection is over.
    fn serve(&mut self, key: Key, readiness: Readiness) -> Option<()> {
        let (Socket::Client(stream), queue) = self.selector.pair_mut(key)? else {
            return None;
        };
        if readiness.is_readable() {
            match (&*stream).read(&mut self.buffer) {
                Ok(0) => return None,
                Ok(count) => queue
                    .push(self.buffer[..count].to_vec(), Instant::now())
                    .ok()?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        // Nearly always the answer can be written at once: then nobody ever asks `epoll` about writing.
        let written = queue.write_to(stream).ok()?;
        let interest = match (written, queue.room() >= BUFFER_BYTES) {
            (true, _) => Interest::READ,
            (false, true) => Interest::READ | Interest::WRITE,
            (false, false) => Interest::WRITE,
        };
        // Costs no system call while it stays the same.
        self.selector.modify(key, interest).ok()
    }
}
