//! The README's tour, run as it stands: what a newcomer types has to print what the README shows.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::programs::workspace_root;

/// The ports that the tour names; free ones take their place when it is tested.
const TOUR_PORTS: [&str; 2] = ["7000", "7001"];
/// Kills a tour that hangs.
const DEADLINE_SECONDS: &str = "60";

/// Runs every `console` block of the README's section "Tour" with `trunkline` as it was built.
pub(crate) fn run(trunkline: &Path) -> Outcome {
    let readme = workspace_root().join("README.md");
    let text =
        fs::read_to_string(&readme).map_err(|error| format!("cannot read README.md: {error}"))?;
    let text = with_free_ports(&text)?;
    let (commands, expected) = commands_and_output(&text);
    if commands.is_empty() {
        return Err("the README has no tour".into());
    }
    eprintln!("==> the README's tour, {} commands", commands.len());
    let output = Command::new("timeout")
        .args([DEADLINE_SECONDS, "bash", "-c", &script(&commands)])
        .env("TRUNKLINE", trunkline)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run bash: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!(
            "the README's tour ended with {}; it printed:\n{printed}",
            output.status
        ));
    }
    if printed == expected {
        Ok(())
    } else {
        Err(format!(
            "the README's tour prints\n{printed}\nbut the README shows\n{expected}"
        ))
    }
}

fn with_free_ports(text: &str) -> Result<String, String> {
    let mut text = text.to_owned();
    // All are held at once, so that no two are the same.
    let listeners: Result<Vec<_>, _> = TOUR_PORTS
        .iter()
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect();
    let listeners = listeners.map_err(|error| format!("cannot find free ports: {error}"))?;
    let mut ports = Vec::new();
    for listener in &listeners {
        let address = listener
            .local_addr()
            .map_err(|error| format!("cannot find a free port: {error}"))?;
        ports.push(address.port().to_string());
    }
    // In the same order as the ports they stand for, because the tour sorts by them.
    ports.sort();
    for (named, free) in TOUR_PORTS.iter().zip(&ports) {
        text = text.replace(named, free);
    }
    Ok(text)
}

/// The lines after `$ ` are commands, the others are what they print.
fn commands_and_output(text: &str) -> (Vec<&str>, String) {
    let mut commands = Vec::new();
    let mut output = String::new();
    let mut inside = false;
    for line in text.lines() {
        match (inside, line) {
            (_, "```console") => inside = true,
            (_, "```") => inside = false,
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => commands.push(command),
                None => output.extend([line, "\n"]),
            },
            (false, _) => {}
        }
    }
    (commands, output)
}

/// One script of all commands. A person waits until a server says that it listens; so does the script.
fn script(commands: &[&str]) -> String {
    let mut script = String::from(
        "set -eu -o pipefail\n\
         scratch=$(mktemp -d)\n\
         trap 'kill $(jobs -p) 2>/dev/null || true; rm -r \"$scratch\"' EXIT\n\
         trunkline() { \"$TRUNKLINE\" \"$@\"; }\n",
    );
    for (number, command) in commands.iter().enumerate() {
        let Some(server) = command.strip_suffix(" &") else {
            script.extend([command, "\n"]);
            continue;
        };
        // `exec`, so that the job is the server itself and not a shell around it.
        let server = server.replacen("trunkline", "exec \"$TRUNKLINE\"", 1);
        let log = format!("\"$scratch/{number}\"");
        let _ = writeln!(script, "({server}) 2>{log} &");
        let _ = writeln!(
            script,
            "until grep -qs listening {log}; do kill -0 $!; done"
        );
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_what_they_print() {
        let text = "```sh\n$ no\n```\n```console\n$ echo a\na\n$ true\n```\nno\n";
        assert_eq!(
            commands_and_output(text),
            (vec!["echo a", "true"], "a\n".to_owned())
        );
    }
}
