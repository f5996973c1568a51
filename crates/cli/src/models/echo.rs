//! The conversation with one client by somebody who has nothing else to do.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// Read at once.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

/// Sends everything back until the client has sent everything; waits in between.
pub(super) fn echo(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return stream.shutdown(Shutdown::Write),
            Ok(count) => stream.write_all(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
