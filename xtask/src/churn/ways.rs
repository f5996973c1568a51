//! The ways in which a client vanishes. A socket that is closed with unread input makes the system send a reset.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections of one client that say nothing and stay.
const SILENT_MAX: usize = 30;

/// Those who stay and say nothing, oldest first.
#[derive(Default)]
pub(crate) struct Silent(VecDeque<TcpStream>);

/// A way to vanish.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) vanish: fn(SocketAddr, &mut Silent) -> io::Result<()>,
}

pub(crate) const WAYS: [Way; 8] = [
    Way {
        name: "close",
        vanish: |server, _| talk(server).map(drop),
    },
    Way {
        name: "half-close",
        vanish: |server, _| {
            let mut stream = talk(server)?;
            stream.shutdown(Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        },
    },
    Way {
        name: "reset",
        vanish: |server, _| {
            let mut stream = connect(server)?;
            stream.write_all(b"hello\n")?;
            // There is something to read, and nobody reads it.
            uninterrupted(|| stream.peek(&mut [0])).map(drop)
        },
    },
    Way {
        name: "reset while the server writes",
        vanish: |server, _| {
            let mut stream = connect(server)?;
            let lines = b"a line, of which there are many, and each is answered\n".repeat(2000);
            stream.set_nonblocking(true)?;
            match stream.write(&lines) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => stream.set_nonblocking(false)?,
            }
            uninterrupted(|| stream.peek(&mut [0])).map(drop)
        },
    },
    Way {
        name: "mid-frame",
        vanish: |server, _| {
            let mut stream = talk(server)?;
            stream.write_all(b"half a li")
        },
    },
    Way {
        name: "half-close with half a frame",
        vanish: |server, _| {
            let mut stream = connect(server)?;
            stream.write_all(b"half a li")?;
            stream.shutdown(Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        },
    },
    Way {
        name: "gone before it was accepted",
        vanish: |server, _| connect(server).map(drop),
    },
    Way {
        name: "silence",
        vanish: |server, silent| {
            silent.0.push_back(connect(server)?);
            if silent.0.len() > SILENT_MAX {
                silent.0.pop_front();
            }
            Ok(())
        },
    },
];

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A connection over which a line went, and an answer came.
fn talk(server: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect(server)?;
    stream.write_all(b"hello\n")?;
    // A room answers with its welcome.
    match uninterrupted(|| stream.read(&mut [0; 1024]))? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(stream),
    }
}

/// A read with a timeout is interrupted also where this process was only stopped and continued.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
