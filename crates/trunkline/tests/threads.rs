//! One server on several threads, on every mechanism and in both ways of sharing.
#![forbid(unsafe_code)]

mod common;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Client, PATIENCE, mechanisms, until};
use trunkline::{
    ConnectionId, ErrorKind, Flow, Frame, Handler, Io, Limits, Lines, LoopError, Mechanism, Pool,
    Refusal, Seat, Server, Sharing, Submitted, ThreadedServer, Threads, WhenPanicking,
};

const BOTH: [Sharing; 2] = [Sharing::ReusePort, Sharing::Acceptor];
const LOOPS: usize = 3;

/// What loops and pools say to a loop.
#[derive(Debug, Clone)]
enum Word {
    /// To everybody in the loop.
    ToAll(String),
    /// To one connection, which waits for it.
    Answer(ConnectionId, String),
}

/// One loop of a chat server, and a few words that do something.
struct Chat {
    seat: Seat<Word>,
    pool: Option<Pool>,
    members: BTreeSet<ConnectionId>,
    opened: Arc<Mutex<Vec<String>>>,
}

impl Handler for Chat {
    type Codec = Lines;
    type State = ();
    type Message = Word;

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.members.insert(io.id());
        self.opened.lock().unwrap().push(io.peer()?.to_string());
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, line: Frame<'_, Self>) -> Flow {
        let line = String::from_utf8_lossy(line).into_owned();
        match line.as_str() {
            "who" => drop(io.send(format!("loop {}", self.seat.index()).as_bytes())),
            "panic" => panic!("as you wish"),
            "end" => io.stop(),
            "compute" => {
                let (pool, id) = (self.pool.as_ref().expect("a pool"), io.id());
                let job = || (0..1000_u64).sum::<u64>();
                let answer = move |sum: Result<u64, _>| Word::Answer(id, sum.unwrap().to_string());
                assert_eq!(pool.run(self.seat.remote(), job, answer), Submitted::Queued);
                io.hold();
            }
            _ => {
                let word = Word::ToAll(line);
                assert_eq!(self.seat.remotes().offer_all(&word), self.seat.count());
            }
        }
        Flow::Continue
    }

    fn message(&mut self, io: &mut Io<'_, Self>, word: Word) {
        match word {
            Word::ToAll(line) => {
                let members = self.members.iter().copied();
                io.broadcast(members, line.as_bytes()).unwrap();
            }
            Word::Answer(id, answer) => {
                let _ = io.send_to(id, answer.as_bytes());
                io.release_connection(id);
            }
        }
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, _closed: trunkline::Closed) {
        self.members.remove(&io.id());
    }
}

type Opened = Arc<Mutex<Vec<String>>>;

fn chat(mechanism: Mechanism, sharing: Sharing) -> (ThreadedServer<Chat>, Opened) {
    let opened = Opened::default();
    let pool = Pool::new(2, 10_000).unwrap();
    let in_loops = Arc::clone(&opened);
    let factory = move |seat| Chat {
        seat,
        pool: Some(pool.clone()),
        members: BTreeSet::new(),
        opened: Arc::clone(&in_loops),
    };
    let server = Server::threads(LOOPS, factory)
        .listen("127.0.0.1:0")
        .mechanism(mechanism)
        .sharing(sharing);
    (server, opened)
}

fn address(threads: &Threads<Word>) -> SocketAddr {
    threads.addresses()[0].socket_addr().unwrap()
}

fn everywhere(case: impl Fn(Mechanism, Sharing)) {
    for mechanism in mechanisms() {
        for sharing in BOTH {
            case(mechanism, sharing);
        }
    }
}

/// Scenario 9: many threads wait for the same clients, and each client is served by one of them.
#[test]
fn thundering_herd_each_connection_once() {
    const CLIENTS: usize = 120;
    everywhere(|mechanism, sharing| {
        let (server, opened) = chat(mechanism, sharing);
        let threads = server.start().unwrap();
        let to = address(&threads);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(to)).collect();
        let mut in_loop = [0; LOOPS];
        for client in &mut clients {
            client.send("who\n");
        }
        for client in &mut clients {
            let line = client.line().unwrap();
            let index: usize = line.strip_prefix("loop ").unwrap().parse().unwrap();
            in_loop[index] += 1;
        }
        assert_eq!(in_loop.iter().sum::<usize>(), CLIENTS);
        let mut peers = opened.lock().unwrap().clone();
        assert_eq!(peers.len(), CLIENTS, "{mechanism} {sharing:?}");
        peers.sort();
        peers.dedup();
        assert_eq!(peers.len(), CLIENTS, "each once");
        if sharing == Sharing::Acceptor {
            assert_eq!(in_loop, [CLIENTS / LOOPS; LOOPS], "{mechanism}");
        } else {
            // By chance: with so many, every loop has some.
            assert!(in_loop.iter().all(|&count| count > 0), "{in_loop:?}");
        }
        threads.remotes().stop();
        drop(clients);
        let stats = threads.join().unwrap();
        assert_eq!(stats.accepted as usize, CLIENTS);
        assert_eq!(stats.frames_in as usize, CLIENTS);
        assert!(stats.drained.is_clean(), "{stats:?}");
    });
}

