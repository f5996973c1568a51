//! Who is let in: how many connections of one peer, and how many new ones per second.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::mutant::{Mutant, planted};
use crate::net::Address;
use crate::network::Wake;

/// Limits on who is accepted, beside `connections_max`. None of them is set by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Accepted connections open at once from one IP address. One more is accepted and closed at once, whatever
    /// [`WhenFull`](crate::WhenFull) says: in the backlog it would keep the others waiting. Peers in the Unix domain
    /// have no address and are not counted.
    pub per_peer_max: Option<usize>,
    /// IPv6 addresses that agree in so many bits are one peer. 64 by default, for that is what one subscriber gets; 128
    /// takes each address by itself.
    pub ipv6_prefix_bits: u8,
    /// New connections per second, of each listener. What comes faster waits in the backlog, or is refused, as
    /// [`WhenFull`](crate::WhenFull) says.
    pub accept_rate: Option<AcceptRate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_peer_max: None,
            ipv6_prefix_bits: 64,
            accept_rate: None,
        }
    }
}

/// How many connections a listener takes in how much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptRate {
    /// So many in the long run; at least 1.
    pub count: u32,
    /// In so much time.
    pub per: Duration,
    /// At once, after a time in which few came; at least 1.
    pub burst: u32,
}

impl AcceptRate {
    /// So many per second, and as many at once as in a tenth of a second.
    pub fn per_second(per_second: u32) -> Self {
        Self {
            count: per_second,
            per: Duration::from_secs(1),
            burst: (per_second / 10).max(1),
        }
    }
}

/// Tells when the next connection may be taken. (The "generic cell rate algorithm": a token bucket that is one instant.)
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// How far ahead of the long run a burst may get.
    tolerance: Duration,
    /// When the next one would be due if they came evenly.
    due: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(rate: AcceptRate) -> Self {
        let interval = rate.per / rate.count.max(1);
        Self {
            interval,
            tolerance: interval.saturating_mul(rate.burst.max(1) - 1),
            due: None,
        }
    }

    /// When the next one may be taken, if not now.
    pub(crate) fn not_before(&self, now: Instant) -> Option<Instant> {
        let earliest = self.due?.checked_sub(self.tolerance)?;
        (earliest > now).then_some(earliest)
    }

    /// One was taken.
    pub(crate) fn take(&mut self, now: Instant) {
        self.due = Some(self.due.map_or(now, |due| due.max(now)) + self.interval);
    }
}

/// Tells apart the loops that share a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LoopId(pub(crate) usize);

/// Counts those who are in, for one loop or for several that share the limits.
pub(crate) struct Gate {
    places_max: usize,
    places_taken: AtomicUsize,
    per_peer_max: usize,
    ipv6_prefix_bits: u8,
    peers: Mutex<HashMap<IpAddr, usize>>,
    /// Loops that leave their clients in the backlog until somebody goes.
    waiting: Mutex<HashMap<LoopId, Wake>>,
}

impl Gate {
    /// For `places_max` connections in all.
    pub(crate) fn new(places_max: usize, limits: &Limits) -> Self {
        Self {
            places_max,
            places_taken: AtomicUsize::new(0),
            per_peer_max: limits.per_peer_max.unwrap_or(usize::MAX),
            ipv6_prefix_bits: limits.ipv6_prefix_bits,
            peers: Mutex::new(HashMap::new()),
            waiting: Mutex::new(HashMap::new()),
        }
    }

    /// Takes a place for a connection that is yet to be accepted. `false` when there is none.
    pub(crate) fn take_place(&self) -> bool {
        let more = |taken| (taken < self.places_max).then_some(taken + 1);
        self.places_taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }

    /// Gives a place back, and calls those who wait for one.
    pub(crate) fn give_place_back(&self) {
        self.places_taken.fetch_sub(1, Ordering::AcqRel);
        for wake in std::mem::take(&mut *lock(&self.waiting)).into_values() {
            wake();
        }
    }

    /// A loop is woken, once, when a place is given back. Says whether there is one by now, so that none is overlooked.
    pub(crate) fn wait(&self, id: LoopId, wake: Wake) -> bool {
        lock(&self.waiting).insert(id, wake);
        self.places_taken.load(Ordering::Acquire) < self.places_max
    }

    /// Whoever has a place enters, unless there are as many of his already.
    pub(crate) fn enter(&self, peer: &Address) -> bool {
        let Some(peer) = self.counted(peer) else {
            return true;
        };
        let mut peers = lock(&self.peers);
        let count = peers.entry(peer).or_default();
        if *count < self.per_peer_max {
            *count += 1;
            return true;
        }
        if *count == 0 {
            peers.remove(&peer);
        }
        false
    }

