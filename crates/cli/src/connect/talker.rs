//! The handler: what is typed goes to every server, what they answer is shown.

use std::collections::BTreeSet;
use std::io;
use std::process::ExitCode;

use trunkline::{Cause, Closed, Codec, ConnectionId, Error, Flow, FrameError, Handler, Io};

use super::input::Input;
use super::messages::Messages;
use super::output::{Output, Unfinished};
use crate::ending::describe;
use crate::failure::Failure;
use crate::framing::Framing;

pub(crate) struct Talker {
    output: Output,
    framing: Framing,
    /// Lines of input, where lines are messages.
    typed: Option<Messages>,
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
    pub(crate) fn new(servers: usize, output: Output, framing: Framing) -> Self {
        Self {
            output,
            typed: framing.has_messages().then(Messages::new),
            framing,
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

    /// What was typed, in messages where there are any.
    fn take_input(&mut self, io: &mut Io<'_, Self>, chunk: &[u8]) {
        let Some(mut typed) = self.typed.take() else {
            self.send(io, 0, chunk);
            return;
        };
        let added = typed.add(chunk, |line, message| self.send(io, line, message));
        self.check_input(io, &typed, added);
        self.typed = Some(typed);
    }

    fn end_input(&mut self, io: &mut Io<'_, Self>) {
        self.input_ended = true;
        if let Some(mut typed) = self.typed.take() {
            let ended = typed.end(|line, message| self.send(io, line, message));
            self.check_input(io, &typed, ended);
        }
        for &member in &self.members {
            io.finish_connection(member);
        }
    }

    /// A line that is too long to be kept until its end comes ends everything: nobody knows where the next begins.
    fn check_input(
        &mut self,
        io: &mut Io<'_, Self>,
        typed: &Messages,
        taken: Result<(), FrameError>,
    ) {
        if let Err(error) = taken {
            let line = typed.count + 1;
            self.report(&Failure::failed(format!(
                "line {line} of standard input: {error}"
            )));
            self.input_ended = true;
            io.kill();
        }
    }

    /// To everybody. What cannot be sent is told, and does not keep the rest from being sent.
    fn send(&mut self, io: &mut Io<'_, Self>, line: u64, message: &[u8]) {
        let mut encoded = Vec::new();
        let sent = self.framing.encode(message, &mut encoded);
        match sent.and_then(|()| io.broadcast(self.members.iter().copied(), message)) {
            Ok(took) => self.queued += (took * encoded.len()) as u64,
            Err(error) => self.report(&not_sent(line, error)),
        }
    }
}

impl Handler for Talker {
    type Codec = Framing;
    type State = Unfinished;
    type Message = Input;

    fn codec(&self) -> Framing {
        self.framing.clone()
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
                self.take_input(io, &bytes);
            }
            Input::End => self.end_input(io),
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
            cause => {
                let lost = Failure::failed(format!("connection lost: {}", describe(&cause)));
                self.report(&match cause {
                    Cause::BadFrame(FrameError::TooLong { .. }) => {
                        lost.with_hint("--frame-limit takes a larger limit, such as 1MiB")
                    }
                    Cause::BadFrame(_) => lost.with_hint("does the server use the same --frame?"),
                    _ => lost,
                });
            }
        }
    }
}

fn not_sent(line: u64, error: FrameError) -> Failure {
    let failure = Failure::failed(format!(
        "line {line} of standard input is not sent: {error}"
    ));
    match error {
        FrameError::ContainsMark => {
            failure.with_hint("length:u32, netstring and cobs can carry any message")
        }
        FrameError::TooLong { .. } => {
            failure.with_hint("a larger number, such as length:u32, can announce it")
        }
        FrameError::WrongSize { .. } => {
            failure.with_hint("with fixed, every line has as many bytes as the messages")
        }
        _ => failure,
    }
}
