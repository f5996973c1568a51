//! From values to places along an axis, and where its marks are.

use crate::quantity::Unit;

/// How values are spread along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Equal differences, equal distances.
    Linear,
    /// Equal ratios, equal distances. What is not above zero has no place on it.
    Log,
    /// For percentiles, given as percent: each further nine (90, 99, 99.9 …) takes the same distance.
    Nines,
}

/// A part of a scale, laid over the length of an axis.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    scale: Scale,
    /// Both on the scale's own measure.
    low: f64,
    high: f64,
}

impl Placement {
    /// Room for all these values. `None` when there is not one that has a place.
    pub(super) fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut low = f64::INFINITY;
        let mut high = f64::NEG_INFINITY;
        for measure in values
            .map(|value| scale.measure(value))
            .filter(|measure| measure.is_finite())
        {
            low = low.min(measure);
            high = high.max(measure);
        }
        if low > high {
            return None;
        }
        if scale == Scale::Linear {
            // Up to the next mark, so that nothing touches the frame.
            let step = step(high - low.min(0.0), 5.0, 10.0);
            low = (low / step).floor() * step;
            high = (high / step).ceil() * step;
        }
        if scale == Scale::Log {
            // Down and up to a 1, 2 or 5 of a power of ten.
            low = round_log(low, f64::floor);
            high = round_log(high, f64::ceil);
        }
        if high - low < 1e-9 {
            let margin = if scale == Scale::Linear {
                low.abs().max(1.0)
            } else {
                1.0
            };
            low -= margin * f64::from(u8::from(scale != Scale::Linear));
            high += margin;
        }
        Some(Self { scale, low, high })
    }

    /// From 0 (the axis's beginning) to 1 (its end); `None` for what has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let measure = self.scale.measure(value);
        let place = (measure - self.low) / (self.high - self.low);
        place.is_finite().then_some(place)
    }

    /// About `wanted` values at which to mark the axis.
    pub(super) fn marks(&self, unit: Unit, wanted: f64) -> Vec<f64> {
        let marks = match self.scale {
            Scale::Linear => linear_marks(self.low, self.high, unit, wanted),
            Scale::Log => log_marks(self.low, self.high, wanted),
            Scale::Nines => nines_marks(self.high),
        };
        let inside = |value: &f64| {
            let measure = self.scale.measure(*value);
            measure >= self.low - 1e-9 && measure <= self.high + 1e-9
        };
        marks.into_iter().filter(inside).collect()
    }
}

impl Scale {
    /// What distances are proportional to; not a number where there is no place.
    fn measure(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log if value > 0.0 => value.log10(),
            Self::Nines if value < 100.0 => -(1.0 - value / 100.0).log10(),
            Self::Log | Self::Nines => f64::NAN,
        }
    }
}

/// To a mark of 1, 2 or 5, on the logarithm.
fn round_log(measure: f64, round: fn(f64) -> f64) -> f64 {
    let decade = measure.floor();
    // A rounding error must not cost a whole step.
    let within = measure - decade;
    let steps = [0.0, 2_f64.log10(), 5_f64.log10(), 1.0];
    if let Some(exact) = steps.into_iter().find(|step| (step - within).abs() < 1e-9) {
        return decade + exact;
    }
    let upper = steps
        .into_iter()
        .position(|step| step > within)
        .unwrap_or(3);
    // floor(0.5) is 0 and ceil(0.5) is 1: which of the two neighbours it is.
    let index = if round(0.5) > 0.0 { upper } else { upper - 1 };
    decade + steps[index]
}

/// A step of 1, 2 or 5 (or 2, 4, 8 for powers of two) that divides `length` into about `wanted` parts.
fn step(length: f64, wanted: f64, base: f64) -> f64 {
    if length <= 0.0 || !length.is_finite() {
        return 1.0;
    }
    let rough = length / wanted;
    let power = base.powf(rough.log(base).floor());
    let multiples: &[f64] = if base < 10.0 {
        &[1.0, 2.0]
    } else {
        &[1.0, 2.0, 5.0, 10.0]
    };
    let fits = multiples
        .iter()
        .find(|&&multiple| multiple * power >= rough * 0.999);
    fits.unwrap_or(&base) * power
}

