//! Connecting to whichever of several addresses answers first, on the kernel and every mechanism; the details of it are
//! tested on the simulated network.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use trunkline::net::{connect_start, listen};
use trunkline::network::kernel::Kernel;
use trunkline::{
    Chunks, Closed, ConnectionId, Error, ErrorKind, EventLoop, Flow, Handler, Io, Mechanism,
    Options, Sent, WhenPanicking,
};

#[derive(Default)]
struct Client {
    reached: Option<SocketAddr>,
    answer: Vec<u8>,
    failed: Option<Error>,
    closed: usize,
}

impl Handler for Client {
    type Codec = Chunks;
    type State = ();
    type Message = ();

    fn codec(&self) -> Chunks {
        Chunks
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.reached = io.peer().and_then(|peer| peer.socket_addr());
        assert_eq!(io.send(b"hello"), Sent::Queued);
        io.finish();
        Some(())
    }

    fn frame(&mut self, (): &mut (), _io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        self.answer.extend_from_slice(frame);
        Flow::Continue
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, _id: ConnectionId, error: Error) {
        assert!(self.failed.replace(error).is_none(), "told once");
    }

    fn closed(&mut self, (): (), _io: &mut Io<'_, Self>, _closed: Closed) {
        self.closed += 1;
    }
}

/// A listener that drops requests: its backlog has room for one, and that one is taken.
struct Hole {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: TcpStream,
}

impl Hole {
    fn new() -> Self {
        let listener = listen(SocketAddr::from(([127, 0, 0, 2], 0)), 0).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let waiting = TcpStream::connect(address).expect("there is room for one");
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }
}

fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.3:0").expect("a free port");
    listener.local_addr().expect("bound")
}

fn run(mechanism: Mechanism, addresses: &[SocketAddr], options: Options) -> (Client, Duration) {
    let network = Kernel::with_mechanism(mechanism).expect("every Linux has the three");
    let mut client = EventLoop::over(network, Client::default(), options);
    client.connect_any(addresses);
    let start = Instant::now();
    let (client, _) = client.run().expect("the loop runs");
    (client, start.elapsed())
}

fn options() -> Options {
    Options {
        until_idle: true,
        when_panicking: WhenPanicking::Propagate,
        ..Options::default()
    }
}

const MECHANISMS: [Mechanism; 3] = [Mechanism::Select, Mechanism::Poll, Mechanism::Epoll];

#[test]
fn the_address_that_answers_is_taken() {
    for mechanism in MECHANISMS {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let echo = listener.local_addr().expect("bound");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client comes");
            let mut text = Vec::new();
            stream
                .read_to_end(&mut text)
                .expect("the client sends and finishes");
            stream.write_all(&text).expect("the client reads");
        });
        let hole = Hole::new();
        let (client, elapsed) = run(mechanism, &[nobody(), hole.address, echo], options());
        assert_eq!((client.reached, client.closed), (Some(echo), 1));
        assert_eq!(client.answer, b"hello");
        assert!(client.failed.is_none());
        assert!(
            elapsed >= Duration::from_millis(250),
            "the hole had its time: {elapsed:?}"
        );
        server.join().expect("the server ends");
    }
}

#[test]
fn one_error_tells_of_all_when_none_answers() {
    for mechanism in MECHANISMS {
        let (hole, nobody) = (Hole::new(), nobody());
        // The precondition: a connect to the hole is not answered.
        let probe = connect_start(hole.address).expect("it starts");
        let options = Options {
            connect_timeout: Duration::from_millis(300),
            attempt_delay: Duration::from_millis(20),
            ..options()
        };
        let (client, elapsed) = run(mechanism, &[hole.address, nobody], options);
        assert!(probe.peer_addr().is_err(), "the hole is one");
        let error = client.failed.expect("nobody answered");
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.address(), Some(nobody.to_string().as_str()));
        assert_eq!(error.others()[0].kind(), ErrorKind::TimedOut);
        assert!(elapsed >= Duration::from_millis(300));
        assert_eq!((client.reached, client.closed), (None, 0));
    }
}
