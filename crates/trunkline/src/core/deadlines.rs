//! The deadlines of all connections: a wheel that turns by ticks. `connection/watch.rs` says what a tick is.

use std::time::Duration;

use super::{Core, Due};
use crate::connection::Facts;
use crate::connection::watch::{Rules, Tick};
use crate::io::ConnectionId;
use crate::options::Options;
use crate::timer::wheel::Wheel;

/// The ticks, and one timer for each connection that has a deadline: for the earliest of them, or for an earlier time,
/// when it is looked at and set anew.
pub(crate) struct Deadlines {
    pub(crate) rules: Rules,
    now: u64,
    /// Indices of connections.
    wheel: Wheel<u32>,
    /// The timer of the next tick is set.
    pub(crate) ticking: bool,
}

impl Deadlines {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            rules: Rules::new(&options.deadlines, &options.rates),
            now: 0,
            wheel: Wheel::new(),
            ticking: false,
        }
    }

    /// The number of this tick.
    #[inline(always)]
    pub(crate) fn now(&self) -> Tick {
        self.now as Tick
    }

    /// The next tick begins. Says whether there will be another.
    pub(crate) fn tick(&mut self) -> bool {
        self.now += 1;
        self.ticking = !self.wheel.is_empty();
        self.ticking
    }

    /// A connection whose timer is due.
    pub(crate) fn next_due(&mut self) -> Option<u32> {
        let (_, _, index) = self.wheel.expire(self.now)?;
        Some(index)
    }

    /// Cancels the timer of a connection, which waits.
    pub(crate) fn cancel(&mut self, timer: u32) {
        self.wheel.cancel_at(timer);
    }
}

impl<C> Core<C> {
    /// A connection opens.
    pub(crate) fn opens(&mut self, id: ConnectionId) {
        self.begin_meter(id);
        let now = self.deadlines.now();
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.begin_watch(&self.deadlines.rules, now);
            if self.deadlines.rules.begin_at_open() {
                self.keep_deadlines(id);
            }
        }
    }

    /// Sees to it that the connection is looked at when the first of its deadlines has come.
    #[inline(never)]
    pub(crate) fn keep_deadlines(&mut self, id: ConnectionId) {
        let Some((left, _)) = self.first_deadline(id) else {
            return;
        };
        let deadlines = &mut self.deadlines;
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        let due = deadlines.now + u64::from(left);
        if let Some(timer) = connection.watch.timer() {
            // Looked at before that anyway.
            if deadlines.wheel.due_at(timer) <= due {
                return;
            }
            deadlines.wheel.cancel_at(timer);
        }
        let timer = deadlines.wheel.insert(due, id.0.index());
        connection.watch.set_timer(Some(timer.index));
        if !self.deadlines.ticking {
            self.deadlines.ticking = true;
            let next = self.deadline(self.deadlines.rules.tick);
            self.set_timer(next, Due::Tick);
        }
    }

    pub(crate) fn set_idle_timeout(&mut self, id: ConnectionId, idle: Option<Duration>) {
        let ticks = idle.map(|idle| self.deadlines.rules.ticks(idle));
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.watch.set_idle(ticks);
            // Ticks are counted only while there is a deadline: how long ago the last byte was may not be known.
            connection.watch.active = self.deadlines.now();
            self.keep_deadlines(id);
        }
    }

    pub(crate) fn begin_handshake(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0)
            && connection.facts.any(Facts::HANDSHAKING)
        {
            connection.facts.set(Facts::LONG_HANDSHAKE);
        }
    }

    pub(crate) fn end_handshake(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection
                .facts
                .clear(Facts::HANDSHAKING.with(Facts::LONG_HANDSHAKE));
        }
    }
}
