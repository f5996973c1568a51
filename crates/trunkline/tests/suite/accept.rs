//! The cases about accepting.

use std::rc::Rc;
use std::time::{Duration, Instant};

use trunkline::network::Network;
use trunkline::{Flow, Io, Options, Role};

use super::pair::{Apart, Happening, Pair, bump, counter, options};
use super::scripted::{Stage, assert_few, echo};

/// Every other client is gone, with a reset, before the server has accepted any.
pub(crate) fn a2_resets_in_the_backlog_end_nothing<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const CLIENTS: usize = 10;
    let mut stage = Stage::new(apart, options(), echo);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| stage.begin()).collect();
    // The server has no turn meanwhile.
    let patience = Instant::now() + Duration::from_secs(60);
    while !peers.iter().all(|peer| stage.is_connected(peer)) {
        assert!(Instant::now() < patience, "never connected");
        stage.wait();
    }
    assert_eq!(stage.server.stats().accepted, 0);
    for peer in peers.iter().step_by(2) {
        stage.abort(peer);
    }
    for peer in peers.iter_mut().skip(1).step_by(2) {
        stage.send(peer, b"question\n");
        stage.hear_bytes(peer, 9);
        stage.close(peer);
    }
    // The listener is as it was.
    let mut late = stage.connect();
    stage.send(&mut late, b"question\n");
    stage.hear_bytes(&mut late, 9);
    stage.close(&late);
    let stats = stage.end();
    assert_eq!(stats.frames_in as usize, CLIENTS / 2 + 1, "{stats:?}");
}

/// More clients than the backlog holds come before the server has had a turn: the system lets them try again, and each
/// is served.
pub(crate) fn s05_backlog_overflow<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const CLIENTS: usize = 8;
    let short = Options {
        backlog: 2,
        ..options()
    };
    let mut stage = Stage::new(apart, short, echo);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| stage.begin()).collect();
    // On a simulated network, until each has tried; much longer, and they would give up.
    for _ in 0..2 {
        stage.wait();
    }
    let waiting = peers.iter().filter(|peer| !stage.is_connected(peer));
    assert!(waiting.count() > 0, "the backlog has held them all");
    for peer in &mut peers {
        stage.until("connected", |stage| stage.is_connected(peer));
        stage.send(peer, b"served\n");
        stage.hear_bytes(peer, 7);
        stage.abort(peer);
    }
    let stats = stage.end();
    assert_eq!((stats.accepted, stats.frames_in), (8, 8), "{stats:?}");
}

/// Thousands connect, one after the other goes; one who was there before is answered as if nothing were.
pub(crate) fn s06_accept_storm<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const CLIENTS: usize = 5_000;
    const AT_ONCE: usize = 100;
    const BUDGET: usize = 8;
    /// Turns that an answer may take: the one that reads the question, and those that sockets take to pass things on.
    const TURNS_MAX: u64 = 8;
    let few_at_a_time = Options {
        accept_budget: BUDGET,
        ..options()
    };
    let (mut turn, mut accepted_in_turn) = (0, 0);
    let ending = counter();
    let over = Rc::clone(&ending);
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        if let Happening::Open = happening {
            let now = io.stats().turns;
            accepted_in_turn = if now == turn { accepted_in_turn + 1 } else { 1 };
            turn = now;
            assert!(accepted_in_turn <= BUDGET || over.get() > 0);
        }
        echo(role, io, happening)
    };
    let mut stage = Stage::new(apart, few_at_a_time, play);
    let mut light = stage.connect();
    let mut storm = std::collections::VecDeque::new();
    let (mut begun, mut answers, mut late) = (0, 0, 0);
    while begun < CLIENTS || !storm.is_empty() {
        while begun < CLIENTS && storm.len() < AT_ONCE {
            storm.push_back(stage.begin());
            begun += 1;
        }
        let asked = stage.server.stats().turns;
        assert_eq!(stage.send_some(&mut light, b"there?\n"), 7);
        answers += 1;
        stage.hear_bytes(&mut light, 7 * answers);
        late += usize::from(stage.server.stats().turns - asked > TURNS_MAX);
        while storm.front().is_some_and(|peer| stage.is_connected(peer)) {
            let gone = storm.pop_front().unwrap();
            stage.abort(&gone);
        }
    }
    assert!(answers > CLIENTS / AT_ONCE);
    assert_few(late, answers);
    // Whoever stops takes what still waits, however much it is.
    bump(&ending);
    stage.close(&light);
    stage.end();
}

/// In one batch of events: A is told to reset B, C takes B's place (and its descriptor), and B was ready too. What was
/// said of B must not reach C.
pub(crate) fn s31_fd_reuse_same_batch<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    let heard = Rc::new(std::cell::RefCell::new(Vec::new()));
    let hearing = Rc::clone(&heard);
    let mut opened = Vec::new();
    let play = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Open => opened.push(io.id()),
            Happening::Frame(frame) => {
                let number = opened.iter().position(|&id| id == io.id()).unwrap();
                let frame = String::from_utf8(frame.to_vec()).unwrap();
                if frame == "reset the other" {
                    io.abort_connection(opened[1 - number]);
                }
                hearing.borrow_mut().push((number, frame));
            }
            Happening::End => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let mut stage = Stage::new(apart, options(), play);
    let mut peers = [stage.connect(), stage.connect()];
    stage.until("both are there", |stage| stage.server.stats().open == 2);
    // Whichever of the two comes first in the batch resets the other.
    for peer in &mut peers {
        stage.send_some(peer, b"reset the other\n");
    }
    let mut third = stage.begin();
    for _ in 0..50 {
        stage.wait();
    }
    stage.until("the third is there", |stage| {
        stage.server.stats().accepted == 3 && stage.is_connected(&third)
    });
    stage.send(&mut third, b"mine\n");
    stage.until("heard", |_| heard.borrow().len() == 2);
    let heard = heard.borrow();
    assert!(
        heard[0].0 < 2 && heard[0].1 == "reset the other",
        "{heard:?}"
    );
    assert_eq!(heard[1], (2, "mine".to_owned()));
    let stats = stage.server.stats();
    assert_eq!((stats.open, stats.closed, stats.failed), (2, 1, 1));
    for peer in peers.iter().chain([&third]) {
        stage.close(peer);
    }
    stage.end();
}
