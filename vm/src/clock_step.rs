//! The scenario `clock-step`: somebody sets the wall clock, hours and days forward and back, while a selector waits, timers
//! run and deadlines pass. None is early, none is late, each ends what it is there for, and connections are served as
//! before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clients::CLIENTS;
use rustix::time::{ClockId, Timespec, clock_settime};
use trunkline::{CauseKind, Closed, Deadlines, Flow, Frame, Handler, Io, Lines, Mechanism, Server};
use trunkline_selectors::Selector;

use crate::Outcome;

mod clients;

/// Each connection's timer, in milliseconds: its token says which it is.
const TIMERS: [u64; 5] = [100, 500, 1000, 1500, 2000];
/// How long the selector waits.
const WAIT: Duration = Duration::from_secs(2);
/// A virtual machine without hardware help has little time to be punctual, but it is not hours late.
const LATE_MAX: Duration = Duration::from_secs(5);
const HOUR: i64 = 3600;
/// How far the clock goes, again and again.
const STEPS: [i64; 4] = [HOUR, -3 * HOUR, 30 * 24 * HOUR, -30 * 24 * HOUR];
/// From one jump to the next.
const STAND: Duration = Duration::from_millis(20);

/// The deadlines, so far apart that no two of them can be meant.
const HANDSHAKE: Duration = Duration::from_millis(500);
const WRITE_STALL: Duration = Duration::from_millis(700);
const FRAME: Duration = Duration::from_millis(900);
const LINGER: Duration = Duration::from_millis(1100);
const IDLE: Duration = Duration::from_millis(1500);
const LIFETIME: Duration = Duration::from_secs(3);
/// What they may be late by themselves.
const TICK: Duration = Duration::from_millis(50);

/// Sends lines back, and notes when the timers fire that a client asked for, and how each connection ends.
#[derive(Default)]
struct Clocks {
    timed_since: Option<Instant>,
    fired: Vec<(u64, Duration)>,
    ended: Vec<(String, CauseKind)>,
}

impl Handler for Clocks {
    type Codec = Lines;
    /// The last line that came.
    type State = String;
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<String> {
        Some(clients::SILENT.into())
    }

    fn frame(&mut self, last: &mut String, io: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
        *last = String::from_utf8_lossy(frame).into_owned();
        match last.as_str() {
            clients::GREEDY => fill(io),
            clients::LINGERING => return Flow::Close,
            clients::TIMED if self.timed_since.is_none() => {
                self.timed_since = Some(io.now());
                for milliseconds in TIMERS {
                    let _ = io.after(Duration::from_millis(milliseconds), milliseconds);
                }
            }
            _ => {}
        }
        let _ = io.send(frame);
        Flow::Continue
    }

    fn drained(&mut self, _last: &mut String, io: &mut Io<'_, Self>) {
        fill(io);
    }

    fn timer(&mut self, _last: &mut String, io: &mut Io<'_, Self>, token: u64) {
        if let Some(since) = self.timed_since {
            self.fired.push((token, io.now() - since));
        }
    }

    fn closed(&mut self, last: String, _io: &mut Io<'_, Self>, closed: Closed) {
        self.ended.push((last, closed.cause.kind()));
    }
}

/// Sends more than a client takes that does not read.
fn fill(io: &mut Io<'_, Clocks>) {
    while io.send(&[b'.'; 10_000]).is_queued() {}
}

