//! The life of an echo server in a hostile world: dozens of peers, faults, and hardly any room.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::network::simulated::{
    Config, EchoClient, Ending, Faults, Limits, Random, Simulated, World, lines,
};
use crate::{
    Closed, ConnectionId, EventLoop, Flow, Handler, Io, LineEnding, Lines, Options, Sent, WhenFull,
    WhenPanicking,
};

/// Seeds that the test runs. More by `TRUNKLINE_SEEDS`, a single one by `TRUNKLINE_SEED`.
const SEEDS: u64 = 1500;
const DRAIN: Duration = Duration::from_secs(10);
const TURNS_MAX: u32 = 300_000;

/// Echoes lines; after `QUIT` it says `BYE` and closes. Checks what the engine promises to a handler.
struct Echo {
    random: Random,
    high: usize,
    live: BTreeSet<ConnectionId>,
    seen: BTreeSet<ConnectionId>,
    due: BTreeMap<ConnectionId, Instant>,
    wrong: Vec<String>,
}

impl Echo {
    fn check_live(&mut self, id: ConnectionId, callback: &str) {
        if !self.live.contains(&id) {
            self.wrong
                .push(format!("{callback} for {id:?}, which is not open"));
        }
    }

    fn set_timer(&mut self, io: &mut Io<'_, Self>) {
        let delay = Duration::from_nanos(self.random.below(50_000_000));
        if io.after(delay, 7).is_some() {
            self.due.insert(io.id(), io.now() + delay);
        }
    }
}

impl Handler for Echo {
    type Codec = Lines;
    type State = ConnectionId;
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new().write(LineEnding::Lf)
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<ConnectionId> {
        let id = io.id();
        if !self.seen.insert(id) {
            self.wrong.push(format!("{id:?} names a second connection"));
        }
        self.live.insert(id);
        self.set_timer(io);
        Some(id)
    }

    fn frame(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        self.check_live(*state, "frame");
        let (reply, flow) = match frame {
            b"QUIT" => (b"BYE".as_slice(), Flow::Close),
            _ => (frame, Flow::Continue),
        };
        let sent = io.send(reply);
        if !matches!(sent, Sent::Queued | Sent::AboveHigh) {
            self.wrong
                .push(format!("send on an open connection: {sent:?}"));
        }
        let queued = io.queued();
        if queued > self.high + reply.len() + 1 {
            self.wrong.push(format!(
                "{queued} bytes queued at a high watermark of {}",
                self.high
            ));
        }
        flow
    }

    fn end_of_stream(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>) {
        self.check_live(*state, "end_of_stream");
        io.close();
    }

    fn timer(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>, token: u64) {
        self.check_live(*state, "timer");
        match self.due.remove(state) {
            Some(due) if due > io.now() => self.wrong.push("a timer came early".into()),
            Some(_) if token == 7 => {}
            _ => self
                .wrong
                .push("a timer came twice, or with another's token".into()),
        }
        if self.random.chance(0.5) {
            self.set_timer(io);
        }
    }

    fn closed(&mut self, state: ConnectionId, _io: &mut Io<'_, Self>, _closed: Closed) {
        self.check_live(state, "closed");
        self.live.remove(&state);
        self.due.remove(&state);
    }
}

/// Options, as tight as the seed will have them.
fn options(random: &mut Random) -> Options {
    let high = *random.pick(&[1, 10, 1000, 64 * 1024]);
    Options {
        connections_max: *random.pick(&[1, 3, usize::MAX, usize::MAX]),
        when_full: *random.pick(&[WhenFull::Wait, WhenFull::Wait, WhenFull::Refuse]),
        high_watermark_bytes: high,
        low_watermark_bytes: *random.pick(&[0, high / 4, high]),
        linger: Duration::from_secs(100_000),
        drain: DRAIN,
        accept_budget: *random.pick(&[1, 3, 128]),
        read_budget_bytes: *random.pick(&[1, 100, 256 * 1024]),
        frame_budget: *random.pick(&[1, 2, 1024]),
        read_buffer_bytes: *random.pick(&[1, 2, 16, 4096, 64 * 1024]),
        when_panicking: WhenPanicking::Propagate,
        ..Options::default()
    }
}

