//! Where and when it was measured: a figure without that says nothing.

use std::fs;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

/// The facts that a reader needs to compare with another machine.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Day and time, UTC.
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) is_virtual: bool,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) system: String,
    pub(crate) descriptors_max: Option<u64>,
    /// Processes that wanted a processor in the minute before, on average; ours not among them.
    pub(crate) load_before: Option<f64>,
    pub(crate) trunkline: &'static str,
    /// Without optimisation everything is slower, and not everything to the same degree.
    pub(crate) optimised: bool,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let processor_facts = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let fact = |name: &str| {
            let line = processor_facts
                .lines()
                .find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kibibytes = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let name = rustix::system::uname();
        Self {
            date: date(SystemTime::now()),
            processor: fact("model name").unwrap_or_else(|| "unknown processor".to_owned()),
            processors: thread::available_parallelism().map_or(1, usize::from),
            is_virtual: fact("flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            memory_bytes: kibibytes.map(|kibibytes| kibibytes * 1024),
            system: format!(
                "{} {} {}",
                name.sysname().to_string_lossy(),
                name.release().to_string_lossy(),
                name.machine().to_string_lossy()
            ),
            descriptors_max: getrlimit(Resource::Nofile).current,
            load_before: load.split(' ').next().and_then(|load| load.parse().ok()),
            trunkline: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
        }
    }
}

/// `2026-11-21 19:04 UTC`.
fn date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = day(seconds / 86_400);
    let (hour, minute) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// The day of the calendar that comes so many days after 1970-01-01.
fn day(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day(0), (1970, 1, 1));
        assert_eq!(day(59), (1970, 3, 1));
        assert_eq!(day(11_016), (2000, 2, 29));
        assert_eq!(day(20_778), (2026, 11, 21));
        assert_eq!(day(47_540), (2100, 2, 28));
        assert_eq!(day(47_541), (2100, 3, 1));
        let time = UNIX_EPOCH + Duration::from_secs(20_778 * 86_400 + 19 * 3_600 + 4 * 60);
        assert_eq!(date(time), "2026-11-21 19:04 UTC");
    }
}
