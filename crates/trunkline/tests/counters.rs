//! The counters, as other threads see them; with the feature `tracing` also the events.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use trunkline::{
    CauseKind, Flow, Frame, Handler, Io, Lines, Refusal, Remote, Server, Stats, WhenPanicking,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Echoes lines, refuses when told to, and panics on request.
struct Echo {
    remote: Arc<OnceLock<Remote<()>>>,
    refuses: bool,
}

impl Handler for Echo {
    type Codec = Lines;
    type State = ();
    type Message = ();

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        (!std::mem::replace(&mut self.refuses, true)).then_some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
        if frame == b"ask yourself" {
            // The loop cannot answer while it is in a callback: it says so instead of waiting for ever.
            let asked = self.remote.get().map(|remote| remote.stats(Duration::ZERO));
            assert_eq!(asked, Some(None));
            assert_eq!(io.stats().frames_in, 1);
        }
        assert_ne!(frame, b"panic");
        assert!(io.send(frame).is_queued());
        Flow::Continue
    }
}

fn exchange(stream: &mut TcpStream, line: &[u8]) {
    stream.write_all(line).unwrap();
    let mut answer = vec![0; line.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, line);
}

/// One client is served, one refused; the first one then breaks the handler.
fn a_short_life() -> Stats {
    let echo = Echo {
        remote: Arc::default(),
        refuses: false,
    };
    let server = Server::new(echo)
        .listen("127.0.0.1:0")
        .when_panicking(WhenPanicking::CloseConnection)
        .start()
        .unwrap();
    let (address, remote) = (server.local_addresses()[0], server.remote());
    assert_eq!(remote.stats(Duration::ZERO), None, "it does not run yet");
    let running = thread::spawn(move || server.run().unwrap().1);

    let mut client = TcpStream::connect(address).unwrap();
    exchange(&mut client, b"hello\n");
    let stats = remote.stats(PATIENCE).unwrap();
    assert_eq!((stats.accepted, stats.open, stats.frames_in), (1, 1, 1));
    assert_eq!((stats.bytes_in, stats.bytes_out), (6, 6));
    let mut refused = TcpStream::connect(address).unwrap();
    assert_eq!(refused.read_to_end(&mut Vec::new()).unwrap(), 0);
    drop(refused);
    client.write_all(b"panic\n").unwrap();
    // Reset, or, if the reset overtakes the rest, the end of the stream.
    assert!(!matches!(client.read_to_end(&mut Vec::new()), Ok(1..)));
    let stats = remote.stats(PATIENCE).unwrap();
    assert_eq!(stats.refused_for(Refusal::Handler), 1);
    assert_eq!(stats.closed_for(CauseKind::Panicked), 1);
    remote.stop();
    let last = running.join().unwrap();
    assert_eq!(remote.stats(Duration::ZERO), Some(last), "it has ended");
    last
}

#[test]
fn another_thread_sees_the_counters_while_the_loop_runs_and_after() {
    let stats = a_short_life();
    assert_eq!((stats.open, stats.peak_open, stats.panics), (0, 2, 1));
    assert_eq!(stats.closed, stats.closed_by.iter().sum());
    assert!(stats.to_string().contains("panics=1"), "{stats}");
}

#[test]
fn a_callback_that_asks_through_the_remote_is_not_left_waiting() {
    let own = Arc::new(OnceLock::new());
    let asking = Echo {
        remote: Arc::clone(&own),
        refuses: false,
    };
    let asked = Server::new(asking)
        .listen("127.0.0.1:0")
        .when_panicking(WhenPanicking::Propagate)
        .start()
        .unwrap();
    own.set(asked.remote()).unwrap();
    let (address, stop) = (asked.local_addresses()[0], asked.remote());
    let running = thread::spawn(move || asked.run().unwrap().1);
    let mut client = TcpStream::connect(address).unwrap();
    exchange(&mut client, b"ask yourself\n");
    stop.stop();
    drop(client);
    assert_eq!(running.join().unwrap().frames_in, 1);
}

#[test]
fn turns_are_timed_now_and_then() {
    let echo = Echo {
        remote: Arc::default(),
        refuses: false,
    };
    let server = Server::new(echo).listen("127.0.0.1:0").start().unwrap();
    let (address, remote) = (server.local_addresses()[0], server.remote());
    let running = thread::spawn(move || server.run().unwrap().1);
    let mut client = TcpStream::connect(address).unwrap();
    for _ in 0..3 * trunkline::TURNS_PER_SAMPLE {
        exchange(&mut client, b"x\n");
    }
    remote.stop();
    drop(client);
    let stats = running.join().unwrap();
    let samples = stats.turns / trunkline::TURNS_PER_SAMPLE;
    assert_eq!(stats.turn_times.count(), samples);
    assert!(samples >= 3);
    assert!(stats.turn_times.quantile(0.5) <= stats.turn_times.quantile(1.0));
}

#[cfg(feature = "tracing")]
mod events {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Notes the message of each event of the engine.
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    struct Message<'a>(&'a mut String);

    impl Visit for Message<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" {
                *self.0 = format!("{value:?}");
            }
        }
    }

    impl Subscriber for Notes {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "trunkline"
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut message = String::new();
            event.record(&mut Message(&mut message));
            self.0.lock().unwrap().push(message);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn what_happens_is_told_in_order() {
        use trunkline::network::simulated::World;
        use trunkline::{EventLoop, Options};

        let live = || {
            let world = World::calm(3);
            let echo = super::Echo {
                remote: Arc::default(),
                refuses: false,
            };
            let options = Options::default();
            let mut server = EventLoop::over(world.network(), echo, options);
            let address = server.listen("127.0.0.1:7".parse().unwrap()).unwrap();
            server.connect(address);
            server.connect("127.0.0.1:1".parse().unwrap());
            let remote = server.remote();
            for _ in 0..20 {
                assert!(
                    server
                        .turn(Some(std::time::Duration::from_millis(10)))
                        .unwrap()
                );
            }
            remote.stop();
            server.run().unwrap();
            world.trace_hash()
        };
        let notes = Notes::default();
        let told = tracing::subscriber::with_default(notes.clone(), live);
        let notes = notes.0.lock().unwrap().clone();
        for expected in ["opened", "not connected", "refused", "closed", "stopping"] {
            assert!(notes.iter().any(|note| note == expected), "{notes:?}");
        }
        assert_eq!(told, live(), "who listens changes nothing");
    }
}
