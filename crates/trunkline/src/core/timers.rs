//! Setting timers: the loop's own, and those that die with a connection.

use std::time::{Duration, Instant};

use super::Core;
use crate::io::ConnectionId;
use crate::mutant::{Mutant, planted};
use crate::timer::TimerId;
#[cfg(test)]
use crate::timer::Timers;

/// What a timer is for. Those of connections die with them, so that the index is name enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    User(u32),
    Linger(u32),
    Connect(u32),
    NextAttempt(u32),
    /// The rate of input, or of output, lets more bytes go.
    FasterIn(u32),
    FasterOut(u32),
    /// Its queue has been above the high watermark for as long as it may be.
    TooSlow(u32),
    RetryAccept,
    /// The listener with this number may take the next client, as its rate says.
    Pace(u32),
    /// The next tick begins.
    Tick,
    /// More deadlines have passed than one turn sees to.
    MoreDeadlines,
    DrainLag,
    Evict(u32),
    Drain,
}

impl<C> Core<C> {
    /// A deadline strictly after this turn, so that a timer of zero cannot keep the turn from ending.
    pub(crate) fn deadline(&mut self, delay: Duration) -> Instant {
        const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        let delay = delay.clamp(Duration::from_nanos(1), FAR);
        if planted(Mutant::TimerEarly) {
            return self.clock.take() + delay / 2;
        }
        self.clock.take() + delay
    }

    /// Sets a timer of the loop.
    pub(crate) fn set_timer(&mut self, deadline: Instant, due: Due) -> TimerId {
        if self.alarm.is_none_or(|alarm| deadline < alarm) {
            self.alarm_is_late = true;
            self.asked = true;
        }
        self.timers.insert(deadline, due)
    }

    /// Cancels a timer. `None` when it has fired or was cancelled before.
    pub(crate) fn cancel_timer(&mut self, timer: TimerId) -> Option<Due> {
        self.timers.cancel(timer)
    }

    /// When the first timer is due, or an earlier time, if that one was cancelled.
    pub(crate) fn first_timer(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// A timer that is due in this turn.
    pub(crate) fn next_due(&mut self) -> Option<(TimerId, Due)> {
        let mut now = self.clock.take();
        if planted(Mutant::InterruptTakenForTimeout) && self.stats.turns.is_multiple_of(4) {
            now = self.timers.next_deadline()?.max(now);
        }
        let (timer, _, due) = self.timers.expire(now)?;
        Some((timer, due))
    }

    /// All timers, for the simulation to look at.
    #[cfg(test)]
    pub(crate) fn timers(&self) -> &Timers<Due> {
        &self.timers
    }

    /// Sets a timer that dies with the connection. `None` when that is gone already.
    pub(crate) fn set_own_timer(
        &mut self,
        id: ConnectionId,
        deadline: Instant,
        due: Due,
    ) -> Option<TimerId> {
        if !self.connections.contains(id.0) {
            return None;
        }
        let timer = self.set_timer(deadline, due);
        let connection = self.connections.get_mut(id.0)?;
        connection
            .timers
            .add(timer, |timer| self.timers.is_waiting(timer));
        Some(timer)
    }

    /// The connection whose timer this index was noted in.
    pub(crate) fn timers_owner(&self, index: u32) -> Option<ConnectionId> {
        self.connections.key_at(index).map(ConnectionId)
    }

    /// Sets a timer of the handler's.
    pub(crate) fn set_user_timer(
        &mut self,
        id: ConnectionId,
        deadline: Instant,
        token: u64,
    ) -> Option<TimerId> {
        let timer = self.set_own_timer(id, deadline, Due::User(id.0.index()))?;
        let index = timer.index as usize;
        if index >= self.timer_tokens.len() {
            self.timer_tokens.resize(index + 1, 0);
        }
        self.timer_tokens[index] = token;
        Some(timer)
    }

    /// Sets a timer of the handler's anew. `None` when it has fired or was cancelled before.
    pub(crate) fn rearm_user_timer(
        &mut self,
        timer: TimerId,
        deadline: Instant,
    ) -> Option<TimerId> {
        if self.timers.postpone(timer, deadline) {
            return Some(timer);
        }
        let token = self.token_of(timer);
        let id = self.cancel_user_timer(timer)?;
        self.set_user_timer(id, deadline, token)
    }

    /// Cancels a timer of the handler's, and says whose it was. `None` when it has fired or was cancelled before.
    pub(crate) fn cancel_user_timer(&mut self, timer: TimerId) -> Option<ConnectionId> {
        let Some(Due::User(index)) = self.cancel_timer(timer) else {
            return None;
        };
        self.own_timer_ended(index);
        self.timers_owner(index)
    }

    /// What the handler called this timer.
    pub(crate) fn token_of(&self, timer: TimerId) -> u64 {
        self.timer_tokens
            .get(timer.index as usize)
            .copied()
            .unwrap_or_default()
    }

    /// One of the timers of the connection at this index has fired or was cancelled.
    pub(crate) fn own_timer_ended(&mut self, index: u32) {
        let owner = self.connections.key_at(index);
        if let Some(connection) = owner.and_then(|key| self.connections.get_mut(key)) {
            connection.timers.one_ended();
        }
    }
}
