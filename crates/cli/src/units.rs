//! Numbers with units, as they are typed: `10k`, `64KiB`, `1m30s`, `20k/s`. Each answer to a mistake says what was
//! expected and, where it can be guessed, what would have been right.

use std::time::Duration;

use crate::suggest;

/// A unit's name and what it stands for.
type Unit = (&'static str, u64);

const THOUSANDS: [Unit; 2] = [("k", 1_000), ("m", 1_000_000)];
const BYTES: [Unit; 7] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("b", 1),
];
/// In nanoseconds.
const TIMES: [Unit; 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
];

/// What else people call units, and what they are called here.
const OTHER_NAMES: [(&str, &str); 24] = [
    ("nsec", "ns"),
    ("µs", "us"),
    ("μs", "us"),
    ("usec", "us"),
    ("msec", "ms"),
    ("millis", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
    ("kb", "k"),
    ("mb", "m"),
    ("gb", "g"),
    ("bytes", "b"),
    ("byte", "b"),
];

/// How many in how much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: u64,
    pub(crate) per: Duration,
}

/// A number from 1, perhaps with `k` (thousand) or `m` (million) behind it.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    const EXPECTED: &str = "expected a number from 1, such as 500, 10k or 1m";
    whole(text, &THOUSANDS, 1, EXPECTED)
}

/// A number of bytes from 1, perhaps with a unit behind it.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    const EXPECTED: &str = "expected a number of bytes from 1, such as 500, 10k, 64KiB or 1MiB";
    whole(text, &BYTES, 1, EXPECTED)
}

/// A time longer than none, with its units: `5m`, `1m30s`, `1.5s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a time with its unit, such as 500ms, 10s, 1m30s or 2h";
    let number_alone = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if number_alone {
        return Err(format!("{EXPECTED}; did you mean {text}s?"));
    }
    let mut nanoseconds: u64 = 0;
    for part in parts(text).ok_or(EXPECTED)? {
        let amount = part
            .times(&TIMES)
            .map_err(|hint| hinted(EXPECTED, text, hint))?;
        nanoseconds = nanoseconds.checked_add(amount).ok_or(EXPECTED)?;
    }
    match nanoseconds {
        0 => Err(format!("{EXPECTED}, and longer than none")),
        nanoseconds => Ok(Duration::from_nanos(nanoseconds)),
    }
}

/// A time, or `off`.
pub(crate) fn duration_or_off(text: &str) -> Result<Limit<Duration>, String> {
    or_off(text, duration)
}

/// So many a second, or another time: `20k/s`, `20k`, `300/m`.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    const EXPECTED: &str = "expected a number and a time, such as 500/s, 20k/s or 30/m";
    let (number, per) = over_time(text, EXPECTED)?;
    let count = whole(number, &THOUSANDS, 1, EXPECTED)? as u64;
    Ok(Rate { count, per })
}

/// So many bytes a second, rounded up: `64KiB/s`, `64KiB`, `1MiB/m`.
pub(crate) fn byte_rate(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected bytes and a time, such as 500/s, 64KiB/s or 1MiB/m";
    let (number, per) = over_time(text, EXPECTED)?;
    let bytes = whole(number, &BYTES, 1, EXPECTED)? as u64;
    let seconds = per.as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a rate is positive, and need not be exact beyond 2^52 bytes"
    )]
    Ok((bytes as f64 / seconds).ceil() as u64)
}

/// Bytes a second, or `off`.
pub(crate) fn byte_rate_or_off(text: &str) -> Result<Limit<u64>, String> {
    or_off(text, byte_rate)
}

/// A limit that may be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit<T> {
    Off,
    At(T),
}

impl<T> Limit<T> {
    /// The limit, if there is one.
    pub(crate) fn get(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::At(limit) => Some(limit),
        }
    }
}

