//! Peers that do not read, over loopback: what they cost in memory, and what the others notice. Alone in its program,
//! because it looks at the memory of the whole process.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use trunkline::{
    Client, ConnectionId, Flow, Frame, Handler, Io, LengthPrefix, Lines, Options, Overflow, Prefix,
    Remote, Role, Sent, Server, Stats, WhenPanicking,
};

/// One test at a time: each looks at what the process holds.
static ALONE: Mutex<()> = Mutex::new(());

/// The memory that this process has to itself, in bytes.
fn memory_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: usize = kibibytes
        .and_then(|number| number.parse().ok())
        .expect("a number");
    kibibytes * 1024
}

const LIMIT: usize = 1 << 20;
const OFFERED: usize = 64 << 20;
const PIECE: usize = 16 * 1024;

/// Echoes lines; to whoever says `flood` it sends 64 MB, whether they are read or not.
struct Flood {
    sent: [u64; 2],
    highest: usize,
}

impl Handler for Flood {
    type Codec = Lines;
    type State = usize;
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<usize> {
        Some(0)
    }

    fn frame(&mut self, _: &mut usize, io: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
        if frame == b"flood" {
            io.after(Duration::ZERO, 0);
        } else {
            assert!(io.send(frame).is_queued());
        }
        Flow::Continue
    }

    fn timer(&mut self, offered: &mut usize, io: &mut Io<'_, Self>, _token: u64) {
        for _ in 0..8 {
            match io.send(&[b'f'; PIECE]) {
                Sent::Dropped => self.sent[1] += 1,
                sent => {
                    assert!(sent.is_queued());
                    self.sent[0] += 1;
                }
            }
            self.highest = self.highest.max(io.queued());
            *offered += PIECE;
        }
        if *offered < OFFERED {
            io.after(Duration::ZERO, 0);
        }
    }
}

#[test]
fn a3_a_peer_that_never_reads_costs_bounded_memory_and_the_others_nothing() {
    const ROUNDS: usize = 2000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let flood = Flood {
        sent: [0, 0],
        highest: 0,
    };
    let server = Server::new(flood)
        .listen("127.0.0.1:0")
        .hard_limit(LIMIT)
        .when_panicking(WhenPanicking::Propagate)
        .start()
        .expect("a free port");
    let (address, remote) = (server.local_addresses()[0], server.remote());
    let before = memory_bytes();
    let talk = thread::spawn(move || {
        let mut deaf = TcpStream::connect(address).expect("the server listens");
        deaf.write_all(b"flood\n").expect("the server reads");
        let mut other = TcpStream::connect(address).expect("the server listens");
        let mut most = 0;
        for round in 0..ROUNDS {
            let line = format!("round {round}\n");
            other.write_all(line.as_bytes()).expect("the server reads");
            let mut answer = vec![0; line.len()];
            other.read_exact(&mut answer).expect("the server answers");
            assert_eq!(answer, line.as_bytes());
            most = most.max(memory_bytes());
        }
        let patience = Duration::from_secs(20);
        while remote.stats(patience).expect("it answers").dropped < (OFFERED / PIECE / 2) as u64 {
            most = most.max(memory_bytes());
        }
        remote.kill();
        drop(deaf);
        most
    });
    let (flood, stats) = server.run().expect("the loop runs");
    let grown = talk.join().expect("all is answered").saturating_sub(before);
    println!(
        "of 64 MiB {} KiB queued or written, {} KiB dropped; {} KiB at most in the queue; {} KiB more memory",
        flood.sent[0] * 16,
        flood.sent[1] * 16,
        flood.highest / 1024,
        grown / 1024
    );
    assert!(flood.highest <= LIMIT && flood.highest > LIMIT / 2);
    assert!(stats.queue_bytes_peak <= LIMIT as u64);
    assert_eq!(stats.dropped, flood.sent[1]);
    // The queue, its last buffer half empty, and what the allocator keeps.
    assert!(grown < 4 * LIMIT, "{grown} bytes more than before");
}

