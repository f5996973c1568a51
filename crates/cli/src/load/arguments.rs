//! What can be typed behind `trunkline load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::pace::{OpenRate, open_rate};
use super::slo::{Targets, targets};
use super::sources::{Sources, sources};
use super::verify::Verify;
use crate::units::{Rate, count, duration, rate, size};

/// Load a server with messages, and tell how long it takes to answer.
///
/// With --rate the schedule is fixed before the first message: message k is due at k/rate, whether or not the server
/// has answered the ones before. A server that stands still for a second is then seen to answer a second's messages
/// late, as its users would. Without --rate each connection sends its next message when an answer has come: what the
/// server can do at most, but a standstill costs only one late answer for each connection.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trunkline load :7000 --connections 100 --rate 20k/s --duration 30s
  trunkline load :7000 -c 10k -r 5/s/conn --slo p99=5ms,max=1s
  trunkline load :7000 -c 8 --depth 16 --count 1m --html report.html
  trunkline load :7001 --frame lines --message 'number {seq}' --verify sequence
  trunkline load :80 -m 'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' --reply fixed:83
  trunkline load :7000 -c 100 --find-rate --slo p99=5ms

Messages:
  text            with \\n \\r \\t \\0 \\\\ and \\x1f for one byte each
  {seq} {seq:6}   the message's number on its connection, in ten digits or as many as are given
  {conn} {conn:4} the connection's number, in six digits or as many as are given
  hex:0a0bff      bytes
  @file           what is in the file, as it is

Exit codes: 0 good, 1 failed (refused, lost, unanswered or wrong answers), 2 wrong usage, 3 --slo missed, 4 with
--strict, the measurement is not valid because this side was the limit.")]
pub(crate) struct LoadArguments {
    /// host:port, or :port for 127.0.0.1.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,

    /// How many connections, such as 100 or 10k.
    #[arg(short, long, value_name = "NUMBER", value_parser = count, default_value = "1", allow_negative_numbers = true)]
    pub(crate) connections: usize,

    /// At most so many new connections in a second, such as 500/s (as fast as they are accepted unless given).
    #[arg(long, value_name = "RATE", value_parser = rate, allow_negative_numbers = true)]
    pub(crate) connect_rate: Option<Rate>,

    /// Messages in a second over all connections, such as 20k/s, or on each, such as 5/s/conn.
    #[arg(short, long, value_name = "RATE", value_parser = open_rate, conflicts_with = "depth", allow_negative_numbers = true)]
    pub(crate) rate: Option<OpenRate>,

    /// Without --rate: messages under way at once on each connection.
    #[arg(long, value_name = "NUMBER", value_parser = count, default_value = "1", allow_negative_numbers = true)]
    pub(crate) depth: usize,

    /// How long to send, such as 10s or 1m30s (10s unless --count is given; 2s for each attempt of --find-rate).
    #[arg(short, long, value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    pub(crate) duration: Option<Duration>,

    /// How many messages to send in all, such as 1m.
    #[arg(short = 'n', long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub(crate) count: Option<usize>,

    /// Send for so long before anything is counted.
    #[arg(long, value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    pub(crate) warm_up: Option<Duration>,

    /// How long to wait for answers after the last message is due.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "3s", allow_negative_numbers = true)]
    pub(crate) wait: Duration,

    /// What to send: text, hex:0a0b or @file (64 bytes with the connection's and the message's number unless given).
    #[arg(short, long, value_name = "MESSAGE", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,

    /// Fill each message up with dots to so many bytes.
    #[arg(long, value_name = "SIZE", value_parser = size, allow_negative_numbers = true)]
    pub(crate) size: Option<usize>,

    /// Where a message ends, here and in the answers: none, lines, eom:MARK, length:u32, fixed:BYTES, netstring, cobs.
    #[arg(long, value_name = "FRAMING", default_value = "none")]
    pub(crate) frame: String,

    /// Where an answer ends, if not as --frame says (with --frame none: an answer is as long as the message).
    #[arg(long, value_name = "FRAMING")]
    pub(crate) reply: Option<String>,

    /// The most bytes that an answer may have.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64KiB", allow_negative_numbers = true)]
    pub(crate) frame_limit: usize,

    /// How answers are held against messages: order (one each, whatever it says), sequence (it contains the message's
    /// number) or echo (it is the message). Unless given: echo with the built-in message, else order.
    #[arg(long, value_name = "HOW")]
    pub(crate) verify: Option<Verify>,

    /// Come from these addresses of this machine by turns: 127.0.0.2,127.0.0.3 or 127.0.0.2-127.0.0.9 (on loopback
    /// chosen as needed unless given).
    #[arg(long, value_name = "ADDRESSES", value_parser = sources)]
    pub(crate) source: Option<Sources>,

    /// Divide the connections among so many threads.
    #[arg(long, value_name = "NUMBER", value_parser = count, default_value = "1", allow_negative_numbers = true)]
    pub(crate) threads: usize,

    /// What must hold, or the exit code is 3: p99=5ms, max=1s, mean=2ms, errors=0.1%; several with commas between.
    #[arg(long, value_name = "TARGET", value_parser = targets)]
    pub(crate) slo: Option<Targets>,

    /// Exit with 4 when this side was the limit, so that the figures say nothing of the server.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Look for the highest rate at which --slo holds (p99=10ms unless given), from --rate or 1k/s on.
    #[arg(long, conflicts_with_all = ["depth", "count"])]
    pub(crate) find_rate: bool,

    /// How long to measure this side's own noise before (off: not at all, and it is not known).
    #[arg(long, value_name = "TIME", value_parser = crate::units::duration_or_off, default_value = "250ms")]
    pub(crate) noise: crate::units::Limit<Duration>,

    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// Also write the result as a page with pictures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// How to ask the system which connections are ready: epoll, `io_uring`, poll or select (the best one unless given).
    #[arg(long, value_name = "NAME")]
    pub(crate) mechanism: Option<String>,
}
