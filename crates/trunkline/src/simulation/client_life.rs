//! The life of a program that connects: to servers that echo, and to addresses where nobody listens.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::life::{caught, each_seed};
use crate::network::simulated::{Config, EchoServer, Random, World, lines};
use crate::{
    Cause, Closed, ConnectionId, Error, EventLoop, Flow, Handler, Io, LineEnding, Lines, Options,
    Sent, WhenPanicking,
};

const SEEDS: u64 = 500;

/// Sends lines one after the other, and checks that each comes back; then closes.
struct Client {
    /// Connections whose fate was told.
    told: BTreeSet<ConnectionId>,
    texts: Vec<Vec<u8>>,
    finished: usize,
    failed: usize,
    wrong: Vec<String>,
}

impl Client {
    fn next(&mut self, left: &[Vec<u8>], io: &mut Io<'_, Self>) {
        match left.last() {
            Some(line) => {
                if io.send(line) != Sent::Queued {
                    self.wrong.push("a lone line is not queued".into());
                }
            }
            None => io.close(),
        }
    }
}

impl Handler for Client {
    type Codec = Lines;
    type State = Vec<Vec<u8>>;
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new().write(LineEnding::Lf)
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Self::State> {
        if !self.told.insert(io.id()) {
            self.wrong.push("opened twice".into());
        }
        let left = self.texts.clone();
        self.next(&left, io);
        Some(left)
    }

    fn frame(&mut self, left: &mut Self::State, io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        if left.pop().as_deref() != Some(frame) {
            self.wrong.push(format!("wrong echo: {frame:?}"));
        }
        self.next(left, io);
        Flow::Continue
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, id: ConnectionId, _error: Error) {
        self.failed += 1;
        if !self.told.insert(id) {
            self.wrong
                .push("failed to connect twice, or after it was open".into());
        }
    }

    fn closed(&mut self, left: Self::State, _io: &mut Io<'_, Self>, closed: Closed) {
        match closed.cause {
            Cause::Finished if left.is_empty() => self.finished += 1,
            Cause::Failed(_) => self.failed += 1,
            cause => self
                .wrong
                .push(format!("{} lines left: {cause:?}", left.len())),
        }
    }
}

fn options(random: &mut Random) -> Options {
    Options {
        linger: Duration::from_secs(100_000),
        connect_timeout: Duration::from_secs(1000),
        until_idle: true,
        read_buffer_bytes: *random.pick(&[1, 16, 4096]),
        frame_budget: *random.pick(&[1, 1024]),
        when_panicking: WhenPanicking::Propagate,
        ..Options::default()
    }
}

/// What went wrong in the life that `seed` describes.
fn live(seed: u64) -> Vec<String> {
    let mut random = Random::new(seed ^ 0xc11e);
    let mut config = Config::from_seed(seed);
    let breaks = config.faults.can_break_connections();
    config.limits.descriptors = 100;
    let scarce = config.limits.send_buffer.min(config.limits.receive_buffer) < 64;
    let text = lines(&mut random, if scarce { 30 } else { 1000 });
    let texts = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();

    let world = World::new(config);
    let (echo, nowhere) = (
        SocketAddr::from(([10, 0, 0, 1], 7)),
        SocketAddr::from(([10, 0, 0, 2], 7)),
    );
    world
        .listen(echo, |_| EchoServer::new())
        .expect("the address is free");
    let handler = Client {
        told: BTreeSet::new(),
        texts,
        finished: 0,
        failed: 0,
        wrong: Vec::new(),
    };
    let mut client = EventLoop::over(world.network(), handler, options(&mut random));
    let (good, bad) = (1 + random.index(20), random.index(4));
    for index in 0..good + bad {
        let address = if index < good { echo } else { nowhere };
        if random.chance(0.5) {
            client.connect(address);
        } else {
            let other = SocketAddr::from(([10, 0, 0, 3], 7));
            client.connect_any(&[nowhere, other, address]);
        }
    }
    let mut turns = 0;
    let ended = loop {
        match client.turn(Some(Duration::from_secs(1))) {
            Ok(true) if turns < 200_000 => turns += 1,
            Ok(goes_on) => break !goes_on,
            Err(error) => return vec![error.to_string()],
        }
    };
    if !ended {
        return vec!["the loop did not end by itself".into()];
    }
    verdict(client.handler(), &world, good, bad, breaks)
}

/// What is wrong at the end with `good` connections to the echo server and `bad` ones to nobody.
fn verdict(handler: &Client, world: &World, good: usize, bad: usize, breaks: bool) -> Vec<String> {
    let mut wrong = handler.wrong.clone();
    wrong.extend(world.violations());
    let (finished, failed) = (handler.finished, handler.failed);
    let as_many_failed = if breaks { failed >= bad } else { failed == bad };
    if !as_many_failed || finished + failed != good + bad {
        wrong.push(format!(
            "{good} good and {bad} bad: {finished} finished, {failed} failed"
        ));
    }
    if world.open_streams() > 0 {
        wrong.push("descriptors leaked".into());
    }
    wrong
}

#[test]
fn a_client_hears_the_fate_of_each_connection_once() {
    each_seed(SEEDS, "fate_of_each", |seed| caught(|| (live(seed), 0)).0);
}
