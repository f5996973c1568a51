//! S4, the polling loop: sockets that do not block are tried in turn, without asking anybody which of them is ready.
//!
//! What it costs: the loop never rests. It uses a whole processor when nothing happens at all, and with n clients it makes n
//! vain system calls to find the one who has said something. It answers quickly as long as it has a processor to
//! itself and few clients.

use std::io;
use std::net::TcpListener;

use super::accept::{Next, after_failure};
use super::conversation::Conversations;
use super::stop::Stop;
use super::tally::Tally;

/// Clients accepted before the others have their turn again.
const ACCEPTS_MAX: usize = 64;

pub(super) fn serve(listener: &TcpListener, stop: &Stop) -> io::Result<Tally> {
    let mut conversations = Conversations::new();
    loop {
        for _ in 0..ACCEPTS_MAX {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    conversations.begin(stream);
                }
                Err(error) => match after_failure(error)? {
                    // Without a descriptor for the next client there are others to serve.
                    Next::Nobody | Next::Rest if stop.asked() => return Ok(conversations.finish()),
                    Next::Nobody | Next::Rest => break,
                    Next::Again => {}
                },
            }
        }
        conversations.round();
    }
}
