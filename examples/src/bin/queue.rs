//! S13, the queue of outgoing messages by itself: first in first out, bounded, and open to inspection.
//!
//!     queue [BYTES_MAX]
//!
//! Reads lines from standard input. `send TEXT` appends a message, `write N` lets the connection take N bytes,
//! `show` prints what waits. The queue is the one that the select, poll and epoll servers use (src/queue.rs).
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Write};

use trunkline_examples::Queue;

fn main() -> Result<(), Box<dyn Error>> {
    let bytes_max = env::args().nth(1).map_or(Ok(32), |number| number.parse())?;
    let mut queue = Queue::new(bytes_max);
    for line in io::stdin().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("send", text) => match queue.push(text.into()) {
                Ok(()) => println!("queued: {} messages, {} bytes", queue.len(), queue.bytes()),
                // Nothing is lost silently: the sender has the message back and decides.
                Err(full) => println!("refused: {full}"),
            },
            ("write", count) => {
                let mut connection = Connection {
                    takes: count.parse()?,
                    taken: Vec::new(),
                };
                let empty = queue.write_to(&mut connection)?;
                let rest = if empty {
                    "nothing waits"
                } else {
                    "the rest waits"
                };
                println!(
                    "written: {:?}, {rest}",
                    String::from_utf8_lossy(&connection.taken)
                );
            }
            ("show", _) => {
                for message in queue.iter() {
                    println!("waiting: {:?}", String::from_utf8_lossy(message));
                }
            }
            (word, _) => println!("what is {word:?}? send TEXT, write N or show"),
        }
    }
    Ok(())
}

/// Behaves as a socket whose buffer has room for a few more bytes: takes those, then "would block".
struct Connection {
    takes: usize,
    taken: Vec<u8>,
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.takes == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(self.takes);
        self.takes -= count;
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
