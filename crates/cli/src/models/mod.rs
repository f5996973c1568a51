//! One service, built in every way that a program can serve several clients at once: the echo service of
//! `trunkline serve`, for learning from and for measuring (`trunkline compare`).
//!
//! | Model | How it has an eye on all clients | File |
//! |---|---|---|
//! | `polling` | tries each socket in turn, without ever waiting | [`polling`] |
//! | `timeouts` | waits on each socket in turn, for a short time | [`timeouts`] |
//! | `threads` | a thread for each, which waits for it alone | [`threads`] |
//! | `processes` | a process for each, which waits for it alone | [`processes`] |
//! | `engine` | one wait for all: asks the system who is ready | `services::echo`, over the best mechanism |
//! | `select` `poll` `epoll` `io_uring` | the same, over this mechanism | `services::echo` |
//!
//! The first four are complete and deliberately plain: sockets of the standard library, no engine. What each does not
//! do well is said at its top.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Id};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use trunkline::{Address, Error, Mechanism, Operation};

use crate::chatter::say;
use crate::failure::Failure;
use crate::serve::Plan;
use crate::services::Service;
use crate::{mechanism, suggest};

mod accept;
mod conversation;
mod echo;
mod polling;
pub(crate) mod processes;
mod stop;
mod tally;
mod threads;
mod timeouts;

use stop::Stop;
use tally::Tally;

/// How many clients the kernel may hold before they are accepted, as in the engine.
const BACKLOG: u32 = 4096;

/// How the server is built.
#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    /// How the echo service is built, for comparison: engine, or with this mechanism select, poll, epoll or `io_uring`;
    /// or without the engine: threads or processes (one per connection), timeouts (waits on each in turn), polling (tries
    /// each in turn, and never rests).
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,

    /// Be killed when the program that started this one, the process of this number, ends, however it ends.
    #[arg(long, hide = true, value_name = "PID")]
    pub(crate) die_with_parent: Option<i32>,
}

/// A way to build a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// One thread over a mechanism: this one, or the best.
    Engine(Option<Mechanism>),
    /// One without the engine.
    Plain(Plain),
}

/// A way to build a server without the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    Threads,
    Processes,
    Timeouts,
    Polling,
}

impl Plain {
    const ALL: [Self; 4] = [
        Self::Threads,
        Self::Processes,
        Self::Timeouts,
        Self::Polling,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Processes => "processes",
            Self::Timeouts => "timeouts",
            Self::Polling => "polling",
        }
    }

    fn serve(self, listener: &TcpListener, stop: &Stop) -> std::io::Result<Tally> {
        match self {
            Self::Threads => threads::serve(listener, stop),
            Self::Processes => processes::serve(listener, stop),
            Self::Timeouts => timeouts::serve(listener, stop),
            Self::Polling => polling::serve(listener, stop),
        }
    }
}

impl Model {
    /// The model of this name, if it works here.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        if name == "engine" {
            return Ok(Self::Engine(None));
        }
        if let Some(plain) = Plain::ALL.into_iter().find(|plain| plain.name() == name) {
            return Ok(Self::Plain(plain));
        }
        if name.parse::<Mechanism>().is_ok() {
            return Ok(Self::Engine(mechanism::choose(Some(name))?));
        }
        Err(unknown(name))
    }
}

fn unknown(name: &str) -> Failure {
    let mechanisms = Mechanism::all().iter().map(ToString::to_string);
    let plain = Plain::ALL.map(|plain| plain.name().to_owned());
    let names: Vec<_> = std::iter::once("engine".to_owned())
        .chain(mechanisms)
        .chain(plain)
        .collect();
    let failure = Failure::usage(format!(
        "unknown model {name:?}: there is none of that name"
    ));
    match suggest::nearest(name, names.iter().map(String::as_str)) {
        Some(nearest) => failure.with_hint(format!("did you mean {nearest:?}?")),
        None => failure.with_hint(format!("the models are {}", names.join(", "))),
    }
}

impl ModelArguments {
    /// Carries out what has to be done before anything else.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        self.die_with_parent.map_or(Ok(()), die_with)
    }
}

/// From now on this process is killed when its parent, the process of this number, ends.
fn die_with(parent: i32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| {
        Failure::failed(format!("cannot tie this process to its parent: {error}"))
    })?;
    // One that ended before sends no signal; then this process is another one's child by now.
    if getppid() == Pid::from_raw(parent) {
        Ok(())
    } else {
        Err(Failure::failed(
            "the program that started this one has ended",
        ))
    }
}

/// Refuses what a model without the engine does not have, rather than ignoring it.
pub(crate) fn check_options(serve: &ArgMatches) -> Result<(), Failure> {
    let Some(name) = serve.get_one::<String>("model") else {
        return Ok(());
    };
    let allowed: &[&str] = match Model::named(name)? {
        Model::Plain(_) => &["model", "words", "die_with_parent"],
        // The model names the mechanism.
        Model::Engine(Some(_)) => &["mechanism"],
        Model::Engine(None) => return Ok(()),
    };
    let plain = allowed.contains(&"model");
    let typed = |id: &&str| serve.value_source(id) == Some(ValueSource::CommandLine);
    let unwanted = serve
        .ids()
        .map(Id::as_str)
        // A group of options is no option.
        .filter(|id| id.starts_with(|letter: char| letter.is_ascii_lowercase()))
        .filter(|id| allowed.contains(id) != plain)
        .find(typed);
    match unwanted {
        Some(id) => Err(Failure::usage(format!(
            "--{} cannot be used with --model {name}",
            id.replace('_', "-")
        ))
        .with_hint(if plain {
            "the models without the engine are the plain echo service: they have no options"
        } else {
            "--model names the mechanism already: leave one of the two out"
        })),
        None => Ok(()),
    }
}

/// Where a model without the engine is to serve.
pub(crate) fn only_echo(plain: Plain, plans: &[Plan]) -> Result<SocketAddr, Failure> {
    let (usage, hint) = match plans {
        [only] if only.service == Service::Echo => match &only.addresses[..] {
            [Address::Ip(address)] => return Ok(*address),
            [Address::Unix(_)] => (
                "serves a port",
                "give host:port, or leave --model out for a socket file",
            ),
            _ => (
                "serves one address",
                "give one address, or leave --model out",
            ),
        },
        _ => (
            "is the echo service only",
            "leave --model out for the other services, and for several",
        ),
    };
    Err(Failure::usage(format!("--model {} {usage}", plain.name())).with_hint(hint))
}

/// Serves echo, without the engine, until a signal.
pub(crate) fn serve(plain: Plain, address: SocketAddr) -> Result<ExitCode, Failure> {
    let bound = trunkline::net::listen(address, BACKLOG);
    let listener =
        bound.map_err(|error| Error::new(Operation::Bind, Some(address.to_string()), error))?;
    let address = listener
        .local_addr()
        .map_err(|error| Error::new(Operation::Bind, Some(address.to_string()), error))?;
    let stop = Stop::on_signals()?;
    say(&format!("echo listening on {address} ({})", plain.name()));
    let tally = plain
        .serve(&listener, &stop)
        .map_err(|error| Error::new(Operation::Accept, Some(address.to_string()), error))?;
    say(&tally.summary());
    Ok(ExitCode::SUCCESS)
}
