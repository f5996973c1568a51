//! S2, the simple server: create, bind, listen, and in a loop accept, greet, read once, close.
//!
//!     simple_server ADDRESS [COUNT]      ends after COUNT clients
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rest @ ..] = &arguments[..] else {
        return Err("usage: simple_server ADDRESS [COUNT]".into());
    };
    let count = rest
        .first()
        .map_or(Ok(usize::MAX), |number| number.parse())?;

    // `bind` creates the socket, binds it and listens, with a backlog: clients that connect while we are
    // busy with another wait there, in the kernel.
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);

    let mut buffer = [0; 1024];
    for _ in 0..count {
        let (mut stream, peer) = listener.accept()?;
        stream.write_all(b"Welcome!\n")?;

        // While we wait here for this one client, nobody else is served. All the other servers are about
        // how not to wait here.
        match stream.read(&mut buffer) {
            Ok(0) => println!("{peer} said nothing"),
            Ok(count) => println!(
                "{peer}: {}",
                String::from_utf8_lossy(&buffer[..count]).trim_end()
            ),
            Err(error) => println!("{peer} failed: {error}"),
        }
        // The end of the block closes the connection.
    }
    Ok(())
}
