//! The findings as text: what is on the page, without the figures.

use std::fmt::Write;

use super::claims::Claim;
use super::findings::Findings;
use super::samples::show;
use super::shown::{Dispatch, QUANTITIES, Quantity, dispatches};
use crate::quantity::{Unit, grouped};

/// Everything that is printed.
pub(super) fn text(findings: &Findings, claims: &[Claim]) -> String {
    let mut text = String::new();
    let machine = &findings.machine;
    let _ = writeln!(
        text,
        "{}, {} × {}, {}; {}",
        machine.date, machine.processors, machine.processor, machine.system, findings.processors
    );
    let _ = writeln!(text, "median (range) of the rounds");
    if let Some(mechanisms) = &findings.mechanisms {
        let _ = writeln!(text, "\nMECHANISMS, {} rounds", mechanisms.rounds);
        for dispatch in dispatches(mechanisms) {
            text.push_str(&dispatch_table(&dispatch));
        }
    }
    if let Some(models) = &findings.models {
        let _ = writeln!(text, "\nMODELS, {} rounds", models.rounds);
        for quantity in &QUANTITIES {
            text.push_str(&quantity_table(quantity, findings));
        }
    }
    let _ = writeln!(text, "\nWHAT IS SAID, AND WHAT CAME OF IT");
    for claim in claims {
        let _ = writeln!(
            text,
            "  {}: {}\n      {}",
            claim.said,
            claim.verdict.words(),
            claim.figure
        );
    }
    for remark in &findings.remarks {
        let _ = writeln!(text, "  note: {remark}");
    }
    text
}

fn dispatch_table(dispatch: &Dispatch) -> String {
    let names = dispatch.curves.curves.iter().map(|curve| &curve.mechanism);
    let header = std::iter::once(dispatch.over.to_owned()).chain(names.clone().cloned());
    let mut rows = vec![header.collect::<Vec<_>>()];
    for (place, &size) in dispatch.curves.over.iter().enumerate() {
        let cells = names
            .clone()
            .map(|name| show(dispatch.spread(name, place), Unit::Nanoseconds));
        rows.push(std::iter::once(grouped(size as u64)).chain(cells).collect());
    }
    format!(
        "\n{}: {}\n{}",
        dispatch.title,
        dispatch.what,
        columns(&rows)
    )
}

fn quantity_table(quantity: &Quantity, findings: &Findings) -> String {
    let Some(models) = &findings.models else {
        return String::new();
    };
    let counts = models.connections.iter();
    let header = counts
        .clone()
        .map(|&count| format!("c = {}", grouped(count as u64)));
    let mut rows = vec![
        std::iter::once(String::new())
            .chain(header)
            .collect::<Vec<_>>(),
    ];
    for (which, model) in models.servers.iter().enumerate() {
        let cells = (0..models.connections.len()).map(|place| {
            show(
                quantity.samples(models, which, place).spread(),
                quantity.unit,
            )
        });
        rows.push(std::iter::once(model.name.clone()).chain(cells).collect());
    }
    format!("\n{}\n{}", quantity.title, columns(&rows))
}

/// The first column to the left, the others to the right.
fn columns(rows: &[Vec<String>]) -> String {
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (column, cell) in row.iter().enumerate() {
            let width = width_of(column);
            let _ = if column == 0 {
                write!(line, "{cell:<width$}")
            } else {
                write!(line, "  {cell:>width$}")
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = columns(&[row(["", "a", "bb"]), row(["select", "1 µs", "–"])]);
        assert_eq!(text, "             a  bb\n  select  1 µs   –\n");
    }
}
