//! `cargo xtask vm`: scenarios that need a machine of their own, in a virtual one: qemu without hardware help, Debian's
//! kernel, and as its only program the package `trunkline-vm`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::programs::{self, cargo, is_installed, target_folder};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const KERNEL_PACKAGE: &str = "linux-image-cloud-amd64";
/// Programs, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 3] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("apt-get", "apt"),
    ("dpkg", "dpkg"),
];
/// The last line of a scenario that held, as `vm/src/main.rs` says it.
const GOOD: &str = "scenario passed";

struct Wanted {
    scenarios: Vec<String>,
    mechanisms: Vec<String>,
    connections: usize,
    memory_mebibytes: Option<usize>,
}

/// What a connection takes of the machine's memory, both ends and both processes, as the scenario prints it; and what the
/// machine takes for itself.
const CONNECTION_BYTES: usize = 8 * 1024;
const MACHINE_MEBIBYTES: usize = 1024;

impl Wanted {
    fn from_words(words: &[&str]) -> Result<Self, String> {
        let mut wanted = Self {
            scenarios: Vec::new(),
            mechanisms: Vec::new(),
            connections: 1_000_000,
            memory_mebibytes: None,
        };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            if !word.starts_with("--") {
                wanted.scenarios.push(word.to_string());
                continue;
            }
            let value = words.next();
            let value = *value.ok_or_else(|| format!("{word} needs a value"))?;
            let number = || {
                let number = value.parse::<usize>();
                number.map_err(|_| format!("{word} {value}: no number"))
            };
            match word {
                "--connections" => wanted.connections = number()?,
                "--memory" => wanted.memory_mebibytes = Some(number()?),
                "--mechanism" => wanted.mechanisms.push(value.to_string()),
                _ => return Err(format!("unknown option {word}")),
            }
        }
        if wanted.scenarios.is_empty() {
            wanted.scenarios = vec!["clock-step".into(), "1m-idle".into()];
        }
        Ok(wanted)
    }

    fn memory_mebibytes(&self, scenario: &str) -> usize {
        let for_connections = self.connections * CONNECTION_BYTES / (1024 * 1024);
        self.memory_mebibytes.unwrap_or(match scenario {
            "1m-idle" => MACHINE_MEBIBYTES + for_connections,
            _ => MACHINE_MEBIBYTES,
        })
    }

    /// The one asked for, or all where that costs little.
    fn mechanisms(&self, scenario: &str) -> Vec<&str> {
        if !self.mechanisms.is_empty() {
            return self.mechanisms.iter().map(String::as_str).collect();
        }
        match scenario {
            "1m-idle" => vec!["epoll"],
            _ => vec!["epoll", "io_uring", "poll", "select"],
        }
    }
}

/// Runs the command with what follows its name.
pub(crate) fn run(words: &[&str]) -> Outcome {
    let wanted = Wanted::from_words(words)?;
    for (program, package) in PROGRAMS {
        if !is_installed(program) {
            return Err(format!(
                "a virtual machine needs `{program}`: apt-get install {package}"
            ));
        }
    }
    let folder = target_folder()?.join("vm");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let kernel = kernel(&folder)?;
    let files = initial_files(&folder, &build_init()?)?;
    for scenario in &wanted.scenarios {
        let memory = wanted.memory_mebibytes(scenario);
        for mechanism in wanted.mechanisms(scenario) {
            println!("==> {scenario} on {mechanism}, in a machine with {memory} MiB");
            let command_line = format!(
                "console=ttyS0 quiet panic=-1 mitigations=off init_on_alloc=0 apparmor=0 thash_entries=1048576 \
                 trunkline={scenario} mechanism={mechanism} connections={}",
                wanted.connections
            );
            boot(&kernel, &files, memory, &command_line)?;
        }
    }
    Ok(())
}

