//! What a callback may do. Everything here only queues work: no call in this file touches the network or
//! calls the handler back, so callbacks never nest.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_selectors::{Key, Slab};

use crate::codec::{Codec, FrameError};
use crate::connection::outbound::{Appended, Spare};
use crate::connection::{Connection, Facts, Phase, Role};
use crate::handler::{Cause, Handler, Message};
use crate::mutant::{Mutant, planted};
use crate::network::Reading;
use crate::options::{Options, Overflow, Stats};
use crate::timer::{TimerId, Timers};

/// Names a connection for as long as the loop runs: once it is closed the id names nothing, for ever, even
/// when its descriptor number is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) Key);

impl ConnectionId {
    /// Names no connection.
    pub(crate) fn nobody() -> Self {
        Self(Key::from_bits(u64::MAX))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}", self.0.index())
    }
}

/// What became of a message.
#[must_use = "a message may have been dropped"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is queued and will be written in order.
    Queued,
    /// It is queued, and the queue is above its high watermark: [`Handler::drained`] tells when it is low.
    AboveHigh,
    /// It is dropped: the queue is at its hard limit.
    Dropped,
    /// It is dropped: there is no such connection any more, or its sending side is finished.
    Gone,
    /// It is dropped: the codec cannot frame it.
    Rejected(FrameError),
}

/// What a timer is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Due {
    User { id: ConnectionId, token: u64 },
    Linger(ConnectionId),
    Connect(ConnectionId),
    RetryAccept,
    Drain,
}

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stopping {
    No,
    Asked,
    Draining,
    Killed,
}

/// Everything callbacks may change: queues and timers, but neither sockets nor the handler.
pub(crate) struct Core<C> {
    pub(crate) codec: C,
    pub(crate) connections: Slab<Connection>,
    pub(crate) timers: Timers<Due>,
    pub(crate) spare: Spare,
    /// Connections that a callback has changed; the loop looks after them before it waits again.
    pub(crate) touched: Vec<ConnectionId>,
    /// Connections of ours whose sockets are still to be made.
    pub(crate) to_connect: Vec<ConnectionId>,
    pub(crate) close_listeners: bool,
    pub(crate) stopping: Stopping,
    /// Something was asked of the loop as a whole: to connect, to close listeners, to stop.
    pub(crate) asked: bool,
    /// The clock, as it stood when it was first asked for in this turn.
    pub(crate) clock: Reading,
    pub(crate) options: Options,
    pub(crate) stats: Stats,
}

impl<C> Core<C> {
    pub(crate) fn touch(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0)
            && !connection.facts.any(Facts::TOUCHED)
        {
            connection.facts.set(Facts::TOUCHED);
            self.touched.push(id);
        }
    }

    /// A deadline strictly after this turn, so that a timer of zero cannot keep the turn from ending.
    pub(crate) fn deadline(&mut self, delay: Duration) -> Instant {
        const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        self.clock.take() + delay.clamp(Duration::from_nanos(1), FAR)
    }

    pub(crate) fn start_connect(&mut self, address: SocketAddr) -> ConnectionId {
        let id = ConnectionId(
            self.connections
                .insert(Connection::new(address, Role::Connected)),
        );
        self.to_connect.push(id);
        self.asked = true;
        id
    }

    pub(crate) fn stop(&mut self) {
        self.stopping = self.stopping.max(Stopping::Asked);
        self.asked = true;
    }

    pub(crate) fn kill(&mut self) {
        self.stopping = Stopping::Killed;
        self.asked = true;
    }

    /// Begins a graceful close; the linger deadline starts now. One that is still to be made is closed as soon as it
    /// is: what was queued on it until now is flushed.
    pub(crate) fn close(&mut self, id: ConnectionId, cause: Option<Cause>) {
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        match connection.facts.phase() {
            Phase::Connecting => {
                connection.facts.set(Facts::CLOSE_WHEN_OPEN);
                return;
            }
            Phase::Open => connection.begin_close(cause),
            Phase::Closing | Phase::Lingering | Phase::Aborting => return,
        }
        let deadline = self.deadline(self.options.linger);
        let timer = self.timers.insert(deadline, Due::Linger(id));
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.timers.push(timer);
        }
        self.touch(id);
    }

    pub(crate) fn abort(&mut self, id: ConnectionId, cause: Cause) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.begin_abort(cause);
            self.touch(id);
        }
    }

    fn overflowed(&mut self, id: ConnectionId) -> Sent {
        self.stats.dropped += 1;
        if self.options.overflow == Overflow::Close {
            self.abort(id, Cause::Overflow);
        }
        Sent::Dropped
    }

    fn send_shared(&mut self, id: ConnectionId, bytes: &Arc<[u8]>) -> Sent {
        let Some(connection) = self.connections.get_mut(id.0) else {
            return Sent::Gone;
        };
        if !connection.facts.takes_output() {
            return Sent::Gone;
        }
        let limit = self.options.hard_limit_bytes;
        if connection
            .outbound
            .push_shared(&mut self.spare, limit, Arc::clone(bytes))
        {
            let high = self.options.high_watermark_bytes;
            queued(connection, &mut self.touched, id, high)
        } else {
            self.overflowed(id)
        }
    }
}

