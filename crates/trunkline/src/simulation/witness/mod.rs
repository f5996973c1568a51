//! A plain model of what is promised about time: deadlines, rates, limits on who is accepted, and the order of stopping.
//!
//! The handler tells the witness what it is told and what it asks; at the end of each turn the witness looks at the loop and at
//! what went over the sockets. All times are the world's nanoseconds; within a turn no time passes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::case::Case;
use crate::connection::{Connection, Facts, Phase};
use crate::network::Socket;
use crate::network::simulated::{Simulated, World};
use crate::{
    CauseKind, Closed, ConnectionId, Deadlines, EventLoop, Handler, Io, Limits, Options, Rates,
    Role,
};

mod causes;
mod deadlines;
mod limits;
mod rates;
mod stopping;

use rates::Flow;
use stopping::Stop;

/// A hold on the model of one loop; clones are holds on the same.
#[derive(Clone)]
pub(super) struct Witness(Rc<RefCell<Model>>);

struct Model {
    world: World,
    /// The number of the loop's network.
    network: usize,
    rules: Rules,
    known: BTreeMap<ConnectionId, Known>,
    /// Connections of ours that are not made yet, and since when.
    connecting: BTreeMap<ConnectionId, u64>,
    /// When time was lost, and how much had been by then.
    lost: Vec<(u64, u64)>,
    /// When the last turn ended, and the time that passed outside of turns.
    turn_ended: u64,
    outside: u64,
    stop: Stop,
    accepts: limits::Accepts,
    wrong: Vec<String>,
}

/// The settings of the loop, as they are documented.
struct Rules {
    deadlines: Deadlines,
    precision: u64,
    linger: u64,
    connect: u64,
    rates: Rates,
    limits: Limits,
    lag: u64,
    drain: u64,
    frame_max: u64,
    closes_slow_ones: bool,
}

/// What is known of an open connection.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
struct Known {
    socket: Socket,
    role: Role,
    /// Where in the world its peer is.
    peer: Option<SocketAddr>,
    opened: u64,
    /// Bytes that have become frames, and whether any have.
    consumed: u64,
    framed: bool,
    idle: Option<u64>,
    idle_set: u64,
    /// Its handshake ends only when the handler says so.
    long_handshake: bool,
    handshake_done: bool,
    resumed: u64,
    held: u32,
    /// It was held at some time in the drain.
    was_held: bool,
    told_draining: bool,
    /// What the handler asked, or did.
    aborted: bool,
    panicked: bool,
    /// No frame was under way.
    frame: Rest,
    /// No output waited, or what waits was held back by us.
    stall: Rest,
    /// A rate held bytes back.
    slowed: Rest,
    /// What comes is not read, or read to be thrown away.
    unread: Rest,
    /// Since when output has been waiting.
    output_began: Option<u64>,
    /// Since when it has been closing, and why.
    closing: Option<u64>,
    decided: Option<CauseKind>,
    input: Flow,
    output: Flow,
}

/// A state in which a deadline does not run.
struct Rest {
    /// When it was last so: turns see how it is at their ends, and what ends within a turn has lasted until then.
    last: u64,
    is_so: bool,
}

impl Rest {
    fn new(now: u64) -> Self {
        Self {
            last: now,
            is_so: true,
        }
    }

