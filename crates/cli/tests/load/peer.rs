//! Servers of our own, one thread for each connection, and what `load` says of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::thread;

use serde_json::Value;

use crate::support::run;

/// A server that treats every connection like this, for as long as the test runs.
pub(crate) fn peer(treat: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let treat = treat.clone();
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || treat(stream));
        }
    });
    address
}

/// An echo.
pub(crate) fn echo() -> SocketAddr {
    peer(|mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

/// A server that answers each line, given its number, with what this makes of it.
pub(crate) fn answering_lines(
    answer: impl Fn(usize, &str) -> String + Clone + Send + 'static,
) -> SocketAddr {
    peer(move |mut stream| {
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for (number, line) in lines.map_while(Result::ok).enumerate() {
            if stream.write_all(answer(number, &line).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// What `trunkline load` says in JSON, and how it exits.
pub(crate) fn load(address: SocketAddr, arguments: &str) -> (Value, i32) {
    let output = load_text(address, &format!("--json {arguments}"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let value =
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (value, output.status.code().unwrap())
}

/// What it says to a person. Arguments are parted by spaces.
pub(crate) fn load_text(address: SocketAddr, arguments: &str) -> Output {
    let address = address.to_string();
    let mut all = vec!["load", &address, "--noise", "off"];
    all.extend(arguments.split(' '));
    run(&all, b"")
}

/// For what a machine spoils that stands still for a while: of several tries one has to keep all bounds.
pub(crate) fn one_of_several(attempt: impl Fn() -> Result<(), String>) {
    const TRIES: usize = 6;
    let spoilt: Vec<_> = (0..TRIES).map_while(|_| attempt().err()).collect();
    assert!(spoilt.len() < TRIES, "{}", spoilt.join("\n"));
}

/// A count of the report.
pub(crate) fn count(report: &Value, name: &str) -> u64 {
    report["messages"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// A time of the report, in nanoseconds.
pub(crate) fn time(report: &Value, distribution: &str, name: &str) -> Option<u64> {
    let times = report["latency"]
        .get(distribution)
        .unwrap_or_else(|| panic!("no {distribution} in {report}"));
    times
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {times}"))
        .as_u64()
}
