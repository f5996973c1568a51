//! S12, framing: a message ends at a mark that both sides agreed on, however the bytes were cut on the way.
//!
//!     framing ADDRESS [COUNT]            ends when COUNT clients have come and gone
//!
//! Here the mark is "||" and a message has at most 1000 bytes. Each message is answered with its number and its
//! length. Try it with a mark cut in two: `(printf 'one|'; sleep 1; printf '|two||') | nc ADDRESS`.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;

use trunkline::{Cause, Closed, Delimiter, Flow, Frame, Handler, Io, Sent, Server};

struct Count {
    to_serve: usize,
}

impl Handler for Count {
    type Codec = Delimiter;
    /// How many messages came over this connection.
    type State = usize;
    type Message = ();

    fn codec(&self) -> Delimiter {
        // Without a limit, a client that never sends the mark would fill our memory.
        Delimiter::new("||").limit(1000)
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<usize> {
        Some(0)
    }

    /// Called once for each message, whole and without its mark: never for a part, never for two.
    fn frame(
        &mut self,
        messages: &mut usize,
        io: &mut Io<'_, Self>,
        frame: Frame<'_, Self>,
    ) -> Flow {
        *messages += 1;
        let answer = format!("{messages}: {} bytes", frame.len());
        // The codec writes the mark behind each answer, too.
        match io.send(answer.as_bytes()) {
            Sent::Queued | Sent::AboveHigh => Flow::Continue,
            _ => Flow::Close,
        }
    }

    fn closed(&mut self, messages: usize, io: &mut Io<'_, Self>, closed: Closed) {
        match closed.cause {
            Cause::BadFrame(error) => println!("closed after {messages} messages: {error}"),
            _ => println!(
                "closed after {messages} messages, {} bytes without a mark",
                closed.unread
            ),
        }
        self.to_serve -= 1;
        if self.to_serve == 0 {
            io.stop();
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rest @ ..] = &arguments[..] else {
        return Err("usage: framing ADDRESS [COUNT]".into());
    };
    let to_serve = rest
        .first()
        .map_or(Ok(usize::MAX), |number| number.parse())?;

    let server = Server::new(Count { to_serve }).listen(address).start()?;
    println!("listening on {}", server.local_addresses()[0]);
    server.run()?;
    Ok(())
}
