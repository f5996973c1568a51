//! Likeness where room runs out: a backlog that overflows, and messages bigger than all buffers between the two ends.
//!
//! How much the kernel takes before it is full is its own business (it tunes its buffers, and counts more than bytes), so what
//! is compared is what a program can rely on: that a write takes a part, that the end is "would block", that everything taken
//! arrives once the other end reads, and what each socket is ready for when it is full and when it is empty again. How full a
//! socket may be and still count as writable is left out, and so are edges that tell what was true before: with each of them
//! the kernel tells all that holds, and how many it makes of the segments of a message is its own business, too.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trunkline_selectors::Mechanism;

use super::{ATTEMPTS, simulated_network, told};
use crate::network::kernel::Kernel;
use crate::network::simulated::Random;
use crate::network::{Interest, Network, Readiness, Socket, Token, Trigger};

const PROGRAMS: u64 = 30;
/// More than the kernel takes for one connection.
const MUCH: usize = 32 << 20;
/// So long the kernel may take to pass bytes on.
const PATIENCE: Duration = Duration::from_secs(5);

/// One step; the number picks one of the two ends.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Writes until no more is taken.
    Fill(usize),
    /// Reads everything that the other end has written, and then once more.
    Drain(usize),
    ShutdownWrite(usize),
    Close(usize),
    Ready,
}

/// One direction at a time is full: with both, what acknowledges the one makes room in the other, as the kernel sees fit.
fn program(random: &mut Random) -> Vec<Step> {
    let mut full = random.index(2);
    let mut steps = vec![Step::Fill(full), Step::Ready];
    for _ in 0..=random.index(5) {
        let closes = random.chance(0.1);
        if closes {
            steps.push(Step::Close(random.index(2)));
        } else if random.chance(0.1) {
            steps.push(Step::ShutdownWrite(random.index(2)));
        }
        steps.push(Step::Ready);
        steps.push(Step::Drain(1 - full));
        steps.push(Step::Ready);
        full = random.index(2);
        steps.push(Step::Fill(full));
        steps.push(Step::Ready);
    }
    steps
}