    fn note(&mut self, is_so: bool, now: u64) {
        if is_so || self.is_so {
            self.last = now;
        }
        self.is_so = is_so;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Rules {
    fn new(options: &Options, frame_max: u64) -> Self {
        let deadlines = options.deadlines.clone();
        let window = options.rates.least_bytes_per_second;
        let all = [
            deadlines.handshake,
            deadlines.frame,
            deadlines.idle,
            deadlines.write_stall,
            deadlines.lifetime,
            window.map(|_| options.rates.window),
        ];
        let shortest = all.into_iter().flatten().min();
        let precision = deadlines
            .precision
            .or(shortest.map(|shortest| shortest / 8))
            .unwrap_or(Duration::from_secs(1));
        let slow = crate::Overflow::CloseAfter(Duration::ZERO);
        let overflow = std::mem::discriminant(&options.overflow);
        Self {
            precision: nanoseconds(precision.max(Duration::from_millis(1))),
            deadlines,
            linger: nanoseconds(options.linger),
            connect: nanoseconds(options.connect_timeout),
            rates: options.rates.clone(),
            limits: options.limits,
            lag: nanoseconds(options.drain_lag),
            drain: nanoseconds(options.drain),
            frame_max,
            closes_slow_ones: overflow == std::mem::discriminant(&slow),
        }
    }
}

impl Witness {
    pub(super) fn new(case: &Case, world: &World) -> Self {
        Self::of_network(case, world, 0)
    }

    pub(super) fn of_network(case: &Case, world: &World, network: usize) -> Self {
        let options = case.options();
        let model = Model {
            world: world.clone(),
            network,
            rules: Rules::new(&options, case.settings.frame_max),
            known: BTreeMap::new(),
            connecting: BTreeMap::new(),
            lost: Vec::new(),
            turn_ended: 0,
            outside: 0,
            stop: Stop::default(),
            accepts: limits::Accepts::default(),
            wrong: Vec::new(),
        };
        Self(Rc::new(RefCell::new(model)))
    }

    /// What was found wrong since this was last asked.
    pub(super) fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().wrong)
    }

    /// A connection is told to the handler.
    pub(super) fn opened<H: Handler>(&self, io: &Io<'_, H>) {
        let mut model = self.0.borrow_mut();
        let (id, now) = (io.id(), model.now());
        let Some(connection) = io.core.connections.get(id.0) else {
            return model.wrong(format!("{id:?} opens and is not there"));
        };
        let idle = model.rules.deadlines.idle.map(nanoseconds);
        let known = Known {
            socket: connection.socket,
            role: connection.role,
            peer: model.world.peer_of(model.network, connection.socket),
            opened: now,
            consumed: 0,
            framed: false,
            idle,
            idle_set: now,
            long_handshake: false,
            handshake_done: false,
            resumed: now,
            held: 0,
            was_held: false,
            told_draining: false,
            aborted: false,
            panicked: false,
            frame: Rest::new(now),
            stall: Rest::new(now),
            slowed: Rest::new(now),
            unread: Rest::new(now),
            output_began: None,
            closing: None,
            decided: None,
            input: Flow::default(),
            output: Flow::default(),
        };
        model.connecting.remove(&id);
        model.known.insert(id, known);
    }

    /// A frame that takes so many bytes with its end was handed over.
    pub(super) fn frame(&self, id: ConnectionId, bytes: usize) {
        self.note(id, |known, _| {
            known.consumed += bytes as u64;
            known.framed = true;
        });
    }

    pub(super) fn idle_set(&self, id: ConnectionId, idle: Option<Duration>) {
        self.note(id, |known, now| {
            known.idle = idle.map(nanoseconds);
            known.idle_set = now;
        });
    }

    pub(super) fn handshake_prolonged(&self, id: ConnectionId) {
        self.note(id, |known, _| known.long_handshake = true);
    }

    pub(super) fn handshake_ended(&self, id: ConnectionId) {
        self.note(id, |known, _| known.handshake_done = true);
    }

    pub(super) fn resumed(&self, id: ConnectionId) {
        self.note(id, |known, now| known.resumed = now);
    }

    /// Its queue is low again: an accepted connection is read from again.
    pub(super) fn drained(&self, id: ConnectionId) {
        self.note(id, |known, now| {
            if known.role == Role::Accepted {
                known.resumed = now;
            }
        });
    }

    pub(super) fn held(&self, id: ConnectionId) {
        self.note(id, |known, _| {
            known.held += 1;
            known.was_held = true;
        });
    }

    pub(super) fn released(&self, id: ConnectionId) {
        self.note(id, |known, _| known.held = known.held.saturating_sub(1));
    }

    pub(super) fn is_held(&self, id: ConnectionId) -> bool {
        let model = self.0.borrow();
        model.known.get(&id).is_some_and(|known| known.held > 0)
    }

    /// Is it closing, for whatever reason?
    pub(super) fn is_closing(&self, id: ConnectionId) -> bool {
        let model = self.0.borrow();
        let known = model.known.get(&id);
        known.is_none_or(|known| known.closing.is_some())
    }

