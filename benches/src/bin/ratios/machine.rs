//! Where and when.

use std::fs;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

/// Date, processors and kernel in one line.
pub(crate) fn description() -> String {
    let (year, month, day) = today();
    let processors = available_parallelism().map_or(1, usize::from);
    let kernel = rustix::system::uname();
    format!(
        "{year}-{month:02}-{day:02}, {processors} processors ({}), {} {}",
        processor(),
        kernel.sysname().to_string_lossy(),
        kernel.release().to_string_lossy(),
    )
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("of an unknown kind".to_owned(), |(_, name)| name.to_owned())
}

/// The date in UTC, by the usual arithmetic over the 400 years after which the calendar repeats itself. Years begin
/// in March there, so that the leap day comes last.
fn today() -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let days = now.unwrap_or_default().as_secs() / 86_400 + DAYS_TO_1970;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}
