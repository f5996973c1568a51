//! A handler that panics: the connection it was about ends, the others live.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use trunkline::network::Network;
use trunkline::{
    Callback, Cause, CauseKind, Closed, Codec, ConnectionId, Decoded, Error, EventLoop, Flow,
    FrameError, Handler, Io, Lines, Options, Panic, Role, Stats, WhenPanicking,
};

use super::pair::options;

/// Where the panic comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Open,
    Decode,
    Frame,
    /// After something was sent that is not yet written.
    FrameAfterSend,
    /// After something was asked that the usual way is not for.
    FrameAfterClose,
    /// On the long way: what waited while it was paused.
    FrameAfterPause,
    Encode,
    EncodeKeyed,
    EncodeBroadcast,
    /// In the queue of a connection that has nothing to do with it.
    EncodeToOther,
    Finish,
    EndOfStream,
    Drained,
    Timer,
    Closed,
    Message,
    ConnectFailed,
    Stopping,
    /// The hook that is told of a panic panics itself.
    Panicked,
}

use Moment as M;

const MOMENTS: [(Moment, Callback); 19] = [
    (M::Open, Callback::Open),
    (M::Decode, Callback::Frame),
    (M::Frame, Callback::Frame),
    (M::FrameAfterSend, Callback::Frame),
    (M::FrameAfterClose, Callback::Frame),
    (M::FrameAfterPause, Callback::Frame),
    (M::Encode, Callback::Frame),
    (M::EncodeKeyed, Callback::Frame),
    (M::EncodeBroadcast, Callback::Frame),
    (M::EncodeToOther, Callback::Frame),
    (M::Finish, Callback::Frame),
    (M::EndOfStream, Callback::EndOfStream),
    (M::Drained, Callback::Drained),
    (M::Timer, Callback::Timer),
    (M::Closed, Callback::Closed),
    (M::Message, Callback::Message),
    (M::ConnectFailed, Callback::ConnectFailed),
    (M::Stopping, Callback::Stopping),
    (M::Panicked, Callback::Frame),
];

/// Without the noise of the hook that prints each panic.
fn break_down() -> ! {
    resume_unwind(Box::new("it is broken"))
}

/// Lines, but for three words that break it, and `raw:`, which is sent without its end.
#[derive(Clone)]
struct Brittle(Lines);

impl Codec for Brittle {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        if input.starts_with(b"decode!") {
            break_down();
        }
        self.0.decode(input)
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        if input == b"finish!" {
            break_down();
        }
        self.0.finish(input)
    }

    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        if let Some(raw) = message.strip_prefix(b"raw:") {
            output.extend_from_slice(raw);
            return Ok(());
        }
        if message == b"encode!" {
            output.extend_from_slice(b"half a mess");
            break_down();
        }
        self.0.encode(message, output)
    }
}

const ECHOES: usize = 30;

struct Fragile {
    moment: Moment,
    /// Our end of the connection that is to break.
    victim: Option<ConnectionId>,
    broken: bool,
    /// Connections of the server, in the order in which they came.
    accepted: Vec<ConnectionId>,
    /// Of each client, what it has got back; the first one is the victim.
    echoes: BTreeMap<ConnectionId, usize>,
    clients: usize,
    told: Vec<Panic>,
    /// The causes of the ends that were told, by role.
    ends: Vec<(Role, CauseKind)>,
    opened: usize,
}

impl Fragile {
    fn new(moment: Moment) -> Self {
        Self {
            moment,
            victim: None,
            broken: false,
            accepted: Vec::new(),
            echoes: BTreeMap::new(),
            clients: 0,
            told: Vec::new(),
            ends: Vec::new(),
            opened: 0,
        }
    }

    fn break_at(&mut self, moment: Moment, concerned: bool) {
        if self.moment == moment && concerned && !self.broken {
            self.broken = true;
            break_down();
        }
    }

    /// The victim's client has sent its word.
    fn asked_to_break(&mut self, io: &mut Io<'_, Self>) -> Flow {
        let (me, others) = (io.id(), self.accepted.clone());
        match self.moment {
            M::Frame | M::Panicked => break_down(),
            M::FrameAfterSend => {
                let _ = io.send(b"never to be seen");
                break_down();
            }
            M::FrameAfterClose => {
                io.close();
                break_down();
            }
            M::FrameAfterPause => {
                self.moment = M::Frame;
                let _ = io.after(Duration::from_millis(1), 2);
                return Flow::Pause;
            }
            M::Encode => drop(io.send(b"encode!")),
            M::EncodeKeyed => drop(io.send_keyed(me, 1, b"encode!")),
            M::EncodeBroadcast => drop(io.broadcast(others, b"encode!")),
            M::EncodeToOther => {
                let clients = self.echoes.keys().copied();
                for other in others.into_iter().chain(clients).filter(|&id| id != me) {
                    let _ = io.send_to(other, b"encode!");
                }
            }
            M::Drained => drop(io.send(&vec![b'd'; 200_000])),
            M::Timer => drop(io.after(Duration::ZERO, 1)),
            M::ConnectFailed => drop(io.connect("127.0.0.1:1".parse().unwrap())),
            M::Stopping => io.stop(),
            M::Message => io.close(),
            M::Open | M::Decode | M::Finish | M::EndOfStream | M::Closed => {}
        }
        Flow::Continue
    }
}

