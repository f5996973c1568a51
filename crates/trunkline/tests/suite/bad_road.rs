//! The case of a bad road: two network namespaces, and between them a shuttle that loses packets, doubles them, and
//! lets them overtake each other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use trunkline::{EventLoop, Mechanism, Options};

use super::kernel;
use super::namespaces::{self, Namespace};
use super::pair::{Pair, finish, options};
use super::scripted::{echo, numbered_lines};

/// The shuttle gives each end one of these addresses, in its own namespace.
const SERVER: &str = "10.77.0.2:5000";

const LINES: usize = 512;
const LINE_BYTES: usize = 1024;

/// A child that is told to end by the end of its standard input.
struct Told {
    child: Child,
    says: BufReader<ChildStdout>,
    stdin: Option<ChildStdin>,
}

impl Told {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            says: BufReader::new(child.stdout.take().unwrap()),
            stdin: child.stdin.take(),
            child,
        }
    }

    /// Reads up to a line that contains this.
    fn until_says(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let count = self.says.read_line(&mut line).unwrap();
            assert!(count > 0, "never said: {text}");
        }
        line
    }

    /// The last line it says.
    fn end(mut self) -> String {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.says.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        rest
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes that come back over a bad road are the bytes that were sent.
pub(crate) fn s24_loss_reorder_dup(case: &str, mechanism: Mechanism) {
    match namespaces::part().as_deref() {
        Some("server") => return serve(mechanism),
        Some("client") => return ask(),
        _ => {}
    }
    let near = match Namespace::new(case) {
        Ok(namespace) => namespace,
        Err(reason) => return namespaces::skip(&reason),
    };
    let far = Namespace::new(&format!("{case}-far")).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/shuttle.py");
    let mut shuttle = Told::start(Command::new("python3").args([script, "24", &near.0, &far.0]));
    shuttle.until_says("ready");
    let mut server = Told::start(&mut far.again(case, "server"));
    server.until_says("listening");
    let output = near.again(case, "client").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    server.until_says("served");
    drop(server);
    let met = shuttle.end();
    for what in ["lost", "twice", "late"] {
        assert!(!met.contains(&format!("{what} 0")), "{met}");
    }
}

/// An echo of one connection.
fn serve(mechanism: Mechanism) {
    let patient = Options {
        linger: Duration::from_secs(30),
        ..options()
    };
    let play = |role, io: &mut trunkline::Io<'_, Pair>, happening: super::pair::Happening<'_>| {
        if matches!(happening, super::pair::Happening::Open) {
            io.stop_listening();
        }
        echo(role, io, happening)
    };
    let mut server = EventLoop::over(kernel(mechanism), Pair::new(play), patient);
    server.listen(SERVER.parse().unwrap()).unwrap();
    println!("listening");
    let stats = finish(server);
    assert_eq!((stats.accepted, stats.failed), (1, 0), "{stats:?}");
    println!("served");
}

fn ask() {
    let server: SocketAddr = SERVER.parse().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let sent = numbered_lines(LINES, LINE_BYTES);
    let mut heard = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        });
        (&stream).read_to_end(&mut heard).unwrap();
    });
    assert!(heard == sent, "the bytes differ");
}
