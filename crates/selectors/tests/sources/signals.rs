//! What the kernel signals with: counters, timers, signals, processes, changes in a folder, other selectors.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll, eventfd, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use trunkline_selectors::{Interest, Mechanism, Selector};

use super::answers::{assert_hung_up, assert_ready, assert_wakes};
use super::place::Place;
use crate::support::{add, assert_quiet, pair, selector, soon, told, while_asleep};

/// Reads the eight bytes that eventfd and timerfd count with.
fn take_count(from: impl AsFd) -> u64 {
    let mut count = [0; 8];
    assert_eq!(rustix::io::read(from, &mut count).expect("a count"), 8);
    u64::from_ne_bytes(count)
}

pub(crate) fn an_eventfd(mechanism: Mechanism) {
    let source = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("a counter");
    assert_ready(mechanism, &source, &["writable"]);
    let raise = |by: u64| {
        rustix::io::write(&source, &by.to_ne_bytes()).expect("raised");
    };
    let duplicate = source.try_clone().expect("a duplicate");
    assert_wakes(
        mechanism,
        duplicate,
        || raise(2),
        |source| {
            assert_eq!(take_count(source), 2);
        },
    );
    // As full as it can be, there is no room to write.
    raise(u64::MAX - 1);
    assert_ready(mechanism, &source, &["readable"]);
    take_count(&source);
    assert_ready(mechanism, &source, &["writable"]);
}

fn timer() -> OwnedFd {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    timerfd_create(TimerfdClockId::Monotonic, flags).expect("a timer")
}

/// Has it ring once, after this time; zero cancels it.
fn set(timer: impl AsFd, after: Duration) {
    let setting = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec::try_from(after).expect("a short time"),
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &setting).expect("set");
}

pub(crate) fn a_timerfd(mechanism: Mechanism) {
    let timer = timer();
    assert_ready(mechanism, &timer, &[]);
    let duplicate = timer.try_clone().expect("a duplicate");
    let happen = || set(&timer, Duration::from_millis(1));
    assert_wakes(mechanism, duplicate, happen, |timer| {
        assert_eq!(take_count(timer), 1);
    });
}

/// A selector has no timers of its own to cancel; this is the one kind that can be cancelled while it is registered.
pub(crate) fn w6_a_cancelled_timerfd_stays_quiet(mechanism: Mechanism) {
    let mut selector: Selector<OwnedFd> = selector(mechanism);
    let key = add(&mut selector, timer(), Interest::READ, ());
    // Cancelled before it rings.
    set(
        selector.source(key).expect("registered"),
        Duration::from_secs(60),
    );
    assert_quiet(&mut selector);
    set(selector.source(key).expect("registered"), Duration::ZERO);
    assert_quiet(&mut selector);
    // Cancelled after it rang and before anybody read that.
    set(
        selector.source(key).expect("registered"),
        Duration::from_nanos(1),
    );
    assert_eq!(told(&soon(&mut selector)), [(key, vec!["readable"])]);
    set(selector.source(key).expect("registered"), Duration::ZERO);
    assert_quiet(&mut selector);
}

pub(crate) fn a_signalfd(mechanism: Mechanism) {
    // Blocked in this thread, and sent to this thread alone: no other test's thread ever meets it.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    signals.thread_block().expect("blocked");
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let source = SignalFd::with_flags(&signals, flags).expect("a source of signals");
    assert_ready(mechanism, &source, &[]);
    // As a number: some C libraries name a thread by a pointer, which no other thread may have.
    let this_thread = pthread_self() as usize;
    let happen = || pthread_kill(this_thread as Pthread, Signal::SIGUSR1).expect("sent");
    assert_wakes(mechanism, source, happen, |source| {
        let signal = source.read_signal().expect("read").expect("a signal");
        assert_eq!(signal.ssi_signo, Signal::SIGUSR1 as u32);
    });
}

pub(crate) fn a_pidfd(mechanism: Mechanism) {
    // It lives until its input ends.
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a child");
    let source = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a child");
    assert_ready(mechanism, &source, &[]);
    let mut selector: Selector<OwnedFd> = selector(mechanism);
    let duplicate = source.try_clone().expect("a duplicate");
    let key = add(&mut selector, duplicate, Interest::READ, ());
    assert_quiet(&mut selector);
    let input = child.stdin.take();
    let events = while_asleep(|| drop(input), || soon(&mut selector));
    assert_eq!(told(&events), [(key, vec!["readable"])]);
    assert_ready(mechanism, &source, &["readable"]);
    assert!(child.wait().expect("its end").success());
    assert_end_was_taken(mechanism, &source);
}

/// Once a process's end has been asked for, nobody can ask again. Newer kernels call that a hang-up, older ones do
/// not; what `poll(2)` says is what all mechanisms must say.
fn assert_end_was_taken(mechanism: Mechanism, source: &OwnedFd) {
    let mut asked = [PollFd::new(source, PollFlags::IN)];
    assert_eq!(
        poll(&mut asked, Some(&Timespec::default())).expect("poll"),
        1
    );
    if asked[0].revents().contains(PollFlags::HUP) {
        assert_hung_up(mechanism, source);
    } else {
        assert_ready(mechanism, source, &["readable"]);
    }
}

pub(crate) fn an_inotify_watch(mechanism: Mechanism) {
    let place = Place::new("inotify", mechanism);
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let source = inotify::init(flags).expect("a source of changes");
    inotify::add_watch(&source, place.folder(), inotify::WatchFlags::CREATE).expect("watched");
    assert_ready(mechanism, &source, &[]);
    let happen = || drop(File::create(place.file("new")).expect("created"));
    assert_wakes(mechanism, source, happen, |source| {
        let mut buffer = [const { MaybeUninit::uninit() }; 1024];
        let mut changes = inotify::Reader::new(source, &mut buffer);
        let change = changes.next().expect("a change");
        assert_eq!(change.file_name(), Some(c"new"));
    });
}

pub(crate) fn an_epoll_set(mechanism: Mechanism) {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("a set");
    let (a, mut b) = pair();
    let data = epoll::EventData::new_u64(0);
    epoll::add(&set, &a, data, epoll::EventFlags::IN).expect("added");
    assert_ready(mechanism, &set, &[]);
    let happen = || std::io::Write::write_all(&mut b, b"x").expect("written");
    assert_wakes(mechanism, set, happen, |_| {
        std::io::Read::read_exact(&mut &a, &mut [0]).expect("a byte");
    });
}
