//! What is waited for.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Resource, getrlimit, setrlimit};

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// An eventfd: the cheapest thing that can become ready, so that waiting has the largest part in the cost.
    Counter,
    /// A pair of local stream sockets.
    Socket,
}

impl Flavour {
    /// How many descriptors one takes.
    pub fn descriptors(self) -> usize {
        match self {
            Flavour::Counter => 1,
            Flavour::Socket => 2,
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Flavour::Counter => "eventfd",
            Flavour::Socket => "local sockets",
        })
    }
}

/// Many sources of one kind, and what makes them ready.
pub struct Sources {
    ends: Vec<OwnedFd>,
    peers: Vec<OwnedFd>,
}

impl Sources {
    /// Opens that many.
    pub fn open(flavour: Flavour, count: usize) -> io::Result<Sources> {
        let mut sources = Sources {
            ends: Vec::with_capacity(count),
            peers: Vec::new(),
        };
        for _ in 0..count {
            match flavour {
                Flavour::Counter => {
                    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
                    sources.ends.push(eventfd(0, flags)?);
                }
                Flavour::Socket => {
                    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                    let (end, peer) =
                        socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                    sources.ends.push(end);
                    sources.peers.push(peer);
                }
            }
        }
        Ok(sources)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One of them.
    pub fn source(&self, number: usize) -> BorrowedFd<'_> {
        self.ends[number].as_fd()
    }

    /// Makes one ready. Not inlined, so that it costs the same whoever it is done for.
    #[inline(never)]
    pub fn raise(&self, number: usize) -> io::Result<()> {
        let to = self.peers.get(number).unwrap_or(&self.ends[number]);
        rustix::io::write(to, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

/// Reads all there is from a source: how often, which is once, or not at all if there is nothing. Not inlined, so that
/// it costs the same whoever it is done for.
#[inline(never)]
pub(crate) fn drain(source: BorrowedFd<'_>) -> usize {
    usize::from(rustix::io::read(source, &mut [0; 8]).is_ok())
}

/// Raises the soft limit on descriptors to the hard one, and says how many sources of this kind it leaves room for.
pub fn raise_descriptor_limit(flavour: Flavour) -> usize {
    const SPARE: usize = 100;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that fails, the limit is what it was.
    let _ = setrlimit(Resource::Nofile, limit);
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors)
        .unwrap_or(usize::MAX)
        .saturating_sub(SPARE)
        / flavour.descriptors()
}
