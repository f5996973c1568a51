//! The scenario `s22_garbage_proxy_header`: bytes that nobody asked for stand before the first frame, as where a proxy
//! says who the client is and the server was not told to expect it. They end their own connection and no other, whatever
//! the framing.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use trunkline::{
    Cause, Closed, Codec, Flow, Frame, Handler, Io, LengthPrefix, Mechanism, Netstring, Prefix,
    Server,
};

#[cfg(target_os = "linux")]
const MECHANISMS: [Mechanism; 4] = [
    Mechanism::Epoll,
    Mechanism::IoUring,
    Mechanism::Poll,
    Mechanism::Select,
];
#[cfg(not(target_os = "linux"))]
const MECHANISMS: [Mechanism; 2] = [Mechanism::Poll, Mechanism::Select];

/// What the two versions of the PROXY protocol begin with, and what is neither.
const HEADERS: [&[u8]; 4] = [
    b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb",
    b"PROXY UNKNOWN",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
];

struct Guard<C> {
    codec: C,
    bad: usize,
    good: usize,
}

impl<C: Codec> Handler for Guard<C> {
    type Codec = C;
    type State = ();
    type Message = ();

    fn codec(&self) -> C {
        self.codec.clone()
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    fn frame(&mut self, (): &mut (), _io: &mut Io<'_, Self>, _frame: Frame<'_, Self>) -> Flow {
        self.good += 1;
        Flow::Continue
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        match closed.cause {
            Cause::BadFrame(_) => self.bad += 1,
            Cause::Finished => io.stop(),
            other => panic!("{other:?}"),
        }
    }
}

/// Says this and waits for the end of the connection.
fn say(server: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
}

fn garbage_ends_its_own_connection(mechanism: Mechanism, codec: impl Codec, frame: &[u8]) {
    let guard = Guard {
        codec,
        bad: 0,
        good: 0,
    };
    let server = Server::new(guard)
        .mechanism(mechanism)
        .listen("127.0.0.1:0");
    let server = server.start().unwrap();
    let address = server.local_addresses()[0];
    let (guard, _) = thread::scope(|scope| {
        scope.spawn(move || {
            let mut decent = TcpStream::connect(address).unwrap();
            decent.write_all(frame).unwrap();
            for header in HEADERS {
                say(address, header);
            }
            decent.write_all(frame).unwrap();
        });
        server.run().unwrap()
    });
    assert_eq!((guard.bad, guard.good), (HEADERS.len(), 2), "{mechanism}");
}

#[test]
fn s22_garbage_proxy_header() {
    let working = |&mechanism: &Mechanism| match mechanism.check() {
        Ok(()) => true,
        // Many a sandbox forbids it. In CI that is a failure.
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            false
        }
    };
    for mechanism in MECHANISMS.into_iter().filter(working) {
        let length = LengthPrefix::new(Prefix::U32).limit(1024);
        garbage_ends_its_own_connection(mechanism, length, b"\0\0\0\x02hi");
        garbage_ends_its_own_connection(mechanism, Netstring::new().limit(1024), b"2:hi,");
    }
}
