//! The life of a feed in a hostile world: some listeners read slowly, each under a policy of its own, and the handler
//! panics now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::mutant::{Mutant, plant};
use crate::network::simulated::{Config, Faults, Limits, Random, Simulated, World};
use crate::{
    Cause, Closed, Codec, ConnectionId, Decoded, EventLoop, Flow, FrameError, Handler, Io,
    LineEnding, Lines, Options, Overflow, Panic, WhenPanicking,
};

const SEEDS: u64 = 400;
const TURNS_MAX: u32 = 300_000;
const TICKS: u64 = 25;

/// Lines; one word breaks the encoder after it has written half a message.
#[derive(Clone)]
struct Brittle(Lines);

impl Brittle {
    fn new() -> Self {
        Self(Lines::new().write(LineEnding::Lf))
    }
}

impl Codec for Brittle {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        self.0.decode(input)
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.0.finish(input)
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        if message == b"encode!" {
            output.extend_from_slice(b"half a mess");
            resume_unwind(Box::new("planned"));
        }
        self.0.encode(message, output)
    }
}

/// One update: its key (0: none), its number, and as many dots as the number asks for.
fn update(key: u64, number: u64) -> Vec<u8> {
    let dots = ".".repeat((number % 40) as usize);
    format!("feed {key} {number} {dots}").into_bytes()
}

/// The server: sends updates to all, and answers who asks.
struct Feed {
    random: Random,
    /// How likely each callback is to panic.
    panic_chance: f64,
    panics: u64,
    /// Updates have keys up to this one.
    keys: u64,
    broken: BTreeSet<ConnectionId>,
    /// Everybody who is there, and what he calls himself.
    members: BTreeMap<ConnectionId, Option<u64>>,
    number: u64,
    /// The last update is out: nothing follows that could make room by dropping it.
    over: bool,
    /// To whom the last update was sent.
    last_to: BTreeSet<ConnectionId>,
    /// Who must have got it, by name.
    due: BTreeSet<u64>,
    wrong: Vec<String>,
}

impl Feed {
    fn may_panic(&mut self, io: &mut Io<'_, Self>) {
        if !self.random.chance(self.panic_chance) {
            return;
        }
        self.panics += 1;
        self.broken.insert(io.id());
        if self.random.chance(0.5) {
            resume_unwind(Box::new("planned"));
        }
        let to = *self.random.pick(&[0, 1, 2]);
        let any = self.members.keys().copied().next().unwrap_or(io.id());
        let _ = match to {
            0 => io.send_to(any, b"encode!"),
            1 => io.send_keyed(any, 1, b"encode!"),
            _ => io.send(b"encode!"),
        };
        // Whoever is gone or closing is sent nothing.
        resume_unwind(Box::new("planned"));
    }

    fn check_whole(&mut self, io: &Io<'_, Self>, callback: &str) {
        if self.broken.contains(&io.id()) {
            self.wrong
                .push(format!("{callback} for {}, where one panicked", io.id()));
        }
        let stats = io.connection_stats(io.id());
        if stats.is_none_or(|stats| stats.queued_bytes > io.core.options.hard_limit_bytes) {
            self.wrong.push(format!("{callback}: {stats:?}"));
        }
    }

    fn tick(&mut self, io: &mut Io<'_, Self>) {
        let all: Vec<_> = self.members.keys().copied().collect();
        self.number += 1;
        let key = self.random.below(self.keys + 1);
        let message = update(key, self.number);
        let _ = match (key, self.random.below(4)) {
            (0, 0) => io.send(&message).is_queued().then_some(1),
            (0, _) => io.broadcast(all, &message).ok(),
            (_, 0) => io
                .send_keyed(io.id(), key, &message)
                .is_queued()
                .then_some(1),
            _ => io.broadcast_keyed(all, key, &message).ok(),
        };
    }
}

impl Handler for Feed {
    type Codec = Brittle;
    type State = ();
    type Message = ();