// A room of a thousand, one in a hundred of whom never reads.

const CLIENTS: usize = 1000;
const DEAF: usize = CLIENTS / 100;
const MESSAGES: u64 = 10_000;
/// Messages to one room before it is the other's turn, so that both see the same noise of the machine.
const BLOCK: u64 = 100;
const MESSAGE_BYTES: usize = 1024;
const ROOM_LIMIT: usize = 256 * 1024;

/// Sends to all members whatever another thread posts.
struct Room {
    members: Vec<ConnectionId>,
    full: Sender<()>,
}

impl Handler for Room {
    type Codec = LengthPrefix;
    type State = ();
    type Message = Vec<u8>;

    fn codec(&self) -> LengthPrefix {
        LengthPrefix::new(Prefix::U32)
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.members.push(io.id());
        if self.members.len() == CLIENTS {
            self.full.send(()).expect("somebody waits for it");
        }
        Some(())
    }

    fn frame(&mut self, (): &mut (), _: &mut Io<'_, Self>, _: Frame<'_, Self>) -> Flow {
        Flow::Continue
    }

    fn message(&mut self, io: &mut Io<'_, Self>, message: Vec<u8>) {
        let members = self.members.iter().copied();
        io.broadcast(members, &message).expect("it fits a frame");
    }
}

/// All members at once: notes how long each message took to each of those who read.
struct Members {
    deaf: usize,
    opened: usize,
    began: Instant,
    microseconds: Vec<u32>,
    heard: usize,
    all_heard: Sender<()>,
}

impl Handler for Members {
    type Codec = LengthPrefix;
    type State = ();
    type Message = ();

    fn codec(&self) -> LengthPrefix {
        LengthPrefix::new(Prefix::U32)
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        assert_eq!(io.role(), Some(Role::Connected));
        self.opened += 1;
        if self.opened <= self.deaf {
            io.pause();
        }
        Some(())
    }

    fn frame(&mut self, (): &mut (), _: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
        assert_eq!(frame.len(), MESSAGE_BYTES);
        let mut sent = [0; 8];
        sent.copy_from_slice(&frame[..8]);
        let sent = Duration::from_nanos(u64::from_be_bytes(sent));
        let took = self.began.elapsed().saturating_sub(sent);
        self.microseconds.push(took.as_micros() as u32);
        self.heard += 1;
        if self.heard == CLIENTS - self.deaf {
            self.heard = 0;
            self.all_heard.send(()).expect("somebody waits for it");
        }
        Flow::Continue
    }
}

struct Both {
    began: Instant,
    room: Remote<Vec<u8>>,
    members: Remote<()>,
    all_heard: Receiver<()>,
    room_thread: thread::JoinHandle<Stats>,
    members_thread: thread::JoinHandle<Vec<u32>>,
}

impl Both {
    fn new(deaf: usize, overflow: Overflow) -> Self {
        let began = Instant::now();
        let (full, is_full) = channel();
        let room = Room {
            members: Vec::new(),
            full,
        };
        let options = Options {
            overflow,
            hard_limit_bytes: ROOM_LIMIT,
            when_panicking: WhenPanicking::Propagate,
            ..Options::default()
        };
        let room = Server::new(room).options(options).listen("127.0.0.1:0");
        let room = room.start().expect("a free port");
        let (address, remote): (SocketAddr, _) = (room.local_addresses()[0], room.remote());
        let room_thread = thread::spawn(move || room.run().expect("the loop runs").1);
        let (heard, all_heard) = channel();
        // Filled once, so that noting the times takes no memory that was not there before.
        let mut microseconds = vec![1; CLIENTS * MESSAGES as usize];
        microseconds.clear();
        let members = Members {
            deaf,
            opened: 0,
            began,
            microseconds,
            heard: 0,
            all_heard: heard,
        };
        let mut members = Client::new(members).when_panicking(WhenPanicking::Propagate);
        for _ in 0..CLIENTS {
            members = members.connect(address);
        }
        let members = members.start().expect("addresses");
        let members_remote = members.remote();
        let members_thread =
            thread::spawn(move || members.run().expect("the loop runs").0.microseconds);
        is_full
            .recv_timeout(Duration::from_secs(60))
            .expect("all come");
        Self {
            began,
            room: remote,
            members: members_remote,
            all_heard,
            room_thread,
            members_thread,
        }
    }

