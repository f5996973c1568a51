//! S13, the queue of outgoing messages by itself: first in first out, bounded, and open to inspection.
//!
//!     queue [BYTES_MAX [refuse|drop-oldest]]
//!
//! Reads lines from standard input. `send TEXT` appends a message, `write N` lets the connection take N bytes,
//! `show` prints what waits, `age` for how long. The queue is the one that the select, poll and epoll servers use.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::time::Instant;

use trunkline::{Queue, WhenOver};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let bytes_max = arguments.first().map_or(Ok(32), |number| number.parse())?;
    let when_over = match arguments.get(1).map(String::as_str) {
        None | Some("refuse") => WhenOver::Refuse,
        Some("drop-oldest") => WhenOver::DropOldest,
        Some(word) => return Err(format!("what is {word:?}? refuse or drop-oldest").into()),
    };
    let mut queue = Queue::new(bytes_max).when_over(when_over);
    for line in io::stdin().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("send", text) => match queue.push(text.to_owned(), Instant::now()) {
                Ok(()) => report(&queue),
                // Nothing is lost silently: the sender has the message back and decides.
                Err(full) => println!("refused: {full}"),
            },
            ("write", count) => write(&mut queue, count.parse()?)?,
            ("show", _) => {
                for message in queue.iter() {
                    println!("waiting: {:?}", String::from_utf8_lossy(message));
                }
            }
            ("age", _) => {
                let age = queue.age(Instant::now());
                println!("the oldest has waited for {} s", age.as_secs());
            }
            (word, _) => println!("what is {word:?}? send TEXT, write N, show or age"),
        }
    }
    Ok(())
}

fn report(queue: &Queue<String>) {
    print!(
        "queued: {} messages, {} bytes",
        queue.messages(),
        queue.bytes()
    );
    match queue.dropped() {
        0 => println!(),
        dropped => println!(", {dropped} dropped so far"),
    }
}

fn write(queue: &mut Queue<String>, bytes_max: usize) -> io::Result<()> {
    let mut connection = Connection {
        takes: bytes_max,
        taken: Vec::new(),
    };
    let empty = queue.write_to(&mut connection)?;
    let rest = if empty {
        "nothing waits"
    } else {
        "the rest waits"
    };
    let taken = String::from_utf8_lossy(&connection.taken);
    println!("written: {taken:?}, {rest}");
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
