//! Quantities as a person reads them: three digits that count, and a unit that keeps the number short.

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things: `1.5 k`.
    Count,
    /// A duration, given in nanoseconds: `1.5 ms`.
    Nanoseconds,
    /// Memory or messages, given in bytes: `1.5 KiB`.
    Bytes,
    /// Things in a second: `1.5 k/s`.
    PerSecond,
    /// Of a hundred: `1.5 %`.
    Percent,
    /// One thing compared with another: `1.5×`.
    Ratio,
}

/// Printed where nothing was measured. Never 0: that would be a measurement.
pub(crate) const NOTHING: &str = "–";

const THOUSANDS: [(f64, &str); 4] = [(1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")];
const TIMES: [(f64, &str); 4] = [(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")];
const SIZES: [(f64, &str); 4] = [
    (1_073_741_824.0, " GiB"),
    (1_048_576.0, " MiB"),
    (1_024.0, " KiB"),
    (1.0, " B"),
];

impl Unit {
    /// The number with its unit, such as `1.25 ms`; what is not a number is [`NOTHING`].
    pub(crate) fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return NOTHING.to_owned();
        }
        match self {
            Self::Count => scaled(value, &THOUSANDS),
            Self::Nanoseconds => scaled(value, &TIMES),
            Self::Bytes => scaled(value, &SIZES),
            Self::PerSecond => scaled(value, &THOUSANDS) + "/s",
            Self::Percent => digits(value) + " %",
            Self::Ratio => digits(value) + "×",
        }
    }

    /// As [`Unit::show`], where there may be nothing to show.
    pub(crate) fn show_any(self, value: Option<f64>) -> String {
        self.show(value.unwrap_or(f64::NAN))
    }
}

/// In the largest unit of which there is at least one.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let smallest = units[units.len() - 1];
    // What would be rounded to a thousand of a unit is one of the next.
    let fits = |&&(size, _): &&(f64, &str)| value.abs() >= size * 0.9995;
    let (size, name) = units.iter().find(fits).copied().unwrap_or(smallest);
    digits(value / size) + name
}

/// Three digits that count, without zeros at the end of a fraction.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    // Smaller than what two decimals can show, and yet not nothing.
    if value != 0.0 && value.abs() < 0.005 {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number with its thousands apart: `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_take_the_unit_that_fits() {
        for (unit, value, text) in [
            (Unit::Nanoseconds, 0.0, "0 ns"),
            (Unit::Nanoseconds, 999.0, "999 ns"),
            (Unit::Nanoseconds, 999.9, "1 µs"),
            (Unit::Nanoseconds, 1_250_000.0, "1.25 ms"),
            (Unit::Nanoseconds, 1.4e9, "1.4 s"),
            (Unit::Nanoseconds, 6e11, "600 s"),
            (Unit::Bytes, 1023.0, "1023 B"),
            (Unit::Bytes, 1023.9, "1 KiB"),
            (Unit::Bytes, 65_536.0, "64 KiB"),
            (Unit::Count, 12_345.0, "12.3 k"),
            (Unit::PerSecond, 20_000.0, "20 k/s"),
            (Unit::PerSecond, 0.5, "0.5/s"),
            (Unit::Percent, 99.9, "99.9 %"),
            (Unit::Ratio, 0.001, "1.0e-3×"),
            (Unit::Count, f64::NAN, NOTHING),
        ] {
            assert_eq!(unit.show(value), text);
        }
        assert_eq!(Unit::Nanoseconds.show_any(None), NOTHING);
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1 000"),
            (1_234_567, "1 234 567"),
        ] {
            assert_eq!(grouped(number).replace('\u{202f}', " "), text);
        }
    }
}
