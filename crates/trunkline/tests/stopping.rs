//! The end of a server, step by step: not ready, lag, no more clients, last turns, evictions, the deadline.
#![forbid(unsafe_code)]

mod common;

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Client, PATIENCE, mechanisms, serve, until};
use trunkline::network::simulated::{Config, World};
use trunkline::{
    Cause, Closed, Deadlines, EventLoop, Flow, Frame, Handler, Io, Lines, Options, Remote, Role,
};

/// Scenario 34: under load, every request that was taken is answered, on every mechanism.
#[test]
fn a7_graceful_drain_under_load_answers_every_accepted_request() {
    const CLIENTS: usize = 16;
    for mechanism in mechanisms() {
        let answered = AtomicU64::new(0);
        let stats = serve(mechanism, Options::default(), |address, remote| {
            std::thread::scope(|scope| {
                for _ in 0..CLIENTS {
                    scope.spawn(|| ask_until_closed(address, &answered));
                }
                // In the midst of it.
                until("busy", || {
                    answered.load(Ordering::Relaxed) >= 10 * CLIENTS as u64
                });
                remote.stop();
            });
        });
        assert_eq!(
            stats.frames_in,
            answered.into_inner(),
            "{mechanism}: {stats:?}"
        );
        assert_eq!(stats.drained.aborted, 0, "{mechanism}: {stats:?}");
        assert_eq!(stats.drained.unsent_bytes, 0, "{mechanism}: {stats:?}");
    }
}

