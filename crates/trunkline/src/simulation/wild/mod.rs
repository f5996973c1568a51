//! The life of a handler that does, at random, whatever a handler may do: to its own connection, to others, and to such
//! as are long gone. Beside it runs a model of what each connection was sent and what it must have got.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::case::{Case, Manner, Plan};
use super::run::{Outcome, Run, Watching};
use super::witness::Witness;
use crate::network::simulated::{EchoServer, Garbage, Random, World};
use crate::{
    Cause, Closed, ConnectionId, Error, Flow, Handler, Io, LineEnding, Lines, Overflow, Panic,
    Remote, Role, TimerId,
};

mod acts;
mod ledger;
mod peer;
mod sends;

use ledger::{Entry, Ledger, Stream};
use peer::Talker;

/// What a timer is for: the last two bits of its token. The others number it.
const NOTHING: u64 = 1;
const RESUME: u64 = 2;
const CLOSE: u64 = 3;
const RELEASE: u64 = 0;

/// What is posted to the loop.
#[derive(Debug)]
pub(super) enum Note {
    /// Numbered, so that their order can be seen.
    Number(u64),
    /// Nothing unasked is done from here on, and nobody stays paused.
    Calm,
}

/// What the handler knows of an open connection.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
struct Live {
    role: Role,
    peer: SocketAddr,
    /// Bytes of the peer's stream that have become frames.
    consumed: usize,
    /// What was queued on a connection of ours: its echo comes back.
    echo: Stream,
    paused: bool,
    /// Its stream has an end: nothing more may be queued.
    finished: bool,
    /// It is being closed: no more frames come.
    closing: bool,
    ended: bool,
    /// `send` has said so, and `drained` has not come yet.
    above_high: bool,
    /// When its queue rose above the high watermark, if it has not been drained since.
    risen: Option<Instant>,
    overflow: Overflow,
    timers: Vec<Timer>,
}

/// A connection of ours that is on its way.
#[derive(Default)]
struct Coming {
    echo: Stream,
    risen: Option<Instant>,
}

/// A timer that waits.
struct Timer {
    id: TimerId,
    due: Instant,
    token: u64,
}

struct Wild {
    random: Random,
    ledger: Ledger,
    remote: Option<Remote<Note>>,
    high: usize,
    low: usize,
    hard: usize,
    overflow: Overflow,
    patience: Duration,
    wildness: f64,
    panic_rate: f64,
    key_rate: f64,
    /// Answers to a frame are fewer than this.
    answers: u64,
    /// Panics so far, and how many of them were told.
    panics: u64,
    panics_told: u64,
    connects_left: u64,
    live: BTreeMap<ConnectionId, Live>,
    /// Connections of ours that are on their way, with what is queued on them.
    connecting: BTreeMap<ConnectionId, Coming>,
    seen: BTreeSet<ConnectionId>,
    /// Some that are gone.
    gone: Vec<ConnectionId>,
    gone_timers: Vec<TimerId>,
    serial: u64,
    /// Messages dropped, dropped as the oldest, replaced.
    lost: [u64; 3],
    posted: u64,
    arrived: u64,
    calm: bool,
    stopping: bool,
    /// Gives connections deadlines of their own, and holds them.
    own: bool,
    witness: Witness,
    wrong: Vec<String>,
}

impl Wild {
    fn new(case: &Case, ledger: Ledger, witness: &Witness) -> Self {
        let settings = &case.settings;
        Self {
            random: Random::new(case.seed ^ 0x311d),
            ledger,
            remote: None,
            high: settings.high as usize,
            low: settings.low as usize,
            hard: settings.hard as usize,
            overflow: case.options().overflow,
            patience: Duration::from_millis(settings.patience_ms),
            wildness: f64::from(settings.wildness as u32) / 1000.0,
            panic_rate: f64::from(settings.panics as u32) / 1000.0,
            answers: settings.answers,
            key_rate: f64::from(settings.keyed as u32) / 1000.0,
            panics: 0,
            panics_told: 0,
            connects_left: settings.connects,
            live: BTreeMap::new(),
            connecting: BTreeMap::new(),
            seen: BTreeSet::new(),
            gone: Vec::new(),
            gone_timers: Vec::new(),
            serial: 0,
            lost: [0; 3],
            posted: 0,
            arrived: 0,
            calm: false,
            stopping: false,
            own: settings.own > 0,
            witness: witness.clone(),
            wrong: Vec::new(),
        }
    }

