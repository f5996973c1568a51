//! `trunkline load`: a load generator that says what it does not know.
//!
//! `plan` checks what was typed (`arguments`, `template`, `wire`, `pace`, `sources`, `slo`); `run` starts threads, each a
//! `worker` that turns an event loop whose handler is `driver`; that one asks `pace` what is due, `matching` which
//! message an answer belongs to and `written` when it was sent, and puts everything into a `record` (`latency`,
//! `timeline`). `noise` is measured before; `limit` says whether the figures are ours; `report` tells.

mod arguments;
mod driver;
mod find_rate;
mod latency;
mod limit;
mod live;
mod matching;
mod noise;
mod pace;
mod plan;
mod record;
mod report;
mod run;
mod slo;
mod sources;
mod template;
mod timeline;
mod verify;
mod wire;
mod worker;
mod written;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

pub(crate) use arguments::LoadArguments;
use live::Live;
use plan::Plan;
use report::Report;

use crate::failure::Failure;

/// What a shell says of a program that Ctrl-C has ended.
const INTERRUPTED_TWICE: i32 = 130;

/// Loads, and reports.
pub(crate) fn run(arguments: &LoadArguments) -> Result<ExitCode, Failure> {
    let mut plan = Plan::of(arguments)?;
    let mut targets = arguments.slo.clone().unwrap_or_default();
    let page = arguments
        .html
        .as_ref()
        .map(|path| Page::create(path))
        .transpose()?;
    let interrupted = interruption()?;
    let noise = arguments
        .noise
        .get()
        .map(|duration| noise::measure(duration, &plan))
        .transpose()?;
    let (search, outcome) = if arguments.find_rate {
        if targets.0.is_empty() {
            targets = slo::targets("p99=10ms").map_err(Failure::usage)?;
        }
        plan.duration = Some(arguments.duration.unwrap_or(find_rate::ATTEMPT));
        let (search, best, outcome) =
            find_rate::search(&plan, &targets.0, noise.as_ref(), &interrupted)?;
        plan = best;
        (Some(search), outcome)
    } else {
        (None, run::run(&plan, &interrupted, &mut Live::new(""))?)
    };
    let report = Report::new(&plan, &outcome, noise.as_ref(), &targets.0, search.as_ref());
    if let Some(page) = page {
        page.write(&report.html())?;
    }
    print(&if arguments.json {
        report.json()
    } else {
        report.text()
    })?;
    Ok(ExitCode::from(report.exit_code(arguments.strict)))
}

/// Becomes true with the first Ctrl-C, which ends the run and still tells what was measured. The second ends it all.
fn interruption() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag still false.
        flag::register_conditional_shutdown(signal, INTERRUPTED_TWICE, Arc::clone(&interrupted))
            .and_then(|_| flag::register(signal, Arc::clone(&interrupted)))
            .map_err(|error| Failure::failed(format!("cannot catch signals: {error}")))?;
    }
    Ok(interrupted)
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::failed(format!(
            "cannot write to standard output: {error}"
        ))),
        Ok(()) => Ok(()),
    }
}

/// The file for the page: opened before the load, so that nobody waits for a run whose result has no place.
struct Page<'a> {
    path: &'a std::path::Path,
    file: std::fs::File,
}

impl<'a> Page<'a> {
    fn create(path: &'a std::path::Path) -> Result<Self, Failure> {
        let file = std::fs::File::create(path).map_err(|error| {
            let failure = Failure::failed(format!("cannot write {}: {error}", path.display()));
            failure.with_hint("--html takes the name of a file in a directory that exists and that you may write to")
        })?;
        Ok(Self { path, file })
    }

    fn write(mut self, html: &str) -> Result<(), Failure> {
        let path = self.path.display();
        self.file
            .write_all(html.as_bytes())
            .map_err(|error| Failure::failed(format!("cannot write {path}: {error}")))
    }
}
