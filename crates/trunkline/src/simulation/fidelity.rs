//! Likeness: random programs of socket calls must see the same on the simulated network as on the kernel's.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use trunkline_selectors::Mechanism;

use crate::network::kernel::Kernel;
use crate::network::simulated::{Config, Limits, Random, Simulated, World};
use crate::network::{Interest, Network, Socket, Token, Trigger};

mod floods;

const PROGRAMS: u64 = 1_000;
const CALLS_MAX: usize = 30;
/// The kernel may put a loopback packet off for a moment when the machine is busy. Only a difference that
/// shows every time is one.
const ATTEMPTS: u32 = 5;

/// One call; the number picks a socket among those open.
#[derive(Debug, Clone, Copy)]
enum Call {
    Connect,
    ConnectNowhere,
    Connected(usize),
    Accept,
    Read(usize, usize),
    Write(usize, usize),
    ShutdownWrite(usize),
    Close(usize),
    Abort(usize),
    CloseListener,
    SetInterest(usize, Interest),
    Wait,
}

/// Clients come faster than they are accepted, and find the backlog full.
fn overflowing_program(random: &mut Random) -> Vec<Call> {
    let length = 5 + random.index(CALLS_MAX - 5);
    let mut calls = vec![Call::Connect; 3];
    while calls.len() < length {
        let socket = random.index(1000);
        calls.push(match random.below(20) {
            0..=6 => Call::Connect,
            7..=9 => Call::Accept,
            10 | 11 => Call::Connected(socket),
            12 => Call::Read(socket, 1 + random.index(2000)),
            13 => Call::Write(socket, 1 + random.index(1000)),
            14 => Call::Close(socket),
            _ => Call::Wait,
        });
    }
    calls
}

fn program(random: &mut Random) -> Vec<Call> {
    let length = 3 + random.index(CALLS_MAX - 2);
    let mut calls = vec![Call::Connect, Call::Accept];
    while calls.len() < length {
        let socket = random.index(1000);
        let read_write = Interest::READ | Interest::WRITE;
        calls.push(match random.below(40) {
            0..=2 => Call::Connect,
            3 => Call::ConnectNowhere,
            4 => Call::Connected(socket),
            5..=8 => Call::Accept,
            9..=15 => Call::Read(socket, 1 + random.index(2000)),
            16..=22 => Call::Write(socket, 1 + random.index(1000)),
            23..=25 => Call::ShutdownWrite(socket),
            26..=28 => Call::Close(socket),
            29 => Call::Abort(socket),
            30 if random.chance(0.2) => Call::CloseListener,
            30..=32 => {
                let interests = [Interest::NONE, Interest::READ, Interest::WRITE, read_write];
                Call::SetInterest(socket, *random.pick(&interests))
            }
            _ => Call::Wait,
        });
    }
    calls
}

/// A result as text: the value, or the error's number.
fn told<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error {:?}", error.raw_os_error()),
    }
}

/// A program at work on one network.
struct Run<N: Network> {
    network: N,
    listener: Option<Socket>,
    address: SocketAddr,
    nowhere: SocketAddr,
    open: Vec<Socket>,
    tokens: u64,
}

impl<N: Network> Run<N> {
    fn new(mut network: N, backlog: u32) -> io::Result<Self> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (closed, nowhere) = network.listen(anywhere, 8, Token(0))?;
        let (listener, address) = network.listen(anywhere, backlog, Token(1))?;
        network.close(closed);
        let (open, listener) = (Vec::new(), Some(listener));
        Ok(Self {
            network,
            listener,
            address,
            nowhere,
            open,
            tokens: 1,
        })
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    fn pick(&self, number: usize) -> Option<(usize, Socket)> {
        let index = number.checked_rem(self.open.len())?;
        Some((index, self.open[index]))
    }

    fn connect(&mut self, address: SocketAddr) -> String {
        let token = self.token();
        let socket = self.network.connect(address, token);
        told(socket.map(|socket| self.open.push(socket)))
    }

    fn accept(&mut self) -> String {
        let token = self.token();
        let Some(listener) = self.listener else {
            return String::new();
        };
        let accepted = self.network.accept(listener, token);
        told(accepted.map(|(socket, _)| self.open.push(socket)))
    }

