//! When messages are due: arithmetic alone, so that a schedule of any length takes no memory.

use std::time::Duration;

use crate::units::{Rate, rate};

/// `--rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenRate {
    /// Over all connections together.
    Total(Rate),
    /// On each connection.
    Each(Rate),
}

/// `20k/s`, `20k`, `5/s/conn`.
pub(crate) fn open_rate(text: &str) -> Result<OpenRate, String> {
    let each = ["/conn", "/connection", "/c"];
    let stripped = each.iter().find_map(|suffix| text.strip_suffix(suffix));
    let (number, each) = stripped.map_or((text, false), |number| (number, true));
    match rate(number) {
        Ok(rate) if each => Ok(OpenRate::Each(rate)),
        Ok(rate) => Ok(OpenRate::Total(rate)),
        Err(error) => Err(match (error.strip_suffix('?'), meant(number)) {
            (Some(hint), _) if each => format!("{hint}/conn?"),
            (Some(_), _) => error,
            (None, Some(meant)) => format!("{error}, or 5/s/conn; did you mean {meant}?"),
            (None, None) => format!("{error}, or 5/s/conn on each connection"),
        }),
    }
}

/// The nearest that can be understood, where there is a number at all.
fn meant(text: &str) -> Option<String> {
    // `5/s/each`, `5/s/con`
    if let Some((total, _)) = text
        .rsplit_once('/')
        .filter(|(total, _)| total.contains('/'))
    {
        return rate(total).is_ok().then(|| format!("{total}/conn"));
    }
    let digits = text
        .trim_start()
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count();
    let number = &text.trim_start()[..digits];
    rate(number).is_ok().then(|| format!("{number}/s"))
}

/// How messages follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// Message k is due at k/rate, whatever became of those before.
    Open(Rate),
    /// So many are under way on each connection; the next is due when an answer has come.
    Closed { depth: u64 },
}

impl OpenRate {
    /// For all of so many connections together.
    pub(crate) fn over(self, connections: u64) -> Rate {
        match self {
            Self::Total(rate) => rate,
            Self::Each(rate) => Rate {
                count: rate.count.saturating_mul(connections),
                ..rate
            },
        }
    }
}

/// A schedule fixed in advance. Messages are numbered over all connections, and dealt to them by turns: connection i of
/// n has the messages i, i + n, i + 2n …
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Nanoseconds between two messages, in units of 2^-32 of one.
    step: u128,
    connections: u64,
    /// So many messages are due in all.
    total: u64,
}

const FRACTION_BITS: u32 = 32;

impl Schedule {
    /// `total` messages at `rate`, over so many connections (at least one).
    pub(crate) fn new(rate: Rate, connections: u64, total: u64) -> Self {
        let step = (rate.per.as_nanos() << FRACTION_BITS) / u128::from(rate.count.max(1));
        Self {
            step,
            connections: connections.max(1),
            total,
        }
    }

    /// How many are due before `nanoseconds` have passed: the first is due at once.
    pub(crate) fn due_before(rate: Rate, nanoseconds: u64) -> u64 {
        let numerator = u128::from(nanoseconds) * u128::from(rate.count);
        u64::try_from(numerator.div_ceil(rate.per.as_nanos().max(1))).unwrap_or(u64::MAX)
    }

    /// When message `sequence` of connection `connection` is due, in nanoseconds from the start.
    #[inline]
    pub(crate) fn due(&self, connection: u64, sequence: u64) -> u64 {
        let number = sequence
            .saturating_mul(self.connections)
            .saturating_add(connection);
        let due = (u128::from(number) * self.step) >> FRACTION_BITS;
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// How many messages this connection has in all.
    pub(crate) fn share(&self, connection: u64) -> u64 {
        share(self.total, connection, self.connections)
    }

    /// When one more message would be due.
    pub(crate) fn end(&self) -> u64 {
        let due = (u128::from(self.total) * self.step) >> FRACTION_BITS;
        u64::try_from(due).unwrap_or(u64::MAX)
    }
}

/// What one of `connections` gets when `total` are dealt by turns.
pub(crate) fn share(total: u64, connection: u64, connections: u64) -> u64 {
    total.saturating_sub(connection).div_ceil(connections)
}

/// A time as the schedule counts it.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_second(count: u64) -> Rate {
        Rate {
            count,
            per: Duration::from_secs(1),
        }
    }

    #[test]
    fn messages_are_dealt_by_turns_and_evenly_in_time() {
        let schedule = Schedule::new(per_second(1_000), 3, 10);
        assert_eq!(schedule.due(0, 0), 0);
        assert_eq!(schedule.due(1, 0), 1_000_000);
        assert_eq!(schedule.due(0, 1), 3_000_000);
        assert_eq!(
            schedule.share(0) + schedule.share(1) + schedule.share(2),
            10
        );
        assert_eq!((schedule.share(0), schedule.share(2)), (4, 3));
        assert_eq!(schedule.end(), 10_000_000);
    }

    #[test]
    fn a_day_at_an_odd_rate_does_not_drift() {
        let rate = per_second(300_007);
        let day = 86_400 * 1_000_000_000;
        let total = Schedule::due_before(rate, day);
        assert_eq!(total, 86_400 * 300_007);
        let schedule = Schedule::new(rate, 1, total);
        assert!(schedule.end().abs_diff(day) < 10, "{}", schedule.end());
    }

    #[test]
    fn rates_are_total_or_for_each_connection() {
        assert_eq!(open_rate("20k/s"), Ok(OpenRate::Total(per_second(20_000))));
        assert_eq!(open_rate("5/s/conn"), Ok(OpenRate::Each(per_second(5))));
        assert_eq!(
            open_rate("5/s/conn").map(|rate| rate.over(100)),
            Ok(per_second(500))
        );
        assert!(
            open_rate("20k/sec")
                .unwrap_err()
                .contains("did you mean 20k/s?")
        );
        let error = open_rate("20/sec/conn").unwrap_err();
        assert!(error.contains("did you mean 20/s/conn?"), "{error}");
        for (typed, meant) in [
            ("5/s/con", "5/s/conn"),
            ("10q", "10/s"),
            ("2.5k/s", "2/s"),
            ("1 000/s", "1/s"),
        ] {
            let error = open_rate(typed).unwrap_err();
            assert!(
                error.ends_with(&format!("did you mean {meant}?")),
                "{error}"
            );
        }
        for wrong in ["", "fast", "0", "-5", "5/s/", "/conn"] {
            assert!(open_rate(wrong).is_err(), "{wrong}");
        }
    }
}
