//! Figures and pages: one HTML file that needs nothing else, neither a network nor a script.
//!
//! A [`Chart`] says what is to be seen: two axes (linear, logarithmic, or "nines" for percentiles) and lines in their
//! units. A [`Page`] puts charts, tables and words one below the other. Everything that is put in as text is escaped.
//!
//! Each chart is drawn twice, for a wide screen and for a phone, and the style sheet shows one of them: a drawing that
//! only shrinks has letters that nobody can read. Colours are the style sheet's, one set for light and one for dark;
//! lines differ in their dashes too, for those who cannot tell the colours apart. The numbers behind a chart are below
//! it as a table.

#![allow(
    clippy::cast_precision_loss,
    reason = "places in a drawing, not measurements"
)]

mod chart;
mod page;
mod scale;
mod svg;
#[cfg(test)]
mod tests;

pub(crate) use chart::{Axis, Chart, Series};
pub(crate) use page::{Page, Table};
pub(crate) use scale::Scale;

/// Text as it may stand between tags and in attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters may not stand in HTML at all; what they were is of no use in a figure.
            control if control.is_control() && control != '\n' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
