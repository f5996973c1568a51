//! A case: everything that one run is made from, as plain numbers. It follows from a seed, can be written down as one
//! line and read again ([`text`]), and made smaller as long as it fails ([`super::shrink`]).

use std::time::Duration;

use crate::network::Trigger;
use crate::network::simulated::{Config, Faults, Limits, Random};
use crate::{Options, Overflow, WhenFull, WhenPanicking};

mod text;
mod timing;

/// Who lives in the simulated world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// An echo server whose clients check every byte.
    Echo,
    /// A program that connects, to servers that echo and to nobody.
    Client,
    /// A server whose handler does whatever a handler may do, at random, beside a model.
    Wild,
    /// Several loops that echo, and an acceptor that feeds them.
    Several,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Faults stop, everything is delivered, then the loop drains.
    AtRest,
    /// The loop drains in the middle of it all, after so many turns.
    Stop(u64),
    /// The loop is killed after so many turns.
    Kill(u64),
}

/// What a peer does beside sending and reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Closes when it has everything.
    Close,
    /// Ends its stream when it has sent everything, and waits for the other end.
    HalfClose,
    /// As `HalfClose`, and its last line lacks an ending.
    Unfinished,
    /// Asks the server to close in the middle of its stream, and goes on sending.
    Quit,
    /// Closes after `part` bytes.
    CloseAfter,
    /// Resets after `part` bytes.
    ResetAfter,
    /// Falls silent for ever after `part` bytes.
    VanishAfter,
    /// Sends bytes that make no sense.
    Garbage,
    /// Sends a line that has no end.
    Endless,
}

/// Declares numbers that belong together, each with what it is in the simplest case.
macro_rules! numbers {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident = $simplest:expr,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) struct $name {
            $($(#[$doc])* pub(super) $field: u64,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $simplest,)* }
            }
        }

        impl $name {
            /// Every number by its name, with what it is in the simplest case.
            pub(super) fn numbers(&mut self) -> Vec<(&'static str, &mut u64, u64)> {
                vec![$((stringify!($field), &mut self.$field, $simplest),)*]
            }
        }
    };
}

numbers! {
    /// How much room the world has, and how long the way is.
    Room {
        descriptors = 10_000,
        send_buffer = 65_536,
        receive_buffer = 65_536,
        backlog = 128,
        latency_ns = 50_000,
        jitter_ns = 1_000,
    }
}

numbers! {
    /// The options of the loop, and how its handler behaves.
    Settings {
        connections_max = u64::MAX,
        refuse_when_full = 0,
        high = 65_536,
        low = 16_384,
        hard = 1_048_576,
        /// 0 the newest is dropped, 1 it closes, 2 the oldest is dropped, 3 it closes after a time above high.
        overflow = 0,
        patience_ms = 0,
        accept_budget = 128,
        read_budget = 262_144,
        frame_budget = 1_024,
        read_buffer = 65_536,
        frame_max = 65_536,
        /// How often a callback does something unasked, in a thousand.
        wildness = 0,
        /// A wild handler answers a frame with fewer messages than this.
        answers = 2,
        /// How many messages have a key, in a thousand: their connections do not go the usual way.
        keyed = 0,
        /// How often a callback panics, in a thousand.
        panics = 0,
        /// Connections that the handler itself may make.
        connects = 0,
        // Deadlines; 0 is none.
        handshake_ms = 0,
        frame_ms = 60_000,
        idle_ms = 0,
        stall_ms = 60_000,
        life_ms = 0,
        precision_ms = 0,
        linger_ms = 1_000_000_000,
        connect_ms = 1_000_000_000,
        /// The handler gives connections idle deadlines of their own, prolongs handshakes, and holds connections.
        own = 0,
        // Rates, in bytes per second; 0 is none.
        rate_in = 0,
        rate_out = 0,
        rate_least = 0,
        window_ms = 10_000,
        /// Accepted connections of one peer; 0 stands for any number.
        per_peer = 0,
        /// Connections accepted per second; 0 stands for any number.
        accept_rate = 0,
        accept_burst = 1,
        /// It listens in the Unix domain.
        unix = 0,
        /// How many loops there are, where there are several.
        loops = 1,
        lag_ms = 0,
        drain_ms = 10_000,
    }
}