    fn codec(&self) -> Brittle {
        Brittle::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.may_panic(io);
        let id = io.id();
        self.members.insert(id, None);
        let patience = Duration::from_millis(self.random.between(1..200));
        let policies = [
            Overflow::DropNewest,
            Overflow::DropOldest,
            Overflow::Close,
            Overflow::CloseAfter(patience),
        ];
        if self.random.chance(0.7) {
            io.set_overflow(id, *self.random.pick(&policies));
        }
        io.after(Duration::from_nanos(self.random.below(20_000_000)), 0);
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        self.check_whole(io, "frame");
        if let Some(name) = words(frame).get(1).and_then(|word| word.parse().ok()) {
            self.members.insert(io.id(), Some(name));
        }
        if self.over {
            return Flow::Continue;
        }
        let answer = [b"you".as_slice(), frame.get(3..).unwrap_or_default()].concat();
        let _ = io.send(&answer);
        self.may_panic(io);
        Flow::Continue
    }

    fn drained(&mut self, (): &mut (), io: &mut Io<'_, Self>) {
        self.check_whole(io, "drained");
        self.may_panic(io);
    }

    fn timer(&mut self, (): &mut (), io: &mut Io<'_, Self>, tick: u64) {
        self.check_whole(io, "timer");
        if self.over {
            return;
        }
        self.tick(io);
        if tick < TICKS {
            let delay = Duration::from_nanos(self.random.below(20_000_000));
            io.after(delay, tick + 1);
        }
        self.may_panic(io);
    }

    /// The last update.
    fn message(&mut self, io: &mut Io<'_, Self>, (): ()) {
        self.over = true;
        self.panic_chance = 0.0;
        self.number += 1;
        for &id in self.members.keys() {
            if io.send_keyed(id, 3, &update(3, self.number)).is_queued() {
                self.last_to.insert(id);
            }
        }
    }

    fn panicked(&mut self, _io: &mut Io<'_, Self>, panic: &Panic) {
        if panic.message != "planned" {
            self.wrong.push(panic.to_string());
        }
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        let Some(name) = self.members.remove(&io.id()) else {
            return self.wrong.push(format!("{} closed twice", io.id()));
        };
        // One that was being reset already keeps its first cause.
        let as_expected = match closed.cause {
            Cause::Panicked(_) => self.broken.contains(&io.id()),
            Cause::Overflow => true,
            _ => !self.broken.contains(&io.id()),
        };
        if !as_expected {
            self.wrong.push(format!("{}: {closed:?}", io.id()));
        }
        if matches!(closed.cause, Cause::Finished) && self.last_to.contains(&io.id()) {
            self.due.extend(name);
        }
        self.may_panic(io);
    }
}

fn words(frame: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(frame).unwrap_or("?");
    text.split(' ').collect()
}

/// The clients: ask, listen, and stop listening for a while.
struct Audience {
    random: Random,
    names: u64,
    /// Which number is the newest that each has heard.
    heard: BTreeMap<u64, u64>,
    wrong: Vec<String>,
}

struct Listener {
    name: u64,
    /// The last number of each key, and of the answers.
    last: [u64; 5],
}

impl Audience {
    fn hear(&mut self, listener: &mut Listener, frame: &[u8]) -> Option<()> {
        let words = words(frame);
        let number = words.get(2)?.parse().ok()?;
        let place = match words[0] {
            "you" if words[1] == listener.name.to_string() => 4,
            "feed" => {
                let key: u64 = words[1].parse().ok().filter(|key| *key < 4)?;
                (frame == update(key, number)).then_some(key as usize)?
            }
            _ => return None,
        };
        if place < 4 {
            // The newest by number: one that took an older one's place comes before what was sent in between.
            let newest = self.heard.entry(listener.name).or_default();
            *newest = number.max(*newest);
        }
        (std::mem::replace(&mut listener.last[place], number) < number).then_some(())
    }
}

