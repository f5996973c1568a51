//! The clients of the servers that are measured: many connections on one thread, by the engine. Each sends a message,
//! waits for its answer, and sends the next (a closed loop); all, or only some of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trunkline::network::kernel::Kernel;
use trunkline::{
    Closed, ConnectionId, Error, EventLoop, FixedSize, Flow, Frame, Handler, Io, Options, Remote,
    Sent,
};

/// Bytes of a message, and of its answer.
pub(crate) const MESSAGE_BYTES: usize = 64;
/// How long an answer or a connection may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections under way at once: fewer than any backlog holds.
const UNDER_WAY_MAX: usize = 400;

/// The clients of one server.
pub(crate) struct Clients {
    event_loop: EventLoop<Talk>,
    remote: Remote<Order>,
    /// When there is no time left for anything.
    give_up: Option<Instant>,
}

/// What the clients are told.
enum Order {
    /// Make so many connections more.
    Connect(usize),
    /// Say one thing over each connection from this one on.
    Greet(usize),
    /// Begin to talk over so many of the connections, evenly spread.
    Talk(usize),
    /// Send nothing more.
    Rest,
    /// Leave at once, without a farewell: nothing of these connections is to linger in the kernel.
    Leave,
}

struct Talk {
    address: SocketAddr,
    message: [u8; MESSAGE_BYTES],
    connections: Vec<ConnectionId>,
    talking: bool,
    /// When what is under way was ordered.
    ordered: Instant,
    /// Messages without an answer so far.
    under_way: usize,
    /// Of every answer, in nanoseconds.
    latencies: Vec<u64>,
    trouble: Option<String>,
}

/// When this connection sent its message, unless that was before the last order.
struct Conversation(Instant);

impl Talk {
    fn send(&mut self, id: ConnectionId, io: &mut Io<'_, Self>) {
        match io.send_to(id, &self.message) {
            Sent::Queued | Sent::AboveHigh => self.under_way += 1,
            other => self.complain(format!("a message could not be sent: {other:?}")),
        }
    }

    fn complain(&mut self, what: String) {
        self.trouble.get_or_insert(what);
    }
}

impl Handler for Talk {
    type Codec = FixedSize;
    type State = Conversation;
    type Message = Order;

    fn codec(&self) -> FixedSize {
        FixedSize::new(MESSAGE_BYTES)
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Conversation> {
        self.connections.push(io.id());
        Some(Conversation(Instant::now()))
    }

    fn frame(
        &mut self,
        state: &mut Conversation,
        io: &mut Io<'_, Self>,
        answer: Frame<'_, Self>,
    ) -> Flow {
        let now = Instant::now();
        self.under_way -= 1;
        if answer != self.message {
            self.complain("an answer differs from what was sent".to_owned());
        }
        let latency = now.duration_since(state.0.max(self.ordered)).as_nanos();
        self.latencies
            .push(u64::try_from(latency).unwrap_or(u64::MAX));
        if self.talking {
            state.0 = now;
            self.send(io.id(), io);
        }
        Flow::Continue
    }

    fn message(&mut self, io: &mut Io<'_, Self>, order: Order) {
        match order {
            Order::Greet(from) => {
                self.ordered = Instant::now();
                for place in from..self.connections.len() {
                    self.send(self.connections[place], io);
                }
            }
            Order::Connect(count) => {
                for _ in 0..count {
                    io.connect(self.address);
                }
            }
            Order::Talk(active) => {
                self.talking = true;
                self.ordered = Instant::now();
                let count = self.connections.len();
                for number in 0..active {
                    // Not the first and not the last, where there are more: somebody in the middle.
                    let place = (2 * number + 1) * count / (2 * active);
                    self.send(self.connections[place], io);
                }
            }
            Order::Rest => self.talking = false,
            Order::Leave => io.kill(),
        }
    }

    fn closed(&mut self, _state: Conversation, _io: &mut Io<'_, Self>, closed: Closed) {
        self.complain(format!(
            "the server closed a connection: {:?}",
            closed.cause
        ));
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, _id: ConnectionId, error: Error) {
        self.complain(error.to_string());
    }
}

impl Clients {
    pub(crate) fn new(address: SocketAddr, give_up: Option<Instant>) -> Result<Self, String> {
        let kernel = Kernel::new().map_err(|error| format!("cannot begin to wait: {error}"))?;
        let mut message = [b'.'; MESSAGE_BYTES];
        message[MESSAGE_BYTES - 1] = b'\n';
        let talk = Talk {
            address,
            message,
            connections: Vec::new(),
            talking: false,
            ordered: Instant::now(),
            under_way: 0,
            latencies: Vec::new(),
            trouble: None,
        };
        let event_loop = EventLoop::over(kernel, talk, Options::default());
        let remote = event_loop.remote();
        Ok(Self {
            event_loop,
            remote,
            give_up,
        })
    }

