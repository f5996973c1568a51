//! The cases in which a peer decides about each byte.

use std::rc::Rc;

use trunkline::network::Network;
use trunkline::{Flow, Io, Options, Role};

use super::pair::{Apart, Happening, Pair, bump, counter, options};
use super::scripted::{Stage, assert_few, echo, numbered_lines};

/// Four megabytes there, and back all at once, more than any socket takes: what a short write leaves comes later, in order.
pub(crate) fn s15_short_write_4mb<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const LINES: usize = 64;
    let mut kept = Vec::new();
    let play = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Frame(frame) => kept.push(frame.to_vec()),
            Happening::End => io.close(),
            _ => {}
        }
        if kept.len() == LINES {
            for line in kept.drain(..) {
                assert!(io.send(&line).is_queued());
            }
        }
        Flow::Continue
    };
    let mut stage = Stage::new(apart, options(), play);
    let mut peer = stage.connect();
    let sent = numbered_lines(LINES, 64 * 1024);
    stage.send(&mut peer, &sent);
    stage.until("taken", |stage| {
        stage.server.stats().frames_in as usize == LINES
    });
    let written = stage.server.stats().bytes_out as usize;
    assert!(written < sent.len(), "the write was whole");
    stage.hear_bytes(&mut peer, sent.len());
    assert!(peer.heard == sent, "the bytes differ");
    stage.finish(&peer);
    stage.hear_end(&mut peer);
    stage.end();
}

/// One byte now and then: its frame is whole in the end, and meanwhile others are served as if it were not there.
pub(crate) fn s17_slow_writer_1bps<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    let mut stage = Stage::new(apart, options(), echo);
    let (mut slow, mut quick) = (stage.connect(), stage.connect());
    let line = b"as slow as that\n";
    for (number, byte) in line.iter().enumerate() {
        assert!(slow.heard.is_empty());
        stage.send(&mut slow, &[*byte]);
        // The others' turns in between are what makes it slow, on any clock.
        for round in 0..5 {
            stage.send(&mut quick, b"quick\n");
            stage.hear_bytes(&mut quick, 6 * (5 * number + round + 1));
        }
        stage.hear(&mut slow);
    }
    stage.hear_bytes(&mut slow, line.len());
    assert_eq!(slow.heard, line);
    stage.close(&slow);
    stage.close(&quick);
    stage.end();
}

/// A frame of one byte in a write of its own each time.
pub(crate) fn s19_one_byte_frames<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    let mut stage = Stage::new(apart, options(), echo);
    let mut peer = stage.connect();
    let mut sent = Vec::new();
    for number in 0..500_u32 {
        for byte in [b'a' + (number % 26) as u8, b'\n'] {
            stage.send(&mut peer, &[byte]);
            sent.push(byte);
        }
        stage.hear(&mut peer);
    }
    stage.hear_bytes(&mut peer, sent.len());
    assert_eq!(peer.heard, sent);
    stage.close(&peer);
    assert_eq!(stage.end().frames_in, 500);
}

/// Ten thousand requests at once, before the first answer is read.
pub(crate) fn s20_pipelined_burst<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const REQUESTS: usize = 10_000;
    let few_at_a_time = Options {
        frame_budget: 16,
        ..options()
    };
    let mut stage = Stage::new(apart, few_at_a_time, echo);
    let mut peer = stage.connect();
    let sent = numbered_lines(REQUESTS, 10);
    stage.send(&mut peer, &sent);
    stage.hear_bytes(&mut peer, sent.len());
    assert!(peer.heard == sent, "the answers differ");
    stage.finish(&peer);
    stage.hear_end(&mut peer);
    assert_eq!(stage.end().frames_in as usize, REQUESTS);
}

/// Both sides have filled what there is to fill, and nothing moves. The server's memory stays within its limit, and
/// when the peer begins to read, everything comes.
pub(crate) fn s23_both_full_is_no_deadlock<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const HIGH: usize = 32 * 1024;
    const LINE: usize = 1024;
    let tight = Options {
        high_watermark_bytes: HIGH,
        low_watermark_bytes: 4 * 1024,
        frame_budget: 16,
        ..options()
    };
    let full = counter();
    let seen = Rc::clone(&full);
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        let flow = echo(role, io, happening);
        assert!(io.queued() <= HIGH + LINE, "{} bytes queued", io.queued());
        if io.queued() > HIGH {
            bump(&seen);
        }
        flow
    };
    let mut stage = Stage::new(apart, tight, play);
    let mut peer = stage.connect();
    // The kernel's buffers grow to several megabytes.
    let offered = numbered_lines(32 * 1024, LINE);
    let mut sent = 0;
    stage.until_quiet(|stage| {
        let more = stage.send_some(&mut peer, &offered[sent..]);
        sent += more;
        more
    });
    assert!(sent < offered.len() && full.get() > 0, "{sent} bytes fit");
    // From here on the peer writes on, and reads.
    stage.until("echoed", |stage| {
        sent += stage.send_some(&mut peer, &offered[sent..]);
        stage.hear(&mut peer);
        peer.heard.len() == offered.len()
    });
    assert!(peer.heard == offered, "the bytes differ");
    stage.close(&peer);
    stage.end();
}