numbers! {
    /// What a peer sends, and how it reads. For [`Life::Client`] it is one connection to make.
    Numbers {
        /// When it connects.
        at_ns = 0,
        /// Its bytes follow from this.
        seed = 0,
        /// At most so many.
        bytes = 1,
        /// In cuts shorter than this.
        cut = 1_000_000,
        /// With a pause after each.
        pause_ns = 0,
        /// Reads so many bytes at a time; 0 stands for all there is, the highest number for none ever.
        read = 0,
        /// With a pause after each.
        read_pause_ns = 0,
        /// After so many bytes its manner shows.
        part = 0,
        /// Where a client connects: 0 echo, 1 nobody, 2 several of which one echoes, 3 several that do not answer,
        /// 4 a server that accepts nobody; 5 and 6, in the Unix domain, echo and a server that accepts nobody.
        place = 0,
        /// The host it connects from; 0 is the server's own.
        host = 0,
    }
}

/// Reads nothing, ever.
pub(super) const NEVER: u64 = u64::MAX;

/// What one peer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) manner: Manner,
    pub(super) numbers: Numbers,
}

/// Everything that one run is made from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) life: Life,
    /// Where the world's and the handler's chance comes from.
    pub(super) seed: u64,
    pub(super) trigger: Trigger,
    pub(super) end: End,
    pub(super) room: Room,
    pub(super) faults: Faults,
    pub(super) settings: Settings,
    pub(super) plans: Vec<Plan>,
}

impl Case {
    /// The case that follows from `seed`: half of the faults, and limits as low as they can be as often as not.
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xca5e);
        let life = *random.pick(&[Life::Echo, Life::Echo, Life::Client, Life::Wild, Life::Wild]);
        let Config {
            trigger,
            limits,
            faults,
            ..
        } = Config::from_seed(seed);
        let mut room = Room {
            // The listener, the reserve and one stream are the least that a server can work with.
            descriptors: limits.descriptors.max(4) as u64,
            send_buffer: limits.send_buffer as u64,
            receive_buffer: limits.receive_buffer as u64,
            backlog: u64::from(limits.backlog),
            latency_ns: limits.latency.as_nanos() as u64,
            jitter_ns: limits.jitter.as_nanos() as u64,
        };
        // Tiny buffers make every byte dear.
        let scarce = room.send_buffer.min(room.receive_buffer) < 64;
        let settings = match life {
            Life::Echo | Life::Several => settings(&mut random),
            Life::Client => {
                room.descriptors = 100;
                client_settings(&mut random)
            }
            Life::Wild => wild_settings(&mut random),
        };
        let plans = match life {
            Life::Client => client_plans(&mut random, if scarce { 30 } else { 1000 }),
            Life::Echo | Life::Several | Life::Wild => {
                let peers = 1 + random.index(if life == Life::Echo { 40 } else { 20 });
                let span = random.below(200_000_000).max(1);
                let roomy = settings.connections_max == u64::MAX;
                let bytes_max = if scarce { 60 } else { 3000 };
                let mut plans: Vec<_> = (0..peers)
                    .map(|_| plan(&mut random, bytes_max, span, roomy))
                    .collect();
                // A queue grows only if somebody reads slowly.
                for plan in plans.iter_mut().filter(|_| life == Life::Wild) {
                    if random.chance(0.4) {
                        plan.numbers.read = 1 + random.below(300);
                    }
                }
                plans
            }
        };
        let turns_max = *random.pick(&[20, 100, 400]);
        let end = match random.below(10) {
            0 | 1 if life != Life::Client => End::Stop(random.below(turns_max)),
            2 => End::Kill(random.below(turns_max)),
            _ => End::AtRest,
        };
        let mut case = Self {
            life,
            seed,
            trigger,
            end,
            room,
            faults,
            settings,
            plans,
        };
        case.draw_times_and_limits();
        case
    }

    /// What the world is made from.
    pub(super) fn config(&self) -> Config {
        let room = &self.room;
        Config {
            seed: self.seed,
            trigger: self.trigger,
            limits: Limits {
                descriptors: room.descriptors as usize,
                send_buffer: room.send_buffer as usize,
                receive_buffer: room.receive_buffer as usize,
                backlog: room.backlog as u32,
                latency: Duration::from_nanos(room.latency_ns),
                jitter: Duration::from_nanos(room.jitter_ns),
            },
            faults: self.faults.clone(),
        }
    }

    /// What the loop is made from.
    pub(super) fn options(&self) -> Options {
        let settings = &self.settings;
        Options {
            connections_max: usize::try_from(settings.connections_max).unwrap_or(usize::MAX),
            when_full: if settings.refuse_when_full == 0 {
                WhenFull::Wait
            } else {
                WhenFull::Refuse
            },
            high_watermark_bytes: settings.high as usize,
            low_watermark_bytes: settings.low as usize,
            hard_limit_bytes: settings.hard as usize,
            overflow: match settings.overflow {
                0 => Overflow::DropNewest,
                1 => Overflow::Close,
                2 => Overflow::DropOldest,
                _ => Overflow::CloseAfter(Duration::from_millis(settings.patience_ms)),
            },
            linger: Duration::from_millis(settings.linger_ms),
            drain: Duration::from_millis(settings.drain_ms),
            drain_lag: Duration::from_millis(settings.lag_ms),
            connect_timeout: Duration::from_millis(settings.connect_ms),
            deadlines: self.deadlines(),
            rates: self.rates(),
            limits: self.accepting(),
            accept_budget: settings.accept_budget as usize,
            read_budget_bytes: settings.read_budget as usize,
            frame_budget: settings.frame_budget as usize,
            read_buffer_bytes: settings.read_buffer as usize,
            until_idle: self.life == Life::Client,
            when_panicking: if settings.panics == 0 {
                WhenPanicking::Propagate
            } else {
                WhenPanicking::CloseConnection
            },
            ..Options::default()
        }
    }
}

