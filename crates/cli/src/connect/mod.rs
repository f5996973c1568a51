//! `trunkline connect`: standard input to one or many servers, their answers to standard output.
//!
//! Memory stays small however much is piped through. Input is read on a thread of its own, one chunk at a time,
//! and the next chunk is asked for only when the kernel has taken the last one for every server. Output is
//! written before more is read from any server.

use std::process::ExitCode;
use std::sync::mpsc::sync_channel;

use trunkline::network::kernel::Kernel;
use trunkline::{Address, Chunks, Error, EventLoop, Mechanism, Operation, Options};

use crate::arguments::ConnectArguments;
use crate::encoding::Edge;
use crate::failure::Failure;
use crate::framing::Framing;
use crate::mechanism;

mod input;
mod messages;
mod output;
mod talker;

use output::Output;
use talker::Talker;

/// The most bytes that one byte of UTF-8 becomes: in UTF-32, or as the number of a character.
const ENCODED_BYTES_MAX: usize = 4;

/// The most bytes that an encoding writes before a text.
const MARK_BYTES_MAX: usize = 4;

/// Talks until every server has closed.
pub(crate) fn run(arguments: &ConnectArguments) -> Result<ExitCode, Failure> {
    let mechanism = mechanism::choose(arguments.mechanism.as_deref())?;
    let mut targets = Vec::new();
    for address in &arguments.addresses {
        targets.push(Address::resolve(address)?);
    }
    let framing = match &arguments.frame {
        Some(frame) => Framing::named(frame, arguments.frame_limit)?,
        None => Framing::Chunks(Chunks::new()),
    };
    let text = arguments.encoding.is_some() || arguments.errors.is_some();
    let edge = Edge::named(arguments.encoding.as_deref(), arguments.errors.as_deref())?;
    // Where neither was asked for, bytes pass as they are.
    let edge = text.then_some(edge);
    if let Some(edge) = edge {
        edge.check(&framing)?;
    }
    let options = options(&framing, edge.is_some());
    let output = Output::new(targets.len() > 1, framing.has_messages());
    let talker = Talker::new(targets.len(), output, framing, edge);
    let mut client = EventLoop::over(kernel(mechanism)?, talker, options);
    for addresses in &targets {
        client.connect_first(addresses);
    }
    talk(&mut client)?;
    client.handler().outcome()
}

fn kernel(mechanism: Option<Mechanism>) -> Result<Kernel, Error> {
    let made = mechanism.map_or_else(Kernel::new, Kernel::with_mechanism);
    made.map_err(|error| Error::new(Operation::Start, None, error))
}

fn options(framing: &Framing, text: bool) -> Options {
    // A chunk may be nothing but the ends of empty lines, each of them a message.
    let overhead = framing.overhead_bytes_max() + if text { MARK_BYTES_MAX } else { 0 };
    let framing_bytes_max = (input::CHUNK_BYTES_MAX + 1) * overhead;
    let growth = if text { ENCODED_BYTES_MAX } else { 1 };
    Options {
        until_idle: true,
        // Never reached, because a chunk is much smaller, and so is the beginning of a line before it. It must not be:
        // what is over it would be dropped.
        hard_limit_bytes: growth * 16 * input::CHUNK_BYTES_MAX + framing_bytes_max,
        ..Options::default()
    }
}

fn talk(client: &mut EventLoop<Talker>) -> Result<(), Failure> {
    let (permit_sender, permits) = sync_channel(1);
    input::spawn(client.remote(), permits)?;
    let mut permitted = 0;
    while client.turn(None)? {
        if client
            .handler()
            .wants_chunk(permitted, client.stats().bytes_out)
        {
            permitted += 1;
            // The receiver is gone only when the input has ended, and then no permit is needed.
            let _ = permit_sender.send(());
        }
    }
    Ok(())
}
