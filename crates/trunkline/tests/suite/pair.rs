//! Both ends of a conversation in one loop: the handler plays the server on accepted connections and the client
//! on its own. So the same case runs on every network, the simulated one included, with no thread and no sleep.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use trunkline::network::Network;
use trunkline::{
    Cause, Closed, Codec, ConnectionId, Decoded, Error, EventLoop, Flow, Frame, FrameError,
    Handler, Io, Lines, Options, Panic, Role, Stats, WhenPanicking,
};

/// A message that begins with this is sent without it, and without the end of the line: a part of a frame.
pub(crate) const PART: u8 = 1;

/// Lines, of which parts may be sent too.
#[derive(Clone)]
pub(crate) struct Parts(Lines);

impl Codec for Parts {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        self.0.decode(input)
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.0.finish(input)
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        if let [PART, part @ ..] = message {
            output.extend_from_slice(part);
            return Ok(());
        }
        self.0.encode(message, output)
    }
}

pub(crate) const SERVER: Option<Role> = Some(Role::Accepted);
pub(crate) const CLIENT: Option<Role> = Some(Role::Connected);

/// What the loop told the handler.
pub(crate) enum Happening<'a> {
    Open,
    Frame(&'a [u8]),
    Drained,
    End,
    Timer(u64),
    Message(u32),
    Closed(&'a Closed),
    ConnectFailed(&'a Error),
    Stopping,
}

/// What a case does when something happens. The role is `None` where no connection is concerned.
pub(crate) type Play = Box<dyn FnMut(Option<Role>, &mut Io<'_, Pair>, Happening<'_>) -> Flow>;

pub(crate) struct Pair {
    play: Play,
    codec: Parts,
    /// Panics of the play that the loop has caught, where it was asked to.
    panics: Vec<Panic>,
    /// How often each connection was opened and closed: both must be one in the end.
    lives: BTreeMap<ConnectionId, (u32, u32)>,
}

impl Pair {
    pub(crate) fn new(
        play: impl FnMut(Option<Role>, &mut Io<'_, Pair>, Happening<'_>) -> Flow + 'static,
    ) -> Self {
        Self {
            play: Box::new(play),
            codec: Parts(Lines::new().limit(1 << 20)),
            panics: Vec::new(),
            lives: BTreeMap::new(),
        }
    }
}

impl Handler for Pair {
    type Codec = Parts;
    type State = Role;
    type Message = u32;

    fn codec(&self) -> Parts {
        self.codec.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Role> {
        let role = io.role();
        self.lives.entry(io.id()).or_default().0 += 1;
        let _ = (self.play)(role, io, Happening::Open);
        role
    }

    fn frame(&mut self, role: &mut Role, io: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
        (self.play)(Some(*role), io, Happening::Frame(frame))
    }

    fn drained(&mut self, role: &mut Role, io: &mut Io<'_, Self>) {
        let _ = (self.play)(Some(*role), io, Happening::Drained);
    }

    fn end_of_stream(&mut self, role: &mut Role, io: &mut Io<'_, Self>) {
        let _ = (self.play)(Some(*role), io, Happening::End);
    }

    fn timer(&mut self, role: &mut Role, io: &mut Io<'_, Self>, token: u64) {
        let _ = (self.play)(Some(*role), io, Happening::Timer(token));
    }

    fn message(&mut self, io: &mut Io<'_, Self>, message: u32) {
        let _ = (self.play)(None, io, Happening::Message(message));
    }

    fn connect_failed(&mut self, io: &mut Io<'_, Self>, _id: ConnectionId, error: Error) {
        let _ = (self.play)(None, io, Happening::ConnectFailed(&error));
    }

    fn stopping(&mut self, io: &mut Io<'_, Self>) {
        let _ = (self.play)(None, io, Happening::Stopping);
    }

    fn panicked(&mut self, _io: &mut Io<'_, Self>, panic: &Panic) {
        self.panics.push(panic.clone());
    }

    fn closed(&mut self, role: Role, io: &mut Io<'_, Self>, closed: Closed) {
        self.lives.entry(io.id()).or_default().1 += 1;
        let _ = (self.play)(Some(role), io, Happening::Closed(&closed));
    }
}

/// Settings for cases: short deadlines, and an end when nothing is left.
pub(crate) fn options() -> Options {
    Options {
        linger: Duration::from_secs(2),
        drain: Duration::from_secs(2),
        hard_limit_bytes: 8 << 20,
        until_idle: true,
        when_panicking: WhenPanicking::Propagate,
        ..Options::default()
    }
}

/// Listens, makes `clients` connections to the listener, and turns until the loop ends. Each opened connection
/// must have been closed exactly once.
pub(crate) fn converse<N: Network>(
    network: N,
    options: Options,
    clients: usize,
    play: impl FnMut(Option<Role>, &mut Io<'_, Pair>, Happening<'_>) -> Flow + 'static,
) -> Stats {
    let mut pair = EventLoop::over(network, Pair::new(play), options);
    let address = pair
        .listen("127.0.0.1:0".parse::<SocketAddr>().unwrap())
        .unwrap();
    for _ in 0..clients {
        pair.connect(address);
    }
    finish(pair)
}

/// Two networks that reach each other, and how to let time pass between their turns.
pub(crate) struct Apart<N, P> {
    pub(crate) server: N,
    pub(crate) client: N,
    pub(crate) pass: P,
}

/// As `converse`, with each end in a loop of its own. Says what the two loops counted, the server's first.
pub(crate) fn converse_apart<N: Network, P: FnMut()>(
    mut apart: Apart<N, P>,
    options: Options,
    clients: usize,
    serve: impl FnMut(Option<Role>, &mut Io<'_, Pair>, Happening<'_>) -> Flow + 'static,
    ask: impl FnMut(Option<Role>, &mut Io<'_, Pair>, Happening<'_>) -> Flow + 'static,
) -> (Stats, Stats) {
    let mut client = EventLoop::over(apart.client, Pair::new(ask), options.clone());
    let mut server = EventLoop::over(apart.server, Pair::new(serve), options);
    let address = server
        .listen("127.0.0.1:0".parse::<SocketAddr>().unwrap())
        .unwrap();
    for _ in 0..clients {
        client.connect(address);
    }
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let serving = server.turn(Some(Duration::ZERO)).unwrap();
        let asking = client.turn(Some(Duration::ZERO)).unwrap();
        if !serving && !asking {
            break;
        }
        assert!(
            Instant::now() < patience,
            "the conversation does not end: {:?} {:?}",
            server.stats(),
            client.stats()
        );
        (apart.pass)();
    }
    check_lives(server.handler());
    check_lives(client.handler());
    (server.stats(), client.stats())
}

/// Turns until the loop ends, and checks the lives of its connections.
pub(crate) fn finish<N: Network>(mut pair: EventLoop<Pair, N>) -> Stats {
    let patience = Instant::now() + Duration::from_secs(60);
    while pair.turn(Some(Duration::from_secs(1))).unwrap() {
        assert!(
            Instant::now() < patience,
            "the conversation does not end: {:?}",
            pair.stats()
        );
    }
    check_lives(pair.handler());
    pair.stats()
}

pub(crate) fn check_lives(pair: &Pair) {
    assert!(pair.panics.is_empty(), "{:?}", pair.panics);
    for (id, life) in &pair.lives {
        assert_eq!(*life, (1, 1), "connection {id}: (opened, closed)");
    }
}

pub(crate) fn is_finished(closed: &Closed) -> bool {
    matches!(closed.cause, Cause::Finished) && closed.unsent == 0
}

pub(crate) fn counter() -> Rc<Cell<usize>> {
    Rc::new(Cell::new(0))
}

pub(crate) fn bump(counter: &Cell<usize>) -> usize {
    counter.set(counter.get() + 1);
    counter.get()
}
