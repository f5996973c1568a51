//! `--encoding` and `--errors`, at both ends.

use crate::support::{Serving, assert_fails, run, said_by, saying};

#[test]
fn text_is_utf_8_here_and_what_was_asked_for_there() {
    type Case = (
        &'static str,
        &'static str,
        &'static [u8],
        &'static [&'static [u8]],
    );
    const CASES: [Case; 5] = [
        ("latin1", "none", b"gr\xfc\xdfe\n", &[b"sch\xf6", b"n\n"]),
        ("cp1252", "lines", b"gr\xfc\xdfe\n", &[b"sch\xf6n\n"]),
        (
            "utf-16le",
            "none",
            b"g\0r\0\xfc\0\xdf\0e\0\n\0",
            &[b"s\0c\0h", b"\0\xf6", b"\0n\0\n\0"],
        ),
        (
            "utf-16le",
            "length:u8",
            b"\x0ag\0r\0\xfc\0\xdf\0e\0",
            &[b"\x0as\0c\0h", b"\0\xf6\0n\0"],
        ),
        (
            "utf8",
            "none",
            "grüße\n".as_bytes(),
            &[b"sch\xc3", b"\xb6n\n"],
        ),
    ];
    for (encoding, frame, sent, said) in CASES {
        let (address, server) = saying(said);
        let arguments = [
            "connect",
            &address.to_string(),
            "--encoding",
            encoding,
            "--frame",
            frame,
        ];
        let output = run(&arguments, "grüße\n".as_bytes());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{encoding}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "schön\n",
            "{encoding}"
        );
        assert_eq!(server.join().unwrap(), sent, "{encoding}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn services_speak_the_encoding() {
    let serving = Serving::start(
        &["ack", ":0", "--encoding", "IBM037", "--frame", "length:u8"],
        1,
    );
    let mut client = serving.client(0);
    client.send(b"\x02\xc8\xc9");
    client.finish();
    // "Got HI" in EBCDIC.
    assert_eq!(client.rest(), b"\x06\xc7\x96\xa3\x40\xc8\xc9");
}

