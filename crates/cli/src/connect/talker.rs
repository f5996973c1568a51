//! The handler: what is typed goes to every server, what they answer is shown.

use std::collections::BTreeSet;
use std::io;
use std::process::ExitCode;

use trunkline::{Cause, Chunks, Closed, ConnectionId, Error, Flow, Handler, Io};

use super::input::Input;
use super::output::{Output, Unfinished};
use crate::ending::describe;
use crate::failure::Failure;

pub(crate) struct Talker {
    output: Output,
    /// Servers we are still trying to reach.
    awaited: usize,
    members: BTreeSet<ConnectionId>,
    chunks_taken: u64,
    /// Bytes queued, over all servers.
    queued: u64,
    /// Of those, bytes that no server will get.
    lost: u64,
    input_ended: bool,
    /// A server could not be reached, or a connection broke. It has been reported.
    failed: bool,
    /// Standard input or standard output failed, which ends everything.
    stdio: Option<(&'static str, io::Error)>,
}

impl Talker {
    pub(crate) fn new(servers: usize, output: Output) -> Self {
        Self {
            output,
            awaited: servers,
            members: BTreeSet::new(),
            chunks_taken: 0,
            queued: 0,
            lost: 0,
            input_ended: false,
            failed: false,
            stdio: None,
        }
    }

    /// Whether the next chunk of input may come: every server has been reached (or given up), and nothing waits
    /// to be sent, neither here nor with the reading thread.
    pub(crate) fn wants_chunk(&self, permitted: u64, bytes_out: u64) -> bool {
        let settled = self.awaited == 0 && !self.members.is_empty();
        let all_sent = bytes_out + self.lost >= self.queued;
        settled && all_sent && !self.input_ended && self.chunks_taken == permitted
    }

    /// How it all ended.
    pub(crate) fn outcome(&self) -> Result<ExitCode, Failure> {
        match &self.stdio {
            // Whoever read our output has seen enough.
            Some((_, error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Some((what, error)) => Err(Failure::failed(format!("cannot {what}: {error}"))),
            None if self.failed => Ok(ExitCode::FAILURE),
            None => Ok(ExitCode::SUCCESS),
        }
    }

    fn check_output(&mut self, io: &mut Io<'_, Self>, shown: io::Result<()>) -> Flow {
        match shown {
            Ok(()) => Flow::Continue,
            Err(error) => {
                self.stdio
                    .get_or_insert(("write to standard output", error));
                io.kill();
                Flow::Abort
            }
        }
    }

    fn report(&mut self, failure: &Failure) {
        failure.report();
        self.failed = true;
    }
}

impl Handler for Talker {
    type Codec = Chunks;
    type State = Unfinished;
    type Message = Input;

    fn codec(&self) -> Chunks {
        Chunks
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Unfinished> {
        let peer = io.peer()?;
        self.awaited -= 1;
        self.members.insert(io.id());
        Some(self.output.begin(peer))
    }

    fn frame(&mut self, unfinished: &mut Unfinished, io: &mut Io<'_, Self>, bytes: &[u8]) -> Flow {
        let shown = self.output.arrived(unfinished, bytes);
        self.check_output(io, shown)
    }

    fn message(&mut self, io: &mut Io<'_, Self>, input: Input) {
        match input {
            Input::Chunk(bytes) => {
                self.chunks_taken += 1;
                // Bytes in chunks need no framing, so encoding them cannot fail.
                let took = io
                    .broadcast(self.members.iter().copied(), &bytes)
                    .unwrap_or(0);
                self.queued += (took * bytes.len()) as u64;
            }
            Input::End => {
                self.input_ended = true;
                for &member in &self.members {
                    io.finish_connection(member);
                }
            }
            Input::Failed(error) => {
                self.input_ended = true;
                self.stdio.get_or_insert(("read standard input", error));
                io.kill();
            }
        }
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, _id: ConnectionId, error: Error) {
        self.awaited -= 1;
        if self.stdio.is_none() {
            self.report(&Failure::from(error));
        }
    }

    fn closed(&mut self, unfinished: Unfinished, io: &mut Io<'_, Self>, closed: Closed) {
        self.members.remove(&io.id());
        self.lost += closed.unsent;
        let shown = Output::ended(unfinished);
        self.check_output(io, shown);
        match closed.cause {
            // Reset by ourselves, after standard input or output had failed.
            Cause::Finished | Cause::Stopped | Cause::Aborted => {}
            Cause::Failed(error) => self.report(&Failure::from(error)),
            cause => self.report(&Failure::failed(format!(
                "connection lost: {}",
                describe(&cause)
            ))),
        }
    }
}
