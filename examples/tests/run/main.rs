//! Every example, run as a program against a real peer.
#![forbid(unsafe_code)]

mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use program::{DEADLINE, Program};

fn connect(server: &Program) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("the server listens");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a deadline above zero");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
}

/// Sends `text`, finishes our side, and reads everything that comes back.
fn converse(mut stream: TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).expect("the server reads");
    stream.shutdown(Shutdown::Write).expect("connected");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the server answers and closes");
    answer
}

/// Sends `text` and reads as much back.
fn echoed(mut stream: &TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).expect("the server reads");
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).expect("the server answers");
    String::from_utf8(answer).expect("what was sent was text")
}

/// Many clients at once, each answered in order, none disturbed by another that leaves.
fn serves_many(example: &str, clients: usize) -> String {
    let count = clients.to_string();
    let server = Program::serve(example, &[&count]);
    let mut streams: Vec<_> = (0..clients).map(|_| connect(&server)).collect();
    for round in 0..3 {
        for (number, stream) in streams.iter().enumerate() {
            let message = format!("{example} {round} {number}");
            assert_eq!(echoed(stream, &message), message);
        }
    }
    streams
        .swap_remove(0)
        .shutdown(Shutdown::Both)
        .expect("connected");
    for stream in streams {
        assert_eq!(converse(stream, "last words"), "last words");
    }
    server.end()
}

#[test]
fn s1_the_simple_client_sends_and_receives_text() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut received = [0; 16];
        let count = stream.read(&mut received).expect("the client sends");
        stream
            .write_all("größer".as_bytes())
            .expect("the client reads");
        String::from_utf8_lossy(&received[..count]).into_owned()
    });
    let client = Program::run("simple_client", &[&address, "Grüße"], "");
    assert_eq!(client.end(), "größer\n");
    assert_eq!(server.join().expect("the server ends"), "Grüße");
}

#[test]
fn s1_the_simple_client_receives_at_most_n_bytes() {
    let server = Program::serve("simple_server", &["1"]);
    let client = Program::run("simple_client", &[server.address(), "hello", "3"], "");
    assert_eq!(client.end(), "Wel\n");
    server.end();
}

#[test]
fn s2_the_simple_server_greets_reads_once_and_closes() {
    let server = Program::serve("simple_server", &["2"]);
    assert_eq!(converse(connect(&server), "hello"), "Welcome!\n");
    assert_eq!(converse(connect(&server), ""), "Welcome!\n");
    let said = server.end();
    assert!(
        said.contains(": hello\n") && said.contains(" said nothing\n"),
        "{said}"
    );
}

#[test]
fn s3_the_three_modes_say_which_they_are() {
    let server = Program::serve("answering", &["echo", "1"]);
    let said = Program::run("modes", &[server.address(), "50"], "").end();
    let lines: Vec<&str> = said.lines().collect();
    let [non_blocking, timeout, blocking] = lines[..] else {
        panic!("{said}");
    };
    assert_eq!(
        non_blocking,
        "NonBlocking: would block: nothing has arrived yet"
    );
    let milliseconds = timeout
        .strip_prefix("Timeout(50ms): timed out: nothing has arrived in ")
        .and_then(|rest| rest.strip_suffix(" ms"));
    let waited: u32 = milliseconds
        .and_then(|number| number.parse().ok())
        .expect(timeout);
    assert!(waited >= 50, "{timeout}");
    assert_eq!(blocking, "Blocking: received \"hello\\n\"");
    server.end();
}

#[test]
fn s8_the_select_server_serves_many() {
    assert_eq!(
        serves_many("select_server", 20)
            .matches("a client left")
            .count(),
        20
    );
}

#[test]
fn s9_the_poll_server_serves_many_and_tells_the_flags_apart() {
    let said = serves_many("poll_server", 20);
    assert!(said.contains(": output possible\n"), "{said}");
    assert!(said.contains("the client finished its side"), "{said}");
}

#[test]
fn s9_the_poll_server_answers_a_client_that_has_finished_its_side() {
    let server = Program::serve("poll_server", &["1"]);
    let long = "many bytes ".repeat(20_000);
    let stream = connect(&server);
    let mut writing = stream.try_clone().expect("a second handle");
    let sent = long.clone();
    let writer = thread::spawn(move || {
        writing
            .write_all(sent.as_bytes())
            .expect("the server reads");
        writing.shutdown(Shutdown::Write).expect("connected");
    });
    let mut answer = String::new();
    (&stream)
        .read_to_string(&mut answer)
        .expect("the server answers and closes");
    writer.join().expect("everything was sent");
    assert!(
        answer == long,
        "{} bytes of {} came back",
        answer.len(),
        long.len()
    );
    server.end();
}

#[test]
fn s10_the_epoll_server_serves_hundreds() {
    assert!(serves_many("epoll_server", 400).contains("400 clients served, at most 400 at once\n"));
}

#[test]
fn s11_callbacks_keep_their_own_state() {
    let server = Program::serve("callbacks", &["2"]);
    let (mut first, mut second) = (connect(&server), connect(&server));
    let ask = |stream: &mut TcpStream, text: &str| {
        stream.write_all(text.as_bytes()).expect("the server reads");
        let mut answer = String::new();
        BufReader::new(&*stream)
            .read_line(&mut answer)
            .expect("the server answers");
        answer
    };
    assert_eq!(ask(&mut first, "abc"), "client 1, 3 bytes so far\n");
    assert_eq!(ask(&mut second, "abcd"), "client 2, 4 bytes so far\n");
    assert_eq!(ask(&mut first, "ab"), "client 1, 5 bytes so far\n");
    drop((first, second));
    server.end();
}

