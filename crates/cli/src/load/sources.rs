//! `--source`: the addresses that connections come from, and how many connections that allows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::failure::Failure;
use crate::quantity::grouped;

/// More would be a slip of the finger.
const ADDRESSES_MAX: u32 = 4096;

/// Addresses of this machine, by turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sources(pub(crate) Vec<IpAddr>);

/// `127.0.0.2,127.0.0.3` or `127.0.0.2-127.0.0.9`.
pub(crate) fn sources(text: &str) -> Result<Sources, String> {
    const EXPECTED: &str =
        "expected addresses of this machine, such as 127.0.0.2,127.0.0.3 or 127.0.0.2-127.0.0.9";
    let mut addresses = Vec::new();
    for part in text.split(',').map(str::trim) {
        if let Ok(address) = part.parse() {
            addresses.push(address);
            continue;
        }
        let (first, last) = part.split_once('-').ok_or(EXPECTED)?;
        let first: Ipv4Addr = first.trim().parse().map_err(|_| EXPECTED)?;
        let last: Ipv4Addr = last.trim().parse().map_err(|_| EXPECTED)?;
        let (first, last) = (first.to_bits(), last.to_bits());
        if first > last {
            return Err(format!(
                "{EXPECTED}; the first of a range is not above its last"
            ));
        }
        if last - first >= ADDRESSES_MAX {
            return Err(format!("{EXPECTED}; a range has at most {ADDRESSES_MAX}"));
        }
        addresses.extend((first..=last).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))));
    }
    Ok(Sources(addresses))
}

/// What `--source` says; on loopback as many addresses as the ports of this machine make necessary. An empty list
/// leaves the choice to the kernel.
pub(crate) fn chosen(
    asked: Option<&Sources>,
    targets: &[SocketAddr],
    connections: usize,
) -> Result<Vec<IpAddr>, Failure> {
    let ports = ports();
    let given = asked.map(|sources| sources.0.clone()).unwrap_or_default();
    let family = |address: &IpAddr| {
        targets
            .iter()
            .any(|target| target.is_ipv4() == address.is_ipv4())
    };
    if let Some(stranger) = given.iter().find(|address| !family(address)) {
        let failure = Failure::usage(format!(
            "cannot connect from {stranger} to {}: one is IPv4, the other IPv6",
            targets[0]
        ));
        return Err(failure.with_hint("--source takes addresses of the server's kind"));
    }
    let loopback = targets
        .iter()
        .all(|target| matches!(target.ip(), IpAddr::V4(address) if address.is_loopback()));
    let needed = connections.div_ceil(ports);
    if given.is_empty() && loopback && needed > 1 {
        let first = Ipv4Addr::LOCALHOST.to_bits();
        let addresses = (first..)
            .take(needed)
            .map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
        return Ok(addresses.collect());
    }
    if needed > given.len().max(1) {
        return Err(too_few(connections, ports, given.len().max(1), needed));
    }
    Ok(given)
}

fn too_few(connections: usize, ports: usize, have: usize, needed: usize) -> Failure {
    let failure = Failure::usage(format!(
        "{} connections need {needed} source addresses: one has {} ports (net.ipv4.ip_local_port_range), and there {}",
        grouped(connections as u64),
        grouped(ports as u64),
        if have == 1 {
            "is one".to_owned()
        } else {
            format!("are {have}")
        },
    ));
    failure.with_hint("--source takes more addresses of this machine: --source 10.0.0.2,10.0.0.3 or 10.0.0.2-10.0.0.9")
}

/// How many connections one address can have to one server. A few are left to others.
fn ports() -> usize {
    const USUAL: usize = 28_000;
    let range =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = range
        .split_whitespace()
        .map_while(|bound| bound.parse::<usize>().ok());
    match (bounds.next(), bounds.next()) {
        (Some(low), Some(high)) if high > low => (high - low + 1).saturating_sub(232).max(1),
        _ => USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ranges_are_understood() {
        let list = |text| sources(text).map(|sources| sources.0.len());
        assert_eq!(list("127.0.0.2"), Ok(1));
        assert_eq!(list("127.0.0.2, ::1"), Ok(2));
        assert_eq!(list("127.0.0.2-127.0.0.9,127.0.1.1"), Ok(9));
        for wrong in [
            "",
            "localhost",
            "127.0.0.9-127.0.0.2",
            "10.0.0.0-10.255.0.0",
            "127.0.0.2,",
        ] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn loopback_gets_as_many_addresses_as_it_needs() {
        let target = [SocketAddr::from(([127, 0, 0, 1], 80))];
        assert!(chosen(None, &target, 100).unwrap().is_empty());
        assert!(chosen(None, &target, ports() * 3).unwrap().len() == 3);
        let elsewhere = [SocketAddr::from(([192, 0, 2, 1], 80))];
        assert!(chosen(None, &elsewhere, ports() * 3).is_err());
        assert!(chosen(Some(&sources("::1").unwrap()), &target, 1).is_err());
    }
}