    /// Has the engine itself decided that this connection is to end? Whether it was right is judged at the end of the turn.
    pub(super) fn is_ended_by_engine<H: Handler>(io: &Io<'_, H>, id: ConnectionId) -> bool {
        let connection = io.core.connections.get(id.0);
        let aside = connection.and_then(|connection| connection.aside.as_ref());
        aside.is_some_and(|aside| aside.cause.is_some())
    }

    pub(super) fn aborted(&self, id: ConnectionId) {
        self.note(id, |known, _| known.aborted = true);
    }

    pub(super) fn panicked(&self, id: ConnectionId) {
        self.note(id, |known, _| known.panicked = true);
    }

    /// The handler is told that a connection has ended.
    pub(super) fn closed(&self, id: ConnectionId, closed: &Closed) {
        let mut model = self.0.borrow_mut();
        if let Some(known) = model.known.remove(&id) {
            model.judge_end(id, &known, closed.cause.kind());
        }
    }

    /// The handler, or whoever made the loop, asks for a connection.
    pub(super) fn connects(&self, id: ConnectionId) {
        let mut model = self.0.borrow_mut();
        let now = model.now();
        model.connecting.insert(id, now);
    }

    /// A connection of ours could not be made.
    pub(super) fn connect_failed(&self, id: ConnectionId, error: &crate::Error) {
        let mut model = self.0.borrow_mut();
        let since = model.connecting.remove(&id);
        model.judge_failure(id, since, error);
    }

    /// The first thing in a turn.
    pub(super) fn turn_begins(&self) {
        let mut model = self.0.borrow_mut();
        let outside = model.now() - model.turn_ended;
        model.outside += outside;
    }

    /// The last thing in a turn.
    pub(super) fn turn_ends<H: Handler>(&self, server: &EventLoop<H, Simulated>) {
        let mut model = self.0.borrow_mut();
        let now = model.now();
        model.turn_ended = now;
        let lost = model.world.lost_time() + model.outside;
        if model.lost.last().is_none_or(|&(_, before)| before < lost) {
            model.lost.push((now, lost));
        }
        model.check_accepting(server);
        model.check_connecting(server);
        let mut known = std::mem::take(&mut model.known);
        for (id, known) in &mut known {
            if let Some(connection) = server.core().connections.get(id.0) {
                model.check_rates(*id, known, connection);
                model.check_closing(*id, known, connection);
                model.note_waiting(known, connection);
                model.check_deadlines(*id, known, connection);
            }
        }
        model.known = known;
        model.check_stopping(server);
    }

    fn note(&self, id: ConnectionId, note: impl FnOnce(&mut Known, u64)) {
        let mut model = self.0.borrow_mut();
        let now = model.now();
        if let Some(known) = model.known.get_mut(&id) {
            note(known, now);
        }
    }
}

impl Model {
    fn now(&self) -> u64 {
        self.world.elapsed().as_nanos() as u64
    }

    fn wrong(&mut self, text: impl Into<String>) {
        // The first ones say what it was.
        if self.wrong.len() < 10 {
            self.wrong.push(text.into());
        }
    }

    /// How much of the time since then nobody could use.
    fn lost_since(&self, since: u64) -> u64 {
        let before = self.lost.partition_point(|&(time, _)| time <= since);
        let before = before.checked_sub(1).map_or(0, |index| self.lost[index].1);
        self.world.lost_time() + self.outside - before
    }

    /// Has something that began then, and was due after so long, not been noticed in time?
    fn is_late(&self, since: u64, length: u64) -> bool {
        let due = since.saturating_add(length);
        let latest = due.saturating_add(self.rules.precision + self.lost_since(since));
        self.now() > latest
    }

    /// Notes, at the end of a turn, what is under way.
    fn note_waiting(&self, known: &mut Known, connection: &Connection) {
        let now = self.now();
        known.frame.note(!connection.frame_waits(), now);
        if connection.outbound.is_empty() {
            known.output_began = None;
        } else {
            known.output_began.get_or_insert(now);
        }
        known.stall.note(!connection.output_waits(), now);
        let slowed = Facts::SLOWED_IN.with(Facts::SLOWED_OUT);
        known.slowed.note(connection.facts.any(slowed), now);
        known.unread.note(!connection.facts.takes_frames(), now);
        let receives = connection.frame_waits() && connection.facts.phase() == Phase::Open;
        known.input.note(receives, now);
        known.output.note(connection.output_waits(), now);
    }
}