fn or_off<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Limit<T>, String> {
    if ["off", "none", "never"].contains(&text.to_lowercase().as_str()) {
        return Ok(Limit::Off);
    }
    parse(text)
        .map(Limit::At)
        .map_err(|error| format!("{error} (or off)"))
}

/// One number with one of `units`, or with none, which then stands for 1.
fn whole(text: &str, units: &[Unit], least: usize, expected: &str) -> Result<usize, String> {
    let lower = text.to_lowercase();
    let digits = lower.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, name) = lower.split_at(digits);
    let number: usize = digits.parse().map_err(|_| expected)?;
    let unit = match name {
        "" => 1,
        name => lookup(name, units).ok_or_else(|| {
            hinted(
                expected,
                text,
                nearest(name, units).map(|unit| format!("{digits}{unit}")),
            )
        })?,
    };
    usize::try_from(unit)
        .ok()
        .and_then(|unit| number.checked_mul(unit))
        .filter(|&number| number >= least)
        .ok_or_else(|| expected.to_owned())
}

/// What stands before and behind the slash; a second when there is none.
fn over_time<'a>(text: &'a str, expected: &str) -> Result<(&'a str, Duration), String> {
    let Some((number, time)) = text.split_once('/') else {
        return Ok((text, Duration::from_secs(1)));
    };
    let nanoseconds = lookup(&time.to_lowercase(), &TIMES).ok_or_else(|| {
        let hint = nearest(&time.to_lowercase(), &TIMES).map(|unit| format!("{number}/{unit}"));
        hinted(expected, text, hint)
    })?;
    Ok((number, Duration::from_nanos(nanoseconds)))
}

/// A number, perhaps with a fraction, and its unit.
struct Part {
    whole: String,
    fraction: String,
    unit: String,
}

impl Part {
    /// The product; otherwise how the part might have been meant.
    fn times(&self, units: &[Unit]) -> Result<u64, Option<String>> {
        let meant = || {
            let number = match self.fraction.as_str() {
                "" => self.whole.clone(),
                fraction => format!("{}.{fraction}", self.whole),
            };
            nearest(&self.unit, units).map(|unit| format!("{number}{unit}"))
        };
        let unit = lookup(&self.unit, units).ok_or_else(meant)?;
        let whole: u64 = self.whole.parse().map_err(|_| None)?;
        let whole = whole.checked_mul(unit).ok_or(None)?;
        // What is less than the smallest unit is cut off.
        let mut fraction = 0;
        let mut place = unit;
        for digit in self.fraction.bytes() {
            place /= 10;
            fraction += u64::from(digit - b'0') * place;
        }
        whole.checked_add(fraction).ok_or(None)
    }
}

/// Cuts `1m30s` into `1m` and `30s`. `None` when it is not made of numbers and units.
fn parts(text: &str) -> Option<Vec<Part>> {
    let lower = text.to_lowercase();
    let mut rest = lower.as_str();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let number = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(rest.len());
        let (number, behind) = rest.split_at(number);
        let unit = behind
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') {
            return None;
        }
        parts.push(Part {
            whole: whole.to_owned(),
            fraction: fraction.to_owned(),
            unit: unit.trim().to_owned(),
        });
        rest = behind;
    }
    (!parts.is_empty()).then_some(parts)
}

fn lookup(name: &str, units: &[Unit]) -> Option<u64> {
    units
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, value)| value)
}

/// What a unit that is none was probably meant to be.
fn nearest(name: &str, units: &[Unit]) -> Option<&'static str> {
    let name = name.trim();
    let known = |name: &str| units.iter().find(|unit| unit.0 == name).map(|unit| unit.0);
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
    other
        .and_then(|(_, here)| known(here))
        .or_else(|| known(name))
        .or_else(|| suggest::nearest(name, units.iter().map(|unit| unit.0)))
}

