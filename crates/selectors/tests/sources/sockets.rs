//! Sockets: TCP, UDP, and the local ones of each kind.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use socket2::{Domain, SockAddr, Socket, Type};
use trunkline_selectors::Mechanism;

use super::answers::{assert_gets_ready, assert_ready, assert_wakes};
use super::place::Place;
use crate::support::{fill, pair, tcp_pair};

pub(crate) fn a_tcp_stream(mechanism: Mechanism) {
    let (a, mut b) = tcp_pair();
    assert_ready(mechanism, &a, &["writable"]);
    let happen = || b.write_all(b"x").expect("written");
    assert_wakes(
        mechanism,
        a.try_clone().expect("a duplicate"),
        happen,
        |mut a| a.read_exact(&mut [0]).expect("a byte"),
    );
    b.shutdown(Shutdown::Write).expect("half-closed");
    assert_gets_ready(mechanism, &a, &["readable", "writable", "read closed"]);
    a.shutdown(Shutdown::Write).expect("half-closed");
    let closed = ["readable", "writable", "read closed", "write closed"];
    assert_gets_ready(mechanism, &a, &closed);
}

/// A non-blocking TCP socket that has begun to connect there.
fn connecting(to: &SockAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_nonblocking(true).expect("non-blocking");
    match socket.connect(to) {
        Ok(()) => {}
        Err(error) => assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::INPROGRESS.raw_os_error())
        ),
    }
    socket.into()
}

pub(crate) fn a_tcp_connection_in_the_making(mechanism: Mechanism) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").into();
    let stream = connecting(&address);
    assert_gets_ready(mechanism, &stream, &["writable"]);
    assert!(stream.take_error().expect("asked").is_none());
}

pub(crate) fn a_tcp_connection_refused(mechanism: Mechanism) {
    // Bound and never listening: nobody else can get the port, and nobody answers there.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any_port: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    silent.bind(&any_port.into()).expect("a free port");
    let address = silent.local_addr().expect("bound");
    let stream = connecting(&address);
    let refused = [
        "readable",
        "writable",
        "read closed",
        "write closed",
        "error",
    ];
    assert_gets_ready(mechanism, &stream, &refused);
    let error = stream.take_error().expect("asked").expect("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

pub(crate) fn a_tcp_listener(mechanism: Mechanism) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    assert_ready(mechanism, &listener, &[]);
    let mut client = None;
    let happen = || client = Some(TcpStream::connect(address).expect("connected"));
    assert_wakes(mechanism, listener, happen, |listener| {
        listener.accept().expect("a connection");
    });
    assert!(client.is_some());
}

pub(crate) fn a_udp_socket(mechanism: Mechanism) {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = receiver.local_addr().expect("bound");
    assert_ready(mechanism, &receiver, &["writable"]);
    // A datagram without a byte is input all the same.
    for datagram in [b"x".as_slice(), b""] {
        let receiver = receiver.try_clone().expect("a duplicate");
        let happen = || {
            sender.send_to(datagram, address).expect("sent");
        };
        assert_wakes(mechanism, receiver, happen, |receiver| {
            let (length, _) = receiver.recv_from(&mut [0; 8]).expect("a datagram");
            assert_eq!(length, datagram.len());
        });
    }
}

pub(crate) fn a_udp_socket_whose_peer_is_gone(mechanism: Mechanism) {
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    sender
        .connect(peer.local_addr().expect("bound"))
        .expect("connected");
    drop(peer);
    sender.send(b"x").expect("sent, and not refused yet");
    assert_gets_ready(mechanism, &sender, &["readable", "writable", "error"]);
    let error = sender.recv(&mut [0; 8]).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_ready(mechanism, &sender, &["writable"]);
}

pub(crate) fn a_unix_stream(mechanism: Mechanism) {
    let (mut a, mut b) = pair();
    assert_ready(mechanism, &a, &["writable"]);
    fill(&mut a);
    assert_ready(mechanism, &a, &[]);
    let happen = || b.write_all(b"x").expect("written");
    assert_wakes(
        mechanism,
        a.try_clone().expect("a duplicate"),
        happen,
        |mut a| a.read_exact(&mut [0]).expect("a byte"),
    );
    drop(b);
    let reset = [
        "readable",
        "writable",
        "read closed",
        "write closed",
        "error",
    ];
    assert_gets_ready(mechanism, &a, &reset);
    let error = a.read(&mut [0; 8]).expect_err("what we sent was not read");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_ready(mechanism, &a, &reset[..4]);
}

pub(crate) fn a_unix_listener(mechanism: Mechanism) {
    let place = Place::new("listener", mechanism);
    let path = place.file("socket");
    let listener = UnixListener::bind(&path).expect("bound");
    assert_ready(mechanism, &listener, &[]);
    let mut client = None;
    let happen = || client = Some(UnixStream::connect(&path).expect("connected"));
    assert_wakes(mechanism, listener, happen, |listener| {
        listener.accept().expect("a connection");
    });
    assert!(client.is_some());
}

pub(crate) fn a_unix_datagram_socket(mechanism: Mechanism) {
    let (a, b) = UnixDatagram::pair().expect("a pair");
    a.set_nonblocking(true).expect("non-blocking");
    assert_ready(mechanism, &a, &["writable"]);
    let happen = || {
        b.send(b"x").expect("sent");
    };
    assert_wakes(
        mechanism,
        a.try_clone().expect("a duplicate"),
        happen,
        |a| assert_eq!(a.recv(&mut [0; 8]).expect("a datagram"), 1),
    );
    while a.send(&[0; 1024]).is_ok() {}
    assert_ready(mechanism, &a, &[]);
    b.set_nonblocking(true).expect("non-blocking");
    while b.recv(&mut [0; 1024]).is_ok() {}
    assert_ready(mechanism, &a, &["writable"]);
    // No connection, no end of one: a datagram socket does not notice that its peer is gone, until it sends.
    drop(b);
    assert_ready(mechanism, &a, &["writable"]);
}

pub(crate) fn a_unix_sequenced_packet_socket(mechanism: Mechanism) {
    let (a, b) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .expect("a pair");
    assert_ready(mechanism, &a, &["writable"]);
    let duplicate: OwnedFd = a.try_clone().expect("a duplicate");
    let happen = || {
        rustix::io::write(&b, b"packet").expect("sent");
    };
    assert_wakes(mechanism, duplicate, happen, |a| {
        // A packet is read whole or lost, so nothing is left of it.
        assert_eq!(rustix::io::read(a, &mut [0; 2]).expect("its start"), 2);
    });
    drop(b);
    let closed = ["readable", "writable", "read closed", "write closed"];
    assert_gets_ready(mechanism, &a, &closed);
}
