//! S5, timeouts in turn: sockets that block, but not for long. The server waits a moment for a new client, a moment for the
//! first client to say something, a moment for the second, and so on.
//!
//! What it costs: everybody waits for everybody else's silence. With n clients who say nothing an answer comes after
//! n timeouts, and the kernel rounds each of them up to its clock's tick, which is as long as 4 ms or even 10. So it hardly
//! uses the processor and is slow already with ten clients.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::conversation::Conversations;
use super::stop::Stop;
use super::tally::Tally;

/// How long the server waits for one socket.
const PATIENCE: Duration = Duration::from_millis(1);

pub(super) fn serve(listener: &TcpListener, stop: &Stop) -> io::Result<Tally> {
    let mut conversations = Conversations::new();
    listener.set_nonblocking(false)?;
    // The standard library has this for streams only; `accept` minds it as well.
    set_socket_timeout(listener, Timeout::Recv, Some(PATIENCE))?;
    loop {
        let more = conversations.accept(listener, |stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))
        })?;
        if stop.asked() && !more {
            return Ok(conversations.finish());
        }
        conversations.round();
    }
}