pub(crate) fn run(mechanism: Mechanism) -> Outcome {
    let deadlines = Deadlines {
        handshake: Some(HANDSHAKE),
        frame: Some(FRAME),
        idle: Some(IDLE),
        write_stall: Some(WRITE_STALL),
        lifetime: Some(LIFETIME),
        precision: Some(TICK),
    };
    let server = Server::new(Clocks::default())
        .mechanism(mechanism)
        .deadlines(deadlines)
        .linger(LINGER)
        .listen("127.0.0.1:0")
        .start()?;
    let (address, remote) = (server.local_addresses()[0], server.remote());
    let done = AtomicBool::new(false);
    let (clocks, jumps) = thread::scope(|scope| {
        let jumps = scope.spawn(|| jump_until(&done));
        let wait = scope.spawn(|| wait(mechanism));
        let clients = CLIENTS
            .each_ref()
            .map(|client| (client, scope.spawn(move || client.be(address))));
        let serving = scope.spawn(move || server.run().map_err(|error| error.to_string()));
        let mut outcomes = vec![check("the selector's wait", WAIT, joined(wait))];
        for (client, lived) in clients {
            let outcome = check(client.cause.name(), client.after, joined(lived));
            // Where a deadline does not come, neither may the others, nor the end of a drain.
            if outcome.is_err() {
                remote.kill();
            }
            outcomes.push(outcome);
        }
        remote.stop();
        done.store(true, Ordering::Relaxed);
        outcomes.into_iter().collect::<Result<(), String>>()?;
        Ok::<_, String>((joined(serving)?.0, joined(jumps)?))
    })?;
    println!("the clock jumped {jumps} times");
    for client in &CLIENTS {
        if !clocks
            .ended
            .contains(&(client.line.to_string(), client.cause))
        {
            return Err(format!("{:?} is not how {:?} ended", client.cause, client.line).into());
        }
    }
    if clocks.ended.len() != CLIENTS.len() {
        return Err(format!("these connections ended: {:?}", clocks.ended).into());
    }
    let fired: Vec<_> = clocks.fired.iter().map(|&(token, _)| token).collect();
    if fired != TIMERS {
        return Err(format!("these timers fired: {fired:?}").into());
    }
    for (token, elapsed) in clocks.fired {
        check("a timer", Duration::from_millis(token), Ok(elapsed))?;
    }
    Ok(())
}

/// Waits on a selector by itself, without anything that could be ready.
fn wait(mechanism: Mechanism) -> Result<Duration, String> {
    let mut selector = Selector::<std::net::TcpListener, ()>::with_mechanism(mechanism)
        .map_err(|error| error.to_string())?;
    let began = Instant::now();
    let selected = selector
        .select(Some(WAIT))
        .map_err(|error| error.to_string())?;
    if selected.events > 0 || selected.woken {
        return Err("something was ready".into());
    }
    Ok(began.elapsed())
}

/// Neither early nor late?
fn check(name: &str, due: Duration, took: Result<Duration, String>) -> Result<(), String> {
    let took = took.map_err(|error| format!("{name}: {error}"))?;
    println!("{name}: due after {due:?}, came after {took:?}");
    if took < due || took > due + TICK + LATE_MAX {
        return Err(format!("{name}, due after {due:?}, came after {took:?}"));
    }
    Ok(())
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread
        .join()
        .unwrap_or_else(|_| Err("a thread panicked".into()))
}

/// Sets the clock again and again; says how often.
fn jump_until(done: &AtomicBool) -> Result<usize, String> {
    let mut jumps = 0;
    while !done.load(Ordering::Relaxed) {
        jump(STEPS[jumps % STEPS.len()])?;
        jumps += 1;
        thread::sleep(STAND);
    }
    Ok(jumps)
}

fn jump(seconds: i64) -> Result<(), String> {
    let wanted = wall_clock()? + seconds;
    let clock = Timespec {
        tv_sec: wanted,
        tv_nsec: 0,
    };
    clock_settime(ClockId::Realtime, clock).map_err(|error| error.to_string())?;
    // A second may end in between, and a slow machine may take its time.
    if wall_clock()?.abs_diff(wanted) > LATE_MAX.as_secs() + 1 {
        return Err("the clock did not jump".into());
    }
    Ok(())
}

/// Seconds since 1970, as the wall clock shows them.
fn wall_clock() -> Result<i64, String> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    i64::try_from(since.as_secs()).map_err(|error| error.to_string())
}
