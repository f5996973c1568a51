//! A chart as SVG. Colours and fonts are the page's style sheet's.

use std::fmt::Write;

use super::chart::{Axis, Chart, Series};
use super::escaped;
use super::scale::Placement;
use crate::quantity::Unit;

/// How large a drawing is. Letters have the same size in each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) class: &'static str,
    width: f64,
    height: f64,
}

pub(super) const WIDE: Size = Size {
    class: "wide",
    width: 760.0,
    height: 380.0,
};
pub(super) const NARROW: Size = Size {
    class: "narrow",
    width: 360.0,
    height: 320.0,
};

/// Letters are 13 high; on average they take this much.
const LETTER: f64 = 7.2;
const LEGEND_ROW: f64 = 20.0;
const LEGEND_SWATCH: f64 = 26.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 46.0;
/// How many colours the style sheet has.
const COLOURS: usize = 8;
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// Where the lines are drawn.
struct Plot {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: Placement,
    y: Placement,
}

impl Plot {
    fn point(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.across(x)?, self.down(y)?))
    }

    fn across(&self, x: f64) -> Option<f64> {
        Some(self.left + self.x.place(x)? * self.width)
    }

    fn down(&self, y: f64) -> Option<f64> {
        Some(self.top + (1.0 - self.y.place(y)?) * self.height)
    }
}

/// The chart as an `svg` element, or a sentence where there is nothing to draw.
pub(super) fn drawn(chart: &Chart, size: Size) -> String {
    let mut svg = format!(
        r#"<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>"#,
        size.class,
        size.width,
        size.height,
        escaped(&format!("{}. {}", chart.title, chart.description)),
        escaped(&chart.title),
    );
    let legend_rows = legend(&mut svg, chart, size);
    if let Some(plot) = plot(chart, size, legend_rows) {
        frame(&mut svg, chart, &plot);
        for (index, series) in chart.series.iter().enumerate() {
            line(&mut svg, series, index, &plot);
        }
    } else {
        let (x, y) = (size.width / 2.0, size.height / 2.0);
        text(&mut svg, x, y, "middle", "nothing was measured");
    }
    svg.push_str("</svg>");
    svg
}

fn plot(chart: &Chart, size: Size, legend_rows: usize) -> Option<Plot> {
    let xs = chart.series.iter().flat_map(|series| {
        let ranges = series.ranges.iter().map(|&(x, _, _)| x);
        // A point without a place on the one axis needs none on the other.
        let points = series.points.iter().filter(|(_, y)| y.is_finite());
        points.map(|&(x, _)| x).chain(ranges)
    });
    let ys = chart.series.iter().flat_map(|series| {
        let ranges = series.ranges.iter().flat_map(|&(_, low, high)| [low, high]);
        let points = series.points.iter().map(|&(_, y)| y);
        points.chain(ranges).chain(series.level)
    });
    let x = Placement::over(chart.x.scale, xs.chain(chart.x.included.iter().copied()))?;
    let y = Placement::over(chart.y.scale, ys.chain(chart.y.included.iter().copied()))?;
    let widest = labels(&chart.y, &y, y_marks(size))
        .into_iter()
        .map(|(_, label)| label.chars().count());
    let left = 12.0 + widest.max().unwrap_or(0) as f64 * LETTER;
    // The vertical axis's name stands above it, where it needs no turned head.
    let top = legend_rows as f64 * LEGEND_ROW + 32.0;
    Some(Plot {
        left,
        top,
        width: size.width - left - RIGHT,
        height: size.height - top - BOTTOM,
        x,
        y,
    })
}

fn y_marks(size: Size) -> f64 {
    size.height / 60.0
}

/// The marks of an axis and what stands beside them.
fn labels(axis: &Axis, placement: &Placement, wanted: f64) -> Vec<(f64, String)> {
    let marks = placement.marks(axis.unit, wanted);
    marks
        .into_iter()
        .map(|mark| (mark, label(axis.unit, mark)))
        .collect()
}

