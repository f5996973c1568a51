//! The conversation with one client by somebody who has to see to the others as well: one read or write at a time.
//!
//! The same code serves `polling` and `timeouts`. Whether a read without anything to read returns at once or after a
//! while is a property of the socket; either way it says "would block".

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use super::accept::{Next, after_failure};
use super::tally::Tally;

/// Clients accepted before the others have their turn again.
const ACCEPTS_MAX: usize = 64;

/// One client.
struct Conversation {
    stream: TcpStream,
    /// What was read and has not been sent back.
    answer: Vec<u8>,
}

/// Whether a client is still there after its turn.
enum Turn {
    Stays,
    Ends,
}

impl Conversation {
    /// Sends what there is to send; only if that is nothing, reads. So a client who does not listen is not read either,
    /// and `answer` never holds more than one buffer.
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<Turn> {
        if self.answer.is_empty() {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.stream.shutdown(Shutdown::Write)?;
                    return Ok(Turn::Ends);
                }
                Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
                Err(error) => return not_now(error),
            }
        }
        match self.stream.write(&self.answer) {
            Ok(count) => {
                self.answer.drain(..count);
            }
            Err(error) => return not_now(error),
        }
        if self.answer.is_empty() {
            // A client at rest takes no memory.
            self.answer = Vec::new();
        }
        Ok(Turn::Stays)
    }
}

fn not_now(error: io::Error) -> io::Result<Turn> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(Turn::Stays),
        _ => Err(error),
    }
}

/// All clients of a server that takes them in turn.
#[derive(Default)]
pub(super) struct Conversations {
    open: Vec<Conversation>,
    tally: Tally,
    buffer: Vec<u8>,
}

impl Conversations {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; super::echo::BUFFER_BYTES],
            ..Self::default()
        }
    }

    /// Lets in those who wait, after `prepare`; not too many at once, because others wait for an answer. Says whether
    /// anybody might still wait whom the server could let in.
    pub(super) fn accept(
        &mut self,
        listener: &TcpListener,
        prepare: impl Fn(&TcpStream) -> io::Result<()>,
    ) -> io::Result<bool> {
        for _ in 0..ACCEPTS_MAX {
            match listener.accept() {
                Ok((stream, _)) => {
                    prepare(&stream)?;
                    self.tally.opened();
                    self.open.push(Conversation {
                        stream,
                        answer: Vec::new(),
                    });
                }
                Err(error) => match after_failure(error)? {
                    // Without a descriptor for the next client there are others to serve.
                    Next::Nobody | Next::Rest => return Ok(false),
                    Next::Again => {}
                },
            }
        }
        Ok(true)
    }

    /// Gives everybody one turn.
    pub(super) fn round(&mut self) {
        let Self {
            open,
            tally,
            buffer,
        } = self;
        open.retain_mut(|conversation| match conversation.turn(buffer) {
            Ok(Turn::Stays) => true,
            Ok(Turn::Ends) => {
                tally.closed(true);
                false
            }
            Err(_) => {
                tally.closed(false);
                false
            }
        });
    }

    /// Goes on with everybody until each has had an answer to all that has come from it by now.
    pub(super) fn finish(mut self) -> Tally {
        for conversation in &self.open {
            // What has come can still be read; behind it is the end of the stream. Fails if the client has gone.
            let _ = conversation.stream.shutdown(Shutdown::Read);
        }
        while !self.open.is_empty() {
            self.round();
        }
        self.tally
    }
}
