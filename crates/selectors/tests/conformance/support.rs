//! What the cases share: pairs of sockets, and ways to ask a selector what it sees.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use trunkline_selectors::{
    AsSource, Event, Interest, Key, Mechanism, Readiness, RegisterError, Selector,
};

pub(crate) use super::facts::facts_of;
pub(crate) use super::platform::*;

/// How long a case waits for what must happen. Only a failing case waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a case watches for what must not happen, where an instant would prove too little.
pub(crate) const A_WHILE: Duration = Duration::from_millis(30);

/// Whether there is anything to test: `io_uring` is forbidden in many a sandbox. In CI that is a failure.
pub(crate) fn works_here(mechanism: Mechanism) -> bool {
    // Of the others, one that does not work fails its cases, and one is behind the crate's back: the model of the tests.
    let (Mechanism::IoUring, Err(reason)) = (mechanism, mechanism.check()) else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
    false
}

/// Over the model of `kqueue`, where every source takes several descriptors, one case runs at a time.
pub(crate) fn turn(mechanism: Mechanism) -> Option<MutexGuard<'static, ()>> {
    static MODEL: Mutex<()> = Mutex::new(());
    let is_model = cfg!(target_os = "linux") && mechanism == Mechanism::Kqueue;
    is_model.then(|| MODEL.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) fn selector<S: AsSource, T>(mechanism: Mechanism) -> Selector<S, T> {
    let selector = Selector::with_mechanism(mechanism).expect("the mechanism works here");
    assert_eq!(selector.mechanism(), mechanism);
    selector
}

/// Two connected local sockets. What one end does, the other sees before the call returns.
pub(crate) fn pair() -> (Stream, Stream) {
    let (a, b) = stream_pair().expect("a socket pair");
    a.set_nonblocking(true).expect("non-blocking");
    b.set_nonblocking(true).expect("non-blocking");
    (a, b)
}

/// Two connected TCP sockets on the loopback interface.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let a = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (b, _) = listener.accept().expect("accepted");
    a.set_nonblocking(true).expect("non-blocking");
    b.set_nonblocking(true).expect("non-blocking");
    (a, b)
}

/// Registers, where a refusal would be a failure of the case.
pub(crate) fn add<S: AsSource + Debug, T: Debug>(
    selector: &mut Selector<S, T>,
    source: S,
    interest: Interest,
    data: T,
) -> Key {
    selector
        .register(source, interest, data)
        .expect("registered")
}

/// The events there are now, without waiting.
pub(crate) fn now<S: AsSource, T>(selector: &mut Selector<S, T>) -> Vec<Event> {
    within(selector, Duration::ZERO)
}

/// The events of the next wait, which must come before long.
pub(crate) fn soon<S: AsSource, T>(selector: &mut Selector<S, T>) -> Vec<Event> {
    let events = within(selector, PATIENCE);
    assert!(!events.is_empty(), "nothing became ready");
    events
}

pub(crate) fn within<S: AsSource, T>(
    selector: &mut Selector<S, T>,
    timeout: Duration,
) -> Vec<Event> {
    selector.select(Some(timeout)).expect("select");
    std::iter::from_fn(|| selector.next_event()).collect()
}

/// Waits until `key` is reported with all of `facts`: a network delivers its news one by one.
pub(crate) fn until<S: AsSource, T>(
    selector: &mut Selector<S, T>,
    key: Key,
    facts: &[&str],
) -> Readiness {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while Instant::now() < deadline {
        for event in within(selector, PATIENCE) {
            seen = facts_of(event.readiness);
            if event.key == key && facts.iter().all(|fact| seen.contains(fact)) {
                return event.readiness;
            }
        }
    }
    panic!("wanted {facts:?}, saw {seen:?}");
}

/// Events as (key, facts), sorted by key, so that mechanisms with different orders compare.
pub(crate) fn told(events: &[Event]) -> Vec<(Key, Vec<&'static str>)> {
    let mut told: Vec<_> = events
        .iter()
        .map(|event| (event.key, facts_of(event.readiness)))
        .collect();
    told.sort();
    told
}

/// Asserts that nothing is ready, and that the selector sleeps rather than spins.
pub(crate) fn assert_quiet<S: AsSource, T>(selector: &mut Selector<S, T>) {
    assert_eq!(told(&now(selector)), []);
    let start = Instant::now();
    let selected = selector.select(Some(A_WHILE)).expect("select");
    assert_eq!((selected.events, selected.woken), (0, false));
    assert!(
        start.elapsed() >= A_WHILE,
        "the wait ended without an event"
    );
}

/// Writes until the kernel takes no more.
pub(crate) fn fill(mut to: impl Write) {
    let block = [0; 16 * 1024];
    loop {
        match to.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("fill: {error}"),
        }
    }
}

/// Reads until there is no more, and says how much there was.
pub(crate) fn drain(mut from: impl Read) -> usize {
    let mut block = [0; 16 * 1024];
    let mut total = 0;
    loop {
        match from.read(&mut block) {
            Ok(0) => return total,
            Ok(n) => total += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return total,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("drain: {error}"),
        }
    }
}

/// Runs `act` on a thread of its own once this thread sleeps in `wait`. "Sleeps" is the kernel's word for it where it
/// has one, so no delay has to be guessed.
pub(crate) fn while_asleep<R>(act: impl FnOnce() + Send, wait: impl FnOnce() -> R) -> R {
    let sleeper = this_thread();
    let (about_to_wait, started) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            started.recv().expect("the wait begins");
            await_sleep_of(sleeper);
            act();
        });
        about_to_wait.send(()).expect("the helper listens");
        wait()
    })
}

/// What a refused registration says and gives back: its kind, its text, the source and the data.
pub(crate) fn refused<S: AsSource, T>(
    result: Result<Key, RegisterError<S, T>>,
) -> (io::ErrorKind, String, S, T) {
    let Err(refused) = result else {
        panic!("accepted, where a refusal was due");
    };
    let text = refused.to_string();
    (refused.kind(), text, refused.source, refused.data)
}

/// What is told of a source whose peer has gone, and left something to read.
pub(crate) fn gone_beside_data(mechanism: Mechanism) -> Vec<&'static str> {
    let beside = mechanism.capabilities().end_beside_data;
    let facts = PEER_GONE.iter().copied();
    facts
        .filter(|fact| beside || *fact != "read closed")
        .collect()
}

/// What a reader is told of a peer that sends no more, and has left nothing.
pub(crate) fn half_closed(mechanism: Mechanism) -> Vec<&'static str> {
    if mechanism.capabilities().half_close {
        vec!["readable", "read closed"]
    } else {
        vec!["readable"]
    }
}
