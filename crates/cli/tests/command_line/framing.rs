//! `--frame` and `--frame-limit`, at both ends.

use crate::support::{Serving, assert_fails, run, said_by, saying};

const FRAMINGS: [&str; 11] = [
    "lines",
    "lines:crlf",
    r"eom:||",
    r"eom:\x00",
    "length:u8",
    "length:u16:little",
    "length:u32:self",
    "length:varint",
    "netstring",
    "cobs",
    "fixed:3",
];

#[test]
fn each_line_is_a_message_and_each_message_a_line() {
    for framing in FRAMINGS {
        for (service, answers) in [("echo", "one\ntwo\nsix\n"), ("rooms", "")] {
            let serving = Serving::start(&[service, ":0", "--frame", framing], 1);
            let address = serving.address(0).to_string();
            // The last line has no end: it is a message all the same.
            let output = run(&["connect", &address, "--frame", framing], b"one\ntwo\nsix");
            let stdout = String::from_utf8_lossy(&output.stdout);
            if framing == "fixed:3" && service == "rooms" {
                // The welcome has not the one size that messages have.
                assert_eq!(stdout, "");
                continue;
            }
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{framing}");
            let stdout = stdout.lines().filter(|line| !line.starts_with("* "));
            assert!(stdout.eq(answers.lines()), "{framing}: {output:?}");
            assert_eq!(output.status.code(), Some(0));
        }
    }
}

#[test]
fn a_service_frames_what_it_says() {
    let serving = Serving::start(&["ack", ":0", "--frame", "length:u16"], 1);
    let mut client = serving.client(0);
    // Cut as the network may cut it, and with what would end a line.
    for piece in [&b"\0"[..], b"\x05tw\n", b"\n!\0", b"\0\0\x01", b"x"] {
        client.send(piece);
    }
    client.finish();
    assert_eq!(client.rest(), b"\0\x09Got tw\n\n!\0\x04Got \0\x05Got x");
}

