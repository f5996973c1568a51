//! What a callback may do. Everything here only queues work: no call in this file touches the network or
//! calls the handler back, so callbacks never nest.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trunkline_selectors::Key;

use crate::codec::FrameError;
use crate::connection::{Facts, Role};
use crate::core::Core;
use crate::handler::{Cause, Handler, Message};
use crate::net::Address;
use crate::options::Overflow;
use crate::stats::Stats;
use crate::timer::TimerId;

/// Names a connection for as long as the loop runs: once it is closed the id names nothing, for ever, even
/// when its descriptor number is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) Key);

impl ConnectionId {
    /// Names no connection.
    pub(crate) fn nobody() -> Self {
        Self(Key::from_bits(u64::MAX))
    }

    /// What `Core::serving` is while no connection goes the usual way. Not `nobody`, for which callbacks about no
    /// connection may send: it would get into the cork, and to whomever is served next.
    pub(crate) fn unserved() -> Self {
        Self(Key::from_bits(u64::MAX - 1))
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
    /// It is queued in the place of an older message with the same key, which is dropped.
    Replaced,
    /// It is queued, and to make room for it so many of the oldest messages are dropped
    /// ([`Overflow::DropOldest`]).
    DroppedOldest {
        /// How many.
        count: u32,
    },
    /// It is dropped: the queue is at its hard limit, and the policy makes no room. With
    /// [`Overflow::Close`] and [`Overflow::CloseAfter`] the connection is reset as well.
    Dropped,
    /// It is dropped: there is no such connection any more, or its sending side is finished.
    Gone,
    /// It is dropped: the codec cannot frame it.
    Rejected(FrameError),
}

impl Sent {
    /// Whether the message waits to be written, whatever became of older ones.
    #[inline]
    pub fn is_queued(self) -> bool {
        !matches!(self, Self::Dropped | Self::Gone | Self::Rejected(_))
    }
}

/// What waits on one connection, and what was lost of its outgoing messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Bytes that wait to be written, those included that other connections share.
    pub queued_bytes: usize,
    /// The queue went above the high watermark and is not yet down at the low one.
    pub above_high: bool,
    /// What happens when the queue is full.
    pub overflow: Overflow,
    /// Messages not queued for want of room.
    pub dropped: u64,
    /// Messages dropped to make room for later ones.
    pub dropped_oldest: u64,
    /// Messages replaced by later ones with the same key.
    pub replaced: u64,
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
    pub fn peer(&self) -> Option<Address> {
        self.peer_of(self.id)
    }

    /// The address of the other end of connection `id`.
    pub fn peer_of(&self, id: ConnectionId) -> Option<Address> {
        self.core
            .connections
            .get(id.0)
            .map(|connection| connection.peer.clone())
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

    /// Queues a message on connection `id`, in the place of the last one that was sent to it with the same `key`, if that
    /// still waits and none of it is written; else behind all others. So a slow reader gets the latest state of each
    /// thing that a key names, once, instead of its whole history.
    ///
    /// A message that takes the place of another one is written before those that were sent in between. From the
    /// first key on, the connection tells its messages apart, at the price told at [`Overflow::DropOldest`].
    ///
    /// ```
    /// # use trunkline::{ConnectionId, Handler, Io, Message};
    /// # fn tick<H: Handler>(io: &mut Io<'_, H>, subscriber: ConnectionId, price: &Message<H>) {
    /// const GOLD: u64 = 79;
    /// let sent = io.send_keyed(subscriber, GOLD, price);
    /// assert!(sent.is_queued(), "{sent:?}");
    /// # }
    /// ```
    pub fn send_keyed(&mut self, id: ConnectionId, key: u64, message: &Message<H>) -> Sent {
        self.core.pull_cork_of(id);
        self.core.send_keyed(id, Some(key), message)
    }

    /// Queues one message on many connections: it is encoded once, and its bytes are shared by all queues in which they
    /// wait, unless they are so few that copies are cheaper. Says how many took it. What became of it
    /// on one connection is told by [`Io::connection_stats`], what became of all by [`Io::stats`].
    ///
    /// # Errors
    /// When the codec cannot frame the message; then nobody got it.
    pub fn broadcast(
        &mut self,
        ids: impl IntoIterator<Item = ConnectionId>,
        message: &Message<H>,
    ) -> Result<usize, FrameError> {
        self.core.broadcast(ids, None, message)
    }

    /// As [`Io::broadcast`], and on each connection in the place of an older message with the same key, as
    /// [`Io::send_keyed`].
    ///
    /// # Errors
    /// When the codec cannot frame the message; then nobody got it.
    pub fn broadcast_keyed(
        &mut self,
        ids: impl IntoIterator<Item = ConnectionId>,
        key: u64,
        message: &Message<H>,
    ) -> Result<usize, FrameError> {
        self.core.broadcast(ids, Some(key), message)
    }

    /// Chooses what happens when connection `id` has more to write than its hard limit allows, in place of
    /// [`Options::overflow`](crate::Options::overflow). What is queued already is not dropped.
    pub fn set_overflow(&mut self, id: ConnectionId, overflow: Overflow) {
        self.core.set_overflow(id, overflow);
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
        self.core.finish(id);
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
        self.core.pause(id);
    }

    /// Takes up reading again.
    pub fn resume(&mut self) {
        self.resume_connection(self.id);
    }

    /// Takes up reading from connection `id` again.
    pub fn resume_connection(&mut self, id: ConnectionId) {
        self.core.resume(id);
    }

    /// Says that this connection still waits for something of ours, such as the answer of a [`Pool`](crate::Pool):
    /// until [`Io::release`], once for each time, a drain does not take it for idle, nor does it evict it.
    pub fn hold(&mut self) {
        self.hold_connection(self.id);
    }

    /// Holds connection `id`.
    pub fn hold_connection(&mut self, id: ConnectionId) {
        self.core.hold(id);
    }

    /// Ends what [`Io::hold`] began.
    pub fn release(&mut self) {
        self.release_connection(self.id);
    }

    /// Releases connection `id`.
    pub fn release_connection(&mut self, id: ConnectionId) {
        self.core.release(id);
    }

    /// Calls [`Handler::timer`] for this connection with `token`, once, after `delay`, counted from [`Io::now`]: never
    /// early, and at the soonest in the next turn. The timer dies with the connection. `None` when it is gone already.
    pub fn after(&mut self, delay: Duration, token: u64) -> Option<TimerId> {
        self.after_on(self.id, delay, token)
    }

    /// As [`Io::after`], for connection `id`.
    pub fn after_on(&mut self, id: ConnectionId, delay: Duration, token: u64) -> Option<TimerId> {
        let deadline = self.core.deadline(delay);
        self.core.set_user_timer(id, deadline, token)
    }

    /// Cancels a timer. `false` when it has fired or was cancelled before.
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        self.core.cancel_user_timer(timer).is_some()
    }

