//! The findings as a page: figures first of all, for somebody who has not read the code.

#![allow(
    clippy::cast_precision_loss,
    reason = "numbers of sources and connections stay far below 2^52"
)]

use super::arguments::Part;
use super::claims::Claim;
use super::findings::{Findings, Models};
use super::samples::Spread;
use super::shown::{Dispatch, QUANTITIES, Quantity, dispatches};
use super::target::MARK;
use crate::machine::Machine;
use crate::picture::{Axis, Chart, Page, Scale, Series, Table};
use crate::quantity::{Unit, grouped};

/// The whole file.
pub(super) fn html(findings: &Findings, claims: &[Claim]) -> String {
    let mut page = Page::new("What it costs to serve many clients");
    page.paragraph(&summary(&findings.machine));
    page.paragraph(
        "Measured by the command trunkline compare. Points are medians of the rounds, bars their range; both axes of most figures are \
         logarithmic: each further line is ten times as much.",
    );
    if !findings.machine.optimised {
        page.warning("This program was built without optimisation: build it with --release and measure again.");
    }
    if let Some(mechanisms) = &findings.mechanisms {
        page.heading("Mechanisms: what it costs to learn who is ready");
        page.paragraph(
            "Pairs of sockets, one end of each registered. In a turn a byte is written to each active one, and they are found \
             and read: the processor time of all that, with each mechanism as it comes, level-triggered.",
        );
        for dispatch in dispatches(mechanisms) {
            page.figure(&dispatch_chart(&dispatch));
        }
        page.heading("What is said of mechanisms, and what came of it");
        page.table(&claims_table(claims, Part::Mechanisms));
    }
    if let Some(models) = &findings.models {
        page.heading("Models: what a server costs");
        page.paragraph(
            "The same echo service, built without a multiplexer (polling: tries each socket in turn; timeouts: waits on each in \
             turn; threads, processes: one for each connection) and with each of them. Each server is a process of its own. \
             Messages have 64 bytes; a client sends the next one when it has the answer to the last.",
        );
        for quantity in QUANTITIES.iter().filter(|quantity| quantity.drawn) {
            page.figure(&quantity_chart(quantity, models));
        }
        page.table(&crowd_table(models));
        page.heading("What is said of models, and what came of it");
        page.table(&claims_table(claims, Part::Models));
    }
    if !findings.remarks.is_empty() {
        page.heading("To bear in mind");
        for remark in &findings.remarks {
            page.paragraph(remark);
        }
    }
    page.heading("Where and when");
    page.facts(facts(findings));
    page.html_with(MARK)
}

/// The machine in one line; all facts are at the end.
fn summary(machine: &Machine) -> String {
    format!(
        "{}, {} × {}, {}.",
        machine.date, machine.processors, machine.processor, machine.system
    )
}

fn claims_table(claims: &[Claim], part: Part) -> Table {
    let mut table = Table::new("", ["claim", "here", "measured"]);
    for claim in claims.iter().filter(|claim| claim.part == part) {
        table.row([
            claim.said.clone(),
            claim.verdict.words().to_owned(),
            claim.figure.clone(),
        ]);
    }
    table.of_words()
}

fn dispatch_chart(dispatch: &Dispatch) -> Chart {
    let x = Axis::new(dispatch.over, Unit::Count, Scale::Log);
    let y = Axis::new(dispatch.what, Unit::Nanoseconds, Scale::Log);
    let mut chart = Chart::new(&dispatch.title, x, y).describe(dispatch.see);
    for curve in &dispatch.curves.curves {
        let over = dispatch.curves.over.iter().enumerate();
        let spreads = over.map(|(place, &size)| (size, dispatch.spread(&curve.mechanism, place)));
        chart = chart.with(line(&curve.mechanism, spreads));
    }
    chart
}