    fn wrong(&mut self, text: impl Into<String>) {
        self.wrong.push(text.into());
    }

    /// Is the callback about an open connection?
    fn check(&mut self, id: ConnectionId, io: &Io<'_, Self>, callback: &str) -> bool {
        if io.id() != id {
            self.wrong(format!(
                "{callback} of {id:?} is told it is about {:?}",
                io.id()
            ));
        }
        let known = self.live.contains_key(&id);
        if !known {
            self.wrong(format!("{callback} for {id:?}, which is not open"));
        }
        known
    }

    fn entry<T>(&self, peer: SocketAddr, note: impl FnOnce(&mut Entry) -> T) -> T {
        note(self.ledger.borrow_mut().entry(peer).or_default())
    }

    /// Compares a frame with what its peer has sent.
    fn check_frame(&mut self, id: ConnectionId, frame: &[u8]) {
        let Some(known) = self.live.get_mut(&id) else {
            return;
        };
        let expected = |stream: &[u8]| {
            let rest = &stream[known.consumed..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            let line = rest[..end.unwrap_or(rest.len())].to_vec();
            (line, end.map_or(rest.len(), |end| end + 1))
        };
        let (line, length) = match known.role {
            Role::Accepted => {
                let mut ledger = self.ledger.borrow_mut();
                expected(&ledger.entry(known.peer).or_default().sent)
            }
            Role::Connected => expected(&known.echo.bytes),
        };
        known.consumed += length;
        let (paused, closing) = (known.paused, known.closing);
        if line != frame {
            let (frame, line) = (
                String::from_utf8_lossy(frame),
                String::from_utf8_lossy(&line),
            );
            self.wrong(format!("{id:?} got the frame {frame:?}, {line:?} was sent"));
        }
        if paused || closing {
            self.wrong(format!(
                "a frame for {id:?}: paused {paused}, closing {closing}"
            ));
        }
    }
}

impl Handler for Wild {
    type Codec = Lines;
    type State = ConnectionId;
    type Message = Note;