fn hinted(expected: &str, typed: &str, meant: Option<String>) -> String {
    match meant {
        Some(meant) if meant != typed => format!("{expected}; did you mean {meant}?"),
        _ => expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONSENSE: [&str; 10] = [
        "",
        "k",
        "0",
        "-1",
        "1.5",
        "10x",
        "1 000",
        "99999999999999999999",
        "99999999999999999k",
        "١",
    ];

    #[test]
    fn counts_have_units() {
        for (text, number) in [("500", 500), ("10k", 10_000), ("1M", 1_000_000)] {
            assert_eq!(count(text), Ok(number));
        }
        for wrong in NONSENSE {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("500", 500),
            ("10k", 10_000),
            ("64KiB", 65_536),
            ("1mib", 1 << 20),
            ("2g", 2_000_000_000),
            ("1b", 1),
        ] {
            assert_eq!(size(text), Ok(bytes));
        }
        for wrong in NONSENSE
            .into_iter()
            .chain(["KiB", "1.5k", "99999999999999GiB"])
        {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_units_and_may_have_several() {
        for (text, nanoseconds) in [
            ("1ns", 1),
            ("10us", 10_000),
            ("500ms", 500_000_000),
            ("10s", 10_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.25ms", 250_000),
            ("1m30s", 90_000_000_000),
            ("1H", 3_600_000_000_000),
            ("1d12h", 129_600_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanoseconds)));
        }
        for wrong in NONSENSE.into_iter().chain([
            "0s", "0.0s", ".s", "s", "1..5s", "1.2.3s", "1m30", "-5s", "999999d",
        ]) {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_over_a_time() {
        let per = |count, seconds| {
            Ok(Rate {
                count,
                per: Duration::from_secs(seconds),
            })
        };
        assert_eq!(rate("20k/s"), per(20_000, 1));
        assert_eq!(rate("500"), per(500, 1));
        assert_eq!(rate("30/m"), per(30, 60));
        assert_eq!(byte_rate("64KiB/s"), Ok(65_536));
        assert_eq!(byte_rate("60k/m"), Ok(1_000));
        assert_eq!(byte_rate("1/m"), Ok(1));
        for wrong in NONSENSE.into_iter().chain(["5/", "/s", "5/x", "5/s/s"]) {
            assert!(rate(wrong).is_err(), "{wrong}");
            assert!(byte_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_may_be_off() {
        assert_eq!(duration_or_off("off"), Ok(Limit::Off));
        assert_eq!(
            duration_or_off("5m"),
            Ok(Limit::At(Duration::from_secs(300)))
        );
        assert_eq!(byte_rate_or_off("None"), Ok(Limit::Off));
        assert_eq!(byte_rate_or_off("1k/s"), Ok(Limit::At(1000)));
        assert!(duration_or_off("of").is_err());
        assert_eq!(Limit::<u64>::Off.get(), None);
        assert_eq!(Limit::At(1).get(), Some(1));
    }

    #[test]
    fn a_mistyped_unit_is_answered_with_the_right_one() {
        for (typed, meant) in [
            ("10 sec", "10s"),
            ("10sec", "10s"),
            ("5min", "5m"),
            ("1.5 hours", "1.5h"),
            ("30", "30s"),
            ("20msec", "20ms"),
            ("5µs", "5us"),
        ] {
            let error = duration(typed).unwrap_err();
            assert!(
                error.ends_with(&format!("did you mean {meant}?")),
                "{error}"
            );
        }
        for (typed, meant) in [("64kb", "64k"), ("64 KiB", "64kib"), ("64kiib", "64kib")] {
            let error = size(typed).unwrap_err();
            assert!(
                error.ends_with(&format!("did you mean {meant}?")),
                "{error}"
            );
        }
        let error = rate("20k/sec").unwrap_err();
        assert!(error.ends_with("did you mean 20k/s?"), "{error}");
        let error = byte_rate_or_off("20kb/s").unwrap_err();
        assert!(error.contains("did you mean 20k?"), "{error}");
    }
}
