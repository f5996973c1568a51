//! What can be typed, and how a mistake in it is answered.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::compare::CompareArguments;
use crate::failure::Failure;
use crate::load::LoadArguments;
use crate::models::{self, ModelArguments};
use crate::serve::{
    DeadlineArguments, LimitArguments, RateArguments, StatusArguments, StopArguments,
    ThreadArguments,
};
use crate::units::size;

/// Many connections on one thread: servers and clients over select, poll, epoll and `io_uring`.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Box<ServeArguments>),
    Connect(ConnectArguments),
    Load(Box<LoadArguments>),
    Compare(CompareArguments),
    /// Serves one client of `serve --model processes`.
    #[command(hide = true)]
    EchoStandardInput {
        /// The process that is to be the parent.
        server: i32,
    },
}

/// Serve one or many services until Ctrl-C.
///
/// Words alternate: a service, then the addresses it listens on. `trunkline serve` alone is the echo service on
/// 127.0.0.1:10001; a second service without an address takes 10002, and so on. Each service runs on one thread,
/// however many connections it has, unless --threads says more. `unix:/path` listens on a socket file.
///
/// The first Ctrl-C (or SIGTERM) stops accepting and lets open connections finish what is under way, for at most ten
/// seconds; the second one stops at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Services:
  echo     sends every byte back
  ack      answers each line with \"Got \" and the line
  greet    greets on connecting, then sends each line back
  discard  reads everything and answers nothing
  rooms    passes each line on to everybody else who is connected

Examples:
  trunkline serve
  trunkline serve echo :7000 rooms :7001 :7002
  trunkline serve --mechanism poll ack 0.0.0.0:7000
  trunkline serve echo unix:/tmp/echo.sock --threads 2
  trunkline serve ack :7000 --frame length:u32 --frame-limit 1MiB
  trunkline serve rooms :7000 --encoding cp1252 --errors replace

Framings:
  none             no messages, only bytes as they come
  lines            ended by LF or CRLF, written with LF; lines:lf and lines:crlf are strict
  eom:MARK         ended by any bytes; \\n \\r \\t \\0 \\\\ and \\x1f stand for one byte each
  length:u32       a number before each: u8, u16, u24, u32, u64 or varint
                   (length:u32:little: least byte first; length:u32:self: it counts itself)
  fixed:BYTES      all of one size
  netstring        5:hello,
  cobs             ended by a zero byte, which is encoded where a message holds it")]
pub(crate) struct ServeArguments {
    /// A service, or an address: host:port, or :port for 127.0.0.1 (port 0 takes a free one), `unix:/path`, or `unix:@name` for
    /// an abstract name.
    #[arg(value_name = "SERVICE|ADDRESS")]
    pub(crate) words: Vec<String>,

    /// How to ask the system which connections are ready: epoll, `io_uring`, poll or select (the best one unless given).
    #[arg(long, value_name = "NAME")]
    pub(crate) mechanism: Option<String>,

    /// Where a message ends: none, lines, lines:crlf, eom:MARK, length:u32, fixed:BYTES, netstring or cobs (none for echo and discard,
    /// lines for the others, unless given).
    #[arg(long, value_name = "FRAMING")]
    pub(crate) frame: Option<String>,

    /// The most bytes that a received message may have, such as 500, 10k or 64KiB.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64KiB", allow_negative_numbers = true)]
    pub(crate) frame_limit: usize,

    /// What the bytes on the wire are: UTF-8, latin1, cp1252, utf-16, sjis, cp037 and many others (for ack, greet and
    /// rooms, which are UTF-8 unless given).
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,

    /// What to do with bytes that are no text, and with characters that the encoding lacks: strict, replace, ignore,
    /// backslashreplace, or (for characters) xmlcharrefreplace.
    #[arg(long, value_name = "POLICY")]
    pub(crate) errors: Option<String>,

    #[command(flatten)]
    pub(crate) deadlines: DeadlineArguments,

