//! Who is let in, on every mechanism: connections in all, of one peer, and per second.
#![forbid(unsafe_code)]

mod common;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Client, Echo, PATIENCE, kernel, mechanisms, serve};
use trunkline::network::simulated::{Config, World};
use trunkline::{AcceptRate, EventLoop, Limits, Options, Refusal, WhenFull};

/// Scenario 7.
#[test]
fn max_connections_pauses_and_resumes() {
    const PLACES: usize = 3;
    for mechanism in mechanisms() {
        let options = Options {
            connections_max: PLACES,
            ..Options::default()
        };
        let stats = serve(mechanism, options, |address, _| {
            let mut clients: Vec<_> = (0..4 * PLACES).map(|_| Client::connect(address)).collect();
            for client in &mut clients {
                client.send("hello\n");
            }
            // Whoever waits is not answered, and each that goes makes room for one.
            while !clients.is_empty() {
                let inside = clients.len().min(PLACES);
                for client in &mut clients[..inside] {
                    assert_eq!(client.line().as_deref(), Some("hello"), "{mechanism}");
                }
                if let Some(waiting) = clients.get_mut(PLACES) {
                    assert!(waiting.hears_nothing_for(Duration::from_millis(20)));
                }
                clients.drain(..inside);
            }
        });
        assert_eq!(stats.accepted, 4 * PLACES as u64, "{mechanism}");
        assert_eq!(stats.peak_open, PLACES as u64, "{mechanism}");
        assert_eq!(stats.refused, 0, "{mechanism}");
    }
}

#[test]
fn a_full_server_may_refuse_and_says_why() {
    for mechanism in mechanisms() {
        let options = Options {
            connections_max: 1,
            when_full: WhenFull::Refuse,
            ..Options::default()
        };
        let stats = serve(mechanism, options, |address, _| {
            let mut inside = Client::connect(address);
            assert!(inside.is_served());
            assert!(is_turned_away(address), "{mechanism}");
            assert!(inside.is_served());
        });
        assert_eq!(
            (
                stats.refused_for(Refusal::Full),
                stats.refused,
                stats.accepted
            ),
            (1, 1, 1),
            "{mechanism}"
        );
    }
}

fn is_turned_away(address: std::net::SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    matches!(stream.read_to_end(&mut Vec::new()), Ok(0))
}

#[test]
fn one_peer_has_so_many_and_no_more() {
    for mechanism in mechanisms() {
        let options = Options {
            limits: Limits {
                per_peer_max: Some(2),
                ..Limits::default()
            },
            ..Options::default()
        };
        let stats = serve(mechanism, options, |address, _| {
            let mut first = Client::connect(address);
            let mut second = Client::connect(address);
            assert!(first.is_served() && second.is_served(), "{mechanism}");
            for _ in 0..3 {
                assert!(is_turned_away(address), "{mechanism}");
            }
            // The others of the machine are other peers.
            let mut other = Client::over(from("127.0.0.2", address));
            assert!(other.is_served(), "{mechanism}");
            // Whoever goes makes room.
            first.finish();
            assert_eq!(first.line(), None);
            let mut third = Client::connect(address);
            assert!(third.is_served(), "{mechanism}");
        });
        assert_eq!(stats.refused_for(Refusal::PerPeer), 3, "{mechanism}");
        assert_eq!(
            stats.refused_by.iter().sum::<u64>(),
            stats.refused,
            "{mechanism}"
        );
        assert_eq!(stats.accepted, 4, "{mechanism}");
    }
}

