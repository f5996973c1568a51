//! The programs that a command needs: cargo, our own binary, and what has to be installed.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::Outcome;

/// A program that is found on the search path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The cargo that started us, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    command
}

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// Builds `trunkline` for release and says where it is.
pub(crate) fn build_trunkline() -> Result<PathBuf, String> {
    run(cargo().args(["build", "--release", "--package", "trunkline-cli"]))?;
    Ok(target_folder()?.join("release/trunkline"))
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> Result<PathBuf, String> {
    // We lie in <target>/<profile>/xtask, wherever <target> is.
    let mut path =
        env::current_exe().map_err(|error| format!("cannot find out where xtask lies: {error}"))?;
    path.pop();
    path.pop();
    Ok(path)
}

/// Runs a command to its end, says which one, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let name = command_line(command);
    eprintln!("==> {name}");
    let status = command
        .status()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {status}"))
    }
}

fn command_line(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