    /// Whoever has entered leaves, with his place.
    pub(crate) fn leave(&self, peer: &Address) {
        if let Some(peer) = self.counted(peer)
            && !planted(Mutant::PeerStillCounted)
        {
            let mut peers = lock(&self.peers);
            if let Some(count) = peers.get_mut(&peer) {
                *count -= 1;
                if *count == 0 {
                    peers.remove(&peer);
                }
            }
        }
        self.give_place_back();
    }

    /// Is nobody in?
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.places_taken.load(Ordering::Acquire) == 0 && lock(&self.peers).is_empty()
    }

    /// Whom this peer is counted as.
    fn counted(&self, peer: &Address) -> Option<IpAddr> {
        if self.per_peer_max == usize::MAX {
            return None;
        }
        Some(counted_as(peer.ip()?, self.ipv6_prefix_bits))
    }
}

/// An IPv4 peer of a listener for both families comes as `::ffff:a.b.c.d`: all of them would be one.
fn counted_as(ip: IpAddr, ipv6_prefix_bits: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let host_bits = 128 - u32::from(ipv6_prefix_bits.min(128));
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing in here panics half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    fn address(text: &str) -> Address {
        Address::Ip(text.parse::<SocketAddr>().unwrap())
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut pace = Pace::new(AcceptRate {
            burst: 3,
            ..AcceptRate::per_second(10)
        });
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(pace.not_before(start), None);
            pace.take(start);
        }
        let next = pace.not_before(start).expect("the burst is used up");
        assert_eq!(next - start, Duration::from_millis(100));
        assert_eq!(pace.not_before(next), None);
        pace.take(next);
        assert_eq!(
            pace.not_before(next),
            Some(start + Duration::from_millis(200))
        );
        // After a long rest, a burst again and no more.
        let later = start + Duration::from_secs(60);
        for _ in 0..3 {
            assert_eq!(pace.not_before(later), None);
            pace.take(later);
        }
        assert!(pace.not_before(later).is_some());
    }

    #[test]
    fn in_the_long_run_no_more_than_the_rate() {
        let rate = AcceptRate::per_second(50);
        let mut pace = Pace::new(rate);
        let start = Instant::now();
        let mut taken = 0;
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            while pace.not_before(now).is_none() {
                pace.take(now);
                taken += 1;
            }
        }
        assert!((500..=500 + rate.burst).contains(&taken), "{taken}");
    }

    #[test]
    fn an_ipv6_network_is_one_peer_and_a_mapped_address_is_ipv4() {
        let limits = Limits {
            per_peer_max: Some(1),
            ..Limits::default()
        };
        let gate = Gate::new(usize::MAX, &limits);
        assert!(gate.enter(&address("[2001:db8::1]:1")));
        assert!(!gate.enter(&address("[2001:db8::2]:1")));
        assert!(gate.enter(&address("[2001:db8:0:1::1]:1")));
        assert!(gate.enter(&address("[::ffff:10.0.0.1]:1")));
        assert!(gate.enter(&address("[::ffff:10.0.0.2]:1")));
        assert!(!gate.enter(&address("10.0.0.2:1")));
        assert!(gate.take_place());
        gate.leave(&address("10.0.0.2:9"));
        assert!(gate.enter(&address("10.0.0.2:1")));
        let one_by_one = Limits {
            ipv6_prefix_bits: 128,
            ..limits
        };
        let gate = Gate::new(usize::MAX, &one_by_one);
        assert!(gate.enter(&address("[2001:db8::1]:1")));
        assert!(gate.enter(&address("[2001:db8::2]:1")));
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let limits = Limits {
            per_peer_max: Some(2),
            ..Limits::default()
        };
        let gate = Gate::new(usize::MAX, &limits);
        for number in 0..1000_u32 {
            let peer = Address::Ip(SocketAddr::from((number.to_be_bytes(), 1)));
            assert!(gate.take_place() && gate.enter(&peer));
            gate.leave(&peer);
        }
        assert!(lock(&gate.peers).is_empty());
        assert_eq!(gate.places_taken.load(Ordering::Acquire), 0);
    }

    #[test]
    fn whoever_waits_for_a_place_is_called() {
        let gate = Gate::new(1, &Limits::default());
        assert!(gate.take_place());
        assert!(!gate.take_place());
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let wake: Wake = Arc::new(move || {
            counted.fetch_add(1, Ordering::AcqRel);
        });
        // Whoever says twice that he waits is called once.
        assert!(!gate.wait(LoopId(1), Arc::clone(&wake)));
        assert!(!gate.wait(LoopId(1), wake));
        gate.give_place_back();
        assert_eq!(calls.load(Ordering::Acquire), 1);
        assert!(gate.take_place());
        gate.give_place_back();
        assert_eq!(calls.load(Ordering::Acquire), 1, "it is called once");
    }
}
