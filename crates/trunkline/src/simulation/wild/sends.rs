//! What the wild handler sends, and the comparison of what the engine says about it with what it does.

use std::time::Instant;

use super::super::witness::Witness;
use super::Wild;
use super::ledger::{Exchange, Stream};
use crate::{ConnectionId, ConnectionStats, Io, Overflow, Role, Sent};

/// Messages with keys have one of so many.
const KEYS: u64 = 3;

impl Wild {
    pub(super) fn send(&mut self, io: &mut Io<'_, Self>, id: ConnectionId) {
        let line = self.line();
        let key = self
            .random
            .chance(self.key_rate)
            .then(|| self.random.below(KEYS));
        let before = io.connection_stats(id);
        let sent = match key {
            Some(key) => io.send_keyed(id, key, &line),
            None if id == io.id() => io.send(&line),
            None => io.send_to(id, &line),
        };
        let change = self.change(io, id, before, key);
        self.check_sent(io, id, sent, &change);
        self.note(io, id, &line, &change);
    }

    pub(super) fn broadcast(&mut self, io: &mut Io<'_, Self>) {
        let line = self.line();
        let key = self
            .random
            .chance(self.key_rate)
            .then(|| self.random.below(KEYS));
        let ids: Vec<_> = self.live.keys().copied().collect();
        let before: Vec<_> = ids.iter().map(|id| io.connection_stats(*id)).collect();
        let took = match key {
            Some(key) => io.broadcast_keyed(ids.iter().copied(), key, &line),
            None => io.broadcast(ids.iter().copied(), &line),
        };
        let mut took_by_model = 0;
        for (id, before) in ids.into_iter().zip(before) {
            let change = self.change(io, id, before, key);
            took_by_model += usize::from(change.queued());
            self.note(io, id, &line, &change);
        }
        if took != Ok(took_by_model) {
            self.wrong(format!(
                "a broadcast: {took:?} took it, {took_by_model} queues have changed"
            ));
        }
    }

    pub(super) fn set_overflow(&mut self, io: &mut Io<'_, Self>, id: ConnectionId) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        // How patient a change of mind finds the engine is its own business: only the loop's policy has a deadline.
        let choices = [Overflow::DropNewest, Overflow::DropOldest, Overflow::Close];
        let overflow = *self.random.pick(&choices);
        live.overflow = overflow;
        io.set_overflow(id, overflow);
        if overflow == Overflow::DropOldest {
            self.stream(id, |stream| stream.keeps_bounds = true);
        }
    }

    /// What a send has changed.
    fn change(
        &mut self,
        io: &Io<'_, Self>,
        id: ConnectionId,
        before: Option<ConnectionStats>,
        key: Option<u64>,
    ) -> Change {
        let after = io.connection_stats(id);
        let (Some(before), Some(after)) = (before, after) else {
            return Change::default();
        };
        let change = Change {
            waiting_before: before.queued_bytes,
            waiting_after: after.queued_bytes,
            above_high: after.above_high,
            dropped: after.dropped - before.dropped,
            dropped_oldest: after.dropped_oldest - before.dropped_oldest,
            replaced: after.replaced - before.replaced,
            key,
            there: true,
        };
        let lost = [change.dropped, change.dropped_oldest, change.replaced];
        for (sum, lost) in self.lost.iter_mut().zip(lost) {
            *sum += lost;
        }
        change
    }

    /// Compares what the engine says with what it has done.
    fn check_sent(&mut self, io: &mut Io<'_, Self>, id: ConnectionId, sent: Sent, change: &Change) {
        let now = io.now();
        let right = match sent {
            Sent::Queued => change.queued() && change.is_plain() && !change.above_high,
            Sent::AboveHigh => change.queued() && change.is_plain() && change.above_high,
            Sent::Replaced => change.replaced == 1 && change.dropped_oldest == 0,
            Sent::DroppedOldest { count } => change.dropped_oldest == u64::from(count) && count > 0,
            Sent::Dropped => change.dropped == 1 && !change.queued(),
            Sent::Gone => {
                // Called too slow in this very turn, it is told at the end of the turn, whatever policy it was given since.
                let timed = matches!(self.overflow, Overflow::CloseAfter(_));
                let patience = self.patience;
                let too_slow = |risen: Instant| risen + patience <= now;
                // With no patience at all it may have risen and fallen unseen.
                let at_once = change.above_high && patience.is_zero();
                let ended_by_engine = Witness::is_ended_by_engine(io, id);
                let open = self.live.get(&id).is_some_and(|live| {
                    !(live.finished
                        || ended_by_engine
                        || timed && (at_once || live.risen.is_some_and(too_slow)))
                });
                !change.queued() && (self.stopping || !open)
            }
            Sent::Rejected(_) => false,
        };
        if !right {
            self.wrong(format!("a message to {id:?}: {sent:?}, and {change:?}"));
        }
    }

