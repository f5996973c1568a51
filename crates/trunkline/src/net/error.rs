//! One error type for the network: which operation, on what, why, and what to do next.

use std::borrow::Cow;
use std::fmt;
use std::io;

use rustix::io::Errno;

use super::Address;
use super::address::Problem;
use super::unix::InTheWay;

/// An operation on the network failed.
///
/// `Display` is one line, what and why: `cannot bind 127.0.0.1:80: permission denied`. What to do about
/// it is in [`Error::hint`].
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    operation: Operation,
    address: Option<String>,
    source: Option<io::Error>,
    /// The other attempts, where several addresses were tried.
    others: Vec<Error>,
}

/// Why an operation failed, the same on every platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The machine answered that nobody listens there.
    Refused,
    /// Nobody answered in time.
    TimedOut,
    /// There is no way to that network or machine.
    Unreachable,
    /// The host's name has no address, or no name server could be asked.
    NameNotFound,
    /// There is no socket file of that name, or no directory for it.
    NoSuchFile,
    /// Another socket is bound to this address.
    AddressInUse,
    /// The address is not one of this machine's.
    AddressNotAvailable,
    /// The operating system does not let this user do it.
    PermissionDenied,
    /// This process, or the whole machine, may open no more files and sockets.
    OutOfDescriptors,
    /// The operating system has no memory for another socket, or for its buffers.
    OutOfMemory,
    /// The peer, or the network between, cut the connection.
    Reset,
    /// The peer no longer reads.
    BrokenPipe,
    /// The text is not an address.
    BadAddress,
    /// This machine has no such thing.
    NotSupported,
    /// Anything else: the source says what.
    Other,
}

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Making a text into addresses.
    Resolve,
    /// Opening a listening socket on an address.
    Bind,
    /// Taking a connection from the backlog.
    Accept,
    /// Connecting to an address.
    Connect,
    /// Receiving.
    Receive,
    /// Sending.
    Send,
    /// Ending the sending direction.
    Shutdown,
    /// Setting up the event loop: its selector and its waker.
    Start,
    /// Waiting for readiness.
    Wait,
}

impl Error {
    /// An operation, on an address if one is known, failed with `source`: the kind follows from it.
    pub fn new(
        operation: Operation,
        address: impl Into<Option<String>>,
        source: io::Error,
    ) -> Self {
        Self {
            kind: classify(operation, &source),
            operation,
            address: address.into(),
            source: Some(source),
            others: Vec::new(),
        }
    }

    /// An operation failed for a reason that no system call reported, such as a deadline of our own.
    pub fn of_kind(
        kind: ErrorKind,
        operation: Operation,
        address: impl Into<Option<String>>,
    ) -> Self {
        Self {
            kind,
            operation,
            address: address.into(),
            source: None,
            others: Vec::new(),
        }
    }

