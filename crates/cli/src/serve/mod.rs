//! `trunkline serve`: every service on a thread of its own, or several, until a signal.

use std::process::ExitCode;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use trunkline::{
    Chunks, Handler, Lines, Mechanism, Options, Overflow, Seat, Server, ThreadedServer,
};

use crate::arguments::ServeArguments;
use crate::encoding::Edge;
use crate::failure::Failure;
use crate::framing::Framing;
use crate::mechanism;
use crate::models::{self, Model};
use crate::services::{Ack, Discard, Echo, Greet, Log, Rooms, Service};

mod deadlines;
mod limits;
mod plan;
mod rates;
mod ready;
mod running;
mod signals;
mod status;
mod threading;

pub(crate) use deadlines::DeadlineArguments;
pub(crate) use limits::LimitArguments;
pub(crate) use plan::Plan;
pub(crate) use rates::RateArguments;
use ready::ReadyFile;
use running::{Cut, Ended, Running, wait_for};
use signals::StopSignals;
pub(crate) use threading::{StatusArguments, StopArguments, ThreadArguments};

/// What all services have in common.
#[derive(Debug, Clone)]
struct Settings {
    mechanism: Option<Mechanism>,
    /// What `--frame` says.
    framing: Option<Framing>,
    frame_limit: usize,
    edge: Edge,
    limits: LimitArguments,
    deadlines: DeadlineArguments,
    rates: RateArguments,
    threads: ThreadArguments,
    stop: StopArguments,
    verbose: bool,
}

/// Serves until stopped.
pub(crate) fn run(arguments: &ServeArguments) -> Result<ExitCode, Failure> {
    arguments.model.prepare()?;
    let plans = plan::plan(&arguments.words)?;
    let mechanism = match &arguments.model.model {
        None => mechanism::choose(arguments.mechanism.as_deref())?,
        Some(name) => match Model::named(name)? {
            Model::Plain(plain) => {
                return models::serve(plain, models::only_echo(plain, &plans)?);
            }
            Model::Engine(Some(mechanism)) => Some(mechanism),
            Model::Engine(None) => mechanism::choose(arguments.mechanism.as_deref())?,
        },
    };
    let settings = Settings {
        mechanism,
        framing: match &arguments.frame {
            Some(frame) => Some(Framing::named(frame, arguments.frame_limit)?),
            None => None,
        },
        frame_limit: arguments.frame_limit,
        edge: Edge::named(arguments.encoding.as_deref(), arguments.errors.as_deref())?,
        limits: arguments.limits.clone(),
        deadlines: arguments.deadlines.clone(),
        rates: arguments.rates.clone(),
        threads: arguments.threads.clone(),
        stop: arguments.stop.clone(),
        verbose: arguments.verbose,
    };
    // Before anything is announced: who reads "listening" may send the signal at once.
    let signals = StopSignals::catch()?;
    let (ended_sender, ended) = channel();
    let mut running = Vec::new();
    for plan in plans {
        // When one cannot start, the others end with the process: none of them has been announced.
        running.push(launch(&plan, &settings, ended_sender.clone())?);
    }
    drop(ended_sender);
    let ready = match &settings.stop.ready_file {
        Some(path) => {
            let addresses = running.iter().flat_map(|running| &running.addresses);
            let addresses: Vec<_> = addresses.map(ToString::to_string).collect();
            Some(ReadyFile::write(path, &addresses)?)
        }
        None => None,
    };
    let ready = Arc::new(Mutex::new(ready));
    running.iter().for_each(Running::announce);
    let controls: Vec<_> = running.into_iter().map(|running| running.control).collect();
    if arguments.status.status {
        status::draw(controls.clone())?;
    }
    let interrupted = signals.stop(controls.clone(), Arc::clone(&ready));
    let cut = wait_for(&ended, &controls);
    // When a service fails there was no signal to take it away.
    drop(ready.lock().map(|mut ready| ready.take()));
    let cut = cut?;
    if interrupted.at_once() {
        let stopped = Failure::failed("stopped at once: open connections were reset");
        return Err(stopped.with_hint("a single Ctrl-C lets open connections finish"));
    }
    match cut {
        Cut { aborted: 0, unsent_bytes: 0 } => Ok(ExitCode::SUCCESS),
        Cut { aborted, unsent_bytes } => Err(Failure::failed(format!(
            "not all could finish: connections reset {aborted}, bytes not sent {unsent_bytes}"
        ))
        .with_hint("clients that do not read cannot be waited for; a longer drain helps those that are only slow")),
    }
}

/// Starts a service, and waits until it listens.
fn launch(plan: &Plan, settings: &Settings, ended: Sender<Ended>) -> Result<Running, Failure> {
    let log = Log::new(plan.service.name(), settings.verbose);
    let asked = settings.framing.clone();
    // What the service speaks unless asked for something else.
    let bytes = || Framing::Chunks(Chunks::new());
    let lines = || Framing::Lines(Lines::new().limit(settings.frame_limit));
    let text = |asked: Option<Framing>| settings.edge.over(asked.unwrap_or_else(lines));
    match (plan.service, asked) {
        (Service::Echo, None) => {
            let echo = move |_| Echo {
                log: log.clone(),
                codec: Chunks::new(),
            };
            launch_handler(echo, plan, settings, ended)
        }
        (Service::Echo, Some(codec)) => {
            let echo = move |_| Echo {
                log: log.clone(),
                codec: codec.clone(),
            };
            launch_handler(echo, plan, settings, ended)
        }
        (Service::Ack, asked) => {
            let codec = text(asked)?;
            let ack = move |_| Ack {
                log: log.clone(),
                codec: codec.clone(),
            };
            launch_handler(ack, plan, settings, ended)
        }
        (Service::Greet, asked) => {
            let codec = text(asked)?;
            let greet = move |_| Greet {
                log: log.clone(),
                codec: codec.clone(),
            };
            launch_handler(greet, plan, settings, ended)
        }
        (Service::Discard, asked) => {
            let framing = asked.unwrap_or_else(bytes);
            let discard = move |_| Discard {
                log: log.clone(),
                framing: framing.clone(),
            };
            launch_handler(discard, plan, settings, ended)
        }
        (Service::Rooms, asked) => {
            let codec = text(asked)?;
            let here = Arc::new(AtomicUsize::new(0));
            let rooms = move |seat| Rooms::new(log.clone(), codec.clone(), seat, Arc::clone(&here));
            launch_handler(rooms, plan, settings, ended)
        }
    }
}

fn launch_handler<H: Handler + 'static>(
    factory: impl Fn(Seat<H::Message>) -> H + Send + Sync + 'static,
    plan: &Plan,
    settings: &Settings,
    ended: Sender<Ended>,
) -> Result<Running, Failure> {
    let threads = &settings.threads;
    let mut server: ThreadedServer<H> = Server::threads(threads.threads, factory)
        .options(options(plan.service, settings))
        .sharing(threads.sharing());
    for address in &plan.addresses {
        server = server.listen(address);
    }
    Running::new(plan.service, server.start()?, ended)
}

fn options(service: Service, settings: &Settings) -> Options {
    let mut options = Options {
        mechanism: settings.mechanism,
        ..Options::default()
    };
    settings.limits.apply(&mut options);
    settings.deadlines.apply(&mut options);
    settings.rates.apply(&mut options);
    settings.stop.apply(&mut options);
    if service == Service::Rooms {
        // A member who does not read would miss lines without knowing it: better to cut him off.
        options.overflow = Overflow::Close;
    }
    options
}
