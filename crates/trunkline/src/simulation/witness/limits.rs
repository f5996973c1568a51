//! No more clients are let in than may be, and nobody is turned away without a reason.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Model;
use crate::connection::Role;
use crate::core::Stopping;
use crate::network::simulated::Simulated;
use crate::{EventLoop, Handler, Refusal};

const SECOND: u64 = 1_000_000_000;

/// What was accepted.
#[derive(Default)]
pub(super) struct Accepts {
    /// When clients were let in, one entry for each.
    times: Vec<u64>,
    counted: u64,
    refused: u64,
    /// How many of each host were in at the end of the last turn.
    hosts: BTreeMap<IpAddr, u64>,
}

impl Model {
    pub(super) fn check_accepting<H: Handler>(&mut self, server: &EventLoop<H, Simulated>) {
        let stats = server.stats();
        // Who is let in and not wanted by the handler was let in all the same.
        let accepted = stats.accepted;
        let new = accepted - std::mem::replace(&mut self.accepts.counted, accepted);
        let draining = server.core().stopping >= Stopping::Draining;
        if !draining {
            let now = self.now();
            self.accepts.times.extend((0..new).map(|_| now));
            self.check_pace(new as usize);
        }
        self.check_hosts(server, new);
    }

    /// In any time no more are let in than the rate allows in that time, and a burst.
    fn check_pace(&mut self, new: usize) {
        let Some(rate) = self.rules.limits.accept_rate else {
            return;
        };
        let times = &self.accepts.times;
        let (burst, interval) = (u64::from(rate.burst), SECOND / u64::from(rate.count));
        let too_fast = (0..times.len()).rev().take(400).any(|first| {
            let count = (times.len() - first) as u64;
            let time = times[times.len() - 1] - times[first];
            new > 0 && count > burst + time / interval
        });
        if too_fast {
            self.wrong(format!("{new} clients are let in faster than {rate:?}"));
        }
    }

    /// Each host has as many as it may at most, and who is turned away for his host has reason to be.
    fn check_hosts<H: Handler>(&mut self, server: &EventLoop<H, Simulated>, new: u64) {
        let Some(most) = self.rules.limits.per_peer_max else {
            return;
        };
        let mut hosts = BTreeMap::new();
        let accepted = server.core().connections.iter();
        for (_, connection) in accepted.filter(|(_, each)| each.role == Role::Accepted) {
            if let Some(host) = connection.peer.ip() {
                *hosts.entry(host).or_insert(0_u64) += 1;
            }
        }
        if let Some((host, count)) = hosts.iter().find(|(_, count)| **count > most as u64) {
            self.wrong(format!("{count} clients of {host} are in, {most} may be"));
        }
        let refused = server.stats().refused_for(Refusal::PerPeer);
        let newly = refused > std::mem::replace(&mut self.accepts.refused, refused);
        let before = self.accepts.hosts.values().copied().max().unwrap_or(0);
        // In the worst case all that were let in meanwhile were of the host that had the most.
        if newly && before + new < most as u64 {
            self.wrong(format!(
                "a client is turned away for his host, of which {before} were in, and {new} came"
            ));
        }
        self.accepts.hosts = hosts;
    }
}