    /// The same once more, for a second place to tell it. (What the system said cannot be copied, but said again.)
    pub(crate) fn twin(&self) -> Self {
        Self {
            kind: self.kind,
            operation: self.operation,
            address: self.address.clone(),
            source: self
                .source
                .as_ref()
                .map(|source| match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                }),
            others: self.others.iter().map(Self::twin).collect(),
        }
    }

    /// Several addresses were tried, and this is what became of each. The one that says most about what to do
    /// speaks for all: that a machine refused tells more than that another could not be reached.
    pub(crate) fn of_attempts(mut failures: Vec<Error>) -> Self {
        let telling = |error: &Error| match error.kind {
            ErrorKind::OutOfDescriptors | ErrorKind::OutOfMemory => 0,
            ErrorKind::Refused => 1,
            ErrorKind::Reset | ErrorKind::PermissionDenied => 2,
            ErrorKind::TimedOut => 3,
            ErrorKind::Unreachable => 4,
            _ => 5,
        };
        // The first among equals.
        let most = (0..failures.len()).min_by_key(|&index| telling(&failures[index]));
        let Some(most) = most else {
            return Self::of_kind(ErrorKind::NameNotFound, Operation::Connect, None);
        };
        let mut error = failures.remove(most);
        error.others = failures;
        error
    }

    /// Where an operation was tried on several addresses: what became of the others.
    pub fn others(&self) -> &[Error] {
        &self.others
    }

    /// Why.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was attempted.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// On which address, as it was given.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// What to do next, where there is something sensible to say.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        if let Some(problem) = self.problem() {
            return Some(problem.hint());
        }
        let in_unix_domain = self.address().is_some_and(Address::is_unix_text);
        if in_unix_domain && let Some(hint) = self.unix_hint() {
            return Some(Cow::Borrowed(hint));
        }
        Some(Cow::Borrowed(match (self.kind, self.operation) {
            (ErrorKind::NoSuchFile, _) => "check the spelling of the path",
            (ErrorKind::Refused, _) => {
                "nobody listens there: is the server running, and is the port right?"
            }
            (ErrorKind::TimedOut, Operation::Connect) => {
                "nobody answered: is the host up, and does a firewall drop the packets?"
            }
            (ErrorKind::TimedOut, _) => {
                "the other side no longer answers: it, or the network between, is perhaps down"
            }
            (ErrorKind::Unreachable, _) => {
                "check the network connection and the route to that host"
            }
            (ErrorKind::NameNotFound, _) => {
                "check the spelling and the name server, or write the address in numbers, such as 127.0.0.1:10001"
            }
            (ErrorKind::AddressInUse, _) => {
                "another program listens there: stop it, or choose another port (0 lets the system choose)"
            }
            (ErrorKind::AddressNotAvailable, Operation::Bind) => {
                "bind one of this machine's own addresses: 127.0.0.1 is always there"
            }
            (ErrorKind::AddressNotAvailable, _) => {
                "no local port is left for that address, or it can be no destination"
            }
            (ErrorKind::PermissionDenied, Operation::Bind) => {
                "ports below 1024 need a privilege: choose a higher port, or grant CAP_NET_BIND_SERVICE"
            }
            (ErrorKind::PermissionDenied, _) => "a firewall or a sandbox forbids it",
            (ErrorKind::Reset | ErrorKind::BrokenPipe, _) => {
                "the other side, or something in between, cut the connection: its log may say why"
            }
            (ErrorKind::OutOfDescriptors, _) => {
                "raise the limit with `ulimit -n`, or allow fewer connections"
            }
            (ErrorKind::OutOfMemory, _) => {
                "the system has no memory left for sockets: allow fewer connections, or give it more (sysctl net.ipv4.tcp_mem)"
            }
            (ErrorKind::NotSupported, Operation::Start) => {
                "choose another mechanism: each machine has at least one"
            }
            (ErrorKind::NotSupported, _) => {
                "this machine lacks it: perhaps IPv6 is turned off, and an IPv4 address would do"
            }
            // There is always a problem with it, handled above, and of the rest nobody knows.
            (ErrorKind::BadAddress | ErrorKind::Other, _) => return None,
        }))
    }

    /// What to do next about a Unix-domain socket, where it is not the same as in the network.
    fn unix_hint(&self) -> Option<&'static str> {
        Some(match (self.kind, self.operation) {
            (ErrorKind::NoSuchFile, Operation::Bind) => {
                "the directory has to be there: make it, or choose another path"
            }
            (ErrorKind::NoSuchFile, _) => {
                "there is no such socket: is the server running, and is the path right?"
            }
            (ErrorKind::Refused, _) => "nobody listens there any more: start the server again",
            (ErrorKind::AddressInUse, _) if self.is_in_the_way() => {
                "remove the file, or choose another path"
            }
            (ErrorKind::AddressInUse, _) => {
                "another program listens there: stop it, or choose another path"
            }
            (ErrorKind::TimedOut, Operation::Connect) => {
                "the server has more clients waiting than it takes: is it stuck?"
            }
            (ErrorKind::PermissionDenied, Operation::Bind) => {
                "this user may not write to that directory: choose another one"
            }
            (ErrorKind::PermissionDenied, _) => "the socket file's permissions keep this user out",
            (ErrorKind::NotSupported, Operation::Bind | Operation::Connect) => {
                "this network has no Unix-domain sockets: use an IP address"
            }
            _ => return None,
        })
    }

    fn is_in_the_way(&self) -> bool {
        let custom = self.source.as_ref().and_then(io::Error::get_ref);
        custom.is_some_and(<dyn std::error::Error + Send + Sync>::is::<InTheWay>)
    }

    fn problem(&self) -> Option<&Problem> {
        self.source.as_ref()?.get_ref()?.downcast_ref()
    }

    fn write_reason(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An error made by a program rather than by the system says more than its kind does.
        if let Some(custom) = self.source.as_ref().and_then(io::Error::get_ref)
            && self.kind != ErrorKind::NameNotFound
        {
            return fmt::Display::fmt(custom, formatter);
        }
        formatter.write_str(match self.kind {
            ErrorKind::Refused => "connection refused",
            ErrorKind::TimedOut => "timed out",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::NameNotFound => "name not found",
            ErrorKind::NoSuchFile => "no such file or directory",
            ErrorKind::AddressInUse => "address in use",
            ErrorKind::AddressNotAvailable => "address not available",
            ErrorKind::PermissionDenied => "permission denied",
            ErrorKind::OutOfDescriptors => "out of descriptors",
            ErrorKind::OutOfMemory => "out of memory",
            ErrorKind::Reset => "connection reset",
            ErrorKind::BrokenPipe => "broken pipe",
            ErrorKind::BadAddress => "not an address",
            ErrorKind::NotSupported => "not supported here",
            ErrorKind::Other => match &self.source {
                Some(source) => return fmt::Display::fmt(source, formatter),
                None => "failed",
            },
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == ErrorKind::BadAddress {
            write!(
                formatter,
                "bad address {:?}: ",
                self.address.as_deref().unwrap_or_default()
            )?;
        } else {
            write!(formatter, "cannot {}", self.operation)?;
            if let Some(address) = &self.address {
                write!(formatter, "{}{address}", self.operation.preposition())?;
            }
            formatter.write_str(": ")?;
        }
        self.write_reason(formatter)?;
        for (index, other) in self.others.iter().enumerate() {
            let before = if index == 0 { " (nor to " } else { ", nor to " };
            let address = other.address.as_deref().unwrap_or("an unknown address");
            write!(formatter, "{before}{address}: ")?;
            other.write_reason(formatter)?;
        }
        formatter.write_str(if self.others.is_empty() { "" } else { ")" })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl Operation {
    /// What stands between the verb and the address.
    fn preposition(self) -> &'static str {
        match self {
            Self::Resolve | Self::Bind => " ",
            Self::Accept => " on ",
            Self::Connect | Self::Send | Self::Shutdown => " to ",
            Self::Receive => " from ",
            Self::Start | Self::Wait => " for ",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Resolve => "resolve",
            Self::Bind => "bind",
            Self::Accept => "accept",
            Self::Connect => "connect",
            Self::Receive => "receive",
            Self::Send => "send",
            Self::Shutdown => "end sending",
            Self::Start => "start the event loop",
            Self::Wait => "wait for readiness",
        })
    }
}

fn classify(operation: Operation, source: &io::Error) -> ErrorKind {
    let errno = source.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        Some(Errno::MFILE | Errno::NFILE) => return ErrorKind::OutOfDescriptors,
        Some(Errno::NOBUFS | Errno::NOMEM) => return ErrorKind::OutOfMemory,
        Some(Errno::NETRESET) => return ErrorKind::Reset,
        Some(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => return ErrorKind::NotSupported,
        Some(Errno::HOSTDOWN) => return ErrorKind::Unreachable,
        _ => {}
    }
    match source.kind() {
        io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
        io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => ErrorKind::Unreachable,
        io::ErrorKind::AddrInUse => ErrorKind::AddressInUse,
        io::ErrorKind::AddrNotAvailable => ErrorKind::AddressNotAvailable,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => ErrorKind::Reset,
        io::ErrorKind::BrokenPipe => ErrorKind::BrokenPipe,
        io::ErrorKind::Unsupported => ErrorKind::NotSupported,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            if operation != Operation::Resolve =>
        {
            ErrorKind::NoSuchFile
        }
        _ if operation != Operation::Resolve => ErrorKind::Other,
        io::ErrorKind::InvalidInput => ErrorKind::BadAddress,
        // The resolver's own errors have no stable kind, so whatever is left here is about the name.
        _ => ErrorKind::NameNotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(operation: Operation, errno: Errno) -> Error {
        Error::new(operation, "127.0.0.1:80".to_owned(), io::Error::from(errno))
    }

    #[test]
    fn every_cause_is_told_apart() {
        for (errno, kind) in [
            (Errno::CONNREFUSED, ErrorKind::Refused),
            (Errno::TIMEDOUT, ErrorKind::TimedOut),
            (Errno::HOSTUNREACH, ErrorKind::Unreachable),
            (Errno::HOSTDOWN, ErrorKind::Unreachable),
            (Errno::NETUNREACH, ErrorKind::Unreachable),
            (Errno::NETDOWN, ErrorKind::Unreachable),
            (Errno::ADDRINUSE, ErrorKind::AddressInUse),
            (Errno::ADDRNOTAVAIL, ErrorKind::AddressNotAvailable),
            (Errno::ACCESS, ErrorKind::PermissionDenied),
            (Errno::PERM, ErrorKind::PermissionDenied),
            (Errno::MFILE, ErrorKind::OutOfDescriptors),
            (Errno::NFILE, ErrorKind::OutOfDescriptors),
            (Errno::NOBUFS, ErrorKind::OutOfMemory),
            (Errno::NOMEM, ErrorKind::OutOfMemory),
            (Errno::NETRESET, ErrorKind::Reset),
            (Errno::CONNRESET, ErrorKind::Reset),
            (Errno::CONNABORTED, ErrorKind::Reset),
            (Errno::PIPE, ErrorKind::BrokenPipe),
            (Errno::AFNOSUPPORT, ErrorKind::NotSupported),
            (Errno::NOSYS, ErrorKind::NotSupported),
            (Errno::IO, ErrorKind::Other),
        ] {
            assert_eq!(of(Operation::Connect, errno).kind(), kind, "{errno:?}");
        }
    }

    #[test]
    fn one_line_says_what_and_why() {
        let error = of(Operation::Bind, Errno::ACCESS);
        assert_eq!(
            error.to_string(),
            "cannot bind 127.0.0.1:80: permission denied"
        );
        assert_eq!(
            error.hint().unwrap(),
            "ports below 1024 need a privilege: choose a higher port, or grant CAP_NET_BIND_SERVICE"
        );
        let refused = of(Operation::Connect, Errno::CONNREFUSED);
        assert_eq!(
            refused.to_string(),
            "cannot connect to 127.0.0.1:80: connection refused"
        );
        let late = Error::of_kind(
            ErrorKind::TimedOut,
            Operation::Connect,
            "10.0.0.1:1".to_owned(),
        );
        assert_eq!(late.to_string(), "cannot connect to 10.0.0.1:1: timed out");
        let start = Error::new(
            Operation::Start,
            None,
            io::Error::new(io::ErrorKind::Unsupported, "kqueue is for BSD"),
        );
        assert_eq!(
            start.to_string(),
            "cannot start the event loop: kqueue is for BSD"
        );
    }

    #[test]
    fn every_kind_says_what_to_do_next_whatever_was_attempted() {
        use Operation::{Accept, Bind, Connect, Receive, Resolve, Send, Shutdown, Start, Wait};
        let kinds = [
            Errno::CONNREFUSED,
            Errno::TIMEDOUT,
            Errno::HOSTUNREACH,
            Errno::ADDRINUSE,
            Errno::ADDRNOTAVAIL,
            Errno::ACCESS,
            Errno::MFILE,
            Errno::NOBUFS,
            Errno::CONNRESET,
            Errno::PIPE,
            Errno::AFNOSUPPORT,
        ];
        for operation in [
            Resolve, Bind, Accept, Connect, Receive, Send, Shutdown, Start, Wait,
        ] {
            for errno in kinds {
                let error = of(operation, errno);
                assert!(error.hint().is_some(), "{error}");
                assert_ne!(error.kind(), ErrorKind::Other, "{error}");
            }
        }
        assert!(of(Connect, Errno::IO).hint().is_none());
    }

    #[test]
    fn of_several_attempts_the_most_telling_one_speaks() {
        let attempt = |address: &str, errno| {
            Error::new(
                Operation::Connect,
                address.to_owned(),
                io::Error::from(errno),
            )
        };
        let error = Error::of_attempts(vec![
            attempt("[::1]:80", Errno::NETUNREACH),
            attempt("127.0.0.1:80", Errno::CONNREFUSED),
            attempt("127.0.0.2:80", Errno::TIMEDOUT),
        ]);
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.address(), Some("127.0.0.1:80"));
        assert_eq!(
            error.to_string(),
            "cannot connect to 127.0.0.1:80: connection refused (nor to [::1]:80: unreachable, nor to 127.0.0.2:80: timed out)"
        );
        assert_eq!(error.others().len(), 2);
        let alone = Error::of_attempts(vec![attempt("[::1]:80", Errno::TIMEDOUT)]);
        assert_eq!(alone.to_string(), "cannot connect to [::1]:80: timed out");
        assert_eq!(
            Error::of_attempts(Vec::new()).kind(),
            ErrorKind::NameNotFound
        );
    }

    #[test]
    fn the_source_is_kept() {
        let error = of(Operation::Receive, Errno::CONNRESET);
        let source = std::error::Error::source(&error)
            .unwrap()
            .downcast_ref::<io::Error>()
            .unwrap();
        assert_eq!(source.raw_os_error(), Some(Errno::CONNRESET.raw_os_error()));
    }
}
