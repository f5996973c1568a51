//! What only `io_uring` can get wrong: older kernels' ways to set it up, full queues, sandboxes.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Signal as Interruption, kill_process};
use rustix::thread::gettid;

use super::super::Signal;
use super::ring::Setup;
use super::*;
use crate::mechanism::Mechanism;

/// No wait is meant to last that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mechanism over a ring of this kind, and what wakes it. None where the kernel has no such ring.
fn over(setup: Setup, requests: u32) -> Option<(IoUring, Signal)> {
    match Ring::with(setup, requests) {
        Ok(ring) => {
            let signal = Signal::new().unwrap();
            Some((IoUring::over(ring, signal.descriptor()), signal))
        }
        Err(error) => {
            eprintln!("skipped: no ring of the kind {setup:?} here: {error}");
            assert!(std::env::var_os("CI").is_none(), "{error}");
            None
        }
    }
}

fn key(slot: u32) -> Key {
    Key::from_bits(u64::from(slot))
}

fn pair() -> (UnixStream, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, peer)
}

/// The batch of one wait, sorted. Whatever interrupts it (this process may be stopped and continued), it goes on.
fn told(io_uring: &mut IoUring, timeout: Duration) -> Vec<(Key, u16)> {
    let end = std::time::Instant::now() + timeout;
    let mut batch = Batch::with_capacity(BATCH);
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        match io_uring.wait(&mut batch, Some(left)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result.unwrap(),
        }
    }
    let mut told: Vec<_> = batch.iter().map(|(key, flags)| (key, flags.0)).collect();
    told.sort();
    told
}

fn now(io_uring: &mut IoUring) -> Vec<(Key, u16)> {
    told(io_uring, Duration::ZERO)
}

/// What the waits without an end find, as the selector goes through them: the usual way, and what there is for the rest.
/// The last is whether the usual way sufficed.
fn found(io_uring: &mut IoUring) -> (Vec<(Key, u16)>, bool) {
    if let Some((key, flags)) = io_uring.find() {
        return (vec![(key, flags.0)], true);
    }
    let mut batch = Batch::with_capacity(BATCH);
    if io_uring.find_more(&mut batch) == 0 {
        return (told(io_uring, PATIENCE), false);
    }
    let mut found: Vec<_> = batch.iter().map(|(key, flags)| (key, flags.0)).collect();
    found.sort();
    (found, false)
}

#[test]
fn the_usual_way_tells_one_edge_and_leaves_everything_else_alone() {
    for setup in Setup::ALL {
        let Some((mut io_uring, signal)) = over(setup, 8) else {
            continue;
        };
        let mut pairs: Vec<_> = (0..4).map(|_| pair()).collect();
        let numbers: Vec<_> = pairs.iter().map(|(ours, _)| ours.as_raw_fd()).collect();
        for (slot, number) in numbers.iter().enumerate() {
            io_uring
                .register(
                    *number,
                    key(slot as u32),
                    Interest::READ,
                    [Trigger::Edge, Trigger::Edge, Trigger::Edge, Trigger::Level][slot],
                )
                .unwrap();
        }
        // They have to be asked about first.
        assert_eq!(now(&mut io_uring), []);

        let input = |slot| (key(slot), Flags::IN);
        for slot in [0, 1, 0] {
            pairs[slot].1.write_all(b"x").unwrap();
            let (found, usual) = found(&mut io_uring);
            assert_eq!(found, [input(slot as u32)]);
            // Kernels may say for a while that there is more.
            assert!(usual || !setup.is_deferred(), "{setup:?}");
            pairs[slot].0.read_exact(&mut [0]).unwrap();
        }
        // Two at once, and with level trigger again and again.
        for slot in [0, 1] {
            pairs[slot].1.write_all(b"x").unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.extend(found(&mut io_uring).0);
        }
        seen.sort();
        assert_eq!(seen, [input(0), input(1)], "{setup:?}");
        pairs[3].1.write_all(b"x").unwrap();
        for _ in 0..3 {
            assert_eq!(found(&mut io_uring), (vec![input(3)], false));
        }
        pairs[3].0.read_exact(&mut [0]).unwrap();

        // The waker, and one that was unregistered with an answer under way.
        pairs[1].1.write_all(b"x").unwrap();
        io_uring.unregister(numbers[1], key(1), Interest::READ);
        signal.raise().unwrap();
        let woken = (Key::NOTHING, Flags::IN);
        assert_eq!(found(&mut io_uring), (vec![woken], false));
        signal.clear();

        // The end of input is more than input.
        drop(pairs.swap_remove(2).1);
        let (ended, usual) = found(&mut io_uring);
        assert!(!usual && ended[0].0 == key(2) && ended[0].1 & Flags::READ_HANG_UP != 0);
        pairs[0].1.write_all(b"x").unwrap();
        assert_eq!(found(&mut io_uring).0, [input(0)]);
        assert_eq!(now(&mut io_uring), []);
    }
}

