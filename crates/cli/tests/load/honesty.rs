//! Servers that stand still, say nothing, die or do not listen: none of it may be hidden.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::peer::{count, echo, load, load_text, one_of_several, peer, time};
use crate::support::{Serving, trunkline};

/// A quarter of what is told of the well-known case (1.4 s in every 6.4 s), so that the test is short.
const FREEZE: Duration = Duration::from_millis(350);
const PERIOD: Duration = Duration::from_millis(1_600);

/// An echo that stands still at the end of each period.
fn freezing() -> SocketAddr {
    peer(|mut stream| {
        let begin = Instant::now();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let into =
                Duration::from_nanos((begin.elapsed().as_nanos() % PERIOD.as_nanos()) as u64);
            if into > PERIOD.saturating_sub(FREEZE) {
                // Being asleep is what this server is for.
                thread::sleep(PERIOD.saturating_sub(into));
            }
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_server_that_freezes_is_seen_to_freeze() {
    one_of_several(|| {
        let (report, exit_code) = load(freezing(), "-r 1k/s -d 1600ms");
        let freeze = FREEZE.as_nanos() as u64;
        let p99 = time(&report, "response", "p99").unwrap();
        // A fifth of the messages were due while it stood still: the longest waits are among the hundredth.
        assert!(p99 > freeze / 100 * 70, "{report}");
        // Nothing was held back by us: what was due meanwhile was sent meanwhile.
        assert_eq!(count(&report, "sent"), 1_600);
        assert_eq!((count(&report, "answered"), exit_code), (1_600, 0));
        let p50 = time(&report, "response", "p50").unwrap();
        (p50 < freeze / 2)
            .then_some(())
            .ok_or_else(|| report.to_string())
    });
}

#[test]
fn without_a_schedule_few_messages_see_the_freeze_and_the_report_says_so() {
    one_of_several(|| {
        let (report, _) = load(freezing(), "-d 1600ms");
        let notes = report["notes"].to_string();
        assert!(
            notes.contains("--rate shows what users would see"),
            "{notes}"
        );
        // One message waited, out of some thousand.
        let p99 = time(&report, "response", "p99").unwrap();
        (p99 < FREEZE.as_nanos() as u64 / 2)
            .then_some(())
            .ok_or_else(|| report.to_string())
    });
}

/// Reads everything and says nothing.
fn mute() -> SocketAddr {
    peer(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    })
}

#[test]
fn a_server_that_never_answers_has_unanswered_messages_and_no_zero() {
    let (report, exit_code) = load(mute(), "-c 2 -r 200/s -d 500ms --wait 300ms");
    assert_eq!(exit_code, 1);
    assert_eq!(
        (count(&report, "sent"), count(&report, "answered")),
        (100, 0)
    );
    assert_eq!(
        (count(&report, "unanswered"), count(&report, "lost")),
        (100, 0)
    );
    assert_eq!(report["answers_per_second"], serde_json::Value::Null);
    // The youngest is as old as the time to wait, the oldest as the whole run; and that is but the least.
    let response = &report["latency"]["response"];
    assert!(
        response["p50"].as_u64().unwrap() > 300_000_000,
        "{response}"
    );
    assert!(
        response["max"].as_u64().unwrap() > 750_000_000,
        "{response}"
    );
    assert!(
        response["p50_at_least"] == true && response["without_answer"] == 100,
        "{response}"
    );

    let output = load_text(mute(), "-c 2 -r 200/s -d 200ms --wait 100ms");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("unanswered 40") && text.contains("≥ "),
        "{text}"
    );
    assert!(text.contains("answered –"), "{text}");
    assert!(!text.contains(" 0 ns") && !text.contains(" 0/s"), "{text}");
}

#[test]
fn without_a_schedule_a_server_that_never_answers_is_waited_for_but_not_for_ever() {
    for arguments in [
        "-c 3 --depth 4 -d 200ms --wait 200ms",
        "-c 3 --depth 4 -n 1m --wait 200ms",
    ] {
        let (report, exit_code) = load(mute(), arguments);
        assert_eq!(exit_code, 1);
        assert_eq!(
            (count(&report, "sent"), count(&report, "unanswered")),
            (12, 12),
            "{report}"
        );
    }
}

#[test]
fn nothing_measured_is_a_dash() {
    // All of it is warm-up.
    let output = load_text(
        echo(),
        "-n 1 -r 1/s --warm-up 50ms --duration 1ns --wait 100ms",
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let row = text
        .lines()
        .find(|line| line.starts_with("response"))
        .unwrap();
    assert_eq!(row.matches('–').count(), 7, "{text}");
    assert!(text.contains("nothing was measured"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_server_that_dies_half_way_loses_messages_and_they_are_counted() {
    const ANSWERED: usize = 200;
    // Answers so many messages of 64 bytes, reads half as many more, and is gone; so is its listener's interest.
    let address = peer(|mut stream| {
        let mut message = [0; 64];
        for number in 0..ANSWERED * 3 / 2 {
            if stream.read_exact(&mut message).is_err() {
                return;
            }
            if number < ANSWERED {
                stream.write_all(&message).unwrap();
            }
        }
    });
    let (report, exit_code) = load(address, "-r 1k/s -d 600ms");
    assert_eq!(exit_code, 1);
    assert_eq!(count(&report, "answered"), ANSWERED as u64);
    assert!(count(&report, "lost") >= ANSWERED as u64 / 2, "{report}");
    assert_eq!(
        count(&report, "sent"),
        count(&report, "answered") + count(&report, "lost")
    );
    assert_eq!(report["connections_lost"], 1);
    // The longest wait is that of the first that got no answer.
    assert!(
        report["latency"]["response"]["max_at_least"] == true,
        "{report}"
    );

    let output = load_text(address, "-r 1k/s -d 600ms");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("1 of 1 connections ended before the load did"),
        "{text}"
    );
    assert!(text.contains("messages were lost"), "{text}");
}

#[test]
fn a_server_that_is_killed_is_lost_with_what_was_under_way() {
    let serving = Serving::start(&["echo", ":0"], 1);
    let address = serving.address(0).to_string();
    let loading = start(&[
        "load", &address, "--noise", "off", "--json", "-c", "4", "--depth", "16", "-d", "30s",
    ]);
    // Once its processor time grows it is under load.
    let before = serving.cpu_ticks();
    while serving.cpu_ticks() < before + 5 {
        thread::sleep(Duration::from_millis(5));
    }
    serving.signal(Signal::KILL);
    let output = loading.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["connections_lost"], 4);
    assert!(
        count(&report, "lost") > 0 && count(&report, "lost") <= 64,
        "{report}"
    );
    assert_eq!(
        count(&report, "sent"),
        count(&report, "answered") + count(&report, "lost")
    );
    assert!(report["sending_seconds"].as_f64().unwrap() < 30.0);
}

#[test]
fn of_several_connections_the_schedule_goes_on_and_what_was_due_on_the_dead_ones_is_told() {
    let connections = Arc::new(Mutex::new(0));
    let address = peer(move |mut stream| {
        let number = {
            let mut connections = connections.lock().unwrap();
            *connections += 1;
            *connections
        };
        let mut message = [0; 64];
        // The first one dies after ten answers.
        let answers = if number == 1 { 10 } else { usize::MAX };
        for _ in 0..answers {
            if stream.read_exact(&mut message).is_err() || stream.write_all(&message).is_err() {
                return;
            }
        }
    });
    let (report, exit_code) = load(address, "-c 4 -r 400/s -d 500ms --wait 200ms");
    assert_eq!(exit_code, 1);
    // 200 were due, 50 on each connection.
    let (sent, not_sent) = (count(&report, "sent"), count(&report, "not_sent"));
    assert_eq!(sent + not_sent, 200, "{report}");
    assert_eq!(count(&report, "answered"), 160);
    assert_eq!(count(&report, "lost") + not_sent, 40);
    assert_eq!(report["latency"]["response"]["samples"], 200);
}

/// The most memory a process ever had, in kilobytes.
fn peak(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_server_that_does_not_read_costs_no_memory() {
    // Half a gigabyte is due in a second.
    let (keep, kept) = channel::<()>();
    let keep = Arc::new(Mutex::new(keep));
    let address = peer(move |stream| {
        // Held open, and never read.
        let _stream = stream;
        let _keep = Arc::clone(&keep);
        loop {
            thread::park();
        }
    });
    let address = address.to_string();
    let arguments = [
        "load", &address, "--noise", "off", "--json", "-r", "1m/s", "--size", "512", "-d", "1s",
        "--wait", "200ms",
    ];
    one_of_several(|| {
        let mut child = start(&arguments);
        let mut highest = 0;
        while child.try_wait().unwrap().is_none() {
            highest = highest.max(peak(&child).unwrap_or(0));
            thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(highest < 64 * 1024, "{highest} KB");
        assert_eq!(
            count(&report, "sent") + count(&report, "not_sent"),
            1_000_000,
            "{report}"
        );
        assert!(
            count(&report, "not_sent") > 900_000 && count(&report, "answered") == 0,
            "{report}"
        );
        assert_eq!(output.status.code(), Some(1));
        // It was the server that took no more; unless the client stood still.
        let was_the_limit = report["client"]["was_the_limit"].as_bool().unwrap();
        (!was_the_limit)
            .then_some(())
            .ok_or_else(|| report.to_string())
    });
    drop(kept);
}

#[test]
fn a_client_that_was_stopped_says_that_it_was_the_limit() {
    // Whoever continues all processes of a machine continues this one too, too early.
    for (strict, exit_code) in [(true, 4), (false, 0)] {
        one_of_several(|| {
            let (report, status) = load_that_is_stopped(strict);
            let p99 = time(&report, "send_delay", "p99").unwrap();
            if p99 <= 200_000_000 {
                return Err(report.to_string());
            }
            assert_eq!(report["client"]["was_the_limit"], true, "{report}");
            assert_eq!(status, Some(exit_code));
            Ok(())
        });
    }
}

/// Answers what it is asked, and tells of each request.
fn echo_that_tells() -> (SocketAddr, Receiver<()>) {
    let (note, requests) = channel();
    let address = peer(move |mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let _ = note.send(());
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

/// What `load` says after it was stopped for a while, and how it exits.
fn load_that_is_stopped(strict: bool) -> (serde_json::Value, Option<i32>) {
    let (address, requests) = echo_that_tells();
    let address = address.to_string();
    let mut arguments = vec![
        "load", &address, "--noise", "off", "--json", "-r", "500/s", "-d", "1s",
    ];
    arguments.extend(strict.then_some("--strict"));
    let child = start(&arguments);
    (0..20).for_each(|_| requests.recv().unwrap());
    // A third of a second in which it cannot send: a machine that is too slow, as it were.
    let process = Pid::from_child(&child);
    kill_process(process, Signal::STOP).unwrap();
    thread::sleep(Duration::from_millis(300));
    kill_process(process, Signal::CONT).unwrap();
    let output = child.wait_with_output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (report, output.status.code())
}

#[test]
fn ctrl_c_ends_the_run_and_tells_what_was_measured() {
    let (address, requests) = echo_that_tells();
    for pace in [["--rate", "500/s"], ["--depth", "2"]] {
        let address = address.to_string();
        let child = start(&[
            "load", &address, "--noise", "off", "--json", "-d", "10m", pace[0], pace[1],
        ]);
        (0..20).for_each(|_| requests.recv().unwrap());
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["interrupted"], true);
        assert!(
            count(&report, "answered") >= 20 && count(&report, "unanswered") == 0,
            "{report}"
        );
        assert_eq!(output.status.code(), Some(0), "{report}");
    }
}

fn start(arguments: &[&str]) -> Child {
    let mut command: Command = trunkline(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
