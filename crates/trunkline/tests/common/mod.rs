//! What several test programs need: mechanisms, a small server, and patience.
#![allow(dead_code, reason = "each test program takes what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use trunkline::network::kernel::Kernel;
use trunkline::{EventLoop, Flow, Frame, Handler, Io, Lines, Mechanism, Options, Stats};

/// How long anything may take before a test gives up: long, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Every mechanism that works here. Many a sandbox forbids `io_uring`; in CI that is a failure.
pub(crate) fn mechanisms() -> Vec<Mechanism> {
    let mut mechanisms = vec![
        Mechanism::Epoll,
        Mechanism::IoUring,
        Mechanism::Poll,
        Mechanism::Select,
    ];
    if let Err(reason) = Mechanism::IoUring.check() {
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        eprintln!("skipped: {reason}");
        mechanisms.remove(1);
    }
    mechanisms
}

pub(crate) fn kernel(mechanism: Mechanism) -> Kernel {
    Kernel::with_mechanism(mechanism).expect("it works here")
}

/// Answers each line with the same line. What it is told as a message it does to the loop.
pub(crate) struct Echo;

impl Handler for Echo {
    type Codec = Lines;
    type State = ();
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new().limit(1 << 20)
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, line: Frame<'_, Self>) -> Flow {
        let _ = io.send(line);
        Flow::Continue
    }
}

/// Runs an echo server on a thread while `clients` does something, then has it end.
pub(crate) fn serve(
    mechanism: Mechanism,
    options: Options,
    clients: impl FnOnce(SocketAddr, &trunkline::Remote<()>),
) -> Stats {
    let (sender, made) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let mut server = EventLoop::over(kernel(mechanism), Echo, options);
            let address = server.listen(SocketAddr::from(([127, 0, 0, 1], 0)));
            sender.send((address.unwrap(), server.remote())).unwrap();
            server.run().unwrap().1
        });
        let (address, remote) = made.recv().unwrap();
        // However `clients` ends: the scope waits for the server.
        let _kill = Kill(remote.clone());
        clients(address, &remote);
        remote.stop();
        server.join().unwrap()
    })
}

struct Kill(trunkline::Remote<()>);

impl Drop for Kill {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.kill();
        }
    }
}

/// A plain blocking client that speaks lines, over any stream.
pub(crate) struct Client<S: Read + Write> {
    reader: BufReader<S>,
}

impl Client<TcpStream> {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::over(stream)
    }

    pub(crate) fn finish(&self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
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
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => break result.map(<[u8]>::len),
            }
        };
        self.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            reader: BufReader::new(stream),
        }
    }

    pub(crate) fn stream(&self) -> &S {
        self.reader.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// The next line, without its end; `None` at the end of the stream, or when it was cut.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches('\n').to_owned()),
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no answer");
                None
            }
        }
    }

    /// Asks and hears the same.
    pub(crate) fn is_served(&mut self) -> bool {
        let sent = self.reader.get_mut().write_all(b"hello\n");
        sent.is_ok() && self.line().as_deref() == Some("hello")
    }
}

/// Looks again and again until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