#[test]
fn several_servers_are_labelled_message_by_message() {
    let serving = Serving::start(&["echo", ":0", "ack", ":0", "--frame", "netstring"], 2);
    let [echo, ack] = [0, 1].map(|index| serving.address(index).to_string());
    let output = run(
        &["connect", &echo, &ack, "--frame", "netstring"],
        b"one\n\n",
    );
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = stdout.lines().collect();
    lines.sort_unstable();
    let mut expected = [
        format!("[{ack}] Got "),
        format!("[{ack}] Got one"),
        format!("[{echo}] "),
        format!("[{echo}] one"),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn many_small_messages_all_arrive() {
    // A megabyte of nothing but the ends of empty lines: each grows fourfold on the way.
    let serving = Serving::start(&["echo", ":0", "--frame", "eom:end."], 1);
    let address = serving.address(0).to_string();
    let input = vec![b'\n'; 1 << 20];
    let output = run(&["connect", &address, "--frame", "eom:end."], &input);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.stdout == input, "{} bytes", output.stdout.len());
}

#[test]
fn a_frame_over_the_limit_is_told_and_what_came_before_it_is_not_lost() {
    let serving = Serving::start(&["echo", ":0"], 1);
    let address = serving.address(0).to_string();
    let arguments = [
        "connect",
        &address,
        "--frame",
        "lines",
        "--frame-limit",
        "4",
    ];
    let output = run(&arguments, b"good\nlonger\n");
    assert_eq!(output.stdout, b"good\n");
    assert_fails(
        &output,
        1,
        &format!(
            "lost the connection to {address}: closed because of what it sent: frame longer than the limit of 4 bytes"
        ),
        "--frame-limit takes a larger limit",
    );
}

#[test]
fn a_server_over_the_limit_does_not_end_the_talk_with_another() {
    let serving = Serving::start(&["ack", ":0"], 1);
    let (long, long_server) = saying(&[b"good\n", b"longer than it may be\n"]);
    let [long, ack] = [long, serving.address(0)].map(|address| address.to_string());
    let output = run(
        &[
            "connect",
            &long,
            &ack,
            "--frame",
            "lines",
            "--frame-limit",
            "7",
        ],
        b"one\ntwo\n",
    );
    assert_eq!(said_by(&long, &output), ["good"]);
    assert_eq!(said_by(&ack, &output), ["Got one", "Got two"]);
    let what = format!("lost the connection to {long}: closed because of what it sent");
    assert_fails(&output, 1, &what, "--frame-limit takes a larger limit");
    assert_eq!(long_server.join().unwrap(), b"one\ntwo\n");
}

#[test]
fn a_line_of_input_that_is_too_long_is_told_and_the_others_are_sent() {
    let long = "x".repeat((512 << 10) + 1);
    let input = format!("one\n{long}\ntwo\n");
    for (option, value) in [("--frame", "lines"), ("--encoding", "latin1")] {
        let (address, server) = saying(&[b"heard\n"]);
        let address = address.to_string();
        let output = run(&["connect", &address, option, value], input.as_bytes());
        assert_eq!(output.stdout, b"heard\n");
        let what = "line 2 of standard input is not sent: it is longer than 524288 bytes";
        assert_fails(&output, 1, what, "lines are sent as they come");
        assert_eq!(server.join().unwrap(), b"one\ntwo\n", "{option}");
    }
}

#[test]
fn the_service_refuses_a_frame_over_the_limit() {
    let serving = Serving::start(&["ack", ":0", "--frame-limit", "4", "--verbose"], 1);
    let mut other = serving.client(0);
    other.send("one\n");
    assert_eq!(other.line(), "Got one");
    assert!(serving.line().ends_with("connected (1 open)"));
    let mut client = serving.client(0);
    client.send("good\nlonger\n");
    assert_eq!(client.rest(), b"Got good\n");
    let name = client.name();
    drop(client);
    other.send("two\n");
    assert_eq!(other.line(), "Got two");
    assert!(serving.line().ends_with("connected (2 open)"));
    let line = serving.line();
    assert!(line.contains(&name), "{line}");
    assert!(
        line.contains("frame longer than the limit of 4 bytes"),
        "{line}"
    );
}

#[test]
fn an_answer_that_is_no_message_is_told_by_the_service() {
    let serving = Serving::start(&["ack", ":0", "--frame", "length:u8", "--verbose"], 1);
    let mut client = serving.client(0);
    // "Got " makes it 256 bytes, one more than the number can say.
    client.send([b"\x02ok\xfc", &[b'x'; 252][..]].concat());
    assert_eq!(client.rest(), b"\x06Got ok");
    let name = client.name();
    drop(client);
    assert!(serving.line().ends_with("connected (1 open)"));
    let line = serving.line();
    let why =
        "what follows from its message cannot be sent: frame longer than the limit of 255 bytes";
    assert!(line.contains(&name) && line.ends_with(why), "{line}");
    assert!(serving.line().contains("closed"));
}

#[test]
fn what_breaks_the_framing_is_told() {
    let serving = Serving::start(&["greet", ":0"], 1);
    let address = serving.address(0).to_string();
    let output = run(&["connect", &address, "--frame", "netstring"], b"");
    let why = "malformed frame: a netstring begins with its length in digits and a colon";
    assert_fails(&output, 1, why, "does the server use the same --frame?");
}

#[test]
fn a_line_that_cannot_be_framed_is_told_and_the_others_are_sent() {
    let serving = Serving::start(&["echo", ":0"], 1);
    let address = serving.address(0).to_string();
    let output = run(
        &["connect", &address, "--frame", "eom:||"],
        b"one\na||b\ntwo\n",
    );
    assert_eq!(output.stdout, b"one\ntwo\n");
    assert_fails(
        &output,
        1,
        "line 2 of standard input is not sent: message contains the mark that ends a message",
        "netstring and cobs can carry any message",
    );
    let output = run(&["connect", &address, "--frame", "fixed:2"], b"one\nab\n");
    assert_eq!(output.stdout, b"ab\n");
    assert_fails(
        &output,
        1,
        "line 1 of standard input is not sent: message of 3 bytes where all have 2",
        "fixed",
    );
}

#[test]
fn what_is_no_framing_is_answered() {
    for command in ["serve", "connect"] {
        let frame = |framing: &str| run(&[command, ":1", "--frame", framing], b"");
        assert_fails(
            &frame("lenght:u32"),
            2,
            "bad framing \"lenght:u32\": there is none",
            "did you mean \"length\"?",
        );
        assert_fails(
            &frame("length:u31"),
            2,
            "\"u31\" is no kind of number",
            "length:u32 (or u8,",
        );
        assert_fails(
            &frame("eom:"),
            2,
            "bad framing \"eom:\": the mark is empty",
            "eom:MARK",
        );
        assert_fails(
            &frame(r"eom:\q"),
            2,
            "a backslash is followed by",
            "eom:MARK",
        );
        let limit = run(&[command, ":1", "--frame-limit", "0"], b"");
        assert_fails(&limit, 2, "expected a number of bytes from 1", "--help");
    }
}
