//! S14, the client with many connections: opens k of them, sends a list of messages over each, reads each one's
//! replies, and closes at the end of the stream; all at the same time, on one thread.
//!
//!     many_clients ADDRESS K MESSAGE...
//!
//! Talks to any server that answers lines and closes when the client has finished its side.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;

use trunkline::{Client, Closed, ConnectionId, Flow, Frame, Handler, Io, Lines, Sent};

struct Talk {
    messages: Vec<String>,
    connections: usize,
    failed: usize,
}

/// One connection: its number, and the replies so far.
struct Conversation {
    number: usize,
    replies: Vec<String>,
}

impl Handler for Talk {
    type Codec = Lines;
    type State = Conversation;
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new()
    }

    /// A connection is made: everything is queued at once, and behind it the end of our side.
    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Conversation> {
        for message in &self.messages {
            // Text becomes bytes at the edge, here.
            if !matches!(io.send(message.as_bytes()), Sent::Queued | Sent::AboveHigh) {
                return None;
            }
        }
        io.finish();
        self.connections += 1;
        Some(Conversation {
            number: self.connections,
            replies: Vec::new(),
        })
    }

    fn frame(
        &mut self,
        state: &mut Conversation,
        _io: &mut Io<'_, Self>,
        line: Frame<'_, Self>,
    ) -> Flow {
        // Bytes become text at the edge, too; a line is whole, so no character is cut in two.
        state
            .replies
            .push(String::from_utf8_lossy(line).into_owned());
        Flow::Continue
    }

    // At the end of the server's stream the engine closes our side by itself.

    fn closed(&mut self, state: Conversation, _io: &mut Io<'_, Self>, closed: Closed) {
        println!(
            "connection {}: {} ({:?})",
            state.number,
            state.replies.join(" | "),
            closed.cause
        );
        if state.replies.len() < self.messages.len() {
            self.failed += 1;
        }
    }

    fn connect_failed(
        &mut self,
        _io: &mut Io<'_, Self>,
        _id: ConnectionId,
        error: trunkline::Error,
    ) {
        eprintln!("{error}");
        self.failed += 1;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, connections, messages @ ..] = &arguments[..] else {
        return Err("usage: many_clients ADDRESS K MESSAGE...".into());
    };
    let connections: usize = connections.parse()?;

    let mut client = Client::new(Talk {
        messages: messages.to_vec(),
        connections: 0,
        failed: 0,
    });
    for _ in 0..connections {
        client = client.connect(address);
    }
    // Ends by itself when no connection is left.
    let (talk, _) = client.start()?.run()?;
    match talk.failed {
        0 => Ok(()),
        failed => {
            Err(format!("{failed} of {connections} connections did not get every reply").into())
        }
    }
}
