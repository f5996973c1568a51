//! The cases about what only a kernel has: signals, urgent data, descriptors that others hold too.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use trunkline::network::{Network, Token};
use trunkline::{EventLoop, Flow, Io, Mechanism, Role};

use super::kernel;
use super::pair::{CLIENT, Happening, Pair, SERVER, bump, counter, finish, options};

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// An urgent byte is neither among the input nor counted as such for ever.
pub(crate) fn s25_oob_byte(mechanism: Mechanism) {
    let heard = Rc::new(std::cell::RefCell::new(Vec::new()));
    let hearing = Rc::clone(&heard);
    let play = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Open => io.stop_listening(),
            Happening::Frame(frame) => hearing.borrow_mut().push(frame.to_vec()),
            Happening::End => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let mut server = EventLoop::over(kernel(mechanism), Pair::new(play), options());
    let mut client = TcpStream::connect(server.listen(any_port()).unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    for round in 1..=3 {
        client.write_all(b"before").unwrap();
        rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).unwrap();
        client.write_all(b" and after\n").unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        while heard.borrow().len() < round {
            assert!(Instant::now() < patience, "{:?}", heard.borrow());
            assert!(server.turn(Some(Duration::from_secs(1))).unwrap());
        }
        // An urgent byte that was ready for ever would end every wait at once.
        let began = Instant::now();
        for _ in 0..5 {
            assert!(server.turn(Some(Duration::from_millis(20))).unwrap());
        }
        assert!(began.elapsed() >= Duration::from_millis(60), "it spins");
    }
    for frame in heard.borrow().iter() {
        assert_eq!(frame, b"before and after");
    }
    drop(client);
    finish(server);
}

/// A write to a connection that the peer has reset is an error and nothing else: the second one would raise a signal.
pub(crate) fn s28_no_sigpipe(mechanism: Mechanism) {
    let raised = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::clone(&raised)).unwrap();
    let listener = TcpListener::bind(any_port()).unwrap();
    let mut network = kernel(mechanism);
    let address = listener.local_addr().unwrap();
    let socket = network.connect(address, Token(1)).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    until("connected", || network.connected(socket).unwrap());
    assert_eq!(
        network.write(socket, &[IoSlice::new(b"unread")]).unwrap(),
        6
    );
    // Closed with unread input, it sends a reset.
    peer.peek(&mut [0]).unwrap();
    peer.write_all(b"x").unwrap();
    drop(peer);
    let mut kinds = Vec::new();
    until("two errors", || {
        match network.write(socket, &[IoSlice::new(b"more")]) {
            Ok(_) => {}
            Err(error) => kinds.push(error.kind()),
        }
        kinds.len() == 2
    });
    assert_eq!(kinds[1], ErrorKind::BrokenPipe);
    assert!(!raised.load(Ordering::SeqCst), "SIGPIPE was raised");
    network.close(socket);
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < patience, "never: {what}");
        std::thread::yield_now();
    }
}

/// Set in a child process that is to be stopped.
const STOPPED: &str = "TRUNKLINE_TEST_STOPPED";
const CLIENTS: usize = 10;
/// Until the timers of the process that is stopped are due, and how long it is stopped at least.
const DUE: Duration = Duration::from_millis(100);

/// A process is stopped until long after all its timers were due, and goes on: each fires once, in a turn that ends, and
/// no connection is worse for it.
pub(crate) fn s44_sigstop_sigcont(case: &str, mechanism: Mechanism) {
    if std::env::var_os(STOPPED).is_some() {
        return be_stopped(mechanism);
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", case, "--nocapture"])
        .env(STOPPED, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id().to_string();
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &id]).status();
        assert!(status.unwrap().success());
    };
    let mut stdout = child.stdout.take().unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("armed") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it has ended");
        said.push(byte[0]);
    }
    signal("-STOP");
    let state = format!("/proc/{id}/stat");
    until("stopped", || {
        std::fs::read_to_string(&state).unwrap().contains(") T ")
    });
    std::thread::sleep(3 * DUE);
    signal("-CONT");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("each fired once, all answered"), "{rest}");
}

/// The part of the process that is stopped.
fn be_stopped(mechanism: Mechanism) {
    let (fired, answered) = (counter(), counter());
    let (firing, answering) = (Rc::clone(&fired), Rc::clone(&answered));
    let (mut opened, mut armed) = (0, None);
    let play = move |role: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match (role, happening) {
            (SERVER, Happening::Open) => {
                opened += 1;
                if opened == CLIENTS {
                    io.stop_listening();
                    println!("armed");
                }
                armed = Some(io.now());
                io.after(DUE, 1);
            }
            (SERVER, Happening::Timer(_)) => {
                assert!(
                    io.now() - armed.unwrap() >= DUE || opened < CLIENTS,
                    "early"
                );
                bump(&firing);
                let _ = io.send(b"still there?");
            }
            (CLIENT, Happening::Frame(_)) => {
                bump(&answering);
                io.close();
            }
            (_, Happening::End) => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let mut pair = EventLoop::over(kernel(mechanism), Pair::new(play), options());
    let address = pair.listen(any_port()).unwrap();
    for _ in 0..CLIENTS {
        pair.connect(address);
    }
    let stats = finish(pair);
    assert_eq!(
        (fired.get(), answered.get(), stats.failed),
        (CLIENTS, CLIENTS, 0)
    );
    println!("each fired once, all answered");
}

/// A program that was started from inside a callback, and lives on, holds none of our descriptors: a connection that we
/// close ends for its peer at once, the port is free when the listener is closed, and the loop goes on as before.
pub(crate) fn s46_fork_child(mechanism: Mechanism) {
    let children = Rc::new(std::cell::RefCell::new(Vec::new()));
    let starting = Rc::clone(&children);
    let play = move |_: Option<Role>, io: &mut Io<'_, Pair>, happening: Happening<'_>| {
        match happening {
            Happening::Frame(b"start") => {
                let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
                starting.borrow_mut().push(child.unwrap());
                let _ = io.send(b"started");
                io.close();
            }
            Happening::Frame(frame) => drop(io.send(frame)),
            Happening::End => io.close(),
            _ => {}
        }
        Flow::Continue
    };
    let mut server = EventLoop::over(kernel(mechanism), Pair::new(play), options());
    let address = server.listen(any_port()).unwrap();
    let remote = server.remote();
    let client = std::thread::spawn(move || {
        let patient = || {
            let stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(30)))
                .unwrap();
            stream
        };
        let mut stays = patient();
        for round in 1..=3 {
            let mut starts = patient();
            starts.write_all(b"start\n").unwrap();
            let mut said = String::new();
            // Up to the end of the stream, for which a descriptor that the child held would let us wait.
            starts.read_to_string(&mut said).unwrap();
            assert_eq!(said, "started\n");
            stays.write_all(b"still there?\n").unwrap();
            let mut answer = [0; 13];
            stays.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"still there?\n", "round {round}");
        }
        remote.stop();
    });
    finish(server);
    client.join().unwrap();
    for child in children.borrow_mut().iter_mut() {
        assert!(child.try_wait().unwrap().is_none(), "it lives on");
        // But for its standard ones: a socket that it held would also keep a port from being used again.
        let ours: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", child.id()))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| !["0", "1", "2"].contains(&&*entry.file_name().to_string_lossy()))
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .filter(|target| target.contains("anon_inode") || target.contains("socket"))
            .collect();
        assert!(ours.is_empty(), "it holds {ours:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
