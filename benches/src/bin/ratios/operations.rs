//! What changes of registrations cost.

use std::io;

use trunkline_benches::{Cost, Flavour, Kind, Sources};

use crate::statistics::Rounds;

const SIZES: [usize; 3] = [100, 1_000, 10_000];

pub(crate) fn table(room: usize, rounds: usize) -> io::Result<()> {
    println!("### Changes of registrations\n");
    println!(
        "Processor time as a multiple of `mio`'s, with n sources (eventfd). *Registration* is register and unregister \
         together, *modification* a change of interest that really is one, each until the system knows of it: where \
         that is at the next wait, a wait for all of them is included. Median (quartiles).\n"
    );
    let sizes: Vec<usize> = SIZES.into_iter().filter(|size| *size <= room).collect();
    let kinds = Kind::all();
    let mut columns = Vec::new();
    for &size in &sizes {
        eprintln!("changes of registrations, n = {size}");
        let sources = Sources::open(Flavour::Counter, size)?;
        columns.push(Rounds::measure(&kinds, rounds, |kind| {
            kind.run(Cost::Registration { sources: &sources })
        })?);
        columns.push(Rounds::measure(&kinds, rounds, |kind| {
            kind.run(Cost::Modification { sources: &sources })
        })?);
    }
    let heads = sizes
        .iter()
        .map(|size| format!(" registration, n = {size} | modification, n = {size} |"));
    println!("| |{}", heads.collect::<String>());
    println!("|---|{}", "---|".repeat(columns.len()));
    for kind in kinds {
        let cells = columns.iter().filter_map(|column| {
            if kind == Kind::Mio {
                Some(format!(" 1 = {} |", column.cost(kind)?.nanoseconds()))
            } else {
                Some(format!(" {} |", column.ratio(kind, Kind::Mio)?))
            }
        });
        println!("| {kind} |{}", cells.collect::<String>());
    }
    println!();
    Ok(())
}
