//! What is to be done, once everything that was typed has been understood and checked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use trunkline::Mechanism;

use super::arguments::LoadArguments;
use super::pace::Pace;
use super::sources;
use super::template::Template;
use super::verify::Verify;
use super::wire::Wire;
use crate::failure::Failure;
use crate::mechanism;
use crate::quantity::grouped;
use crate::units::Rate;

/// Unless something else is asked for.
const DURATION: Duration = Duration::from_secs(10);
/// Descriptors for everything but connections: standard input and output, and a selector with its waker for each thread.
const DESCRIPTORS_BESIDE: u64 = 16;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// As it was typed.
    pub(crate) target: String,
    pub(crate) addresses: Vec<SocketAddr>,
    /// Where connections come from; empty when the kernel chooses.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) connections: usize,
    pub(crate) connect_rate: Option<Rate>,
    pub(crate) threads: usize,
    pub(crate) pace: Pace,
    pub(crate) duration: Option<Duration>,
    pub(crate) count: Option<u64>,
    pub(crate) warm_up: Duration,
    pub(crate) wait: Duration,
    pub(crate) template: Template,
    pub(crate) wire: Wire,
    /// What one message takes on its way.
    pub(crate) message_bytes: usize,
    pub(crate) verify: Verify,
    pub(crate) mechanism: Option<Mechanism>,
}

impl Plan {
    /// What was typed, checked.
    pub(crate) fn of(arguments: &LoadArguments) -> Result<Self, Failure> {
        let connections = arguments.connections;
        let addresses = trunkline::resolve(&arguments.address)?;
        let mut template = Template::typed(arguments.message.as_deref(), arguments.size)?;
        let wire = Wire::named(
            &arguments.frame,
            arguments.reply.as_deref(),
            arguments.frame_limit,
            &template,
        )?;
        let verify = arguments
            .verify
            .unwrap_or(match (&arguments.message, &arguments.reply) {
                (None, None) => Verify::Echo,
                _ => Verify::Order,
            });
        if verify == Verify::Sequence && !template.has_sequence() {
            let failure =
                Failure::usage("cannot verify a sequence: the message has no number in it");
            return Err(failure.with_hint("put {seq} into --message"));
        }
        let threads = arguments.threads.min(connections);
        check_descriptors(connections as u64, threads as u64)?;
        let rate = arguments.rate.map(|rate| rate.over(connections as u64));
        let depth = arguments.depth as u64;
        Ok(Self {
            target: arguments.address.clone(),
            sources: sources::chosen(arguments.source.as_ref(), &addresses, connections)?,
            addresses,
            connections,
            connect_rate: arguments.connect_rate,
            threads,
            pace: rate.map_or(Pace::Closed { depth }, Pace::Open),
            duration: arguments
                .duration
                .or(arguments.count.is_none().then_some(DURATION)),
            count: arguments.count.map(|count| count as u64),
            warm_up: arguments.warm_up.unwrap_or_default(),
            wait: arguments.wait,
            message_bytes: wire.message_bytes(&mut template)?,
            template,
            wire,
            verify,
            mechanism: mechanism::choose(arguments.mechanism.as_deref())?,
        })
    }
}

/// Every connection takes a descriptor of ours. (The server's are the server's matter; whether it has enough shows when
/// connections are made.)
fn check_descriptors(connections: u64, threads: u64) -> Result<(), Failure> {
    let beside = DESCRIPTORS_BESIDE + 4 * threads;
    // `main` has raised the soft limit to the hard one where it may.
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Ok(());
    };
    if connections.saturating_add(beside) <= limit {
        return Ok(());
    }
    let failure = Failure::usage(format!(
        "{} connections are too many for this side: this process may open {} files and sockets, and {beside} are used \
         otherwise",
        grouped(connections),
        grouped(limit),
    ));
    Err(failure.with_hint(format!(
        "-c {} fits; `ulimit -Hn {}` as root, or LimitNOFILE= of a systemd unit, raises the limit (the server needs as many)",
        limit.saturating_sub(beside),
        connections.saturating_add(beside).next_power_of_two()
    )))
}
