//! The life of an echo server in a hostile world: dozens of peers, faults, and hardly any room.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::case::{Case, Manner, NEVER, Plan};
use super::run::{Outcome, Run, Watching};
use super::witness::Witness;
use crate::connection::Phase;
use crate::network::simulated::{
    EchoClient, Ending, Faults, Garbage, Random, Reading, World, lines,
};
use crate::{
    Address, Cause, Closed, ConnectionId, Flow, Handler, Io, LineEnding, Lines, Sent, UnixAddress,
};

/// Frames that had arrived when the drain began: they must be answered.
type Promised = Rc<RefCell<BTreeMap<ConnectionId, u64>>>;

/// Echoes lines; after `QUIT` it says `BYE` and closes. Checks what the engine promises to a handler.
struct Echo {
    random: Random,
    high: usize,
    frame_max: usize,
    live: BTreeMap<ConnectionId, Live>,
    seen: BTreeSet<ConnectionId>,
    promised: Promised,
    /// Gives connections deadlines of their own.
    own: bool,
    witness: Witness,
    wrong: Vec<String>,
}

#[derive(Default)]
struct Live {
    due: Option<Instant>,
    frames: u64,
    ended: bool,
    closing: bool,
}

impl Echo {
    fn live(&mut self, id: ConnectionId, callback: &str) -> &mut Live {
        if !self.live.contains_key(&id) {
            self.wrong
                .push(format!("{callback} for {id:?}, which is not open"));
        }
        self.live.entry(id).or_default()
    }

    /// Deadlines of its own for a connection that opens.
    fn set_deadlines(&mut self, io: &mut Io<'_, Self>) {
        if !self.own {
            return;
        }
        if self.random.chance(0.3) {
            let choices = [None, Some(50), Some(500), Some(20_000)];
            let idle = self.random.pick(&choices).map(Duration::from_millis);
            io.set_idle_timeout(idle);
            self.witness.idle_set(io.id(), idle);
        }
        if self.random.chance(0.3) {
            io.begin_handshake();
            self.witness.handshake_prolonged(io.id());
        }
    }

    fn set_timer(&mut self, io: &mut Io<'_, Self>) {
        let delay = Duration::from_nanos(self.random.below(50_000_000).max(1));
        if io.after(delay, 7).is_some() {
            let due = io.now() + delay;
            self.live(io.id(), "after").due = Some(due);
        }
    }
}

impl Handler for Echo {
    type Codec = Lines;
    type State = ConnectionId;
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new()
            .limit(self.frame_max)
            .accept(LineEnding::Lf)
            .write(LineEnding::Lf)
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<ConnectionId> {
        let id = io.id();
        if !self.seen.insert(id) {
            self.wrong.push(format!("{id:?} names a second connection"));
        }
        self.live.insert(id, Live::default());
        self.witness.opened(io);
        self.set_deadlines(io);
        self.set_timer(io);
        Some(id)
    }

    fn frame(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        self.witness.frame(*state, frame.len() + 1);
        if self.own && self.random.chance(0.2) {
            io.end_handshake();
            self.witness.handshake_ended(*state);
        }
        let live = self.live(*state, "frame");
        live.frames += 1;
        let late = live.closing;
        let (reply, flow) = match frame {
            b"QUIT" => (b"BYE".as_slice(), Flow::Close),
            _ => (frame, Flow::Continue),
        };
        live.closing |= flow == Flow::Close;
        if late {
            self.wrong.push("a frame after the close".into());
        }
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
        let live = self.live(*state, "end_of_stream");
        if std::mem::replace(&mut live.ended, true) {
            self.wrong.push("a second end of the stream".into());
        }
        io.close();
    }