impl Handler for Fragile {
    type Codec = Brittle;
    type State = Role;
    type Message = u32;

    fn codec(&self) -> Brittle {
        Brittle(Lines::new().limit(1 << 20))
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<Role> {
        let role = io.role()?;
        if role == Role::Accepted {
            self.accepted.push(io.id());
            if self.accepted.len() == CLIENTS {
                io.stop_listening();
            }
            let first = self.accepted.len() == 1;
            self.break_at(M::Open, first);
        } else {
            self.clients += 1;
            self.echoes.insert(io.id(), 0);
            // Which one the server breaks as it opens, no client knows.
            if self.clients == 1 && self.moment != M::Open {
                let word: &[u8] = match self.moment {
                    M::Decode => b"decode!",
                    M::Finish => b"raw:finish!",
                    _ => b"break",
                };
                let _ = io.send(word);
                if matches!(self.moment, M::Finish | M::EndOfStream) {
                    io.finish();
                }
                if self.moment == M::Closed {
                    io.close();
                }
                if self.moment == M::FrameAfterPause {
                    let _ = io.send(b"break");
                }
            } else {
                for echo in 0..ECHOES {
                    let _ = io.send(format!("echo {echo}").as_bytes());
                }
            }
        }
        self.opened += 1;
        Some(role)
    }

    fn frame(&mut self, role: &mut Role, io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        if *role == Role::Accepted {
            if frame == b"break" {
                self.victim = Some(io.id());
                return self.asked_to_break(io);
            }
            let _ = io.send(frame);
            return Flow::Continue;
        }
        assert_ne!(frame, b"never to be seen");
        if let Some(number) = frame.strip_prefix(b"echo ") {
            let echoes = self.echoes.entry(io.id()).or_default();
            assert_eq!(number, echoes.to_string().as_bytes());
            *echoes += 1;
            if *echoes == ECHOES {
                io.close();
            }
        }
        Flow::Continue
    }

    fn drained(&mut self, role: &mut Role, _io: &mut Io<'_, Self>) {
        self.break_at(M::Drained, *role == Role::Accepted);
    }

    fn end_of_stream(&mut self, role: &mut Role, io: &mut Io<'_, Self>) {
        let victim = self.victim == Some(io.id());
        self.break_at(M::EndOfStream, *role == Role::Accepted && victim);
        io.close();
    }

    fn timer(&mut self, role: &mut Role, io: &mut Io<'_, Self>, token: u64) {
        if token == 2 {
            io.resume();
            return;
        }
        self.break_at(M::Timer, *role == Role::Accepted);
    }

    fn message(&mut self, _io: &mut Io<'_, Self>, message: u32) {
        self.break_at(M::Message, message == 1);
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, _id: ConnectionId, _error: Error) {
        self.break_at(M::ConnectFailed, true);
    }

    fn stopping(&mut self, _io: &mut Io<'_, Self>) {
        self.break_at(M::Stopping, true);
    }

    fn panicked(&mut self, io: &mut Io<'_, Self>, panic: &Panic) {
        assert_eq!(panic.message, "it is broken");
        self.told.push(panic.clone());
        // The moments at which nobody's connection breaks leave the victim's client waiting.
        if let Some(victim) = self.victim {
            io.close_connection(victim);
        }
        self.break_at(M::Panicked, true);
    }

    fn closed(&mut self, role: Role, io: &mut Io<'_, Self>, closed: Closed) {
        let kind = closed.cause.kind();
        self.ends.push((role, kind));
        if let Cause::Panicked(panic) = closed.cause {
            assert_eq!(self.told.last(), Some(&panic));
        }
        let victim = self.victim == Some(io.id());
        self.break_at(M::Closed, victim);
    }
}

const CLIENTS: usize = 4;

fn prepared<N: Network>(network: N, moment: Moment) -> EventLoop<Fragile, N> {
    let options = Options {
        drain: Duration::from_secs(20),
        when_panicking: WhenPanicking::CloseConnection,
        ..options()
    };
    prepared_with(network, moment, options)
}

fn prepared_with<N: Network>(
    network: N,
    moment: Moment,
    options: Options,
) -> EventLoop<Fragile, N> {
    let mut fragile = EventLoop::over(network, Fragile::new(moment), options);
    let address = fragile.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..CLIENTS {
        fragile.connect(address);
    }
    for message in [0, 1, 2] {
        fragile.remote().post(message).unwrap();
    }
    fragile
}

fn check(fragile: &Fragile, stats: &Stats, moment: Moment, callback: Callback) {
    let told: Vec<_> = fragile.told.iter().map(|panic| panic.callback).collect();
    assert_eq!(told, [callback], "{moment:?}");
    let twice = u64::from(moment == M::Panicked);
    assert_eq!(stats.panics, 1 + twice, "{moment:?}");
    assert_eq!(
        fragile.ends.len(),
        fragile.opened,
        "{moment:?}: one end each"
    );
    // One connection broke, unless the callback was about none, or came when it was gone.
    let nobody = matches!(
        callback,
        Callback::Closed | Callback::Message | Callback::ConnectFailed | Callback::Stopping
    );
    let broke = stats.closed_for(CauseKind::Panicked);
    assert_eq!(broke, u64::from(!nobody), "{moment:?}");
    let heard = fragile
        .ends
        .iter()
        .filter(|(_, kind)| *kind == CauseKind::Panicked);
    let expected = usize::from(!nobody && callback != Callback::Open);
    assert_eq!(heard.count(), expected, "{moment:?}: {:?}", fragile.ends);
    // The others were served to the end.
    let served = fragile.echoes.values().filter(|&&echoes| echoes == ECHOES);
    let finished = (Role::Accepted, CauseKind::Finished);
    let ended = fragile.ends.iter().filter(|&&end| end == finished);
    if moment != M::Stopping {
        assert_eq!(
            served.count(),
            CLIENTS - 1,
            "{moment:?}: {:?}",
            fragile.echoes
        );
        assert!(
            ended.count() >= CLIENTS - 1,
            "{moment:?}: {:?}",
            fragile.ends
        );
    }
}

pub(crate) fn a_panic_ends_its_own_connection_alone<N: Network>(mut network: impl FnMut() -> N) {
    for (moment, callback) in MOMENTS {
        let mut fragile = prepared(network(), moment);
        let patience = Instant::now() + Duration::from_secs(30);
        while fragile.turn(Some(Duration::from_secs(1))).unwrap() {
            assert!(Instant::now() < patience, "{moment:?}: {}", fragile.stats());
        }
        check(fragile.handler(), &fragile.stats(), moment, callback);
        // `run` has a guard of its own.
        let (fragile, stats) = prepared(network(), moment).run().unwrap();
        check(&fragile, &stats, moment, callback);
    }
}

/// Every second client breaks its connection, all in the same turn: the events of the others that came with them are
/// not lost, nor what they send mixed up.
struct Half {
    codec: Brittle,
    echoes: usize,
}

impl Handler for Half {
    type Codec = Brittle;
    type State = bool;
    type Message = ();