#[test]
fn who_goes_makes_room_for_the_next_in_the_same_loop() {
    for mechanism in mechanisms() {
        let (server, _) = chat(mechanism, Sharing::Acceptor);
        let threads = server.start().unwrap();
        let to = address(&threads);
        let loop_of = |client: &mut Client<_>| {
            client.send("who\n");
            client.line().unwrap()
        };
        let mut clients: Vec<_> = (0..2 * LOOPS).map(|_| Client::connect(to)).collect();
        let loops: Vec<_> = clients.iter_mut().map(loop_of).collect();
        // All clients of one loop go; the next come to it.
        let emptied = loops[0].clone();
        for index in (0..clients.len()).rev() {
            if loops[index] == emptied {
                let mut going = clients.remove(index);
                going.finish();
                assert_eq!(going.line(), None);
                // The server has closed its side; that it has counted it takes one turn more.
            }
        }
        until("two clients in the loop that has room", || {
            let mut next = Client::connect(to);
            let found = loop_of(&mut next) == emptied;
            clients.push(next);
            found
        });
        threads.remotes().stop();
        drop(clients);
        threads.join().unwrap();
    }
}

#[test]
fn loops_tell_each_other() {
    everywhere(|mechanism, sharing| {
        let (server, _) = chat(mechanism, sharing);
        let threads = server.start().unwrap();
        let to = address(&threads);
        let mut clients: Vec<_> = (0..12).map(|_| Client::connect(to)).collect();
        for client in &mut clients {
            client.send("who\n");
            client.line().unwrap();
        }
        clients[0].send("hello everybody\n");
        for client in &mut clients {
            assert_eq!(
                client.line().as_deref(),
                Some("hello everybody"),
                "{mechanism}"
            );
        }
        threads.remotes().stop();
        drop(clients);
        threads.join().unwrap();
    });
}

/// A7 over several loops, with calls that are still being computed.
#[test]
fn a7_drain_under_load_answers_every_accepted_request() {
    const CLIENTS: usize = 24;
    everywhere(|mechanism, sharing| {
        let (server, opened) = chat(mechanism, sharing);
        let threads = server.start().unwrap();
        let (to, remotes) = (address(&threads), threads.remotes());
        assert!(remotes.is_ready());
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(to)).collect();
        for client in &mut clients {
            client.send("compute\ncompute\n");
        }
        // Some are known, some are on their way, some wait in the backlog: all of them were promised an answer.
        until("the first is in", || !opened.lock().unwrap().is_empty());
        remotes.stop();
        assert!(!remotes.is_ready());
        for client in &mut clients {
            for _ in 0..2 {
                assert_eq!(
                    client.line().as_deref(),
                    Some("499500"),
                    "{mechanism} {sharing:?}"
                );
            }
            assert_eq!(client.line(), None);
        }
        drop(clients);
        let stats = threads.join().unwrap();
        assert_eq!(stats.accepted as usize, CLIENTS);
        assert!(stats.drained.is_clean(), "{stats:?}");
    });
}

#[test]
fn a_panic_in_one_loop_is_reported_and_the_others_finish() {
    everywhere(|mechanism, sharing| {
        let (server, _) = chat(mechanism, sharing);
        // Otherwise it would cost one connection, and the loop nothing.
        let server = server.when_panicking(WhenPanicking::Propagate);
        let threads = server.start().unwrap();
        let to = address(&threads);
        let remotes = threads.remotes();
        let mut clients: Vec<_> = (0..9).map(|_| Client::connect(to)).collect();
        for client in &mut clients {
            client.send("who\n");
            assert!(client.line().is_some());
        }
        clients[0].send("panic\n");
        // Some are reset, the others closed in order: nobody hangs.
        for client in &mut clients {
            assert_eq!(client.line(), None, "{mechanism} {sharing:?}");
        }
        drop(clients);
        let gone = Word::ToAll("anybody?".to_owned());
        match threads.join() {
            Ok(stats) => {
                // A panic that the loop itself has caught costs that connection alone.
                panic!("nobody told: {stats:?}");
            }
            Err(failed) => {
                assert_eq!(failed.failures.len(), 1, "{failed}");
                let (index, error) = &failed.failures[0];
                assert!(index.is_some());
                assert!(matches!(error, LoopError::Panicked(_)), "{failed}");
                assert!(failed.to_string().contains("as you wish"), "{failed}");
            }
        }
        assert_eq!(remotes.offer_all(&gone), 0);
    });
}

