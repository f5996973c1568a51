//! What happens between two endpoints: requests, bytes, ends of streams and resets on their way.

use std::io;
use std::net::SocketAddr;

use super::endpoint::{Endpoint, EndpointId, Finish, Owner, Phase};
use super::errors;
use super::peer::Call;
use super::world::{Action, State};

/// Connection requests are repeated after 1, 2, 4 … seconds, this often, as by Linux.
const REQUEST_ATTEMPTS: u32 = 6;
const SECOND: u64 = 1_000_000_000;

impl State {
    /// Sends a connection request for an endpoint that was just added.
    pub(super) fn request(&mut self, client: EndpointId) {
        let delay = self.latency();
        self.schedule(delay, Action::Request { client, attempt: 0 });
    }

    pub(super) fn request_arrives(&mut self, client: EndpointId, attempt: u32) {
        let Some((local, remote)) = self
            .endpoints
            .get(&client)
            .map(|endpoint| (endpoint.local, endpoint.remote))
        else {
            return;
        };
        let delay = self.latency();
        let Some(address) = self.listening_at(remote) else {
            return self.schedule(delay, Action::Reset(client));
        };
        if self.meet(client, local, remote, address) {
            self.schedule(delay, Action::Established(client));
        } else {
            self.request_again(client, attempt);
        }
    }

    /// A client comes to somebody who listens. `false` when the backlog is full.
    fn meet(
        &mut self,
        client: EndpointId,
        local: SocketAddr,
        remote: SocketAddr,
        address: SocketAddr,
    ) -> bool {
        let Some(listener) = self.listeners.get_mut(&address) else {
            return false;
        };
        if let Some(make) = &mut listener.make {
            let peer = make(&mut self.random);
            let server = self.add_endpoint(Owner::Nobody, remote, local);
            self.join(client, server);
            self.seat_accepted(peer, server);
        } else if listener.queue.len() > listener.backlog_max {
            return false;
        } else {
            let server = self.add_endpoint(Owner::Backlog, remote, local);
            self.join(client, server);
            if let Some(listener) = self.listeners.get_mut(&address) {
                listener.queue.push_back(server);
            }
        }
        true
    }

