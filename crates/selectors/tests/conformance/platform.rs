//! What the cases name alike on every platform: local stream sockets, anybody's socket, and how to look at it.

use std::io;
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use trunkline_selectors::AsSource;

#[cfg(unix)]
pub(crate) use self::unix::{Borrowed, Owned, Stream, borrowed, number};
#[cfg(windows)]
pub(crate) use self::windows::{Borrowed, Owned, Stream, borrowed, number};

#[cfg(unix)]
mod unix {
    use std::os::fd::AsRawFd;

    use trunkline_selectors::AsSource;

    pub(crate) use std::os::fd::{BorrowedFd as Borrowed, OwnedFd as Owned};
    /// One end of a pair of local sockets.
    pub(crate) use std::os::unix::net::UnixStream as Stream;

    pub(crate) fn borrowed(source: &impl AsSource) -> Borrowed<'_> {
        source.as_fd()
    }

    /// The number by which the system knows a source.
    pub(crate) fn number(source: &impl AsSource) -> i64 {
        source.as_fd().as_raw_fd().into()
    }
}

#[cfg(windows)]
mod windows {
    use std::os::windows::io::AsRawSocket;

    use trunkline_selectors::AsSource;

    /// One end of a pair of local sockets.
    pub(crate) use std::net::TcpStream as Stream;
    pub(crate) use std::os::windows::io::{BorrowedSocket as Borrowed, OwnedSocket as Owned};

    pub(crate) fn borrowed(source: &impl AsSource) -> Borrowed<'_> {
        source.as_socket()
    }

    /// The number by which the system knows a source.
    pub(crate) fn number(source: &impl AsSource) -> i64 {
        source.as_socket().as_raw_socket().cast_signed()
    }
}

/// A pair of local sockets; on Windows they are a network's, which tells a close as the end of input only.
pub(crate) fn stream_pair() -> io::Result<(Stream, Stream)> {
    #[cfg(unix)]
    return Stream::pair();
    #[cfg(windows)]
    {
        let (a, b) = super::support::tcp_pair();
        a.set_nodelay(true)?;
        b.set_nodelay(true)?;
        Ok((a, b))
    }
}

/// What is told of a source whose peer has gone, besides what can be read and written.
pub(crate) const PEER_GONE: &[&str] = if cfg!(unix) {
    &["readable", "writable", "read closed", "write closed"]
} else {
    &["readable", "writable", "read closed"]
};

/// Whether a read after a reset may say "the end" instead (Wine gives the error to whoever waits, and then has none).
pub(crate) const RESET_MAY_READ_AS_END: bool = cfg!(windows);

/// Reads from a socket of any kind.
pub(crate) fn read_from(from: &impl AsSource, into: &mut [u8]) -> io::Result<usize> {
    use std::io::Read;
    (&*socket2::SockRef::from(&borrowed(from))).read(into)
}

/// The thread that calls, by its number.
#[cfg(target_os = "linux")]
pub(crate) fn this_thread() -> rustix::process::Pid {
    rustix::thread::gettid()
}

/// Returns once the kernel says that `thread` sleeps, or after a second: then it does not mean to.
#[cfg(target_os = "linux")]
pub(crate) fn await_sleep_of(thread: rustix::process::Pid) {
    let status = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    let give_up = Instant::now() + Duration::from_secs(1);
    while Instant::now() < give_up {
        let text = std::fs::read_to_string(&status).expect("this thread's status");
        // The name in brackets may hold anything; the state is the letter after it.
        let state = text
            .rsplit(')')
            .next()
            .and_then(|rest| rest.trim().chars().next());
        if state == Some('S') {
            return;
        }
        std::thread::yield_now();
    }
}

/// Elsewhere nobody says so, and what must hold for a sleeper is shown for whoever is about to sleep.
#[cfg(not(target_os = "linux"))]
pub(crate) fn this_thread() {}

#[cfg(not(target_os = "linux"))]
pub(crate) fn await_sleep_of((): ()) {
    std::thread::yield_now();
}

/// Raises the soft limit of open descriptors as far as any case needs; false if that is not what this one needs.
#[cfg(unix)]
pub(crate) fn descriptors_up_to(wanted: u64) -> bool {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(20_000);
    if limit.current.is_none_or(|current| current >= most) {
        return limit.current.is_none_or(|current| current >= wanted);
    }
    limit.current = Some(most);
    setrlimit(Resource::Nofile, limit).is_ok() && most >= wanted
}

/// Windows has no such limit.
#[cfg(windows)]
pub(crate) fn descriptors_up_to(_wanted: u64) -> bool {
    true
}
