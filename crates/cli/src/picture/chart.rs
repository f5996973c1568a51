//! What a figure shows, not yet how it is drawn.

use super::Scale;
use crate::quantity::Unit;

/// One figure: lines over two axes.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(super) title: String,
    /// What there is to see, for those who cannot see it.
    pub(super) description: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

/// One direction of a figure.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(super) label: String,
    pub(super) unit: Unit,
    pub(super) scale: Scale,
    /// Must be inside, whatever the data are.
    pub(super) included: Vec<f64>,
}

/// One line of a figure, with a name in the legend.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(super) name: String,
    /// In the order they are joined. One that is not finite leaves a gap.
    pub(super) points: Vec<(f64, f64)>,
    /// At x, from the lower to the upper: the spread of what was measured.
    pub(super) ranges: Vec<(f64, f64, f64)>,
    pub(super) level: Option<f64>,
    pub(super) dots: bool,
    pub(super) muted: bool,
}

impl Chart {
    /// A figure of this name, without lines yet.
    pub(crate) fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            description: String::new(),
            x,
            y,
            series: Vec::new(),
        }
    }

    /// Says in words what there is to see.
    #[must_use]
    pub(crate) fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a line.
    #[must_use]
    pub(crate) fn with(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }
}

impl Axis {
    /// An axis of this name: `Axis::new("connections", Unit::Count, Scale::Log)`.
    pub(crate) fn new(label: impl Into<String>, unit: Unit, scale: Scale) -> Self {
        Self {
            label: label.into(),
            unit,
            scale,
            included: Vec::new(),
        }
    }

    /// Reaches at least to `value`. A linear axis that begins at zero includes it.
    #[must_use]
    pub(crate) fn including(mut self, value: f64) -> Self {
        self.included.push(value);
        self
    }
}

impl Series {
    /// A line through these points, in their order.
    pub(crate) fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            ranges: Vec::new(),
            level: None,
            dots: false,
            muted: false,
        }
    }

    /// A level line across the whole figure, such as a limit.
    pub(crate) fn level(name: impl Into<String>, value: f64) -> Self {
        Self {
            level: Some(value),
            ..Self::line(name, Vec::new())
        }
    }

    /// Marks each point: where there are few, what was measured is told from what was joined.
    #[must_use]
    pub(crate) fn with_dots(mut self) -> Self {
        self.dots = true;
        self
    }

    /// Shows the spread at each `(x, lowest, highest)`.
    #[must_use]
    pub(crate) fn with_ranges(mut self, ranges: Vec<(f64, f64, f64)>) -> Self {
        self.ranges = ranges;
        self
    }

    /// Grey and thin: for comparison, not the matter itself.
    #[must_use]
    pub(crate) fn muted(mut self) -> Self {
        self.muted = true;
        self
    }
}
