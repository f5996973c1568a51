//! How long a connection may take over things, and how fast it may be.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Serving, assert_fails, run, working_mechanisms};

#[test]
fn each_deadline_closes_and_says_why() {
    for (flags, sends, why) in [
        (
            ["--idle-timeout", "200ms"],
            "whole\n",
            "it was idle for too long",
        ),
        (
            ["--frame-timeout", "200ms"],
            "half",
            "it did not finish a message in time",
        ),
        (
            ["--handshake-timeout", "200ms"],
            "",
            "its first message did not come in time",
        ),
        (
            ["--lifetime", "0.2s"],
            "whole\n",
            "it was open as long as it may be",
        ),
    ] {
        let mut arguments = vec!["ack", ":0", "--verbose"];
        arguments.extend(flags);
        let serving = Serving::start(&arguments, 1);
        let begin = Instant::now();
        let mut client = serving.client(0);
        client.send(sends);
        client.rest();
        assert!(begin.elapsed() >= Duration::from_millis(200), "early");
        drop(client);
        assert!(serving.line().contains("connected"));
        let line = serving.line();
        assert!(line.contains(why), "{line}");
        serving.signal(Signal::INT);
        assert!(serving.wait().0.success());
    }
}

#[test]
fn a_rate_holds_back_what_comes_too_fast() {
    let serving = Serving::start(&["echo", ":0", "--rate-in", "40k/s"], 1);
    let begin = Instant::now();
    let mut client = serving.client(0);
    let line = format!("{}\n", "x".repeat(19_999));
    client.send(&line);
    assert_eq!(client.line().len(), 19_999);
    // An eighth of a second's worth comes at once.
    assert!(begin.elapsed() >= Duration::from_millis(375));
}

#[test]
fn mistyped_times_and_rates_are_answered_with_what_was_meant() {
    for (flag, value, hint) in [
        ("--idle-timeout", "10", "did you mean 10s?"),
        ("--frame-timeout", "5 minutes", "did you mean 5m?"),
        ("--linger", "0s", "longer than none"),
        ("--rate-in", "64kb/s", "did you mean 64k?"),
        ("--rate-min", "fast", "or off"),
    ] {
        let output = run(&["serve", flag, value], b"");
        assert_fails(&output, 2, hint, "--help");
    }
}

/// Stopped for longer than the idle deadline: who sent something meanwhile is served, and nobody is closed for it.
#[test]
fn s44_sigstop_sigcont_closes_nobody_who_was_active() {
    for mechanism in working_mechanisms() {
        let tries = (0..10).take_while(|_| !is_stopped_and_goes_on(mechanism));
        assert!(tries.count() < 10, "somebody else continues it every time");
    }
}

/// False if somebody else has continued the server, as one may who stops and continues all processes of a machine.
fn is_stopped_and_goes_on(mechanism: &str) -> bool {
    const CLIENTS: usize = 10;
    let arguments = ["echo", ":0", "--idle-timeout", "2s", "--verbose"];
    let serving = Serving::start(&[&arguments[..], &["--mechanism", mechanism]].concat(), 1);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| serving.client(0)).collect();
    for client in &mut clients {
        client.send("before\n");
        assert_eq!(client.line(), "before");
    }
    serving.freeze();
    let stopped = Instant::now();
    for client in &mut clients {
        client.send("meanwhile\n");
    }
    if !clients[0].hears_nothing_for(Duration::from_secs(3)) {
        assert!(!serving.is_frozen(), "it answers while it is stopped");
        return false;
    }
    serving.signal(Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.line(), "meanwhile");
    }
    // Idle from now on, they are closed in their own time, once each.
    for client in &mut clients {
        assert!(client.rest().is_empty());
    }
    assert!(stopped.elapsed() >= Duration::from_secs(5));
    drop(clients);
    let lines: Vec<_> = (0..2 * CLIENTS).map(|_| serving.line()).collect();
    let idle = lines
        .iter()
        .filter(|line| line.contains("idle for too long"));
    assert_eq!(idle.count(), CLIENTS, "{mechanism}: {lines:?}");
    serving.signal(Signal::INT);
    assert!(serving.wait().0.success());
    true
}
