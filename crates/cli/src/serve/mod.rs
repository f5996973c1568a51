//! `trunkline serve`: every service on a thread of its own, until a signal.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use std::convert::Infallible;

use trunkline::{
    Chunks, Error, EventLoop, Handler, Lines, Mechanism, Overflow, Remote, Server, Stats,
};

use crate::arguments::ServeArguments;
use crate::chatter::say;
use crate::encoding::Edge;
use crate::failure::Failure;
use crate::framing::Framing;
use crate::mechanism;
use crate::models::{self, Model};
use crate::services::{Ack, Discard, Echo, Greet, Log, Rooms, Service};

mod plan;
mod signals;

pub(crate) use plan::Plan;
use signals::StopSignals;

/// What all services have in common.
#[derive(Debug, Clone)]
struct Settings {
    mechanism: Option<Mechanism>,
    /// What `--frame` says.
    framing: Option<Framing>,
    frame_limit: usize,
    edge: Edge,
    max_connections: Option<usize>,
    verbose: bool,
}

/// A service that listens.
struct Running {
    service: Service,
    addresses: Vec<SocketAddr>,
    mechanism: Mechanism,
    remote: Remote<Infallible>,
}

/// A service that has ended.
struct Ended {
    service: Service,
    result: Result<Stats, Error>,
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
        max_connections: arguments.max_connections,
        verbose: arguments.verbose,
    };
    // Before anything is announced: who reads "listening" may send the signal at once.
    let signals = StopSignals::catch()?;
    let (ended_sender, ended) = channel();
    let mut running = Vec::new();
    for plan in plans {
        // When one cannot start, the others end with the process: none of them has been announced.
        running.push(launch(plan, &settings, ended_sender.clone())?);
    }
    drop(ended_sender);
    for service in &running {
        announce(service);
    }
    let remotes: Vec<_> = running.into_iter().map(|service| service.remote).collect();
    let interrupted = signals.stop(remotes.clone());
    let failure = wait_for(&ended, &remotes);
    match failure {
        Some(failure) => Err(failure),
        None if interrupted.at_once() => Err(Failure::failed(
            "stopped at once: open connections were reset",
        )
        .with_hint("a single Ctrl-C lets open connections finish")),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn announce(running: &Running) {
    for address in &running.addresses {
        say(&format!(
            "{} listening on {address} ({})",
            running.service.name(),
            running.mechanism
        ));
    }
}

/// Reports each service as it ends. When one fails the others are stopped; its error is returned.
fn wait_for(ended: &Receiver<Ended>, remotes: &[Remote<Infallible>]) -> Option<Failure> {
    let mut failure = None;
    let mut ended_count = 0;
    for Ended { service, result } in ended {
        ended_count += 1;
        match result {
            Ok(stats) => say(&summary(service, &stats)),
            Err(error) => {
                failure.get_or_insert(Failure::from(error));
                remotes.iter().for_each(Remote::stop);
            }
        }
    }
    if ended_count < remotes.len() {
        failure.get_or_insert(Failure::failed(
            "a service ended without a word: this is a bug in trunkline",
        ));
    }
    failure
}

fn summary(service: Service, stats: &Stats) -> String {
    let mut line = format!(
        "{}: served {}, errors {}, peak {}",
        service.name(),
        stats.accepted,
        stats.failed,
        stats.peak_open
    );
    if stats.refused > 0 {
        let _ = write!(line, ", refused {}", stats.refused);
    }
    if stats.accept_errors > 0 {
        // A client reset in the backlog, or no descriptor left (`ulimit -n`): none that was served.
        let _ = write!(line, ", accepts that failed {}", stats.accept_errors);
    }
    if stats.dropped > 0 {
        let _ = write!(line, ", messages dropped {}", stats.dropped);
    }
    line
}

/// Starts a service on a thread of its own and waits until it listens.
fn launch(plan: Plan, settings: &Settings, ended: Sender<Ended>) -> Result<Running, Failure> {
    let log = Log::new(plan.service.name(), settings.verbose);
    let asked = settings.framing.clone();
    // What the service speaks unless asked for something else.
    let bytes = || Framing::Chunks(Chunks::new());
    let lines = || Framing::Lines(Lines::new().limit(settings.frame_limit));
    let text = |asked: Option<Framing>| settings.edge.over(asked.unwrap_or_else(lines));
    match (plan.service, asked) {
        (Service::Echo, None) => {
            let codec = Chunks::new();
            launch_handler(Echo { log, codec }, plan, settings, ended)
        }
        (Service::Echo, Some(codec)) => launch_handler(Echo { log, codec }, plan, settings, ended),
        (Service::Ack, asked) => {
            let codec = text(asked)?;
            launch_handler(Ack { log, codec }, plan, settings, ended)
        }
        (Service::Greet, asked) => {
            let codec = text(asked)?;
            launch_handler(Greet { log, codec }, plan, settings, ended)
        }
        (Service::Discard, asked) => {
            let framing = asked.unwrap_or_else(bytes);
            launch_handler(Discard { log, framing }, plan, settings, ended)
        }
        (Service::Rooms, asked) => {
            let codec = text(asked)?;
            launch_handler(Rooms::new(log, codec), plan, settings, ended)
        }
    }
}

fn launch_handler<H>(
    handler: H,
    plan: Plan,
    settings: &Settings,
    ended: Sender<Ended>,
) -> Result<Running, Failure>
where
    H: Handler<Message = Infallible> + Send + 'static,
{
    let service = plan.service;
    let settings = settings.clone();
    let (started_sender, started) = channel();
    let body = move || {
        // The loop is made where it runs, so nothing in it need be able to change threads.
        let event_loop = match start(handler, &plan, &settings) {
            Ok(event_loop) => event_loop,
            Err(error) => {
                let _ = started_sender.send(Err(error));
                return;
            }
        };
        let running = Running {
            service,
            addresses: event_loop.local_addresses().to_vec(),
            mechanism: event_loop.network().mechanism(),
            remote: event_loop.remote(),
        };
        let _ = started_sender.send(Ok(running));
        let result = event_loop.run().map(|(_, stats)| stats);
        let _ = ended.send(Ended { service, result });
    };
    thread::Builder::new()
        .name(service.name().to_owned())
        .spawn(body)
        .map_err(|error| cannot_start(service, &error))?;
    let started = started
        .recv()
        .map_err(|error| cannot_start(service, &error))?;
    Ok(started?)
}

fn cannot_start(service: Service, why: &dyn std::error::Error) -> Failure {
    Failure::failed(format!("cannot start service {}: {why}", service.name()))
}

fn start<H: Handler>(handler: H, plan: &Plan, settings: &Settings) -> Result<EventLoop<H>, Error> {
    let mut server = Server::new(handler).mechanism(settings.mechanism);
    if let Some(connections) = settings.max_connections {
        server = server.max_connections(connections);
    }
    if plan.service == Service::Rooms {
        // A member who does not read would miss lines without knowing it: better to cut him off.
        server = server.overflow(Overflow::Close);
    }
    for address in &plan.addresses {
        server = server.listen(address);
    }
    server.start()
}
