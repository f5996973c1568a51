//! The cases that need a network of their own, in which packets can be lost: a network namespace. Each case starts its
//! own program again inside one. That needs root, and the programs `ip` and `nft`; without them the cases are skipped,
//! which is a failure in CI.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use trunkline::{Cause, ErrorKind, EventLoop, Flow, Io, Mechanism, Options, Role};

use super::kernel;
use super::pair::{CLIENT, Happening, Pair, SERVER, bump, counter, finish, options};
use super::scripted::numbered_lines;

/// Set to its part in a program that was started again inside a namespace.
const INSIDE: &str = "TRUNKLINE_TEST_NAMESPACE";

/// A namespace with a loopback interface, as long as this lives.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    /// Or why there can be none.
    pub(crate) fn new(case: &str) -> Result<Self, String> {
        let name = format!("{}-{}", case.replace("::", "-"), std::process::id());
        run("ip", &["netns", "add", &name])?;
        let namespace = Self(name);
        run("ip", &["-n", &namespace.0, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// The test `case` of this program, inside, to play a part of it.
    pub(crate) fn again(&self, case: &str, part: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.0])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", case, "--nocapture"])
            .env(INSIDE, part);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run("ip", &["netns", "delete", &self.0]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program} does not run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {complaint}", arguments.join(" ")))
}

fn nft(command: &str) -> String {
    run("nft", &command.split(' ').collect::<Vec<_>>()).expect("a rule of nft")
}

/// A table whose rules look at what arrives.
fn watch_arrivals() {
    nft("add table inet t");
    nft("add chain inet t arrivals { type filter hook input priority 0 ; }");
}

/// The part that this program was started for, if it was started inside a namespace.
pub(crate) fn part() -> Option<String> {
    std::env::var(INSIDE).ok()
}

/// Says why there is nothing to test. In CI that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: no network namespace here: {reason}");
}

/// Runs `act` in a namespace of its own, in a process of its own: `case` is the path of the test that calls this.
fn inside(case: &str, act: impl FnOnce()) {
    if part().is_some() {
        return act();
    }
    let possible = run("nft", &["--version"]).and_then(|_| Namespace::new(case));
    let namespace = match possible {
        Ok(namespace) => namespace,
        Err(reason) => return skip(&reason),
    };
    let output = namespace.again(case, "all of it").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{complained}"
    );
}

/// The case may choose its ports: nobody else is in the namespace.
fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Which ports the system chooses from.
fn local_ports(first: u16, last: u16) {
    fs::write(
        "/proc/sys/net/ipv4/ip_local_port_range",
        format!("{first} {last}"),
    )
    .unwrap();
}

/// Nobody answers, not even to refuse: the deadline ends it, once, and meanwhile others are served.
pub(crate) fn s11_blackhole_timeout(case: &str, mechanism: Mechanism) {
    inside(case, || blackhole_timeout(mechanism));
}

fn blackhole_timeout(mechanism: Mechanism) {
    const PATIENCE: Duration = Duration::from_millis(300);
    watch_arrivals();
    nft("add rule inet t arrivals tcp dport 9 drop");
    let impatient = Options {
        connect_timeout: PATIENCE,
        ..options()
    };
    let (failed, answered) = (counter(), counter());
    let (failing, answering) = (Rc::clone(&failed), Rc::clone(&answered));
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match (role, happening) {
            (None, Happening::ConnectFailed(error)) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                assert_eq!(answering.get(), 1, "the others need not wait");
                bump(&failing);
                io.stop();
            }
            (CLIENT, Happening::Open) => drop(io.send(b"ping")),
            (SERVER, Happening::Frame(frame)) => drop(io.send(frame)),
            (CLIENT, Happening::Frame(_)) => {
                bump(&answering);
                io.close();
            }
            (_, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let mut pair = EventLoop::over(kernel(mechanism), Pair::new(play), impatient);
    let listening = pair.listen(address(0)).unwrap();
    let began = Instant::now();
    pair.connect(address(9));
    pair.connect(listening);
    let stats = finish(pair);
    assert!(began.elapsed() >= PATIENCE);
    assert_eq!(
        (failed.get(), stats.connect_failed, stats.connected),
        (1, 1, 1)
    );
}

/// More connections than there are ports for them: those too many fail, each once and with a reason, and one that ends
/// makes room.
pub(crate) fn s12_ephemeral_exhausted(case: &str, mechanism: Mechanism) {
    inside(case, || ephemeral_exhausted(mechanism));
}

fn ephemeral_exhausted(mechanism: Mechanism) {
    const PORTS: usize = 10;
    local_ports(40_000, 40_009);
    let (mut opened, mut failed) = (Vec::new(), 0);
    let made = counter();
    let making = Rc::clone(&made);
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match (role, happening) {
            (CLIENT, Happening::Open) => {
                opened.push(io.id());
                bump(&making);
                if opened.len() == PORTS + 1 {
                    io.kill();
                }
            }
            (None, Happening::ConnectFailed(error)) => {
                assert_eq!(error.kind(), ErrorKind::AddressNotAvailable, "{error}");
                failed += 1;
            }
            (CLIENT, Happening::Closed(_)) if opened.len() == PORTS => {
                io.connect(address(5000));
            }
            _ => {}
        }
        if opened.len() == PORTS && failed == 2 {
            failed += 1;
            io.abort_connection(opened[0]);
        }
        Flow::Continue
    };
    let mut pair = EventLoop::over(kernel(mechanism), Pair::new(play), options());
    pair.listen(address(5000)).unwrap();
    for _ in 0..PORTS + 2 {
        pair.connect(address(5000));
    }
    let stats = finish(pair);
    assert_eq!(made.get(), PORTS + 1);
    assert_eq!(stats.connect_failed, 2);
}

