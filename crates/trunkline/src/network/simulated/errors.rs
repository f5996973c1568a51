//! The error numbers that the simulated network returns, as Linux numbers them.

use std::io;

/// A system error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i32);

/// `EAGAIN`
pub(super) const WOULD_BLOCK: Errno = Errno(11);
/// `ENFILE`
pub(super) const SYSTEM_OUT_OF_DESCRIPTORS: Errno = Errno(23);
/// `EMFILE`
pub(super) const OUT_OF_DESCRIPTORS: Errno = Errno(24);
/// `EPIPE`
pub(super) const BROKEN_PIPE: Errno = Errno(32);
/// `EADDRINUSE`
pub(super) const ADDRESS_IN_USE: Errno = Errno(98);
/// `EADDRNOTAVAIL`
pub(super) const ADDRESS_NOT_AVAILABLE: Errno = Errno(99);
/// `ECONNABORTED`
pub(super) const ABORTED: Errno = Errno(103);
/// `ECONNRESET`
pub(super) const RESET: Errno = Errno(104);
/// `ENOBUFS`
pub(super) const OUT_OF_BUFFERS: Errno = Errno(105);
/// `ENOTCONN`
pub(super) const NOT_CONNECTED: Errno = Errno(107);
/// `ETIMEDOUT`
pub(super) const TIMED_OUT: Errno = Errno(110);
/// `ECONNREFUSED`
pub(super) const REFUSED: Errno = Errno(111);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}
