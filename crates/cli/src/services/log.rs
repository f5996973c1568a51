//! One line on standard error when a connection opens, and one when it ends: `--verbose`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use trunkline::{Closed, ConnectionId, FrameError, Handler, Io};

use super::name_of;
use crate::chatter::say;
use crate::ending::describe;

/// Writes the lines, if they are wanted. A clone is for another loop of the same service.
#[derive(Clone)]
pub(crate) struct Log {
    service: &'static str,
    /// Where the open connections came from, because an ended one can no longer be asked. `None` when silent.
    peers: Option<HashMap<ConnectionId, String>>,
    /// Over all loops.
    open: Arc<AtomicUsize>,
}

impl Log {
    pub(crate) fn new(service: &'static str, verbose: bool) -> Self {
        Self {
            service,
            peers: verbose.then(HashMap::new),
            open: Arc::default(),
        }
    }

    pub(crate) fn opened<H: Handler>(&mut self, io: &Io<'_, H>) {
        let (Some(peers), Some(peer)) = (self.peers.as_mut(), name_of(io)) else {
            return;
        };
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        say(&format!("{}: {peer} connected ({open} open)", self.service));
        peers.insert(io.id(), peer);
    }

    /// What was to be answered, or passed on, cannot be a message.
    #[cold]
    pub(crate) fn unsaid<H: Handler>(&self, io: &Io<'_, H>, why: FrameError) {
        if let (Some(_), Some(peer)) = (&self.peers, name_of(io)) {
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
        let open = self.open.fetch_sub(1, Ordering::Relaxed) - 1;
        say(&format!("{line} ({open} open)"));
    }
}
