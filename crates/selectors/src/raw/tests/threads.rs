//! The raw door on every mechanism: one thread registers, wakes or interrupts while another waits.

use super::*;

/// Tells the other threads of a test that it is over, also where it ends in a panic: they would go on for ever.
struct Over<'a> {
    is_over: &'a AtomicBool,
    selector: &'a RawSelector,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let _ = self.selector.waker().wake();
    }
}

/// Returns once the kernel says that `thread` sleeps.
fn await_sleep_of(thread: Pid) {
    let status = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    let give_up = Instant::now() + PATIENCE.unwrap();
    loop {
        let text = std::fs::read_to_string(&status).expect("the thread's status");
        // The name in brackets may hold anything; the state is the letter after it.
        if text.rsplit(')').next().unwrap().trim().starts_with('S') {
            return;
        }
        assert!(Instant::now() < give_up, "it does not sleep: {text}");
        std::thread::yield_now();
    }
}

/// Has this thread act while another one sleeps in a wait; what that one was told.
fn while_it_waits(
    selector: &RawSelector,
    timeout: Option<Duration>,
    act: impl FnOnce(&dyn Fn()),
) -> (Vec<(u64, Readiness)>, bool) {
    let (sender, started) = mpsc::channel();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            sender.send(rustix::thread::gettid()).unwrap();
            wait(selector, timeout)
        });
        let thread = started.recv().unwrap();
        let sleeps = || {
            await_sleep_of(thread);
            assert!(!waiter.is_finished(), "it did not wait");
        };
        sleeps();
        act(&sleeps);
        waiter.join().unwrap()
    })
}

#[test]
fn what_is_registered_while_another_thread_waits_ends_the_wait() {
    on_each_mechanism(|selector| {
        let (a, _b) = ready();
        let told = while_it_waits(selector, PATIENCE, |_| add(selector, &a, 5, Interest::READ));
        assert_eq!(told, (vec![(5, READABLE)], false));
        selector.unregister(a.as_raw_fd()).unwrap();

        // The same where it has to become ready first; until then, nothing that is done ends the wait.
        let ((idle, _peer), (a, mut b)) = (pair(), pair());
        let told = while_it_waits(selector, PATIENCE, |sleeps| {
            add(selector, &idle, 1, Interest::READ);
            sleeps();
            add(selector, &a, 2, Interest::PRIORITY);
            sleeps();
            selector
                .modify(a.as_raw_fd(), 3, Interest::READ, Trigger::Level)
                .unwrap();
            sleeps();
            selector.unregister(idle.as_raw_fd()).unwrap();
            sleeps();
            b.write_all(b"x").unwrap();
        });
        assert_eq!(told, (vec![(3, READABLE)], false));
    });
}

#[test]
fn errors_come_at_once_while_another_thread_waits() {
    on_each_mechanism(|selector| {
        let (a, _b) = pair();
        let waker = selector.waker();
        let level = Trigger::Level;
        let told = while_it_waits(selector, PATIENCE, |sleeps| {
            add(selector, &a, 1, Interest::READ);
            let again = add_with(selector, &a, 2, Interest::READ, level);
            assert_eq!(error_number(again), Some(Errno::EXIST));
            let closed = add_with(selector, &900_000, 2, Interest::READ, level);
            assert_eq!(error_number(closed), Some(Errno::BADF));
            selector.unregister(a.as_raw_fd()).unwrap();
            let unregister = selector.unregister(a.as_raw_fd());
            assert_eq!(error_number(unregister), Some(Errno::NOENT));
            sleeps();
            waker.wake().unwrap();
        });
        assert_eq!(told, (vec![], true));
    });
}

#[test]
fn what_is_unregistered_while_another_thread_waits_is_silent() {
    on_each_mechanism(|selector| {
        let (a, mut b) = pair();
        add(selector, &a, 1, Interest::READ);
        let waker = selector.waker();
        let told = while_it_waits(selector, PATIENCE, |sleeps| {
            selector.unregister(a.as_raw_fd()).unwrap();
            sleeps();
            b.write_all(b"x").unwrap();
            waker.wake().unwrap();
        });
        assert_eq!(told, (vec![], true));
    });
}