#[test]
fn a_row_and_its_place_in_the_queue_take_twenty_bytes() {
    assert_eq!(size_of::<watched::Row>() + size_of::<u32>(), 20);
}

#[test]
fn every_way_to_set_it_up_gives_the_same_answers() {
    for (setup, trigger) in Setup::ALL
        .into_iter()
        .flat_map(|setup| [(setup, Trigger::Level), (setup, Trigger::Edge)])
    {
        let Some((mut io_uring, signal)) = over(setup, 8) else {
            continue;
        };
        let (mut ours, mut peer) = pair();
        let number = ours.as_raw_fd();
        io_uring
            .register(number, key(0), Interest::READ, trigger)
            .unwrap();
        assert_eq!(now(&mut io_uring), []);
        peer.write_all(b"x").unwrap();
        assert_eq!(now(&mut io_uring), [(key(0), Flags::IN)]);
        let again = now(&mut io_uring);
        assert_eq!(again.len(), usize::from(trigger == Trigger::Level));

        // Taken by who was told: with level trigger nothing is told, and then again what comes.
        ours.read_exact(&mut [0]).unwrap();
        assert_eq!(now(&mut io_uring), []);
        peer.write_all(b"x").unwrap();
        assert_eq!(now(&mut io_uring), [(key(0), Flags::IN)]);
        // Taken before anybody is told: it is told all the same, once.
        ours.read_exact(&mut [0]).unwrap();
        assert_eq!(now(&mut io_uring), []);
        peer.write_all(b"x").unwrap();
        ours.read_exact(&mut [0]).unwrap();
        let stale = now(&mut io_uring);
        assert!(
            stale.is_empty() || stale == [(key(0), Flags::IN)],
            "{stale:?}"
        );
        assert_eq!(now(&mut io_uring), []);

        let change = (Interest::READ, Interest::WRITE);
        io_uring.modify(number, key(0), change, trigger).unwrap();
        assert_eq!(told(&mut io_uring, PATIENCE), [(key(0), Flags::OUT)]);
        signal.raise().unwrap();
        let with_waker = told(&mut io_uring, PATIENCE);
        assert!(with_waker.contains(&(Key::NOTHING, Flags::IN)));

        let change = (Interest::WRITE, Interest::READ);
        io_uring.modify(number, key(0), change, trigger).unwrap();
        assert_eq!(now(&mut io_uring), []);
        io_uring.unregister(number, key(0), Interest::READ);
        drop(ours);
        // The next wait has it let go, or this.
        io_uring.apply().unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let rest = peer.read_to_end(&mut Vec::new());
        assert_eq!(rest.unwrap(), 0, "{setup:?} lets go");
    }
}