#[test]
fn a_character_that_cannot_be_written_is_told_and_the_rest_is_sent() {
    let (address, server) = saying(&[]);
    let address = address.to_string();
    let output = run(
        &["connect", &address, "--encoding", "latin1"],
        "one\n5 €\nzwölf\n".as_bytes(),
    );
    assert_fails(
        &output,
        1,
        "line 2 of standard input is not sent: character '€' (U+20AC) at offset",
        "--errors names what becomes of such characters",
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    let passing =
        "the policies replace, ignore, backslashreplace and xmlcharrefreplace let it pass";
    assert!(stderr.contains(passing), "{stderr}");
    assert_eq!(server.join().unwrap(), b"one\nzw\xf6lf\n");

    for (policy, written) in [
        ("replace", &b"5 ?\n"[..]),
        ("ignore", b"5 \n"),
        ("backslashreplace", b"5 \\u20ac\n"),
        ("xmlcharrefreplace", b"5 &#8364;\n"),
    ] {
        let (address, server) = saying(&[]);
        let address = address.to_string();
        let output = run(
            &[
                "connect",
                &address,
                "--encoding",
                "latin1",
                "--errors",
                policy,
            ],
            "5 €\n".as_bytes(),
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(server.join().unwrap(), written, "{policy}");
    }
}

#[test]
fn input_that_is_no_text_is_told_and_the_rest_is_sent() {
    // A reference to a character is none for what is no character: as under strict.
    for policy in ["strict", "xmlcharrefreplace"] {
        let (address, server) = saying(&[b"heard\n"]);
        let address = address.to_string();
        let output = run(
            &["connect", &address, "--errors", policy],
            b"one\nb\xe4d\ntwo\n",
        );
        assert_eq!(output.stdout, b"heard\n");
        assert_fails(
            &output,
            1,
            "line 2 of standard input is not sent: byte E4 at offset 1 is not UTF-8",
            "standard input has to be UTF-8",
        );
        assert_eq!(server.join().unwrap(), b"one\ntwo\n");
    }
}

#[test]
fn a_server_that_is_not_understood_does_not_end_the_talk_with_another() {
    let (bad, bad_server) = saying(&[b"good\nb\xe4d\n"]);
    let (other, other_server) = saying(&[b"one\n", b"two\n"]);
    let [bad, other] = [bad, other].map(|address| address.to_string());
    let output = run(
        &["connect", &bad, &other, "--encoding", "utf-8"],
        b"hello\n",
    );
    assert_eq!(said_by(&bad, &output), ["good", "b"]);
    assert_eq!(said_by(&other, &output), ["one", "two"]);
    let what = format!("cannot read what {bad} says: byte E4 at offset 6 is not UTF-8");
    assert_fails(&output, 1, &what, "is --encoding right?");
    for server in [bad_server, other_server] {
        assert_eq!(server.join().unwrap(), b"hello\n");
    }
}

#[test]
fn bytes_that_are_no_text_are_told_and_what_came_before_is_shown() {
    let (address, server) = saying(&[b"good\nb\xe4d\nlost\n"]);
    let output = run(
        &["connect", &address.to_string(), "--encoding", "utf-8"],
        b"",
    );
    assert_eq!(output.stdout, b"good\nb");
    let why = format!("cannot read what {address} says: byte E4 at offset 6 is not UTF-8");
    assert_fails(&output, 1, &why, "is --encoding right?");
    server.join().unwrap();

    // Each message is a text of its own: the next one can be read.
    let (address, server) = saying(&[b"good\nb\xe4d\nnot lost\n"]);
    let arguments = [
        "connect",
        &address.to_string(),
        "--encoding",
        "utf-8",
        "--frame",
        "lines",
    ];
    let output = run(&arguments, b"");
    assert_eq!(output.stdout, b"good\nb\nnot lost\n");
    assert_fails(
        &output,
        1,
        "byte E4 at offset 1 is not UTF-8",
        "is --encoding right?",
    );
    server.join().unwrap();

    // A character that the end of the stream cuts.
    let (address, server) = saying(&[b"caf\xc3"]);
    let arguments = ["connect", &address.to_string(), "--errors", "replace"];
    let output = run(&arguments, b"");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "caf\u{fffd}");
    assert_eq!(output.status.code(), Some(0));
    server.join().unwrap();
}

#[test]
fn a_service_closes_on_what_is_no_text_unless_a_policy_lets_it_pass() {
    let serving = Serving::start(&["ack", ":0", "--verbose"], 1);
    let mut client = serving.client(0);
    client.send(b"good\nb\xe4d\nlost\n");
    assert_eq!(client.rest(), b"Got good\n");
    let name = client.name();
    drop(client);
    assert!(serving.line().ends_with("connected (1 open)"));
    let line = serving.line();
    assert!(line.contains(&name), "{line}");
    assert!(line.contains("byte E4 at offset 1 is not UTF-8"), "{line}");

    let lenient = Serving::start(&["ack", ":0", "--errors", "backslashreplace"], 1);
    let mut client = lenient.client(0);
    client.send(b"b\xe4d\n");
    assert_eq!(client.line(), "Got b\\xe4d");
}

#[test]
fn who_sends_no_text_leaves_the_room_and_the_others_stay() {
    let serving = Serving::start(&["rooms", ":0", "--verbose"], 1);
    let [mut anna, mut berta, mut clara] = [(); 3].map(|()| {
        let mut member = serving.client(0);
        assert!(member.line().starts_with("* welcome"));
        member
    });
    assert_eq!(anna.line(), format!("* {} joined", berta.name()));
    for member in [&mut anna, &mut berta] {
        assert_eq!(member.line(), format!("* {} joined", clara.name()));
    }
    berta.send(b"good\nb\xe4d\nlost\n");
    assert!(berta.rest().is_empty(), "nobody hears himself");
    let name = berta.name();
    drop(berta);
    for member in [&mut anna, &mut clara] {
        assert_eq!(member.line(), format!("{name}: good"));
        assert_eq!(member.line(), format!("* {name} left"));
    }
    clara.send("still here\n");
    assert_eq!(anna.line(), format!("{}: still here", clara.name()));
    let mut lines = (0..4).map(|_| serving.line());
    let why = "byte E4 at offset 1 is not UTF-8; the policies replace, ignore and backslashreplace let it pass";
    let told = format!("{name} closed because of what it sent: {why}");
    let last = lines.nth(3).unwrap();
    assert!(last.contains(&told), "{last}");
}

#[test]
fn what_is_no_encoding_or_policy_is_answered() {
    for command in ["serve", "connect"] {
        let with = |option: &str, value: &str| run(&[command, ":1", option, value], b"");
        let none = "there is none of that name";
        assert_fails(
            &with("--encoding", "latn1"),
            2,
            none,
            "did you mean \"latin1\"?",
        );
        assert_fails(
            &with("--encoding", "klingon"),
            2,
            none,
            "names are like UTF-8",
        );
        assert_fails(
            &with("--errors", "strct"),
            2,
            none,
            "did you mean \"strict\"?",
        );
        assert_fails(&with("--errors", "guess-it"), 2, none, "xmlcharrefreplace");
    }
    let marks = run(&["serve", "ack", ":0", "--encoding", "utf-16"], b"");
    let why = "cannot find the ends of messages in UTF-16";
    assert_fails(&marks, 2, why, "--frame length:u32");
    let marks = run(
        &["connect", ":1", "--encoding", "cp037", "--frame", "eom:||"],
        b"",
    );
    assert_fails(
        &marks,
        2,
        "cannot find the ends of messages in IBM037",
        "--frame netstring",
    );
}
