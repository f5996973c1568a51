//! What can be typed after `trunkline compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::units::{count, duration};

/// Measure what the ways to serve many clients cost, on this machine, as a table and as a page with figures.
///
/// Two parts. "mechanisms": what it costs to learn who is ready, from select, poll, epoll and `io_uring`, with up to
/// thousands of socket pairs. "models": what the echo service costs that is built without any of them (a polling loop,
/// timeouts in turn, a thread or a process per connection) and with each; the same messages over the same connections.
///
/// Everything is measured in rounds, and what is shown is the median of the rounds with the range. It takes less
/// than two minutes; let nothing else run meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trunkline compare
  trunkline compare mechanisms --sources-max 1k
  trunkline compare models --connections-max 100 --rounds 3
  trunkline compare --json > figures.json

What it needs: a descriptor for each connection in this process and in the server, and two for each source. The soft
limit is raised to the hard one (`ulimit -Hn`) by itself.")]
pub(crate) struct CompareArguments {
    /// What to measure; both unless given.
    #[arg(value_name = "PART", value_enum)]
    pub(crate) parts: Vec<Part>,

    /// The most sources that are registered at once (10k, or as many as there are descriptors for).
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub(crate) sources_max: Option<usize>,

    /// The most connections that are open at once (10k, or as many as there are descriptors for).
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub(crate) connections_max: Option<usize>,

    /// How often everything is measured, instead of as often as there is time for.
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub(crate) rounds: Option<usize>,

    /// How long it may take, about.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "105s", conflicts_with = "rounds", allow_negative_numbers = true)]
    pub(crate) time: Duration,

    /// Where the page goes.
    #[arg(long, value_name = "FILE", default_value = "trunkline-compare.html")]
    pub(crate) html: PathBuf,

    /// Write the page even where another file is in its place.
    #[arg(long)]
    pub(crate) force: bool,

    /// Print data for programs instead of a table: every sample of every round.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// What it costs to learn who is ready.
    Mechanisms,
    /// What servers cost that are built in different ways.
    Models,
}
