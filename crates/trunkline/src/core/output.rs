//! What callbacks send: into the cork, into a connection's queue, or into many; and what happens when a queue is full.

use crate::codec::{Codec, FrameError};
use crate::connection::outbound::{Appended, Parcel};
use crate::connection::{Aside, Connection, Facts, Phase};
use crate::core::{Core, Due};
use crate::handler::Cause;
use crate::io::{ConnectionId, Sent};
use crate::mutant::{Mutant, planted};
use crate::options::Overflow;
use crate::trace;

/// What the place for encoding keeps from one message to the next.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

impl<C: Codec> Core<C> {
    #[inline]
    pub(crate) fn send(&mut self, id: ConnectionId, message: &C::Message) -> Sent {
        if !self.is_serving(id) {
            return self.enqueue(id, message);
        }
        let start = self.cork.len();
        match self.codec.encode(message, &mut self.cork) {
            Ok(()) if self.cork.len() <= self.cork_bytes_max => Sent::Queued,
            encoded => self.beyond_the_cork(start, encoded),
        }
    }

    /// A message that the cork is not for: taken back if it cannot be framed or sent at all, else queued.
    #[inline(never)]
    fn beyond_the_cork(&mut self, start: usize, encoded: Result<(), FrameError>) -> Sent {
        let id = self.serving;
        let over_limit = self.cork.len() > self.options.hard_limit_bytes;
        if encoded.is_err() || over_limit {
            self.cork.truncate(start);
        }
        if let Err(error) = encoded {
            return Sent::Rejected(error);
        }
        self.pull_cork();
        if over_limit {
            return self.overflowed(id);
        }
        let bytes = self.queued_on(id);
        self.queued(id, bytes)
    }

    #[inline(never)]
    fn enqueue(&mut self, mut id: ConnectionId, message: &C::Message) -> Sent {
        if planted(Mutant::StaleId) {
            id = self
                .connections
                .key_at(id.0.index())
                .map_or(id, ConnectionId);
        }
        let Some(connection) = self.connections.get_mut(id.0) else {
            return Sent::Gone;
        };
        if !connection.facts.takes_output() {
            return Sent::Gone;
        }
        if connection.facts.any(Facts::KEEPS_BOUNDS) {
            return self.send_keyed(id, None, message);
        }
        let codec = &self.codec;
        let limit = if planted(Mutant::HardLimitIgnored) {
            usize::MAX
        } else {
            self.options.hard_limit_bytes
        };
        let encode = |output: &mut Vec<u8>| codec.encode(message, output);
        match connection
            .outbound
            .append_with(&mut self.spare, limit, encode)
        {
            Ok(appended) => self.appended(id, appended),
            Err(error) => Sent::Rejected(error),
        }
    }

    /// Sends a message whose bounds are kept, on a connection that keeps them or, if it has a key, will from now on.
    #[inline(never)]
    pub(crate) fn send_keyed(
        &mut self,
        id: ConnectionId,
        key: Option<u64>,
        message: &C::Message,
    ) -> Sent {
        let takes_output = |connection: &Connection| connection.facts.takes_output();
        if !self.connections.get(id.0).is_some_and(takes_output) {
            return Sent::Gone;
        }
        let offer = |core: &mut Self, parcel: &mut Parcel<'_>| core.offer(id, key, parcel);
        self.encoded_once(message, offer)
            .unwrap_or_else(Sent::Rejected)
    }

    /// Offers a message to many, and says how many took it.
    pub(crate) fn broadcast(
        &mut self,
        ids: impl IntoIterator<Item = ConnectionId>,
        key: Option<u64>,
        message: &C::Message,
    ) -> Result<usize, FrameError> {
        self.encoded_once(message, |core, parcel| {
            ids.into_iter()
                .filter(|&id| core.offer(id, key, parcel).is_queued())
                .count()
        })
    }

    /// Encodes a message once, for whoever `offer` offers it to.
    fn encoded_once<T>(
        &mut self,
        message: &C::Message,
        offer: impl FnOnce(&mut Self, &mut Parcel<'_>) -> T,
    ) -> Result<T, FrameError> {
        // Should user code panic here, the place is lost and a new one is made.
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = self.codec.encode(message, &mut scratch).map(|()| {
            let mut parcel = Parcel::new(&scratch);
            let outcome = offer(self, &mut parcel);
            parcel.end(&mut self.spare);
            outcome
        });
        scratch.clear();
        scratch.shrink_to(SCRATCH_BYTES_MAX);
        self.scratch = scratch;
        outcome
    }

    fn offer(&mut self, id: ConnectionId, key: Option<u64>, parcel: &mut Parcel<'_>) -> Sent {
        if !planted(Mutant::BroadcastOvertakes) {
            self.pull_cork_of(id);
        }
        let limit = self.options.hard_limit_bytes;
        let overflow = self.options.overflow;
        let Some(connection) = self.connections.get_mut(id.0) else {
            return Sent::Gone;
        };
        if !connection.facts.takes_output() {
            return Sent::Gone;
        }
        connection.facts.set_if(Facts::KEEPS_BOUNDS, key.is_some());
        let appended = if connection.facts.any(Facts::KEEPS_BOUNDS) {
            let overflow = connection.own_overflow().unwrap_or(overflow);
            let drop_oldest = overflow == Overflow::DropOldest;
            let outbound = &mut connection.outbound;
            outbound.push_message(&mut self.spare, limit, drop_oldest, parcel, key)
        } else {
            connection
                .outbound
                .push_shared(&mut self.spare, limit, parcel)
        };
        self.appended(id, appended)
    }
}

impl<C> Core<C> {
    /// Counts what became of a message, and says it.
    #[inline]
    fn appended(&mut self, id: ConnectionId, appended: Appended) -> Sent {
        match appended {
            Appended::Queued { bytes } => self.queued(id, bytes),
            Appended::Exchanged {
                bytes,
                replaced,
                dropped,
            } => self.exchanged(id, bytes, replaced, dropped),
            Appended::OverLimit => self.overflowed(id),
        }
    }

