//! Timers: the network rings when the first one is due, and what each was set for is done.

use super::{Ending, EventLoop};
use crate::connection::Phase;
use crate::core::Due;
use crate::core::meters::Way;
use crate::handler::{Callback, Cause, Handler};
use crate::io::ConnectionId;
use crate::network::Network;
use crate::timer::TimerId;

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// Lets the network ring when the first timer is due. As long as no earlier one is set this is not needed again: the
    /// steady state, with its deadlines far away, reads no clock and gives the wait no time.
    #[inline(never)]
    pub(super) fn set_alarm(&mut self) {
        self.core.alarm_is_late = false;
        self.core.alarm = self.core.first_timer();
        self.network.set_alarm(self.core.alarm);
    }

    #[inline(never)]
    pub(super) fn fire_timers(&mut self) {
        self.rang = false;
        // Timers set from here on are due after `now`, so this ends.
        while let Some((timer, due)) = self.core.next_due() {
            match due {
                Due::User(index) => self.fire_users(timer, index),
                Due::Linger(index) => {
                    self.fire(index, |this, id| {
                        this.done(id, Cause::LingerExpired, Ending::Reset);
                    });
                }
                Due::Connect(index) => self.fire(index, Self::connect_timed_out),
                Due::NextAttempt(index) => self.fire(index, Self::next_attempt),
                Due::FasterIn(index) => self.fire(index, |this, id| this.speed_up(id, Way::In)),
                Due::FasterOut(index) => self.fire(index, |this, id| this.speed_up(id, Way::Out)),
                Due::TooSlow(index) => self.fire(index, |this, id| this.core.is_too_slow(id)),
                Due::RetryAccept => self.retry_accepting(),
                Due::Pace(index) => self.accept_again(index as usize),
                Due::DrainLag => self.begin_drain(),
                Due::Evict(index) => self.fire(index, Self::evict),
                Due::Tick => self.tick(),
                Due::MoreDeadlines => self.expire_deadlines(),
                Due::Drain => self.core.kill(),
            }
        }
        self.set_alarm();
    }

    /// A timer of a connection, which has ended unless the connection is still there.
    fn fire(&mut self, index: u32, due: impl FnOnce(&mut Self, ConnectionId)) {
        if let Some(id) = self.core.timers_owner(index) {
            due(self, id);
        }
    }

    /// A timer that the handler has set.
    fn fire_users(&mut self, timer: TimerId, index: u32) {
        let Some(id) = self.core.timers_owner(index) else {
            return;
        };
        self.core.own_timer_ended(index);
        let token = self.core.token_of(timer);
        // Nothing but its end is told of one that is being reset, perhaps because a callback panicked.
        let connection = self.core.connections.get(id.0);
        if connection.is_none_or(|connection| connection.facts.phase() == Phase::Aborting) {
            return;
        }
        self.tell(id, Callback::Timer, |handler, state, io| {
            handler.timer(state, io, token);
        });
    }
}
