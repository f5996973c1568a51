//! One turn after another: wait, serve what is ready, fire what is due, look after what was touched.
//!
//! The rooms: `usual` (a message with nothing unusual about it), `serve` (input and frames), `settle` (output,
//! closing, interest), `panics` (of the handler), `accept` (new connections from listeners), `connect` (new connections
//! of ours), `stop` (draining), `timers`, `expiry` (deadlines), `metered` (rates). All work on the same three disjoint things:
//! the handler, the sessions (sockets, decoders and the user's states) and the core (queues and timers), which alone
//! callbacks see.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::{Facts, Role};
use crate::core::{Core, Stopping};
use crate::handler::{Callback, Cause, Closed, Handler};
use crate::io::ConnectionId;
use crate::limits::Gate;
use crate::mutant::{Mutant, planted};
use crate::net::{Address, Error, Operation};
use crate::network::kernel::Kernel;
use crate::network::simulated::Random;
use crate::network::{Event, Network, Token};
use crate::options::Options;
use crate::remote::{OwnRemote, Remote};
use crate::stats::{Stats, TURNS_PER_SAMPLE};
use crate::timer::TimerId;
use crate::trace;

mod accept;
mod connect;
mod expiry;
mod metered;
mod panics;
mod serve;
mod settle;
mod stop;
mod timers;
mod usual;

use accept::{Accepting, Listener};
pub(crate) use accept::{Feed, Handed};
use connect::Races;
use panics::{caught, guarded};

/// The part of a connection that only its own callbacks reach: its decoder and the user's state.
pub(crate) struct Session<H: Handler> {
    decoder: H::Codec,
    state: Option<H::State>,
}

