//! The flags that say how fast bytes may come and go, and how slowly.

use std::time::Duration;

use clap::Args;
use trunkline::{Options, Rates};

use crate::units::{Limit, byte_rate_or_off, duration};

/// Rates of each connection, all off unless given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rates (bytes over a time such as 500/s, 64KiB/s or 1MiB/m, or off)")]
pub(crate) struct RateArguments {
    /// Read from each client at most so fast.
    #[arg(long = "rate-in", value_name = "RATE", value_parser = byte_rate_or_off)]
    input: Option<Limit<u64>>,

    /// Write to each client at most so fast.
    #[arg(long = "rate-out", value_name = "RATE", value_parser = byte_rate_or_off)]
    output: Option<Limit<u64>>,

    /// Reset clients that send a message, or take what waits for them, more slowly than this.
    #[arg(long = "rate-min", value_name = "RATE", value_parser = byte_rate_or_off)]
    least: Option<Limit<u64>>,

    /// Over what time the lowest rate is measured.
    #[arg(long = "rate-window", value_name = "TIME", value_parser = duration, default_value = "10s")]
    window: Duration,
}

impl RateArguments {
    /// Puts these rates in place of the loop's own.
    pub(crate) fn apply(&self, options: &mut Options) {
        options.rates = Rates {
            in_bytes_per_second: self.input.and_then(Limit::get),
            out_bytes_per_second: self.output.and_then(Limit::get),
            least_bytes_per_second: self.least.and_then(Limit::get),
            window: self.window,
        };
    }
}
