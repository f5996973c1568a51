//! The simulated network does what it says.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use crate::network::simulated::{
    Config, EchoClient, EchoServer, Ending, Faults, Limits, Reading, Simulated, SimulatedSocket,
    World,
};
use crate::network::{Event, Interest, Network, Readiness, Socket, Token, Trigger};

const LISTENER: Token = Token(1);
const ZERO: Option<Duration> = Some(Duration::ZERO);

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A world without latency: every call takes effect at once.
fn prompt() -> Config {
    let limits = Limits {
        latency: Duration::ZERO,
        ..Limits::default()
    };
    Config {
        limits,
        ..Config::calm(1)
    }
}

fn number(socket: Socket) -> u32 {
    SimulatedSocket::from(socket).number()
}

/// A network with a connection to itself: the connecting end is `Token(2)`, the accepted one `Token(3)`.
struct Pair {
    world: World,
    network: Simulated,
    listener: Socket,
    near: Socket,
    far: Socket,
}

impl Pair {
    fn new(config: Config) -> Self {
        let world = World::new(config);
        let mut network = world.network();
        let (listener, address) = network.listen(anywhere(), 8, LISTENER).unwrap();
        let near = network.connect(address, Token(2)).unwrap();
        network.wait(None).unwrap();
        let (far, _) = network.accept(listener, Token(3)).unwrap();
        // With latency, the answer is still on its way to the connecting end.
        world.advance(Duration::from_millis(1));
        network.set_interest(near, Interest::READ);
        Self {
            world,
            network,
            listener,
            near,
            far,
        }
    }

    fn write(&mut self, socket: Socket, bytes: &[u8]) -> std::io::Result<usize> {
        self.network.write(socket, &[IoSlice::new(bytes)])
    }

    fn read(&mut self, socket: Socket) -> Result<Vec<u8>, ErrorKind> {
        let mut buffer = [0; 256];
        let length = self
            .network
            .read(socket, &mut buffer)
            .map_err(|error| error.kind())?;
        Ok(buffer[..length].to_vec())
    }

    fn events(&mut self, timeout: Option<Duration>) -> Vec<Event> {
        self.network.wait(timeout).unwrap();
        std::iter::from_fn(|| self.network.next_event()).collect()
    }

    fn tokens(&mut self) -> Vec<u64> {
        self.events(ZERO)
            .iter()
            .map(|event| event.token.0)
            .collect()
    }
}