impl Handler for Audience {
    type Codec = Brittle;
    type State = Listener;
    type Message = ();

    fn codec(&self) -> Brittle {
        Brittle::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Listener> {
        self.names += 1;
        io.after(Duration::ZERO, 1);
        Some(Listener {
            name: self.names,
            last: [0; 5],
        })
    }

    fn frame(&mut self, listener: &mut Listener, _: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        if self.hear(listener, frame).is_none() {
            let text = String::from_utf8_lossy(frame);
            self.wrong.push(format!(
                "listener {} hears {text:?} after {:?}",
                listener.name, listener.last
            ));
        }
        Flow::Continue
    }

    fn timer(&mut self, listener: &mut Listener, io: &mut Io<'_, Self>, tick: u64) {
        let _ = io.send(format!("ask {} {tick}", listener.name).as_bytes());
        if tick < TICKS && self.random.chance(0.5) {
            io.pause();
        } else {
            io.resume();
        }
        if tick < TICKS {
            let delay = Duration::from_nanos(self.random.below(30_000_000));
            io.after(delay, tick + 1);
        }
    }
}

struct Life {
    world: World,
    feed: EventLoop<Feed, Simulated>,
    audience: EventLoop<Audience, Simulated>,
    wrong: Vec<String>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xfa40);
        let mut config = Config::from_seed(seed);
        config.limits.descriptors = 1024;
        let world = World::new(config);
        let hard_limit = *random.pick(&[60, 200, 1000, 10_000]);
        let high = *random.pick(&[1, 50, 1000]);
        let options = Options {
            overflow: *random.pick(&[Overflow::DropNewest, Overflow::DropOldest]),
            hard_limit_bytes: hard_limit,
            high_watermark_bytes: high,
            low_watermark_bytes: high / 2,
            read_buffer_bytes: *random.pick(&[1, 16, 4096]),
            frame_budget: *random.pick(&[1, 1024]),
            linger: Duration::from_secs(100_000),
            drain: Duration::from_secs(100_000),
            ..Options::default()
        };
        let feed = Feed {
            panic_chance: *random.pick(&[0.0, 0.002, 0.02]),
            random: Random::new(seed ^ 0xfeed),
            panics: 0,
            // Without any, many connections go the usual way.
            keys: *random.pick(&[0, 3]),
            broken: BTreeSet::new(),
            members: BTreeMap::new(),
            number: 0,
            over: false,
            last_to: BTreeSet::new(),
            due: BTreeSet::new(),
            wrong: Vec::new(),
        };
        let mut feed = EventLoop::over(world.network(), feed, options);
        let address = SocketAddr::from(([127, 0, 0, 1], 7));
        let mut wrong = Vec::new();
        if let Err(error) = feed.listen(address) {
            wrong.push(format!("listen: {error}"));
        }
        let listening = Audience {
            random: Random::new(seed ^ 0xa0d1),
            names: 0,
            heard: BTreeMap::new(),
            wrong: Vec::new(),
        };
        let options = Options {
            until_idle: true,
            when_panicking: WhenPanicking::Propagate,
            hard_limit_bytes: 100_000,
            linger: Duration::from_secs(100_000),
            connect_timeout: Duration::from_secs(100_000),
            ..Options::default()
        };
        let mut audience = EventLoop::over(world.network(), listening, options);
        for _ in 0..=random.index(8) {
            audience.connect(address);
        }
        Self {
            world,
            feed,
            audience,
            wrong,
        }
    }

    /// Turns both loops until nothing moves and no timer of theirs is near, or both have ended.
    fn turn_until(&mut self, over: impl Fn(&Self) -> bool) {
        for _ in 0..TURNS_MAX {
            let feeding = self.feed.turn(Some(Duration::ZERO));
            let listening = self.audience.turn(Some(Duration::ZERO));
            match (feeding, listening) {
                (Ok(false), Ok(false)) => return,
                (Ok(_), Ok(_)) => {}
                (feeding, listening) => {
                    let failed = format!("turn: {feeding:?} {listening:?}");
                    return self.wrong.push(failed);
                }
            }
            if over(self) {
                return;
            }
            // Their own timers are no part of the world: small steps when nothing is on its way.
            if !self.world.advance_to_next() {
                self.world.advance(Duration::from_millis(1));
            }
        }
        let stats = (self.feed.stats(), self.audience.stats());
        self.wrong.push(format!("no end: {stats:?}"));
    }

    fn check(&mut self) {
        let stats = self.feed.stats();
        let feed = self.feed.handler();
        let mut wrong = [feed.wrong.clone(), self.audience.handler().wrong.clone()].concat();
        wrong.extend(self.world.violations());
        if stats.panics != feed.panics {
            wrong.push(format!("{} panics, {stats}", feed.panics));
        }
        if stats.queued_bytes != 0 || stats.open != 0 || !feed.members.is_empty() {
            wrong.push(format!("left behind: {:?}, {stats}", feed.members));
        }
        if stats.closed_by.iter().sum::<u64>() != stats.closed {
            wrong.push(format!("does not add up: {stats:?}"));
        }
        let heard = &self.audience.handler().heard;
        for name in &feed.due {
            if heard.get(name) != Some(&feed.number) {
                let last = heard.get(name);
                wrong.push(format!(
                    "listener {name} has heard {last:?}, not {}",
                    feed.number
                ));
            }
        }
        self.wrong.extend(wrong);
    }
}

