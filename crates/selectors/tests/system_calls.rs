//! One system call per turn, counted from outside, by `strace`.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use trunkline_selectors::{Interest, Mechanism, Selector, Trigger};

/// Set in a child process to what it is to do.
const CHILD: &str = "TRUNKLINE_TEST_CHILD";

/// How many turns are counted.
const TURNS: usize = 20;

/// What the child writes, to nowhere, before and after the turns that count.
const BEGIN: &str = "\"the turns begin\"";
const END: &str = "\"the turns end\"";

/// Returns once the kernel says that `thread` sleeps, or after a second: then it does not mean to.
fn await_sleep_of(thread: Pid) {
    let status = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    let give_up = Instant::now() + Duration::from_secs(1);
    while Instant::now() < give_up {
        let text = std::fs::read_to_string(&status).expect("a thread's status");
        let after_name = text.rsplit(')').next().expect("some text");
        if after_name.trim().starts_with('S') {
            return;
        }
        std::thread::yield_now();
    }
}

/// Not a test by itself: what the child does. Three sources, of which one becomes ready while the selector sleeps,
/// again and again.
#[test]
fn child_takes_turns() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (mechanism, trigger) = task.split_once(' ').expect("two words");
    let mut selector = Selector::with_mechanism(mechanism.parse().expect("a mechanism"))
        .expect("the parent has checked");
    let trigger = if trigger == "Edge" {
        Trigger::Edge
    } else {
        Trigger::Level
    };
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (ours, peer) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("non-blocking");
        selector
            .register_with(ours, Interest::READ, trigger, ())
            .expect("registered");
        peers.push(peer);
    }
    let mut nowhere = std::fs::File::options()
        .write(true)
        .open("/dev/null")
        .expect("the null device");
    let (to_peer, turns) = mpsc::channel();
    let sleeper = rustix::thread::gettid();
    let writer = std::thread::spawn(move || {
        for turn in turns {
            await_sleep_of(sleeper);
            let mut peer: &UnixStream = &peers[turn % 3];
            peer.write_all(b"x").expect("written");
        }
    });
    for turn in 0..=TURNS {
        // The first turn tells the system of the registrations and grows what grows.
        if turn == 1 {
            nowhere.write_all(b"the turns begin").expect("nowhere");
        }
        to_peer.send(turn).expect("the writer lives");
        assert_eq!(selector.select(None).expect("select").events, 1);
        let event = selector.next_event().expect("an event");
        let mut source = selector.source(event.key).expect("registered");
        source.read_exact(&mut [0]).expect("a byte");
    }
    nowhere.write_all(b"the turns end").expect("nowhere");
    drop(to_peer);
    writer.join().expect("the writer's assertions");
}

/// The names of the calls that the waiting thread made in its turns. None without `strace`.
fn calls_of(mechanism: Mechanism, trigger: Trigger) -> Option<Vec<String>> {
    let trace = std::env::temp_dir().join(format!(
        "trunkline-calls-{}-{mechanism}-{trigger:?}",
        std::process::id()
    ));
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(program)
        .args(["--exact", "child_takes_turns", "--nocapture"])
        .env(CHILD, format!("{mechanism} {trigger:?}"))
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: strace does not run: {error}");
            assert!(std::env::var_os("CI").is_none(), "{error}");
            return None;
        }
    };
    let text = std::fs::read_to_string(&trace).expect("strace wrote its trace");
    std::fs::remove_file(&trace).expect("it is ours");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    // Each line begins with the thread; a call that others interrupted comes in two lines.
    let begin = text.find(BEGIN).expect("the child began");
    let end = text.find(END).expect("the child ended");
    let first = &text[..begin].rsplit('\n').next().expect("a line");
    let thread = first.split_whitespace().next().expect("a number");
    let lines = text[begin..end].lines().skip(1);
    let lines = lines.filter_map(|line| line.strip_prefix(thread));
    let mut calls = calls_in(lines.map(str::trim_start));
    // The last one is the beginning of the line that says END.
    assert_eq!(calls.pop().as_deref(), Some("write"));
    Some(calls)
}

/// The names of the calls in one thread's lines. One that was interrupted does not count: it is made again, and nobody can
/// help it that a process is stopped and continued.
fn calls_in<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut calls = Vec::new();
    for line in lines {
        let interrupted = line.contains("= -1 EINTR") || line.contains("= ? ERESTART");
        let is_rest = line.starts_with("<...");
        if is_rest && interrupted {
            calls.pop();
        }
        let counts = !is_rest && !interrupted && !line.starts_with("---");
        if counts && let Some((name, _)) = line.split_once('(') {
            calls.push(name.to_owned());
        }
    }
    calls
}

#[test]
fn interrupted_calls_are_not_counted() {
    let lines = [
        "ppoll([{fd=4, events=POLLIN}], 1, NULL, NULL, 8) = ? ERESTARTNOHAND (To be restarted if no handler)",
        "--- SIGSTOP {si_signo=SIGSTOP, si_code=SI_USER, si_pid=7, si_uid=0} ---",
        "--- stopped by SIGSTOP ---",
        "--- SIGCONT {si_signo=SIGCONT, si_code=SI_USER, si_pid=7, si_uid=0} ---",
        "ppoll([{fd=4, events=POLLIN}], 1, NULL, NULL, 8 <unfinished ...>",
        "<... ppoll resumed>)                = 1 ([{fd=4, revents=POLLIN}])",
        "read(4, \"x\", 1)                     = 1",
        "epoll_wait(5,  <unfinished ...>",
        "<... epoll_wait resumed>[], 1024, -1) = -1 EINTR (Interrupted system call)",
        "write(9, ",
    ];
    assert_eq!(calls_in(lines.into_iter()), ["ppoll", "read", "write"]);
}

fn assert_one_wait_per_turn(mechanism: Mechanism, wait: &str) {
    if let Err(reason) = mechanism.check() {
        eprintln!("skipped: {reason}");
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        return;
    }
    for trigger in [Trigger::Level, Trigger::Edge] {
        if !mechanism.supports(trigger) {
            continue;
        }
        let Some(calls) = calls_of(mechanism, trigger) else {
            return;
        };
        // The channel to the other thread may have to wake it, which has nothing to do with the selector.
        let calls: Vec<&str> = calls
            .iter()
            .map(String::as_str)
            .filter(|call| *call != "futex")
            .collect();
        assert_eq!(calls.len(), 2 * TURNS, "{mechanism} {trigger:?}: {calls:?}");
        for turn in calls.chunks(2) {
            let reads = ["read", "recvfrom"].contains(&turn[1]);
            assert!(
                turn[0].starts_with(wait) && reads,
                "{mechanism} {trigger:?}: {calls:?}"
            );
        }
    }
}

#[test]
fn a_turn_on_epoll_is_one_wait() {
    assert_one_wait_per_turn(Mechanism::Epoll, "epoll_");
}

#[test]
fn a_turn_on_io_uring_is_one_enter() {
    assert_one_wait_per_turn(Mechanism::IoUring, "io_uring_enter");
}

#[test]
fn a_turn_on_poll_is_one_wait() {
    assert_one_wait_per_turn(Mechanism::Poll, "ppoll");
}
