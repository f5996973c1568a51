//! The flags that say how long a connection may take over things.

use std::time::Duration;

use clap::Args;
use trunkline::Options;

use crate::units::{Limit, duration, duration_or_off};

/// Deadlines, each as it is unless given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Deadlines (a time such as 500ms, 10s or 1m30s, or off)")]
pub(crate) struct DeadlineArguments {
    /// From the connection to its first whole message (off).
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    handshake_timeout: Option<Limit<Duration>>,

    /// From the first byte of a message to its last (1m).
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    frame_timeout: Option<Limit<Duration>>,

    /// Without a byte in either direction (off).
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    idle_timeout: Option<Limit<Duration>>,

    /// While the client takes nothing of what waits for it (1m).
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    write_stall_timeout: Option<Limit<Duration>>,

    /// From the connection on, whatever it does (off).
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    lifetime: Option<Limit<Duration>>,

    /// From our closing a connection to the client's doing the same (10s).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    linger: Option<Duration>,

    /// From the first Ctrl-C to the end of what is still under way (10s).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    drain: Option<Duration>,
}

impl DeadlineArguments {
    /// Puts these deadlines in place of the loop's own.
    pub(crate) fn apply(&self, options: &mut Options) {
        let limits = [
            (self.handshake_timeout, &mut options.deadlines.handshake),
            (self.frame_timeout, &mut options.deadlines.frame),
            (self.idle_timeout, &mut options.deadlines.idle),
            (self.write_stall_timeout, &mut options.deadlines.write_stall),
            (self.lifetime, &mut options.deadlines.lifetime),
        ];
        for (given, deadline) in limits {
            if let Some(limit) = given {
                *deadline = limit.get();
            }
        }
        if let Some(linger) = self.linger {
            options.linger = linger;
        }
        if let Some(drain) = self.drain {
            options.drain = drain;
        }
    }
}