fn settings(random: &mut Random) -> Settings {
    let high = *random.pick(&[1, 10, 1000, 64 * 1024]);
    Settings {
        connections_max: *random.pick(&[1, 3, u64::MAX, u64::MAX]),
        refuse_when_full: *random.pick(&[0, 0, 1]),
        high,
        low: *random.pick(&[0, high / 4, high]),
        accept_budget: *random.pick(&[1, 3, 128]),
        read_budget: *random.pick(&[1, 100, 256 * 1024]),
        frame_budget: *random.pick(&[1, 2, 1024]),
        read_buffer: *random.pick(&[1, 2, 16, 4096, 64 * 1024]),
        // No line of a good peer is longer.
        frame_max: *random.pick(&[400, 64 * 1024]),
        ..Settings::default()
    }
}

fn client_settings(random: &mut Random) -> Settings {
    Settings {
        read_buffer: *random.pick(&[1, 16, 4096]),
        frame_budget: *random.pick(&[1, 1024]),
        ..Settings::default()
    }
}

fn wild_settings(random: &mut Random) -> Settings {
    let settings = settings(random);
    Settings {
        hard: *random.pick(&[
            settings.high.max(100),
            settings.high + 1,
            500,
            2000,
            1024 * 1024,
        ]),
        overflow: *random.pick(&[0, 0, 1, 2, 2, 3]),
        patience_ms: *random.pick(&[0, 1, 100, 10_000]),
        frame_max: 64 * 1024,
        wildness: *random.pick(&[20, 100, 400]),
        answers: *random.pick(&[1, 2, 6]),
        keyed: *random.pick(&[0, 0, 300]),
        panics: *random.pick(&[0, 0, 20, 100]),
        connects: *random.pick(&[0, 3, 10]),
        ..settings
    }
}

fn client_plans(random: &mut Random, bytes_max: u64) -> Vec<Plan> {
    let (good, bad) = (1 + random.index(20), random.index(4));
    let seed = random.next_u64();
    (0..good + bad)
        .map(|index| {
            let several = random.chance(0.5);
            let place = u64::from(index >= good) + if several { 2 } else { 0 };
            let numbers = Numbers {
                seed,
                bytes: bytes_max,
                place,
                ..Numbers::default()
            };
            let manner = Manner::Close;
            Plan { manner, numbers }
        })
        .collect()
}

/// A peer with manners good and bad. `may_hang`: also such as hold their place for ever.
fn plan(random: &mut Random, bytes_max: u64, span: u64, may_hang: bool) -> Plan {
    let slowly = 1 + random.below(100);
    let bytes = 1 + random.below(bytes_max);
    let mut numbers = Numbers {
        at_ns: random.below(span),
        seed: random.next_u64(),
        bytes,
        cut: *random.pick(&[2, 10, 1000, 10_000]),
        pause_ns: *random.pick(&[0, 1000, 100_000, 30_000_000]),
        read: 0,
        read_pause_ns: random.below(3_000_000),
        part: random.below(bytes + 1),
        place: 0,
        host: 0,
    };
    let manner = match random.below(16) {
        // Four in sixteen, and those that may not hang, close at the end.
        4 => Manner::HalfClose,
        5 => {
            numbers.read = slowly;
            Manner::HalfClose
        }
        6 => {
            numbers.read = slowly;
            Manner::Close
        }
        7 | 8 => Manner::Unfinished,
        9 | 10 => Manner::Quit,
        11 => Manner::CloseAfter,
        12 => {
            numbers.read = if may_hang {
                *random.pick(&[0, NEVER])
            } else {
                0
            };
            Manner::ResetAfter
        }
        13 if may_hang => {
            numbers.read = *random.pick(&[slowly, NEVER]);
            Manner::VanishAfter
        }
        14 => Manner::Garbage,
        15 => Manner::Endless,
        _ => Manner::Close,
    };
    Plan { manner, numbers }
}