    fn codec(&self) -> Lines {
        Lines::new().accept(LineEnding::Lf).write(LineEnding::Lf)
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<ConnectionId> {
        let id = io.id();
        if !self.seen.insert(id) {
            self.wrong(format!("{id:?} names a second connection"));
        }
        let (Some(peer), Some(role)) = (io.peer().and_then(|peer| peer.socket_addr()), io.role())
        else {
            self.wrong("an open connection has no peer or no role");
            return None;
        };
        let coming = self.connecting.remove(&id);
        if coming.is_some() != (role == Role::Connected) {
            self.wrong(format!(
                "{id:?} is {role:?}, and was asked for: {}",
                coming.is_some()
            ));
        }
        self.panic(id);
        let Coming { echo, risen } = coming.unwrap_or_default();
        if !self.calm && self.random.chance(self.wildness / 4.0) {
            return None;
        }
        let live = Live {
            role,
            peer,
            consumed: 0,
            echo,
            paused: false,
            finished: false,
            closing: false,
            ended: false,
            above_high: risen.is_some(),
            risen,
            overflow: self.overflow,
            timers: Vec::new(),
        };
        self.live.insert(id, live);
        self.witness.opened(io);
        if self.own && self.random.chance(0.3) {
            io.begin_handshake();
            self.witness.handshake_prolonged(id);
        }
        self.act_without_panic(io);
        Some(id)
    }

    fn frame(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        let id = *state;
        self.witness.frame(id, frame.len() + 1);
        if self.check(id, io, "frame") {
            self.check_frame(id, frame);
        }
        // Answers, so that most connections have something to say, and some more than their peers take.
        let accepted = self
            .live
            .get(&id)
            .is_some_and(|live| live.role == Role::Accepted);
        // What we send on a connection of ours comes back: more than one answer to each, and it would never end.
        let answers = if accepted { self.answers } else { 2 };
        for _ in 0..self.random.below(answers) {
            self.send(io, id);
        }
        self.act(io);
        self.flow(io)
    }

    fn drained(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>) {
        self.witness.drained(*state);
        if self.check(*state, io, "drained") {
            let queued = io.queued();
            let live = self.live.get_mut(state).expect("just checked");
            let was_above = std::mem::replace(&mut live.above_high, false);
            live.risen = None;
            if !was_above || queued > self.low {
                self.wrong(format!(
                    "drained with {queued} bytes, above high before: {was_above}"
                ));
            }
        }
        self.act(io);
    }

    fn end_of_stream(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>) {
        let id = *state;
        if self.check(id, io, "end_of_stream") {
            let live = self.live.get_mut(&id).expect("just checked");
            let twice = std::mem::replace(&mut live.ended, true);
            let (paused, consumed) = (live.paused, live.consumed);
            let (peer, role) = (live.peer, live.role);
            let sent = self.entry(peer, |entry| entry.sent.len());
            if twice || paused || (role == Role::Accepted && consumed != sent) {
                self.wrong(format!(
                    "the end of {id:?}: twice {twice}, paused {paused}, {consumed} of {sent} bytes before"
                ));
            }
        }
        self.act(io);
        match self.random.below(4) {
            0 => {
                self.finish(io, id);
                self.set_timer(io, CLOSE);
            }
            1 => self.set_timer(io, CLOSE),
            _ => self.close(io, id),
        }
    }

    fn timer(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>, token: u64) {
        let id = *state;
        if !self.check(id, io, "timer") {
            return;
        }
        let now = io.now();
        let live = self.live.get_mut(&id).expect("just checked");
        match live.timers.iter().position(|timer| timer.token == token) {
            Some(index) if live.timers[index].due <= now => {
                let timer = live.timers.swap_remove(index);
                self.gone_timers.push(timer.id);
            }
            Some(_) => self.wrong(format!("a timer of {id:?} is early")),
            None => self.wrong(format!("a timer of {id:?} comes twice, or was cancelled")),
        }
        match token & 3 {
            RELEASE => self.release(io, id),
            RESUME => self.resume(io, id),
            CLOSE => self.close(io, id),
            _ => self.act(io),
        }
    }

    fn message(&mut self, io: &mut Io<'_, Self>, message: Note) {
        match message {
            Note::Number(number) => {
                if number != self.arrived {
                    self.wrong(format!("note {number} came, {} was due", self.arrived));
                }
                self.arrived = number + 1;
                self.act(io);
            }
            Note::Calm => {
                self.calm = true;
                for id in self.live.keys().copied().collect::<Vec<_>>() {
                    self.resume(io, id);
                }
            }
        }
    }

    fn connect_failed(&mut self, io: &mut Io<'_, Self>, id: ConnectionId, error: Error) {
        self.witness.connect_failed(id, &error);
        if self.connecting.remove(&id).is_none() {
            self.wrong(format!("{id:?} failed to connect, and was not on its way"));
        }
        self.gone.push(id);
        self.act(io);
    }

    fn panicked(&mut self, io: &mut Io<'_, Self>, panic: &Panic) {
        self.panics_told += 1;
        if panic.to_string() != format!("panic in {}: planned", panic.callback) {
            self.wrong(format!("{panic:?}"));
        }
        self.act_without_panic(io);
    }

    fn stopping(&mut self, io: &mut Io<'_, Self>) {
        if std::mem::replace(&mut self.stopping, true) {
            self.wrong("stopping twice");
        }
        self.witness.stopping();
        self.act(io);
    }

    fn draining(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>) {
        self.check(*state, io, "draining");
        self.witness.draining(*state);
        if self.own && self.random.chance(0.5) {
            self.hold(io, *state);
        }
        self.act(io);
    }

    fn closed(&mut self, state: ConnectionId, io: &mut Io<'_, Self>, closed: Closed) {
        self.witness.closed(state, &closed);
        self.check(state, io, "closed");
        if matches!(closed.cause, Cause::Finished) && closed.unsent > 0 {
            self.wrong(format!("in order, and unsent: {closed:?}"));
        }
        if let Some(live) = self.live.remove(&state) {
            let due = live.risen.map(|risen| risen + self.patience);
            if matches!(closed.cause, Cause::TooSlow) && due.is_none_or(|due| io.now() < due) {
                self.wrong(format!("{state:?} is called too slow too early"));
            }
            self.gone_timers
                .extend(live.timers.iter().map(|timer| timer.id));
        }
        self.gone.push(state);
        self.act(io);
    }
}

impl Watching for Wild {
    fn wrong(&self) -> &[String] {
        &self.wrong
    }