    #[command(flatten)]
    pub(crate) rates: RateArguments,

    /// Say on standard error when a connection opens and how it ends.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) status: StatusArguments,

    #[command(flatten)]
    pub(crate) limits: LimitArguments,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,

    #[command(flatten)]
    pub(crate) stop: StopArguments,

    #[command(flatten)]
    pub(crate) model: ModelArguments,
}

/// Talk to one or many servers: standard input to all of them, their answers to standard output.
///
/// When standard input ends, the sending side of every connection is closed; the command ends when all servers have
/// closed theirs. With more than one server every line of output begins with the server's address in brackets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  printf 'hello\\n' | trunkline connect :10001
  trunkline connect localhost:7001 localhost:7002
  printf 'hello\\n' | trunkline connect :7000 --frame length:u32
  printf 'caf\\u00e9\\n' | trunkline connect :7000 --encoding latin1

With --frame each line of standard input is a message, and each message that comes is shown as a line.
`trunkline serve --help` lists the framings.")]
pub(crate) struct ConnectArguments {
    /// host:port, or :port for 127.0.0.1, `unix:/path`, or `unix:@name` for an abstract name.
    #[arg(value_name = "ADDRESS", required = true)]
    pub(crate) addresses: Vec<String>,

    /// How to ask the system which connections are ready: epoll, `io_uring`, poll or select (the best one unless given).
    #[arg(long, value_name = "NAME")]
    pub(crate) mechanism: Option<String>,

    /// Where a message ends: none, lines, lines:crlf, eom:MARK, length:u32, fixed:BYTES, netstring or cobs.
    #[arg(long, value_name = "FRAMING")]
    pub(crate) frame: Option<String>,

    /// The most bytes that a received message may have, such as 500, 10k or 64KiB.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64KiB", allow_negative_numbers = true)]
    pub(crate) frame_limit: usize,

    /// What the bytes on the wire are: UTF-8, latin1, cp1252, utf-16, sjis, cp037 and many others (standard input and
    /// output are UTF-8; unless given, bytes pass as they are).
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,

    /// What to do with bytes that are no text, and with characters that the encoding lacks: strict, replace, ignore,
    /// backslashreplace, or (for characters) xmlcharrefreplace.
    #[arg(long, value_name = "POLICY")]
    pub(crate) errors: Option<String>,
}

impl Arguments {
    /// The arguments of this process; otherwise the answer is printed and the exit code returned.
    pub(crate) fn from_command_line() -> Result<Self, ExitCode> {
        let matches = Self::command()
            .try_get_matches()
            .map_err(|error| answer(&error))?;
        if let Some(("serve", serve)) = matches.subcommand() {
            models::check_options(serve).map_err(|failure| failure.report())?;
        }
        Self::from_arg_matches(&matches).map_err(|error| answer(&error))
    }
}

/// Prints the help that was asked for, or what is wrong.
fn answer(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A reader who has closed the pipe does not want the help.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        _ => wrong_usage(error).report(),
    }
}

/// clap's answer, which takes a paragraph, as one line and a hint.
fn wrong_usage(error: &clap::Error) -> Failure {
    let rendered = error.render().to_string();
    let what: Vec<_> = rendered
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    let what = what.join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    let tip = rendered
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: "))
        // To be told how to pass a mistyped option as a word helps nobody here: no word begins with a hyphen.
        .filter(|tip| !tip.starts_with("to pass "));
    let help = rendered
        .lines()
        .find_map(|line| line.strip_prefix("Usage: "))
        .map(|usage| {
            let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
            let names: Vec<_> = usage.split(' ').take_while(is_name).collect();
            format!("`{} --help` shows what can be typed", names.join(" "))
        });
    let hint = tip.map(str::to_owned).or(help);
    Failure::usage(format!("wrong usage: {what}"))
        .with_hint(hint.unwrap_or_else(|| "`trunkline --help` shows what can be typed".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