/// Percentiles need all their nines; the rest is rounded as everywhere.
pub(super) fn label(unit: Unit, value: f64) -> String {
    if value == 0.0 && unit != Unit::Percent {
        // Nothing is nothing in every unit.
        return "0".to_owned();
    }
    if unit != Unit::Percent {
        return unit.show(value);
    }
    let text = format!("{value:.6}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn frame(svg: &mut String, chart: &Chart, plot: &Plot) {
    let (right, bottom) = (plot.left + plot.width, plot.top + plot.height);
    for (mark, label) in labels(&chart.y, &plot.y, plot.height / 45.0) {
        let Some(y) = plot.down(mark) else { continue };
        let _ = write!(
            svg,
            r#"<path class="grid" d="M{:.1} {y:.1}H{right:.1}"/>"#,
            plot.left
        );
        text(svg, plot.left - 6.0, y + 4.0, "end", &label);
    }
    let mut free_from = 0.0;
    for (mark, label) in labels(&chart.x, &plot.x, plot.width / 70.0) {
        let Some(x) = plot.across(mark) else { continue };
        let _ = write!(
            svg,
            r#"<path class="grid" d="M{x:.1} {:.1}V{bottom:.1}"/>"#,
            plot.top
        );
        let half = label.chars().count() as f64 * LETTER / 2.0;
        // Within the drawing, and never one over the other.
        let middle = x.min(right + RIGHT - half);
        if middle - half >= free_from {
            text(svg, middle, bottom + 18.0, "middle", &label);
            free_from = middle + half + 4.0;
        }
    }
    let _ = write!(
        svg,
        r#"<path class="axis" d="M{:.1} {:.1}V{bottom:.1}H{right:.1}"/>"#,
        plot.left, plot.top
    );
    text(svg, 4.0, plot.top - 10.0, "start", &chart.y.label);
    text(svg, right, bottom + 38.0, "end", &chart.x.label);
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = write!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
        escaped(words)
    );
}

/// Names and colours above the plot; says how many rows they took.
fn legend(svg: &mut String, chart: &Chart, size: Size) -> usize {
    let mut rows = 1_usize;
    let mut x = 4.0;
    for (index, series) in chart.series.iter().enumerate() {
        let width = LEGEND_SWATCH + 8.0 + series.name.chars().count() as f64 * LETTER + 12.0;
        if x > 4.0 && x + width > size.width {
            rows += 1;
            x = 4.0;
        }
        let y = rows as f64 * LEGEND_ROW - 8.0;
        let _ = write!(
            svg,
            r#"<path class="{}"{} d="M{x:.1} {y:.1}h{LEGEND_SWATCH}"/>"#,
            class(series, index),
            dash(series, index)
        );
        text(svg, x + LEGEND_SWATCH + 8.0, y + 4.0, "start", &series.name);
        x += width;
    }
    rows
}

fn line(svg: &mut String, series: &Series, index: usize, plot: &Plot) {
    let class = class(series, index);
    let mut path = String::new();
    if let Some(y) = series.level.and_then(|level| plot.down(level)) {
        let _ = write!(path, "M{:.1} {y:.1}h{:.1}", plot.left, plot.width);
    }
    let mut pen_is_down = false;
    for &point in &series.points {
        let Some((x, y)) = plot.point(point) else {
            pen_is_down = false;
            continue;
        };
        let _ = write!(path, "{}{x:.1} {y:.1}", if pen_is_down { 'L' } else { 'M' });
        pen_is_down = true;
    }
    let _ = write!(
        svg,
        r#"<path class="{class}"{} d="{path}"/>"#,
        dash(series, index)
    );
    for &(x, low, high) in &series.ranges {
        if let (Some((x, bottom)), Some(top)) = (plot.point((x, low)), plot.down(high)) {
            let _ = write!(
                svg,
                r#"<path class="{class} range" d="M{x:.1} {bottom:.1}V{top:.1}"/>"#
            );
        }
    }
    for (position, &point) in series.points.iter().enumerate() {
        if !series.dots && !stands_alone(&series.points, position) {
            continue;
        }
        if let Some((x, y)) = plot.point(point) {
            let _ = write!(
                svg,
                r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="2.6"/>"#
            );
        }
    }
}

/// Whether no line leads to or from this point, so that it would not be seen.
fn stands_alone(points: &[(f64, f64)], position: usize) -> bool {
    let is_there = |position: Option<usize>| {
        let point = position.and_then(|position| points.get(position));
        point.is_some_and(|(x, y)| x.is_finite() && y.is_finite())
    };
    !is_there(position.checked_sub(1)) && !is_there(position.checked_add(1))
}

fn class(series: &Series, index: usize) -> String {
    if series.muted {
        "line muted".to_owned()
    } else {
        format!("line c{}", index % COLOURS)
    }
}

fn dash(series: &Series, index: usize) -> String {
    let dash = if series.level.is_some() {
        "3 4"
    } else {
        DASHES[index % DASHES.len()]
    };
    if dash.is_empty() {
        return String::new();
    }
    format!(r#" stroke-dasharray="{dash}""#)
}