    /// Writes down what was queued.
    fn note(&mut self, io: &mut Io<'_, Self>, id: ConnectionId, line: &[u8], change: &Change) {
        let known = self
            .live
            .get(&id)
            .map(|live| (live.overflow, live.finished));
        let known_to_come = self.connecting.contains_key(&id);
        let (overflow, finished) = known.unwrap_or((self.overflow, !known_to_come));
        if change.dropped > 0 {
            let closes = matches!(overflow, Overflow::Close | Overflow::CloseAfter(_));
            if let Some(live) = self.live.get_mut(&id).filter(|_| closes) {
                live.closing = true;
                live.finished = true;
            }
        }
        let keyed = change.key.is_some() && change.there && !finished;
        // The loop's policy counts from the beginning, also where another was chosen before the first message.
        let drops_oldest = [overflow, self.overflow].contains(&Overflow::DropOldest);
        let keeps_bounds = keyed || drops_oldest;
        self.stream(id, |stream| stream.keeps_bounds |= keeps_bounds);
        if !change.queued() {
            return;
        }
        if finished {
            return self.wrong(format!("{id:?} takes messages and must not"));
        }
        let line = [line, b"\n"].concat();
        let exchange = Exchange {
            key: change.key,
            replaced: change.replaced,
            dropped_oldest: change.dropped_oldest,
        };
        let queued = self.stream(id, |stream| {
            stream.queue(&line, change.waiting_before, &exchange)
        });
        match queued {
            Some(Ok(waiting)) if waiting == change.waiting_after => {}
            other => self.wrong(format!(
                "a message to {id:?}: {change:?}, the model: {other:?}"
            )),
        }
        if change.waiting_after > self.hard
            || (change.waiting_after > self.high) && !change.above_high
        {
            self.wrong(format!("beyond a limit of {id:?}: {change:?}"));
        }
        self.note_level(io, id, change.above_high);
    }

    fn note_level(&mut self, io: &mut Io<'_, Self>, id: ConnectionId, above_high: bool) {
        if let Some(coming) = self.connecting.get_mut(&id) {
            let now = above_high.then(|| io.now());
            coming.risen = coming.risen.or(now);
        }
        if let Some(live) = self.live.get_mut(&id).filter(|_| above_high) {
            live.above_high = true;
            live.risen = live.risen.or(Some(io.now()));
        }
    }

    /// The model of what is queued on a connection.
    fn stream<T>(&mut self, id: ConnectionId, with: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        if let Some(coming) = self.connecting.get_mut(&id) {
            return Some(with(&mut coming.echo));
        }
        let live = self.live.get_mut(&id)?;
        match live.role {
            Role::Connected => Some(with(&mut live.echo)),
            Role::Accepted => {
                let peer = live.peer;
                Some(self.entry(peer, |entry| with(&mut entry.queued)))
            }
        }
    }
}

/// What a send has changed on one connection.
#[derive(Debug, Default)]
struct Change {
    /// There is such a connection.
    there: bool,
    key: Option<u64>,
    waiting_before: usize,
    waiting_after: usize,
    above_high: bool,
    dropped: u64,
    dropped_oldest: u64,
    replaced: u64,
}

impl Change {
    /// Is the message in the queue?
    fn queued(&self) -> bool {
        self.waiting_after > self.waiting_before || self.dropped_oldest + self.replaced > 0
    }

    fn is_plain(&self) -> bool {
        self.dropped + self.dropped_oldest + self.replaced == 0
    }
}
