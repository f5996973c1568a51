//! The flags that say on how many threads a service runs, and how it stops.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use trunkline::{Options, Sharing};

use crate::units::{count, duration};

/// What is shown while it serves.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatusArguments {
    /// Draw a line on standard error, where that is a terminal, that tells every second how it goes: connections, new
    /// ones, messages and bytes per second, messages dropped, and the longest of the usual turns.
    #[arg(long)]
    pub(crate) status: bool,
}

/// Threads.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Threads")]
pub(crate) struct ThreadArguments {
    /// Threads of each service; they share its port, and the limits hold for all of them together.
    #[arg(long, value_name = "NUMBER", value_parser = count, default_value = "1", allow_negative_numbers = true)]
    pub(crate) threads: usize,

    /// Have one more thread accept, which gives each connection to the thread that has the fewest (with `unix:` addresses it
    /// is always so).
    #[arg(long)]
    acceptor: bool,
}

impl ThreadArguments {
    pub(crate) fn sharing(&self) -> Sharing {
        if self.acceptor {
            Sharing::Acceptor
        } else {
            Sharing::ReusePort
        }
    }
}

/// Stopping.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Stopping")]
pub(crate) struct StopArguments {
    /// After the first Ctrl-C, go on as before for so long: the time in which a load balancer notices that the ready file
    /// is gone.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    drain_lag: Option<Duration>,

    /// A file that is there as long as new clients are welcome: it holds the addresses, one a line.
    #[arg(long, value_name = "PATH")]
    pub(crate) ready_file: Option<PathBuf>,
}

impl StopArguments {
    pub(crate) fn apply(&self, options: &mut Options) {
        if let Some(lag) = self.drain_lag {
            options.drain_lag = lag;
        }
    }
}
