//! Addresses, listening, connecting, and errors that say what, why and what next.
//!
//! Nothing here blocks but [`resolve`], which may ask a name server.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

mod address;
mod endpoint;
mod error;
pub(crate) mod unix;

pub(crate) use address::interleaved;
pub use address::{DEFAULT_HOST, resolve};
pub use endpoint::Address;
pub use error::{Error, ErrorKind, Operation};
pub use unix::UnixAddress;

/// Opens a non-blocking listening socket. What it accepts inherits `TCP_NODELAY`.
///
/// `SO_REUSEADDR` is set: a restarted server need not wait for the connections of its predecessor to be
/// forgotten. On Linux two listeners on one port still exclude each other.
///
/// # Errors
/// Those of `socket`, `setsockopt`, `bind` and `listen`.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    listening_socket(address, backlog, false)
}

fn listening_socket(address: SocketAddr, backlog: u32, shared: bool) -> io::Result<TcpListener> {
    let socket = non_blocking_socket(address)?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Says whether nobody else is bound to an address: two sockets that share a port would not notice.
pub(crate) fn check_free(address: SocketAddr) -> io::Result<()> {
    let socket = non_blocking_socket(address)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

/// A listening socket that any loop may take over
/// ([`Network::adopt_listener`](crate::network::Network::adopt_listener)).
#[derive(Debug)]
pub struct Bound {
    /// Goes before the socket.
    file: Option<unix::SocketFile>,
    socket: OwnedFd,
    address: Address,
}

/// How a listening socket is bound.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Binding {
    /// Other sockets of this process take connections of the same port (`SO_REUSEPORT`).
    pub(crate) shared: bool,
    /// The permission bits of a socket file.
    pub(crate) unix_mode: Option<u32>,
}

impl Bound {
    /// Where it is bound: with port 0, the port found.
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn into_parts(self) -> (OwnedFd, Address, Option<unix::SocketFile>) {
        (self.socket, self.address, self.file)
    }
}

/// Opens a non-blocking listening socket in either domain.
pub(crate) fn bind(address: &Address, backlog: u32, binding: &Binding) -> io::Result<Bound> {
    match address {
        Address::Ip(address) => {
            let listener = listening_socket(*address, backlog, binding.shared)?;
            Ok(Bound {
                address: listener.local_addr()?.into(),
                socket: listener.into(),
                file: None,
            })
        }
        Address::Unix(name) => {
            let (socket, file) = unix::listen(name, backlog, binding.unix_mode)?;
            Ok(Bound {
                socket,
                address: address.clone(),
                file,
            })
        }
    }
}

/// Starts to connect and returns at once: the stream becomes writable when the outcome is known, and
/// [`TcpStream::take_error`] then tells it.
///
/// # Errors
/// Those of `socket` and `setsockopt`, and what `connect` knows at once (no route, for example).
pub fn connect_start(address: SocketAddr) -> io::Result<TcpStream> {
    connect_from(None, address)
}

/// As [`connect_start`], from this address of our own machine. One address has no more ports than there are numbers
/// (on Linux 28 232, unless set otherwise), and so many connections to one server; several have several times as many.
///
/// # Errors
/// Those of `socket`, `setsockopt` and `bind`, and what `connect` knows at once.
pub fn connect_from(source: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = non_blocking_socket(address)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        // An interrupted connect goes on in the background, just as one "in progress" does.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

/// Messages here are small answers: waiting to fill a packet only costs time, so `TCP_NODELAY` always.
fn non_blocking_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn an_empty_backlog_would_block() {
        let listener = listen(any_port(), 16).unwrap();
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn connecting_reaches_the_listener() {
        let listener = listen(any_port(), 16).unwrap();
        let mut client = connect_start(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        assert!(
            accepted.nodelay().unwrap(),
            "what is accepted inherits TCP_NODELAY"
        );
        assert!(client.nodelay().unwrap());
        accepted.write_all(b"x").unwrap();
        client.set_nonblocking(false).unwrap();
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn a_connection_comes_from_the_address_it_was_given() {
        let listener = listen(any_port(), 16).unwrap();
        listener.set_nonblocking(false).unwrap();
        let source = IpAddr::from([127, 0, 0, 2]);
        let client = connect_from(Some(source), listener.local_addr().unwrap()).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), source);
        assert_eq!(client.local_addr().unwrap(), peer);
    }

    #[test]
    fn two_listeners_exclude_each_other() {
        let first = listen(any_port(), 16).unwrap();
        let second = listen(first.local_addr().unwrap(), 16).unwrap_err();
        assert_eq!(
            Error::new(Operation::Bind, None, second).kind(),
            ErrorKind::AddressInUse
        );
    }
}
