//! S15, answering services: echo, acknowledgement and greeting, each a few lines of one handler.
//!
//!     answering ADDRESS echo|ack|greet [COUNT]    ends when COUNT clients have come and gone
//!
//! `echo` sends every line back, `ack` answers "Got " and the line, `greet` says hello to every newcomer, by
//! number, and echoes. There is not a line here about slow readers, half-closed connections, lines cut in two or
//! clients that send too much: these the engine handles.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;

use trunkline::{Closed, Flow, Frame, Handler, Io, Lines, Sent, Server};

#[derive(Clone, Copy)]
enum Service {
    Echo,
    Ack,
    Greet,
}

struct Answering {
    service: Service,
    newcomers: usize,
    to_serve: usize,
}

impl Handler for Answering {
    type Codec = Lines;
    type State = ();
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.newcomers += 1;
        if let Service::Greet = self.service {
            let greeting = format!("Hello, number {}!", self.newcomers);
            // `None` would refuse the client.
            queued(io.send(greeting.as_bytes())).then_some(())
        } else {
            Some(())
        }
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, line: Frame<'_, Self>) -> Flow {
        let sent = match self.service {
            Service::Echo | Service::Greet => io.send(line),
            Service::Ack => io.send(&[b"Got ", line].concat()),
        };
        if queued(sent) {
            Flow::Continue
        } else {
            Flow::Close
        }
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, _closed: Closed) {
        self.to_serve -= 1;
        if self.to_serve == 0 {
            io.stop();
        }
    }
}

/// Whether the message will be written. Above the high watermark it still will; the engine then reads no more
/// from that client until it has read its answers.
fn queued(sent: Sent) -> bool {
    matches!(sent, Sent::Queued | Sent::AboveHigh)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let usage = "usage: answering ADDRESS echo|ack|greet [COUNT]";
    let [address, service, rest @ ..] = &arguments[..] else {
        return Err(usage.into());
    };
    let service = match service.as_str() {
        "echo" => Service::Echo,
        "ack" => Service::Ack,
        "greet" => Service::Greet,
        _ => return Err(usage.into()),
    };
    let to_serve = rest
        .first()
        .map_or(Ok(usize::MAX), |number| number.parse())?;

    let server = Server::new(Answering {
        service,
        newcomers: 0,
        to_serve,
    })
    .listen(address)
    .start()?;
    println!("listening on {}", server.local_addresses()[0]);
    server.run()?;
    Ok(())
}