#[test]
fn bytes_arrive_in_order_and_then_the_end() {
    let mut pair = Pair::new(prompt());
    let (near, far) = (pair.near, pair.far);
    assert_eq!(pair.read(far), Err(ErrorKind::WouldBlock));
    assert_eq!(
        pair.network
            .write(near, &[IoSlice::new(b"one "), IoSlice::new(b"two")])
            .unwrap(),
        7
    );
    pair.network.shutdown_write(near).unwrap();
    assert_eq!(pair.read(far), Ok(b"one two".to_vec()));
    assert_eq!(pair.read(far), Ok(vec![]));
    assert_eq!(
        pair.write(near, b"x").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    // The other direction lives on.
    pair.write(far, b"back").unwrap();
    assert_eq!(pair.read(near), Ok(b"back".to_vec()));
}

#[test]
fn numbers_come_back_lowest_first_and_stale_sockets_are_caught() {
    let mut pair = Pair::new(prompt());
    let (near, far) = (pair.near, pair.far);
    assert_eq!(
        (number(pair.listener), number(near), number(far)),
        (3, 4, 5)
    );
    pair.network.close(near);
    let address = anywhere();
    let (again, _) = pair.network.listen(address, 1, Token(9)).unwrap();
    assert_eq!(number(again), number(near));
    assert_ne!(again, near);
}

#[test]
#[should_panic(expected = "close of socket 4#2, which is closed")]
fn closing_twice_panics() {
    let mut pair = Pair::new(prompt());
    pair.network.close(pair.near);
    pair.network.close(pair.near);
}

#[test]
fn descriptors_run_out_and_the_reserve_helps() {
    let limits = Limits {
        descriptors: 3,
        ..prompt().limits
    };
    let world = World::new(Config { limits, ..prompt() });
    let mut network = world.network();
    let (listener, address) = network.listen(anywhere(), 8, LISTENER).unwrap();
    network.hold_reserve().unwrap();
    network.hold_reserve().unwrap();
    assert_eq!(world.open_descriptors(), 2);
    world.connect(address, Duration::ZERO, EchoClient::new("a").lenient());
    world.connect(address, Duration::ZERO, EchoClient::new("b").lenient());
    world.advance(Duration::ZERO);
    let (first, _) = network.accept(listener, Token(2)).unwrap();
    assert_eq!(
        network
            .accept(listener, Token(3))
            .unwrap_err()
            .raw_os_error(),
        Some(24)
    );
    network.release_reserve();
    let (second, _) = network.accept(listener, Token(3)).unwrap();
    assert_ne!(first, second);
    assert_eq!(network.hold_reserve().unwrap_err().raw_os_error(), Some(24));
    assert_eq!((world.open_descriptors(), world.open_streams()), (3, 2));
    drop(network);
    assert_eq!((world.open_descriptors(), world.left_open()), (0, 2));
}

#[test]
fn level_readiness_repeats_and_interest_rules_it() {
    let mut pair = Pair::new(prompt());
    let (near, far) = (pair.near, pair.far);
    pair.write(near, b"x").unwrap();
    assert_eq!(pair.tokens(), [3]);
    assert_eq!(pair.tokens(), [3]);
    pair.network
        .set_interest(far, Interest::READ | Interest::WRITE);
    let both = Readiness::READABLE | Readiness::WRITABLE;
    assert_eq!(
        pair.events(ZERO),
        [Event {
            token: Token(3),
            readiness: both
        }]
    );
    pair.network.set_interest(far, Interest::NONE);
    pair.network.abort(near);
    // A paused socket whose peer hangs up wakes nobody.
    assert_eq!(pair.tokens(), [0; 0]);
    pair.network.set_interest(far, Interest::READ);
    let dead = Readiness::READABLE | Readiness::READ_CLOSED | Readiness::ERROR;
    assert_eq!(
        pair.events(ZERO),
        [Event {
            token: Token(3),
            readiness: dead
        }]
    );
}

#[test]
fn edge_readiness_comes_once_per_change() {
    let mut pair = Pair::new(Config {
        trigger: Trigger::Edge,
        ..prompt()
    });
    let (near, far) = (pair.near, pair.far);
    // The connecting end has said so during the set-up; the accepted one is writable from its beginning.
    assert_eq!(pair.tokens(), [3]);
    assert_eq!(pair.tokens(), [0; 0]);
    pair.write(near, b"xy").unwrap();
    assert_eq!(pair.tokens(), [3]);
    assert_eq!(pair.tokens(), [0; 0]);
    assert_eq!(pair.network.read(far, &mut [0]).unwrap(), 1);
    assert_eq!(pair.tokens(), [0; 0], "a read is not a change");
    pair.write(near, b"z").unwrap();
    pair.network.shutdown_write(near).unwrap();
    let events = pair.events(ZERO);
    let far_event = events.iter().find(|event| event.token == Token(3)).unwrap();
    assert!(far_event.readiness.is_readable() && far_event.readiness.is_read_closed());
}

#[test]
fn room_to_write_is_an_edge_after_a_full_write_only() {
    let limits = Limits {
        send_buffer: 10,
        receive_buffer: 10,
        ..prompt().limits
    };
    let mut pair = Pair::new(Config {
        trigger: Trigger::Edge,
        limits,
        ..prompt()
    });
    let (near, far) = (pair.near, pair.far);
    pair.tokens();
    assert_eq!(pair.write(near, &[7; 30]).unwrap(), 10);
    assert_eq!(pair.write(near, &[7; 30]).unwrap(), 10);
    assert_eq!(
        pair.write(near, &[7; 30]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    pair.tokens();
    assert_eq!(pair.read(far), Ok(vec![7; 10]));
    assert_eq!(pair.tokens(), [2, 3]);
}

#[test]
fn a_close_with_unread_bytes_is_a_reset_that_loses_them() {
    let mut pair = Pair::new(Config {
        limits: Limits::default(),
        ..prompt()
    });
    let (near, far) = (pair.near, pair.far);
    pair.write(near, b"request").unwrap();
    pair.world.advance(Duration::from_millis(1));
    pair.write(far, b"reply").unwrap();
    pair.network.close(far);
    pair.world.advance(Duration::from_millis(1));
    assert_eq!(pair.read(near), Err(ErrorKind::ConnectionReset));
    assert_eq!(pair.read(near), Ok(vec![]), "an error is told once");
}

#[test]
fn a_close_without_unread_bytes_delivers_everything() {
    let mut pair = Pair::new(Config {
        limits: Limits::default(),
        ..prompt()
    });
    let (near, far) = (pair.near, pair.far);
    pair.write(far, b"reply").unwrap();
    pair.network.close(far);
    pair.world.advance(Duration::from_millis(1));
    assert_eq!(pair.read(near), Ok(b"reply".to_vec()));
    assert_eq!(pair.read(near), Ok(vec![]));
    // Nobody reads there any more: the bytes are answered by a reset, which is a broken pipe by now.
    assert_eq!(pair.write(near, b"more").unwrap(), 4);
    pair.world.advance(Duration::from_millis(1));
    assert_eq!(
        pair.write(near, b"more").unwrap_err().raw_os_error(),
        Some(32)
    );
}

#[test]
fn a_refused_connection_says_so_once() {
    let world = World::new(prompt());
    let mut network = world.network();
    let socket = network
        .connect(SocketAddr::from(([127, 0, 0, 1], 1)), Token(5))
        .unwrap();
    network.wait(None).unwrap();
    let event = network.next_event().unwrap();
    assert!(event.readiness.is_writable() && event.readiness.contains(Readiness::ERROR));
    assert_eq!(
        network.connected(socket).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert!(!network.connected(socket).unwrap());
}

#[test]
fn a_full_backlog_makes_clients_try_again_later() {
    let world = World::calm(1);
    let mut network = world.network();
    let (listener, address) = network.listen(anywhere(), 1, LISTENER).unwrap();
    world.storm(address, 4, Duration::ZERO, |_| {
        EchoClient::new("x").lenient()
    });
    let mut served = 0;
    while served < 4 {
        network.wait(None).unwrap();
        while let Ok((socket, _)) = network.accept(listener, Token(2)) {
            served += 1;
            network.close(socket);
        }
    }
    assert!(world.elapsed() >= Duration::from_secs(1));
}

#[test]
fn no_event_of_a_closed_socket_even_in_the_same_batch() {
    let mut pair = Pair::new(prompt());
    let (near, far) = (pair.near, pair.far);
    pair.network
        .set_interest(near, Interest::READ | Interest::WRITE);
    pair.network.set_interest(far, Interest::WRITE);
    pair.network.wait(ZERO).unwrap();
    assert_eq!(pair.network.next_event().unwrap().token, Token(2));
    pair.network.close(far);
    // The number is used again at once, by a socket that is ready as well.
    let address = pair.network.listen(anywhere(), 1, Token(7)).unwrap().1;
    pair.network.connect(address, Token(8)).unwrap();
    assert_eq!(pair.network.next_event(), None);
}

#[test]
fn time_passes_only_while_everybody_waits() {
    let world = World::calm(1);
    let mut network = world.network();
    let start = network.now();
    assert!(!network.wait(Some(Duration::from_millis(1500))).unwrap());
    assert_eq!(network.now() - start, Duration::from_millis(1500));
    network.waker()();
    assert!(network.wait(None).unwrap());
    assert_eq!(network.now() - start, Duration::from_millis(1500));
    assert!(network.wait(None).is_err(), "nothing can ever happen");
    assert!(!network.wait(Some(Duration::MAX)).unwrap());
}

#[test]
fn a_loop_that_spins_is_caught() {
    let mut pair = Pair::new(prompt());
    let near = pair.near;
    pair.write(near, b"x").unwrap();
    let spins = (0..10_000).any(|_| pair.network.wait(None).is_err());
    assert!(spins);
    assert!(pair.world.violations()[0].contains("spins"));
}

#[test]
fn errors_of_faults_have_their_numbers() {
    let mut pair = Pair::new(prompt());
    let (near, far, listener) = (pair.near, pair.far, pair.listener);
    pair.world.set_faults(Faults {
        reset: 1.0,
        ..Faults::none()
    });
    assert_eq!(
        pair.network
            .read(near, &mut [0])
            .unwrap_err()
            .raw_os_error(),
        Some(104)
    );
    pair.world.set_faults(Faults {
        accept_exhausted: 1.0,
        ..Faults::none()
    });
    for _ in 0..20 {
        let number = pair
            .network
            .accept(listener, Token(4))
            .unwrap_err()
            .raw_os_error();
        assert!(matches!(number, Some(23 | 24 | 105)), "{number:?}");
    }
    pair.world.set_faults(Faults {
        broken_pipe: 1.0,
        accept_aborted: 1.0,
        ..Faults::none()
    });
    let address = pair.network.listen(anywhere(), 1, Token(7)).unwrap();
    pair.network.connect(address.1, Token(8)).unwrap();
    assert_eq!(
        pair.network
            .accept(address.0, Token(9))
            .unwrap_err()
            .raw_os_error(),
        Some(103)
    );
    assert_eq!(
        pair.write(far, b"x").unwrap_err().raw_os_error(),
        Some(104),
        "the reset came first"
    );
    assert_eq!(pair.write(far, b"x").unwrap_err().raw_os_error(), Some(32));
}

/// A plain level-triggered echo server, written against the network alone.
fn serve(world: &World, peers: usize, client: impl Fn() -> EchoClient) -> u64 {
    let mut network = world.network();
    let (listener, address) = network.listen(anywhere(), 64, LISTENER).unwrap();
    world.storm(address, peers, Duration::from_millis(10), |_| client());
    let mut streams: Vec<(Socket, Vec<u8>)> = Vec::new();
    let mut buffer = [0; 512];
    while network.wait(Some(Duration::from_secs(5))).is_ok() {
        if let Ok((socket, _)) = network.accept(listener, Token(2)) {
            streams.push((socket, Vec::new()));
        }
        let mut idle = true;
        streams.retain_mut(|(socket, waiting)| {
            idle = false;
            if waiting.is_empty() {
                match network.read(*socket, &mut buffer) {
                    Ok(length) if length > 0 => waiting.extend_from_slice(&buffer[..length]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    _ => {
                        network.close(*socket);
                        return false;
                    }
                }
            }
            match network.write(*socket, &[IoSlice::new(waiting)]) {
                Ok(length) => drop(waiting.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => waiting.clear(),
            }
            let interest = if waiting.is_empty() {
                Interest::READ
            } else {
                Interest::WRITE
            };
            network.set_interest(*socket, interest);
            true
        });
        let elapsed = world.elapsed();
        if (idle && elapsed > Duration::from_secs(4)) || elapsed > Duration::from_secs(600) {
            break;
        }
    }
    world.trace_hash()
}

#[test]
fn every_echoed_byte_is_checked_and_the_same_seed_runs_the_same() {
    for seed in 0..40 {
        let config = Config {
            trigger: Trigger::Level,
            ..Config::from_seed(seed)
        };
        let config = Config {
            limits: Limits {
                descriptors: 100,
                backlog: 64,
                ..config.limits
            },
            // This server looks at the time to see when it is done.
            faults: Faults {
                leap: 0.0,
                ..config.faults
            },
            ..config
        };
        let client = || {
            EchoClient::new(vec![b'e'; 2000])
                .in_cuts(1..90, Duration::from_micros(20))
                .reading(Reading::Slow {
                    bytes: 50,
                    pause: Duration::from_micros(10),
                })
                .ending(Ending::HalfClose)
        };
        let run = || {
            let world = World::new(config.clone());
            let hash = serve(&world, 5, client);
            assert_eq!(world.check_at_rest(), Vec::<String>::new(), "seed {seed}");
            hash
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn a_wrong_byte_is_noticed() {
    let world = World::calm(3);
    serve(&world, 1, || EchoClient::new("abc").expecting("abd"));
    assert!(
        world.violations()[0].contains("wrong bytes"),
        "{:?}",
        world.violations()
    );
    let world = World::calm(3);
    serve(&world, 1, || EchoClient::new("abc").expecting("abcd"));
    assert_eq!(world.check_at_rest().len(), 1);
}

#[test]
fn peers_can_listen_as_well() {
    let world = World::calm(1);
    let address = SocketAddr::from(([10, 0, 0, 1], 7));
    world.listen(address, |_| EchoServer::new()).unwrap();
    assert_eq!(
        world
            .listen(address, |_| EchoServer::new())
            .unwrap_err()
            .kind(),
        ErrorKind::AddrInUse
    );
    let mut network = world.network();
    let socket = network.connect(address, Token(1)).unwrap();
    network.wait(None).unwrap();
    assert!(network.connected(socket).unwrap());
    network.write(socket, &[IoSlice::new(b"hello")]).unwrap();
    network.set_interest(socket, Interest::READ);
    network.wait(None).unwrap();
    let mut buffer = [0; 9];
    assert_eq!(network.read(socket, &mut buffer).unwrap(), 5);
    network.shutdown_write(socket).unwrap();
    network.wait(None).unwrap();
    assert_eq!(network.read(socket, &mut buffer).unwrap(), 0);
}
