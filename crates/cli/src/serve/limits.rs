//! The flags that say who is let in, and how many.

use std::time::Duration;

use clap::Args;
use trunkline::{AcceptRate, Options, WhenFull};

use crate::units::{Rate, count, rate};

/// How much of a second's connections may come at once, where few came before.
const BURST_PER_SECOND: u64 = 10;

/// Limits; none is set unless given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArguments {
    /// Connections open at once in each service, such as 500 or 10k; further clients wait until there is room.
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    max_connections: Option<usize>,

    /// Connections of one client address at once (of IPv6, the first 64 bits of it); further ones are closed at once.
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    max_per_client: Option<usize>,

    /// New connections per second of each listening socket, such as 500/s or 30/m; what comes faster waits.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    accept_rate: Option<Rate>,

    /// Close connections for which there is no room yet, so that the clients know, instead of letting them wait.
    #[arg(long)]
    refuse: bool,

    /// The permission bits of socket files (`unix:/path`), such as 660; unless given, the umask decides.
    #[arg(long, value_name = "BITS", value_parser = mode)]
    unix_mode: Option<u32>,
}

impl LimitArguments {
    pub(crate) fn apply(&self, options: &mut Options) {
        if let Some(connections) = self.max_connections {
            options.connections_max = connections;
        }
        options.limits.per_peer_max = self.max_per_client;
        options.limits.accept_rate = self.accept_rate.map(|rate| AcceptRate {
            count: u32::try_from(rate.count).unwrap_or(u32::MAX),
            per: rate.per,
            burst: burst(rate),
        });
        if self.refuse {
            options.when_full = WhenFull::Refuse;
        }
        options.unix_mode = self.unix_mode;
    }
}

fn burst(rate: Rate) -> u32 {
    let second = Duration::from_secs(1).as_nanos();
    let in_a_second = u128::from(rate.count) * second / rate.per.as_nanos().max(1);
    let burst = in_a_second / u128::from(BURST_PER_SECOND);
    u32::try_from(burst).unwrap_or(u32::MAX).max(1)
}

fn mode(text: &str) -> Result<u32, String> {
    const EXPECTED: &str = "expected three octal digits, such as 660 or 600";
    let bits = u32::from_str_radix(text, 8).map_err(|_| EXPECTED)?;
    if bits > 0o777 || text.len() > 4 {
        return Err(EXPECTED.to_owned());
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("660"), Ok(0o660));
        assert_eq!(mode("0600"), Ok(0o600));
        for wrong in ["", "888", "1000", "-1", "rw", "00000660"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tenth_of_a_second_may_come_at_once() {
        let every = |count, seconds| {
            burst(Rate {
                count,
                per: Duration::from_secs(seconds),
            })
        };
        assert_eq!(every(500, 1), 50);
        assert_eq!(every(5, 1), 1);
        assert_eq!(every(30, 60), 1);
        assert_eq!(every(6000, 60), 10);
    }
}
