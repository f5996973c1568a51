//! Whatever is wrong is answered by one line what and why, one line what next, and the right exit code.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use socket2::{Domain, Socket, Type};

use crate::peer::{count, echo};
use crate::support::{Serving, assert_fails, run, run_command, trunkline};

#[test]
fn what_does_not_parse_is_answered_with_what_was_meant() {
    for (arguments, meant) in [
        (["--rate", "20k/sec"], "did you mean 20k/s?"),
        (["--rate", "5/s/con"], "did you mean 5/s/conn?"),
        (["--rate", "10q"], "did you mean 10/s?"),
        (["--duration", "10"], "did you mean 10s?"),
        (["--duration", "1 min"], "did you mean 1m?"),
        (["--size", "64 KiB"], "did you mean 64kib?"),
        (["--slo", "p99<5ms"], "did you mean p99=5ms?"),
        (["--verify", "ecco"], "did you mean echo?"),
        (
            ["--connections", "10kk"],
            "expected a number from 1, such as 500, 10k or 1m",
        ),
        (
            ["--source", "localhost"],
            "expected addresses of this machine",
        ),
    ] {
        let output = run(&["load", ":7000", arguments[0], arguments[1]], b"");
        assert_fails(&output, 2, meant, "");
    }
}

#[test]
fn what_makes_no_sense_together_is_told() {
    for (arguments, what, hint) in [
        (
            &["--rate", "1/s", "--depth", "2"][..],
            "cannot be used with",
            "`trunkline",
        ),
        (
            &["--verify", "sequence", "-m", "x"],
            "the message has no number",
            "{seq}",
        ),
        (
            &["-m", "12345", "--size", "4"],
            "more than --size 4",
            "--size 5",
        ),
        (
            &["-m", r"a\n", "--frame", "lines"],
            "contains the mark",
            "by itself",
        ),
        (&["-m", "abc", "--frame", "fixed:4"], "4", "--size 4"),
        (
            &["-m", "hex:0"],
            "odd number of digits",
            "two hexadecimal digits",
        ),
        (&["-m", ""], "empty", "--message takes"),
        (
            &["--source", "::1"],
            "one is IPv4, the other IPv6",
            "--source",
        ),
        (
            &["--frame", "line"],
            "bad framing",
            "did you mean \"lines\"?",
        ),
        (
            &["--mechanism", "eopll"],
            "unknown mechanism",
            "did you mean",
        ),
    ] {
        let all = [&["load", ":7000"], arguments].concat();
        assert_fails(&run(&all, b""), 2, what, hint);
    }
}

#[test]
fn a_target_that_refuses_is_told_at_once() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    let address = socket
        .local_addr()
        .unwrap()
        .as_socket()
        .unwrap()
        .to_string();
    for connections in ["1", "100"] {
        let output = run(
            &["load", &address, "-c", connections, "--noise", "off"],
            b"",
        );
        assert_fails(&output, 1, "connection refused", "is the server running");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_page_that_cannot_be_written_is_told_before_the_load() {
    let output = run(
        &["load", ":7000", "--html", "/no/such/directory/report.html"],
        b"",
    );
    assert_fails(
        &output,
        1,
        "cannot write /no/such/directory/report.html",
        "directory",
    );
}

/// The program with few descriptors, soft and hard.
fn limited(arguments: &[&str]) -> Command {
    let program = trunkline(&[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(arguments)
        .env_remove("TRUNKLINE_MECHANISM");
    command
}

#[test]
fn more_connections_than_descriptors_say_which_side_what_limit_and_how_to_raise_it() {
    let output = run_command(limited(&["load", ":7000", "-c", "100"]), b"");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_fails(
        &output,
        2,
        "this side: this process may open 64 files and sockets",
        "ulimit -Hn 128",
    );
    assert!(stderr.contains("-c 44 fits"), "{stderr}");
}

#[test]
fn a_server_out_of_descriptors_leaves_connections_silent_and_is_named() {
    let serving = Serving::start_command(limited(&["serve", "echo", ":0"]), 1);
    let address = serving.address(0).to_string();
    let arguments = [
        "load", &address, "-c", "100", "-r", "1k/s", "-d", "300ms", "--wait", "300ms", "--noise",
        "off", "--json",
    ];
    let output = run(&arguments, b"");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        report["connections_silent"].as_u64().unwrap() > 20,
        "{report}"
    );
    assert!(count(&report, "unanswered") > 0);
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("the server may be at its limit") && notes.contains("this side has room"),
        "{notes}"
    );
}

#[test]
fn stdout_is_the_result_alone_and_stderr_is_silent_where_it_is_no_terminal() {
    let address = echo().to_string();
    let output = run(&["load", &address, "-n", "10"], b"");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!output.stdout.contains(&0x1b));
}