    /// Connects in the Unix domain, where it is done at once or not at all.
    pub(super) fn connect_at_once(
        &mut self,
        client: EndpointId,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<()> {
        if !self.listeners.contains_key(&remote) {
            return Err(errors::REFUSED.into());
        }
        if !self.meet(client, local, remote, remote) {
            return Err(errors::WOULD_BLOCK.into());
        }
        self.establish(client);
        Ok(())
    }

    /// The backlog is full: the request was dropped, and its sender tries again later.
    fn request_again(&mut self, client: EndpointId, attempt: u32) {
        if attempt < REQUEST_ATTEMPTS {
            self.schedule(
                SECOND << attempt,
                Action::Request {
                    client,
                    attempt: attempt + 1,
                },
            );
        } else if let Some(endpoint) = self.endpoints.get_mut(&client) {
            endpoint.reset(errors::TIMED_OUT);
            self.injured.insert(client);
            self.notify(client);
        }
    }

    fn join(&mut self, client: EndpointId, server: EndpointId) {
        if let Some(endpoint) = self.endpoints.get_mut(&client) {
            endpoint.other = Some(server);
        }
        if let Some(endpoint) = self.endpoints.get_mut(&server) {
            endpoint.other = Some(client);
            endpoint.phase = Phase::Open;
        }
    }

    pub(super) fn establish(&mut self, client: EndpointId) {
        if let Some(endpoint) = self.endpoints.get_mut(&client)
            && endpoint.phase == Phase::Connecting
        {
            endpoint.phase = Phase::Open;
            endpoint.changed = true;
            self.notify(client);
        }
    }

    /// Whatever `from` has sent and is due arrives, as far as there is room.
    pub(super) fn arrive(&mut self, from: EndpointId) {
        let now = self.clock();
        let Some(mut sender) = self.endpoints.remove(&from) else {
            return;
        };
        let keep = self.arrive_from(&mut sender, now);
        let (starved, changed) = (sender.starved, sender.changed);
        if starved && sender.is_roomy() {
            sender.starved = false;
            sender.changed = true;
        }
        let notify = sender.changed && !changed || (starved && !sender.starved);
        if keep {
            self.endpoints.insert(from, sender);
        }
        if notify {
            self.notify(from);
        }
    }

    /// Says whether the sender lives on.
    fn arrive_from(&mut self, sender: &mut Endpoint, now: u64) -> bool {
        let Some(other) = sender.other.filter(|_| sender.phase == Phase::Open) else {
            return true;
        };
        self.establish(other);
        let due: usize = sender
            .segments
            .iter()
            .take_while(|segment| segment.arrives <= now)
            .map(|segment| segment.length)
            .sum();
        match self.endpoints.get_mut(&other) {
            Some(receiver) if receiver.phase == Phase::Dead => return true,
            Some(receiver) if receiver.owner != Owner::Nobody => {
                let length = due.min(receiver.receive_room());
                receiver.received.extend(sender.outgoing.drain(..length));
                sender.forget_segments(length);
                receiver.changed |= length > 0;
            }
            _ if due > 0 => {
                // Nobody is there to take it: the sender is told so, and what was still to come is lost.
                self.endpoints.remove(&other);
                sender.reset(errors::REFUSED);
                return sender.owner != Owner::Nobody;
            }
            _ => {}
        }
        let finished = sender.outgoing.is_empty()
            && matches!(sender.finish, Finish::OnItsWay(time) if time <= now);
        if finished {
            sender.finish = Finish::Arrived;
            if let Some(receiver) = self.endpoints.get_mut(&other) {
                receiver.ended = true;
                receiver.changed = true;
            }
        }
        if due > 0 || finished {
            self.notify(other);
        }
        !(finished && sender.owner == Owner::Nobody)
    }

    pub(super) fn reset_arrives(&mut self, target: EndpointId) {
        let Some(endpoint) = self.endpoints.get_mut(&target) else {
            return;
        };
        if endpoint.reset(errors::REFUSED) {
            if endpoint.owner == Owner::Nobody {
                self.endpoints.remove(&target);
            } else {
                self.notify(target);
            }
        }
    }

    /// Bytes were read from `reader`: what waited for room may arrive.
    pub(super) fn window_opened(&mut self, reader: EndpointId) {
        let now = self.clock();
        let Some(other) = self
            .endpoints
            .get(&reader)
            .and_then(|endpoint| endpoint.other)
        else {
            return;
        };
        let waiting = self
            .endpoints
            .get(&other)
            .and_then(|sender| sender.segments.front())
            .is_some_and(|segment| segment.arrives <= now);
        if waiting {
            let delay = self.latency();
            self.schedule(delay, Action::Arrive(other));
        }
    }

    /// A fault: what is on its way to `reader` arrives before its time.
    pub(super) fn hurry(&mut self, reader: EndpointId) {
        let now = self.clock();
        let Some(other) = self
            .endpoints
            .get(&reader)
            .and_then(|endpoint| endpoint.other)
        else {
            return;
        };
        if let Some(sender) = self.endpoints.get_mut(&other) {
            for segment in &mut sender.segments {
                segment.arrives = segment.arrives.min(now);
            }
            if let Finish::OnItsWay(time) = &mut sender.finish {
                *time = now.min(*time);
            }
            self.arrive(other);
        }
    }

    /// `close(2)`: with unread bytes it is a reset, otherwise what was written is delivered, then the end.
    pub(super) fn close_endpoint(&mut self, id: EndpointId) {
        let arrives = self.clock() + self.latency();
        let Some(endpoint) = self.endpoints.get_mut(&id) else {
            return;
        };
        if endpoint.phase != Phase::Open || !endpoint.received.is_empty() {
            return self.abort_endpoint(id);
        }
        endpoint.owner = Owner::Nobody;
        match endpoint.finish {
            Finish::NotYet => {
                endpoint.finish = Finish::OnItsWay(arrives);
                let delay = arrives - self.clock();
                self.schedule(delay, Action::Arrive(id));
            }
            Finish::OnItsWay(_) => {}
            Finish::Arrived => {
                self.endpoints.remove(&id);
            }
        }
    }

    /// Closes with a reset: what has not arrived is lost.
    pub(super) fn abort_endpoint(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.remove(&id) else {
            return;
        };
        let alive = endpoint.phase != Phase::Dead && !endpoint.is_over();
        if let Some(other) = endpoint.other.filter(|_| alive) {
            let delay = self.latency();
            self.schedule(delay, Action::Reset(other));
        }
    }

    /// A fault: the connection is cut from outside. The owner of either end may have lost something.
    pub(super) fn cut(&mut self, id: EndpointId, broken_pipe: bool) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else {
            return;
        };
        if endpoint.phase != Phase::Open || !endpoint.reset(errors::RESET) {
            return;
        }
        if broken_pipe {
            endpoint.error = Some(errors::BROKEN_PIPE);
        }
        let other = endpoint.other;
        self.injured.insert(id);
        if let Some(other) = other {
            self.injured.insert(other);
            let delay = self.latency();
            self.schedule(delay, Action::Reset(other));
        }
    }

    /// Tells the peer that holds `id`, if any, that something has changed.
    pub(super) fn notify(&mut self, id: EndpointId) {
        let Some(Owner::Peer(peer)) = self.endpoints.get(&id).map(|endpoint| endpoint.owner) else {
            return;
        };
        if let Some(seat) = self.seats.get_mut(&peer)
            && !seat.notified
        {
            seat.notified = true;
            self.schedule(0, Action::Peer(peer, Call::Ready));
        }
    }
}

impl Endpoint {
    /// The first `length` bytes have arrived.
    fn forget_segments(&mut self, mut length: usize) {
        while let Some(first) = self.segments.front_mut().filter(|_| length > 0) {
            let taken = first.length.min(length);
            first.length -= taken;
            length -= taken;
            if first.length == 0 {
                self.segments.pop_front();
            }
        }
    }
}