/// Medians joined by a line, with their ranges; what was not measured is left out.
fn line(name: &str, spreads: impl Iterator<Item = (usize, Option<Spread>)>) -> Series {
    let mut points = Vec::new();
    let mut ranges = Vec::new();
    for (at, spread) in spreads {
        if let Some(spread) = spread {
            points.push((at as f64, spread.median));
            ranges.push((at as f64, spread.low, spread.high));
        }
    }
    Series::line(name, points).with_dots().with_ranges(ranges)
}

fn quantity_chart(quantity: &Quantity, models: &Models) -> Chart {
    let x = Axis::new("connections", Unit::Count, Scale::Log);
    let scale = if quantity.log {
        Scale::Log
    } else {
        Scale::Linear
    };
    let mut y = Axis::new(quantity.what, quantity.unit, scale);
    if !quantity.log {
        y = y.including(0.0);
    }
    let mut chart = Chart::new(quantity.title, x, y).describe(quantity.see);
    for (which, model) in models.servers.iter().enumerate() {
        let counts = models.connections.iter().enumerate();
        let spreads = counts.map(|(place, &connections)| {
            let samples = quantity.samples(models, which, place);
            (connections, samples.spread())
        });
        chart = chart.with(line(&model.name, spreads));
    }
    chart
}

/// Threads and processes are counted, not drawn: they are one, or as many as there are connections.
fn crowd_table(models: &Models) -> Table {
    let header: Vec<_> = std::iter::once("model".to_owned())
        .chain(
            models
                .connections
                .iter()
                .map(|&count| format!("c = {}", grouped(count as u64))),
        )
        .collect();
    let mut table = Table::new(
        "Processes and threads of the server, with c connections",
        header.iter().map(String::as_str),
    );
    let [threads, processes] = [8, 9].map(|index: usize| &QUANTITIES[index]);
    for (which, model) in models.servers.iter().enumerate() {
        let cells = (0..models.connections.len()).map(|place| {
            let of = |quantity: &Quantity| {
                let spread = quantity.samples(models, which, place).spread();
                spread.map(|spread| grouped_count(spread.median))
            };
            match (of(processes), of(threads)) {
                (Some(processes), Some(threads)) => format!("{processes} / {threads}"),
                _ => crate::quantity::NOTHING.to_owned(),
            }
        });
        table.row(std::iter::once(model.name.clone()).chain(cells));
    }
    table
}

/// A count is whole, unless the rounds differ.
fn grouped_count(count: f64) -> String {
    #[allow(clippy::cast_sign_loss, reason = "counts are not negative")]
    grouped(count.round() as u64)
}

fn facts(findings: &Findings) -> Vec<(&'static str, String)> {
    let machine = &findings.machine;
    let rounds = [
        findings.mechanisms.as_ref().map(|part| part.rounds),
        findings.models.as_ref().map(|part| part.rounds),
    ];
    let rounds: Vec<_> = rounds.iter().flatten().map(ToString::to_string).collect();
    let kind = if machine.is_virtual {
        " (a virtual machine)"
    } else {
        ""
    };
    vec![
        ("When", machine.date.clone()),
        (
            "Processor",
            format!("{} × {}{kind}", machine.processors, machine.processor),
        ),
        (
            "Memory",
            Unit::Bytes.show_any(machine.memory_bytes.map(|bytes| bytes as f64)),
        ),
        ("System", machine.system.clone()),
        (
            "Descriptors",
            machine
                .descriptors_max
                .map_or_else(|| "without limit".to_owned(), grouped),
        ),
        (
            "Load before",
            Unit::Count.show_any(machine.load_before)
                + " (processes that wanted a processor in the last minute; above 0.5 something else was running)",
        ),
        ("Placement", findings.processors.clone()),
        (
            "Rounds",
            rounds.join(" of the mechanisms, ")
                + if rounds.len() > 1 {
                    " of the models"
                } else {
                    ""
                },
        ),
        ("Took", format!("{} s", findings.seconds)),
        ("Program", format!("trunkline {}", machine.trunkline)),
    ]
}
