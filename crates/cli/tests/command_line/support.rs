//! Processes under test and what they print.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before a test gives up: long, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn trunkline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    // What the environment prefers must not decide what is tested.
    command.args(arguments).env_remove("TRUNKLINE_MECHANISM");
    command
}

/// What `--mechanism` takes here. Many a sandbox forbids `io_uring`; in CI that is a failure.
pub(crate) fn working_mechanisms() -> Vec<&'static str> {
    let mut names = vec!["epoll", "io_uring", "poll", "select"];
    if let Err(reason) = trunkline::Mechanism::IoUring.check() {
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        names.remove(1);
    }
    names
}

/// Runs to the end with this on standard input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    run_command(trunkline(arguments), input)
}

pub(crate) fn run_command(mut command: Command, input: &[u8]) -> Output {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        // Beside the reading: a process that waits for its output to be read does not read its input.
        scope.spawn(move || {
            // One that fails early need not read its input at all.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// Runs to the end on a terminal of its own, which `script` (util-linux) gives it: what it shows there, and the exit code.
pub(crate) fn run_on_a_terminal(arguments: &[&str]) -> (String, i32) {
    let command = trunkline(arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &line.join(" "), "/dev/null"]);
    script.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = script.spawn().unwrap();
    let _kept = KeptGoing::new(&child);
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    (shown, output.status.code().unwrap())
}

/// `script` stops itself when the program in it is stopped, as a shell wants it, and then waits to be continued. Whoever stops
/// and continues all processes of a machine does not know of that, so as long as this lives it is done here.
pub(crate) struct KeptGoing {
    _until: Sender<()>,
}

impl KeptGoing {
    pub(crate) fn new(script: &Child) -> Self {
        let (until, over) = channel();
        let script = Pid::from_child(script);
        thread::spawn(move || {
            while over.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
                // To one that goes on anyway it means nothing.
                let _ = kill_process(script, Signal::CONT);
            }
        });
        Self { _until: until }
    }
}

/// One line what and why, one line what next, the exit code, and nothing else.
pub(crate) fn assert_fails(output: &Output, exit_code: i32, what: &str, hint: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(
        lines[0].starts_with("trunkline: ") && lines[0].contains(what),
        "{stderr}"
    );
    assert!(
        lines[1].starts_with("hint: ") && lines[1].contains(hint),
        "{stderr}"
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(output.status.code(), Some(exit_code), "{stderr}");
}

/// A running `trunkline serve`.
pub(crate) struct Serving {
    child: Child,
    lines: Receiver<String>,
    addresses: Vec<SocketAddr>,
    first_line: String,
}

impl Serving {
    /// Starts `trunkline serve` with these arguments, and waits until it listens on that many addresses.
    pub(crate) fn start(arguments: &[&str], address_count: usize) -> Self {
        let mut command = trunkline(&["serve"]);
        command.args(arguments);
        Self::start_command(command, address_count)
    }

    /// Starts this command, which must become a `trunkline serve`.
    pub(crate) fn start_command(mut command: Command, address_count: usize) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(child.stderr.take().unwrap());
        let mut serving = Self {
            child,
            lines,
            addresses: Vec::new(),
            first_line: String::new(),
        };
        for _ in 0..address_count {
            let line = serving.line();
            if serving.first_line.is_empty() {
                serving.first_line.clone_from(&line);
            }
            let address = line
                .split(" listening on ")
                .nth(1)
                .and_then(|rest| rest.split(' ').next());
            let address = address.and_then(|address| address.parse().ok());
            serving
                .addresses
                .push(address.unwrap_or_else(|| panic!("not a listening line: {line}")));
        }
        serving
    }

    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        self.addresses[index]
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said when it listened, on the first of its addresses.
    pub(crate) fn first_line(&self) -> &str {
        &self.first_line
    }

    /// The next line on standard error.
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("a line on standard error")
    }

    /// The next line on standard error, if one comes within this time.
    pub(crate) fn next_line(&self, patience: Duration) -> Option<String> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("it has ended"),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The process that serves: under an instrument it is the instrument's child.
    fn server(&self) -> u32 {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let child = children.split_whitespace().next();
        child.and_then(|child| child.parse().ok()).unwrap_or(id)
    }

    /// Signals the server under its instrument.
    pub(crate) fn signal_under_instrument(&self, signal: Signal) {
        let server = Pid::from_raw(self.server().try_into().unwrap()).unwrap();
        kill_process(server, signal).unwrap();
    }

    /// The processor time it has used, in the kernel's ticks.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.server())).unwrap();
        // proc(5): the name, in parentheses, is the second field; utime and stime are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let times = fields.split(' ').skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Stops it with SIGSTOP, and waits until each of its threads has stopped, which is not at once.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let patience = Instant::now() + PATIENCE;
        while !self.is_frozen() {
            assert!(Instant::now() < patience, "it does not stop");
            thread::yield_now();
        }
    }

    /// Whether each of its threads is stopped.
    pub(crate) fn is_frozen(&self) -> bool {
        let tasks = format!("/proc/{}/task", self.child.id());
        let stopped = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            stat.rsplit_once(") ")
                .is_some_and(|(_, fields)| fields.starts_with('T'))
        };
        std::fs::read_dir(&tasks).unwrap().all(stopped)
    }

    /// Waits for the end; gives the exit status and the lines not read yet.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let lines = remaining(&self.lines);
        (self.child.wait().unwrap(), lines)
    }

    /// Connects to the n-th address.
    pub(crate) fn client(&self, index: usize) -> Client {
        Client::connect(self.address(index))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // An instrument that is killed lets go of the server, so the server goes first.
            let server = i32::try_from(self.server()).ok().and_then(Pid::from_raw);
            let _ = server.map(|server| kill_process(server, Signal::KILL));
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A server that says this, piece by piece, once the client has sent everything; and what that was.
pub(crate) fn saying(
    pieces: &'static [&'static [u8]],
) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        for piece in pieces {
            stream.write_all(piece).unwrap();
        }
        heard
    });
    (address, server)
}

