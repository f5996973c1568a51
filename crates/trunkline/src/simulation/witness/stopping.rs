//! Stopping goes in its order: not ready, the lag, no more accepting, everybody is told, idle ones close, busy ones are
//! evicted, and at the deadline the rest is reset.

use super::{Known, Model, Witness};
use crate::connection::{Facts, Phase, Role};
use crate::network::simulated::Simulated;
use crate::{ConnectionId, EventLoop, Handler};

#[derive(Default)]
pub(super) struct Stop {
    /// When the loop was asked, and whether it listened then and its handler has left it so.
    asked: Option<u64>,
    listened: bool,
    /// When the handler was told, and whether the turn of that has ended.
    began: Option<u64>,
    begun: bool,
    killed: bool,
}

impl Witness {
    /// The loop is about to be asked to stop.
    pub(crate) fn stop_is_asked<H: Handler>(&self, server: &EventLoop<H, Simulated>) {
        let mut model = self.0.borrow_mut();
        model.stop.asked = Some(model.now());
        model.stop.listened = server.listener_count() > 0;
    }

    pub(crate) fn kill_is_asked(&self) {
        self.0.borrow_mut().stop.killed = true;
    }

    /// The handler has closed the listeners.
    pub(crate) fn listeners_are_closed(&self) {
        self.0.borrow_mut().stop.listened = false;
    }

    /// The handler is told that the loop drains.
    pub(crate) fn stopping(&self) {
        let mut model = self.0.borrow_mut();
        let now = model.now();
        let (asked, listened) = (model.stop.asked, model.stop.listened);
        let lag = if listened { model.rules.lag } else { 0 };
        let in_time = asked.is_some_and(|asked| now >= asked + lag);
        if !in_time || model.stop.began.is_some() {
            model.wrong(format!(
                "the drain begins at {now}, asked for at {asked:?}, with a lag of {lag}"
            ));
        }
        model.stop.began = Some(now);
    }

    /// A connection is told that the loop drains.
    pub(crate) fn draining(&self, id: ConnectionId) {
        let mut model = self.0.borrow_mut();
        let began = model.stop.began.is_some();
        let twice = model
            .known
            .get_mut(&id)
            .is_some_and(|known| std::mem::replace(&mut known.told_draining, true));
        if twice || !began {
            model.wrong(format!(
                "{id:?} is told of the drain: twice {twice}, it has begun {began}"
            ));
        }
    }
}

impl Model {
    pub(super) fn is_killed(&self) -> bool {
        let began = self.stop.began;
        self.stop.killed || began.is_some_and(|began| self.now() >= began + self.rules.drain)
    }

    pub(super) fn judge_eviction(&mut self, id: ConnectionId, known: &Known) {
        let now = self.now();
        let (half, drain) = (self.rules.drain / 2, self.rules.drain);
        let began = self.stop.began;
        let in_time = began.is_some_and(|began| {
            now >= began + half && now <= began + drain + self.lost_since(began)
        });
        if !in_time || known.held > 0 {
            self.wrong(format!(
                "{id:?} is evicted at {now}, the drain began at {began:?}; held {}",
                known.held
            ));
        }
    }

    pub(super) fn check_stopping<H: Handler>(&mut self, server: &EventLoop<H, Simulated>) {
        let Some(asked) = self.stop.asked.filter(|_| !self.stop.killed) else {
            return;
        };
        let now = self.now();
        if server.remote().is_ready() {
            self.wrong("the loop is asked to stop, and says that it is ready");
        }
        let Some(began) = self.stop.began else {
            return self.check_lag(server, asked);
        };
        if server.listener_count() > 0 {
            self.wrong("the loop drains, and listens");
        }
        let first = !std::mem::replace(&mut self.stop.begun, true);
        if now >= began.saturating_add(self.rules.drain) && now > began {
            let open = server.core().connections.len();
            if open > 0 {
                self.wrong(format!(
                    "{open} connections are there after the drain's deadline"
                ));
            }
            return;
        }
        // Evictions are spread over seven eighths of the second half.
        let evicted_by = began + self.rules.drain - self.rules.drain / 16;
        let mut wrong = Vec::new();
        for (id, known) in &self.known {
            let Some(connection) = server.core().connections.get(id.0) else {
                continue;
            };
            let facts = connection.facts;
            if facts.phase() != Phase::Open {
                continue;
            }
            if first && !known.told_draining && known.role == Role::Accepted {
                wrong.push(format!("{id:?} is not told that the loop drains"));
            }
            let rests = facts.takes_frames()
                && !facts.any(Facts::READABLE.with(Facts::ENDED))
                && !connection.holds_bytes();
            if rests && known.held == 0 {
                wrong.push(format!("{id:?} is idle in a drain, and stays"));
            }
            if now > evicted_by && known.opened < began && !known.was_held {
                wrong.push(format!("{id:?} is still busy, and not evicted"));
            }
        }
        for text in wrong {
            self.wrong(text);
        }
    }

    /// Until the lag is over everything is as before; then the drain begins.
    fn check_lag<H: Handler>(&mut self, server: &EventLoop<H, Simulated>, asked: u64) {
        let (now, lag) = (self.now(), self.rules.lag);
        if now > asked + lag + self.lost_since(asked) {
            self.wrong(format!(
                "the lag of {lag} is over at {now}, and the drain has not begun"
            ));
        }
        if self.stop.listened && server.listener_count() == 0 {
            self.wrong("the loop lags, and does not listen any more");
        }
    }
}
