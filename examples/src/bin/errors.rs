//! S16, what can go wrong: each failure told apart, with what to do about it, and every socket closed whatever happens.
//!
//!     errors ADDRESS...                  tries all of them at once, for two seconds at most
#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use trunkline::{
    Address, Chunks, Client, Closed, ConnectionId, Error, ErrorKind, Flow, Frame, Handler, Io,
};

/// Closes every connection that is made, and counts the rest.
#[derive(Default)]
struct Try {
    failed: usize,
}

impl Try {
    /// An error is more than a text: its kind can be matched on, and it knows what was attempted, where, and a hint.
    fn report(&mut self, error: &Error) {
        self.failed += 1;
        let what = match error.kind() {
            ErrorKind::Refused => "refused",
            ErrorKind::TimedOut => "timed out",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::NameNotFound => "bad name",
            ErrorKind::BadAddress => "bad argument",
            ErrorKind::OutOfDescriptors => "out of descriptors",
            _ => "failed",
        };
        eprintln!("{what}: {error}");
        if let Some(hint) = error.hint() {
            eprintln!("    {hint}");
        }
    }
}

impl Handler for Try {
    type Codec = Chunks;
    type State = Address;
    type Message = ();

    fn codec(&self) -> Chunks {
        Chunks::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Address> {
        io.close();
        io.peer()
    }

    fn frame(&mut self, _: &mut Address, _: &mut Io<'_, Self>, _: Frame<'_, Self>) -> Flow {
        Flow::Continue
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, _id: ConnectionId, error: Error) {
        self.report(&error);
    }

    /// Exactly once for each connection that was made, whatever ended it; its socket is closed by then.
    fn closed(&mut self, peer: Address, _io: &mut Io<'_, Self>, closed: Closed) {
        println!("connected to {peer}, and closed ({:?})", closed.cause);
    }
}

fn main() -> ExitCode {
    let addresses: Vec<String> = env::args().skip(1).collect();
    if addresses.is_empty() {
        eprintln!("usage: errors ADDRESS...");
        return ExitCode::from(2);
    }
    let mut attempts = Try::default();
    // A bad argument, or a name that nobody knows, need not keep the others from being tried.
    let mut good = Vec::new();
    for address in addresses {
        match trunkline::resolve(&address) {
            Ok(_) => good.push(address),
            Err(error) => attempts.report(&error),
        }
    }
    let mut client = Client::new(attempts).connect_timeout(Duration::from_secs(2));
    for address in good {
        client = client.connect(address);
    }
    match client.start().and_then(trunkline::EventLoop::run) {
        Ok((attempts, _)) if attempts.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
