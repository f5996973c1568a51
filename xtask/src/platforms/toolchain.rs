//! Debian's Rust with the standard library's sources, and what else has to be installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{SKIPPED, exists};
use crate::programs::{is_installed, run, workspace_root};

/// The package whose tests are built, and run where something can run them.
const PACKAGE: &str = "trunkline-selectors";
/// The one above it, which is type-checked where it is meant to work.
const ENGINE: &str = "trunkline";
/// The crates of the standard library to build: `test` for the tests' harness.
const BUILD_STD: &str = "-Zbuild-std=std,panic_unwind,test";

/// The versions that are known to work together.
const ZIG: [&str; 2] = ["ziglang==0.17.0", "cargo-zigbuild==0.24.0"];

/// What has built the standard library for a platform, if anything has.
#[derive(Clone, Copy)]
pub(super) enum Builder {
    None,
    Cargo,
    Zig,
}

pub(crate) struct Toolchain {
    /// Where it builds: beside the usual builds, which have another compiler.
    target_folder: PathBuf,
}

impl Toolchain {
    /// Finds it, or installs it if we may.
    pub(crate) fn find() -> Result<Toolchain, String> {
        if !exists("/usr/bin/cargo") || !exists("/usr/lib/rustlib/src/rust/library/std/Cargo.toml")
        {
            install(&["rustc-web", "cargo-web", "rust-web-src"])?;
        }
        let base = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace_root().join("target"), PathBuf::from);
        Ok(Toolchain {
            target_folder: base.join("platforms"),
        })
    }

    /// Where it builds.
    pub(super) fn target_folder(&self) -> &PathBuf {
        &self.target_folder
    }

    /// A cargo command for another platform.
    pub(super) fn cargo(&self, verb: &str, target: &str) -> Command {
        self.cargo_for(PACKAGE, verb, target)
    }

    /// Type-checks the engine, without its tests. Where the standard library has been built already it is built too:
    /// that is sooner done than to read through the standard library once more.
    pub(super) fn check_engine(&self, target: &str, builder: Builder) -> Result<String, String> {
        let mut command = match builder {
            Builder::None => self.cargo_for(ENGINE, "check", target),
            Builder::Cargo => self.cargo_for(ENGINE, "build", target),
            Builder::Zig => self.zig_for(ENGINE, target)?,
        };
        run(command.arg("--lib"))?;
        Ok("yes".into())
    }

    fn cargo_for(&self, package: &str, verb: &str, target: &str) -> Command {
        let mut command = self.command("/usr/bin/cargo");
        Toolchain::save_time(&mut command).args([
            verb,
            "--quiet",
            BUILD_STD,
            "--package",
            package,
            "--target",
            target,
        ]);
        command
    }

    /// A program that builds with this toolchain, whatever the one is that started us.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(workspace_root())
            .env_remove("RUSTUP_TOOLCHAIN")
            .env("RUSTC", "/usr/bin/rustc")
            .env("RUSTDOC", "/usr/bin/rustdoc")
            .env("CARGO", "/usr/bin/cargo")
            .env("CARGO_TARGET_DIR", &self.target_folder)
            // Building the standard library is an unstable option of cargo.
            .env("RUSTC_BOOTSTRAP", "1");
        command
    }

    /// The standard library is built for each platform: what only takes time there is left out.
    fn save_time(command: &mut Command) -> &mut Command {
        command
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            // Without debugging information cargo would strip the rest, for which Apple's targets need one more program.
            .env("CARGO_PROFILE_DEV_STRIP", "none")
            .env("CARGO_INCREMENTAL", "0")
    }

    /// Links all tests against the stubs of the C library that zig brings for other systems.
    pub(super) fn link_with_zig(&self, target: &str) -> Result<String, String> {
        run(self.zig_for(PACKAGE, target)?.arg("--tests"))?;
        Ok("yes, with zig".into())
    }

    /// A command that builds with zig, which is installed first.
    fn zig_for(&self, package: &str, target: &str) -> Result<Command, String> {
        let environment = self.target_folder.join("zig");
        let programs = environment.join("bin");
        if !exists(programs.join("cargo-zigbuild")) {
            need("python3", &["python3", "python3-venv"])?;
            run(Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment))?;
            run(Command::new(programs.join("pip"))
                .args(["install", "--quiet"])
                .args(ZIG))?;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            [programs.clone(), "/usr/bin".into()]
                .into_iter()
                .chain(std::env::split_paths(&path)),
        )
        .map_err(|error| format!("the search path: {error}"))?;
        let mut command = self.command(&programs.join("cargo-zigbuild").to_string_lossy());
        Toolchain::save_time(&mut command)
            .env("PATH", path)
            // Nobody runs it.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
            .env("CARGO_ZIGBUILD_ZIG_PATH", zig_in(&environment)?)
            .args([
                "zigbuild",
                "--quiet",
                BUILD_STD,
                "--package",
                package,
                "--target",
                target,
            ]);
        Ok(command)
    }
}

/// The zig that Python installed: `lib/python3.…/site-packages/ziglang/zig`.
fn zig_in(environment: &Path) -> Result<PathBuf, String> {
    let versions = std::fs::read_dir(environment.join("lib"))
        .into_iter()
        .flatten()
        .flatten();
    versions
        .map(|version| version.path().join("site-packages/ziglang/zig"))
        .find(|zig| zig.exists())
        .ok_or_else(|| format!("there is no zig in {}", environment.display()))
}

/// Has the packages installed if the program is not there.
pub(crate) fn need(program: &str, packages: &[&str]) -> Result<(), String> {
    if is_installed(program) {
        Ok(())
    } else {
        install(packages)
    }
}

/// Installs Debian packages, which takes root; otherwise says what is missing.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let names = packages.join(" ");
    let user = Command::new("id").arg("-u").output();
    let is_root = user.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !is_root || !is_installed("apt-get") {
        return Err(format!("{SKIPPED}needs Debian's {names}"));
    }
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(arguments))
    };
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}
