//! On threads, on socket files, with limits, a ready file and a status line.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{
    KeptGoing, PATIENCE, Serving, assert_fails, run, trunkline, working_mechanisms,
};

/// A path that nothing is at, in a directory that goes away again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("trunkline-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A `trunkline serve` on addresses that are no ports, until it says that it listens.
fn serve(arguments: &[&str]) -> Serving {
    let serving = Serving::start(arguments, 0);
    let line = serving.line();
    assert!(line.contains(" listening on unix:"), "{line}");
    serving
}

#[test]
fn a_socket_file_is_served_and_talked_to_and_goes_away() {
    let folder = Folder::new("unix");
    for mechanism in working_mechanisms() {
        let path = folder.path("socket");
        let address = format!("unix:{path}");
        let serving = serve(&[
            "ack",
            &address,
            "--mechanism",
            mechanism,
            "--unix-mode",
            "600",
        ]);
        let output = run(
            &["connect", &address, "--mechanism", mechanism],
            b"one\ntwo\n",
        );
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "Got one\nGot two\n"
        );
        assert!(output.status.success());
        serving.signal(Signal::TERM);
        let (status, lines) = serving.wait();
        assert!(status.success(), "{lines:?}");
        assert!(
            lines.contains(&"ack: served 1, errors 0, peak 1".to_owned()),
            "{lines:?}"
        );
        assert!(!std::path::Path::new(&path).exists());
    }
}

#[test]
fn what_is_wrong_with_a_socket_file_is_told() {
    let folder = Folder::new("wrong");
    let (taken, missing) = (folder.path("taken"), folder.path("none/socket"));
    let taken = format!("unix:{taken}");
    let _serving = serve(&["echo", &taken]);
    assert_fails(
        &run(&["serve", "echo", &taken], b""),
        1,
        "address in use",
        "another path",
    );
    let missing = format!("unix:{missing}");
    assert_fails(
        &run(&["serve", "echo", &missing], b""),
        1,
        "no such file",
        "directory",
    );
    assert_fails(
        &run(&["connect", &missing], b""),
        1,
        "no such file",
        "is the server running",
    );
    assert_fails(
        &run(&["connect", "unix:"], b""),
        2,
        "name of the socket is missing",
        "unix:/",
    );
}

#[test]
fn members_of_a_room_hear_each_other_whatever_thread_they_are_on() {
    for sharing in [&["--acceptor"][..], &[]] {
        let mut arguments = vec!["rooms", ":0", "--threads", "3"];
        arguments.extend(sharing);
        let serving = Serving::start(&arguments, 1);
        let mut clients: Vec<_> = (0..6)
            .map(|number| {
                let mut client = serving.client(0);
                assert!(client.line().ends_with(&format!("others here: {number}")));
                client
            })
            .collect();
        clients[5].send("hello from the last\n");
        let said = format!("{}: hello from the last", clients[5].name());
        for client in &mut clients[..5] {
            while client.line() != said {}
        }
        serving.signal(Signal::INT);
        for client in &mut clients {
            let rest = String::from_utf8(client.rest()).unwrap();
            assert!(rest.contains("* the server stops"), "{rest}");
        }
        drop(clients);
        let (status, lines) = serving.wait();
        assert!(status.success(), "{lines:?}");
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("rooms: served 6, errors 0")),
            "{lines:?}"
        );
    }
}

/// A7 with the program and real signals, on every mechanism.
#[test]
fn a7_a_signal_under_load_leaves_no_request_unanswered() {
    const CLIENTS: usize = 20;
    for mechanism in working_mechanisms() {
        for signal in [Signal::TERM, Signal::INT] {
            let serving = Serving::start(
                &["ack", ":0", "--threads", "2", "--mechanism", mechanism],
                1,
            );
            let mut clients: Vec<_> = (0..CLIENTS).map(|_| serving.client(0)).collect();
            for (number, client) in clients.iter_mut().enumerate() {
                client.send(format!("{number}\n"));
            }
            serving.signal(signal);
            for (number, client) in clients.iter_mut().enumerate() {
                let answer = format!("Got {number}\n");
                assert_eq!(client.rest(), answer.as_bytes(), "{mechanism} {signal:?}");
            }
            drop(clients);
            let (status, lines) = serving.wait();
            assert!(status.success(), "{mechanism}: {lines:?}");
            assert!(
                lines
                    .iter()
                    .any(|line| line.contains("finished while stopping")),
                "{lines:?}"
            );
        }
    }
}