#[test]
fn a_number_that_is_closed_and_used_again_during_a_wait_is_its_new_owners() {
    on_each_mechanism(|selector| {
        let (a, mut b) = pair();
        let number = a.as_raw_fd();
        add(selector, &a, 1, Interest::READ);
        let mut new = None;
        let told = while_it_waits(selector, PATIENCE, |sleeps| {
            selector.unregister(number).unwrap();
            let (c, mut d) = pair();
            // Other tests open descriptors too, so the number is passed on without being free in between.
            let mut owned = std::os::fd::OwnedFd::from(a);
            rustix::io::dup2(&c, &mut owned).unwrap();
            assert_eq!(owned.as_raw_fd(), number);
            add(selector, &owned, 2, Interest::READ);
            sleeps();
            // The old file has no owner but the peer's interest, which is nobody's business here.
            assert!(b.write_all(b"x").is_err());
            d.write_all(b"x").unwrap();
            new = Some((owned, c, d));
        });
        assert_eq!(told, (vec![(2, READABLE)], false));
    });
}

#[test]
fn a_one_shot_is_armed_again_while_another_thread_waits() {
    on_each_mechanism(|selector| {
        if !selector.capabilities().supports(Trigger::OneShot) {
            return;
        }
        let (a, _b) = ready();
        add_with(selector, &a, 1, Interest::READ, Trigger::OneShot).unwrap();
        assert_eq!(look(selector), [(1, READABLE)]);
        for token in 2..5 {
            let told = while_it_waits(selector, PATIENCE, |_| {
                selector
                    .modify(a.as_raw_fd(), token, Interest::READ, Trigger::OneShot)
                    .unwrap();
            });
            assert_eq!(told, (vec![(token, READABLE)], false));
        }
        assert_eq!(look(selector), []);
    });
}

#[test]
fn changes_do_not_move_the_deadline() {
    on_each_mechanism(|selector| {
        let (a, _b) = pair();
        let timeout = Duration::from_millis(150);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                while !done.load(Ordering::Relaxed) && start.elapsed() < PATIENCE.unwrap() {
                    add(selector, &a, 1, Interest::READ);
                    selector.unregister(a.as_raw_fd()).unwrap();
                    // Not to synchronise with anything: this is the rate.
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let start = Instant::now();
            let told = wait(selector, Some(timeout));
            let took = start.elapsed();
            done.store(true, Ordering::Relaxed);
            assert_eq!(told, (vec![], false));
            assert!(took >= timeout, "ended early, after {took:?}");
            assert!(took < PATIENCE.unwrap() / 2, "ended late, after {took:?}");
        });
    });
}

/// One thread registers, another waits and answers, thousands of times: no registration may be overlooked.
#[test]
fn no_registration_is_overlooked_among_many() {
    const ROUNDS: u64 = 3_000;
    on_each_mechanism(|selector| {
        let (sender, told) = mpsc::channel();
        let is_over = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _over = Over { is_over, selector };
            scope.spawn(|| {
                let _over = Over { is_over, selector };
                let mut events = Events::new();
                while !is_over.load(Ordering::Acquire) {
                    select(selector, &mut events, PATIENCE);
                    for event in events.iter() {
                        sender.send(event.token).unwrap();
                    }
                }
            });
            let sources: Vec<_> = (0..4).map(|_| ready()).collect();
            let mut gone = HashSet::new();
            for round in 0..ROUNDS {
                let (source, _) = &sources[round as usize % sources.len()];
                add(selector, source, round, Interest::READ);
                // It is level-triggered, so it is told several times, and an older one may still be on its way.
                loop {
                    let token = told.recv_timeout(PATIENCE.unwrap()).expect("overlooked");
                    if token == round {
                        break;
                    }
                    assert!(gone.contains(&token), "nobody's: {token}");
                }
                selector.unregister(source.as_raw_fd()).unwrap();
                gone.insert(round);
            }
        });
    });
}