/// After bytes were queued: marks the connection for writing and says where its queue stands.
#[inline]
fn queued(
    connection: &mut Connection,
    touched: &mut Vec<ConnectionId>,
    id: ConnectionId,
    high_watermark_bytes: usize,
) -> Sent {
    if connection.outbound.bytes() > high_watermark_bytes && !planted(Mutant::NoBackPressure) {
        connection.rise_above_high();
    }
    if !connection.facts.any(Facts::TOUCHED) {
        connection.facts.set(Facts::TOUCHED);
        touched.push(id);
    }
    if connection.facts.any(Facts::ABOVE_HIGH) {
        Sent::AboveHigh
    } else {
        Sent::Queued
    }
}

impl<C: Codec> Core<C> {
    #[inline]
    fn send(&mut self, id: ConnectionId, message: &C::Message) -> Sent {
        let Some(connection) = self.connections.get_mut(id.0) else {
            return Sent::Gone;
        };
        if !connection.facts.takes_output() {
            return Sent::Gone;
        }
        let codec = &self.codec;
        let limit = self.options.hard_limit_bytes;
        let encode = |output: &mut Vec<u8>| codec.encode(message, output);
        match connection
            .outbound
            .append_with(&mut self.spare, limit, encode)
        {
            Ok(Appended::Queued) => {
                let high = self.options.high_watermark_bytes;
                queued(connection, &mut self.touched, id, high)
            }
            Ok(Appended::OverLimit) => self.overflowed(id),
            Err(error) => Sent::Rejected(error),
        }
    }
}

/// What a callback may do to its own connection, and to any other.
///
/// Every call returns at once: messages are queued and written together at the end of the connection's turn;
/// `close`, `finish`, `abort` and `connect` are carried out after the callback has returned. Calls that name
/// a connection that is gone do nothing.
pub struct Io<'a, H: Handler> {
    pub(crate) core: &'a mut Core<H::Codec>,
    pub(crate) id: ConnectionId,
}

