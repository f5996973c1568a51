//! What is sent, how much of it, when and from where.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::peer::{count, echo, load, load_text, peer, time};

/// An echo that tells what it heard on each connection, and who it was.
fn listening_closely() -> (SocketAddr, Receiver<(IpAddr, Vec<u8>)>) {
    let (sender, heard) = channel();
    let address = peer(move |mut stream| {
        let from = stream.peer_addr().unwrap().ip();
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            all.extend_from_slice(&buffer[..count]);
            let _ = stream.write_all(&buffer[..count]);
        }
        let _ = sender.send((from, all));
    });
    (address, heard)
}

#[test]
fn the_message_is_what_was_asked_for() {
    let file = std::env::temp_dir().join(format!("trunkline-load-message-{}", std::process::id()));
    std::fs::write(&file, "{seq}").unwrap();
    let from_file = format!("-m @{} -n 1", file.display());
    for (arguments, expected) in [
        (r"-m a\tb\x00\n -n 1", &b"a\tb\0\n"[..]),
        ("-m hex:00ff10 -n 1", b"\x00\xff\x10"),
        ("-m {seq:2}{conn:3}; -n 3", b"00000;01000;02000;"),
        ("-m {\"n\":{seq:1}} -n 1", b"{\"n\":0}"),
        ("-m x --size 3 -n 2", b"x..x.."),
        ("-m x --frame length:u16 -n 1", b"\0\x01x"),
        (&from_file, b"{seq}"),
    ] {
        let (address, heard) = listening_closely();
        let (report, exit_code) = load(address, arguments);
        assert_eq!(exit_code, 0, "{arguments}: {report}");
        assert_eq!(heard.recv().unwrap().1, expected, "{arguments}");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn messages_are_dealt_to_connections_and_threads_and_none_is_forgotten() {
    for pace in [
        "--depth 3",
        "-r 20k/s",
        "--depth 3 --threads 3",
        "-r 20k/s --threads 3",
    ] {
        let (address, heard) = listening_closely();
        let (report, exit_code) = load(
            address,
            &format!("-c 7 -n 1000 -m {{conn:2}}/{{seq:4}}; {pace}"),
        );
        assert_eq!(
            (count(&report, "answered"), exit_code),
            (1_000, 0),
            "{pace}: {report}"
        );
        let mut messages = BTreeSet::new();
        for _ in 0..7 {
            let all = heard.recv().unwrap().1;
            let texts = all
                .split(|&byte| byte == b';')
                .filter(|text| !text.is_empty());
            messages.extend(texts.map(|text| String::from_utf8(text.to_vec()).unwrap()));
        }
        let expected = (0..1_000).map(|number| format!("{:02}/{:04}", number % 7, number / 7));
        assert_eq!(messages, expected.collect(), "{pace}");
    }
}

#[test]
fn a_schedule_is_kept() {
    let begin = Instant::now();
    let (report, exit_code) = load(echo(), "-c 3 -r 600/s -d 1s");
    assert_eq!((count(&report, "sent"), exit_code), (600, 0), "{report}");
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert!(
        (report["sending_seconds"].as_f64().unwrap() - 1.0).abs() < 1e-6,
        "{report}"
    );
    // On each connection as often.
    let (report, _) = load(echo(), "-c 3 -r 200/s/conn -d 500ms");
    assert_eq!(count(&report, "sent"), 300);
    // A response has its sending in it, and is no shorter than the service.
    for name in ["p50", "p99", "max"] {
        assert!(
            time(&report, "response", name) >= time(&report, "service", name),
            "{report}"
        );
    }
}

#[test]
fn a_warm_up_is_not_counted() {
    let (address, heard) = listening_closely();
    let (report, _) = load(address, "-r 500/s --warm-up 400ms -d 400ms -m 12345678");
    assert_eq!(count(&report, "sent"), 200);
    assert_eq!(heard.recv().unwrap().1.len(), 400 * 8);
    let (address, heard) = listening_closely();
    let (report, _) = load(address, "--warm-up 100ms -n 50 -m 12345678");
    assert_eq!(count(&report, "sent"), 50);
    assert!(heard.recv().unwrap().1.len() > 50 * 8);
}

#[test]
fn connections_come_from_the_sources_by_turns() {
    let (address, heard) = listening_closely();
    let (report, exit_code) = load(address, "-c 6 -n 6 --source 127.0.0.2-127.0.0.3,127.0.0.9");
    assert_eq!(exit_code, 0, "{report}");
    let mut sources: Vec<_> = (0..6)
        .map(|_| heard.recv().unwrap().0.to_string())
        .collect();
    sources.sort();
    assert_eq!(
        sources,
        [
            "127.0.0.2",
            "127.0.0.2",
            "127.0.0.3",
            "127.0.0.3",
            "127.0.0.9",
            "127.0.0.9"
        ]
    );
}

#[test]
fn connections_are_made_no_faster_than_asked() {
    let begin = Instant::now();
    let (report, exit_code) = load(echo(), "-c 21 --connect-rate 50/s -n 21 --threads 2");
    assert_eq!((count(&report, "answered"), exit_code), (21, 0), "{report}");
    // Twenty spaces of a fiftieth of a second.
    assert!(begin.elapsed() >= Duration::from_millis(400));
    assert!(report["connecting_seconds"].as_f64().unwrap() >= 0.4);
}

#[test]
fn a_thousand_connections_are_no_trouble() {
    let serving = crate::support::Serving::start(&["echo", ":0"], 1);
    let (report, exit_code) = load(serving.address(0), "-c 1k -r 2/s/conn -d 1s --threads 2");
    assert_eq!(
        (
            count(&report, "sent"),
            count(&report, "answered"),
            exit_code
        ),
        (2_000, 2_000, 0),
        "{report}"
    );
}

#[test]
fn the_highest_rate_is_searched_for() {
    let (report, exit_code) = load(echo(), "--find-rate --slo p50=1ns -d 50ms -r 100/s");
    assert_eq!(exit_code, 3, "{report}");
    assert_eq!(
        report["search"]["highest_rate_per_second"],
        serde_json::Value::Null
    );
    // An answer to a hundred messages a second takes no second, so a higher rate is tried.
    let output = load_text(echo(), "--find-rate --slo p50=10s -d 50ms -r 100/s");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("200/s") && text.contains("highest rate that holds: "),
        "{text}"
    );
}