/// Debian's kernel for virtual machines, fetched once.
fn kernel(folder: &Path) -> Result<PathBuf, String> {
    let unpacked = folder.join("kernel");
    if let Some(kernel) = kernel_in(&unpacked) {
        return Ok(kernel);
    }
    let depends = Command::new("apt-cache")
        .args(["depends", KERNEL_PACKAGE])
        .output();
    let depends = depends.map_err(|error| format!("cannot run apt-cache: {error}"))?;
    let depends = String::from_utf8_lossy(&depends.stdout).into_owned();
    let package = depends
        .split_whitespace()
        .find(|word| word.starts_with("linux-image-") && *word != KERNEL_PACKAGE)
        .ok_or("apt-cache knows no kernel: apt-get update, first")?;
    programs::run(
        Command::new("apt-get")
            .args(["download", "-qq", package])
            .current_dir(folder),
    )?;
    let archive = fs::read_dir(folder)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or("apt-get downloaded no package")?;
    programs::run(Command::new("dpkg").arg("-x").arg(archive).arg(&unpacked))?;
    kernel_in(&unpacked).ok_or_else(|| format!("{package} holds no kernel"))
}

fn kernel_in(unpacked: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(unpacked.join("boot")).ok()?;
    entries.find_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?;
        name.starts_with("vmlinuz-").then_some(path)
    })
}

/// The machine's program, with everything it needs inside.
fn build_init() -> Result<PathBuf, String> {
    programs::run(
        cargo()
            .args(["build", "--release", "--package", "trunkline-vm"])
            .args(["--target", TARGET])
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    Ok(target_folder()?.join(TARGET).join("release/trunkline-vm"))
}

/// What the kernel unpacks into memory before it starts `/init`: an archive of one file (cpio, "newc").
fn initial_files(folder: &Path, init: &Path) -> Result<PathBuf, String> {
    let path = folder.join("initial-files.cpio");
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let program = fs::read(init).map_err(|error| format!("{}: {error}", init.display()))?;
    let mut archive = fs::File::create(&path).map_err(told)?;
    // Regular files that may be executed; the last entry ends the archive.
    for (name, mode, bytes) in [("init", 0o100_755, &program[..]), ("TRAILER!!!", 0, &[])] {
        let header = cpio_header(mode, bytes.len(), name.len() + 1);
        let padding = |length: usize| vec![0; length.next_multiple_of(4) - length];
        archive.write_all(header.as_bytes()).map_err(told)?;
        archive.write_all(name.as_bytes()).map_err(told)?;
        archive.write_all(&[0]).map_err(told)?;
        let before = header.len() + name.len() + 1;
        archive.write_all(&padding(before)).map_err(told)?;
        archive.write_all(bytes).map_err(told)?;
        archive.write_all(&padding(bytes.len())).map_err(told)?;
    }
    Ok(path)
}

/// Numbers in eight hexadecimal digits: inode, mode, owner, group, links, time, size, four device numbers, the length of
/// the name with its zero, and a checksum that nobody takes.
fn cpio_header(mode: u32, size: usize, name_length: usize) -> String {
    format!(
        "070701{:08X}{mode:08X}{:08X}{:08X}{:08X}{:08X}{size:08X}{:08X}{:08X}{:08X}{:08X}{name_length:08X}{:08X}",
        1, 0, 0, 1, 0, 0, 0, 0, 0, 0
    )
}

/// Runs the machine until it switches itself off.
fn boot(kernel: &Path, files: &Path, mebibytes: usize, command_line: &str) -> Outcome {
    let mut machine = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
        .args(["-m", &mebibytes.to_string()])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(files)
        .args(["-append", command_line])
        .args(["-nographic", "-no-reboot", "-nic", "none"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start qemu: {error}"))?;
    let console = machine.stdout.take().ok_or("qemu has no console")?;
    let mut good = false;
    for line in BufReader::new(console).split(b'\n') {
        let line = line.map_err(|error| format!("the console: {error}"))?;
        let line = String::from_utf8_lossy(&line);
        println!("  {}", line.trim_end());
        good |= line.trim_end() == GOOD;
    }
    let status = machine
        .wait()
        .map_err(|error| format!("cannot wait for qemu: {error}"))?;
    if good {
        Ok(())
    } else {
        Err(format!("the scenario did not pass ({status})"))
    }
}

/// A test of the archive needs no machine.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_length_that_the_format_asks_for() {
        let header = cpio_header(0o100_755, 17, 5);
        assert_eq!(header.len(), 110);
        assert!(header.starts_with("07070100000001000081ED"));
        assert_eq!(&header[54..62], "00000011");
        assert_eq!(&header[94..102], "00000005");
    }
}
