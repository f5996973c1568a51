//! S4, the polling loop: sockets that do not block are tried in turn, without asking anybody which of them is ready.
//!
//! What it costs: the loop never rests. It uses a whole processor when nothing happens at all, and with n clients it makes n
//! vain system calls to find the one who has said something. It answers quickly as long as it has a processor to
//! itself and few clients.

use std::io;
use std::net::TcpListener;

use super::conversation::Conversations;
use super::stop::Stop;
use super::tally::Tally;

pub(super) fn serve(listener: &TcpListener, stop: &Stop) -> io::Result<Tally> {
    let mut conversations = Conversations::new();
    loop {
        let more = conversations.accept(listener, |stream| stream.set_nonblocking(true))?;
        if stop.asked() && !more {
            return Ok(conversations.finish());
        }
        conversations.round();
    }
}
