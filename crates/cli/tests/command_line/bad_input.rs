//! Whatever is wrong is answered by one line what and why, one line what next, and the right exit code.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use socket2::{Domain, Socket, Type};

use crate::support::{assert_fails, run, run_command, trunkline, working_mechanisms};

/// A port that refuses connections for as long as the socket lives: bound, but not listening.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn port_out_of_range() {
    let why = "port 99999 is out of range: ports go from 0 to 65535";
    assert_fails(
        &run(&["serve", "echo", ":99999"], b""),
        2,
        why,
        "choose a port",
    );
    assert_fails(&run(&["serve", "99999"], b""), 2, why, "choose a port");
    assert_fails(
        &run(&["connect", "127.0.0.1:99999"], b""),
        2,
        why,
        "choose a port",
    );
}

#[test]
fn what_is_no_address() {
    assert_fails(
        &run(&["connect", "localhost"], b""),
        2,
        "bad address \"localhost\": the port is missing",
        "host:port",
    );
    assert_fails(
        &run(&["connect", "localhost:http"], b""),
        2,
        "port \"http\" is not a number",
        "host:port",
    );
    assert_fails(
        &run(&["serve", "::1:7000"], b""),
        2,
        "needs brackets",
        "[::1]:10001",
    );
}

#[test]
fn unknown_host() {
    let what = "cannot resolve no-such-host.invalid:1: name not found";
    assert_fails(
        &run(&["connect", "no-such-host.invalid:1"], b""),
        1,
        what,
        "spelling",
    );
    assert_fails(
        &run(&["serve", "echo", "no-such-host.invalid:1"], b""),
        1,
        what,
        "spelling",
    );
}

#[test]
fn address_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = run(&["serve", "ack", ":0", "echo", &address], b"");
    assert_fails(
        &output,
        1,
        &format!("cannot bind {address}: address in use"),
        "choose another port",
    );
}

#[test]
fn address_of_another_machine() {
    // 192.0.2.0/24 is reserved for documentation (RFC 5737): no machine has it.
    let output = run(&["serve", "192.0.2.1:7000"], b"");
    assert_fails(
        &output,
        1,
        "cannot bind 192.0.2.1:7000: address not available",
        "127.0.0.1",
    );
}

#[test]
fn privileged_port() {
    let Some(command) = unprivileged(&["serve", "echo", ":1"]) else {
        return;
    };
    let output = run_command(command, b"");
    assert_fails(
        &output,
        1,
        "cannot bind 127.0.0.1:1: permission denied",
        "CAP_NET_BIND_SERVICE",
    );
}

/// The program without the privilege to bind low ports, where there is such a privilege and it can be given up.
fn unprivileged(arguments: &[&str]) -> Option<Command> {
    let first_free =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok()?;
    if first_free.trim().parse::<u16>().ok()? <= 1 {
        eprintln!("skipped: every port is free for everybody here");
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        return Some(trunkline(arguments));
    }
    let drop_privilege = [
        "--bounding-set=-net_bind_service",
        "--inh-caps=-net_bind_service",
    ];
    let probe = Command::new("setpriv")
        .args(drop_privilege)
        .arg("true")
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        let reason = "setpriv cannot give up the privilege to bind low ports";
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        eprintln!("skipped: {reason}");
        return None;
    }
    let mut command = Command::new("setpriv");
    command
        .args(drop_privilege)
        .arg(env!("CARGO_BIN_EXE_trunkline"))
        .args(arguments);
    Some(command)
}

#[test]
fn unknown_service() {
    assert_fails(
        &run(&["serve", "ehco"], b""),
        2,
        "unknown service \"ehco\"",
        "did you mean \"echo\"?",
    );
    assert_fails(
        &run(&["serve", "http"], b""),
        2,
        "unknown service \"http\"",
        "echo, ack, greet, discard, rooms",
    );
}

#[test]
fn unknown_mechanism() {
    let output = run(&["serve", "--mechanism", "epol", ":0"], b"");
    assert_fails(
        &output,
        2,
        "unknown mechanism \"epol\"",
        "did you mean \"epoll\"?",
    );
    let output = run(&["connect", "--mechanism", "iocp", ":1"], b"");
    assert_fails(
        &output,
        2,
        "unknown mechanism \"iocp\"",
        "these work here: ",
    );
    let mut command = trunkline(&["serve", ":0"]);
    command.env("TRUNKLINE_MECHANISM", "selekt");
    let output = run_command(command, b"");
    assert_fails(
        &output,
        2,
        "unknown mechanism \"selekt\" in TRUNKLINE_MECHANISM",
        "did you mean \"select\"?",
    );
}

#[test]
#[cfg(target_os = "linux")]
fn unavailable_mechanism() {
    let output = run(&["serve", "--mechanism", "kqueue", ":0"], b"");
    assert_fails(
        &output,
        2,
        "cannot use mechanism \"kqueue\": ",
        &format!("these work here: {}", working_mechanisms().join(", ")),
    );
}

#[test]
fn connection_refused() {
    let (_socket, address) = refusing();
    let output = run(&["connect", &address.to_string()], b"hello\n");
    assert_fails(
        &output,
        1,
        &format!("cannot connect to {address}: connection refused"),
        "is the server running",
    );
}

#[test]
fn wrong_words() {
    assert_fails(
        &run(&["serv"], b""),
        2,
        "wrong usage: unrecognized subcommand 'serv'",
        "'serve'",
    );
    assert_fails(
        &run(&["serve", "--verbos"], b""),
        2,
        "unexpected argument '--verbos'",
        "'--verbose'",
    );
    assert_fails(
        &run(&["connect"], b""),
        2,
        "required arguments were not provided: <ADDRESS>...",
        "--help",
    );
    let output = run(&["serve", "--max-connections", "many"], b"");
    assert_fails(
        &output,
        2,
        "invalid value 'many' for '--max-connections <NUMBER>': expected a number",
        "--help",
    );
}

#[test]
fn help_is_the_result() {
    for (arguments, exit_code) in [
        (vec!["--help"], 0),
        (vec!["serve", "--help"], 0),
        (vec!["--version"], 0),
    ] {
        let output = run(&arguments, b"");
        assert_eq!(output.status.code(), Some(exit_code));
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    let nothing_asked = run(&[], b"");
    assert_eq!(nothing_asked.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing_asked.stderr).contains("Usage: trunkline <COMMAND>"));
}

#[test]
fn an_address_given_twice() {
    let output = run(&["serve", "echo", ":7300", "ack", ":7300"], b"");
    assert_fails(
        &output,
        2,
        "127.0.0.1:7300 is given twice",
        "an address of its own",
    );
}

#[test]
fn a_mistyped_option_leads_to_the_help_of_its_command() {
    assert_fails(
        &run(&["serve", "--foo"], b""),
        2,
        "'--foo'",
        "`trunkline serve --help`",
    );
    assert_fails(
        &run(&["connect"], b""),
        2,
        "ADDRESS",
        "`trunkline connect --help`",
    );
    assert_fails(
        &run(&["serve", "--max-connections", "-1"], b""),
        2,
        "expected a number",
        "help",
    );
}