#[test]
fn s12_a_message_is_whole_however_it_was_cut() {
    let server = Program::serve("framing", &["1"]);
    let mut stream = connect(&server);
    for piece in ["o", "ne|", "|", "two||thr", "ee|", "|un"] {
        stream
            .write_all(piece.as_bytes())
            .expect("the server reads");
    }
    assert_eq!(
        converse(stream, "finished"),
        "1: 3 bytes||2: 3 bytes||3: 5 bytes||"
    );
    let said = server.end();
    assert!(
        said.contains("closed after 3 messages, 10 bytes without a mark\n"),
        "{said}"
    );
}

#[test]
fn s12_a_message_without_an_end_is_refused_at_the_limit() {
    let server = Program::serve("framing", &["1"]);
    let mut stream = connect(&server);
    stream.write_all(&[b'x'; 2000]).expect("the server reads");
    let mut answer = Vec::new();
    // Whether this ends in order or with a reset is not the matter here.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
    drop(stream);
    let said = server.end();
    assert!(
        said.contains("closed after 0 messages: frame longer than the limit of 1000 bytes\n"),
        "{said}"
    );
}

#[test]
fn s13_the_queue_is_ordered_bounded_and_inspectable() {
    let lines =
        "send first\nsend second\nsend too long for what is left\nshow\nwrite 7\nshow\nwrite 100\n";
    let expected = "\
queued: 1 messages, 5 bytes
queued: 2 messages, 11 bytes
refused: no room for 25 more bytes
waiting: \"first\"
waiting: \"second\"
written: \"firstse\", the rest waits
waiting: \"cond\"
written: \"cond\", nothing waits
";
    assert_eq!(Program::run("queue", &["32"], lines).end(), expected);
}

#[test]
fn s13_the_oldest_messages_can_make_room() {
    let lines = "send first\nsend second\nwrite 2\nsend third\nshow\nage\n";
    let expected = "\
queued: 1 messages, 5 bytes
queued: 2 messages, 11 bytes
written: \"fi\", the rest waits
queued: 2 messages, 8 bytes, 1 dropped so far
waiting: \"rst\"
waiting: \"third\"
the oldest has waited for ";
    let said = Program::run("queue", &["11", "drop-oldest"], lines).end();
    let seconds = said
        .strip_prefix(expected)
        .and_then(|rest| rest.strip_suffix(" s\n"));
    assert!(
        seconds.is_some_and(|number| number.parse::<u32>().is_ok()),
        "{said}"
    );
}

#[test]
fn s14_many_connections_send_a_list_and_read_their_replies() {
    let server = Program::serve("answering", &["ack", "30"]);
    let client = Program::run(
        "many_clients",
        &[server.address(), "30", "one", "two", "drei\u{df}ig"],
        "",
    );
    let said = client.end();
    assert_eq!(
        said.matches(": Got one | Got two | Got drei\u{df}ig (Finished)\n")
            .count(),
        30,
        "{said}"
    );
    server.end();
}

#[test]
fn s14_a_refused_connection_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let said = Program::run("many_clients", &[&address, "2", "one"], "").fail();
    assert!(
        said.contains("refused") && said.contains("2 of 2 connections"),
        "{said}"
    );
}

#[test]
fn s15_every_service_answers_in_its_way() {
    let services = [
        ("echo", "one\nzwei\n"),
        ("ack", "Got one\nGot zwei\n"),
        ("greet", "Hello, number 1!\none\nzwei\n"),
    ];
    for (service, expected) in services {
        let server = Program::serve("answering", &[service, "1"]);
        assert_eq!(converse(connect(&server), "one\nzwei\n"), expected);
        server.end();
    }
}

/// A listener that answers nobody, and the one connection that fills its backlog.
fn hole() -> (TcpListener, TcpStream) {
    let listener = trunkline::net::listen("127.0.0.1:0".parse().expect("an address"), 0);
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, TcpStream::connect(address).expect("room for one"))
}

#[test]
fn s16_each_failure_is_told_apart() {
    let server = Program::serve("answering", &["echo", "1"]);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let refusing = nobody.local_addr().expect("bound").to_string();
    drop(nobody);
    let (hole, _waiting) = hole();
    let silent = hole.local_addr().expect("bound").to_string();
    let addresses = [
        server.address(),
        &refusing,
        &silent,
        "no-such-host.invalid:1",
        "localhost:99999",
    ];
    let said = Program::run("errors", &addresses, "").fail();
    for expected in [
        format!(
            "refused: cannot connect to {refusing}: connection refused\n    nobody listens there"
        ),
        format!("timed out: cannot connect to {silent}: timed out\n    nobody answered"),
        "bad name: cannot resolve no-such-host.invalid:1: name not found\n    check the spelling"
            .to_owned(),
        "bad argument: bad address \"localhost:99999\": port 99999 is out of range".to_owned(),
    ] {
        assert!(said.contains(&expected), "{expected:?} in {said}");
    }
    // The connection that was made is closed: the server has served its one client.
    server.end();
}

#[test]
fn s16_no_failure_is_no_failure() {
    let server = Program::serve("answering", &["echo", "1"]);
    let said = Program::run("errors", &[server.address()], "").end();
    let expected = format!("connected to {}, and closed (Finished)\n", server.address());
    assert_eq!(said, expected);
    server.end();
}
