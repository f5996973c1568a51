//! Connections of ours with several addresses to choose from: the first to answer is taken, and nobody notices the rest.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::network::simulated::{Config, EchoClient, EchoServer, Simulated, World};
use crate::network::{Network, Token, Trigger};
use crate::{
    Chunks, Closed, ConnectionId, Error, ErrorKind, EventLoop, Flow, Handler, Io, Options, Role,
    Sent, WhenPanicking,
};

const DELAY: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than a packet is on its way here and back.
const SOON: Duration = Duration::from_millis(1);

fn echo() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7))
}

/// Nobody listens there.
fn nobody(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, number], 7))
}

/// Requests are dropped there.
fn hole(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 2, number], 7))
}

/// What the handler was told, and when.
#[derive(Debug)]
enum Told {
    Opened(ConnectionId, SocketAddr, Duration),
    Failed(ConnectionId, Error),
    Echoed(Vec<u8>),
    Closed(ConnectionId),
}

/// Closes as soon as an echo has come.
struct Client {
    start: Instant,
    told: Vec<Told>,
    connect_when_stopping: bool,
}

impl Handler for Client {
    type Codec = Chunks;
    type State = ();
    type Message = ();

    fn codec(&self) -> Chunks {
        Chunks
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        assert_eq!(io.role(), Some(Role::Connected));
        let since_start = io.now() - self.start;
        let peer = io
            .peer()
            .and_then(|peer| peer.socket_addr())
            .expect("it is open");
        self.told.push(Told::Opened(io.id(), peer, since_start));
        assert_eq!(io.send(b"hello"), Sent::Queued);
        Some(())
    }

    fn frame(&mut self, (): &mut (), _io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        self.told.push(Told::Echoed(frame.to_vec()));
        Flow::Close
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, id: ConnectionId, error: Error) {
        self.told.push(Told::Failed(id, error));
    }

    fn stopping(&mut self, io: &mut Io<'_, Self>) {
        if self.connect_when_stopping {
            io.connect(echo());
            io.connect_any(&[nobody(1), echo()]);
        }
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, _closed: Closed) {
        self.told.push(Told::Closed(io.id()));
    }
}

/// A world with an echo server and, as long as the network lives, with holes.
struct Scene {
    world: World,
    holes: Simulated,
    hole_sockets: Vec<crate::network::Socket>,
    client: EventLoop<Client, Simulated>,
    start: Instant,
}

impl Scene {
    fn new(trigger: Trigger) -> Self {
        Self::of(trigger, false)
    }

    fn of(trigger: Trigger, connect_when_stopping: bool) -> Self {
        let world = World::new(Config {
            trigger,
            ..Config::calm(8305)
        });
        world
            .listen(echo(), |_| EchoServer::new())
            .expect("the address is free");
        let mut holes = world.network();
        let mut hole_sockets = Vec::new();
        for number in 1..=3 {
            // One connection waits in a backlog for one: there is no place for another.
            let listener = holes.listen(hole(number), 0, Token(0));
            hole_sockets.push(listener.expect("the address is free").0);
            world.connect(hole(number), Duration::ZERO, EchoClient::new("").lenient());
        }
        world.advance(SOON);
        let start = world.now();
        let handler = Client {
            start,
            told: Vec::new(),
            connect_when_stopping,
        };
        let options = Options {
            connect_timeout: TIMEOUT,
            until_idle: true,
            when_panicking: WhenPanicking::Propagate,
            ..Options::default()
        };
        let client = EventLoop::over(world.network(), handler, options);
        Self {
            world,
            holes,
            hole_sockets,
            client,
            start,
        }
    }

    fn elapsed(&self) -> Duration {
        self.world.now() - self.start
    }

    /// Turns until the time has come.
    fn run_for(&mut self, time: Duration) {
        while self.elapsed() < time {
            let left = time.saturating_sub(self.elapsed());
            assert!(self.client.turn(Some(left)).expect("the loop turns"));
        }
    }

    /// Turns until the loop ends by itself; what the handler was told.
    fn run(mut self) -> (Vec<Told>, Duration) {
        for _ in 0..1000 {
            if !self.client.turn(None).expect("the loop turns") {
                let elapsed = self.elapsed();
                let (client, _) = self.client.run().expect("it has ended");
                assert_eq!(self.world.violations(), Vec::<String>::new());
                assert_eq!(self.world.left_open(), 0, "every attempt is closed");
                return (client.told, elapsed);
            }
        }
        panic!("the loop does not end: {:?}", self.client.handler().told);
    }
}

