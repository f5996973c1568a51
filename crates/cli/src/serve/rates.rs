//! The flags that say how fast bytes may come and go, and how slowly.

use std::time::Duration;

use clap::Args;
use trunkline::{Handler, Rates, Server};

use crate::units::{Limit, byte_rate_or_off, duration};

/// Rates of each connection, all off unless given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rates (bytes over a time such as 500/s, 64KiB/s or 1MiB/m, or off)")]
pub(crate) struct RateArguments {
    /// Read from each client at most so fast.
    #[arg(long, value_name = "RATE", value_parser = byte_rate_or_off)]
    rate_in: Option<Limit<u64>>,

    /// Write to each client at most so fast.
    #[arg(long, value_name = "RATE", value_parser = byte_rate_or_off)]
    rate_out: Option<Limit<u64>>,

    /// Reset clients that send a message, or take what waits for them, more slowly than this.
    #[arg(long, value_name = "RATE", value_parser = byte_rate_or_off)]
    rate_min: Option<Limit<u64>>,

    /// Over what time the lowest rate is measured.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    rate_window: Duration,
}

impl RateArguments {
    /// The server with these rates.
    pub(crate) fn apply<H: Handler>(&self, server: Server<H>) -> Server<H> {
        server.rates(Rates {
            in_bytes_per_second: self.rate_in.and_then(Limit::get),
            out_bytes_per_second: self.rate_out.and_then(Limit::get),
            least_bytes_per_second: self.rate_min.and_then(Limit::get),
            window: self.rate_window,
        })
    }
}
