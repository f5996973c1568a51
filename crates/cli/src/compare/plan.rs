//! What is measured: checked and settled before anything is.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use trunkline::Mechanism;

use super::arguments::{CompareArguments, Part};
use crate::failure::Failure;
use crate::quantity::grouped;

/// Sources and connections go up to this, unless asked otherwise.
const MAX_BY_DEFAULT: usize = 10_000;
/// Descriptors that a process needs besides.
const DESCRIPTORS_SPARE: usize = 100;
/// What the smallest figures begin with.
const SOURCES_MIN: usize = 10;
const DESCRIPTOR_MIN: usize = 100;
/// Sources in the figure about descriptors' numbers.
pub(crate) const FEW_SOURCES: usize = 10;

/// All models, in the order in which they are shown: first those over a mechanism, so that each of these has the same
/// colour in all figures.
const MODELS: [&str; 8] = [
    "select",
    "poll",
    "epoll",
    "io_uring",
    "polling",
    "timeouts",
    "threads",
    "processes",
];

/// What is measured, and for how long.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order in which they are shown.
    pub(crate) mechanisms: Vec<Mechanism>,
    pub(crate) models: Vec<String>,
    pub(crate) sources: Vec<usize>,
    /// How many of the most sources are active.
    pub(crate) active: Vec<usize>,
    /// The highest numbers that the descriptors of a few sources have.
    pub(crate) descriptors: Vec<usize>,
    pub(crate) connections: Vec<usize>,
    pub(crate) dispatch: bool,
    pub(crate) served: bool,
    pub(crate) rounds: Option<usize>,
    pub(crate) time: Duration,
    /// What is left out, and why.
    pub(crate) left_out: Vec<String>,
}

impl Plan {
    pub(crate) fn new(arguments: &CompareArguments) -> Result<Self, Failure> {
        let room = room();
        let sources_max = settle(
            arguments.sources_max,
            room / 2,
            "--sources-max",
            "each source is a pair of sockets",
        )?;
        let connections_max = settle(
            arguments.connections_max,
            room.min(ports()),
            "--connections-max",
            "each connection takes a descriptor here and one in the server, and a port here",
        )?;
        let mut left_out = Vec::new();
        let mut works = |name: &str| match name.parse::<Mechanism>().map(Mechanism::check) {
            Ok(Err(unavailable)) => {
                left_out.push(unavailable.to_string());
                false
            }
            _ => true,
        };
        let models: Vec<_> = MODELS.into_iter().filter(|name| works(name)).collect();
        let mechanisms = models.iter().filter_map(|name| name.parse().ok()).collect();
        let part = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
        Ok(Self {
            mechanisms,
            models: models.into_iter().map(str::to_owned).collect(),
            sources: steps(SOURCES_MIN.min(sources_max), sources_max),
            active: steps(1, sources_max),
            descriptors: steps(DESCRIPTOR_MIN, (2 * sources_max).max(DESCRIPTOR_MIN)),
            connections: decades(connections_max),
            dispatch: part(Part::Mechanisms),
            served: part(Part::Models),
            rounds: arguments.rounds,
            time: arguments.time,
            left_out,
        })
    }

    pub(crate) fn sources_max(&self) -> usize {
        self.sources.last().copied().unwrap_or(0)
    }

    /// Why this model is not tried with so many connections.
    pub(crate) fn too_many(model: &str, connections: usize) -> Option<&'static str> {
        match model {
            "timeouts" if connections > 100 => {
                Some("with more than 100 silent clients it answers too slowly to wait for")
            }
            "processes" if connections > 1_000 => {
                Some("more than 1 000 processes take too long to start, and gigabytes")
            }
            _ => None,
        }
    }
}

/// How many descriptors may still be opened, about.
fn room() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(DESCRIPTORS_SPARE)
}

/// How many connections one address can make to another.
fn ports() -> usize {
    const USUAL: usize = 28_000;
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().map(str::parse::<usize>);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(last))) => last.saturating_sub(first),
        _ => USUAL,
    }
}

/// What was asked for, if there is room for it; else as much as is usual and there is room for.
fn settle(asked: Option<usize>, room: usize, option: &str, why: &str) -> Result<usize, Failure> {
    match asked {
        Some(asked) if asked > room => Err(Failure::usage(format!(
            "{option} {}: there is room for {} here: {why}",
            grouped(asked as u64),
            grouped(room as u64)
        ))
        .with_hint(
            "`ulimit -Hn` shows how many descriptors a process may have, and only the administrator can raise it",
        )),
        Some(asked) => Ok(asked),
        None if room == 0 => Err(Failure::failed(format!(
            "there is no room for anything here: {why}"
        ))
        .with_hint("`ulimit -Hn` shows how many descriptors a process may have")),
        None => Ok(two_digits(room.min(MAX_BY_DEFAULT))),
    }
}

/// Rounded down to a number that is easy to remember.
fn two_digits(number: usize) -> usize {
    let mut unit = 1;
    while number / unit >= 100 {
        unit *= 10;
    }
    number / unit * unit
}

/// 1, 3, 10, 30 … from `first` to `last`, both included.
fn steps(first: usize, last: usize) -> Vec<usize> {
    let all = (0..).flat_map(|power| [10_usize.pow(power), 3 * 10_usize.pow(power)]);
    between(all, first, last)
}

/// 1, 10, 100 … and `last`.
fn decades(last: usize) -> Vec<usize> {
    between((0..).map(|power| 10_usize.pow(power)), 1, last)
}

/// What is hardly less than the last would only stand in its way.
fn between(all: impl Iterator<Item = usize>, first: usize, last: usize) -> Vec<usize> {
    all.skip_while(|&number| number < first)
        .take_while(|&number| number * 3 / 2 < last)
        .chain([last])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_begin_and_end_where_they_should() {
        assert_eq!(steps(10, 9_900), [10, 30, 100, 300, 1_000, 3_000, 9_900]);
        assert_eq!(steps(10, 10_000), [10, 30, 100, 300, 1_000, 3_000, 10_000]);
        assert_eq!(steps(10, 110), [10, 30, 110]);
        assert_eq!(steps(1, 1), [1]);
        assert_eq!(steps(10, 10), [10]);
        assert_eq!(decades(10_000), [1, 10, 100, 1_000, 10_000]);
        assert_eq!(decades(5_000), [1, 10, 100, 1_000, 5_000]);
        assert_eq!(decades(1), [1]);
    }

    #[test]
    fn limits_are_rounded_down() {
        assert_eq!(two_digits(9_950), 9_900);
        assert_eq!(two_digits(10_000), 10_000);
        assert_eq!(two_digits(462), 460);
        assert_eq!(two_digits(7), 7);
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        assert_eq!(settle(Some(50), 100, "--x", "because").unwrap(), 50);
        assert!(settle(Some(101), 100, "--x", "because").is_err());
        assert_eq!(settle(None, 1_234_567, "--x", "because").unwrap(), 10_000);
        assert!(settle(None, 0, "--x", "because").is_err());
    }
}