#[test]
fn queues_that_are_too_small_lose_nothing() {
    // Not so many that their numbers meet the one that the tests of closed descriptors use.
    const SOURCES: u32 = 150;
    for (setup, trigger) in Setup::ALL
        .into_iter()
        .flat_map(|setup| [(setup, Trigger::Level), (setup, Trigger::Edge)])
    {
        // Room for eight requests and four times as many answers.
        let Some((mut io_uring, _signal)) = over(setup, 8) else {
            continue;
        };
        let pairs: Vec<_> = (0..SOURCES).map(|_| pair()).collect();
        for (slot, (ours, _)) in pairs.iter().enumerate() {
            io_uring
                .register(ours.as_raw_fd(), key(slot as u32), Interest::READ, trigger)
                .unwrap();
        }
        for round in 0..3 {
            assert_eq!(now(&mut io_uring), [], "{setup:?} {trigger:?} {round}");
            for (_, peer) in &pairs {
                (&mut &*peer).write_all(b"x").unwrap();
            }
            let mut seen = vec![false; SOURCES as usize];
            while seen.contains(&false) {
                let told = told(&mut io_uring, PATIENCE);
                assert!(!told.is_empty(), "{setup:?} {trigger:?}: some are lost");
                for (key, _) in told {
                    seen[key.index() as usize] = true;
                    let mut source = &pairs[key.index() as usize].0;
                    // Nothing to read: an edge that was told twice, since a request had to be made anew.
                    let _ = source.read(&mut [0; 8]);
                }
            }
            // Those very edges.
            while trigger == Trigger::Edge && !now(&mut io_uring).is_empty() {}
        }
        for (slot, (ours, _)) in pairs.iter().enumerate() {
            io_uring.unregister(ours.as_raw_fd(), key(slot as u32), Interest::READ);
        }
        // The wait that lets go of them finds nothing, and does not last.
        assert_eq!(now(&mut io_uring), []);
        for (ours, mut peer) in pairs {
            drop(ours);
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(peer.read_to_end(&mut Vec::new()).unwrap(), 0);
        }
    }
}

/// A cancellation that a signal interrupts is made all the same.
#[test]
fn w3_what_is_dropped_while_signals_come_is_let_go_at_once() {
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::default()).unwrap();
    let this_thread = gettid();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // Linux takes a thread's number here too, and hands the signal to that thread if it can.
                kill_process(this_thread, Interruption::USR1).unwrap();
            }
        });
        let kept = (0..100).map(|_| {
            let (mut io_uring, _signal) = over(Setup::Deferred, 8)?;
            let pairs: Vec<_> = (0..50).map(|_| pair()).collect();
            for (slot, (ours, _)) in pairs.iter().enumerate() {
                io_uring
                    .register(
                        ours.as_raw_fd(),
                        key(slot as u32),
                        Interest::READ,
                        Trigger::Level,
                    )
                    .unwrap();
            }
            now(&mut io_uring);
            drop(io_uring);
            let (ours, peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            drop(ours);
            let kept = peers.into_iter().filter(|mut peer| {
                peer.set_nonblocking(true).unwrap();
                peer.read(&mut [0]).is_err()
            });
            Some(kept.count())
        });
        let kept: Vec<_> = kept.flatten().filter(|count| *count > 0).collect();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(kept, []);
    });
}

#[test]
fn registering_again_and_again_takes_no_memory() {
    let Some((mut io_uring, _signal)) = over(Setup::Deferred, 8) else {
        return;
    };
    let (ours, _peer) = pair();
    for _ in 0..1000 {
        io_uring
            .register(ours.as_raw_fd(), key(0), Interest::READ, Trigger::Level)
            .unwrap();
        io_uring.unregister(ours.as_raw_fd(), key(0), Interest::READ);
    }
    assert_eq!(io_uring.watched.queue.len(), 1);
    assert_eq!(now(&mut io_uring), []);
}

/// A level-triggered source of which something holds that nobody asked about: the kernel says so all the same, at once
/// and each time it is asked.
#[test]
fn what_nobody_asked_about_does_not_end_waits() {
    let Some((mut io_uring, _signal)) = over(Setup::Deferred, 8) else {
        return;
    };
    let (ours, mut peer) = pair();
    ours.set_nonblocking(true).unwrap();
    while (&mut &ours).write(&[0; 4096]).is_ok() {}
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    io_uring
        .register(ours.as_raw_fd(), key(0), Interest::WRITE, Trigger::Level)
        .unwrap();
    // It finds out, and asks for changes instead, which begins with what holds.
    for _ in 0..2 {
        assert_eq!(now(&mut io_uring), []);
    }
    for _ in 0..3 {
        let pause = Duration::from_millis(20);
        let start = std::time::Instant::now();
        assert_eq!(told(&mut io_uring, pause), []);
        assert!(start.elapsed() >= pause, "the wait ended early");
    }
    peer.set_nonblocking(true).unwrap();
    while peer.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
    for _ in 0..3 {
        assert_eq!(told(&mut io_uring, PATIENCE), [(key(0), Flags::OUT)]);
    }
}