    /// Sets a timer anew: it fires `delay` after [`Io::now`], with the token it has. The timer's name from now on, or `None` when
    /// it has fired or was cancelled before.
    ///
    /// To put a timer off costs next to nothing and keeps its name; only a deadline before the one it had is as dear as
    /// cancelling and setting it, and gives it another.
    pub fn rearm(&mut self, timer: TimerId, delay: Duration) -> Option<TimerId> {
        let deadline = self.core.deadline(delay);
        self.core.rearm_user_timer(timer, deadline)
    }

    /// Gives this connection an idle deadline of its own, or none, instead of
    /// [`Deadlines::idle`](crate::Deadlines::idle). It runs from this call on, and anew from each byte, and is noticed with
    /// the precision of the loop's deadlines ([`Deadlines::precision`](crate::Deadlines::precision)).
    pub fn set_idle_timeout(&mut self, idle: impl Into<Option<Duration>>) {
        self.core.set_idle_timeout(self.id, idle.into());
    }

    /// Says in [`Handler::open`] that the handshake has more frames than one: the first does not end it, only
    /// [`Io::end_handshake`] does. Without [`Deadlines::handshake`](crate::Deadlines::handshake) this means nothing.
    pub fn begin_handshake(&mut self) {
        self.core.begin_handshake(self.id);
    }

    /// The handshake is done: its deadline no longer runs.
    pub fn end_handshake(&mut self) {
        self.core.end_handshake(self.id);
    }

    /// Begins to connect to `address`. [`Handler::open`] is called when it is made, or
    /// [`Handler::connect_failed`]; messages may be queued on the id at once.
    ///
    /// Once the loop is being killed nothing is connected any more: the id names nothing, and nobody is called.
    pub fn connect(&mut self, address: SocketAddr) -> ConnectionId {
        self.core.start_connect(&[address])
    }

    /// As `connect`, to an address that may be in the Unix domain. Where the server's backlog is full, it is tried again
    /// until the deadline for connecting.
    pub fn connect_to(&mut self, address: &Address) -> ConnectionId {
        self.core.start_connect_to(address)
    }

    /// Begins to connect to whichever of `addresses` answers first, as "happy eyeballs" do (RFC 8305): a name may
    /// stand for several, such as an IPv6 and an IPv4 address, and one of them may lead nowhere. They are tried in
    /// their order, the two families by turns; each next one when the one before has failed, or has not answered
    /// within [`Options::attempt_delay`](crate::Options::attempt_delay). The first connection that is made is kept and the
    /// other attempts are given up. From outside it is one connection: one id, one call of
    /// [`Handler::open`] or [`Handler::connect_failed`], one deadline.
    pub fn connect_any(&mut self, addresses: &[SocketAddr]) -> ConnectionId {
        self.core.start_connect(addresses)
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
        self.core.queued_on(id)
    }

    /// What waits on connection `id`, and what it has lost. `None` when it is gone.
    pub fn connection_stats(&self, id: ConnectionId) -> Option<ConnectionStats> {
        let connection = self.core.connections.get(id.0)?;
        let lost = connection.aside.as_ref().map(|aside| aside.lost);
        let lost = lost.unwrap_or_default();
        Some(ConnectionStats {
            queued_bytes: self.core.queued_on(id),
            above_high: connection.facts.any(Facts::ABOVE_HIGH),
            overflow: self.core.overflow_of(id),
            dropped: lost.dropped,
            dropped_oldest: lost.dropped_oldest,
            replaced: lost.replaced,
        })
    }

    /// The loop's counters.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }
}
