//! The services, one handler each. Every file is an example to read and to start from: `echo` is the smallest,
//! `rooms` is where connections write to each other.

use trunkline::{Address, Flow, Handler, Io, Sent};

mod ack;
mod discard;
mod echo;
mod greet;
mod log;
mod rooms;

pub(crate) use ack::Ack;
pub(crate) use discard::Discard;
pub(crate) use echo::Echo;
pub(crate) use greet::Greet;
pub(crate) use log::Log;
pub(crate) use rooms::Rooms;

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Echo,
    Ack,
    Greet,
    Discard,
    Rooms,
}

impl Service {
    pub(crate) const ALL: [Self; 5] = [
        Self::Echo,
        Self::Ack,
        Self::Greet,
        Self::Discard,
        Self::Rooms,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Ack => "ack",
            Self::Greet => "greet",
            Self::Discard => "discard",
            Self::Rooms => "rooms",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

/// What to call the other end: its address, and where that is none, as with most clients in the Unix domain, a number.
fn name_of<H: Handler>(io: &Io<'_, H>) -> Option<String> {
    Some(match io.peer()? {
        Address::Unix(name) if name.is_unnamed() => format!("unix{}", io.id()),
        peer => peer.to_string(),
    })
}

/// After an answer: go on, unless it could not be sent as a message, which the log tells. (A queue that is too long needs
/// no attention: the engine reads no more from a peer who does not read his answers.)
fn after<H: Handler>(log: &Log, io: &Io<'_, H>, sent: Sent) -> Flow {
    match sent {
        Sent::Rejected(error) => {
            log.unsaid(io, error);
            Flow::Close
        }
        _ => Flow::Continue,
    }
}
