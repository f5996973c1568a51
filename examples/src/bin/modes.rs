//! S3, the three modes: one operation, `receive`, that blocks, that returns at once, or that gives up after a time.
//!
//!     modes ADDRESS [MILLISECONDS]       the address of a server that echoes lines
//!
//! As long as nothing is sent, an echo server sends nothing: so two of the modes come back empty-handed, each saying so in
//! its own way, and the third waits for as long as it takes.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
enum Mode {
    /// Waits for as long as it takes.
    Blocking,
    /// Never waits.
    NonBlocking,
    /// Waits for so long.
    Timeout(Duration),
}

/// What came of it.
enum Outcome {
    Received(usize),
    /// The server has closed.
    Ended,
    /// Nothing has arrived yet, and we were not to wait.
    WouldBlock,
    /// Nothing has arrived in time.
    TimedOut,
}

/// The same call in every mode.
fn receive(stream: &mut TcpStream, mode: Mode, buffer: &mut [u8]) -> io::Result<Outcome> {
    stream.set_nonblocking(matches!(mode, Mode::NonBlocking))?;
    stream.set_read_timeout(match mode {
        Mode::Timeout(timeout) => Some(timeout),
        Mode::Blocking | Mode::NonBlocking => None,
    })?;
    loop {
        return match stream.read(buffer) {
            Ok(0) => Ok(Outcome::Ended),
            Ok(count) => Ok(Outcome::Received(count)),
            // Linux has one error for both, "resource temporarily unavailable"; other systems have two. Which of the
            // two it means, the mode tells.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(match mode {
                    Mode::Timeout(_) => Outcome::TimedOut,
                    Mode::NonBlocking | Mode::Blocking => Outcome::WouldBlock,
                })
            }
            // A signal came in between: no reason to give up.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

fn show(stream: &mut TcpStream, mode: Mode) -> io::Result<()> {
    let mut buffer = [0; 1024];
    let start = Instant::now();
    let outcome = receive(stream, mode, &mut buffer)?;
    let milliseconds = start.elapsed().as_millis();
    print!("{mode:?}: ");
    match outcome {
        Outcome::Received(count) => {
            println!("received {:?}", String::from_utf8_lossy(&buffer[..count]));
        }
        Outcome::Ended => println!("the server has closed"),
        Outcome::WouldBlock => println!("would block: nothing has arrived yet"),
        Outcome::TimedOut => println!("timed out: nothing has arrived in {milliseconds} ms"),
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rest @ ..] = &arguments[..] else {
        return Err("usage: modes ADDRESS [MILLISECONDS]".into());
    };
    let timeout = rest.first().map_or(Ok(100), |number| number.parse())?;
    // A timeout of zero would be no timeout to the system: it means "for ever" there.
    let timeout = Duration::from_millis(timeout).max(Duration::from_millis(1));

    // Connecting has the same three modes; this one gives up after a time.
    let address = trunkline::resolve(address)?[0];
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;

    show(&mut stream, Mode::NonBlocking)?;
    show(&mut stream, Mode::Timeout(timeout))?;
    stream.write_all(b"hello\n")?;
    show(&mut stream, Mode::Blocking)?;
    Ok(())
}
