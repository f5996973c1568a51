//! Unix-domain sockets, on every mechanism.
#![forbid(unsafe_code)]

mod common;

use std::io::{IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{Client, Echo, PATIENCE, kernel, mechanisms};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use trunkline::{
    Address, Cause, Chunks, Closed, ConnectionId, Error, ErrorKind, EventLoop, Flow, Handler, Io,
    Mechanism, Operation, Options, Remote, Server, Stats, UnixAddress,
};

/// A directory that goes away again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trunkline-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self, mechanism: Mechanism) -> PathBuf {
        self.0.join(mechanism.to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn serve(
    mechanism: Mechanism,
    path: &Path,
    options: Options,
    clients: impl FnOnce(&Remote<()>),
) -> Stats {
    let (sender, made) = channel();
    let path = path.to_owned();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let server = Server::new(Echo).options(options).mechanism(mechanism);
            let server = server.listen_unix(&path).start().unwrap();
            assert_eq!(server.bound_addresses()[0].path(), Some(path.as_path()));
            assert!(server.local_addresses().is_empty());
            sender.send(server.remote()).unwrap();
            server.run().unwrap().1
        });
        let remote = made.recv().unwrap();
        clients(&remote);
        remote.stop();
        server.join().unwrap()
    })
}

fn connect(path: &Path) -> Client<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    Client::over(stream)
}

#[test]
fn an_echo_over_a_socket_file_that_is_gone_afterwards() {
    let folder = Folder::new("echo");
    for mechanism in mechanisms() {
        let path = folder.socket(mechanism);
        let stats = serve(mechanism, &path, Options::default(), |_| {
            let mut clients: Vec<_> = (0..20).map(|_| connect(&path)).collect();
            for _ in 0..10 {
                assert!(clients.iter_mut().all(Client::is_served), "{mechanism}");
            }
        });
        assert_eq!((stats.accepted, stats.frames_in), (20, 200), "{mechanism}");
        assert!(!path.exists(), "{mechanism}");
    }
}

#[test]
fn e4_a_descriptor_sent_along_ends_a_read_and_the_rest_is_read_all_the_same() {
    let folder = Folder::new("descriptor");
    for mechanism in mechanisms() {
        let path = folder.socket(mechanism);
        serve(mechanism, &path, Options::default(), |_| {
            let mut client = connect(&path);
            assert!(client.is_served());
            // While the server is busy with a long line, so that all of this is there when it reads.
            client.send(vec![b'x'; 300_000]);
            client.send("\n");
            let file = std::fs::File::open("/dev/null").unwrap();
            let descriptors = [file.as_fd()];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut along = SendAncillaryBuffer::new(&mut space);
            assert!(along.push(SendAncillaryMessage::ScmRights(&descriptors)));
            let stream = client.stream();
            let slices = [IoSlice::new(b"with a descriptor\n")];
            rustix::net::sendmsg(stream, &slices, &mut along, SendFlags::NOSIGNAL).unwrap();
            client.send("and the rest\n");
            assert_eq!(client.line().map(|line| line.len()), Some(300_000));
            assert_eq!(client.line().as_deref(), Some("with a descriptor"));
            assert_eq!(
                client.line().as_deref(),
                Some("and the rest"),
                "{mechanism}"
            );
        });
    }
}

