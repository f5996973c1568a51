//! The alarm of the kernel's network: a timer of the kernel's own among the sockets, or the timeout of the wait.
//!
//! A deadline far away is set once, on a descriptor that becomes readable when it has come: turn after turn passes
//! without a look at the clock, and the wait gets no timeout, which the kernel would have to set and cancel each time.
//! Setting it is a system call, so a deadline that is almost there is waited for with a timeout instead.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use trunkline_selectors::{Interest, Key, Readiness, Selector};

use super::{Event, Token};

/// A deadline nearer than this is waited for with timeouts.
const NEAR: Duration = Duration::from_millis(1);

pub(super) struct Alarm {
    /// A deadline that is waited for with timeouts.
    near: Option<Instant>,
    /// Its ring has been told, once in this turn.
    told: bool,
    /// The kernel's timer; `None` where there is none, or no descriptor was left for it.
    timer: Option<Key>,
    /// The kernel's timer is set, or has gone off.
    armed: bool,
}

impl Alarm {
    pub(super) fn new(selector: &mut Selector<OwnedFd, Token>) -> Self {
        let timer = system::create()
            .and_then(|timer| selector.register(timer, Interest::READ, Token::ALARM).ok());
        Self {
            near: None,
            told: false,
            timer,
            armed: false,
        }
    }

    /// Must the next wait have a timeout?
    #[inline(always)]
    pub(super) fn is_near(&self) -> bool {
        self.near.is_some()
    }

    pub(super) fn set(&mut self, selector: &Selector<OwnedFd, Token>, deadline: Option<Instant>) {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timer = self.timer.and_then(|key| selector.source(key));
        let far = left.filter(|&left| left >= NEAR);
        let on_timer = match (timer, far) {
            (Some(timer), Some(left)) => system::set(timer, left),
            _ => false,
        };
        if let Some(timer) = timer
            && self.armed
            && !on_timer
        {
            system::set(timer, Duration::ZERO);
        }
        self.armed = on_timer;
        self.near = deadline.filter(|_| !on_timer);
    }

    /// The timeout of a wait that must not miss the near deadline.
    #[inline(never)]
    pub(super) fn timeout(&mut self, timeout: Option<Duration>) -> Option<Duration> {
        self.told = false;
        let left = self
            .near
            .map(|near| near.saturating_duration_since(Instant::now()));
        timeout.into_iter().chain(left).min()
    }

    /// The event of a near deadline that has come, once after each wait.
    #[inline(never)]
    pub(super) fn ring(&mut self) -> Option<Event> {
        let rings = !self.told && self.near.is_some_and(|near| near <= Instant::now());
        self.told |= rings;
        rings.then_some(Event {
            token: Token::ALARM,
            readiness: Readiness::READABLE,
        })
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    pub(super) fn create() -> Option<OwnedFd> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        timerfd_create(TimerfdClockId::Monotonic, flags).ok()
    }

    /// Lets the timer go off after `left`, or never when that is zero. Says whether it will.
    pub(super) fn set(timer: &OwnedFd, left: Duration) -> bool {
        let Ok(value) = Timespec::try_from(left) else {
            return false;
        };
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: value,
        };
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).is_ok()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    pub(super) fn create() -> Option<OwnedFd> {
        None
    }

    pub(super) fn set(_timer: &OwnedFd, _left: Duration) -> bool {
        false
    }
}
