//! One line on standard error when a connection opens, and one when it ends: `--verbose`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use trunkline::{Closed, ConnectionId, FrameError, Handler, Io};

use crate::chatter::say;
use crate::ending::describe;

/// Writes the lines, if they are wanted.
pub(crate) struct Log {
    service: &'static str,
    /// Where the open connections came from, because an ended one can no longer be asked. `None` when silent.
    peers: Option<HashMap<ConnectionId, SocketAddr>>,
}

impl Log {
    pub(crate) fn new(service: &'static str, verbose: bool) -> Self {
        Self {
            service,
            peers: verbose.then(HashMap::new),
        }
    }

    pub(crate) fn opened<H: Handler>(&mut self, io: &Io<'_, H>) {
        let (Some(peers), Some(peer)) = (self.peers.as_mut(), io.peer()) else {
            return;
        };
        peers.insert(io.id(), peer);
        say(&format!(
            "{}: {peer} connected ({} open)",
            self.service,
            peers.len()
        ));
    }

    /// What was to be answered, or passed on, cannot be a message.
    #[cold]
    pub(crate) fn unsaid<H: Handler>(&self, io: &Io<'_, H>, why: FrameError) {
        if let (Some(_), Some(peer)) = (&self.peers, io.peer()) {
            say(&format!(
                "{}: {peer} is closed, since what follows from its message cannot be sent: {why}",
                self.service
            ));
        }
    }

    pub(crate) fn closed<H: Handler>(&mut self, io: &Io<'_, H>, closed: &Closed) {
        let Some(peers) = self.peers.as_mut() else {
            return;
        };
        let Some(peer) = peers.remove(&io.id()) else {
            return;
        };
        let mut line = format!("{}: {peer} {}", self.service, describe(&closed.cause));
        if closed.unsent > 0 {
            let _ = write!(line, ", {} bytes not sent", closed.unsent);
        }
        if closed.unread > 0 {
            let _ = write!(line, ", {} bytes not used", closed.unread);
        }
        say(&format!("{line} ({} open)", peers.len()));
    }
}