    fn wait(&mut self) -> String {
        if let Err(error) = self.network.wait(Some(Duration::ZERO)) {
            return told::<()>(Err(error));
        }
        let mut events: Vec<_> = std::iter::from_fn(|| self.network.next_event()).collect();
        events.sort_by_key(|event| event.token);
        let texts = events
            .iter()
            .map(|event| format!("{}: {:?}", event.token.0, event.readiness));
        texts.collect::<Vec<_>>().join("; ")
    }

    fn call(&mut self, call: Call) -> String {
        match call {
            Call::Connect => self.connect(self.address),
            Call::ConnectNowhere => self.connect(self.nowhere),
            Call::Accept => self.accept(),
            Call::Wait => self.wait(),
            Call::CloseListener => {
                if let Some(listener) = self.listener.take() {
                    self.network.close(listener);
                }
                String::new()
            }
            Call::Connected(number)
            | Call::Read(number, _)
            | Call::Write(number, _)
            | Call::ShutdownWrite(number)
            | Call::Close(number)
            | Call::Abort(number)
            | Call::SetInterest(number, _) => match self.pick(number) {
                Some((index, socket)) => self.call_on(call, index, socket),
                None => String::new(),
            },
        }
    }

    fn call_on(&mut self, call: Call, index: usize, socket: Socket) -> String {
        let mut buffer = [0; 2000];
        match call {
            Call::Connected(_) => return told(self.network.connected(socket)),
            Call::Read(_, length) => return told(self.network.read(socket, &mut buffer[..length])),
            Call::Write(_, length) => {
                return told(
                    self.network
                        .write(socket, &[IoSlice::new(&buffer[..length])]),
                );
            }
            Call::ShutdownWrite(_) => return told(self.network.shutdown_write(socket)),
            Call::Close(_) => {
                self.open.remove(index);
                self.network.close(socket);
            }
            Call::Abort(_) => {
                self.open.remove(index);
                self.network.abort(socket);
            }
            // The engine never sets an interest on an edge-triggered stream.
            Call::SetInterest(_, interest) if self.network.trigger() == Trigger::Level => {
                self.network.set_interest(socket, interest);
            }
            _ => {}
        }
        String::new()
    }
}

/// What each call of `program` was told.
fn run<N: Network>(network: N, backlog: u32, program: &[Call]) -> io::Result<Vec<String>> {
    let mut run = Run::new(network, backlog)?;
    Ok(program
        .iter()
        .map(|call| format!("{call:?} -> {}", run.call(*call)))
        .collect())
}

fn simulated_network(trigger: Trigger) -> Simulated {
    let limits = Limits {
        latency: Duration::ZERO,
        send_buffer: 1 << 20,
        receive_buffer: 1 << 20,
        ..Limits::default()
    };
    let world = World::new(Config {
        trigger,
        limits,
        ..Config::calm(1)
    });
    world.network()
}

fn compare(mechanism: Mechanism) {
    for seed in 0..PROGRAMS {
        let random = &mut Random::new(seed);
        let overflows = seed % 4 == 0;
        let program = if overflows {
            overflowing_program(random)
        } else {
            program(random)
        };
        let backlog = if overflows {
            random.below(4) as u32
        } else {
            64
        };
        let mut difference = None;
        for _ in 0..ATTEMPTS {
            let kernel = Kernel::with_mechanism(mechanism).expect("the mechanism is here");
            let simulated = simulated_network(kernel.trigger());
            let simulated = run(simulated, backlog, &program).expect("a calm world");
            let real = run(kernel, backlog, &program).expect("the kernel's network");
            difference = (simulated != real).then_some((simulated, real));
            if difference.is_none() {
                break;
            }
        }
        if let Some((simulated, real)) = difference {
            let differs = simulated
                .iter()
                .zip(&real)
                .position(|(one, other)| one != other);
            let upto = differs.unwrap_or(0);
            panic!(
                "program {seed} on {mechanism}: after {:#?}\nsimulated {}\nkernel    {}",
                &real[..upto],
                simulated[upto],
                real[upto]
            );
        }
    }
}

#[test]
fn level_readiness_is_the_kernels() {
    compare(Mechanism::Poll);
}

#[test]
fn edge_readiness_is_the_kernels() {
    compare(Mechanism::Epoll);
}