/// One run: everything follows from the seed.
struct Life {
    world: World,
    server: EventLoop<Echo, Simulated>,
    wrong: Vec<String>,
    options: Options,
}

impl Life {
    fn new(seed: u64, config: Config) -> Self {
        let mut random = Random::new(seed ^ 0x11fe);
        let options = options(&mut random);
        let peers = 1 + random.index(40);
        // Tiny buffers make every byte dear.
        let scarce = config.limits.send_buffer.min(config.limits.receive_buffer) < 64;
        let bytes_max = if scarce { 60 } else { 3000 };
        let patient = options.when_full == WhenFull::Wait;
        let roomy = options.connections_max == usize::MAX;

        let world = World::new(config);
        let handler = Echo {
            high: options.high_watermark_bytes,
            random: Random::new(seed ^ 0xec40),
            live: BTreeSet::new(),
            seen: BTreeSet::new(),
            due: BTreeMap::new(),
            wrong: Vec::new(),
        };
        let mut server = EventLoop::over(world.network(), handler, options.clone());
        let mut wrong = Vec::new();
        match server.listen(SocketAddr::from(([127, 0, 0, 1], 7))) {
            Ok(address) => {
                let span = Duration::from_millis(random.below(200));
                world.storm(address, peers, span, |random| {
                    let client = client(random, bytes_max, roomy);
                    if patient { client } else { client.lenient() }
                });
            }
            Err(error) => wrong.push(format!("listen: {error}")),
        }
        Self {
            world,
            server,
            wrong,
            options,
        }
    }

    /// One turn, and the checks that hold after each. `false` when the loop has ended or failed.
    fn turn(&mut self, wait_max: Duration) -> bool {
        let goes_on = match self.server.turn(Some(wait_max)) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                self.wrong.push(format!("turn: {error}"));
                false
            }
        };
        let now = self.world.now();
        if self.server.handler().due.values().any(|due| *due <= now) && goes_on {
            self.wrong
                .push("a timer is late by more than a turn".into());
        }
        goes_on && !self.is_wrong()
    }

    fn is_wrong(&self) -> bool {
        !(self.wrong.is_empty() && self.server.handler().wrong.is_empty())
    }

    /// Turns until nothing moves any more.
    fn rest(&mut self) {
        let mut still = 0;
        for _ in 0..TURNS_MAX {
            let before = self.server.stats();
            if !self.turn(Duration::from_secs(1)) {
                return;
            }
            let after = self.server.stats();
            let moved = (
                before.bytes_in,
                before.bytes_out,
                before.accepted,
                before.closed,
            ) != (
                after.bytes_in,
                after.bytes_out,
                after.accepted,
                after.closed,
            );
            still = if moved || !self.world.is_quiet() {
                0
            } else {
                still + 1
            };
            if still > 20 {
                return;
            }
        }
        self.wrong.push(format!("no rest after {TURNS_MAX} turns"));
    }

    /// Faults stop and room is given: now everything must be delivered.
    fn calm_down(&mut self) {
        self.world.set_faults(Faults::none());
        let limits = Limits {
            descriptors: 10_000,
            ..self.world.limits()
        };
        self.world.set_limits(limits);
    }

    /// Drains the loop, and checks that nothing is left of it.
    fn stop(&mut self) {
        let begin = self.world.elapsed();
        self.server.remote().stop();
        while self.turn(Duration::from_secs(1)) {}
        if self.is_wrong() {
            return;
        }
        let took = self.world.elapsed().saturating_sub(begin);
        // A wait may oversleep, and the last one counts.
        if took > DRAIN + Duration::from_secs(2) {
            self.wrong.push(format!("the drain took {took:?}"));
        }
        let live = &self.server.handler().live;
        if !live.is_empty() {
            self.wrong.push(format!("never closed: {live:?}"));
        }
        let open = self.world.open_streams();
        if open > 0 {
            self.wrong.push(format!("{open} descriptors leaked"));
        }
    }

    fn verdict(self) -> (Vec<String>, u64) {
        // Empty unless a single seed is replayed.
        for line in self.world.log() {
            println!("{line}");
        }
        let mut wrong = self.wrong;
        wrong.extend(self.server.handler().wrong.iter().cloned());
        wrong.extend(self.world.violations());
        (wrong, self.world.trace_hash())
    }
}

