//! The handler: what is typed goes to every server, what they answer is shown.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::process::ExitCode;

use trunkline::text::{Decoder, Encoder, Encoding, TextError};
use trunkline::{
    Address, Cause, Closed, Codec, ConnectionId, Error, Flow, FrameError, Handler, Io,
};

use super::input::Input;
use super::messages::{LINE_BYTES_MAX, Messages};
use super::output::{Output, Unfinished};
use crate::encoding::Edge;
use crate::ending::describe;
use crate::failure::Failure;
use crate::framing::Framing;

pub(crate) struct Talker {
    output: Output,
    framing: Framing,
    /// What the servers' bytes mean, if that is to be cared for.
    edge: Option<Edge>,
    /// Where there are no messages, all that is sent is one text.
    encoder: Option<Encoder>,
    /// Lines of input, where it is to be cut into lines.
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

/// One server.
pub(crate) struct Conversation {
    peer: Address,
    unfinished: Unfinished,
    /// Reads what it sends, where that is one text.
    decoder: Option<Decoder>,
}

impl Talker {
    pub(crate) fn new(
        servers: usize,
        output: Output,
        framing: Framing,
        edge: Option<Edge>,
    ) -> Self {
        let messages = framing.has_messages();
        let stream = edge.filter(|_| !messages);
        Self {
            output,
            edge,
            encoder: stream.map(|edge| edge.encoding.encoder(edge.encode_policy)),
            typed: match stream {
                Some(_) => Some(Messages::with_ends()),
                None => messages.then(Messages::new),
            },
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
        typed.add(chunk, |line, message| self.take_line(io, line, message));
        self.typed = Some(typed);
    }

    fn end_input(&mut self, io: &mut Io<'_, Self>) {
        self.input_ended = true;
        if let Some(mut typed) = self.typed.take() {
            typed.end(|line, message| self.take_line(io, line, message));
        }
        for &member in &self.members {
            io.finish_connection(member);
        }
    }

    /// The end of a stream of text may cut a character.
    fn end_text(&mut self, from: &mut Conversation, io: &mut Io<'_, Self>) {
        let pending = from
            .decoder
            .as_ref()
            .map_or(0, |decoder| decoder.pending().len());
        if pending == 0 {
            return;
        }
        let (text, error) = self.read(from, b"", true);
        let shown = self.output.arrived(&mut from.unfinished, text.as_bytes());
        self.check_output(io, shown);
        if let Some(error) = error {
            self.report(&not_read(&from.peer, error));
        }
    }

    fn take_line(&mut self, io: &mut Io<'_, Self>, line: u64, message: Result<&[u8], FrameError>) {
        match message {
            Ok(message) => self.send(io, line, message),
            Err(_) => self.report(&left_out(line)),
        }
    }

    /// To everybody. What cannot be sent is told, and does not keep the rest from being sent.
    fn send(&mut self, io: &mut Io<'_, Self>, line: u64, message: &[u8]) {
        match self.written(message) {
            Ok(message) => self.send_bytes(io, line, &message),
            Err(error) => self.report(&not_sent(line, FrameError::Text(error))),
        }
    }

    /// What was typed, as the servers' bytes.
    fn written<'a>(&mut self, typed: &'a [u8]) -> Result<Cow<'a, [u8]>, TextError> {
        let Some(edge) = self.edge else {
            return Ok(Cow::Borrowed(typed));
        };
        let text = Encoding::Utf8.decode(typed, edge.decode_policy)?;
        let mut bytes = Vec::new();
        if let Some(encoder) = &mut self.encoder {
            encoder.encode(&text, &mut bytes)?;
        } else {
            let encoded = edge.encoding.encode(&text, edge.encode_policy)?;
            bytes.extend_from_slice(&encoded);
        }
        Ok(Cow::Owned(bytes))
    }

    /// What a server sent, as text for the terminal. What comes before malformed bytes is read in any case.
    fn read(
        &self,
        from: &mut Conversation,
        bytes: &[u8],
        last: bool,
    ) -> (String, Option<TextError>) {
        let mut text = String::new();
        let decoded = match (self.edge, &mut from.decoder) {
            (None, _) => Ok(()),
            (Some(_), Some(decoder)) => decoder.decode(bytes, &mut text, last),
            (Some(edge), None) => {
                let mut decoder = edge.encoding.decoder(edge.decode_policy);
                decoder.decode(bytes, &mut text, true)
            }
        };
        (text, decoded.err())
    }

    fn send_bytes(&mut self, io: &mut Io<'_, Self>, line: u64, message: &[u8]) {
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
    type State = Conversation;
    type Message = Input;

    fn codec(&self) -> Framing {
        self.framing.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Conversation> {
        let peer = io.peer()?;
        self.awaited -= 1;
        self.members.insert(io.id());
        let stream = self.edge.filter(|_| !self.framing.has_messages());
        Some(Conversation {
            unfinished: self.output.begin(&peer),
            peer,
            decoder: stream.map(|edge| edge.encoding.decoder(edge.decode_policy)),
        })
    }

    fn frame(&mut self, from: &mut Conversation, io: &mut Io<'_, Self>, bytes: &[u8]) -> Flow {
        if self.edge.is_none() {
            let shown = self.output.arrived(&mut from.unfinished, bytes);
            return self.check_output(io, shown);
        }
        let (text, error) = self.read(from, bytes, false);
        let mut flow = Flow::Continue;
        if !text.is_empty() || error.is_none() {
            let shown = self.output.arrived(&mut from.unfinished, text.as_bytes());
            flow = self.check_output(io, shown);
        }
        if let Some(error) = error {
            self.report(&not_read(&from.peer, error));
            // The next message is a text of its own; in a stream nobody knows where the next character begins.
            if !self.framing.has_messages() && flow == Flow::Continue {
                flow = Flow::Close;
            }
        }
        flow
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

    fn closed(&mut self, mut from: Conversation, io: &mut Io<'_, Self>, closed: Closed) {
        self.members.remove(&io.id());
        self.lost += closed.unsent;
        self.end_text(&mut from, io);
        let shown = Output::ended(from.unfinished);
        self.check_output(io, shown);
        match closed.cause {
            // Reset by ourselves, after standard input or output had failed.
            Cause::Finished | Cause::Stopped | Cause::Aborted => {}
            Cause::Failed(error) => self.report(&Failure::from(error)),
            cause => {
                let lost = format!("lost the connection to {}: {}", from.peer, describe(&cause));
                let lost = Failure::failed(lost);
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

fn left_out(line: u64) -> Failure {
    Failure::failed(format!(
        "line {line} of standard input is not sent: it is longer than {LINE_BYTES_MAX} bytes"
    ))
    .with_hint(
        "without --frame, --encoding and --errors, lines are sent as they come, however long",
    )
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
        FrameError::Text(error) if error.character().is_none() => failure.with_hint(
            "standard input has to be UTF-8. With --errors replace, what is not is sent as U+FFFD",
        ),
        FrameError::Text(_) => failure.with_hint("--errors names what becomes of such characters"),
        _ => failure,
    }
}

fn not_read(peer: &Address, error: TextError) -> Failure {
    Failure::failed(format!("cannot read what {peer} says: {error}")).with_hint(
        "is --encoding right? With --errors replace, what cannot be read is shown as U+FFFD",
    )
}
