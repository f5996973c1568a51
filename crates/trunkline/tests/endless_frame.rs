//! A8 over loopback: a peer that sends and sends without ever ending its frame. Alone in its program, because it looks
//! at the memory of the whole process.
//!
//! 256 MiB stand for the ten gigabytes, which would only take longer: the suite of the codecs shows that what is kept
//! does not depend on what is offered, and here the operating system says the same of the process.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;

use trunkline::{
    Cause, Closed, Codec, Delimiter, Flow, Frame, FrameError, Handler, Io, LengthPrefix, Lines,
    Mechanism, Netstring, Prefix, Server, WhenPanicking,
};

const OFFERED_BYTES: usize = 256 << 20;
const MECHANISMS: [Mechanism; 4] = [
    Mechanism::Epoll,
    Mechanism::IoUring,
    Mechanism::Poll,
    Mechanism::Select,
];
const LIMIT: usize = 64 * 1024;

/// Waits for the one connection, which must bring no frame.
struct Victim<C> {
    codec: C,
    closed: Option<Closed>,
}

impl<C: Codec> Handler for Victim<C> {
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
        panic!("no frame has an end");
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.closed = Some(closed);
        io.stop();
    }
}

/// The most memory that this process has had so far, in bytes.
fn peak_memory_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: usize = kibibytes
        .and_then(|number| number.parse().ok())
        .expect("a number");
    kibibytes * 1024
}

fn offer(server: SocketAddr, beginning: &[u8]) {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.write_all(beginning).expect("the server reads");
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..OFFERED_BYTES / piece.len() {
        // The server may have seen enough before this client has said it all.
        if stream.write_all(&piece).is_err() {
            return;
        }
    }
}

fn refuses_an_endless_frame(mechanism: Mechanism, codec: impl Codec, beginning: &'static [u8]) {
    let victim = Victim {
        codec,
        closed: None,
    };
    let server = Server::new(victim)
        .mechanism(mechanism)
        .listen("127.0.0.1:0")
        .when_panicking(WhenPanicking::Propagate)
        .start()
        .expect("a free port");
    let address = server.local_addresses()[0];
    let before = peak_memory_bytes();
    let client = thread::spawn(move || offer(address, beginning));
    let (victim, stats) = server.run().expect("the loop runs");
    client.join().expect("the client ends");
    // The kernel counts in batches, so even a peak may be told a little lower than before.
    let grown = peak_memory_bytes().saturating_sub(before);

    let closed = victim.closed.expect("the connection ended");
    let refused = FrameError::TooLong { limit: LIMIT };
    assert!(
        matches!(closed.cause, Cause::BadFrame(error) if error == refused),
        "{closed:?}"
    );
    // A frame, a mark of which the last byte is missing, and what the last read brought.
    assert!(closed.unread < 2 * LIMIT as u64 + 5, "{closed:?}");
    assert!(stats.bytes_in >= closed.unread);
    assert!(grown < 4 << 20, "{grown} bytes more than before");
}

/// Also the scenario `oversize-frame`: what a prefix claims is not allocated.
#[test]
fn a8_a_frame_without_an_end_costs_no_memory() {
    for mechanism in MECHANISMS {
        if let (Mechanism::IoUring, Err(reason)) = (mechanism, mechanism.check()) {
            // Many a sandbox forbids it. In CI that is a failure.
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            continue;
        }
        refuses_an_endless_frame(mechanism, Lines::new().limit(LIMIT), b"");
        let delimiter = Delimiter::new("--=--").limit(LIMIT);
        refuses_an_endless_frame(mechanism, delimiter, b"--=-");
        refuses_an_endless_frame(mechanism, Netstring::new().limit(LIMIT), b"10000000000:");
        let length = LengthPrefix::new(Prefix::U64).limit(LIMIT);
        refuses_an_endless_frame(mechanism, length, b"\0\0\0\x02\0\0\0\0");
    }
}