    /// Sends messages, each when all who read have heard the one before.
    fn talk(&self, messages: u64) {
        for _ in 0..messages {
            let sent = self.began.elapsed().as_nanos() as u64;
            let mut message = vec![b'm'; MESSAGE_BYTES];
            message[..8].copy_from_slice(&sent.to_be_bytes());
            self.room.post(message).expect("it runs");
            self.all_heard
                .recv_timeout(Duration::from_secs(60))
                .expect("all who read hear it");
        }
    }

    fn end(self) -> (Stats, Vec<u32>) {
        self.room.kill();
        self.members.kill();
        let stats = self.room_thread.join().expect("it ran well");
        let mut microseconds = self.members_thread.join().expect("it ran well");
        microseconds.sort_unstable();
        (stats, microseconds)
    }
}

fn quantile(sorted: &[u32], thousandths: usize) -> u32 {
    sorted[(sorted.len() - 1) * thousandths / 1000]
}

/// Takes some minutes: `cargo test --release -p trunkline --test slow_readers -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement of some minutes, of a release build"]
fn slow_readers_cost_the_others_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Four descriptors for each member, as both ends are here.
    let most = descriptors_max();
    assert!(
        most >= 5000,
        "has {most} descriptors: `ulimit -n 5000` first"
    );
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        measure(overflow);
    }
}

fn measure(overflow: Overflow) {
    let with = Both::new(DEAF, overflow);
    let without = Both::new(0, overflow);
    with.talk(BLOCK);
    without.talk(BLOCK);
    let before = memory_bytes();
    for _ in 0..MESSAGES / BLOCK - 1 {
        with.talk(BLOCK);
        without.talk(BLOCK);
    }
    let grown = memory_bytes().saturating_sub(before);
    let ((with, with_times), (without, without_times)) = (with.end(), without.end());
    assert_eq!(with_times.len(), (CLIENTS - DEAF) * MESSAGES as usize);
    assert_eq!(without_times.len(), CLIENTS * MESSAGES as usize);
    for (name, stats, times) in [
        ("with 1 % who never read", &with, &with_times),
        ("without them", &without, &without_times),
    ] {
        println!(
            "{overflow:?}, {name}: p50 {} µs, p99 {} µs, p99.9 {} µs, max {} µs",
            quantile(times, 500),
            quantile(times, 990),
            quantile(times, 999),
            quantile(times, 1000)
        );
        println!("    {stats}");
    }
    println!("    memory grew by {} KiB", grown / 1024);
    assert!(with.dropped + with.dropped_oldest > 0, "nobody was slow");
    assert_eq!((without.dropped, without.dropped_oldest), (0, 0));
    assert!(with.queue_bytes_peak <= ROOM_LIMIT as u64);
    let limits = DEAF * ROOM_LIMIT + MESSAGE_BYTES * CLIENTS;
    assert!(with.queued_bytes_peak <= limits as u64);
    assert!(grown < 2 * limits, "{grown} bytes more than before");
    let (with, without) = (quantile(&with_times, 990), quantile(&without_times, 990));
    assert!(
        with <= 2 * without,
        "p99: {with} µs with, {without} µs without"
    );
}

/// How many descriptors this process may have.
fn descriptors_max() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux has it");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.expect("there is a limit").parse().unwrap_or(u64::MAX)
}
