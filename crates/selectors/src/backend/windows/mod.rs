//! What Unix and Windows have by different names, in Windows's: sockets, their flags, and what a waker raises.

// Both mechanisms, with all functions of the contract, also where there is nothing to do or to refuse.
#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
pub(super) mod table;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::windows::io::AsRawSocket;

use windows_sys::Win32::Networking::WinSock;

use super::{Flags, NO_SLOT};

pub use std::os::windows::io::AsSocket as AsSource;
pub(crate) use std::os::windows::io::BorrowedSocket as Borrowed;
pub use std::os::windows::io::RawSocket as Descriptor;

/// What the system answers when it does not know a socket.
pub(crate) const BAD_DESCRIPTOR: i32 = WinSock::WSAENOTSOCK;

/// The descriptor of a source.
#[inline]
pub(crate) fn descriptor_of(source: &impl AsSource) -> Descriptor {
    source.as_socket().as_raw_socket()
}

/// The slot of the registration of each socket. Sockets are any numbers here, so it takes a map.
#[derive(Default)]
pub(crate) struct Slots(HashMap<Descriptor, u32>);

impl Slots {
    /// Makes room for a descriptor: before anything is put there.
    pub(crate) fn reserve(&mut self, _descriptor: Descriptor) {
        self.0.reserve(1);
    }

    pub(crate) fn put(&mut self, descriptor: Descriptor, slot: u32) {
        self.0.insert(descriptor, slot);
    }

    pub(crate) fn remove(&mut self, descriptor: Descriptor) {
        self.0.remove(&descriptor);
    }

    /// The descriptor's slot, or [`NO_SLOT`].
    pub(crate) fn get(&self, descriptor: Descriptor) -> u32 {
        self.0.get(&descriptor).copied().unwrap_or(NO_SLOT)
    }
}

impl Flags {
    pub(super) const IN: u16 = WinSock::POLLRDNORM.cast_unsigned();
    /// Out-of-band data. `POLLPRI` exists by name, but whoever asks for it is refused.
    pub(super) const PRIORITY: u16 = WinSock::POLLRDBAND.cast_unsigned();
    pub(super) const OUT: u16 = WinSock::POLLWRNORM.cast_unsigned();
    pub(super) const ERROR: u16 = WinSock::POLLERR.cast_unsigned();
    pub(super) const INVALID: u16 = WinSock::POLLNVAL.cast_unsigned();
    /// `POLLHUP`, which on Windows means that the peer has shut down sending.
    pub(super) const READ_HANG_UP: u16 = WinSock::POLLHUP.cast_unsigned();
    /// Both directions have ended: Windows has no word for it, the bit is ours.
    pub(super) const HANG_UP: u16 = 0x1000;

    /// What `WSAPoll` may be asked for; it refuses the whole call for anything else.
    pub(super) fn askable(self) -> i16 {
        (self.0 & (Flags::IN | Flags::OUT | Flags::PRIORITY)).cast_signed()
    }

    /// What the flags mean to somebody with this interest: `Table` has seen to that already.
    pub(super) fn translated(self, _interest: crate::interest::Interest) -> Flags {
        self
    }
}

/// What a waker raises and a mechanism watches: a datagram socket of the loopback interface that is connected to
/// itself. Nobody else can send to it.
pub(crate) struct Signal(UdpSocket);

impl Signal {
    pub(crate) fn new() -> io::Result<Signal> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Signal(socket))
    }

    pub(crate) fn descriptor(&self) -> Borrowed<'_> {
        self.0.as_socket()
    }

    pub(crate) fn raise(&self) -> io::Result<()> {
        match self.0.send(&[1]) {
            // A socket that is full is as raised as can be.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn clear(&self) {
        // It does not block, and has nothing to say but "not raised", which is what is wanted here. The waker raises
        // it once before it is cleared, so one datagram is all there is.
        let _ = self.0.recv(&mut [0; 8]);
    }
}

/// "It is registered already".
pub(crate) fn exists() -> io::Error {
    io::ErrorKind::AlreadyExists.into()
}

/// "It is not registered".
pub(crate) fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// "Not an open socket".
pub(crate) fn not_open() -> io::Error {
    io::Error::from_raw_os_error(BAD_DESCRIPTOR)
}

/// Whether the number could be a socket's.
pub(crate) fn is_descriptor(number: Descriptor) -> bool {
    number as WinSock::SOCKET != WinSock::INVALID_SOCKET
}

/// `WSAPoll` counts in milliseconds, `select` in microseconds.
pub(super) const POLL_TAKES_NANOSECONDS: bool = false;
pub(super) const SELECT_TAKES_NANOSECONDS: bool = false;

/// `WSAPoll` calls it a hang-up.
pub(super) const POLL_TELLS_HALF_CLOSE: bool = true;
/// There is no `kqueue`; on most systems that have it it does.
pub(super) const KQUEUE_TELLS_PRIORITY: bool = true;
/// The end of both directions is no more than the end of input here, and may come behind what is left to read.
pub(crate) const TELLS_HANG_UP: bool = false;
pub(crate) const TELLS_END_BESIDE_DATA: bool = false;

/// Says whether a socket is open, for mechanisms that would say so only at the next wait.
pub(crate) fn check_open(descriptor: Descriptor) -> io::Result<()> {
    option(descriptor, WinSock::SO_TYPE).map(drop)
}

/// An option of a socket that is a number.
fn option(descriptor: Descriptor, option: i32) -> io::Result<i32> {
    let mut value = 0_i32;
    let mut length = size_of::<i32>() as i32;
    // SAFETY: the value is as long as is said. A number that is no socket is an error.
    let failed = unsafe {
        WinSock::getsockopt(
            descriptor as WinSock::SOCKET,
            WinSock::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if failed == 0 {
        Ok(value)
    } else {
        Err(last_error())
    }
}

/// Why the last call failed.
fn last_error() -> io::Error {
    // SAFETY: it takes nothing and reads what belongs to this thread.
    io::Error::from_raw_os_error(unsafe { WinSock::WSAGetLastError() })
}
