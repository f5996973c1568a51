//! A selector holds sources of one type; a server has two kinds of them.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

/// The listener, or the connection of one client.
#[derive(Debug)]
pub enum Socket {
    /// Ready for reading means: a client is waiting to be accepted.
    Listener(TcpListener),
    /// A client.
    Client(TcpStream),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(listener) => listener.as_fd(),
            Self::Client(stream) => stream.as_fd(),
        }
    }
}