#[test]
fn the_ready_file_goes_before_the_listeners_do() {
    let folder = Folder::new("ready");
    let path = folder.path("ready");
    let serving = Serving::start(
        &["echo", ":0", "--ready-file", &path, "--drain-lag", "300ms"],
        1,
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{}\n", serving.address(0)));
    let start = Instant::now();
    serving.signal(Signal::TERM);
    assert!(serving.line().starts_with("stopping: "));
    assert!(!std::path::Path::new(&path).exists());
    // Whoever was sent here in the meantime is served, unless this machine was so slow that the lag is over.
    if let Ok(mut late) = std::net::TcpStream::connect(serving.address(0)) {
        late.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = late.write_all(b"late\n");
        let mut heard = Vec::new();
        let _ = late.read_to_end(&mut heard);
        assert!(heard == b"late\n" || start.elapsed() >= Duration::from_millis(300));
    }
    let (status, lines) = serving.wait();
    assert!(status.success(), "{lines:?}");
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_ready_file_that_cannot_be_written_is_an_error() {
    let folder = Folder::new("unready");
    let path = folder.path("none/ready");
    let output = run(&["serve", "echo", ":0", "--ready-file", &path], b"");
    assert_fails(&output, 1, "cannot write the ready file", "directory");
}

#[test]
fn limits_of_the_command_line_are_kept_and_counted() {
    let serving = Serving::start(&["echo", ":0", "--max-per-client", "1"], 1);
    let mut first = serving.client(0);
    first.send("here\n");
    assert_eq!(first.line(), "here");
    assert!(serving.client(0).rest().is_empty());
    first.finish();
    assert!(first.rest().is_empty());
    serving.signal(Signal::INT);
    let (status, lines) = serving.wait();
    assert!(status.success(), "{lines:?}");
    assert!(
        lines.contains(&"echo: served 1, errors 0, peak 1, refused 1".to_owned()),
        "{lines:?}"
    );
    for wrong in [
        ["--accept-rate", "fast"],
        ["--threads", "0"],
        ["--max-per-client", "0"],
        ["--unix-mode", "rw"],
        ["--drain-lag", "5"],
    ] {
        let output = run(&["serve", "echo", ":0", wrong[0], wrong[1]], b"");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn the_status_line_is_for_terminals_alone() {
    let serving = Serving::start(&["echo", ":0", "--status"], 1);
    let mut client = serving.client(0);
    client.send("hello\n");
    assert_eq!(client.line(), "hello");
    assert!(client.hears_nothing_for(Duration::from_millis(1500)));
    drop(client);
    serving.signal(Signal::INT);
    let (_, lines) = serving.wait();
    assert!(
        lines.iter().all(|line| !line.contains("new/s")),
        "{lines:?}"
    );
}

/// `script` (util-linux) gives the program a terminal of its own.
#[test]
fn on_a_terminal_a_line_tells_how_it_goes() {
    if Command::new("script").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "script is not installed");
        eprintln!("skipped: script is not installed");
        return;
    }
    let program = trunkline(&[]);
    let program = program.get_program().to_str().unwrap().to_owned();
    let mut shown = BTreeSet::new();
    for no_color in ["", "1"] {
        let mut child = Command::new("script")
            .args([
                "-qefc",
                &format!("exec {program} serve echo :0 --status"),
                "/dev/null",
            ])
            .env("NO_COLOR", no_color)
            .env_remove("TRUNKLINE_MECHANISM")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let _kept = KeptGoing::new(&child);
        let mut terminal = BufReader::new(child.stdout.take().unwrap());
        let mut line = Vec::new();
        terminal.read_until(b'\n', &mut line).unwrap();
        assert!(String::from_utf8_lossy(&line).contains("listening on"));
        let mut drawn = Vec::new();
        while !String::from_utf8_lossy(&drawn).contains("messages/s") {
            assert_ne!(
                terminal.read_until(b'\r', &mut drawn).unwrap(),
                0,
                "it has ended"
            );
        }
        // Ctrl-C, as typed.
        child.stdin.take().unwrap().write_all(b"\x03").unwrap();
        let mut rest = Vec::new();
        terminal.read_to_end(&mut rest).unwrap();
        child.wait().unwrap();
        let drawn = String::from_utf8_lossy(&drawn).into_owned();
        assert!(drawn.contains("open 0, 0 new/s"), "{drawn:?}");
        assert_eq!(drawn.contains("\x1b[2m"), no_color.is_empty(), "{drawn:?}");
        assert!(
            String::from_utf8_lossy(&rest).contains("echo: served 0"),
            "{rest:?}"
        );
        shown.insert(drawn);
    }
    assert_eq!(shown.len(), 2);
}

/// Scenario 46: a child that was started while connections were open has none of them.
#[test]
fn fork_child_does_not_disturb_the_parent() {
    let folder = Folder::new("inherit");
    let address = format!("unix:{}", folder.path("socket"));
    let serving = serve(&["echo", &address]);
    let mut stream = UnixStream::connect(folder.path("socket")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    // Every descriptor beyond the standard ones is closed when another program takes over (O_CLOEXEC).
    let mut seen = 0;
    for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", serving.id())).unwrap() {
        let entry = entry.unwrap();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let link = std::fs::read_link(format!("/proc/{}/fd/{number}", serving.id()));
        // Files may have come to it from whoever started the tests; these are its own.
        let is_its_own = link.is_ok_and(|link| {
            let link = link.to_string_lossy();
            link.starts_with("socket:") || link.starts_with("anon_inode:")
        });
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        if number > 2 && is_its_own {
            seen += 1;
            assert_ne!(
                flags & 0o2_000_000,
                0,
                "descriptor {number} would be inherited: {text}"
            );
        }
    }
    // A listener, a connection, a selector and its waker at least.
    assert!(seen >= 4, "{seen}");
}
