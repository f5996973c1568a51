//! A loop that has ended has closed its sockets, also while somebody keeps it: `turn` by `turn`, who would drop it?
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use trunkline::network::kernel::Kernel;
use trunkline::{Chunks, ConnectionId, Error, EventLoop, Flow, Handler, Io, Mechanism, Options};

const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the loop, with everything that is open, as soon as somebody says something.
struct Ends;

impl Handler for Ends {
    type Codec = Chunks;
    type State = ();
    type Message = ();

    fn codec(&self) -> Chunks {
        Chunks
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, _frame: &[u8]) -> Flow {
        io.kill();
        Flow::Continue
    }
}

#[test]
fn a_loop_that_has_ended_lets_go_while_it_is_kept() {
    for availability in Mechanism::available() {
        if let Some(reason) = &availability.reason {
            eprintln!("skipped: {reason}");
            continue;
        }
        let mechanism = availability.mechanism;
        let network = Kernel::with_mechanism(mechanism).expect("it is available");
        let mut server = EventLoop::over(network, Ends, Options::default());
        let address = server
            .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("a free port");
        let mut clients = [(); 2].map(|()| TcpStream::connect(address).expect("it listens"));
        clients[0].write_all(b"end").expect("there is room");
        let give_up = Instant::now() + PATIENCE;
        while server.turn(Some(PATIENCE)).expect("a turn") {
            assert!(Instant::now() < give_up, "{mechanism}: it does not end");
        }
        for client in &mut clients {
            client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let end = client.read_to_end(&mut Vec::new());
            let timed_out = end.as_ref().is_err_and(|error| {
                [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut]
                    .contains(&error.kind())
            });
            assert!(
                !timed_out && end.unwrap_or(0) == 0,
                "{mechanism}: somebody keeps it"
            );
        }
        TcpListener::bind(address).unwrap_or_else(|error| panic!("{mechanism}: {error}"));
        drop(server);
    }
}

/// Never gives up: connects anew whenever it is told that it failed.
struct Persistent {
    address: SocketAddr,
}

impl Handler for Persistent {
    type Codec = Chunks;
    type State = ();
    type Message = ();

    fn codec(&self) -> Chunks {
        Chunks
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    fn frame(&mut self, (): &mut (), _io: &mut Io<'_, Self>, _frame: &[u8]) -> Flow {
        Flow::Continue
    }

    fn connect_failed(&mut self, io: &mut Io<'_, Self>, _: ConnectionId, _: Error) {
        io.connect(self.address);
    }
}

#[test]
fn a_killed_loop_ends_though_its_handler_connects_anew() {
    // A port where nobody listens.
    let vacant = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = vacant.local_addr().expect("it is bound");
    drop(vacant);
    let network = Kernel::new().expect("a mechanism");
    let mut client = EventLoop::over(network, Persistent { address }, Options::default());
    client.connect(address);
    for _ in 0..5 {
        assert!(client.turn(Some(PATIENCE)).expect("a turn"));
    }
    client.remote().kill();
    let turns = (0..100).take_while(|_| client.turn(Some(PATIENCE)).expect("a turn"));
    assert!(turns.count() < 5);
}
