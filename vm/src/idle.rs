//! The scenario `1M-idle`: one process holds a million connections, all at rest, then a message goes through each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use trunkline::{Closed, Flow, Frame, Handler, Io, Lines, Mechanism, Remote, Server, Stats};

use crate::Outcome;
use crate::machine::bytes;

/// The argument that makes this program a client.
pub(crate) const CLIENT: &str = "client";

/// Whatever went wrong.
type Failure = Box<dyn std::error::Error>;

const PORT: u16 = 7000;
/// Connections of one client: less than there are ports towards one address.
const EACH: usize = 25_000;
/// Clients that connect, or talk, at the same time.
const AT_ONCE: usize = 2;
/// Messages that a client sends before it reads their answers: waking the server for each takes long here.
const BATCH: usize = 1000;
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sends every line back. Asked from outside, it says what it counts.
struct Echo {
    abandoned: u64,
}

type Question = std::sync::mpsc::Sender<(Stats, u64)>;

impl Handler for Echo {
    type Codec = Lines;
    type State = ();
    type Message = Question;

    fn codec(&self) -> Lines {
        Lines::new().limit(100)
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
        let _ = io.send(frame);
        Flow::Continue
    }

    fn closed(&mut self, (): (), _io: &mut Io<'_, Self>, _closed: Closed) {
        self.abandoned += 1;
    }

    fn message(&mut self, io: &mut Io<'_, Self>, question: Question) {
        let _ = question.send((io.stats(), self.abandoned));
    }
}

pub(crate) fn run(mechanism: Mechanism, connections: usize) -> Outcome {
    let echo = Echo { abandoned: 0 };
    let server = Server::new(echo)
        .mechanism(mechanism)
        .listen(format!("0.0.0.0:{PORT}"))
        .backlog(65_535)
        .start()?;
    let remote = server.remote();
    let asking = thread::spawn(move || {
        let outcome = hold_and_talk(&remote, connections).map_err(|error| error.to_string());
        remote.kill();
        outcome
    });
    server.run()?;
    asking.join().map_err(|_| "the scenario panicked")??;
    Ok(())
}

fn hold_and_talk(remote: &Remote<Question>, connections: usize) -> Outcome {
    let user_before = bytes("/proc/self/status", "RssAnon:")?;
    let free_before = bytes("/proc/meminfo", "MemAvailable:")?;
    println!("{} MiB of memory are free", free_before >> 20);
    let mut clients = Vec::new();
    let mut began = Instant::now();
    for number in 0..connections.div_ceil(EACH) {
        let count = EACH.min(connections - number * EACH);
        clients.push(Client::start(number, count)?);
        // The one before is done when this one begins, so that two are at work.
        let working = clients.len().saturating_sub(AT_ONCE);
        if clients.len() >= AT_ONCE {
            connected(&mut clients[working], &began)?;
        }
    }
    let working = clients.len().saturating_sub(AT_ONCE - 1);
    for client in &mut clients[working..] {
        connected(client, &began)?;
    }
    let held = until(remote, |stats| stats.accepted as usize >= connections)?;
    let each = |used: u64| used / connections as u64;
    println!(
        "{} held by one process after {} s; each takes {} bytes of its memory, and {} bytes of the machine's in all, \
         with both ends",
        held.open,
        began.elapsed().as_secs(),
        each(bytes("/proc/self/status", "RssAnon:")?.saturating_sub(user_before)),
        each(free_before.saturating_sub(bytes("/proc/meminfo", "MemAvailable:")?)),
    );
    if held.open as usize != connections {
        return Err(format!("{} of {connections} are open", held.open).into());
    }
    began = Instant::now();
    for some in clients.chunks_mut(AT_ONCE) {
        for client in some.iter_mut() {
            client.tell("talk")?;
        }
        for client in some {
            client.until_says("answered")?;
        }
    }
    let talked = until(remote, |stats| stats.frames_in as usize >= connections)?;
    println!(
        "a message through each of {connections}, {} answered, after {} s; {} bytes of the process's memory each",
        talked.frames_in,
        began.elapsed().as_secs(),
        each(bytes("/proc/self/status", "RssAnon:")?.saturating_sub(user_before)),
    );
    let (accepted, frames, open) = (talked.accepted, talked.frames_in, talked.open);
    if [accepted, frames, open] != [connections as u64; 3] || talked.failed > 0 {
        return Err(format!("something was lost: {talked:?}").into());
    }
    Ok(())
}

/// Waits until a client has all its connections, and says how far that is.
fn connected(client: &mut Client, began: &Instant) -> Result<(), Failure> {
    client.until_says("connected")?;
    println!(
        "one more client is connected, with {EACH} connections at most, after {} s; {} MiB are free",
        began.elapsed().as_secs(),
        bytes("/proc/meminfo", "MemAvailable:")? >> 20
    );
    Ok(())
}

/// Asks the server until its counters are so.
fn until(remote: &Remote<Question>, is_so: impl Fn(&Stats) -> bool) -> Result<Stats, String> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let (question, answer) = std::sync::mpsc::channel();
        remote.post(question).map_err(|_| "the server has ended")?;
        let (stats, abandoned) = answer
            .recv_timeout(PATIENCE)
            .map_err(|error| format!("the server does not answer: {error}"))?;
        if abandoned > 0 {
            return Err(format!("{abandoned} connections have ended: {stats:?}"));
        }
        if is_so(&stats) {
            return Ok(stats);
        }
        if Instant::now() > give_up {
            return Err(format!("it stays at {stats:?}"));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A process that holds the other ends of some connections.
struct Client {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Client {
    fn start(number: usize, count: usize) -> Result<Self, Failure> {
        let mut child = Command::new("/init")
            .args([CLIENT, &number.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let says = child.stdout.take().ok_or("no pipe")?;
        Ok(Self {
            child,
            says: BufReader::new(says),
        })
    }

    fn until_says(&mut self, word: &str) -> Result<(), Failure> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        if line.trim() == word {
            return Ok(());
        }
        Err(format!("a client was to say {word:?} and said {line:?}").into())
    }

    fn tell(&mut self, word: &str) -> Result<(), Failure> {
        let pipe = self.child.stdin.as_mut().ok_or("no pipe")?;
        writeln!(pipe, "{word}")?;
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The life of a client: it connects, waits to be told, talks over each connection, and waits for its end.
pub(crate) fn be_client(mut arguments: impl Iterator<Item = String>) -> Outcome {
    let mut number =
        || -> Result<usize, Failure> { Ok(arguments.next().ok_or("a number")?.parse()?) };
    let (client, count) = (number()?, number()?);
    let [high, low] = u16::try_from(client + 1)?.to_be_bytes();
    let server = SocketAddr::from(([127, 1, high, low], PORT));
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = TcpStream::connect(server)
            .map_err(|error| format!("connection {} to {server}: {error}", streams.len()))?;
        streams.push(stream);
    }
    let told = |word: &str| -> Result<(), Failure> {
        println!("{word}");
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    };
    told("connected")?;
    for (batch, streams) in streams.chunks_mut(BATCH).enumerate() {
        let message = |number: usize| format!("message {client} {}\n", batch * BATCH + number);
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(message(number).as_bytes())?;
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let message = message(number);
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut answer = vec![0; message.len()];
            stream
                .read_exact(&mut answer)
                .map_err(|error| format!("no answer to {message:?}: {error}"))?;
            if answer != message.as_bytes() {
                return Err(format!("another answer to {message:?}").into());
            }
        }
    }
    told("answered")
}