#[test]
fn a5_close_loses_nothing_that_was_queued() {
    const LINES: usize = 20_000;
    let folder = Folder::new("close");
    for mechanism in mechanisms() {
        let path = folder.socket(mechanism);
        serve(mechanism, &path, Options::default(), |remote| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut writer = stream.try_clone().unwrap();
            let lines: Vec<_> = (0..LINES).map(|line| format!("{line:0>60}\n")).collect();
            let text = lines.concat();
            let sent = text.clone();
            let writing = std::thread::spawn(move || {
                writer.write_all(sent.as_bytes()).unwrap();
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut heard = String::new();
            stream.read_to_string(&mut heard).unwrap();
            writing.join().unwrap();
            assert!(heard == text, "{mechanism}: {} bytes", heard.len());
            remote.stop();
        });
    }
}

/// Connects, says one thing, and reports.
struct Caller {
    to: Vec<Address>,
    heard: Vec<u8>,
    peers: Vec<String>,
    failed: Vec<Error>,
    closed: Vec<Cause>,
}

impl Caller {
    fn new() -> Self {
        Self {
            to: Vec::new(),
            heard: Vec::new(),
            peers: Vec::new(),
            failed: Vec::new(),
            closed: Vec::new(),
        }
    }
}

impl Handler for Caller {
    type Codec = Chunks;
    type State = ();
    type Message = ();

    fn codec(&self) -> Chunks {
        Chunks::new()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.peers.push(io.peer()?.to_string());
        let _ = io.send(b"hello\n");
        io.finish();
        if let Some(next) = self.to.pop() {
            io.connect_to(&next);
        }
        Some(())
    }

    fn frame(&mut self, (): &mut (), _io: &mut Io<'_, Self>, bytes: &[u8]) -> Flow {
        self.heard.extend_from_slice(bytes);
        Flow::Continue
    }

    fn connect_failed(&mut self, _io: &mut Io<'_, Self>, _id: ConnectionId, error: Error) {
        self.failed.push(error);
    }

    fn closed(&mut self, (): (), _io: &mut Io<'_, Self>, closed: Closed) {
        self.closed.push(closed.cause);
    }
}

fn caller(mechanism: Mechanism) -> EventLoop<Caller> {
    let options = Options {
        until_idle: true,
        connect_timeout: Duration::from_millis(200),
        ..Options::default()
    };
    EventLoop::over(kernel(mechanism), Caller::new(), options)
}

#[test]
fn a_client_of_ours_talks_over_a_socket_file_and_over_a_port_alike() {
    let folder = Folder::new("client");
    for mechanism in mechanisms() {
        let path = folder.socket(mechanism);
        serve(mechanism, &path, Options::default(), |_| {
            let mut client = caller(mechanism);
            client.connect_to(&UnixAddress::from_path(&path).unwrap().into());
            let (caller, stats) = client.run().unwrap();
            assert_eq!(caller.heard, b"hello\n", "{mechanism}");
            assert_eq!(caller.peers, [format!("unix:{}", path.display())]);
            assert!(matches!(caller.closed[..], [Cause::Finished]));
            assert_eq!(stats.connected, 1);
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_needs_no_file() {
    for mechanism in mechanisms() {
        let text = format!("unix:@trunkline-{mechanism}-{}", std::process::id());
        let mut server = EventLoop::over(kernel(mechanism), Echo, Options::default());
        let address = Address::resolve(&text).unwrap().remove(0);
        assert_eq!(server.listen_on(&address).unwrap().to_string(), text);
        let remote = server.remote();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = caller(mechanism);
                client.connect_to(&address);
                let (caller, _) = client.run().unwrap();
                assert_eq!(caller.heard, b"hello\n", "{mechanism}");
                remote.stop();
            });
            server.run().unwrap();
        });
        assert!(server_is_gone(&address, mechanism));
    }
}

fn server_is_gone(address: &Address, mechanism: Mechanism) -> bool {
    let mut client = caller(mechanism);
    client.connect_to(address);
    let (caller, _) = client.run().unwrap();
    matches!(&caller.failed[..], [error] if error.kind() == ErrorKind::Refused)
}

#[test]
fn what_is_not_there_fails_once_and_says_what_to_do() {
    let folder = Folder::new("nobody");
    for mechanism in mechanisms() {
        let path = folder.socket(mechanism);
        let mut client = caller(mechanism);
        client.connect_to(&UnixAddress::from_path(&path).unwrap().into());
        let (caller, stats) = client.run().unwrap();
        let [error] = &caller.failed[..] else {
            panic!("{:?}", caller.failed);
        };
        assert_eq!(error.kind(), ErrorKind::NoSuchFile);
        assert_eq!(error.operation(), Operation::Connect);
        assert!(error.hint().is_some());
        assert_eq!((stats.connect_failed, stats.connected), (1, 0));
    }
}

#[test]
fn a_full_backlog_is_waited_for_until_the_deadline() {
    let folder = Folder::new("backlog");
    for mechanism in mechanisms() {
        let path = folder.socket(mechanism);
        let address: Address = UnixAddress::from_path(&path).unwrap().into();
        let shallow = Options {
            backlog: 0,
            ..Options::default()
        };
        let mut server = EventLoop::over(kernel(mechanism), Echo, shallow);
        server.listen_on(&address).unwrap();
        // Nobody accepts: at the latest the third finds no room.
        let mut client = caller(mechanism);
        for _ in 0..3 {
            client.connect_to(&address);
        }
        let mut turns = 0;
        while client.handler().failed.is_empty() {
            assert!(client.turn(Some(Duration::from_secs(1))).unwrap());
            turns += 1;
        }
        let failed = &client.handler().failed;
        assert!(
            failed
                .iter()
                .all(|error| error.kind() == ErrorKind::TimedOut),
            "{failed:?}"
        );
        assert!(turns < 500, "{mechanism}: {turns} turns in 200 ms");
        // And one that finds room in time is made.
        client.connect_to(&address);
        for _ in 0..3 {
            client.turn(Some(Duration::ZERO)).unwrap();
        }
        let before = client.stats().connected;
        let deadline = std::time::Instant::now() + PATIENCE;
        while client.stats().connected == before {
            server.turn(Some(Duration::ZERO)).unwrap();
            client.turn(Some(Duration::from_millis(1))).unwrap();
            assert!(std::time::Instant::now() < deadline, "{mechanism}");
        }
    }
}

#[test]
fn two_servers_exclude_each_other() {
    let folder = Folder::new("twice");
    let path = folder.0.join("socket");
    let first = Server::new(Echo).listen_unix(&path).start().unwrap();
    let second = Server::new(Echo).listen_unix(&path).start().unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddressInUse);
    assert!(second.to_string().contains("unix:"), "{second}");
    assert!(second.hint().unwrap().contains("path"), "{second}");
    assert!(path.exists());
    drop(first);
    assert!(!path.exists());
}

#[test]
fn drain_answers_what_was_asked_and_removes_the_file_first() {
    let folder = Folder::new("drain");
    for mechanism in mechanisms() {
        let path = folder.socket(mechanism);
        let stats = serve(mechanism, &path, Options::default(), |remote| {
            let mut clients: Vec<_> = (0..10).map(|_| connect(&path)).collect();
            for client in &mut clients {
                client.send("hello\n");
            }
            remote.stop();
            for client in &mut clients {
                assert_eq!(client.line().as_deref(), Some("hello"), "{mechanism}");
                assert_eq!(client.line(), None);
            }
            assert!(!path.exists());
        });
        assert_eq!(stats.drained.finished, 10, "{mechanism}: {stats:?}");
        assert!(stats.drained.is_clean());
    }
}