fn is_blocked(outcome: &io::Result<usize>) -> bool {
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn without(readiness: Readiness, one: Readiness) -> Readiness {
    let all = [
        Readiness::READABLE,
        Readiness::WRITABLE,
        Readiness::PRIORITY,
        Readiness::READ_CLOSED,
        Readiness::WRITE_CLOSED,
        Readiness::ERROR,
    ];
    let others = all
        .into_iter()
        .filter(|&other| other != one && readiness.contains(other));
    others.fold(Readiness::NONE, Readiness::with)
}

/// Two ends of one connection.
struct Pair<N: Network> {
    network: N,
    ends: [Option<Socket>; 2],
    written: [usize; 2],
    read: [usize; 2],
    is_full: [bool; 2],
    /// With edges: who is still to hear of room, and who has heard of bytes that it has not read.
    is_owed_room: [bool; 2],
    knows_of_bytes: [bool; 2],
    /// Edges that no step has asked for yet.
    edges: BTreeMap<u64, Readiness>,
    much: Vec<u8>,
    buffer: Vec<u8>,
}

impl<N: Network> Pair<N> {
    fn new(mut network: N) -> io::Result<Self> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (listener, address) = network.listen(anywhere, 8, Token(9))?;
        let one = network.connect(address, Token(0))?;
        let (other, _) = network.accept(listener, Token(1))?;
        network.close(listener);
        if network.trigger() == Trigger::Level {
            network.set_interest(one, Interest::READ | Interest::WRITE);
            network.set_interest(other, Interest::READ | Interest::WRITE);
        }
        Ok(Self {
            network,
            ends: [Some(one), Some(other)],
            written: [0; 2],
            read: [0; 2],
            is_full: [false; 2],
            is_owed_room: [false; 2],
            knows_of_bytes: [false; 2],
            edges: BTreeMap::new(),
            much: vec![7; MUCH],
            buffer: vec![0; 1 << 20],
        })
    }

    /// What both are ready for: with level triggers as they stand, with edges what has changed since it was last asked.
    fn look(&mut self, wait: Duration) -> io::Result<()> {
        if self.network.trigger() == Trigger::Level {
            self.edges.clear();
        }
        self.network.wait(Some(wait))?;
        while let Some(event) = self.network.next_event() {
            let readiness = self.edges.entry(event.token.0).or_insert(event.readiness);
            *readiness |= event.readiness;
        }
        Ok(())
    }

    fn is_writable(&self, end: usize) -> bool {
        let readiness = self.edges.get(&(end as u64));
        readiness.is_some_and(|readiness| readiness.intersects(Readiness::WRITABLE))
    }

    fn fill(&mut self, end: usize) -> io::Result<String> {
        let Some(socket) = self.ends[end] else {
            return Ok(String::new());
        };
        let mut partial = false;
        loop {
            let outcome = self.network.write(socket, &[IoSlice::new(&self.much)]);
            if let Ok(length) = outcome {
                self.written[end] += length;
                partial |= length < MUCH;
                continue;
            }
            // What is on its way may still make room.
            self.edges.remove(&(end as u64));
            self.look(Duration::ZERO)?;
            let blocked = is_blocked(&outcome);
            if !blocked || !self.is_writable(end) {
                self.is_full[end] = blocked;
                self.is_owed_room[end] = blocked;
                // How often there was room in between, and an edge for it, is the kernel's business as well.
                self.edges.remove(&(end as u64));
                return Ok(format!("partial {partial}, then {}", told(outcome)));
            }
        }
    }

    fn drain(&mut self, end: usize) -> io::Result<String> {
        let (Some(socket), other) = (self.ends[end], 1 - end) else {
            return Ok(String::new());
        };
        let start = Instant::now();
        let (blocked, last) = loop {
            match self.network.read(socket, &mut self.buffer) {
                Ok(length @ 1..) => self.read[end] += length,
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && self.read[end] < self.written[other]
                        && start.elapsed() < PATIENCE =>
                {
                    self.look(Duration::from_millis(10))?;
                }
                outcome => {
                    break (is_blocked(&outcome), told(outcome));
                }
            }
        };
        let all = self.read[end] == self.written[other];
        // The writer hears of it with the next acknowledgement.
        while all && self.is_full[other] && self.ends[other].is_some() && start.elapsed() < PATIENCE
        {
            self.look(Duration::from_millis(10))?;
            self.is_full[other] = !self.is_writable(other);
        }
        self.knows_of_bytes[end] = false;
        if let Some(edge) = self.edges.get_mut(&(end as u64))
            && blocked
        {
            *edge = without(*edge, Readiness::READABLE);
        }
        Ok(format!(
            "everything {all}, then {last}; the writer has no room: {}",
            self.is_full[other]
        ))
    }

    /// With edges, what this one tells that the end has not heard before.
    fn what_is_new(&mut self, end: usize, mut ready: Readiness) -> Readiness {
        if self.network.trigger() == Trigger::Level {
            return ready;
        }
        if ready.contains(Readiness::WRITABLE) && !std::mem::take(&mut self.is_owed_room[end]) {
            ready = without(ready, Readiness::WRITABLE);
        }
        if ready.contains(Readiness::READABLE)
            && std::mem::replace(&mut self.knows_of_bytes[end], true)
        {
            ready = without(ready, Readiness::READABLE);
        }
        ready
    }

    fn step(&mut self, step: Step) -> io::Result<String> {
        match step {
            Step::Fill(end) => self.fill(end),
            Step::Drain(end) => self.drain(end),
            Step::ShutdownWrite(end) => Ok(match self.ends[end] {
                Some(socket) => told(self.network.shutdown_write(socket)),
                None => String::new(),
            }),
            Step::Close(end) => {
                if let Some(socket) = self.ends[end].take() {
                    self.network.close(socket);
                }
                Ok(String::new())
            }
            Step::Ready => {
                self.look(Duration::ZERO)?;
                let edges = std::mem::take(&mut self.edges);
                let told = edges.into_iter().filter_map(|(token, ready)| {
                    let ready = self.what_is_new(token as usize, ready);
                    let is_told = self.ends[token as usize].is_some() && !ready.is_empty();
                    is_told.then(|| format!("{token}: {ready:?}"))
                });
                let told: Vec<_> = told.collect();
                Ok(told.join("; "))
            }
        }
    }
}

fn run<N: Network>(network: N, steps: &[Step]) -> io::Result<Vec<String>> {
    let mut pair = Pair::new(network)?;
    let told = steps
        .iter()
        .map(|&step| Ok(format!("{step:?} -> {}", pair.step(step)?)));
    told.collect()
}

fn compare(mechanism: Mechanism) {
    for seed in 0..PROGRAMS {
        let steps = program(&mut Random::new(seed ^ 0xf100d));
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let kernel = Kernel::with_mechanism(mechanism).expect("the mechanism is here");
            let simulated = run(simulated_network(kernel.trigger()), &steps).expect("a calm world");
            let real = run(kernel, &steps).expect("the kernel's network");
            if simulated == real {
                last = None;
                break;
            }
            last = Some((simulated, real));
        }
        if let Some((simulated, real)) = last {
            panic!("flood {seed} on {mechanism}: simulated {simulated:#?}, kernel {real:#?}");
        }
    }
}

#[test]
fn big_messages_go_as_on_the_kernel_level() {
    compare(Mechanism::Poll);
}

#[test]
fn big_messages_go_as_on_the_kernel_edge() {
    compare(Mechanism::Epoll);
}
