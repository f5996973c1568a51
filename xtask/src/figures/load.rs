//! The load drivers: plain blocking sockets, every reply compared with what was sent.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Outcome;

/// Length of every message and of its reply.
pub(crate) const MESSAGE_BYTES: usize = 64;
/// Connections that [`Load::Batches`] keeps busy at once.
pub(crate) const BATCH: usize = 64;
/// A reply that takes longer is a failure, also under the slowest instrument.
const REPLY_DEADLINE: Duration = Duration::from_secs(30);

/// How messages are offered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// One connection, one message at a time.
    PingPong,
    /// Many connections: a message over each, then the reply from each.
    Batches,
}

impl fmt::Display for Load {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PingPong => formatter.write_str("1 connection, one message at a time"),
            Self::Batches => write!(
                formatter,
                "{BATCH} connections, a message over each at once"
            ),
        }
    }
}

impl Load {
    /// Sends `messages` in all and reads every reply.
    pub(crate) fn drive(self, address: SocketAddr, messages: u64) -> Outcome {
        let connections = match self {
            Self::PingPong => 1,
            Self::Batches => BATCH,
        };
        let mut held = hold(address, connections)?;
        for _ in 0..messages / connections as u64 {
            held.echo_over_all()?;
        }
        Ok(())
    }
}

/// Connections that stay open as long as this lives.
pub(crate) struct Held {
    streams: Vec<TcpStream>,
    rounds: u64,
}

/// Opens `count` connections, all of them accepted when this returns.
pub(crate) fn hold(address: SocketAddr, count: usize) -> Result<Held, String> {
    let mut streams = Vec::with_capacity(count);
    for number in 0..count {
        let stream = connect(address).map_err(|error| {
            format!(
                "cannot open connection {} of {count} to {address}: {error}",
                number + 1
            )
        })?;
        streams.push(stream);
    }
    let mut held = Held { streams, rounds: 0 };
    // Connections are accepted in order: once the last one answers, all have been.
    if let Some(last) = held.streams.last_mut() {
        let message = message(u64::MAX, count);
        send(last, &message)?;
        receive(last, &message)?;
    }
    Ok(held)
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_DEADLINE))?;
    stream.set_write_timeout(Some(REPLY_DEADLINE))?;
    Ok(stream)
}

impl Held {
    /// A message over every connection, then the reply from every connection.
    fn echo_over_all(&mut self) -> Outcome {
        self.rounds += 1;
        for (number, stream) in self.streams.iter_mut().enumerate() {
            send(stream, &message(self.rounds, number))?;
        }
        for (number, stream) in self.streams.iter_mut().enumerate() {
            receive(stream, &message(self.rounds, number))?;
        }
        Ok(())
    }

    /// A message over every connection, one connection after the other.
    pub(crate) fn echo_over_each(&mut self) -> Outcome {
        self.rounds += 1;
        for (number, stream) in self.streams.iter_mut().enumerate() {
            let message = message(self.rounds, number);
            send(stream, &message)?;
            receive(stream, &message)?;
        }
        Ok(())
    }
}

/// A message unlike any other of the run, so that a reply to another one is noticed. It is a line, so that a
/// service that answers lines can be measured too.
fn message(round: u64, connection: usize) -> [u8; MESSAGE_BYTES] {
    let mut message = [b'.'; MESSAGE_BYTES];
    let text = format!("{round} {connection} ");
    message[..text.len()].copy_from_slice(text.as_bytes());
    message[MESSAGE_BYTES - 1] = b'\n';
    message
}

fn send(stream: &mut TcpStream, message: &[u8]) -> Outcome {
    stream
        .write_all(message)
        .map_err(|error| format!("cannot send: {error}"))
}

fn receive(stream: &mut TcpStream, expected: &[u8; MESSAGE_BYTES]) -> Outcome {
    let mut reply = [0; MESSAGE_BYTES];
    stream
        .read_exact(&mut reply)
        .map_err(|error| format!("no reply: {error}"))?;
    if reply == *expected {
        Ok(())
    } else {
        Err("a reply differs from what was sent".into())
    }
}
