//! Every way to build the echo service answers the same; what they differ in is what they cost.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::SockRef;

use crate::support::{Client, PATIENCE, Serving, assert_fails, run, working_mechanisms};

/// Larger than all buffers between the two ends together.
const BIG_BYTES: usize = 8 << 20;

fn serve(model: &str) -> Option<Serving> {
    let is_mechanism = ["epoll", "io_uring", "poll", "select"].contains(&model);
    if is_mechanism && !working_mechanisms().contains(&model) {
        eprintln!("skipped: {model} does not work here");
        return None;
    }
    Some(Serving::start(
        &["echo", "127.0.0.1:0", "--model", model],
        1,
    ))
}

fn echoes_in_pieces(serving: &Serving) {
    let mut client = serving.client(0);
    client.send("hel");
    client.send("lo\nwor");
    assert_eq!(client.line(), "hello");
    client.send("ld\n");
    assert_eq!(client.line(), "world");
}

fn answers_what_came_before_the_end(serving: &Serving) {
    let mut client = serving.client(0);
    client.send("first\nlast, without an end");
    client.finish();
    assert_eq!(client.rest(), b"first\nlast, without an end");
    let mut silent = serving.client(0);
    silent.finish();
    assert!(silent.rest().is_empty());
}

fn serves_several_at_once(serving: &Serving) {
    let mut clients: Vec<_> = (0..8).map(|_| serving.client(0)).collect();
    for round in 0..3 {
        // The last one first: nobody has to wait until somebody else has left.
        for (number, client) in clients.iter_mut().enumerate().rev() {
            client.send(format!("{number} in round {round}\n"));
            assert_eq!(client.line(), format!("{number} in round {round}"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("{number} again\n"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.line(), format!("{number} again"));
        }
    }
}

fn survives_a_client_that_vanishes(serving: &Serving) {
    let mut other = serving.client(0);
    let mut vanishing = serving.client(0);
    vanishing.send("x\n");
    assert_eq!(vanishing.line(), "x");
    vanishing.send(vec![b'x'; 100_000]);
    SockRef::from(vanishing.stream())
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    // Nothing is said in leave-taking: the connection is reset.
    drop(vanishing);
    other.send("still there?\n");
    assert_eq!(other.line(), "still there?");
    let mut next = serving.client(0);
    next.send("and you?\n");
    assert_eq!(next.line(), "and you?");
}

fn returns_a_big_message(serving: &Serving) {
    let bytes: Vec<u8> = (0..BIG_BYTES).map(|place| (place % 251) as u8).collect();
    let mut other = serving.client(0);
    let mut client = serving.client(0);
    let mut sending = client.try_clone();
    thread::scope(|scope| {
        scope.spawn(|| {
            sending.send(&bytes);
            sending.finish();
        });
        // Meanwhile others are served.
        other.send("x\n");
        assert_eq!(other.line(), "x");
        assert!(client.rest() == bytes);
    });
}

fn stops_by_a_signal(model: &str) {
    for signal in [Signal::INT, Signal::TERM] {
        let Some(serving) = serve(model) else {
            return;
        };
        let mut idle = serving.client(0);
        idle.send("1\n");
        assert_eq!(idle.line(), "1");
        let mut busy = serving.client(0);
        busy.send("2\n");
        assert_eq!(busy.line(), "2");
        busy.send("3\n");
        serving.signal(signal);
        // What has come is answered, then the connections end in order.
        assert_eq!(busy.rest(), b"3\n", "{model}");
        assert!(idle.rest().is_empty());
        drop((idle, busy));
        let (status, lines) = serving.wait();
        assert!(status.success(), "{model}: {lines:?}");
        let stopping = "stopping: open connections may finish; a second Ctrl-C stops at once";
        assert_eq!((lines.len(), lines[0].as_str()), (2, stopping), "{model}");
        // The engine also says how many have finished since the signal.
        let summary = "echo: served 2, errors 0, peak 2";
        assert!(lines[1].starts_with(summary), "{model}: {lines:?}");
    }
}

macro_rules! on_every_model {
    ($($model:ident)*) => { $(
        mod $model {
            const MODEL: &str = stringify!($model);

            #[test]
            fn echoes() {
                let Some(serving) = super::serve(MODEL) else { return };
                super::echoes_in_pieces(&serving);
                super::answers_what_came_before_the_end(&serving);
                super::serves_several_at_once(&serving);
            }

            #[test]
            fn survives_a_client_that_vanishes() {
                let Some(serving) = super::serve(MODEL) else { return };
                super::survives_a_client_that_vanishes(&serving);
            }

            #[test]
            fn returns_a_big_message() {
                let Some(serving) = super::serve(MODEL) else { return };
                super::returns_a_big_message(&serving);
            }

            #[test]
            fn stops_by_a_signal() {
                super::stops_by_a_signal(MODEL);
            }
        }
    )* };
}

on_every_model!(engine select poll epoll io_uring threads processes timeouts polling);

/// Threads of the server, and processes that it has started.
fn threads_and_children(serving: &Serving) -> (usize, usize) {
    let id = serving.id();
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let mut threads = 0;
    let mut children = 0;
    for task in tasks {
        threads += 1;
        // A task may have ended since.
        let path = task.unwrap().path().join("children");
        children += fs::read_to_string(path)
            .unwrap_or_default()
            .split_whitespace()
            .count();
    }
    (threads, children)
}

/// Waits until the server has that many more than before.
fn wait_for_more(
    serving: &Serving,
    before: (usize, usize),
    more: (usize, usize),
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = threads_and_children(serving);
        if now == (before.0 + more.0, before.1 + more.1) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{before:?}, then {now:?} instead of {more:?} more"));
        }
        thread::yield_now();
    }
}