/// A megabyte, then the end of the peer's side: all of it comes back before the server ends its own.
pub(crate) fn s26_half_close_echo<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    let mut stage = Stage::new(apart, options(), echo);
    let mut peer = stage.connect();
    let sent = numbered_lines(1024, 1024);
    let mut position = 0;
    stage.until("sent", |stage| {
        position += stage.send_some(&mut peer, &sent[position..]);
        // Where the buffers are small, who does not read cannot go on sending.
        stage.hear(&mut peer);
        position == sent.len()
    });
    stage.finish(&peer);
    stage.hear_end(&mut peer);
    assert_eq!(peer.failed, None);
    assert!(peer.heard == sent, "{} bytes came back", peer.heard.len());
    stage.end();
}

/// The peer resets the connection while the server is writing to it.
pub(crate) fn s28_rst_mid_write<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    let failed = counter();
    let seen = Rc::clone(&failed);
    let play = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Open => {
                for _ in 0..7 {
                    let _ = io.send(&vec![b'x'; (1 << 20) - 1]);
                }
            }
            Happening::Closed(closed) => {
                assert!(
                    matches!(&closed.cause, trunkline::Cause::Failed(error)
                        if matches!(error.kind(), trunkline::ErrorKind::Reset | trunkline::ErrorKind::BrokenPipe)),
                    "{closed:?}"
                );
                assert!(closed.unsent > 0);
                bump(&seen);
            }
            _ => {}
        }
        Flow::Continue
    };
    let mut stage = Stage::new(apart, options(), play);
    let mut peer = stage.connect();
    stage.hear_bytes(&mut peer, 1);
    stage.abort(&peer);
    stage.until("told", |_| failed.get() == 1);
    stage.end();
}

/// One who never reads what is sent to it again and again costs the others nothing: each is answered in as many turns as
/// if it were not there.
pub(crate) fn a4_a_slow_reader_blocks_nobody<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const TURNS_MAX: u64 = 8;
    const LIMIT: usize = 256 * 1024;
    let limited = Options {
        hard_limit_bytes: LIMIT,
        linger: std::time::Duration::from_millis(20),
        ..options()
    };
    let (full, mut first) = (counter(), None);
    let seen = Rc::clone(&full);
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Open if first.is_none() => first = Some(io.id()),
            Happening::Frame(_) => {
                // Everything that anybody says is told to the slow one, many times over.
                let slow = first.unwrap();
                if io.send_to(slow, &vec![b'x'; 32 * 1024]) == trunkline::Sent::Dropped {
                    bump(&seen);
                }
                assert!(io.queued_on(slow) <= LIMIT);
            }
            _ => {}
        }
        echo(role, io, happening)
    };
    let mut stage = Stage::new(apart, limited, play);
    let slow = stage.connect();
    let mut others = [stage.connect(), stage.connect(), stage.connect()];
    let (mut rounds, mut late) = (0, 0);
    while full.get() < 10 {
        rounds += 1;
        for other in &mut others {
            let asked = stage.server.stats().turns;
            assert_eq!(stage.send_some(other, b"and?\n"), 5);
            stage.hear_bytes(other, 5 * rounds);
            late += usize::from(stage.server.stats().turns - asked > TURNS_MAX);
        }
    }
    assert_few(late, rounds * others.len());
    stage.abort(&slow);
    for other in &others {
        stage.close(other);
    }
    stage.end();
}

/// One sends without a pause, as much as the network takes. Whoever says little is answered in as many turns as if it
/// were not there, and no turn is longer than the budget allows.
pub(crate) fn e7_a_flooding_peer_starves_nobody<N: Network, P: FnMut()>(apart: Apart<N, P>) {
    const TURNS_MAX: u64 = 8;
    const LIGHT: usize = 8;
    const ROUNDS: usize = 50;
    const BUDGET: usize = 16;
    // Between two looks the loop has one turn, in which the flooding one has two: for what is new, and for what was left.
    const FRAMES_IN_TURN_MAX: u64 = (2 * BUDGET + LIGHT) as u64;
    let small = Options {
        read_budget_bytes: 16 * 1024,
        frame_budget: BUDGET,
        ..options()
    };
    let mut stage = Stage::new(apart, small, echo);
    let mut flooding = stage.connect();
    let mut light: Vec<_> = (0..LIGHT).map(|_| stage.connect()).collect();
    let flood = numbered_lines(4096, 64);
    let (mut position, mut late, mut before) = (0, 0, 0);
    for round in 1..=ROUNDS {
        for peer in &mut light {
            assert_eq!(stage.send_some(peer, b"and?\n"), 5);
        }
        let asked = stage.server.stats().turns;
        for peer in &mut light {
            stage.until("answered", |stage| {
                let count = stage.send_some(&mut flooding, &flood[position..]);
                position = (position + count) % flood.len();
                // It reads, so that nothing holds it back.
                stage.hear(&mut flooding);
                let frames = stage.server.stats().frames_in;
                assert!(
                    frames - before <= FRAMES_IN_TURN_MAX,
                    "a long turn: {} frames",
                    frames - before
                );
                before = frames;
                stage.hear(peer);
                peer.heard.len() == 5 * round
            });
        }
        late += usize::from(stage.server.stats().turns - asked > TURNS_MAX);
    }
    assert_few(late, ROUNDS);
    assert!(flooding.heard.len() > 10 * 5 * ROUNDS, "no flood");
    stage.abort(&flooding);
    for peer in &light {
        stage.close(peer);
    }
    stage.end();
}
