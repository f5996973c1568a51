//! Where a socket is: an IP address with its port, or a name in the Unix domain.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::unix::UnixAddress;
use super::{Error, address};

/// What stands before the name of a Unix-domain socket.
const UNIX: &str = "unix:";

/// The address of a socket, on either end.
///
/// ```
/// use trunkline::Address;
///
/// assert_eq!(Address::resolve(":7000")?[0].to_string(), "127.0.0.1:7000");
/// let file = Address::resolve("unix:/run/chat.sock")?.remove(0);
/// assert_eq!(file.to_string(), "unix:/run/chat.sock");
/// assert_eq!(file.ip(), None);
/// # Ok::<(), trunkline::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// TCP.
    Ip(SocketAddr),
    /// A Unix-domain stream socket of this machine.
    Unix(UnixAddress),
}

// Each connection keeps its peer's: a name of another kind must not make an idle one bigger.
const _: () = assert!(size_of::<Address>() == size_of::<SocketAddr>());

impl Address {
    /// Makes a text into addresses, best first: `unix:/path` for a socket file, `unix:@name` for an abstract name
    /// (Linux), and everything that [`resolve`](super::resolve) understands.
    ///
    /// # Errors
    /// Those of [`resolve`](super::resolve), and [`BadAddress`](super::ErrorKind::BadAddress) for a name that is empty
    /// or too long for the system.
    pub fn resolve(text: &str) -> Result<Vec<Self>, Error> {
        match text.strip_prefix(UNIX) {
            Some(name) => Ok(vec![Self::Unix(UnixAddress::named(name)?)]),
            None => Ok(address::resolve(text)?.into_iter().map(Self::Ip).collect()),
        }
    }

    /// Whether a text names a Unix-domain socket, rightly or wrongly.
    pub fn is_unix_text(text: &str) -> bool {
        text.starts_with(UNIX)
    }

    /// The IP address with its port; `None` in the Unix domain.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The IP address; `None` in the Unix domain.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }

    /// The path of the socket file; `None` if there is none.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Ip(_) => None,
            Self::Unix(name) => name.path(),
        }
    }

    /// Is it in the Unix domain?
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Unix(name) => name.fmt(formatter),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<UnixAddress> for Address {
    fn from(name: UnixAddress) -> Self {
        Self::Unix(name)
    }
}

impl PartialEq<SocketAddr> for Address {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.socket_addr() == Some(*other)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ErrorKind;
    use super::*;

    #[test]
    fn every_way_to_write_one() {
        for (text, shown) in [
            (":7000", "127.0.0.1:7000"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:a.sock", "unix:a.sock"),
            ("unix:@a", "unix:@a"),
            ("unix:./@a", "unix:./@a"),
        ] {
            assert_eq!(Address::resolve(text).unwrap()[0].to_string(), shown);
        }
        assert_eq!(
            Address::Unix(UnixAddress::unnamed()).to_string(),
            "unix:(unnamed)"
        );
    }

    #[test]
    fn what_is_none_says_why_and_what_next() {
        let long = format!("unix:/{}", "x".repeat(200));
        for (text, why) in [
            ("unix:", "the name of the socket is missing"),
            ("unix:@", "the name of the socket is missing"),
            (&long, "the name is longer than"),
        ] {
            let error = Address::resolve(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadAddress, "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert!(error.hint().is_some(), "{text}");
        }
    }
}
