//! `cargo xtask sanitize`: tests under the thread sanitizer and under the address sanitizer.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::platforms::toolchain::{Toolchain, install};
use crate::programs::{self, target_folder, workspace_root};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The sanitizer's own part of a program, and the Debian package that brings it.
const RUNTIME: &str = "libclang_rt.tsan-x86_64.a";
const RUNTIME_PACKAGE: &str = "libclang-rt-19-dev";

/// Where threads meet: the package, what to build of it, and the tests to run.
const MEETINGS: [(&str, &[&str], &[&str]); 2] = [
    (
        "trunkline-selectors",
        &["--lib", "--test", "conformance"],
        &["w1_", "wake", "another_thread_waits", "another_thread"],
    ),
    ("trunkline", &["--test", "suite"], &["w1_", "w2_", "s40_"]),
];

/// The scenario `wake-storm`, and whatever else has several threads. The standard library is built with the sanitizer
/// too, or its own synchronisation would be taken for races.
pub(crate) fn threads() -> Outcome {
    let toolchain = Toolchain::find()?;
    link_runtime()?;
    for (package, parts, tests) in MEETINGS {
        programs::run(
            toolchain
                .command("/usr/bin/cargo")
                .args(["test", "-Zbuild-std", "--target", TARGET])
                .args(["--package", package])
                .args(parts)
                .arg("--")
                .args(tests)
                .env("RUSTFLAGS", "-Zsanitizer=thread")
                .env(
                    "CARGO_TARGET_DIR",
                    target_folder()?.join("thread-sanitizer"),
                ),
        )?;
    }
    println!("no race was found");
    Ok(())
}

/// Debian's compiler comes without the sanitizer's part, which is the one of Debian's clang of the same LLVM.
fn link_runtime() -> Outcome {
    let place = Path::new("/usr/lib/rustlib")
        .join(TARGET)
        .join("lib/librustc-stable_rt.tsan.a");
    if place.exists() {
        return Ok(());
    }
    if runtime().is_none() {
        install(&[RUNTIME_PACKAGE])?;
    }
    let runtime = runtime().ok_or_else(|| format!("{RUNTIME_PACKAGE} does not bring {RUNTIME}"))?;
    symlink(&runtime, &place).map_err(|error| {
        format!(
            "{} has to lie at {}: {error}",
            runtime.display(),
            place.display()
        )
    })
}

fn runtime() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/llvm-19/lib/clang").ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("lib/linux").join(RUNTIME)))
        .find(|path| path.exists())
}

/// Tests that look at how much memory there is, or at the calls of the system: the sanitizer uses more of both.
const MEASURING: [&str; 3] = [
    "a8_a_frame_without_an_end_costs_no_memory",
    "a3_a_peer_that_never_reads_costs_bounded_memory_and_the_others_nothing",
    "a_turn_on_",
];
/// A file that names what leaks without being ours.
const LEAKS_OF_OTHERS: &str = "xtask/leaks-of-others.txt";

/// Everything that the selectors and the engine test, under the address sanitizer of a nightly compiler.
pub(crate) fn addresses() -> Outcome {
    programs::run(
        Command::new("cargo")
            .current_dir(workspace_root())
            .args(["+nightly", "test", "--target", TARGET, "--tests"])
            .arg("--no-fail-fast")
            .args(["--package", "trunkline-selectors", "--package", "trunkline"])
            .arg("--")
            .args(MEASURING.map(|test| ["--skip", test]).as_flattened())
            .env("RUSTFLAGS", "-Zsanitizer=address")
            .env(
                "LSAN_OPTIONS",
                format!(
                    "suppressions={}",
                    workspace_root().join(LEAKS_OF_OTHERS).display()
                ),
            )
            .env(
                "CARGO_TARGET_DIR",
                target_folder()?.join("address-sanitizer"),
            ),
    )?;
    println!("no error of memory was found");
    Ok(())
}