    fn codec(&self) -> Brittle {
        self.codec.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<bool> {
        let breaks = io.stats().connected.is_multiple_of(2);
        if io.role() == Some(Role::Accepted) {
            if io.stats().accepted as usize == HALVES {
                io.stop_listening();
            }
        } else {
            let _ = io.send(if breaks { b"break" } else { b"quite well" });
        }
        Some(breaks)
    }

    fn frame(&mut self, breaks: &mut bool, io: &mut Io<'_, Self>, frame: &[u8]) -> Flow {
        if io.role() == Some(Role::Accepted) {
            let _ = io.send(frame);
            if frame == b"break" {
                let _ = io.send(b"encode!");
            }
        } else {
            assert!(!*breaks);
            assert_eq!(frame, b"quite well");
            self.echoes += 1;
            io.close();
        }
        Flow::Continue
    }
}

const HALVES: usize = 60;

pub(crate) fn a_panic_loses_no_event_of_the_same_turn<N: Network>(network: N) {
    let half = Half {
        codec: Brittle(Lines::new()),
        echoes: 0,
    };
    let caught = Options {
        when_panicking: WhenPanicking::CloseConnection,
        ..options()
    };
    let mut half = EventLoop::over(network, half, caught);
    let address = half.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..HALVES {
        half.connect(address);
    }
    let patience = Instant::now() + Duration::from_secs(30);
    while half.turn(Some(Duration::from_secs(1))).unwrap() {
        assert!(Instant::now() < patience, "{}", half.stats());
    }
    let stats = half.stats();
    assert!(stats.panics > 0);
    assert_eq!(stats.panics, stats.closed_for(CauseKind::Panicked));
    assert_eq!(half.handler().echoes as u64 + stats.panics, HALVES as u64);
}

/// A test asks for it: an assertion that fails in a callback fails the test, on the usual way and on the long one.
pub(crate) fn a_panic_goes_on_to_whoever_asks_for_it<N: Network>(mut network: impl FnMut() -> N) {
    for moment in [M::Open, M::Frame, M::FrameAfterPause, M::Timer, M::Message] {
        let prepared = prepared_with(network(), moment, options());
        let ran = catch_unwind(AssertUnwindSafe(|| prepared.run()));
        let payload = ran.err().expect("it goes on");
        assert_eq!(payload.downcast_ref(), Some(&"it is broken"), "{moment:?}");
    }
}