impl<H: Handler> Io<'_, H> {
    /// The connection this callback is about. In callbacks about no connection it names none.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The address of the other end.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer_of(self.id)
    }

    /// The address of the other end of connection `id`.
    pub fn peer_of(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.core
            .connections
            .get(id.0)
            .map(|connection| connection.peer)
    }

    /// Whether this connection was accepted or made by us.
    pub fn role(&self) -> Option<Role> {
        self.core
            .connections
            .get(self.id.0)
            .map(|connection| connection.role)
    }

    /// The clock, as it stood when it was first asked for in this turn: the same in all of its callbacks.
    pub fn now(&mut self) -> Instant {
        self.core.clock.take()
    }

    /// Queues a message on this connection.
    #[inline]
    pub fn send(&mut self, message: &Message<H>) -> Sent {
        self.core.send(self.id, message)
    }

    /// Queues a message on connection `id`.
    pub fn send_to(&mut self, id: ConnectionId, message: &Message<H>) -> Sent {
        self.core.send(id, message)
    }

    /// Queues one message on many connections: it is encoded once and its bytes are shared. Says how many
    /// took it.
    ///
    /// # Errors
    /// When the codec cannot frame the message; then nobody got it.
    pub fn broadcast(
        &mut self,
        ids: impl IntoIterator<Item = ConnectionId>,
        message: &Message<H>,
    ) -> Result<usize, FrameError> {
        let mut bytes = Vec::new();
        self.core.codec.encode(message, &mut bytes)?;
        let bytes: Arc<[u8]> = bytes.into();
        let took = |sent| matches!(sent, Sent::Queued | Sent::AboveHigh);
        Ok(ids
            .into_iter()
            .filter(|&id| took(self.core.send_shared(id, &bytes)))
            .count())
    }

    /// Closes this connection gracefully: no more frames, what is queued is flushed, then the end of the
    /// stream is sent and the peer's is awaited, all within the linger deadline. One of ours that is not made yet
    /// takes no more messages, and is closed like this as soon as it is; its linger deadline begins then.
    pub fn close(&mut self) {
        self.close_connection(self.id);
    }

    /// Closes connection `id` gracefully.
    pub fn close_connection(&mut self, id: ConnectionId) {
        self.core.close(id, None);
    }

    /// Half-closes this connection: after what is queued the peer sees the end of the stream; frames still
    /// come in.
    pub fn finish(&mut self) {
        self.finish_connection(self.id);
    }

    /// Half-closes connection `id`.
    pub fn finish_connection(&mut self, id: ConnectionId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.facts.set(Facts::FINISHING);
            self.core.touch(id);
        }
    }

    /// Resets this connection: what is queued is lost.
    pub fn abort(&mut self) {
        self.abort_connection(self.id);
    }

    /// Resets connection `id`.
    pub fn abort_connection(&mut self, id: ConnectionId) {
        self.core.abort(id, Cause::Aborted);
    }

    /// Hands over no more frames of this connection, and stops reading, until [`Io::resume`].
    pub fn pause(&mut self) {
        self.pause_connection(self.id);
    }

    /// Pauses connection `id`.
    pub fn pause_connection(&mut self, id: ConnectionId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.facts.set(Facts::PAUSED);
            self.core.touch(id);
        }
    }

    /// Takes up reading again.
    pub fn resume(&mut self) {
        self.resume_connection(self.id);
    }

    /// Takes up reading from connection `id` again.
    pub fn resume_connection(&mut self, id: ConnectionId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.facts.clear(Facts::PAUSED);
            self.core.touch(id);
        }
    }

    /// Calls [`Handler::timer`] for this connection with `token`, once, after `delay`: never early, and at
    /// the soonest in the next turn. The timer dies with the connection. `None` when it is gone already.
    pub fn after(&mut self, delay: Duration, token: u64) -> Option<TimerId> {
        let deadline = self.core.deadline(delay);
        let connection = self.core.connections.get_mut(self.id.0)?;
        let timer = self
            .core
            .timers
            .insert(deadline, Due::User { id: self.id, token });
        connection.timers.push(timer);
        Some(timer)
    }

    /// Cancels a timer. `false` when it has fired or was cancelled before.
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        let Some(Due::User { id, .. }) = self.core.timers.cancel(timer) else {
            return false;
        };
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.timers.retain(|&other| other != timer);
        }
        true
    }

    /// Begins to connect to `address`. [`Handler::open`] is called when it is made, or
    /// [`Handler::connect_failed`]; messages may be queued on the id at once.
    pub fn connect(&mut self, address: SocketAddr) -> ConnectionId {
        self.core.start_connect(address)
    }

    /// Stops listening; connections go on.
    pub fn stop_listening(&mut self) {
        self.core.close_listeners = true;
        self.core.asked = true;
    }

    /// Asks the loop to drain, as [`Remote::stop`](crate::Remote::stop).
    pub fn stop(&mut self) {
        self.core.stop();
    }

    /// Asks the loop to end now, as [`Remote::kill`](crate::Remote::kill).
    pub fn kill(&mut self) {
        self.core.kill();
    }

    /// Bytes queued on this connection and not yet taken by the kernel.
    pub fn queued(&self) -> usize {
        self.queued_on(self.id)
    }

    /// Bytes queued on connection `id`.
    pub fn queued_on(&self, id: ConnectionId) -> usize {
        self.core
            .connections
            .get(id.0)
            .map_or(0, |connection| connection.outbound.bytes())
    }

    /// The loop's counters.
    pub fn stats(&self) -> Stats {
        self.core.stats
    }
}
