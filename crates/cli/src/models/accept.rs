//! The main code of `threads` and `processes`: waits for clients, and does nothing else.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use trunkline::{Error, Operation};

use super::stop::Stop;

/// How long accepting rests when there is no descriptor left: clients wait in the backlog meanwhile.
const REST: Duration = Duration::from_millis(100);

/// The next client, whose stream blocks; `None` when the server was asked to stop and nobody is left in the backlog.
pub(super) fn next_client(listener: &TcpListener, stop: &Stop) -> io::Result<Option<TcpStream>> {
    loop {
        if !stop.asked() {
            stop.or_client(listener)?;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(Some(stream));
            }
            Err(error) => match after_failure(error)? {
                Next::Nobody | Next::Rest if stop.asked() => return Ok(None),
                Next::Rest => thread::sleep(REST),
                Next::Nobody | Next::Again => {}
            },
        }
    }
}

/// What to do when nobody could be accepted.
pub(super) enum Next {
    /// There is nobody.
    Nobody,
    /// There was somebody, who has gone.
    Again,
    /// There is somebody for whom there is no descriptor.
    Rest,
}

pub(super) fn after_failure(error: io::Error) -> io::Result<Next> {
    match error.kind() {
        ErrorKind::WouldBlock => return Ok(Next::Nobody),
        ErrorKind::Interrupted | ErrorKind::ConnectionAborted => return Ok(Next::Again),
        _ => {}
    }
    let error = Error::new(Operation::Accept, None, error);
    match error.kind() {
        trunkline::ErrorKind::OutOfDescriptors | trunkline::ErrorKind::OutOfMemory => {
            Ok(Next::Rest)
        }
        _ => Err(io::Error::other(error)),
    }
}