    /// After bytes were queued, so that so many wait: marks the connection for writing and says where its queue stands.
    #[inline]
    fn queued(&mut self, id: ConnectionId, bytes: usize) -> Sent {
        if bytes > self.options.high_watermark_bytes {
            self.rise_above_high(id);
        }
        let Some(connection) = self.connections.get_mut(id.0) else {
            return Sent::Gone;
        };
        if !connection.facts.any(Facts::TOUCHED) {
            connection.facts.set(Facts::TOUCHED);
            self.touched.push(id);
        }
        if connection.facts.any(Facts::ABOVE_HIGH) {
            Sent::AboveHigh
        } else {
            Sent::Queued
        }
    }

    #[cold]
    fn exchanged(&mut self, id: ConnectionId, bytes: usize, replaced: bool, dropped: u32) -> Sent {
        self.stats.replaced += u64::from(replaced);
        self.stats.dropped_oldest += u64::from(dropped);
        if let Some(connection) = self.connections.get_mut(id.0) {
            let lost = &mut connection.aside().lost;
            lost.replaced += u64::from(replaced);
            lost.dropped_oldest += u64::from(dropped);
        }
        let _ = self.queued(id, bytes);
        trace::dropped(id, false, dropped + u32::from(replaced));
        if dropped > 0 {
            Sent::DroppedOldest { count: dropped }
        } else {
            Sent::Replaced
        }
    }

    /// There is no room for a message: it is dropped, and the connection perhaps closed.
    #[cold]
    fn overflowed(&mut self, id: ConnectionId) -> Sent {
        self.stats.dropped += 1;
        let Some(connection) = self.connections.get_mut(id.0) else {
            return Sent::Gone;
        };
        connection.aside().lost.dropped += 1;
        trace::dropped(id, true, 1);
        match self.overflow_of(id) {
            Overflow::Close | Overflow::CloseAfter(_) => self.abort(id, Cause::Overflow),
            Overflow::DropNewest | Overflow::DropOldest => {}
        }
        Sent::Dropped
    }

    /// The policy for this connection.
    pub(crate) fn overflow_of(&self, id: ConnectionId) -> Overflow {
        let own = self
            .connections
            .get(id.0)
            .and_then(Connection::own_overflow);
        own.unwrap_or(self.options.overflow)
    }

    /// Chooses a policy for this connection.
    pub(crate) fn set_overflow(&mut self, id: ConnectionId, overflow: Overflow) {
        self.pull_cork_of(id);
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        connection.aside().overflow = Some(overflow);
        connection
            .facts
            .set_if(Facts::KEEPS_BOUNDS, overflow == Overflow::DropOldest);
        let bytes = connection.outbound.bytes();
        self.end_patience(id);
        if bytes > self.options.high_watermark_bytes {
            self.begin_patience(id);
        }
    }

    #[cold]
    #[inline(never)]
    fn rise_above_high(&mut self, id: ConnectionId) {
        if planted(Mutant::NoBackPressure) {
            return;
        }
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.rise_above_high();
            self.begin_patience(id);
        }
    }

    /// Its queue is above the high watermark: where that may not be for long, the time begins now.
    pub(crate) fn begin_patience(&mut self, id: ConnectionId) {
        let Overflow::CloseAfter(patience) = self.overflow_of(id) else {
            return;
        };
        let Some(connection) = self.connections.get(id.0) else {
            return;
        };
        let runs = |aside: &Aside| aside.too_slow.is_some();
        // While it connects nothing can be written, which is not the reader's fault: it begins when it is made.
        if connection.facts.phase() == Phase::Connecting
            || connection.aside.as_deref().is_some_and(runs)
        {
            return;
        }
        let deadline = self.deadline(patience);
        let timer = self.set_timer(deadline, Due::TooSlow(id.0.index()));
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.aside().too_slow = Some(timer);
        }
    }

    /// Its queue is no longer above the high watermark, or not under the same policy.
    fn end_patience(&mut self, id: ConnectionId) {
        let aside = self
            .connections
            .get_mut(id.0)
            .and_then(|connection| connection.aside.as_mut());
        if let Some(timer) = aside.and_then(|aside| aside.too_slow.take()) {
            self.timers.cancel(timer);
        }
    }

    /// After a write of a connection that was above the high watermark.
    pub(crate) fn note_progress(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id.0) else {
            return;
        };
        if connection.aside.is_some()
            && connection.outbound.bytes() <= self.options.high_watermark_bytes
        {
            self.end_patience(id);
        }
    }

    /// The time is over.
    pub(crate) fn is_too_slow(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        connection.aside().too_slow = None;
        match connection.facts.phase() {
            Phase::Open => self.abort(id, Cause::TooSlow),
            // The linger deadline runs.
            Phase::Connecting | Phase::Closing | Phase::Lingering | Phase::Aborting => {}
        }
    }
}
