//! A server that is measured: a process of its own, with the processes that it starts.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{self, Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::processors::Processors;

/// What a server may take to end.
const PATIENCE: Duration = Duration::from_secs(3);
/// What it may take to let go of a client's thread or process.
const SETTLING_MAX: Duration = Duration::from_secs(1);

/// A running `trunkline serve echo --model …`. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    /// Kept open, so that the server may say something.
    stderr: BufReader<ChildStderr>,
    address: SocketAddr,
}

/// What a server and its children hold at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footprint {
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    /// Memory that is theirs alone and holds no file, and the page tables for it. The kernel's sockets and stacks are
    /// not in it.
    pub(crate) memory_bytes: u64,
}

/// The processor time of some processes.
pub(crate) struct Clocks(Vec<ClockId>);

impl Server {
    /// Starts the model of this name and waits until it listens.
    pub(crate) fn start(model: &str, processors: &Processors) -> Result<Self, String> {
        let program = env::current_exe()
            .map_err(|error| format!("cannot find out where this program lies: {error}"))?;
        let mut command = Command::new(program);
        command
            .args(["serve", "echo", "127.0.0.1:0", "--model", model])
            .args(["--die-with-parent", &process::id().to_string()])
            .env_remove(trunkline_selectors::ENVIRONMENT_VARIABLE)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = processors
            .for_server(|| command.spawn())
            .map_err(|error| format!("cannot start a server: {error}"))?;
        let stderr = child.stderr.take().ok_or("a server without a voice")?;
        let mut server = Self {
            child,
            stderr: BufReader::new(stderr),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        server.address = server.read_address()?;
        Ok(server)
    }

    /// Reads it from "echo listening on ADDRESS (MODEL)".
    fn read_address(&mut self) -> Result<SocketAddr, String> {
        let mut line = String::new();
        let read = self.stderr.read_line(&mut line);
        read.map_err(|error| format!("cannot hear the server: {error}"))?;
        line.split_once(" listening on ")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
            .ok_or_else(|| format!("the server does not listen; it says: {}", line.trim()))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server and its children.
    fn family(&self) -> Result<Vec<u32>, String> {
        let id = self.child.id();
        // The main thread is the one that starts them.
        let children = read(&format!("/proc/{id}/task/{id}/children"))?;
        let children = children
            .split_whitespace()
            .filter_map(|child| child.parse().ok());
        Ok(std::iter::once(id).chain(children).collect())
    }

    /// What they hold. A child that ends meanwhile is not counted.
    pub(crate) fn footprint(&self) -> Result<Footprint, String> {
        let mut footprint = Footprint {
            processes: 0,
            threads: 0,
            memory_bytes: 0,
        };
        for member in self.family()? {
            let (Ok(status), Ok(memory)) = (
                read(&format!("/proc/{member}/status")),
                read(&format!("/proc/{member}/smaps_rollup")),
            ) else {
                continue;
            };
            let tables = field(&status, "VmPTE:").ok_or("the system does not tell VmPTE")?;
            let anonymous =
                field(&memory, "Anonymous:").ok_or("the system does not tell Anonymous")?;
            footprint.processes += 1;
            footprint.threads += field(&status, "Threads:")
                .and_then(|threads| usize::try_from(threads).ok())
                .ok_or("the system does not tell Threads")?;
            footprint.memory_bytes += 1024 * (tables + anonymous);
        }
        Ok(footprint)
    }

    /// Waits until whoever served a client that has gone, a thread or a process, has gone too: until the server has less
    /// than `with_client`. Not for ever: it is only for the sake of a round figure.
    pub(crate) fn settle(&self, with_client: Footprint) -> Result<(), String> {
        let deadline = Instant::now() + SETTLING_MAX;
        while Instant::now() < deadline {
            let now = self.footprint()?;
            if now.processes < with_client.processes || now.threads < with_client.threads {
                break;
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Their processor time, to be asked twice.
    pub(crate) fn clocks(&self) -> Result<Clocks, String> {
        let clocks = self.family()?.into_iter().filter_map(|member| {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(member).ok()?);
            clock_getcpuclockid(pid).ok()
        });
        Ok(Clocks(clocks.collect()))
    }

    /// Asks it to end, and waits for that; kills it if it does not.
    pub(crate) fn stop(self) {
        let pid = Pid::from_child(&self.child);
        if kill_process(pid, Signal::TERM).is_err() {
            return;
        }
        let Ok(ending) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        let mut sources = [PollFd::new(&ending, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).ok();
        // Either way the server is not needed any more: dropped, it is killed.
        let _ = retry_on_intr(|| poll(&mut sources, patience.as_ref()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Clocks {
    /// Of all together, so far. One who has ended counts no more.
    pub(crate) fn now(&self) -> Duration {
        let times = self.0.iter().filter_map(|clock| clock.now().ok());
        times.map(Duration::from).sum()
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
}

/// The number behind this name.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_name() {
        let status = "Name:\ttrunkline\nVmPTE:\t     84 kB\nThreads:\t3\n";
        assert_eq!(field(status, "VmPTE:"), Some(84));
        assert_eq!(field(status, "Threads:"), Some(3));
        assert_eq!(field(status, "Anonymous:"), None);
    }
}
