//! What is shown of the findings, in the table and on the page alike: names, units, and what there is to see.

#![allow(
    clippy::cast_precision_loss,
    reason = "numbers of sources, threads and processes stay far below 2^52"
)]

use super::findings::{Curves, Mechanisms, Models};
use super::plan::FEW_SOURCES;
use super::samples::{Samples, Spread};
use super::served::Served;
use crate::quantity::{Unit, grouped};

/// One set of curves of the mechanisms.
pub(super) struct Dispatch<'a> {
    pub(super) title: String,
    pub(super) over: &'static str,
    pub(super) what: &'static str,
    pub(super) see: &'static str,
    pub(super) curves: &'a Curves,
    /// Whether a turn's cost is shown and not one event's.
    per_turn: bool,
}

/// All of them.
pub(super) fn dispatches(mechanisms: &Mechanisms) -> Vec<Dispatch<'_>> {
    let one = &mechanisms.one_active;
    let all = one.over.last().copied().unwrap_or(0) as u64;
    vec![
        Dispatch {
            title: "One of n sources is active".to_owned(),
            over: "sources",
            what: "time per event",
            see: "select and poll look at every source to find the one; epoll and io_uring are told.",
            curves: one,
            per_turn: false,
        },
        Dispatch {
            title: "All of n sources are active".to_owned(),
            over: "sources",
            what: "time per event",
            see: "Who looks at every source finds something in each: the four hardly differ.",
            curves: &mechanisms.all_active,
            per_turn: false,
        },
        Dispatch {
            title: format!("Some of {} sources are active", grouped(all)),
            over: "active sources",
            what: "time per turn",
            see: "A turn makes the active ones ready, finds them and reads them. epoll pays for those; select and poll pay for \
                  all, until nearly all are active.",
            curves: &mechanisms.some_active,
            per_turn: true,
        },
        Dispatch {
            title: format!("{FEW_SOURCES} sources, high descriptors"),
            over: "highest descriptor",
            what: "time per event",
            see: "One of ten sources is active. To select it matters how high their numbers are, to the others it does not.",
            curves: &mechanisms.high_descriptors,
            per_turn: false,
        },
    ]
}

impl Dispatch<'_> {
    /// What this mechanism cost at this place, in nanoseconds.
    pub(super) fn spread(&self, mechanism: &str, place: usize) -> Option<Spread> {
        let spread = self.curves.samples(mechanism, place)?.spread()?;
        let events = self.curves.over[place] as f64;
        Some(if self.per_turn {
            spread.times(events)
        } else {
            spread
        })
    }
}

/// One quantity of the models.
pub(super) struct Quantity {
    pub(super) title: &'static str,
    pub(super) what: &'static str,
    pub(super) see: &'static str,
    pub(super) unit: Unit,
    /// Whether it is drawn, not only told.
    pub(super) drawn: bool,
    pub(super) log: bool,
    of: fn(&Served) -> f64,
}

pub(super) const QUANTITIES: [Quantity; 10] = [
    Quantity {
        title: "Processor time of the server per message, one client talks",
        what: "time per message",
        see: "The others are connected and silent. Who looks at each of them pays for each of them.",
        unit: Unit::Nanoseconds,
        drawn: true,
        log: true,
        of: |served| served.one_active.cpu_ns_per_message,
    },
    Quantity {
        title: "Processor time of the server per message, all clients talk",
        what: "time per message",
        see: "Each has one message under way. The more of them are ready at once, the less is the waiting's share.",
        unit: Unit::Nanoseconds,
        drawn: true,
        log: true,
        of: |served| served.all_active.cpu_ns_per_message,
    },
    Quantity {
        title: "Messages per second, all clients talk",
        what: "messages per second",
        see: "The server has one processor, and the client one. Where the client's is used up (said at the end), the server could do more.",
        unit: Unit::PerSecond,
        drawn: true,
        log: true,
        of: |served| served.all_active.messages_per_second,
    },
    Quantity {
        title: "Time until the answer (p99), one client talks",
        what: "p99",
        see: "Of a hundred answers 99 came sooner. With timeouts in turn the one who talks waits for the silence of all others.",
        unit: Unit::Nanoseconds,
        drawn: true,
        log: true,
        of: |served| served.one_active.latency_p99_ns,
    },
    Quantity {
        title: "Time until the answer (p99), all clients talk",
        what: "p99",
        see: "Everybody waits for everybody else's messages, whoever answers them: all differ by little more than their cost.",
        unit: Unit::Nanoseconds,
        drawn: true,
        log: true,
        of: |served| served.all_active.latency_p99_ns,
    },
    Quantity {
        title: "Memory per connection",
        what: "memory per connection",
        see: "What the server's memory grew by, in user space and in page tables; the kernel's sockets, stacks and books of \
              processes come on top. With few connections it is the size of a page that is seen.",
        unit: Unit::Bytes,
        drawn: true,
        log: true,
        of: |served| served.memory_bytes_per_connection,
    },
    Quantity {
        title: "Processor time of the server per new connection",
        what: "time per connection",
        see: "To accept a client, to start whatever is to serve it, and to answer its first message.",
        unit: Unit::Nanoseconds,
        drawn: true,
        log: true,
        of: |served| served.connect_cpu_ns,
    },
    Quantity {
        title: "Use of a processor while nobody talks",
        what: "of one processor",
        see: "All clients are connected and silent. Only the polling loop cannot rest.",
        unit: Unit::Percent,
        drawn: true,
        log: false,
        of: |served| served.silent_cpu_percent,
    },
    Quantity {
        title: "Threads of the server",
        what: "threads",
        see: "",
        unit: Unit::Count,
        drawn: false,
        log: true,
        of: |served| served.threads as f64,
    },
    Quantity {
        title: "Processes of the server",
        what: "processes",
        see: "",
        unit: Unit::Count,
        drawn: false,
        log: true,
        of: |served| served.processes as f64,
    },
];

impl Quantity {
    /// Of this model, with the place's number of connections.
    pub(super) fn samples(&self, models: &Models, model: usize, place: usize) -> Samples {
        models.servers[model].at[place].samples(self.of)
    }
}