/// What went wrong in the life that `seed` describes, and its fingerprint.
fn live(seed: u64) -> (Vec<String>, u64) {
    let mut life = Life::new(seed);
    let storm = Duration::from_secs(1);
    life.turn_until(|life| life.world.elapsed() > storm);
    life.world.set_faults(Faults::none());
    let limits = Limits {
        descriptors: 1024,
        ..life.world.limits()
    };
    life.world.set_limits(limits);
    let calm = life.world.elapsed() + Duration::from_secs(1);
    life.turn_until(|life| life.world.elapsed() > calm);
    if life.feed.remote().post(()).is_err() {
        life.wrong.push("the feed has ended".into());
    }
    life.turn_until(|life| life.feed.handler().over);
    life.feed.remote().stop();
    life.turn_until(|_| false);
    life.check();
    (life.wrong, life.world.trace_hash())
}

fn failures(seed: u64) -> (Vec<String>, u64) {
    catch_unwind(AssertUnwindSafe(|| live(seed))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        (vec![format!("panic: {}", text.unwrap_or_default())], 0)
    })
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    text.parse().ok()
}

#[test]
fn a_feed_keeps_its_promises_to_slow_listeners_and_through_panics() {
    let seeds = match number("TRUNKLINE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TRUNKLINE_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let wrong = failures(seed).0;
        assert!(
            wrong.is_empty(),
            "seed {seed}: {wrong:#?}\nreplay: TRUNKLINE_SEED={seed} cargo test -p trunkline --lib a_feed_keeps"
        );
    }
}

#[test]
fn the_same_seed_makes_the_same_feed() {
    for seed in 0..30 {
        assert_eq!(failures(seed).1, failures(seed).1, "seed {seed}");
    }
}

#[test]
fn every_mutant_of_the_fan_out_is_found() {
    for mutant in [
        Mutant::BegunMessageDropped,
        Mutant::BegunMessageReplaced,
        Mutant::PanicClosesNobody,
        // `CorkKeptAfterPanic` needs the usual way, which few go here: the wild life finds it.
    ] {
        plant(Some(mutant));
        let found = (0..SEEDS).find(|seed| !failures(*seed).0.is_empty());
        plant(None);
        println!("{mutant:?}: seed {found:?}");
        assert!(found.is_some(), "{mutant:?} is not found");
    }
}
