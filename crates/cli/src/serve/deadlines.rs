//! The flags that say how long a connection may take over things.

use std::time::Duration;

use clap::Args;
use trunkline::{Handler, Server};

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
    /// The server with these deadlines instead of its own.
    pub(crate) fn apply<H: Handler>(&self, mut server: Server<H>) -> Server<H> {
        if let Some(limit) = self.handshake_timeout {
            server = server.handshake_timeout(limit.get());
        }
        if let Some(limit) = self.frame_timeout {
            server = server.frame_timeout(limit.get());
        }
        if let Some(limit) = self.idle_timeout {
            server = server.idle_timeout(limit.get());
        }
        if let Some(limit) = self.write_stall_timeout {
            server = server.write_stall_timeout(limit.get());
        }
        if let Some(limit) = self.lifetime {
            server = server.lifetime(limit.get());
        }
        if let Some(linger) = self.linger {
            server = server.linger(linger);
        }
        match self.drain {
            Some(drain) => server.drain(drain),
            None => server,
        }
    }
}
