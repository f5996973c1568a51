//! A `trunkline serve` as a child process, perhaps under an instrument.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Outcome, heap};

/// Starting and draining take longer under an instrument, but not this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// Everything that a server may be asked to watch: what a message costs must not depend on it.
const ALL_DEADLINES: [&str; 10] = [
    "--handshake-timeout",
    "1m",
    "--frame-timeout",
    "1m",
    "--idle-timeout",
    "5m",
    "--write-stall-timeout",
    "1m",
    "--lifetime",
    "1d",
];

/// The running server. Dropped, it is killed.
pub(crate) struct Served {
    child: Child,
    /// Lines of its standard error; ends when the process, and its instrument, have ended.
    chatter: Receiver<String>,
    addresses: Vec<SocketAddr>,
}

impl Served {
    /// Starts an echo server on epoll with all deadlines armed: `command` is the program, or the program under an instrument.
    pub(crate) fn start(command: Command) -> Result<Self, String> {
        let echo = ["echo", "127.0.0.1:0", "--mechanism", "epoll"];
        Self::start_with(command, &[&echo[..], &ALL_DEADLINES].concat(), 1)
    }

    /// Starts `command` with these arguments and waits until it listens on that many addresses.
    pub(crate) fn start_with(
        mut command: Command,
        arguments: &[&str],
        address_count: usize,
    ) -> Result<Self, String> {
        command.arg("serve").args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start the server: {error}"))?;
        let (sender, chatter) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                let lines = BufReader::new(stderr).lines().map_while(Result::ok);
                let _ = lines
                    .map(|line| sender.send(line))
                    .take_while(Result::is_ok)
                    .count();
            });
        }
        let mut served = Self {
            child,
            chatter,
            addresses: Vec::new(),
        };
        for _ in 0..address_count {
            let address = served.bound_address()?;
            served.addresses.push(address);
        }
        Ok(served)
    }

    /// Where it listens first.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> Result<usize, String> {
        let path = format!("/proc/{}/fd", self.server_id());
        let entries =
            fs::read_dir(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        Ok(entries.count())
    }

    /// Reads the address from "echo listening on ADDRESS (MECHANISM)".
    fn bound_address(&self) -> Result<SocketAddr, String> {
        let deadline = Instant::now() + DEADLINE;
        let mut said = Vec::new();
        while let Ok(line) = self
            .chatter
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            let after = line.split_once("listening on ").map(|(_, after)| after);
            let address = after.and_then(|after| after.split_whitespace().next()?.parse().ok());
            if let Some(address) = address {
                return Ok(address);
            }
            said.push(line);
        }
        Err(format!(
            "the server does not say where it listens; it said: {}",
            said.join("\n")
        ))
    }

    /// Bytes of memory that belong to the process alone and hold no file.
    pub(crate) fn anonymous_memory(&self) -> Result<u64, String> {
        let status = self.read_process_file("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kibibytes: Option<u64> =
            line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kibibytes
            .map(|count| count * 1024)
            .ok_or_else(|| "the system does not tell RssAnon".into())
    }

    /// Bytes that it has allocated and not freed. Afterwards it holds no memory that is free. It has to be started with
    /// `heap::COUNT_EXACTLY`, and to be at rest.
    pub(crate) fn allocated_memory(&self) -> Result<u64, String> {
        heap::ask(self.server_id())?;
        let deadline = Instant::now() + DEADLINE;
        let mut report = Vec::new();
        while report.last().is_none_or(|line| line != heap::END) {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.chatter.recv_timeout(left);
            report.push(line.map_err(|_| "the server does not tell what it has allocated")?);
        }
        heap::bytes_in_use(&report)
    }

    /// Interrupts the server as Ctrl-C does, and waits until it, and its instrument, have ended.
    pub(crate) fn stop(mut self) -> Outcome {
        let server = self.server_id();
        let status = Command::new("kill")
            .args(["-INT", &server.to_string()])
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("cannot interrupt the server".into());
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self
                .chatter
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    return Err("the server does not end when interrupted".into());
                }
            }
        }
        self.child
            .wait()
            .map(drop)
            .map_err(|error| format!("cannot wait for the server: {error}"))
    }

    /// The server's own process: the instrument's child where the instrument is a process of its own.
    fn server_id(&self) -> u32 {
        let id = self.child.id();
        let children = self
            .read_process_file(&format!("task/{id}/children"))
            .unwrap_or_default();
        children
            .split_whitespace()
            .next()
            .and_then(|child| child.parse().ok())
            .unwrap_or(id)
    }

    fn read_process_file(&self, name: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // An instrument that is killed lets go of the server, so the server goes first. Once it has been waited
        // for, the process is gone and its number may be another's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let server = self.server_id();
            if server != self.child.id() {
                let _ = Command::new("kill")
                    .args(["-KILL", &server.to_string()])
                    .status();
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