/// A client: of seven, one asks the server to close while it goes on sending, and one leaves its last line
/// unfinished.
fn client(random: &mut Random, bytes_max: usize, may_hang: bool) -> EchoClient {
    match random.below(7) {
        0 => quitting(random, bytes_max),
        1 => unfinished(random, bytes_max),
        _ => loop {
            let client = EchoClient::random(random, bytes_max);
            if may_hang || !client.may_hang() {
                return client;
            }
        },
    }
}

fn quitting(random: &mut Random, bytes_max: usize) -> EchoClient {
    let (mut sends, after) = (lines(random, bytes_max / 2), lines(random, bytes_max / 2));
    let mut expects = sends.clone();
    sends.extend_from_slice(b"QUIT\n");
    sends.extend(after);
    expects.extend_from_slice(b"BYE\n");
    let pause = Duration::from_micros(*random.pick(&[0, 100]));
    EchoClient::new(sends)
        .expecting(expects)
        .in_cuts(1..100, pause)
        .ending(Ending::WhenClosed)
}

fn unfinished(random: &mut Random, bytes_max: usize) -> EchoClient {
    let mut sends = lines(random, bytes_max);
    sends.extend_from_slice(b"the end");
    let mut expects = sends.clone();
    expects.push(b'\n');
    EchoClient::new(sends)
        .expecting(expects)
        .in_cuts(1..100, Duration::from_micros(random.below(100)))
        .ending(Ending::HalfClose)
}

/// What went wrong in the life that `seed` describes, and its fingerprint.
fn live(seed: u64) -> (Vec<String>, u64) {
    let mut config = Config::from_seed(seed);
    // The listener, the reserve and one stream are the least a server can work with.
    config.limits.descriptors = config.limits.descriptors.max(4);
    let replayed = number("TRUNKLINE_SEED").is_some();
    if replayed {
        println!("{config:#?}");
    }
    let mut life = Life::new(seed, config);
    if replayed {
        life.world.keep_log();
        println!("{:#?}", life.options);
    }
    if seed % 4 == 3 {
        // The end comes in the middle of it all.
        for _ in 0..seed % 400 {
            life.turn(Duration::from_millis(10));
        }
        life.stop();
        return life.verdict();
    }
    let storm = life.world.elapsed() + Duration::from_secs(1);
    for _ in 0..20_000 {
        if life.world.elapsed() > storm || !life.turn(Duration::from_millis(100)) {
            break;
        }
    }
    life.calm_down();
    life.rest();
    if !life.is_wrong() {
        life.wrong = life.world.check_at_rest();
    }
    life.stop();
    life.verdict()
}

/// As [`live`]; a panic is a failure like any other.
pub(super) fn failures(seed: u64) -> (Vec<String>, u64) {
    caught(|| live(seed))
}

/// Makes a panic one more thing that went wrong.
pub(super) fn caught(life: impl FnOnce() -> (Vec<String>, u64)) -> (Vec<String>, u64) {
    catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        (vec![format!("panic: {}", text.unwrap_or_default())], 0)
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
}

/// Runs the first `seeds` seeds, or those that the environment names; the first that fails says how to
/// replay it.
pub(super) fn each_seed(seeds: u64, test: &str, life: impl Fn(u64) -> Vec<String>) {
    let seeds = match number("TRUNKLINE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TRUNKLINE_SEEDS").unwrap_or(seeds),
    };
    for seed in seeds {
        let wrong = life(seed);
        let replay = format!("TRUNKLINE_SEED={seed} cargo test -p trunkline --lib {test}");
        assert!(
            wrong.is_empty(),
            "seed {seed}: {wrong:#?}\nreplay: {replay}"
        );
    }
}

#[test]
fn an_echo_server_keeps_its_promises_whatever_happens() {
    each_seed(SEEDS, "whatever_happens", |seed| failures(seed).0);
}

#[test]
fn the_same_seed_lives_the_same_life() {
    for seed in 0..100 {
        assert_eq!(failures(seed).1, failures(seed).1, "seed {seed}");
    }
}