/// The lines that are labelled with this server, in order.
pub(crate) fn said_by(server: &str, output: &Output) -> Vec<String> {
    let label = format!("[{server}] ");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let labelled = stdout.lines().filter_map(|line| line.strip_prefix(&label));
    labelled.map(str::to_owned).collect()
}

/// The lines of a stream as they come. The stream ends when the process does.
pub(crate) fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if line.is_ok_and(|line| sender.send(line).is_err()) {
                return;
            }
        }
    });
    receiver
}

/// All lines until the end of the stream.
pub(crate) fn remaining(lines: &Receiver<String>) -> Vec<String> {
    let mut collected = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => collected.push(line),
            Err(RecvTimeoutError::Disconnected) => return collected,
            Err(RecvTimeoutError::Timeout) => {
                panic!("the process does not end; so far: {collected:?}")
            }
        }
    }
}

/// A plain blocking client.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            reader: BufReader::new(stream),
        }
    }

    /// Another hold on the same connection; what either reads ahead the other does not see.
    pub(crate) fn try_clone(&self) -> Self {
        Self {
            reader: BufReader::new(self.stream().try_clone().unwrap()),
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// How the server sees this client.
    pub(crate) fn name(&self) -> String {
        self.reader.get_ref().local_addr().unwrap().to_string()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends until nobody takes any more for a second.
    pub(crate) fn send_as_far_as_possible(&mut self, mut bytes: &[u8]) {
        let patience = Duration::from_secs(1);
        self.stream().set_write_timeout(Some(patience)).unwrap();
        let mut taken = Instant::now();
        loop {
            match self.reader.get_mut().write(bytes) {
                Ok(count) => (bytes, taken) = (&bytes[count..], Instant::now()),
                // Being stopped and continued interrupts it, which may happen more often than once a second.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            assert!(!bytes.is_empty(), "all of it was taken");
            if taken.elapsed() >= patience {
                return;
            }
        }
    }

    pub(crate) fn finish(&mut self) {
        self.reader.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Whether nothing comes for so long. A process that is stopped and continued has a read with a timeout interrupted,
    /// without any handler (signal(7)); what is left of the time is waited for then.
    pub(crate) fn hears_nothing_for(&mut self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        let result = loop {
            let left = end.saturating_duration_since(Instant::now());
            // None at all would mean for ever.
            let left = left.max(Duration::from_millis(1));
            self.stream().set_read_timeout(Some(left)).unwrap();
            match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result.map(<[u8]>::len),
            }
        };
        self.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            other => {
                eprintln!("instead of nothing there was: {other:?}");
                false
            }
        }
    }

    /// The next line, without its end; empty at the end of the stream.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// Everything up to the end of the stream.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        rest
    }
}
