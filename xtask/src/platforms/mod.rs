//! `cargo xtask platforms`: what the selectors do beyond the machine at hand. Each platform is type-checked (and the
//! engine too), linked where the libraries to link with can be had, and run where something can run it.
//!
//! It builds the standard library for every target from its sources, which needs Debian's `rustc-web` and takes a
//! while: some minutes for each platform on a small machine, less when repeated.

pub(crate) mod toolchain;
mod wine;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use self::toolchain::{Builder, Toolchain};
use crate::Outcome;
use crate::programs;

/// How far it goes with a platform.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ambition {
    Check,
    /// Links all tests with zig, which brings the C library's stubs.
    LinkWithZig,
    /// Runs the conformance suite with qemu's user emulation.
    RunUnderQemu,
    /// Runs the crate's own tests and the conformance suite with Wine.
    RunUnderWine,
}

use Ambition::{Check, LinkWithZig, RunUnderQemu, RunUnderWine};

/// The platforms, the cheapest to know most about first.
const PLATFORMS: [(&str, Ambition); 15] = [
    ("aarch64-unknown-linux-gnu", RunUnderQemu),
    ("x86_64-pc-windows-gnu", RunUnderWine),
    ("x86_64-unknown-freebsd", LinkWithZig),
    ("aarch64-apple-darwin", LinkWithZig),
    ("x86_64-apple-darwin", LinkWithZig),
    ("x86_64-unknown-netbsd", Check),
    ("x86_64-unknown-openbsd", Check),
    ("x86_64-unknown-dragonfly", Check),
    ("x86_64-unknown-illumos", Check),
    ("x86_64-pc-solaris", Check),
    ("x86_64-pc-windows-msvc", Check),
    ("x86_64-unknown-linux-musl", Check),
    ("i686-unknown-linux-gnu", Check),
    ("i686-unknown-freebsd", Check),
    ("aarch64-linux-android", Check),
];

/// Where there is no engine: it wants Unix's sockets, and `SO_REUSEPORT`, which Solaris and its kin lack or `socket2` does
/// not offer there.
const WITHOUT_ENGINE: [&str; 3] = ["windows", "solaris", "illumos"];

/// What was found out about a platform.
struct Row {
    target: &'static str,
    checked: String,
    /// Whether the engine is type-checked too.
    engine: String,
    linked: String,
    ran: String,
}

/// Goes through the platforms whose name contains one of `wanted`, or through all, and prints a table.
pub(crate) fn run(wanted: &[&str]) -> Outcome {
    let is_wanted =
        |target: &str| wanted.is_empty() || wanted.iter().any(|part| target.contains(part));
    let platforms: Vec<_> = PLATFORMS
        .into_iter()
        .filter(|(target, _)| is_wanted(target))
        .collect();
    if platforms.is_empty() {
        return Err(format!("no platform's name contains any of {wanted:?}"));
    }
    let toolchain = match Toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(reason) => {
            eprintln!("skipped: all platforms: {reason}");
            return Ok(());
        }
    };
    let mut rows = Vec::new();
    for (target, ambition) in platforms {
        rows.push(examine(&toolchain, target, ambition));
    }
    print!("{}", table(&rows));
    let failed = rows.iter().filter(|row| row.failed()).count();
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("platforms that failed: {failed} (see the table)"))
    }
}

fn examine(toolchain: &Toolchain, target: &'static str, ambition: Ambition) -> Row {
    let mut row = Row {
        target,
        checked: "–".into(),
        engine: "not for it".into(),
        linked: "–".into(),
        ran: "–".into(),
    };
    match ambition {
        Check => {}
        LinkWithZig => row.linked = said(toolchain.link_with_zig(target)),
        RunUnderQemu => row.ran = said(run_under_qemu(toolchain, target)),
        RunUnderWine => row.ran = said(wine::run(toolchain, target)),
    }
    // What was linked was checked before, and what ran was linked.
    if is_good(&row.ran) {
        row.linked = YES.into();
    }
    row.checked = if is_good(&row.linked) {
        YES.into()
    } else {
        let checked = programs::run(toolchain.cargo("check", target).args(["--lib", "--tests"]));
        said(checked.map(|()| YES.into()))
    };
    if !WITHOUT_ENGINE.iter().any(|part| target.contains(part)) {
        let builder = match ambition {
            LinkWithZig => Builder::Zig,
            RunUnderQemu | RunUnderWine => Builder::Cargo,
            Check => Builder::None,
        };
        row.engine = said(toolchain.check_engine(target, builder));
    }
    row
}

