//! Windows programs, run by Wine.

use std::path::Path;
use std::process::Command;

use super::toolchain::{Toolchain, need};
use super::{count, exists};
use crate::programs::run as run_command;

/// What the standard library imports and the Wine of Debian 12 lacks: a source of random numbers.
const RANDOM_NUMBERS: &str = "\
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T left) {
    while (left) {
        ULONG part = left > 65536 ? 65536 : (ULONG)left;
        if (!SystemFunction036(to, part)) return FALSE;
        to += part;
        left -= part;
    }
    return TRUE;
}
";

const COMPILER: &str = "x86_64-w64-mingw32-gcc";

/// Runs the crate's own tests and the conformance suite.
pub(super) fn run(toolchain: &Toolchain, target: &str) -> Result<String, String> {
    need(COMPILER, &["gcc-mingw-w64-x86-64-posix"])?;
    need("wine", &["wine64", "wine"])?;
    let folder = toolchain.target_folder();
    let prefix = folder.join("wine");
    let with_wine = |command: &mut Command| {
        command
            .env("WINEPREFIX", &prefix)
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            .env("DISPLAY", "");
    };
    if !exists(prefix.join("system.reg")) {
        // Wine makes its own folder, and not those that it lies in.
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let mut boot = Command::new("wineboot");
        boot.arg("-i");
        with_wine(&mut boot);
        run_command(&mut boot)?;
    }
    let programs = folder.join(target).join("debug").join("deps");
    provide_random_numbers(&programs)?;
    let mut command = toolchain.cargo("test", target);
    with_wine(&mut command);
    let name = target.replace('-', "_").to_uppercase();
    command
        .env(format!("CARGO_TARGET_{name}_RUNNER"), "wine")
        .args(["--lib", "--test", "conformance", "--test", "mechanism"])
        // One at a time: one thread serves all that run under Wine, and a case that has it look at thousands of sockets
        // would use up the others' patience.
        .args(["--no-fail-fast", "--", "--test-threads=1"]);
    Ok(format!("{} under Wine", count(&mut command)?))
}

/// Puts the library that Wine lacks beside the programs, where it is looked for first.
fn provide_random_numbers(programs: &Path) -> Result<(), String> {
    let written = std::fs::create_dir_all(programs)
        .and_then(|()| std::fs::write(programs.join("random_numbers.c"), RANDOM_NUMBERS));
    written.map_err(|error| format!("cannot write to {}: {error}", programs.display()))?;
    run_command(Command::new(COMPILER).current_dir(programs).args([
        "-O2",
        "-shared",
        "-o",
        "bcryptprimitives.dll",
        "random_numbers.c",
        "-ladvapi32",
    ]))
}
