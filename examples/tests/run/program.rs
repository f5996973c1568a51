//! An example as a child process.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Nothing here takes nearly as long; a test that waits longer has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A running example. Dropped, it is killed.
pub(crate) struct Program {
    child: Child,
    address: String,
    /// All of standard output (after the address), and all of standard error, once the program has ended.
    said: Receiver<(String, String)>,
}

impl Program {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn serve(example: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(executable(example));
        command.arg("127.0.0.1:0").args(arguments);
        Self::spawn(command, "", true)
    }

    /// Starts a program that is no server.
    pub(crate) fn run(example: &str, arguments: &[&str], input: &str) -> Self {
        let mut command = Command::new(executable(example));
        command.args(arguments);
        Self::spawn(command, input, false)
    }

    fn spawn(mut command: Command, input: &str, is_server: bool) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the example can be started");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(input.as_bytes())
            .expect("the example reads its input");
        drop(stdin);
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut stderr = child.stderr.take().expect("a pipe");
        let (tell_address, address) = mpsc::channel();
        let (tell_said, said) = mpsc::channel();
        thread::spawn(move || {
            let mut first = String::new();
            if is_server {
                let _ = stdout.read_line(&mut first);
            }
            let _ = tell_address.send(first);
            let (mut output, mut errors) = (String::new(), String::new());
            let _ = stdout.read_to_string(&mut output);
            let _ = stderr.read_to_string(&mut errors);
            let _ = tell_said.send((output, errors));
        });
        let first = address
            .recv_timeout(DEADLINE)
            .expect("the example says where it listens");
        let address = first
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap_or_default()
            .to_owned();
        let program = Self {
            child,
            address,
            said,
        };
        assert!(
            !is_server || !program.address.is_empty(),
            "no address in {first:?}"
        );
        program
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until it ends by itself, well. Gives what it printed (a server: after its address).
    pub(crate) fn end(mut self) -> String {
        let (output, errors) = self.said.recv_timeout(DEADLINE).expect("the example ends");
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{status}: {errors}");
        output
    }

    /// Waits until it ends by itself, badly. Gives its complaints.
    pub(crate) fn fail(mut self) -> String {
        let (_, errors) = self.said.recv_timeout(DEADLINE).expect("the example ends");
        let status = self.child.wait().expect("a child");
        assert!(!status.success(), "it should have failed");
        errors
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both do nothing once the child has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Examples lie in the folder above the one of this test's own executable.
fn executable(example: &str) -> PathBuf {
    let mut path = env::current_exe().expect("the test runs");
    path.pop();
    path.pop();
    path.push(example);
    path
}
