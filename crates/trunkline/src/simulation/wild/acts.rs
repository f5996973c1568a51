//! What the wild handler does unasked, each time with a look at what the engine answers.

use std::net::SocketAddr;
use std::time::Duration;

use super::{CLOSE, NOTHING, Note, RELEASE, RESUME, Timer, Wild};
use crate::core::Stopping;
use crate::{ConnectionId, Flow, Io, Sent};

pub(super) const ECHO: SocketAddr = address(1);
const NOBODY: SocketAddr = address(2);
const NOBODY_ELSE: SocketAddr = address(3);

const fn address(host: u8) -> SocketAddr {
    SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, host)),
        7,
    )
}

impl Wild {
    /// Does something, or nothing, and perhaps panics.
    pub(super) fn act(&mut self, io: &mut Io<'_, Self>) {
        self.act_without_panic(io);
        self.panic(io.id());
    }

    /// A callback about `id` ends in a panic, perhaps.
    pub(super) fn panic(&mut self, id: ConnectionId) {
        if self.calm || !self.random.chance(self.panic_rate) {
            return;
        }
        self.panics += 1;
        self.witness.panicked(id);
        if let Some(live) = self.live.get_mut(&id) {
            live.closing = true;
            live.finished = true;
        }
        // Unlike `panic!` it prints nothing.
        std::panic::resume_unwind(Box::new("planned"));
    }

    pub(super) fn act_without_panic(&mut self, io: &mut Io<'_, Self>) {
        while !self.calm && self.random.chance(self.wildness) {
            let id = self.somebody(io);
            match self.random.below(40) {
                0..=11 => self.send(io, id),
                12..=14 => self.broadcast(io),
                36 => self.set_overflow(io, id),
                15..=17 => self.set_timer(io, NOTHING),
                18 | 19 => self.cancel(io),
                20 | 21 => self.pause(io),
                22 => self.resume(io, id),
                23 => self.close(io, id),
                24 => self.finish(io, id),
                25 => self.abort(io, id),
                26 => self.set_timer(io, CLOSE),
                27..=29 => self.connect(io),
                30..=33 => self.post(),
                34 if self.random.chance(0.02) => {
                    io.stop_listening();
                    self.witness.listeners_are_closed();
                }
                35 | 37 => self.poke_the_gone(io),
                38 if self.own => self.set_deadlines(io),
                39 if self.own => self.hold(io, id),
                _ => {}
            }
        }
    }

    /// What becomes of a connection after a frame.
    pub(super) fn flow(&mut self, io: &mut Io<'_, Self>) -> Flow {
        if self.calm || !self.random.chance(self.wildness / 4.0) {
            return Flow::Continue;
        }
        let id = io.id();
        let Some(live) = self.live.get_mut(&id) else {
            return Flow::Continue;
        };
        match self.random.below(4) {
            0 => {
                live.closing = true;
                live.finished = true;
                Flow::Close
            }
            1 => {
                live.closing = true;
                live.finished = true;
                self.witness.aborted(id);
                Flow::Abort
            }
            _ => {
                live.paused = true;
                self.set_timer(io, RESUME);
                Flow::Pause
            }
        }
    }

    /// The callback's own connection, another one, or one that is still on its way.
    fn somebody(&mut self, io: &Io<'_, Self>) -> ConnectionId {
        if self.random.chance(0.5) && self.live.contains_key(&io.id()) {
            return io.id();
        }
        let all: Vec<_> = self.live.keys().chain(self.connecting.keys()).collect();
        if all.is_empty() {
            return io.id();
        }
        **self.random.pick(&all)
    }

    pub(super) fn line(&mut self) -> Vec<u8> {
        self.serial += 1;
        let longest = *self.random.pick(&[1, 10, 100, 2000]);
        let padding = self.random.index(longest);
        let mut line = self.serial.to_string().into_bytes();
        line.resize(line.len() + padding, b'.');
        line
    }

    pub(super) fn set_timer(&mut self, io: &mut Io<'_, Self>, purpose: u64) {
        self.serial += 1;
        let token = self.serial << 2 | purpose;
        let longest = *self.random.pick(&[0, 1000, 10_000_000, 1_000_000_000]);
        // The engine makes a delay of nothing one nanosecond, so that a turn can end.
        let delay = Duration::from_nanos(self.random.below(longest + 1).max(1));
        let Some(live) = self.live.get_mut(&io.id()) else {
            return;
        };
        match io.after(delay, token) {
            Some(id) => {
                let due = io.now() + delay;
                live.timers.push(Timer { id, due, token });
            }
            None => self.wrong("no timer for an open connection"),
        }
    }

