//! What each service answers, seen from plain blocking sockets.

use crate::support::{Serving, working_mechanisms};

#[test]
fn echo_sends_every_byte_back_on_every_mechanism() {
    for mechanism in working_mechanisms() {
        let serving = Serving::start(&["--mechanism", mechanism, ":0"], 1);
        let mut client = serving.client(0);
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        client.send(&bytes);
        client.finish();
        assert!(client.rest() == bytes, "{mechanism}");
    }
}

#[test]
fn the_listening_line_names_service_address_and_mechanism() {
    let mut child =
        crate::support::trunkline(&["serve", "ack", "127.0.0.1:0", "--mechanism", "poll"]);
    let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let lines = crate::support::lines_of(child.stderr.take().unwrap());
    let line = lines.recv_timeout(crate::support::PATIENCE);
    child.kill().unwrap();
    child.wait().unwrap();
    let line = line.unwrap();
    assert!(
        line.starts_with("ack listening on 127.0.0.1:") && line.ends_with(" (poll)"),
        "{line}"
    );
}

#[test]
fn ack_answers_each_line() {
    let serving = Serving::start(&["ack", ":0"], 1);
    let mut client = serving.client(0);
    client.send("one\ntw");
    assert_eq!(client.line(), "Got one");
    client.send("o\r\n\nlast, without an end");
    client.finish();
    assert_eq!(client.line(), "Got two");
    assert_eq!(client.line(), "Got ");
    assert_eq!(client.rest(), b"Got last, without an end\n");
}

#[test]
fn greet_speaks_first() {
    let serving = Serving::start(&["greet", ":0"], 1);
    let mut client = serving.client(0);
    assert_eq!(
        client.line(),
        format!("Hello, {}. I send each line back.", client.name())
    );
    client.send("hello\n");
    assert_eq!(client.line(), "hello");
    client.finish();
    assert!(client.rest().is_empty());
}

#[test]
fn discard_answers_nothing_and_closes_when_the_client_does() {
    let serving = Serving::start(&["discard", ":0"], 1);
    let mut client = serving.client(0);
    client.send(vec![b'x'; 1_000_000]);
    client.finish();
    assert!(client.rest().is_empty());
}

#[test]
fn rooms_pass_lines_on_to_everybody_else() {
    // One room with two doors.
    let serving = Serving::start(&["rooms", ":0", ":0"], 2);
    let mut anna = serving.client(0);
    assert_eq!(
        anna.line(),
        format!("* welcome, {}; others here: 0", anna.name())
    );
    let mut berta = serving.client(1);
    assert_eq!(
        berta.line(),
        format!("* welcome, {}; others here: 1", berta.name())
    );
    assert_eq!(anna.line(), format!("* {} joined", berta.name()));
    let mut clara = serving.client(0);
    assert_eq!(
        clara.line(),
        format!("* welcome, {}; others here: 2", clara.name())
    );
    for member in [&mut anna, &mut berta] {
        assert_eq!(member.line(), format!("* {} joined", clara.name()));
    }
    berta.send("good morning\n");
    for member in [&mut anna, &mut clara] {
        assert_eq!(member.line(), format!("{}: good morning", berta.name()));
    }
    berta.finish();
    assert!(berta.rest().is_empty(), "nobody hears himself");
    for member in [&mut anna, &mut clara] {
        assert_eq!(member.line(), format!("* {} left", berta.name()));
    }
}

#[test]
fn several_services_side_by_side() {
    let serving = Serving::start(&["echo", ":0", "ack", ":0", ":0"], 3);
    for (index, answer) in [(0, "x"), (1, "Got x"), (2, "Got x")] {
        let mut client = serving.client(index);
        client.send("x\n");
        assert_eq!(client.line(), answer);
    }
}

#[test]
fn at_the_maximum_clients_wait_until_there_is_room() {
    let serving = Serving::start(&["--max-connections", "1", "--verbose", "echo", ":0"], 1);
    let mut first = serving.client(0);
    first.send("1\n");
    assert_eq!(first.line(), "1");
    let mut second = serving.client(0);
    second.send("2\n");
    let names = [first.name(), second.name()];
    drop(first);
    assert_eq!(second.line(), "2");
    drop(second);
    for name in names {
        assert_eq!(serving.line(), format!("echo: {name} connected (1 open)"));
        assert_eq!(serving.line(), format!("echo: {name} closed (0 open)"));
    }
}

#[test]
fn a_line_over_the_limit_ends_its_connection_only() {
    let serving = Serving::start(&["--verbose", "ack", ":0"], 1);
    let mut patient = serving.client(0);
    patient.send("1\n");
    assert_eq!(patient.line(), "Got 1");
    let mut endless = serving.client(0);
    let name = endless.name();
    endless.send(vec![b'x'; 100_000]);
    endless.finish();
    assert!(endless.rest().is_empty());
    drop(endless);
    patient.send("2\n");
    assert_eq!(patient.line(), "Got 2");
    let ending = loop {
        let line = serving.line();
        if line.starts_with(&format!("ack: {name} ")) && !line.contains("connected") {
            break line;
        }
    };
    assert!(
        ending.contains("frame longer than the limit of 65536 bytes"),
        "{ending}"
    );
}
