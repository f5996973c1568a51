//! What is drawn, as text.

use super::*;
use crate::quantity::Unit;

fn chart() -> Chart {
    Chart::new(
        "Time per event",
        Axis::new("descriptors", Unit::Count, Scale::Log),
        Axis::new("time", Unit::Nanoseconds, Scale::Log),
    )
    .describe("poll grows, epoll does not")
    .with(Series::line("poll", vec![(1.0, 300.0), (100.0, 3e4), (1e4, 3e6)]).with_dots())
    .with(
        Series::line("epoll", vec![(1.0, 300.0), (1e4, 310.0)])
            .with_ranges(vec![(1.0, 250.0, 350.0)]),
    )
    .with(Series::level("noise", 100.0).muted())
}

fn page(chart: &Chart) -> String {
    let mut page = Page::new("A page");
    page.figure(chart);
    page.html()
}

/// What lies between the quotes of this attribute, wherever it occurs.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let begin = format!(" {name}=\"");
    html.split(&begin)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn a_figure_has_its_lines_its_legend_its_units_and_its_words() {
    let html = page(&chart());
    for expected in [
        "poll",
        "epoll",
        "noise",
        "10 k",
        "1 ms",
        "descriptors",
        "poll grows, epoll does not",
        "250 ns",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    // Wide and narrow.
    assert_eq!(html.matches("<svg").count(), 2);
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert_eq!(html.matches("class=\"line c0\" cx=").count(), 2 * 3);
}

#[test]
fn everything_is_inside_the_drawing() {
    let html = page(&chart());
    for path in attributes(&html, "d") {
        let numbers = path.split(|character: char| character.is_alphabetic() || character == ' ');
        for number in numbers.filter_map(|number| number.parse::<f64>().ok()) {
            assert!((0.0..=760.0).contains(&number), "{path}");
        }
    }
}

#[test]
fn what_was_not_measured_leaves_a_gap_and_not_a_zero() {
    let points = vec![
        (0.0, 1.0),
        (1.0, 2.0),
        (2.0, f64::NAN),
        (3.0, 4.0),
        (4.0, 5.0),
    ];
    let axis = || Axis::new("time", Unit::Count, Scale::Linear);
    let html = page(&Chart::new("gap", axis(), axis()).with(Series::line("line", points)));
    let line = attributes(&html, "d")
        .into_iter()
        .filter(|path| path.matches('L').count() == 2);
    assert_eq!(
        line.map(|path| path.matches('M').count())
            .collect::<Vec<_>>(),
        [2, 2]
    );
    assert!(!html.contains("NaN"));
}

#[test]
fn nothing_measured_says_so() {
    let axis = || Axis::new("time", Unit::Nanoseconds, Scale::Log);
    let html = page(&Chart::new("empty", axis(), axis()).with(Series::line("line", Vec::new())));
    assert!(html.contains("nothing was measured"));
}

#[test]
fn text_is_text_wherever_it_stands() {
    const NASTY: &str = "<script>alert('1')</script>&\"\u{7}";
    let axis = || Axis::new(NASTY, Unit::Count, Scale::Linear);
    let chart = Chart::new(NASTY, axis(), axis()).describe(NASTY);
    let mut page = Page::new(NASTY);
    page.heading(NASTY);
    page.paragraph(NASTY);
    page.warning(NASTY);
    page.facts([(NASTY, NASTY.to_owned())]);
    let mut table = Table::new(NASTY, [NASTY]);
    table.row([NASTY.to_owned()]);
    page.table(&table);
    page.figure(&chart.with(Series::line(NASTY, vec![(1.0, 1.0)])));
    let html = page.html();
    assert!(!html.contains("<script") && !html.contains('\u{7}'));
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn a_page_asks_for_nothing_from_elsewhere() {
    let html = page(&chart());
    for outside in [
        "http://", "https://", "src=", "href=", "url(", "@import", "<script",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
}