fn is_good(cell: &str) -> bool {
    cell != "–" && cell != FAILED && !cell.starts_with(SKIPPED)
}

/// What came of a step, for the table: what it found, why it was skipped, or that it failed.
fn said(result: Result<String, String>) -> String {
    result.unwrap_or_else(|reason| {
        eprintln!("{reason}");
        match reason.strip_prefix(SKIPPED) {
            Some(_) => reason,
            None => FAILED.to_owned(),
        }
    })
}

const YES: &str = "yes";
const FAILED: &str = "FAILED";
/// How the reason begins why something could not be tried.
const SKIPPED: &str = "skipped: ";

impl Row {
    fn failed(&self) -> bool {
        [&self.checked, &self.engine, &self.linked, &self.ran]
            .iter()
            .any(|cell| *cell == FAILED)
    }
}

/// The table as Markdown, for the documentation.
fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| Platform | Type-checked | Engine type-checked | Linked | Ran |\n|---|---|---|---|---|\n",
    );
    for Row {
        target,
        checked,
        engine,
        linked,
        ran,
    } in rows
    {
        let _ = writeln!(
            text,
            "| {target} | {checked} | {engine} | {linked} | {ran} |"
        );
    }
    text
}

/// The emulator of system calls has no `io_uring`; and its own sets end at 1024 descriptors, and it with them.
const NOT_UNDER_QEMU: [&str; 7] = [
    "io_uring::",
    "select::changes_of_thousands_at_once",
    "select::not_more_than_a_thousand_are_held",
    "select::e7_a_seldom_source_gets_its_turn_among_too_many_busy_ones",
    "select::r8_descriptor_2000_works",
    "select::more_sources_ready_than_one_batch_holds",
    "select::one_shots_that_do_not_fit_into_a_batch_stay_armed",
];

/// Runs the conformance suite of another Linux machine.
fn run_under_qemu(toolchain: &Toolchain, target: &str) -> Result<String, String> {
    let (machine, _) = target.split_once('-').unwrap_or((target, ""));
    let compiler = format!("{machine}-linux-gnu-gcc");
    let emulator = format!("qemu-{machine}");
    let library_package = "libc6-dev-arm64-cross";
    for (program, package) in [
        (compiler.as_str(), "gcc-aarch64-linux-gnu"),
        (emulator.as_str(), "qemu-user"),
    ] {
        toolchain::need(program, &[package, library_package])?;
    }
    let name = target.replace('-', "_").to_uppercase();
    let mut command = toolchain.cargo("test", target);
    command
        .env(format!("CARGO_TARGET_{name}_LINKER"), &compiler)
        .env(
            format!("CARGO_TARGET_{name}_RUNNER"),
            format!("{emulator} -L /usr/{machine}-linux-gnu"),
        )
        .args([
            "--test",
            "conformance",
            "--test",
            "model",
            "--no-fail-fast",
            "--",
        ]);
    // One at a time, so that nobody gets a number that high because others have many open.
    command.arg("--test-threads=1");
    for case in NOT_UNDER_QEMU {
        command.args(["--skip", case]);
    }
    Ok(format!("{} under qemu-user", count(&mut command)?))
}

/// Runs a command that runs tests, and says how many passed.
fn count(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run the tests: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let results = text
        .lines()
        .filter(|line| line.starts_with("test result: "));
    let passed: usize = results.filter_map(passed_in).sum();
    if output.status.success() && passed > 0 {
        return Ok(format!("{passed} tests"));
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "the tests ended with {}:\n{text}\n{errors}",
        output.status
    ))
}

/// The number in "test result: ok. 12 passed; …".
fn passed_in(line: &str) -> Option<usize> {
    let (before, _) = line.split_once(" passed")?;
    before.rsplit(' ').next()?.parse().ok()
}

/// Whether there is such a file.
fn exists(path: impl AsRef<Path>) -> bool {
    path.as_ref().exists()
}
