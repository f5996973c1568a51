//! What may go wrong, how often, and how little room there is.

use std::time::Duration;

use super::Random;
use crate::network::Trigger;

/// The probability of each fault, at each call or wait where it can happen. All zero by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// `read` hands over fewer bytes than are there.
    pub short_read: f64,
    /// `write` takes fewer bytes than there is room for.
    pub short_write: f64,
    /// `read`, `write` or `accept` says "would block" although the socket is ready.
    pub would_block: f64,
    /// A wait reports a socket that is not ready.
    pub spurious: f64,
    /// A wait returns early with no event at all, as one that a signal has cut short.
    pub empty_wait: f64,
    /// The connection is reset just before a `read` or `write`.
    pub reset: f64,
    /// The connection is broken just before a `write`, which says `EPIPE`.
    pub broken_pipe: f64,
    /// The connection at the head of the backlog is gone when it is accepted: `ECONNABORTED`.
    pub accept_aborted: f64,
    /// `accept` finds no descriptor or no memory: `EMFILE`, `ENFILE`, `ENOBUFS`. The connection stays queued.
    pub accept_exhausted: f64,
    /// `connect` fails at once: `EADDRNOTAVAIL`.
    pub connect_failed: f64,
    /// The events of a wait come in random order.
    pub reordered: f64,
    /// A wait delivers one of its events only; the others come later.
    pub one_event: f64,
    /// A stream under [`Trigger::Edge`] reports again without a change.
    pub extra_edge: f64,
    /// What is on its way arrives between two calls, not during a wait.
    pub early_arrival: f64,
    /// A transmission takes up to [`Limits::jitter`] longer.
    pub jitter: f64,
    /// A wait that ends at its deadline ends up to 50 ms after it.
    pub oversleep: f64,
    /// A wait reports one of its events twice.
    pub doubled: f64,
    /// At a wait the clock leaps up to 100 s ahead, as after a suspend; the other ends have lived on meanwhile.
    pub leap: f64,
}

/// Gives all faults by name.
#[cfg(test)]
macro_rules! rates {
    ($faults:expr; $($name:ident)*) => { [$((stringify!($name), &mut $faults.$name)),*] };
}

impl Faults {
    /// No faults at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Switches a random half of the faults on, each at a random rate: rare ones seldom, harmless ones often.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xfa17_5eed);
        let mut rate = |highest: f64| {
            if random.chance(0.5) {
                highest * f64::from(random.below(1000) as u32 + 1) / 1000.0
            } else {
                0.0
            }
        };
        Self {
            short_read: rate(0.9),
            short_write: rate(0.9),
            would_block: rate(0.5),
            spurious: rate(0.5),
            empty_wait: rate(0.2),
            reset: rate(0.01),
            broken_pipe: rate(0.01),
            accept_aborted: rate(0.2),
            accept_exhausted: rate(0.3),
            connect_failed: rate(0.2),
            reordered: rate(1.0),
            one_event: rate(0.9),
            extra_edge: rate(0.5),
            early_arrival: rate(0.3),
            jitter: rate(0.9),
            oversleep: rate(0.3),
            doubled: rate(0.5),
            leap: rate(0.002),
        }
    }

    /// Every fault by its name.
    #[cfg(test)]
    pub(crate) fn rates(&mut self) -> [(&'static str, &mut f64); 18] {
        rates!(self; short_read short_write would_block spurious empty_wait reset broken_pipe accept_aborted
            accept_exhausted connect_failed reordered one_event extra_edge early_arrival jitter oversleep doubled leap)
    }

    /// Whether a connection may be cut although both of its ends behave.
    pub fn can_break_connections(&self) -> bool {
        self.reset > 0.0
            || self.broken_pipe > 0.0
            || self.accept_aborted > 0.0
            || self.connect_failed > 0.0
    }
}

/// How much room there is, and how long the way is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Descriptors a network may hold at a time, its listeners and its reserve included.
    pub descriptors: usize,
    /// Bytes a socket takes before they have arrived at the other end.
    pub send_buffer: usize,
    /// Bytes a socket holds that have arrived and were not read.
    pub receive_buffer: usize,
    /// The longest backlog, whatever `listen` asks for.
    pub backlog: u32,
    /// How long bytes are on their way. Zero makes each call take effect at once.
    pub latency: Duration,
    /// How much longer they may be ([`Faults::jitter`]).
    pub jitter: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            descriptors: 1024,
            send_buffer: 64 * 1024,
            receive_buffer: 64 * 1024,
            backlog: 128,
            latency: Duration::from_micros(50),
            jitter: Duration::from_millis(5),
        }
    }
}

impl Limits {
    /// Random limits, often as low as they can be: most bugs live where room runs out.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0011_1175);
        let buffers = [1, 2, 7, 64, 1000, 4096, 64 * 1024];
        Self {
            descriptors: *random.pick(&[3, 4, 8, 32, 1024]),
            send_buffer: *random.pick(&buffers),
            receive_buffer: *random.pick(&buffers),
            backlog: *random.pick(&[1, 2, 16, 128]),
            latency: Duration::from_nanos(*random.pick(&[0, 1, 1_000, 50_000, 20_000_000])),
            jitter: Duration::from_nanos(*random.pick(&[1_000, 1_000_000, 100_000_000])),
        }
    }
}

/// All that a simulated world is made from. The same configuration gives the same run.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where all chance comes from.
    pub seed: u64,
    /// How streams report readiness.
    pub trigger: Trigger,
    /// How much room there is.
    pub limits: Limits,
    /// What goes wrong.
    pub faults: Faults,
}

impl Config {
    /// A quiet world: nothing goes wrong, ample room, level-triggered.
    pub fn calm(seed: u64) -> Self {
        Self {
            seed,
            trigger: Trigger::Level,
            limits: Limits::default(),
            faults: Faults::none(),
        }
    }

    /// A hostile world: trigger, limits and faults all follow from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        let trigger = if Random::new(seed ^ 0x7216).chance(0.5) {
            Trigger::Level
        } else {
            Trigger::Edge
        };
        Self {
            seed,
            trigger,
            limits: Limits::from_seed(seed),
            faults: Faults::from_seed(seed),
        }
    }
}