/// Runs a scene on both triggers; the connection must be made to `peer`, between `from` and `from + SOON`.
fn must_reach(addresses: &[SocketAddr], peer: SocketAddr, from: Duration) {
    for trigger in [Trigger::Level, Trigger::Edge] {
        let mut scene = Scene::new(trigger);
        let id = scene.client.connect_any(addresses);
        let (told, _) = scene.run();
        let [
            Told::Opened(opened, reached, at),
            Told::Echoed(echo),
            Told::Closed(closed),
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!((*opened, *closed, *reached), (id, id, peer));
        assert_eq!(echo, b"hello");
        assert!(*at >= from && *at < from + SOON, "{at:?}");
    }
}

#[test]
fn the_first_address_is_enough_when_it_answers() {
    must_reach(&[echo(), nobody(1), hole(1)], echo(), Duration::ZERO);
}

#[test]
fn a_refusal_does_not_keep_the_next_address_waiting() {
    must_reach(&[nobody(1), nobody(2), echo()], echo(), Duration::ZERO);
}

#[test]
fn an_address_that_does_not_answer_is_given_a_quarter_of_a_second() {
    must_reach(&[hole(1), echo()], echo(), DELAY);
    must_reach(&[hole(1), hole(2), echo()], echo(), 2 * DELAY);
    must_reach(&[hole(1), nobody(1), echo()], echo(), DELAY);
}

#[test]
fn an_earlier_attempt_may_still_win() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        let mut scene = Scene::new(trigger);
        let id = scene.client.connect_any(&[hole(1), hole(2), hole(3)]);
        scene.run_for(3 * DELAY);
        // Room in the backlog: the request that is repeated after a second finds it.
        let listener = scene.hole_sockets[0];
        let accepted = scene.holes.accept(listener, Token(1));
        assert!(accepted.is_ok());
        scene.run_for(Duration::from_millis(1100));
        let told = &scene.client.handler().told;
        let [Told::Opened(opened, peer, at)] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((*opened, *peer), (id, hole(1)));
        assert!(*at >= Duration::from_secs(1), "{at:?}");
        // What the hole has accepted, and the one connection: the other attempts are closed.
        assert_eq!(scene.world.open_streams(), 2);
    }
}

#[test]
fn when_all_fail_one_error_tells_of_each() {
    let mut scene = Scene::new(Trigger::Edge);
    let id = scene.client.connect_any(&[nobody(1), nobody(2), nobody(3)]);
    let (told, elapsed) = scene.run();
    let [Told::Failed(failed, error)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((*failed, error.kind()), (id, ErrorKind::Refused));
    assert_eq!(error.address(), Some("10.0.1.1:7"));
    assert_eq!(error.others().len(), 2);
    assert!(elapsed < SOON, "{elapsed:?}");
}

#[test]
fn the_deadline_is_for_all_attempts_together() {
    let mut scene = Scene::new(Trigger::Edge);
    let id = scene.client.connect_any(&[hole(1), hole(2), hole(3)]);
    let (told, elapsed) = scene.run();
    let [Told::Failed(failed, error)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((*failed, error.kind()), (id, ErrorKind::TimedOut));
    assert_eq!(error.others().len(), 2);
    assert!(
        elapsed >= TIMEOUT && elapsed < TIMEOUT + SOON,
        "{elapsed:?}"
    );

    let mut scene = Scene::new(Trigger::Edge);
    scene.client.connect_any(&[hole(1), nobody(1)]);
    let (told, elapsed) = scene.run();
    let [Told::Failed(_, error)] = &told[..] else {
        panic!("{told:?}");
    };
    let expected =
        "cannot connect to 10.0.1.1:7: connection refused (nor to 10.0.2.1:7: timed out)";
    assert_eq!(error.to_string(), expected);
    assert!(
        elapsed >= TIMEOUT,
        "the hole may still have answered: {elapsed:?}"
    );
}

#[test]
fn no_address_at_all_is_a_failure_too() {
    let mut scene = Scene::new(Trigger::Edge);
    scene.client.connect_any(&[]);
    let (told, _) = scene.run();
    assert!(
        matches!(&told[..], [Told::Failed(_, error)] if error.kind() == ErrorKind::NameNotFound)
    );
}

#[test]
fn giving_up_closes_every_attempt() {
    let mut scene = Scene::new(Trigger::Edge);
    scene.client.connect_any(&[hole(1), hole(2), hole(3)]);
    scene.run_for(2 * DELAY);
    assert!(scene.client.handler().told.is_empty());
    assert_eq!(scene.world.open_streams(), 3);
    scene.client.remote().kill();
    let (told, _) = scene.run();
    assert!(matches!(&told[..], [Told::Failed(..)]), "{told:?}");
}

#[test]
fn a_drain_while_attempts_are_under_way_waits_for_them() {
    let mut scene = Scene::new(Trigger::Edge);
    scene.client.connect_any(&[hole(1), echo()]);
    scene.run_for(DELAY / 2);
    scene.client.remote().stop();
    let (told, elapsed) = scene.run();
    assert!(matches!(&told[..], [Told::Opened(..), ..]), "{told:?}");
    assert!(elapsed >= DELAY);
}

/// The drain gives every connection a turn: these have no socket yet.
#[test]
fn what_is_asked_for_as_the_loop_stops_is_still_made() {
    let mut scene = Scene::of(Trigger::Edge, true);
    scene.client.connect(hole(1));
    scene.run_for(DELAY);
    scene.client.remote().stop();
    let (told, _) = scene.run();
    let opened = told.iter().filter(|told| matches!(told, Told::Opened(..)));
    assert_eq!(opened.count(), 2, "{told:?}");
}