    /// Makes so many connections, and sees that all of them are accepted.
    pub(crate) fn connect(&mut self, count: usize) -> Result<(), String> {
        let mut wanted = self.talk().connections.len();
        let all = wanted + count;
        while wanted < all {
            let batch = UNDER_WAY_MAX.min(all - wanted);
            self.order(Order::Connect(batch));
            self.until(|talk| talk.connections.len() == wanted + batch)?;
            // Connected is not accepted. But whoever is answered was accepted.
            let answers = self.talk().latencies.len() + batch;
            self.order(Order::Greet(wanted));
            self.until(|talk| talk.latencies.len() == answers)?;
            wanted += batch;
        }
        Ok(())
    }

    /// Begins to talk over so many connections.
    pub(crate) fn begin(&mut self, active: usize) {
        self.order(Order::Talk(active));
    }

    /// Talks for this long, and until there are so many answers. Gives each one's latency, in nanoseconds.
    pub(crate) fn talk_for(
        &mut self,
        duration: Duration,
        answers_min: usize,
    ) -> Result<&[u64], String> {
        let start = Instant::now();
        let deadline = self.deadline();
        let before = self.talk().latencies.len();
        loop {
            let now = Instant::now();
            let answers = self.talk().latencies.len() - before;
            if now - start >= duration && answers >= answers_min {
                break;
            }
            if now >= deadline {
                return Err(self.no_answer());
            }
            let end = start + duration;
            self.turn(if now < end { end } else { deadline } - now)?;
        }
        Ok(&self.talk().latencies[before..])
    }

    /// Sends nothing more, and waits for the answers that are due.
    pub(crate) fn rest(&mut self) -> Result<(), String> {
        self.order(Order::Rest);
        self.until(|talk| !talk.talking && talk.under_way == 0)
    }

    /// Ends all connections.
    pub(crate) fn leave(mut self) -> Result<(), String> {
        self.order(Order::Leave);
        while self
            .event_loop
            .turn(Some(PATIENCE))
            .map_err(|error| error.to_string())?
        {}
        Ok(())
    }

    /// Until when something that begins now is waited for.
    fn deadline(&self) -> Instant {
        let patient = Instant::now() + PATIENCE;
        self.give_up.map_or(patient, |give_up| patient.min(give_up))
    }

    fn no_answer(&self) -> String {
        if self
            .give_up
            .is_some_and(|give_up| Instant::now() >= give_up)
        {
            return "there was no time left".to_owned();
        }
        format!("no answer within {} s", PATIENCE.as_secs())
    }

    fn talk(&self) -> &Talk {
        self.event_loop.handler()
    }

    fn order(&self, order: Order) {
        // The loop has not ended: it is ours, and ends only with `leave`.
        let _ = self.remote.post(order);
    }

    fn until(&mut self, is_true: impl Fn(&Talk) -> bool) -> Result<(), String> {
        let deadline = self.deadline();
        while !is_true(self.talk()) {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Err(self.no_answer());
            }
            self.turn(rest)?;
        }
        Ok(())
    }

    fn turn(&mut self, wait_max: Duration) -> Result<(), String> {
        let turned = self.event_loop.turn(Some(wait_max));
        turned.map_err(|error| error.to_string())?;
        match &self.talk().trouble {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(()),
        }
    }
}
