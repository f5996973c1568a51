//! A page: words, tables and figures one below the other, in one file.

use std::fmt::Write;

use super::chart::{Chart, Series};
use super::escaped;
use super::svg::{NARROW, WIDE, drawn};

/// Points of one line in the table below its figure; more would help nobody.
const ROWS_MAX: usize = 300;

/// One HTML file that needs nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    title: String,
    body: String,
}

/// Rows under a header. The first column is a name, the others are numbers with their units.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    caption: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Whether the cells are sentences, which may be broken.
    of_words: bool,
}

impl Table {
    /// A table without rows yet.
    pub(crate) fn new<'a>(
        caption: impl Into<String>,
        header: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            caption: caption.into(),
            header: header.into_iter().map(str::to_owned).collect(),
            rows: Vec::new(),
            of_words: false,
        }
    }

    /// The cells are words, not numbers: to the left, and broken where they are long.
    #[must_use]
    pub(crate) fn of_words(mut self) -> Self {
        self.of_words = true;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn html(&self) -> String {
        let mut html = if self.of_words {
            r#"<div class="scroll"><table class="words">"#.to_owned()
        } else {
            r#"<div class="scroll"><table>"#.to_owned()
        };
        if !self.caption.is_empty() {
            let _ = write!(html, "<caption>{}</caption>", escaped(&self.caption));
        }
        html.push_str("<thead><tr>");
        for cell in &self.header {
            let _ = write!(html, r#"<th scope="col">{}</th>"#, escaped(cell));
        }
        html.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            html.push_str("<tr>");
            for cell in row {
                let _ = write!(html, "<td>{}</td>", escaped(cell));
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }
}

impl Page {
    /// An empty page.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        let title = title.into();
        let body = format!("<h1>{}</h1>\n", escaped(&title));
        Self { title, body }
    }

    /// A heading.
    pub(crate) fn heading(&mut self, words: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escaped(words));
    }

    /// A paragraph.
    pub(crate) fn paragraph(&mut self, words: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escaped(words));
    }

    /// A paragraph that must not be overlooked.
    pub(crate) fn warning(&mut self, words: &str) {
        let _ = writeln!(self.body, r#"<p class="warning">{}</p>"#, escaped(words));
    }

    /// Names and what they are: the machine, the command, the settings.
    pub(crate) fn facts<'a>(&mut self, facts: impl IntoIterator<Item = (&'a str, String)>) {
        self.body.push_str("<dl>");
        for (name, value) in facts {
            let _ = write!(
                self.body,
                "<dt>{}</dt><dd>{}</dd>",
                escaped(name),
                escaped(&value)
            );
        }
        self.body.push_str("</dl>\n");
    }

    /// A table.
    pub(crate) fn table(&mut self, table: &Table) {
        self.body.push_str(&table.html());
    }

    /// A figure under its title, with a sentence on what to see and the numbers behind it.
    pub(crate) fn figure(&mut self, chart: &Chart) {
        let _ = writeln!(
            self.body,
            "<h2>{}</h2>\n<figure>{}{}<figcaption>{}</figcaption></figure>",
            escaped(&chart.title),
            drawn(chart, WIDE),
            drawn(chart, NARROW),
            escaped(&chart.description)
        );
        let _ = write!(
            self.body,
            "<details><summary>The numbers</summary>{}</details>",
            numbers(chart).html()
        );
    }

    /// The whole file.
    pub(crate) fn html(&self) -> String {
        self.html_with("")
    }

    /// The same, with this mark in its head: by it the program knows its own pages.
    pub(crate) fn html_with(&self, mark: &str) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{mark}\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
            escaped(&self.title),
            include_str!("page.css"),
            self.body
        )
    }
}

/// What a chart is drawn from.
fn numbers(chart: &Chart) -> Table {
    let mut table = Table::new("", ["line", &chart.x.label, &chart.y.label, "from", "to"]);
    for series in &chart.series {
        if let Some(level) = series.level {
            table.row([series.name.clone(), String::new(), chart.y.unit.show(level)]);
        }
        // Evenly thinned where there are too many.
        let stride = series.points.len().div_ceil(ROWS_MAX).max(1);
        for &(x, y) in series.points.iter().step_by(stride) {
            let (low, high) = range_at(series, x).unwrap_or((f64::NAN, f64::NAN));
            let spread = [low, high].map(|value| {
                if value.is_nan() {
                    String::new()
                } else {
                    chart.y.unit.show(value)
                }
            });
            let row = [
                series.name.clone(),
                super::svg::label(chart.x.unit, x),
                chart.y.unit.show(y),
            ];
            table.row(row.into_iter().chain(spread));
        }
    }
    table
}

fn range_at(series: &Series, x: f64) -> Option<(f64, f64)> {
    let at = |&&(at, _, _): &&(f64, f64, f64)| (at - x).abs() <= f64::EPSILON * x.abs();
    series
        .ranges
        .iter()
        .find(at)
        .map(|&(_, low, high)| (low, high))
}