/// A port that nobody listens on, and that the system chooses for our own end: TCP connects a socket with itself
/// (RFC 9293, simultaneous open), which no caller wants. It is refused, as any other port without a listener.
pub(crate) fn s13_self_connect(case: &str, mechanism: Mechanism) {
    inside(case, || self_connect(mechanism));
}

fn self_connect(mechanism: Mechanism) {
    local_ports(40_000, 40_000);
    let refused = counter();
    let seen = Rc::clone(&refused);
    let play = move |_: Option<Role>, _: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::ConnectFailed(error) => {
                assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                bump(&seen);
            }
            Happening::Open => panic!("connected with itself"),
            _ => {}
        }
        Flow::Continue
    };
    let mut alone = EventLoop::over(kernel(mechanism), Pair::new(play), options());
    alone.connect(address(40_000));
    let stats = finish(alone);
    assert_eq!((refused.get(), stats.connected), (1, 0));
}

/// The peer's window is closed, and what would open it again is lost for a while: everything arrives in the end.
pub(crate) fn s18_zero_window(case: &str, mechanism: Mechanism) {
    inside(case, || zero_window(mechanism));
}

fn zero_window(mechanism: Mechanism) {
    const LINES: usize = 256;
    watch_arrivals();
    nft("add counter inet t closed");
    nft("add chain inet t lost");
    nft("add rule inet t arrivals tcp dport 5000 tcp window 0 counter name closed");
    nft("add rule inet t arrivals tcp dport 5000 jump lost");
    let lines = numbered_lines(LINES, 16 * 1024);
    let expected = lines.clone();
    let play = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Open => {
                for line in lines.chunks(16 * 1024) {
                    let _ = io.send(&line[..line.len() - 1]);
                }
                io.stop_listening();
                io.close();
            }
            Happening::Closed(closed) => {
                assert!(matches!(closed.cause, Cause::Finished), "{closed:?}");
                assert_eq!(closed.unsent, 0);
            }
            _ => {}
        }
        Flow::Continue
    };
    let patient = Options {
        linger: Duration::from_secs(30),
        ..options()
    };
    let client = std::thread::spawn(move || {
        let mut stream = connect_small(address(5000));
        until("the window is closed", || {
            let counter = nft("list counter inet t closed");
            !counter.contains("packets 0")
        });
        nft("add rule inet t lost counter drop");
        let mut heard = vec![0; 64 * 1024];
        // This opens the window, and nobody hears of it.
        stream.read_exact(&mut heard).unwrap();
        until("news of the window are lost", || {
            !nft("list chain inet t lost").contains("packets 0")
        });
        nft("flush chain inet t lost");
        stream.read_to_end(&mut heard).unwrap();
        heard
    });
    let mut server = EventLoop::over(kernel(mechanism), Pair::new(play), patient);
    server.listen(address(5000)).unwrap();
    finish(server);
    assert!(client.join().unwrap() == expected, "the bytes differ");
}

/// A client with little room for what it does not read.
fn connect_small(server: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    until("somebody listens", || {
        socket.connect(&server.into()).is_ok()
    });
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < patience, "never: {what}");
        std::thread::yield_now();
    }
}

/// The peer is gone without a word while the server waits for the end of its side: the linger deadline frees the
/// connection, and the system keeps nothing of it.
pub(crate) fn s33_fin_wait_vanish(case: &str, mechanism: Mechanism) {
    inside(case, || fin_wait_vanish(mechanism));
}

fn fin_wait_vanish(mechanism: Mechanism) {
    watch_arrivals();
    nft("add chain inet t lost");
    nft("add rule inet t arrivals tcp dport 5000 jump lost");
    let expired = counter();
    let seen = Rc::clone(&expired);
    let play = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Frame(_) => {
                // From here on nothing of the peer arrives.
                nft("add rule inet t lost drop");
                let _ = io.send(b"goodbye");
                io.close();
                io.stop_listening();
            }
            Happening::Closed(closed) => {
                assert!(matches!(closed.cause, Cause::LingerExpired), "{closed:?}");
                bump(&seen);
            }
            _ => {}
        }
        Flow::Continue
    };
    let hasty = Options {
        linger: Duration::from_millis(200),
        ..options()
    };
    let mut server = EventLoop::over(kernel(mechanism), Pair::new(play), hasty);
    server.listen(address(5000)).unwrap();
    let mut client = TcpStream::connect(address(5000)).unwrap();
    client.write_all(b"hello\n").unwrap();
    finish(server);
    assert_eq!(expired.get(), 1);
    let mine: Vec<_> = fs::read_to_string("/proc/self/net/tcp")
        .unwrap()
        .lines()
        .filter(|line| line.split_whitespace().nth(1) == Some("0100007F:1388"))
        .map(str::to_owned)
        .collect();
    assert!(mine.is_empty(), "the system still holds {mine:?}");
    drop(client);
}
