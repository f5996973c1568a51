//! S1, the simple client: connect, send a text, receive at most n bytes, close.
//!
//!     simple_client ADDRESS TEXT [BYTES_MAX]
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, text, rest @ ..] = &arguments[..] else {
        return Err("usage: simple_client ADDRESS TEXT [BYTES_MAX]".into());
    };
    let bytes_max = rest.first().map_or(Ok(1024), |number| number.parse())?;

    // Connecting blocks until the server's system has answered.
    let mut stream = TcpStream::connect(address)?;

    // Inside the program there is text. It becomes bytes here, at the edge; `as_bytes` gives UTF-8.
    stream.write_all(text.as_bytes())?;

    // One `read` gives what has arrived, at least one byte, at most the size of the buffer: not "the
    // answer", for TCP carries bytes and knows no messages (see framing.rs). 0 bytes: the server closed.
    let mut buffer = vec![0; bytes_max];
    let count = stream.read(&mut buffer)?;

    // Bytes become text at the edge again; what is not UTF-8 is replaced, and visibly so.
    println!("{}", String::from_utf8_lossy(&buffer[..count]));
    Ok(())
    // `stream` goes out of scope, on every path: the connection is closed.
}