/// Changes use the waker's signal to reach the waiting thread: they must not use up a wake.
#[test]
fn w1_no_wake_is_lost_among_changes() {
    const WAKES: usize = 3_000;
    on_each_mechanism(|selector| {
        let (a, _b) = pair();
        let is_over = &AtomicBool::new(false);
        let (sender, woken) = mpsc::channel();
        std::thread::scope(|scope| {
            let _over = Over { is_over, selector };
            scope.spawn(|| {
                let _over = Over { is_over, selector };
                let mut events = Events::new();
                while !is_over.load(Ordering::Acquire) {
                    let selected = select(selector, &mut events, PATIENCE);
                    assert_eq!(selected.events, 0);
                    if selected.woken {
                        sender.send(()).unwrap();
                    }
                }
            });
            scope.spawn(|| {
                let _over = Over { is_over, selector };
                while !is_over.load(Ordering::Acquire) {
                    add(selector, &a, 1, Interest::READ);
                    selector.unregister(a.as_raw_fd()).unwrap();
                }
            });
            let waker = selector.waker();
            for _ in 0..WAKES {
                waker.wake().unwrap();
                woken.recv_timeout(PATIENCE.unwrap()).expect("a wake");
            }
        });
    });
}

#[test]
fn a_wake_comes_with_events_and_may_outlive_the_selector() {
    let mut wakers = Vec::new();
    on_each_mechanism(|selector| {
        let (a, _b) = ready();
        add(selector, &a, 1, Interest::READ);
        selector.waker().wake().unwrap();
        assert_eq!(wait(selector, None), (vec![(1, READABLE)], true));
        assert_eq!(look(selector), [(1, READABLE)]);
        selector.unregister(a.as_raw_fd()).unwrap();
        selector.waker().wake().unwrap();
        assert_eq!(wait(selector, None), (vec![], true));
        assert_eq!(look(selector), []);
    });
    for &mechanism in Mechanism::all() {
        if let Ok(selector) = RawSelector::new(mechanism) {
            wakers.push(selector.waker());
        }
    }
    for waker in wakers {
        waker.wake().unwrap();
    }
}

#[test]
fn several_threads_wait_where_the_capabilities_say_so() {
    on_each_mechanism(|selector| {
        let (a, mut b) = pair();
        add(selector, &a, 1, Interest::READ);
        let first = while_it_waits(selector, PATIENCE, |sleeps| {
            let mut events = Events::new();
            if selector.capabilities().several_waiters {
                assert_eq!(select(selector, &mut events, NO_TIME), Selected::default());
            } else {
                let refused = loop {
                    match selector.select(&mut events, NO_TIME) {
                        Err(error) if error.kind() != io::ErrorKind::Interrupted => break error,
                        // The first one was interrupted, and waits again.
                        _ => sleeps(),
                    }
                };
                assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
            }
            b.write_all(b"x").unwrap();
        });
        assert_eq!(first, (vec![(1, READABLE)], false));
        // The other one is done, so it is anybody's turn.
        assert_eq!(look(selector), [(1, READABLE)]);
    });
}

#[test]
fn w3_a_signal_ends_the_wait_as_interrupted() {
    let caught = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGUSR2, Arc::clone(&caught)).unwrap();
    on_each_mechanism(|selector| {
        // Others interrupt waits too: whoever stops this process and continues it.
        caught.store(false, Ordering::Relaxed);
        while !caught.load(Ordering::Relaxed) {
            interrupt_a_wait(selector);
        }
        // And it is as good as before.
        let (a, _b) = ready();
        add(selector, &a, 1, Interest::READ);
        assert_eq!(look(selector), [(1, READABLE)]);
    });
}

/// Has a thread wait, and sends it a signal once it sleeps.
fn interrupt_a_wait(selector: &RawSelector) {
    let (sender, started) = mpsc::channel();
    let (may_end, end) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            sender.send(rustix::thread::gettid()).unwrap();
            let result = selector.select(&mut Events::new(), PATIENCE);
            // Its number is its own until the signal was sent.
            let _ = end.recv();
            result
        });
        let thread = started.recv().unwrap();
        await_sleep_of(thread);
        // Linux takes a thread's number here too, and hands the signal to that thread if it can.
        rustix::process::kill_process(thread, rustix::process::Signal::USR2).unwrap();
        drop(may_end);
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    });
}