    fn cancel(&mut self, io: &mut Io<'_, Self>) {
        let Some(live) = self.live.get_mut(&io.id()) else {
            return;
        };
        let idle = live
            .timers
            .iter()
            .position(|timer| timer.token & 3 == NOTHING);
        if let Some(index) = idle {
            let timer = live.timers.swap_remove(index).id;
            if !io.cancel(timer) || io.cancel(timer) {
                self.wrong("a timer can be cancelled, and only once");
            }
        }
    }

    fn pause(&mut self, io: &mut Io<'_, Self>) {
        if let Some(live) = self.live.get_mut(&io.id()) {
            live.paused = true;
            io.pause();
            self.set_timer(io, RESUME);
        }
    }

    pub(super) fn resume(&mut self, io: &mut Io<'_, Self>, id: ConnectionId) {
        if let Some(live) = self.live.get_mut(&id) {
            live.paused = false;
            self.witness.resumed(id);
            io.resume_connection(id);
        }
    }

    pub(super) fn close(&mut self, io: &mut Io<'_, Self>, id: ConnectionId) {
        if let Some(live) = self.live.get_mut(&id) {
            live.closing = true;
            live.finished = true;
            io.close_connection(id);
        }
    }

    pub(super) fn finish(&mut self, io: &mut Io<'_, Self>, id: ConnectionId) {
        if let Some(live) = self.live.get_mut(&id) {
            live.finished = true;
            io.finish_connection(id);
        }
    }

    fn abort(&mut self, io: &mut Io<'_, Self>, id: ConnectionId) {
        if let Some(live) = self.live.get_mut(&id) {
            live.closing = true;
            live.finished = true;
            self.witness.aborted(id);
            io.abort_connection(id);
        }
    }

    /// Another idle deadline, and perhaps the end of the handshake.
    fn set_deadlines(&mut self, io: &mut Io<'_, Self>) {
        if !self.live.contains_key(&io.id()) {
            return;
        }
        let choices = [None, Some(50), Some(500), Some(20_000)];
        let idle = self.random.pick(&choices).map(Duration::from_millis);
        io.set_idle_timeout(idle);
        self.witness.idle_set(io.id(), idle);
        if self.random.chance(0.5) {
            io.end_handshake();
            self.witness.handshake_ended(io.id());
        }
    }

    /// Says that an answer is owed, until a timer comes.
    pub(super) fn hold(&mut self, io: &mut Io<'_, Self>, id: ConnectionId) {
        if id == io.id() && self.live.contains_key(&id) {
            io.hold();
            self.witness.held(id);
            self.set_timer(io, RELEASE);
        }
    }

    pub(super) fn release(&mut self, io: &mut Io<'_, Self>, id: ConnectionId) {
        if self.witness.is_held(id) {
            io.release_connection(id);
            self.witness.released(id);
        }
    }

    fn connect(&mut self, io: &mut Io<'_, Self>) {
        if self.connects_left == 0 || self.stopping {
            return;
        }
        self.connects_left -= 1;
        let id = match self.random.below(4) {
            0 => io.connect(NOBODY),
            1 => io.connect_any(&[NOBODY, NOBODY_ELSE, ECHO]),
            _ => io.connect(ECHO),
        };
        if io.core.stopping == Stopping::Killed {
            if io.connection_stats(id).is_some() {
                self.wrong(format!("{id:?} is connected while the loop is killed"));
            }
            return;
        }
        self.witness.connects(id);
        if self.seen.contains(&id)
            || self
                .connecting
                .insert(id, super::Coming::default())
                .is_some()
        {
            self.wrong(format!("{id:?} names a second connection"));
        }
    }

    fn post(&mut self) {
        let note = Note::Number(self.posted);
        if let Some(remote) = &self.remote
            && remote.post(note).is_ok()
        {
            self.posted += 1;
        }
    }

    /// Calls that name what is gone do nothing.
    fn poke_the_gone(&mut self, io: &mut Io<'_, Self>) {
        if let Some(timer) = self.gone_timers.pop()
            && io.cancel(timer)
        {
            self.wrong("the timer of a closed connection could be cancelled");
        }
        if self.gone.is_empty() {
            return;
        }
        let id = *self.random.pick(&self.gone);
        let line = self.line();
        if io.send_to(id, &line) != Sent::Gone || io.queued_on(id) > 0 || io.peer_of(id).is_some() {
            self.wrong(format!("{id:?} is gone, and takes messages"));
        }
        match self.random.below(5) {
            0 => io.close_connection(id),
            1 => io.abort_connection(id),
            2 => io.pause_connection(id),
            3 => io.resume_connection(id),
            _ => io.finish_connection(id),
        }
    }
}