fn linear_marks(low: f64, high: f64, unit: Unit, wanted: f64) -> Vec<f64> {
    let base = if unit == Unit::Bytes { 2.0 } else { 10.0 };
    let step = step(high - low, wanted, base);
    let first = (low / step).ceil() as i64;
    let last = ((high / step) + 1e-9).floor() as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Powers of ten, with 2 and 5 between them where there is room, or every so many where there is not.
fn log_marks(low: f64, high: f64, wanted: f64) -> Vec<f64> {
    let decades = high - low;
    let first = low.floor() as i32;
    let last = high.ceil() as i32;
    let each: &[f64] = match wanted / decades.max(0.1) {
        dense if dense >= 3.0 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let stride = (decades / wanted).ceil().max(1.0) as i32;
    let powers = (first..=last).filter(|power| power.rem_euclid(stride) == 0);
    powers
        .flat_map(|power| {
            each.iter()
                .map(move |multiple| multiple * 10_f64.powi(power))
        })
        .collect()
}

fn nines_marks(high: f64) -> Vec<f64> {
    let mut marks = vec![0.0, 50.0, 90.0];
    let mut left = 1.0;
    while -(left / 100.0_f64).log10() <= high + 1e-9 {
        marks.push(100.0 - left);
        left /= 10.0;
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(scale: Scale, values: &[f64]) -> Placement {
        Placement::over(scale, values.iter().copied()).unwrap()
    }

    #[test]
    fn a_linear_axis_has_round_marks_and_room_for_everything() {
        let axis = placement(Scale::Linear, &[0.0, 9.3]);
        assert_eq!(
            axis.marks(Unit::Count, 5.0),
            [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        );
        assert_eq!(axis.place(0.0), Some(0.0));
        assert_eq!(axis.place(10.0), Some(1.0));
    }

    #[test]
    fn a_logarithmic_axis_gives_each_ratio_the_same_room() {
        let axis = placement(Scale::Log, &[1.0, 10_000.0]);
        assert_eq!(
            axis.marks(Unit::Count, 5.0),
            [1.0, 10.0, 100.0, 1_000.0, 10_000.0]
        );
        assert_eq!(axis.place(100.0), Some(0.5));
        assert_eq!(axis.place(0.0), None);
        let short = placement(Scale::Log, &[1.1, 40.0]);
        assert_eq!(
            short.marks(Unit::Count, 8.0),
            [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
        );
        assert_eq!(short.place(1.0), Some(0.0));
        assert_eq!(short.place(50.0), Some(1.0));
    }

    #[test]
    fn each_nine_takes_the_same_room() {
        let axis = placement(Scale::Nines, &[0.0, 99.99]);
        let marks = axis.marks(Unit::Percent, 8.0);
        assert_eq!(marks.len(), 6, "{marks:?}");
        let near = |percent: f64, place: f64| (axis.place(percent).unwrap() - place).abs() < 1e-9;
        assert!(near(90.0, 0.25) && near(99.0, 0.5) && near(99.9, 0.75));
        assert_eq!(axis.place(100.0), None);
    }

    #[test]
    fn one_value_alone_has_an_axis_too_and_none_has_not() {
        for scale in [Scale::Linear, Scale::Log, Scale::Nines] {
            let axis = placement(scale, &[5.0]);
            assert!(
                axis.place(5.0)
                    .is_some_and(|place| (0.0..=1.0).contains(&place))
            );
            assert!(Placement::over(scale, [f64::NAN].into_iter()).is_none());
        }
        assert!(Placement::over(Scale::Log, [0.0, -1.0].into_iter()).is_none());
    }
}