/// Asks again and again, and counts the answers. The connection may end between an answer and the next question, and
/// nowhere else.
fn ask_until_closed(address: std::net::SocketAddr, answered: &AtomicU64) {
    // The listener may be gone before this client comes.
    let Ok(stream) = TcpStream::connect(address) else {
        return;
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client::over(stream);
    for number in 0_u64.. {
        client.send_if_open(&format!("{number}\n"));
        match client.line() {
            Some(line) => assert_eq!(line, number.to_string()),
            // Closed in order: the question came too late to be taken.
            None => return,
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

trait SendIfOpen {
    fn send_if_open(&mut self, text: &str);
}

impl SendIfOpen for Client<TcpStream> {
    fn send_if_open(&mut self, text: &str) {
        use std::io::Write;
        // The server may have closed by now; the read that follows says how.
        let _ = self.stream().write_all(text.as_bytes());
    }
}

#[test]
fn not_ready_comes_first_and_clients_are_served_through_the_lag() {
    for mechanism in mechanisms() {
        let lag = Duration::from_millis(200);
        let options = Options {
            drain_lag: lag,
            ..Options::default()
        };
        serve(mechanism, options, |address, remote| {
            assert!(remote.is_ready());
            let start = Instant::now();
            remote.stop();
            assert!(!remote.is_ready(), "{mechanism}");
            // The load balancer has not noticed yet.
            let mut late = Client::connect(address);
            let served = late.is_served();
            assert!(served || start.elapsed() >= lag, "{mechanism}");
            assert_eq!(late.line(), None, "closed when the drain began");
            assert!(start.elapsed() >= lag, "{mechanism}: {:?}", start.elapsed());
            assert!(TcpStream::connect(address).is_err(), "{mechanism}");
        });
    }
}

#[test]
fn the_lag_can_be_cut_short() {
    for mechanism in mechanisms() {
        let options = Options {
            drain_lag: Duration::from_secs(3600),
            ..Options::default()
        };
        serve(mechanism, options, |address, remote| {
            let mut client = Client::connect(address);
            assert!(client.is_served());
            remote.stop();
            assert!(client.is_served(), "{mechanism}");
            remote.kill();
            assert_eq!(client.line(), None);
        });
    }
}

/// Both ends in one loop of the simulated network: its clients never finish what they begin.
struct Unfinished {
    told: Vec<&'static str>,
    ended: Vec<(Duration, &'static str, u64)>,
    start: Option<Instant>,
    hold: bool,
}

impl Handler for Unfinished {
    type Codec = Lines;
    type State = Role;
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Role> {
        Some(io.role().expect("it is open"))
    }

    fn frame(&mut self, _: &mut Role, io: &mut Io<'_, Self>, line: Frame<'_, Self>) -> Flow {
        let _ = io.send(line);
        if self.hold {
            io.hold();
        }
        Flow::Continue
    }

    fn stopping(&mut self, io: &mut Io<'_, Self>) {
        self.start = Some(io.now());
        self.told.push("stopping");
    }

    fn draining(&mut self, role: &mut Role, io: &mut Io<'_, Self>) {
        if *role == Role::Accepted {
            self.told.push("draining");
            let _ = io.send(b"we close");
        }
    }

    fn closed(&mut self, role: Role, io: &mut Io<'_, Self>, closed: Closed) {
        if role == Role::Connected {
            return;
        }
        let cause = match closed.cause {
            Cause::Finished => "finished",
            Cause::Evicted => "evicted",
            Cause::Stopped => "stopped",
            _ => "otherwise",
        };
        let after = self.start.map(|start| io.now() - start);
        self.ended
            .push((after.unwrap_or_default(), cause, closed.unsent));
    }
}

/// Client and server loops over one world; the clients send `text` and then nothing.
fn drain_with(
    clients: usize,
    text: &'static str,
    hold: bool,
    options: Options,
) -> (Unfinished, trunkline::Stats) {
    let world = World::new(Config::calm(5));
    let server = Unfinished {
        told: Vec::new(),
        ended: Vec::new(),
        start: None,
        hold,
    };
    let mut server = EventLoop::over(world.network(), server, options);
    let address = server.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let talker = Talker { text, heard: 0 };
    let idle = Options {
        until_idle: true,
        ..Options::default()
    };
    let mut client = EventLoop::over(world.network(), talker, idle);
    for _ in 0..clients {
        client.connect(address);
    }
    let remote: Remote<()> = server.remote();
    let mut stopped = false;
    loop {
        let serving = server.turn(Some(Duration::ZERO)).unwrap();
        let _ = client.turn(Some(Duration::ZERO)).unwrap();
        if !serving {
            break;
        }
        let all_in = server.stats().bytes_in as usize == clients * text.len();
        if all_in && !stopped {
            stopped = true;
            remote.stop();
        }
        if !world.advance_to_next() {
            world.advance(Duration::from_millis(1));
        }
    }
    let stats = server.stats();
    let (handler, _) = server.run().unwrap();
    (handler, stats)
}

/// Sends the same thing once and leaves it at that; closes when the server does.
struct Talker {
    text: &'static str,
    heard: usize,
}

impl Handler for Talker {
    type Codec = trunkline::Chunks;
    type State = ();
    type Message = ();

    fn codec(&self) -> trunkline::Chunks {
        trunkline::Chunks::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        let _ = io.send(self.text.as_bytes());
        Some(())
    }

    fn frame(&mut self, (): &mut (), _io: &mut Io<'_, Self>, bytes: &[u8]) -> Flow {
        self.heard += bytes.len();
        Flow::Continue
    }
}

#[test]
fn every_connection_is_told_after_the_handler_and_the_idle_ones_close_at_once() {
    let (handler, stats) = drain_with(5, "done\n", false, Options::default());
    assert_eq!(handler.told[0], "stopping");
    assert_eq!(handler.told[1..], ["draining"; 5]);
    assert_eq!(handler.ended.len(), 5);
    for (after, cause, unsent) in &handler.ended {
        assert_eq!((*cause, *unsent), ("finished", 0));
        assert!(*after < Duration::from_secs(1), "{after:?}");
    }
    assert_eq!(stats.drained.finished, 5);
    assert!(stats.drained.is_clean());
}

#[test]
fn the_busy_ones_are_evicted_each_at_a_time_of_its_own() {
    let drain = Duration::from_secs(100);
    let options = |seed| Options {
        drain,
        // Half a line for so long would be a reason of its own.
        deadlines: Deadlines::off(),
        seed: Some(seed),
        ..Options::default()
    };
    // Half a line: they are busy for ever.
    let (handler, stats) = drain_with(50, "half", false, options(1));
    let times: Vec<_> = handler.ended.iter().map(|(after, ..)| *after).collect();
    assert!(
        handler
            .ended
            .iter()
            .all(|&(_, cause, _)| cause == "evicted")
    );
    assert!(
        times
            .iter()
            .all(|&after| after >= drain / 2 && after < drain)
    );
    let first = times.iter().min().unwrap();
    let span = times.iter().max().unwrap().saturating_sub(*first);
    assert!(span > drain / 4, "spread over {span:?}");
    assert_eq!(stats.drained.evicted, 50, "{stats:?}");
    assert!(stats.drained.is_clean());
    // The same seed, the same times.
    let again = drain_with(50, "half", false, options(1)).0;
    assert_eq!(again.ended, handler.ended);
    let other = drain_with(50, "half", false, options(2)).0;
    assert_ne!(other.ended, handler.ended);
}

#[test]
fn whoever_waits_for_an_answer_of_ours_has_until_the_deadline() {
    let drain = Duration::from_secs(100);
    let options = Options {
        drain,
        ..Options::default()
    };
    let (handler, stats) = drain_with(3, "question\n", true, options);
    for (after, cause, _) in &handler.ended {
        assert_eq!(*cause, "stopped");
        assert!(*after >= drain, "{after:?}");
    }
    assert_eq!(stats.drained.aborted, 3, "{stats:?}");
    assert!(!stats.drained.is_clean());
}