    fn is_overdue(&self, now: Instant) -> bool {
        let mut timers = self.live.values().flat_map(|live| &live.timers);
        timers.any(|timer| timer.due <= now)
    }

    fn live(&self) -> usize {
        self.live.len() + self.connecting.len()
    }
}

/// What goes wrong in this life.
pub(super) fn run(case: &Case) -> Outcome {
    let world = World::new(case.config());
    let ledger = Ledger::default();
    world
        .listen(acts::ECHO, |_| EchoServer::new())
        .expect("the address is free");
    let witness = Witness::new(case, &world);
    let handler = Wild::new(case, Rc::clone(&ledger), &witness);
    let mut run = Run::new(case, world, &witness, handler);
    let remote = run.server.remote();
    run.server.handler_mut().remote = Some(remote.clone());
    match run.server.listen(SocketAddr::from(([127, 0, 0, 1], 7))) {
        Ok(address) => {
            for plan in &case.plans {
                seat(&run.world, address, plan, &ledger);
            }
        }
        Err(error) => run.wrong.push(format!("listen: {error}")),
    }
    run.live(
        case,
        |_| drop(remote.post(Note::Calm)),
        |run| {
            let wrong = at_rest(run, &ledger);
            run.wrong.extend(wrong);
        },
    )
}

fn seat(world: &World, address: SocketAddr, plan: &Plan, ledger: &Ledger) {
    let at = Duration::from_nanos(plan.numbers.at_ns);
    let host = plan.host().unwrap_or(address.ip());
    match plan.manner {
        // Its bytes may be anything, which the model does not know.
        Manner::Garbage | Manner::Endless => {
            let pause = Duration::from_nanos(plan.numbers.pause_ns);
            let peer = Garbage::new(0, pause);
            world.connect_from(host, address, at, peer);
        }
        _ => drop(world.connect_from(host, address, at, Talker::new(plan, ledger))),
    }
}

/// What is missing although all is calm and quiet.
fn at_rest(run: &Run<Wild>, ledger: &Ledger) -> Option<String> {
    let handler = run.server.handler();
    if !handler.calm {
        // It ends in the middle of it all.
        return None;
    }
    let stats = run.server.stats();
    let panics = [stats.panics, handler.panics, handler.panics_told];
    if panics != [handler.panics; 3] {
        return Some(format!("panics counted, made and told: {panics:?}"));
    }
    let lost = [stats.dropped, stats.dropped_oldest, stats.replaced];
    if lost != handler.lost {
        return Some(format!(
            "{lost:?} messages dropped or replaced, {:?} by the model",
            handler.lost
        ));
    }
    if handler.arrived != handler.posted {
        return Some(format!(
            "{} notes posted, {} came",
            handler.posted, handler.arrived
        ));
    }
    let ledger = ledger.borrow();
    for (id, live) in &handler.live {
        let Some(entry) = ledger
            .get(&live.peer)
            .filter(|entry| !entry.left && entry.reads)
        else {
            continue;
        };
        let (got, queued) = (entry.got, entry.queued.bytes.len());
        if got < queued {
            return Some(format!(
                "the peer of {id:?} has got {got} of {queued} bytes"
            ));
        }
        let whole = entry
            .sent
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        if live.consumed < whole && !live.closing && !handler.witness.is_closing(*id) {
            return Some(format!("{id:?} has {} of {whole} bytes", live.consumed));
        }
    }
    None
}