#[test]
fn asking_whether_it_works_interrupts_nobody() {
    let (mut ours, _peer) = UnixStream::pair().unwrap();
    // With a timeout, a read that is interrupted is not resumed. A closed ring interrupts within some milliseconds.
    ours.set_read_timeout(Some(Duration::from_millis(30)))
        .unwrap();
    let mut is_interrupted =
        || ours.read(&mut [0]).unwrap_err().kind() == io::ErrorKind::Interrupted;
    // A question that interrupts does so nearly every time. Whoever stops this process and continues it interrupts reads
    // before which nothing was asked as often.
    let (mut after_questions, mut otherwise) = (0, 0);
    for _ in 0..30 {
        check().unwrap_or_else(|reason| eprintln!("{reason}"));
        after_questions += u32::from(is_interrupted());
        otherwise += u32::from(is_interrupted());
    }
    assert!(
        after_questions < otherwise + 20,
        "interrupted after {after_questions} of 30 questions, and {otherwise} times without one"
    );
}

/// What a sandbox does: the system calls of `io_uring` are answered with `errno`, in this thread from now on.
fn forbid_io_uring(errno: u16) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS_IT: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let setup = u32::try_from(libc::SYS_io_uring_setup).unwrap();
    let mut filter = [
        step(LOAD, 0, 0), // the call's number comes first
        libc::sock_filter {
            jf: 1,
            ..step(IS_IT, 0, setup)
        },
        step(ANSWER, 0, libc::SECCOMP_RET_ERRNO | u32::from(errno)),
        step(ANSWER, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: both calls concern this thread alone and are given what they are documented to take; the program and its
    // filter live until they return.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

#[test]
fn where_it_is_forbidden_it_says_why_and_the_others_go_on() {
    const EPERM: u16 = libc::EPERM.cast_unsigned() as u16;
    const ENOSYS: u16 = libc::ENOSYS.cast_unsigned() as u16;
    for (errno, reason) in [
        (EPERM, "a sandbox forbids it"),
        (ENOSYS, "this kernel has none"),
    ] {
        let sandboxed = std::thread::spawn(move || {
            forbid_io_uring(errno);
            let refused = Mechanism::IoUring.check().unwrap_err().to_string();
            assert!(
                refused.starts_with("io_uring is not available here: "),
                "{refused}"
            );
            assert!(refused.contains(reason), "{refused}");
            let error = crate::Selector::<OwnedFd>::with_mechanism(Mechanism::IoUring).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert_eq!(error.to_string(), refused);
            let available = Mechanism::available();
            let entry = available
                .iter()
                .find(|entry| entry.mechanism == Mechanism::IoUring);
            assert_eq!(entry.unwrap().reason.as_ref().unwrap().to_string(), refused);
            assert!(crate::Selector::<OwnedFd>::with_mechanism(Mechanism::best()).is_ok());
        });
        sandboxed.join().unwrap();
    }
}

#[test]
fn applying_nothing_costs_nothing() {
    for setup in Setup::ALL {
        let Some((mut io_uring, _signal)) = over(setup, 8) else {
            continue;
        };
        let (ours, mut peer) = pair();
        io_uring
            .register(ours.as_raw_fd(), key(1), Interest::READ, Trigger::Edge)
            .unwrap();
        io_uring.apply().unwrap();
        assert_eq!(now(&mut io_uring), []);
        peer.write_all(b"x").unwrap();
        io_uring.apply().unwrap();
        assert!(io_uring.kept.is_empty(), "{setup:?}: the kernel was asked");
        assert_eq!(now(&mut io_uring), [(key(1), Flags::IN)], "{setup:?}");
    }
}
