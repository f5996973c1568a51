//! The scenario `clock-step`: somebody sets the wall clock, hours forward and back, while timers run. None is early, none
//! is late, and connections are served as before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_settime};
use trunkline::{Flow, Frame, Handler, Io, Lines, Mechanism, Server};

use crate::Outcome;

/// Each connection's timer, in milliseconds: its token says which it is.
const TIMERS: [u64; 5] = [100, 500, 1000, 1500, 2000];
/// A virtual machine without hardware help has little time to be punctual.
const LATE_MAX: Duration = Duration::from_millis(500);
const HOUR: i64 = 3600;
/// How far the clock goes, again and again.
const STEPS: [i64; 4] = [HOUR, -3 * HOUR, 30 * 24 * HOUR, -30 * 24 * HOUR];

struct Clocks {
    began: Option<Instant>,
    fired: mpsc::Sender<(u64, Duration)>,
}

impl Handler for Clocks {
    type Codec = Lines;
    type State = ();
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.began = Some(Instant::now());
        for milliseconds in TIMERS {
            io.after(Duration::from_millis(milliseconds), milliseconds)?;
        }
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
        let _ = io.send(frame);
        Flow::Continue
    }

    fn timer(&mut self, (): &mut (), _io: &mut Io<'_, Self>, token: u64) {
        if let Some(began) = self.began {
            let _ = self.fired.send((token, began.elapsed()));
        }
    }
}

pub(crate) fn run(mechanism: Mechanism) -> Outcome {
    let (sender, fired) = mpsc::channel();
    let clocks = Clocks {
        began: None,
        fired: sender,
    };
    let server = Server::new(clocks)
        .mechanism(mechanism)
        .listen("127.0.0.1:0")
        .start()?;
    let address = server.local_addresses()[0];
    let remote = server.remote();
    let client = thread::spawn(move || {
        let outcome = talk_while_the_clock_jumps(address).map_err(|error| error.to_string());
        remote.stop();
        outcome
    });
    server.run()?;
    let answers = client.join().map_err(|_| "the client panicked")??;
    let fired: Vec<_> = fired.try_iter().collect();
    println!("{answers} answers; timers fired after {fired:?}");
    for (timer, (token, elapsed)) in TIMERS.into_iter().zip(&fired) {
        let due = Duration::from_millis(timer);
        if timer != *token || *elapsed < due || *elapsed > due + LATE_MAX {
            return Err(format!("the timer of {timer} ms fired after {elapsed:?}").into());
        }
    }
    if fired.len() != TIMERS.len() {
        return Err(format!("{} timers fired", fired.len()).into());
    }
    Ok(())
}

/// An echo after every jump, until all timers are due.
fn talk_while_the_clock_jumps(
    server: std::net::SocketAddr,
) -> Result<usize, Box<dyn std::error::Error>> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let began = Instant::now();
    let mut answers = 0;
    while began.elapsed() < Duration::from_millis(2500) {
        let step = STEPS[answers % STEPS.len()];
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let wanted = i64::try_from(now)? + step;
        let clock = Timespec {
            tv_sec: wanted,
            tv_nsec: 0,
        };
        clock_settime(ClockId::Realtime, clock)?;
        let shown = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        if i64::try_from(shown)?.abs_diff(wanted) > 1 {
            return Err("the clock did not jump".into());
        }
        stream.write_all(b"what is the time?\n")?;
        let mut answer = [0; 18];
        stream.read_exact(&mut answer)?;
        answers += 1;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(answers)
}