    fn timer(&mut self, state: &mut ConnectionId, io: &mut Io<'_, Self>, token: u64) {
        match self.live(*state, "timer").due.take() {
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

    fn drained(&mut self, state: &mut ConnectionId, _io: &mut Io<'_, Self>) {
        self.witness.drained(*state);
    }

    fn stopping(&mut self, _io: &mut Io<'_, Self>) {
        self.witness.stopping();
    }

    fn draining(&mut self, state: &mut ConnectionId, _io: &mut Io<'_, Self>) {
        self.live(*state, "draining");
        self.witness.draining(*state);
    }

    fn closed(&mut self, state: ConnectionId, io: &mut Io<'_, Self>, closed: Closed) {
        self.live(state, "closed");
        self.witness.closed(state, &closed);
        if io.send(b"late") != Sent::Gone {
            self.wrong.push("a closed connection takes messages".into());
        }
        let frames = self.live.remove(&state).map_or(0, |live| live.frames);
        let promised = self.promised.borrow().get(&state).copied();
        if !matches!(closed.cause, Cause::Finished) {
            return;
        }
        if closed.unsent > 0 {
            self.wrong.push(format!("in order, and unsent: {closed:?}"));
        }
        if promised.is_some_and(|promised| frames < promised) {
            self.wrong.push(format!(
                "{frames} frames answered, {promised:?} had arrived when the drain began"
            ));
        }
    }
}

impl Watching for Echo {
    fn wrong(&self) -> &[String] {
        &self.wrong
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.live
            .values()
            .filter_map(|live| live.due)
            .any(|due| due <= now)
    }

    fn live(&self) -> usize {
        self.live.len()
    }
}

/// What goes wrong in this life.
pub(super) fn run(case: &Case) -> Outcome {
    let world = World::new(case.config());
    let promised = Promised::default();
    let witness = Witness::new(case, &world);
    let handler = Echo {
        random: Random::new(case.seed ^ 0xec40),
        high: case.settings.high as usize,
        frame_max: case.settings.frame_max as usize,
        live: BTreeMap::new(),
        seen: BTreeSet::new(),
        promised: Rc::clone(&promised),
        own: case.settings.own > 0,
        witness: witness.clone(),
        wrong: Vec::new(),
    };
    let mut run = Run::new(case, world, &witness, handler);
    let (place, address) = door(&run.world, case);
    match run.server.listen_on(&place) {
        Ok(_) => {
            for plan in &case.plans {
                seat(&run.world, address, plan, case);
            }
        }
        Err(error) => run.wrong.push(format!("listen: {error}")),
    }
    run.live(
        case,
        |_| {},
        |run| *promised.borrow_mut() = last_requests(run, address),
    )
}

/// Where the server of a case listens, and where that is in its world.
pub(super) fn door(world: &World, case: &Case) -> (Address, SocketAddr) {
    if case.settings.unix > 0 {
        let name = UnixAddress::from_path("/simulated").expect("a short name");
        let address = world.address_of(&name);
        return (name.into(), address);
    }
    let address = SocketAddr::from(([127, 0, 0, 1], 7));
    (address.into(), address)
}

/// Requests arrive just before the loop is asked to drain, and most are not told of when it does. Gives the frames of each
/// connection that must be answered.
fn last_requests(run: &mut Run<Echo>, address: SocketAddr) -> BTreeMap<ConnectionId, u64> {
    // A read that stops short for no reason, or does not happen, would tell the engine that nothing is there.
    run.world.set_faults(Faults {
        short_read: 0.0,
        would_block: 0.0,
        one_event: 1.0,
        ..run.world.faults()
    });
    let pause = Duration::from_secs(2);
    if run.server.listener_count() > 0 {
        run.world.storm(address, 4, Duration::ZERO, |_| {
            EchoClient::new("first\nlast\n")
                .in_cuts(6..7, pause)
                .lenient()
        });
    }
    run.turns(20);
    run.world.advance(pause);
    arrived(run)
}

/// The frames of each open connection that its handler has got, or that have arrived.
fn arrived(run: &Run<Echo>) -> BTreeMap<ConnectionId, u64> {
    let mut promised = BTreeMap::new();
    for (key, connection) in run.server.core().connections.iter() {
        let id = ConnectionId(key);
        let unread = run.world.unread(0, connection.socket).unwrap_or_default();
        let bytes = [connection.inbound.bytes(), &unread].concat();
        let quits = bytes.windows(5).any(|bytes| bytes == b"QUIT\n");
        if connection.facts.phase() == Phase::Open && !quits {
            let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64;
            let live = run.server.handler().live.get(&id);
            promised.insert(id, live.map_or(0, |live| live.frames) + lines);
        }
    }
    promised
}

pub(super) fn seat(world: &World, address: SocketAddr, plan: &Plan, case: &Case) {
    let numbers = &plan.numbers;
    let at = Duration::from_nanos(numbers.at_ns);
    let pause = Duration::from_nanos(numbers.pause_ns);
    // Clients in the Unix domain are on no other host.
    let other = plan.host().filter(|_| case.settings.unix == 0);
    let host = other.unwrap_or(address.ip());
    match plan.manner {
        Manner::Garbage => {
            let garbage = Garbage::new(numbers.bytes as usize, pause);
            world.connect_from(host, address, at, garbage);
        }
        Manner::Endless => {
            // Beyond the limit if that is near; with tiny buffers a far one takes too long.
            let limit = Some(case.settings.frame_max).filter(|limit| *limit < 1000);
            let count = numbers.bytes + limit.unwrap_or(0);
            let garbage = Garbage::new(count as usize, pause).of(b'x');
            world.connect_from(host, address, at, garbage);
        }
        _ => {
            let client = client(plan);
            let patient = case.settings.refuse_when_full == 0 && !case.is_crowded(plan);
            let client = if patient { client } else { client.lenient() };
            world.connect_from(host, address, at, client);
        }
    }
}

fn client(plan: &Plan) -> EchoClient {
    let numbers = &plan.numbers;
    let random = &mut Random::new(numbers.seed);
    let (bytes, part) = (numbers.bytes as usize, numbers.part as usize);
    let sends = lines(random, bytes);
    let cut = |client: EchoClient| {
        let pause = Duration::from_nanos(numbers.pause_ns);
        let client = client.in_cuts(1..numbers.cut, pause);
        match numbers.read {
            0 => client,
            NEVER => client.reading(Reading::Never).lenient(),
            bytes => client.reading(Reading::Slow {
                bytes: bytes as usize,
                pause: Duration::from_nanos(numbers.read_pause_ns),
            }),
        }
    };
    match plan.manner {
        Manner::HalfClose => cut(EchoClient::new(sends)).ending(Ending::HalfClose),
        Manner::CloseAfter => cut(EchoClient::new(sends))
            .ending(Ending::CloseAfter(part))
            .lenient(),
        Manner::ResetAfter => cut(EchoClient::new(sends))
            .ending(Ending::ResetAfter(part))
            .lenient(),
        Manner::VanishAfter => cut(EchoClient::new(sends))
            .ending(Ending::VanishAfter(part))
            .lenient(),
        Manner::Quit => {
            let (mut sends, after) = (sends, lines(random, bytes));
            let mut expects = sends.clone();
            sends.extend_from_slice(b"QUIT\n");
            sends.extend(after);
            expects.extend_from_slice(b"BYE\n");
            cut(EchoClient::new(sends).expecting(expects)).ending(Ending::WhenClosed)
        }
        Manner::Unfinished => {
            let mut sends = sends;
            sends.extend_from_slice(b"the end");
            let mut expects = sends.clone();
            expects.push(b'\n');
            cut(EchoClient::new(sends).expecting(expects)).ending(Ending::HalfClose)
        }
        Manner::Close | Manner::Garbage | Manner::Endless => cut(EchoClient::new(sends)),
    }
}
