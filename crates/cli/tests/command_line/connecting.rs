//! `trunkline connect` end to end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::thread;

use socket2::SockRef;

use crate::bad_input::refusing;
use crate::support::{
    Serving, assert_fails, lines_of, remaining, run, trunkline, working_mechanisms,
};

fn spawn(arguments: &[&str]) -> Child {
    let mut command = trunkline(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn one_line_to_an_echo_and_back() {
    for mechanism in working_mechanisms() {
        let serving = Serving::start(&[":0"], 1);
        let address = serving.address(0).to_string();
        let output = run(&["connect", &address, "--mechanism", mechanism], b"hello\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn no_input_still_shows_what_the_server_says() {
    let serving = Serving::start(&["greet", ":0"], 1);
    let output = run(&["connect", &serving.address(0).to_string()], b"");
    assert!(output.stdout.starts_with(b"Hello, "));
    assert!(output.status.success());
}

#[test]
fn a_name_is_looked_up() {
    let serving = Serving::start(&["127.0.0.1:0"], 1);
    // Where the name also stands for ::1, nobody listens there: the next address is tried.
    let output = run(
        &[
            "connect",
            &format!("localhost:{}", serving.address(0).port()),
        ],
        b"hello\n",
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.stdout, b"hello\n");
}

#[test]
fn answers_of_several_servers_are_labelled() {
    let serving = Serving::start(&["echo", ":0", "ack", ":0"], 2);
    let [echo, ack] = [
        serving.address(0).to_string(),
        serving.address(1).to_string(),
    ];
    let output = run(&["connect", &echo, &ack], b"one\ntwo");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let from = |server: &str| -> Vec<String> {
        let label = format!("[{server}] ");
        stdout
            .lines()
            .filter_map(|line| line.strip_prefix(&label))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(from(&echo), ["one", "two"]);
    assert_eq!(from(&ack), ["Got one", "Got two"]);
    assert_eq!(stdout.lines().count(), 4, "{stdout}");
    assert!(output.status.success());
}

#[test]
fn one_server_missing_is_told_and_the_others_are_served() {
    let serving = Serving::start(&[":0"], 1);
    let good = serving.address(0).to_string();
    let (_socket, bad) = refusing();
    let output = run(&["connect", &good, &bad.to_string()], b"hello\n");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("[{good}] hello\n")
    );
    assert_fails(
        &output,
        1,
        &format!("cannot connect to {bad}: connection refused"),
        "is the server running",
    );
}

#[test]
fn a_server_that_closes_first_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut child = spawn(&["connect", &address]);
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"bye\n").unwrap();
    drop(server);
    // Standard input stays open meanwhile.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.stdout, b"bye\n");
    assert!(output.status.success());
}

#[test]
fn a_reset_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut child = spawn(&["connect", &address.to_string()]);
    let (server, _) = listener.accept().unwrap();
    SockRef::from(&server)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(server);
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_fails(
        &output,
        1,
        &format!("{address}: connection reset"),
        "cut the connection",
    );
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = spawn(&["connect", &listener.local_addr().unwrap().to_string()]);
    let (mut server, _) = listener.accept().unwrap();
    drop(child.stdout.take());
    // More than once: a child that another test is about to start may hold a copy of the pipe's reading end
    // until it has begun, and so long there still is a reader.
    let talking = thread::spawn(move || while server.write_all(b"too much\n").is_ok() {});
    let lines = lines_of(child.stderr.take().unwrap());
    assert_eq!(remaining(&lines), Vec::<String>::new());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    talking.join().unwrap();
}

#[test]
fn much_input_neither_stalls_nor_takes_memory() {
    const BYTES: usize = 100 * 1024 * 1024;
    const MEMORY_KIB_MAX: usize = 32 * 1024;
    let serving = Serving::start(&[":0"], 1);
    let mut child = spawn(&["connect", &serving.address(0).to_string()]);
    let mut stdin = child.stdin.take().unwrap();
    // 251 is prime, so that a lost or repeated chunk shows.
    let block: Vec<u8> = (0..251).cycle().take(251 * 1024).collect();
    let expected = block.clone();
    let writer = thread::spawn(move || {
        let mut left = BYTES;
        while left > 0 {
            let count = left.min(block.len());
            stdin.write_all(&block[..count]).unwrap();
            left -= count;
        }
        stdin
    });
    let mut stdout = child.stdout.take().unwrap();
    let mut read = vec![0; expected.len()];
    let mut left = BYTES;
    while left > 0 {
        let count = left.min(read.len());
        stdout.read_exact(&mut read[..count]).unwrap();
        assert!(
            read[..count] == expected[..count],
            "{left} bytes before the end"
        );
        left -= count;
    }
    let stdin = writer.join().unwrap();
    if let Some(peak) = peak_memory_kib(child.id()) {
        assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// The most memory that the process has held so far, where the system tells.
fn peak_memory_kib(process: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = ["VmHWM:", "VmRSS:"]
        .into_iter()
        .find_map(|name| status.lines().find(|line| line.starts_with(name)))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