#[test]
fn a_client_takes_a_thread_a_process_or_neither_and_gives_it_back() {
    const CLIENTS: usize = 8;
    for (model, more) in [
        ("engine", (0, 0)),
        ("polling", (0, 0)),
        ("timeouts", (0, 0)),
        ("threads", (CLIENTS, 0)),
        ("processes", (0, CLIENTS)),
    ] {
        let serving = serve(model).unwrap();
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| answered(&serving)).collect();
        let before = threads_and_children(&serving);
        clients.extend((0..CLIENTS).map(|_| answered(&serving)));
        wait_for_more(&serving, before, more).unwrap_or_else(|wrong| panic!("{model}: {wrong}"));
        clients.truncate(CLIENTS);
        // Also the children that have ended are no more: they were waited for.
        wait_for_more(&serving, before, (0, 0)).unwrap_or_else(|wrong| panic!("{model}: {wrong}"));
    }
}

/// A client that the server knows.
fn answered(serving: &Serving) -> Client {
    let mut client = serving.client(0);
    client.send("x\n");
    assert_eq!(client.line(), "x");
    client
}

#[test]
fn a_second_signal_ends_the_processes_too() {
    let serving = serve("processes").unwrap();
    let mut client = serving.client(0);
    client.send("x\n");
    assert_eq!(client.line(), "x");
    // Once nothing more can be sent, all buffers are full: the child cannot finish, since nobody listens to it.
    client.send_as_far_as_possible(&vec![b'x'; 4 * BIG_BYTES]);
    serving.signal(Signal::TERM);
    assert!(serving.line().starts_with("stopping: "));
    serving.signal(Signal::TERM);
    // The lines end when the last process has let go of standard error.
    let (status, lines) = serving.wait();
    assert_eq!(status.code(), Some(1), "{lines:?}");
}

#[test]
fn what_a_model_cannot_do_is_refused() {
    for (arguments, what, hint) in [
        (
            &["serve", "--model", "thread"][..],
            "unknown model \"thread\"",
            "did you mean \"threads\"?",
        ),
        (
            &["serve", "--model", "fibers"],
            "unknown model \"fibers\"",
            "the models are engine, ",
        ),
        (
            &["serve", "ack", "--model", "threads"],
            "--model threads is the echo service only",
            "leave --model out",
        ),
        (
            &["serve", "echo", ":0", ":0", "--model", "polling"],
            "--model polling serves one address",
            "leave --model out",
        ),
        (
            &["serve", "--model", "processes", "--frame", "lines"],
            "--frame cannot be used with --model processes",
            "no options",
        ),
        (
            &["serve", "--model", "threads", "--max-connections", "5"],
            "--max-connections cannot be used with --model threads",
            "no options",
        ),
        (
            &["serve", "--model", "poll", "--mechanism", "select"],
            "--mechanism cannot be used with --model poll",
            "leave one of the two out",
        ),
    ] {
        assert_fails(&run(arguments, b""), 2, what, hint);
    }
}
