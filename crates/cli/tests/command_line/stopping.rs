//! The first signal drains, the second stops at once.

use rustix::process::Signal;

use crate::support::Serving;

#[test]
fn the_first_signal_finishes_what_is_under_way() {
    for signal in [Signal::INT, Signal::TERM] {
        let serving = Serving::start(&["echo", ":0", "ack", ":0"], 2);
        let mut idle = serving.client(0);
        idle.send("1\n");
        assert_eq!(idle.line(), "1");
        let mut busy = serving.client(1);
        busy.send("2\n");
        serving.signal(signal);
        assert_eq!(busy.rest(), b"Got 2\n");
        assert!(idle.rest().is_empty());
        drop((idle, busy));
        let (status, mut lines) = serving.wait();
        lines.sort();
        assert!(status.success(), "{lines:?}");
        let stopping = "stopping: open connections may finish; a second Ctrl-C stops at once";
        assert_eq!(
            lines,
            [
                "ack: served 1, errors 0, peak 1, finished while stopping 1",
                "echo: served 1, errors 0, peak 1, finished while stopping 1",
                stopping
            ]
        );
    }
}

#[test]
fn the_second_signal_stops_at_once() {
    let serving = Serving::start(&["echo", ":0"], 1);
    let mut client = serving.client(0);
    client.send("1\n");
    assert_eq!(client.line(), "1");
    serving.signal(Signal::INT);
    // The server has closed its side and now waits for ours, which stays open.
    assert!(client.rest().is_empty());
    assert!(serving.line().starts_with("stopping: "));
    serving.signal(Signal::INT);
    let (status, lines) = serving.wait();
    assert_eq!(status.code(), Some(1), "{lines:?}");
    assert_eq!(
        lines,
        [
            "echo: served 1, errors 1, peak 1, finished while stopping 1",
            "trunkline: stopped at once: open connections were reset",
            "hint: a single Ctrl-C lets open connections finish",
        ]
    );
}

#[test]
fn a_member_of_a_room_is_told_that_the_server_stops() {
    let serving = Serving::start(&["rooms", ":0"], 1);
    let mut client = serving.client(0);
    assert!(client.line().starts_with("* welcome"));
    serving.signal(Signal::INT);
    assert_eq!(client.line(), "* the server stops");
    assert!(client.rest().is_empty());
    drop(client);
    assert!(serving.wait().0.success());
}
