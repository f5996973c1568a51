//! The life of a program that connects: to servers that echo, and to addresses where nobody listens.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::case::{Case, End, Plan, Settings};
use super::invariants::Invariants;
use super::run::Outcome;
use super::witness::Witness;
use crate::network::simulated::{EchoClient, EchoServer, Random, Simulated, World, lines};
use crate::network::{Network, Token};
use crate::{
    Cause, Closed, ConnectionId, Error, EventLoop, Flow, Handler, Io, LineEnding, Lines, Sent,
    UnixAddress,
};

const TURNS_MAX: u64 = 200_000;

/// Sends lines one after the other, and checks that each comes back; then closes.
struct Client {
    /// Connections whose fate was told.
    told: BTreeSet<ConnectionId>,
    texts: Vec<Vec<u8>>,
    finished: usize,
    failed: usize,
    witness: Witness,
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
        self.witness.opened(io);
        let left = self.texts.clone();
        self.next(&left, io);
        Some(left)
    }

    fn frame(&mut self, left: &mut Self::State, io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        self.witness.frame(io.id(), frame.len() + 1);
        if left.pop().as_deref() != Some(frame) {
            self.wrong.push(format!("wrong echo: {frame:?}"));
        }
        self.next(left, io);
        Flow::Continue
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, id: ConnectionId, error: Error) {
        self.witness.connect_failed(id, &error);
        self.failed += 1;
        if !self.told.insert(id) {
            self.wrong
                .push("failed to connect twice, or after it was open".into());
        }
    }

    fn closed(&mut self, left: Self::State, io: &mut Io<'_, Self>, closed: Closed) {
        self.witness.closed(io.id(), &closed);
        match closed.cause {
            Cause::Finished if left.is_empty() => self.finished += 1,
            Cause::Failed(_) | Cause::Stopped => self.failed += 1,
            cause => self
                .wrong
                .push(format!("{} lines left: {cause:?}", left.len())),
        }
    }
}

/// What goes wrong in this life.
pub(super) fn run(case: &Case) -> Outcome {
    let world = World::new(case.config());
    if super::runner::is_replay() {
        world.keep_log();
    }
    let address = |host| SocketAddr::from(([10, 0, 0, host], 7));
    let (echo, nobody, nobody_else) = (address(1), address(2), address(3));
    world
        .listen(echo, |_| EchoServer::new())
        .expect("the address is free");
    // All say the same.
    let text = case.plans.first().map(|plan| {
        let numbers = &plan.numbers;
        lines(&mut Random::new(numbers.seed), numbers.bytes as usize)
    });
    let text = text.unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    let network = world.network();
    let socket = |name| UnixAddress::from_path(name).expect("a short name");
    let (echo_unix, crowded_unix) = (socket("/echo"), socket("/crowded"));
    world
        .listen_unix(&echo_unix, |_| EchoServer::new())
        .expect("the name is free");
    let is_crowded = |plan: &Plan| matches!(plan.numbers.place, 4 | 6);
    let crowd = case.plans.iter().any(is_crowded);
    let crowd = crowd.then(|| {
        let unix = world.address_of(&crowded_unix);
        [address(4), unix].map(|address| fill(&world, address))
    });
    let witness = Witness::new(case, &world);
    let handler = Client {
        told: BTreeSet::new(),
        texts: lines.collect(),
        finished: 0,
        failed: 0,
        witness: witness.clone(),
        wrong: Vec::new(),
    };
    let mut client = EventLoop::over(network, handler, case.options());
    let mut good = 0;
    for plan in &case.plans {
        good += usize::from(matches!(plan.numbers.place, 0 | 2 | 5));
        let id = match plan.numbers.place {
            0 => client.connect(echo),
            1 => client.connect(nobody),
            2 => client.connect_any(&[nobody, nobody_else, echo]),
            4 => client.connect(address(4)),
            5 => client.connect_to(&echo_unix.clone().into()),
            6 => client.connect_to(&crowded_unix.clone().into()),
            _ => client.connect_any(&[nobody, nobody_else]),
        };
        witness.connects(id);
    }
    let (mut wrong, mut invariants) = (Vec::new(), Invariants::new(case));
    for turn in 0..=TURNS_MAX {
        if turn == TURNS_MAX {
            wrong.push("the loop did not end by itself".into());
        }
        match case.end {
            End::Kill(turns) if turns == turn => {
                witness.kill_is_asked();
                client.remote().kill();
            }
            _ => {}
        }
        witness.turn_begins();
        let outcome = client.turn(Some(Duration::from_secs(1)));
        witness.turn_ends(&client);
        wrong.extend(witness.take_wrong());
        match outcome {
            Ok(true) => wrong.extend(invariants.check(&world, &client)),
            Ok(false) => break,
            Err(error) => {
                wrong.push(error.to_string());
                break;
            }
        }
    }
    drop(crowd);
    wrong.extend(verdict(client.handler(), &world, good, case));
    for line in world.log() {
        println!("{line}");
    }
    Outcome {
        wrong,
        hash: world.trace_hash(),
    }
}

/// Somebody who listens at `address` and accepts nobody, and whose backlog is full.
fn fill(world: &World, address: SocketAddr) -> Simulated {
    let mut network = world.network();
    network
        .listen(address, 0, Token(0))
        .expect("the address is free");
    world.connect(address, Duration::ZERO, EchoClient::new("").lenient());
    // Longer than any way is.
    world.advance(Duration::from_secs(1));
    network
}

/// What is wrong at the end when `good` of the connections lead to the echo server.
fn verdict(handler: &Client, world: &World, good: usize, case: &Case) -> Vec<String> {
    let mut wrong = handler.wrong.clone();
    wrong.extend(world.violations());
    let (finished, failed) = (handler.finished, handler.failed);
    let bad = case.plans.len() - good;
    let hasty = case.settings.connect_ms < Settings::default().connect_ms;
    let breaks = case.faults.can_break_connections() || case.end != End::AtRest || hasty;
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
