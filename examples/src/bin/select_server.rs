//! S8, the `select` server: many clients, one thread, a queue of outgoing messages for each client.
//!
//!     select_server ADDRESS [COUNT]      ends when COUNT clients have come and gone
//!
//! Whatever a client sends comes back. Of `select`'s three sets a client is in the first (reading) as a rule, in
//! the second (writing) only while its queue holds something, because a socket can nearly always be written
//! to: asking without need would wake us for ever. The third (exceptional) tells of urgent data, which this
//! service does not know: such a client is removed.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use trunkline::Queue;
use trunkline_examples::Socket;
use trunkline_selectors::{Event, Interest, Key, Mechanism, Selector};

const READING: Interest = Interest::READ.with(Interest::PRIORITY);
const BUFFER_BYTES: usize = 4096;
const QUEUE_BYTES_MAX: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rest @ ..] = &arguments[..] else {
        return Err("usage: select_server ADDRESS [COUNT]".into());
    };
    let mut to_serve: usize = rest
        .first()
        .map_or(Ok(usize::MAX), |number| number.parse())?;

    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);

    // The selector owns every socket, and with it the queue that belongs to it.
    let mut selector = Selector::with_mechanism(Mechanism::Select)?;
    selector.register(Socket::Listener(listener), Interest::READ, Queue::new(0))?;

    while to_serve > 0 {
        let selected = selector.select(Some(Duration::from_secs(30)))?;
        if selected.events == 0 {
            println!(
                "nothing happened for 30 seconds, {} clients",
                selector.len() - 1
            );
        }
        while let Some(event) = selector.next_event() {
            let waiting = match selector.source(event.key) {
                Some(Socket::Listener(listener)) => Some(accept(listener)?),
                _ => None,
            };
            if let Some(clients) = waiting {
                for client in clients {
                    selector.register(
                        Socket::Client(client),
                        READING,
                        Queue::new(QUEUE_BYTES_MAX),
                    )?;
                }
            } else if let Err(why) = serve(&mut selector, event) {
                // Removed from the sets, its queue dropped and its socket closed: all of it is this one call.
                selector.unregister(event.key);
                println!("a client left: {why}");
                to_serve -= 1;
            }
        }
    }
    Ok(())
}

/// Takes every client that waits.
fn accept(listener: &TcpListener) -> io::Result<Vec<TcpStream>> {
    let mut clients = Vec::new();
    loop {
        match listener.accept() {
            Ok((client, _)) => {
                client.set_nonblocking(true)?;
                clients.push(client);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(clients),
            // The client gave up before we came: that is its affair, not the listener's.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Does what the client is ready for. An error ends the connection, and says why.
fn serve(selector: &mut Selector<Socket, Queue>, event: Event) -> Result<(), Box<dyn Error>> {
    if event.readiness.is_priority() {
        return Err("urgent data".into());
    }
    let Some((Socket::Client(stream), queue)) = selector.pair_mut(event.key) else {
        return Ok(());
    };
    if event.readiness.is_writable() {
        queue.write_to(stream)?;
    }
    if event.readiness.is_readable() {
        let mut buffer = [0; BUFFER_BYTES];
        match (&*stream).read(&mut buffer) {
            Ok(0) => return Err("end of stream".into()),
            Ok(count) => queue.push(buffer[..count].to_vec(), Instant::now())?,
            // Ready is a hint: perhaps it was true a moment ago.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    want_what_is_needed(selector, event.key)?;
    Ok(())
}

/// In the writing set exactly while something waits to be written; in the reading set while the queue has room
/// for what might be read: a client that does not read its answers is not read from either.
fn want_what_is_needed(selector: &mut Selector<Socket, Queue>, key: Key) -> io::Result<()> {
    let Some(queue) = selector.data(key) else {
        return Ok(());
    };
    let mut interest = Interest::PRIORITY;
    if !queue.is_empty() {
        interest = interest.with(Interest::WRITE);
    }
    if queue.room() >= BUFFER_BYTES {
        interest = interest.with(Interest::READ);
    }
    selector.modify(key, interest)
}
