//! What it costs to find a ready source and read it.

use std::io;

use trunkline_benches::{Cost, Flavour, Kind, Sources};

use crate::statistics::Rounds;

/// How many are registered, and how many of them become ready in each turn.
type Size = (usize, usize);

/// What is measured over which sources.
pub(crate) const PLAN: &[(Flavour, &[Size])] = &[
    (
        Flavour::Counter,
        &[
            (100, 1),
            (100, 100),
            (1_000, 1),
            (1_000, 100),
            (1_000, 1_000),
            (10_000, 1),
            (10_000, 100),
            (10_000, 10_000),
        ],
    ),
    (Flavour::Socket, &[(1_000, 1), (1_000, 100)]),
];

/// Events that are measured in one go: some hundredths of a second.
const EVENTS: usize = 30_000;
/// Registered sources that are looked at in one go by those that look at all of them, at every wait.
const LOOKS: usize = 2_000_000;

pub(crate) fn table(
    flavour: Flavour,
    sizes: &[Size],
    room: usize,
    rounds: usize,
) -> io::Result<()> {
    let kinds = Kind::all();
    let sizes: Vec<Size> = sizes
        .iter()
        .copied()
        .filter(|(registered, _)| *registered <= room)
        .collect();
    println!("### Dispatch, {flavour}\n");
    println!(
        "Processor time per event (made ready, found by a wait, read) as a multiple of the first row's; n registered, \
         a of them ready in each turn. Median (quartiles).\n"
    );
    let mut columns = Vec::new();
    for &(registered, active) in &sizes {
        eprintln!("dispatch, {flavour}, n = {registered}, a = {active}");
        let sources = Sources::open(flavour, registered)?;
        columns.push(Rounds::measure(&kinds, rounds, |kind| {
            kind.run(Cost::Dispatch {
                sources: &sources,
                active,
                turns: turns(kind, registered, active),
            })
        })?);
    }
    let heads = sizes
        .iter()
        .map(|(registered, active)| format!(" n = {registered}, a = {active} |"));
    println!("| |{}", heads.collect::<String>());
    println!("|---|{}", "---|".repeat(sizes.len()));
    for kind in kinds {
        let cells = columns.iter().filter_map(|column| {
            if kind == Kind::BASE {
                Some(format!(" 1 = {} |", column.cost(kind)?.nanoseconds()))
            } else {
                Some(format!(" {} |", column.ratio(kind, Kind::BASE)?))
            }
        });
        println!("| {kind} |{}", cells.collect::<String>());
    }
    println!();
    Ok(())
}

fn turns(kind: Kind, registered: usize, active: usize) -> usize {
    let turns = EVENTS.div_ceil(active);
    if kind.is_linear() {
        turns.min(LOOKS.div_ceil(registered))
    } else {
        turns
    }
}
