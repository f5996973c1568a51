//! The program against peers that others wrote: netcat, socat, ncat and Python's sockets; on every mechanism.
//!
//! A peer that is not installed is skipped with a reason; with `CI=true`, or under `cargo xtask test --no-skip`,
//! that is a failure. The tests with 10 000 connections are for a release build: `cargo xtask test` runs them.
#![forbid(unsafe_code)]

#[path = "command_line/support.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the command line, which use all of it"
)]
mod support;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::Signal;
use support::Serving;

/// Processes of the same peer that talk at once.
const PROCESSES: usize = 100;
/// `timeout` ends a peer that hangs, so that the test fails instead of hanging too.
const PATIENCE_SECONDS: &str = "120";
/// What the largest test needs in the server and in the client, with a little to spare.
const DESCRIPTORS_NEEDED: usize = 10_100;

/// The largest tests run one after the other: together they would only wait for each other's processor.
static LARGE: Mutex<()> = Mutex::new(());

/// A peer as a command, given the server's address.
type Peer = fn(SocketAddr) -> Command;

fn nc(server: SocketAddr) -> Command {
    // -N: at the end of the input our side is finished, and the rest of the answer still read.
    peer(
        "nc",
        &["-N", &server.ip().to_string(), &server.port().to_string()],
    )
}

fn ncat(server: SocketAddr) -> Command {
    peer(
        "ncat",
        &[&server.ip().to_string(), &server.port().to_string()],
    )
}

fn socat(server: SocketAddr) -> Command {
    // -t: how long it waits for the rest of the answer once the input has ended.
    peer(
        "socat",
        &["-t", PATIENCE_SECONDS, "-", &format!("TCP:{server}")],
    )
}

fn peer(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args([PATIENCE_SECONDS, program]).args(arguments);
    command
}

/// Whether a test can run; if not, the reason is printed, and in strict mode it fails.
fn can_run(possible: bool, reason: &str) -> bool {
    let strict = env::var_os("TRUNKLINE_NO_SKIP").is_some()
        || env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        possible || !strict,
        "{reason}, and nothing may be skipped here"
    );
    if !possible {
        eprintln!("skipped: {reason}");
    }
    possible
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join(program).is_file());
    can_run(found, &format!("`{program}` is not installed"))
}

/// The hard limit on descriptors, which the server and the client raise theirs to.
fn descriptors_suffice() -> bool {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().nth(4)?.parse().ok());
    let suffices = limit.is_none_or(|limit: usize| limit >= DESCRIPTORS_NEEDED);
    can_run(
        suffices,
        "the hard limit on descriptors is too low for 10 000 connections",
    )
}

fn serve(mechanism: &str) -> Serving {
    Serving::start(&["echo", "127.0.0.1:0", "--mechanism", mechanism], 1)
}

/// Stops the server and checks that its own summary begins as expected.
fn stop(server: Serving, summary: &str) {
    server.signal(Signal::INT);
    let (status, lines) = server.wait();
    assert!(status.success(), "{status}: {lines:?}");
    assert!(
        lines.iter().any(|line| line.starts_with(summary)),
        "{summary}? {lines:?}"
    );
}

/// One process of the peer by itself, then many at once, on a new server.
fn talk(program: &str, peer: Peer, mechanism: &str) {
    if !is_installed(program) || !works(mechanism) {
        return;
    }
    let server = serve(mechanism);
    for processes in [1, PROCESSES] {
        let mut talks: Vec<_> = (0..processes)
            .map(|number| Talk::start(peer(server.address(0)), number))
            .collect();
        // Everyone has had an answer and nobody has left: they are all there at once.
        for talk in &mut talks {
            talk.say("first");
        }
        for talk in &mut talks {
            talk.say("second, and a little longer");
        }
        for talk in talks {
            talk.end();
        }
    }
    // (The single process may still have been closing when the many came: so nothing about the peak.)
    stop(server, &format!("echo: served {}, errors 0", 1 + PROCESSES));
}

/// One process of a peer, with its input and output.
struct Talk {
    child: Child,
    number: usize,
}

impl Talk {
    fn start(mut command: Command, number: usize) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self {
            child: command.spawn().expect("the peer can be started"),
            number,
        }
    }

    /// Says something that nobody else says, and expects it back.
    fn say(&mut self, text: &str) {
        let line = format!("{text} from {}\n", self.number);
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin
            .write_all(line.as_bytes())
            .expect("the peer reads its input");
        let mut answer = vec![0; line.len()];
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        stdout.read_exact(&mut answer).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), line);
    }

    /// Says the last word and ends the input at once: it has to come back before the connection ends.
    fn end(mut self) {
        let mut stdin = self.child.stdin.take().expect("a pipe");
        stdin
            .write_all(b"last word\n")
            .expect("the peer reads its input");
        drop(stdin);
        let output = self.child.wait_with_output().expect("a child");
        assert!(
            output.status.success(),
            "the peer ended with {}",
            output.status
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout), "last word\n");
    }
}

/// That many Python sockets at once, `bytes` over each.
/// Many a sandbox forbids `io_uring`. In CI that is a failure.
fn works(mechanism: &str) -> bool {
    let mechanism: trunkline::Mechanism = mechanism.parse().expect("a mechanism");
    let Err(reason) = mechanism.check() else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
    false
}

fn talk_python(mechanism: &str, connections: usize, bytes: usize) {
    if !is_installed("python3") || !works(mechanism) {
        return;
    }
    let server = serve(mechanism);
    let address = server.address(0);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/many.py");
    let output = peer(
        "python3",
        &[
            script,
            &address.ip().to_string(),
            &address.port().to_string(),
        ],
    )
    .args([connections.to_string(), bytes.to_string()])
    .output()
    .expect("python3 can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    assert!(
        said.starts_with(&format!("{connections} connections at once")),
        "{said}"
    );
    stop(
        server,
        &format!("echo: served {connections}, errors 0, peak {connections}"),
    );
}

macro_rules! on_every_mechanism {
    ($($mechanism:ident)*) => { $(
        mod $mechanism {
            use super::*;

            const MECHANISM: &str = stringify!($mechanism);

            #[test]
            fn talks_to_nc() {
                talk("nc", nc, MECHANISM);
            }

            #[test]
            fn talks_to_socat() {
                talk("socat", socat, MECHANISM);
            }

            #[test]
            fn talks_to_ncat() {
                talk("ncat", ncat, MECHANISM);
            }

            #[test]
            fn talks_to_1_python_socket() {
                talk_python(MECHANISM, 1, 4_000_000);
            }

            #[test]
            fn talks_to_100_python_sockets_at_once() {
                talk_python(MECHANISM, 100, 100_000);
            }

            #[test]
            #[ignore = "for a release build: `cargo xtask test` runs it"]
            fn talks_to_10_000_python_sockets_at_once() {
                let _alone = LARGE.lock().unwrap_or_else(PoisonError::into_inner);
                if descriptors_suffice() {
                    talk_python(MECHANISM, 10_000, 1_000);
                }
            }
        }
    )* };
}

on_every_mechanism!(epoll io_uring poll select);