/// A connection that comes from another address of this machine.
fn from(host: &str, to: std::net::SocketAddr) -> TcpStream {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let local: std::net::SocketAddr = format!("{host}:0").parse().unwrap();
    socket.bind(&local.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn clients_wait_as_long_as_the_rate_says() {
    const CLIENTS: u32 = 10;
    for mechanism in mechanisms() {
        let rate = AcceptRate {
            burst: 2,
            ..AcceptRate::per_second(50)
        };
        let options = Options {
            limits: Limits {
                accept_rate: Some(rate),
                ..Limits::default()
            },
            ..Options::default()
        };
        let stats = serve(mechanism, options, |address, _| {
            let start = Instant::now();
            let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(address)).collect();
            for client in &mut clients {
                assert!(client.is_served(), "{mechanism}");
            }
            // Two at once, and then one each 20 ms.
            let least = Duration::from_millis(20) * (CLIENTS - rate.burst);
            assert!(
                start.elapsed() >= least,
                "{mechanism}: {:?}",
                start.elapsed()
            );
        });
        assert_eq!(stats.accepted, u64::from(CLIENTS), "{mechanism}");
        // It sleeps in between: a turn for each, and those of its messages.
        assert!(
            stats.turns < 10 * u64::from(CLIENTS),
            "{mechanism}: {stats:?}"
        );
    }
}

#[test]
fn what_comes_too_fast_may_be_refused() {
    for mechanism in mechanisms() {
        let rate = AcceptRate {
            burst: 3,
            ..AcceptRate::per_second(1)
        };
        let options = Options {
            when_full: WhenFull::Refuse,
            limits: Limits {
                accept_rate: Some(rate),
                ..Limits::default()
            },
            ..Options::default()
        };
        let stats = serve(mechanism, options, |address, _| {
            let mut answered = 0;
            for _ in 0..10 {
                answered += u32::from(Client::connect(address).is_served());
            }
            assert!(answered >= 3, "{mechanism}: {answered}");
        });
        assert!(
            stats.refused_for(Refusal::Rate) > 0,
            "{mechanism}: {stats:?}"
        );
        assert_eq!(
            stats.refused_for(Refusal::Rate) + stats.accepted,
            10,
            "{mechanism}"
        );
    }
}

/// Scenario 8: whoever has been accepted is answered; whoever has not learns it; nothing is left behind.
#[test]
fn listener_close_mid_storm() {
    const CLIENTS: usize = 200;
    for mechanism in mechanisms() {
        let mut server = EventLoop::over(
            kernel(mechanism),
            Closing { after: CLIENTS / 2 },
            Options::default(),
        );
        let address = server.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let remote = server.remote();
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let stream = |_| TcpStream::connect(address).ok();
                        let streams: Vec<_> = (0..CLIENTS / 4).filter_map(stream).collect();
                        let mut answered = 0;
                        for stream in streams {
                            stream.set_read_timeout(Some(PATIENCE)).unwrap();
                            answered += usize::from(Client::over(stream).is_served());
                        }
                        answered
                    })
                })
                .collect();
            let stop = scope.spawn(move || {
                let answered = clients.into_iter().map(|client| client.join().unwrap());
                let answered: usize = answered.sum();
                remote.stop();
                answered
            });
            let (_, stats) = server.run().unwrap();
            let answered = stop.join().unwrap();
            assert_eq!(stats.accepted as usize, answered, "{mechanism}: {stats:?}");
            assert!(answered >= CLIENTS / 2, "{mechanism}: {answered}");
            assert_eq!(stats.open, 0);
            assert!(TcpStream::connect(address).is_err(), "{mechanism}");
        });
    }
}

/// An echo that closes its listeners after so many clients.
struct Closing {
    after: usize,
}

impl trunkline::Handler for Closing {
    type Codec = trunkline::Lines;
    type State = ();
    type Message = ();

    fn codec(&self) -> trunkline::Lines {
        trunkline::Lines::new()
    }

    fn open(&mut self, io: &mut trunkline::Io<'_, Self>) -> Option<()> {
        if io.stats().accepted as usize == self.after {
            io.stop_listening();
        }
        Some(())
    }

    fn frame(
        &mut self,
        (): &mut (),
        io: &mut trunkline::Io<'_, Self>,
        line: &[u8],
    ) -> trunkline::Flow {
        let _ = io.send(line);
        trunkline::Flow::Continue
    }
}

/// On the simulated network, where the clock is ours: one by one, neither early nor late.
#[test]
fn the_rate_is_kept_evenly() {
    let world = World::new(Config::calm(11));
    let rate = AcceptRate {
        burst: 1,
        ..AcceptRate::per_second(1000)
    };
    let options = Options {
        limits: Limits {
            accept_rate: Some(rate),
            ..Limits::default()
        },
        ..Options::default()
    };
    let mut server = EventLoop::over(world.network(), Echo, options);
    let address = server.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let client_options = Options {
        until_idle: true,
        ..Options::default()
    };
    let mut clients = EventLoop::over(world.network(), Echo, client_options);
    for _ in 0..50 {
        clients.connect(address);
    }
    let mut accepted = Vec::new();
    while accepted.len() < 50 {
        server.turn(Some(Duration::ZERO)).unwrap();
        clients.turn(Some(Duration::ZERO)).unwrap();
        let now = world.elapsed();
        while accepted.len() < server.stats().accepted as usize {
            accepted.push(now);
        }
        if !world.advance_to_next() {
            world.advance(Duration::from_micros(100));
        }
    }
    for pair in accepted.windows(2) {
        let apart = pair[1].saturating_sub(pair[0]);
        assert!(apart >= Duration::from_micros(900), "{apart:?}");
        assert!(apart <= Duration::from_micros(1200), "{apart:?}");
    }
}
