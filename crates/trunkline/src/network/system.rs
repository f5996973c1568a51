//! What takes more calls on Apple's systems than on others: to accept a connection, and to write without a signal if the
//! peer is gone.

use std::os::fd::OwnedFd;

use rustix::net::{SendFlags, SocketAddrAny};

#[cfg(not(target_vendor = "apple"))]
mod apart {
    use rustix::net::{SocketFlags, acceptfrom_with};

    use super::{OwnedFd, SendFlags, SocketAddrAny};

    pub(in super::super) const WRITE_FLAGS: SendFlags = SendFlags::NOSIGNAL;

    /// Takes a connection from the backlog: it does not block, and is not inherited by children.
    #[inline(always)]
    pub(in super::super) fn accept(
        listener: &OwnedFd,
    ) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
    }
}

#[cfg(target_vendor = "apple")]
mod apart {
    use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio};
    use rustix::net::acceptfrom;
    use socket2::SockRef;

    use super::{OwnedFd, SendFlags, SocketAddrAny};

    pub(in super::super) const WRITE_FLAGS: SendFlags = SendFlags::empty();

    /// The same. A child that another thread starts between the calls may inherit the socket: there is no other way here.
    pub(in super::super) fn accept(
        listener: &OwnedFd,
    ) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        let (stream, peer) = acceptfrom(listener)?;
        fcntl_setfd(&stream, FdFlags::CLOEXEC)?;
        ioctl_fionbio(&stream, true)?;
        let silent = SockRef::from(&stream).set_nosigpipe(true);
        // Refused for a peer that is gone already: the same as a connection that was aborted in the backlog.
        silent.map_err(|_| Errno::CONNABORTED)?;
        Ok((stream, peer))
    }
}

pub(super) use apart::{WRITE_FLAGS, accept};