#[test]
fn when_one_loop_ends_so_do_the_others() {
    everywhere(|mechanism, sharing| {
        let (server, _) = chat(mechanism, sharing);
        let threads = server.start().unwrap();
        let mut client = Client::connect(address(&threads));
        client.send("end\n");
        assert_eq!(client.line(), None, "{mechanism} {sharing:?}");
        drop(client);
        assert_eq!(threads.join().unwrap().accepted, 1);
    });
}

#[test]
fn limits_hold_for_all_loops_together() {
    const PLACES: usize = 4;
    everywhere(|mechanism, sharing| {
        let (server, opened) = chat(mechanism, sharing);
        let threads = server.max_connections(PLACES).start().unwrap();
        let to = address(&threads);
        let clients: Vec<_> = (0..4 * PLACES)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut client = Client::connect(to);
                    client.send("who\n");
                    assert!(client.line().is_some());
                    client.finish();
                    assert_eq!(client.line(), None);
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(opened.lock().unwrap().len(), 4 * PLACES);
        threads.remotes().stop();
        let stats = threads.join().unwrap();
        assert_eq!(
            stats.accepted as usize,
            4 * PLACES,
            "{mechanism} {sharing:?}"
        );
        // Of one loop; that of all is the next test's.
        assert!(stats.peak_open as usize <= LOOPS * PLACES);
        assert_eq!(stats.refused, 0);
    });
}

#[test]
fn a_peer_has_so_many_in_all_loops_together() {
    everywhere(|mechanism, sharing| {
        let (server, _) = chat(mechanism, sharing);
        let limits = Limits {
            per_peer_max: Some(5),
            ..Limits::default()
        };
        let threads = server.limits(limits).start().unwrap();
        let to = address(&threads);
        let mut clients: Vec<_> = (0..12).map(|_| Client::connect(to)).collect();
        let mut answered = 0;
        for client in &mut clients {
            answered += usize::from(client.asks_who());
        }
        assert_eq!(answered, 5, "{mechanism} {sharing:?}");
        threads.remotes().stop();
        drop(clients);
        let stats = threads.join().unwrap();
        assert_eq!(
            (stats.refused_for(Refusal::PerPeer), stats.accepted),
            (7, 5)
        );
    });
}

trait AsksWho {
    fn asks_who(&mut self) -> bool;
}

impl AsksWho for Client<std::net::TcpStream> {
    fn asks_who(&mut self) -> bool {
        use std::io::Write;
        let sent = self.stream().write_all(b"who\n");
        sent.is_ok() && self.line().is_some()
    }
}

#[test]
fn a_socket_file_is_served_by_all_loops() {
    for mechanism in mechanisms() {
        let name = format!("trunkline-threads-{mechanism}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let (server, _) = chat(mechanism, Sharing::ReusePort);
        let threads = server.listen_unix(&path).start().unwrap();
        assert_eq!(threads.addresses()[1].path(), Some(path.as_path()));
        let mut loops = BTreeSet::new();
        let clients: Vec<_> = (0..LOOPS)
            .map(|_| {
                let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut client = Client::over(stream);
                client.send("who\n");
                loops.insert(client.line().unwrap());
                client
            })
            .collect();
        assert_eq!(loops.len(), LOOPS, "{mechanism}");
        threads.remotes().stop();
        drop(clients);
        threads.join().unwrap();
        assert!(!path.exists());
    }
}

#[test]
fn a_port_that_somebody_has_is_not_shared_with_him() {
    for sharing in BOTH {
        let (server, _) = chat(Mechanism::Poll, sharing);
        let threads = server.start().unwrap();
        let taken = address(&threads);
        let (second, _) = chat(Mechanism::Poll, Sharing::ReusePort);
        let error = second.listen(taken).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressInUse, "{sharing:?}");
        threads.remotes().kill();
        threads.join().unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let (third, _) = chat(Mechanism::Poll, sharing);
        let error = third.listen(other.local_addr().unwrap()).start();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::AddressInUse);
    }
}

#[test]
fn a_factory_that_panics_is_an_error_and_leaves_nobody_behind() {
    for sharing in BOTH {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let factory = move |seat: Seat<Word>| {
            assert!(count.fetch_add(1, Ordering::AcqRel) != 1, "not this one");
            Chat {
                seat,
                pool: None,
                members: BTreeSet::new(),
                opened: Opened::default(),
            }
        };
        let server = Server::threads(LOOPS, factory).listen("127.0.0.1:0");
        let error = server.sharing(sharing).start().unwrap_err();
        assert!(error.to_string().contains("not this one"), "{error}");
    }
}