/// Many connections on one thread: the loop over one handler and one network.
///
/// Made by [`Server`](crate::Server) and [`Client`](crate::Client), or by [`EventLoop::over`] for any
/// [`Network`]. [`run`](EventLoop::run) returns when the loop was stopped (or, for a client, when no
/// connection is left).
pub struct EventLoop<H: Handler, N: Network = Kernel> {
    handler: H,
    network: N,
    core: Core<H::Codec>,
    /// By the index of the connection's id.
    sessions: Vec<Option<Session<H>>>,
    listeners: Vec<Listener>,
    accepting: Accepting,
    /// Set while descriptors have run out.
    retry_accept: Option<TimerId>,
    addresses: Vec<SocketAddr>,
    bound: Vec<Address>,
    /// Counts who is in, where limits ask for it.
    gate: Option<Arc<Gate>>,
    /// Takes what is accepted, if it is not for this loop.
    feed: Option<Feed>,
    /// For what is left to chance.
    random: Random,
    /// Connections of ours that are tried at several addresses.
    races: Races,
    /// Events of tokens below this are connections' that may go the usual way.
    usual_below: u64,
    /// The alarm rang in this turn.
    rang: bool,
    /// Connections with more to do than the last turn's budget allowed.
    again: VecDeque<ConnectionId>,
    /// How many of them have waited since the last turn.
    carried: usize,
    /// An empty list to swap with the core's, so that looking after the touched allocates nothing.
    touched: Vec<ConnectionId>,
    /// The one read buffer.
    buffer: Box<[u8]>,
    /// When this turn began, if it is one that is timed.
    sample: Option<Instant>,
    remote: OwnRemote<H::Message>,
}

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// A loop over `network`, with no listener yet.
    pub fn over(network: N, handler: H, options: Options) -> Self {
        let remote = Remote::new(network.waker());
        Self::with_remote(network, handler, options, remote)
    }

    /// As `over`, for a loop whose remote was there before it.
    pub(crate) fn with_remote(
        network: N,
        handler: H,
        mut options: Options,
        remote: Remote<H::Message>,
    ) -> Self {
        // With a budget of nothing nothing would ever be done.
        options.frame_budget = options.frame_budget.max(1);
        options.read_budget_bytes = options.read_budget_bytes.max(1);
        // Above the high one, a low watermark would end each pause of input as soon as it begins.
        options.low_watermark_bytes = options
            .low_watermark_bytes
            .min(options.high_watermark_bytes);
        remote.set_messages_max(options.messages_max);
        let counted = options.limits.per_peer_max.is_some();
        // Connections in all are counted anyway: the gate is for peers.
        let gate = counted.then(|| Arc::new(Gate::new(usize::MAX, &options.limits)));
        let seed = options.seed.unwrap_or_else(|| network.seed());
        let buffer = vec![0; options.read_buffer_bytes.max(1)].into_boxed_slice();
        let core = Core::new(handler.codec(), options, network.reading());
        let mut made = Self {
            handler,
            network,
            core,
            sessions: Vec::new(),
            listeners: Vec::new(),
            accepting: Accepting::Yes,
            retry_accept: None,
            addresses: Vec::new(),
            bound: Vec::new(),
            gate,
            feed: None,
            random: Random::new(seed),
            races: Races::default(),
            usual_below: connect::FIRST_ATTEMPT,
            rang: false,
            again: VecDeque::new(),
            carried: 0,
            touched: Vec::new(),
            buffer,
            sample: None,
            remote: OwnRemote(remote),
        };
        let remote = made.remote();
        guarded(
            &mut made.handler,
            &mut made.core,
            ConnectionId::nobody(),
            Callback::Started,
            |handler, io| handler.started(io, &remote),
        );
        made
    }

    /// Begins to connect to `address`, as [`Io::connect`](crate::Io::connect) does from inside a callback.
    pub fn connect(&mut self, address: SocketAddr) -> ConnectionId {
        self.core.start_connect(&[address])
    }

    /// Begins to connect to an address that may be in the Unix domain, as [`Io::connect_to`](crate::Io::connect_to) does
    /// from inside a callback.
    pub fn connect_to(&mut self, address: &Address) -> ConnectionId {
        self.core.start_connect_to(address)
    }

    /// Begins to connect to whichever of `addresses` answers first, as [`Io::connect_any`](crate::Io::connect_any) does from inside a
    /// callback.
    pub fn connect_any(&mut self, addresses: &[SocketAddr]) -> ConnectionId {
        self.core.start_connect(addresses)
    }

    /// Begins to connect to whichever of `addresses` answers first; of those in the Unix domain, to the first.
    pub fn connect_first(&mut self, addresses: &[Address]) -> ConnectionId {
        if let Some(unix) = addresses.iter().find(|address| address.is_unix()) {
            return self.core.start_connect_to(unix);
        }
        let ips: Vec<_> = addresses.iter().filter_map(Address::socket_addr).collect();
        self.core.start_connect(&ips)
    }

    /// Where the TCP listeners are bound, in the order they were asked for: with port 0, the port found.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where all listeners are bound, those in the Unix domain among them, in the order they were asked for.
    pub fn bound_addresses(&self) -> &[Address] {
        &self.bound
    }

    /// A hold on this loop for other threads.
    pub fn remote(&self) -> Remote<H::Message> {
        self.remote.0.clone()
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The handler, to be changed between two turns. What it is to do to connections waits for its next callback.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    /// The network.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// What callbacks may change, for the simulation to look at.
    #[cfg(test)]
    pub(crate) fn core(&self) -> &Core<H::Codec> {
        &self.core
    }

    /// The counters so far.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Turns until the loop has ended; gives the handler back, and the counters.
    ///
    /// # Errors
    /// When waiting itself fails, which leaves nothing to go on with.
    pub fn run(mut self) -> Result<(H, Stats), Error> {
        loop {
            // One guard for all turns, not one for each.
            let turns = || -> Result<(), Error> {
                while self.bare_turn(None)? {}
                Ok(())
            };
            match caught(turns) {
                Ok(ended) => break ended?,
                Err(payload) => self.recover(payload),
            }
        }
        let stats = self.core.stats();
        Ok((self.handler, stats))
    }

    /// One turn: waits at most `wait_max` (`None`: as long as it takes), then serves everything that is
    /// ready. `false` when the loop has ended.
    ///
    /// # Errors
    /// When waiting itself fails.
    pub fn turn(&mut self, wait_max: Option<Duration>) -> Result<bool, Error> {
        match caught(|| self.bare_turn(wait_max)) {
            Ok(outcome) => outcome,
            Err(payload) => {
                self.recover(payload);
                Ok(true)
            }
        }
    }

    #[inline(always)]
    fn bare_turn(&mut self, wait_max: Option<Duration>) -> Result<bool, Error> {
        let woken = if self.core.asked {
            let Some(woken) = self.wait_unusually(wait_max)? else {
                return Ok(false);
            };
            woken
        } else {
            self.wait(wait_max)?
        };
        self.network.renew(&mut self.core.clock);
        self.core.stats.turns += 1;
        if self.core.stats.turns.is_multiple_of(TURNS_PER_SAMPLE) {
            self.begin_sample();
        }
        self.work(woken);
        Ok(true)
    }

    #[inline(always)]
    fn wait(&mut self, wait_max: Option<Duration>) -> Result<bool, Error> {
        self.network
            .wait(wait_max)
            .map_err(|error| Error::new(Operation::Wait, None, error))
    }

    /// Does what was asked before it waits, and does not wait long if there is more. `None` when the loop has ended.
    #[inline(never)]
    fn wait_unusually(&mut self, wait_max: Option<Duration>) -> Result<Option<bool>, Error> {
        self.make_connections();
        if self.core.alarm_is_late {
            self.set_alarm();
        }
        if self.has_ended() {
            self.core.asked = true;
            self.end();
            return Ok(None);
        }
        self.carried = self.again.len();
        self.core.asked |= self.carried > 0;
        let at_once = self.core.asked.then_some(Duration::ZERO);
        self.wait(at_once.or(wait_max)).map(Some)
    }

    /// What a turn does after the wait: with the connections carried over from the last one, and after a wake with the
    /// messages of others.
    #[inline(always)]
    fn work(&mut self, woken: bool) {
        while let Some(event) = self.network.next_event() {
            self.dispatch(event);
        }
        if woken || self.core.asked {
            self.after_events(woken);
        }
    }

    /// The rest of a turn, in which something was asked.
    #[inline(never)]
    fn after_events(&mut self, woken: bool) {
        let carried = std::mem::take(&mut self.carried);
        if carried > 0 {
            self.serve_again(carried);
        }
        if woken {
            self.take_messages();
        }
        if self.rang {
            self.fire_timers();
        }
        if !self.core.touched.is_empty() {
            self.settle_touched();
        }
        self.follow_wishes();
    }

    /// This turn is timed. The end of the turn sees to it because something is asked of it.
    #[cold]
    #[inline(never)]
    fn begin_sample(&mut self) {
        self.sample = Some(self.core.clock.take());
        self.core.asked = true;
    }

    fn end_sample(&mut self) {
        if let Some(begin) = self.sample.take() {
            let time = self.network.now().saturating_duration_since(begin);
            self.core.stats.turn_times.record(time);
        }
    }

    #[inline(always)]
    fn dispatch(&mut self, event: Event) {
        if event.token.0 >= self.usual_below {
            self.dispatch_unusual(event);
            return;
        }
        self.ready(connection_id(event.token), event.readiness);
    }

    /// The alarm, an event of a listener, or of a socket that is one of several to connect for the same connection; while the loop
    /// drains, any event, for then no connection is usual.
    #[inline(never)]
    fn dispatch_unusual(&mut self, event: Event) {
        if event.token == Token::ALARM {
            self.rang = true;
            self.core.asked = true;
        } else if let Some(index) = event.token.0.checked_sub(accept::FIRST_LISTENER) {
            self.accept_from(index as usize);
        } else if event.token.0 >= connect::FIRST_ATTEMPT {
            self.attempt_ready(event);
        } else {
            let id = connection_id(event.token);
            if let Some(connection) = self.core.connections.get_mut(id.0) {
                connection.facts.report(event.readiness);
                self.serve(id);
            }
        }
    }

    /// Serves those whose budget ran out in the last turn.
    #[inline(never)]
    fn serve_again(&mut self, count: usize) {
        for _ in 0..count {
            let Some(id) = self.again.pop_front() else {
                return;
            };
            if let Some(connection) = self.core.connections.get_mut(id.0) {
                connection.facts.clear(Facts::QUEUED);
                self.serve(id);
            }
        }
    }

    #[inline(never)]
    fn take_messages(&mut self) {
        self.look_for_a_place();
        let (handed, mut messages) = self.remote.0.take();
        for handed in handed {
            self.take_over(handed);
        }
        if planted(Mutant::MessagesLost) {
            messages.truncate(1);
        }
        for message in messages {
            guarded(
                &mut self.handler,
                &mut self.core,
                ConnectionId::nobody(),
                Callback::Message,
                |handler, io| handler.message(io, message),
            );
        }
    }

    /// Looks after every connection that callbacks have touched, their own turns apart.
    #[inline(never)]
    fn settle_touched(&mut self) {
        // A callback that settling itself calls may touch more; the rounds are bounded, so that two
        // connections that keep touching each other cannot keep the loop from the others.
        for _ in 0..4 {
            if self.core.touched.is_empty() {
                return;
            }
            let mut touched =
                std::mem::replace(&mut self.core.touched, std::mem::take(&mut self.touched));
            for id in touched.drain(..) {
                self.settle(id);
            }
            self.touched = touched;
        }
        // Those that are left come next turn, which must not wait for it.
        self.core.asked = true;
    }

    fn session(&mut self, id: ConnectionId) -> Option<&mut Session<H>> {
        self.sessions.get_mut(id.0.index() as usize)?.as_mut()
    }

    /// The end of a connection, whatever led to it. Its id names nothing from here on.
    fn done(&mut self, id: ConnectionId, cause: Cause, ending: Ending) {
        let Some(mut connection) = self.core.connections.remove(id.0) else {
            return;
        };
        // Perhaps the last one: whether the loop has ended is looked at when something was asked.
        self.core.asked = true;
        for timer in connection.timers.take() {
            if !planted(Mutant::TimersOutliveConnection) {
                self.core.cancel_timer(timer);
            }
        }
        if let Some(timer) = connection.watch.timer() {
            self.core.deadlines.cancel(timer);
        }
        let unsent = connection.outbound.clear(&mut self.core.spare) as u64;
        if let Some(gate) = &self.gate
            && connection.role == Role::Accepted
        {
            gate.leave(&connection.peer);
            self.remote.0.let_go();
        }
        let aside = connection.aside.take().unwrap_or_default();
        if let Some(timer) = aside.too_slow {
            self.core.cancel_timer(timer);
        }
        let session = self
            .sessions
            .get_mut(id.0.index() as usize)
            .and_then(Option::take);
        let cause = aside.cause.unwrap_or(cause);
        let Some(session) = session else {
            // Its socket was never made.
            self.tell_connect_failed(id, &connection.peer, cause);
            return;
        };
        match ending {
            Ending::InOrder => self.network.close(connection.socket),
            Ending::Reset => self.network.abort(connection.socket),
        }
        if planted(Mutant::ClosedTwice) {
            self.network.close(connection.socket);
        }
        self.resume_accepting();
        if !connection.facts.any(Facts::ESTABLISHED) {
            self.tell_connect_failed(id, &connection.peer, cause);
            return;
        }
        if self.core.stopping >= Stopping::Draining {
            self.count_drained(connection.facts.phase(), &cause, ending, unsent);
        }
        self.core.stats.close(&cause);
        let unread = connection.inbound.clear() as u64;
        trace::closed(id, &cause, unsent, unread);
        let Some(state) = session.state else {
            return;
        };
        if planted(Mutant::FailureNotTold) && matches!(cause, Cause::Failed(_)) {
            return;
        }
        let closed = Closed {
            cause,
            unsent,
            unread,
        };
        guarded(
            &mut self.handler,
            &mut self.core,
            id,
            Callback::Closed,
            |handler, io| handler.closed(state, io, closed),
        );
    }

    /// The network failed on an open connection.
    fn failed(&mut self, id: ConnectionId, operation: Operation, error: std::io::Error) {
        let Some(connection) = self.core.connections.get(id.0) else {
            return;
        };
        let error = Error::new(operation, Some(connection.peer.to_string()), error);
        self.done(id, Cause::Failed(error), Ending::Reset);
    }
}

/// How the socket of a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What the kernel has accepted is still delivered.
    InOrder,
    /// Both sides forget it at once.
    Reset,
}

fn connection_id(token: Token) -> ConnectionId {
    ConnectionId(trunkline_selectors::Key::from_bits(token.0))
}

impl<H: Handler, N: Network> std::fmt::Debug for EventLoop<H, N> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EventLoop")
            .field("addresses", &self.bound)
            .field("stats", &self.core.stats)
            .finish_non_exhaustive()
    }
}
