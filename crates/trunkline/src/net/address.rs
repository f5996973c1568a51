//! What a person types for an address, made into socket addresses or into an error worth reading.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::{Error, Operation};

/// The host of an address that names only a port: this machine and nobody else.
pub const DEFAULT_HOST: &str = "127.0.0.1";

/// Makes `host:port` into socket addresses, best first, asking the name server if need be.
///
/// `:10001` and `10001` mean `127.0.0.1:10001`: a wildcard must be typed, as `0.0.0.0:10001` or
/// `[::]:10001`. An IPv6 address is written in brackets.
///
/// # Errors
/// [`BadAddress`](super::ErrorKind::BadAddress) when the text is no address,
/// [`NameNotFound`](super::ErrorKind::NameNotFound) when the host is unknown.
pub fn resolve(text: &str) -> Result<Vec<SocketAddr>, Error> {
    let fail = |source| Error::new(Operation::Resolve, Some(text.to_owned()), source);
    let (host, port) = split(text)
        .map_err(|problem| fail(io::Error::new(io::ErrorKind::InvalidInput, problem)))?;
    let found: Vec<_> = (host, port).to_socket_addrs().map_err(fail)?.collect();
    if found.is_empty() {
        return Err(fail(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )));
    }
    Ok(found)
}

/// In the same order, but the two families by turns, so that not all of one family has to fail before the other one
/// is tried (RFC 8305, section 4). What is there twice stays once.
pub(crate) fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_first_family = |address: &SocketAddr| address.is_ipv4() == addresses[0].is_ipv4();
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(is_first_family);
    let mut ordered = Vec::with_capacity(addresses.len());
    for rank in 0..addresses.len() {
        for family in [&first, &second] {
            if let Some(&address) = family.get(rank)
                && !ordered.contains(&address)
            {
                ordered.push(address);
            }
        }
    }
    ordered
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    Empty,
    Blank,
    NoPort,
    PortNotANumber(String),
    PortOutOfRange(String),
    Brackets,
    BareIpv6,
    Star,
    /// Of a Unix-domain socket, as the others below.
    NoName,
    NameTooLong,
    NameWithNul,
    NoAbstractNames,
}

impl Problem {
    pub(super) fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Empty | Self::NoPort | Self::PortNotANumber(_) | Self::Blank => {
                "write host:port, such as localhost:10001, or :10001 for this machine".into()
            }
            Self::PortOutOfRange(_) => {
                "choose a port from 1 to 65535; to listen, 0 lets the system choose a free one"
                    .into()
            }
            Self::Brackets | Self::BareIpv6 => "write an IPv6 address as [::1]:10001".into(),
            Self::NoName => {
                "write unix:/path/to/socket, or unix:@name for one that is no file".into()
            }
            Self::NameTooLong => "choose a shorter path, or start the program in the directory and give the file alone".into(),
            Self::NameWithNul => "choose a name without it".into(),
            Self::NoAbstractNames => "only Linux has them: write a path, as in unix:/path/to/socket".into(),
            Self::Star => {
                "all interfaces are written 0.0.0.0 or [::], such as 0.0.0.0:10001".into()
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("it is empty"),
            Self::Blank => formatter.write_str("there is a blank in it"),
            Self::NoPort => formatter.write_str("the port is missing"),
            Self::PortNotANumber(port) => write!(formatter, "port {port:?} is not a number"),
            Self::PortOutOfRange(port) => {
                write!(
                    formatter,
                    "port {port} is out of range: ports go from 0 to 65535"
                )
            }
            Self::Brackets => {
                formatter.write_str("the brackets hold no IPv6 address followed by a port")
            }
            Self::BareIpv6 => formatter.write_str("an IPv6 address with a port needs brackets"),
            Self::Star => formatter.write_str("\"*\" is not a host"),
            Self::NoName => formatter.write_str("the name of the socket is missing"),
            Self::NameTooLong => formatter
                .write_str("the name is longer than the system's addresses hold (about 100 bytes)"),
            Self::NameWithNul => formatter.write_str("there is a zero byte in it"),
            Self::NoAbstractNames => formatter.write_str("this system has no abstract names"),
        }
    }
}

impl std::error::Error for Problem {}

fn split(text: &str) -> Result<(&str, u16), Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if text.contains(char::is_whitespace) {
        return Err(Problem::Blank);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok((DEFAULT_HOST, port(text)?));
    }
    let (host, port_text) = if text.starts_with('[') {
        split_brackets(text)?
    } else {
        split_plain(text)?
    };
    Ok((host, port(port_text)?))
}

fn split_brackets(text: &str) -> Result<(&str, &str), Problem> {
    let (host, rest) = text[1..].split_once(']').ok_or(Problem::Brackets)?;
    if !host.contains(':') {
        return Err(Problem::Brackets);
    }
    if rest.is_empty() {
        return Err(Problem::NoPort);
    }
    Ok((host, rest.strip_prefix(':').ok_or(Problem::Brackets)?))
}

fn split_plain(text: &str) -> Result<(&str, &str), Problem> {
    let (host, port) = text.rsplit_once(':').ok_or(Problem::NoPort)?;
    match host {
        "" => Ok((DEFAULT_HOST, port)),
        "*" => Err(Problem::Star),
        _ if host.contains(':') => Err(Problem::BareIpv6),
        _ => Ok((host, port)),
    }
}

fn port(text: &str) -> Result<u16, Problem> {
    if text.is_empty() {
        return Err(Problem::NoPort);
    }
    // Not `parse` first: it would take "+80".
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::PortNotANumber(text.to_owned()));
    }
    text.parse()
        .map_err(|_| Problem::PortOutOfRange(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::ErrorKind;
    use super::*;

    fn one(text: &str) -> String {
        resolve(text).unwrap()[0].to_string()
    }

    #[test]
    fn every_way_to_write_an_address() {
        for (text, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            (":10001", "127.0.0.1:10001"),
            ("10001", "127.0.0.1:10001"),
            (":0", "127.0.0.1:0"),
            ("0.0.0.0:7000", "0.0.0.0:7000"),
            ("[::1]:80", "[::1]:80"),
            ("[::]:65535", "[::]:65535"),
        ] {
            assert_eq!(one(text), address, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_says_why_and_what_next() {
        for (text, why) in [
            ("", "bad address \"\": it is empty"),
            (
                "99999",
                "port 99999 is out of range: ports go from 0 to 65535",
            ),
            (
                "127.0.0.1:99999",
                "port 99999 is out of range: ports go from 0 to 65535",
            ),
            (
                "127.0.0.1:-1",
                "port -1 is out of range: ports go from 0 to 65535",
            ),
            ("localhost", "the port is missing"),
            ("localhost:", "the port is missing"),
            ("[::1]", "the port is missing"),
            ("localhost:http", "port \"http\" is not a number"),
            ("localhost:+80", "port \"+80\" is not a number"),
            ("::1:80", "an IPv6 address with a port needs brackets"),
            (
                "[::1:80",
                "the brackets hold no IPv6 address followed by a port",
            ),
            (
                "[::1]80",
                "the brackets hold no IPv6 address followed by a port",
            ),
            (
                "[localhost]:80",
                "the brackets hold no IPv6 address followed by a port",
            ),
            ("*:80", "\"*\" is not a host"),
            ("local host:80", "there is a blank in it"),
        ] {
            let error = resolve(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadAddress, "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert!(!error.to_string().contains('\n'), "{text}: {error}");
            assert!(error.hint().is_some(), "{text}");
        }
    }

    #[test]
    fn families_take_turns_and_keep_their_order() {
        let order = |list: &[&str]| {
            let addresses: Vec<SocketAddr> =
                list.iter().map(|text| text.parse().unwrap()).collect();
            interleaved(&addresses)
                .iter()
                .map(SocketAddr::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            order(&[
                "[::1]:1",
                "[::2]:1",
                "[::3]:1",
                "10.0.0.1:1",
                "[::1]:1",
                "10.0.0.2:1"
            ]),
            ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]
        );
        assert_eq!(order(&["10.0.0.1:1", "[::1]:1"]), ["10.0.0.1:1", "[::1]:1"]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn an_unknown_name_is_told_apart() {
        // ".invalid" is reserved never to exist (RFC 2606).
        let error = resolve("no-such-host.invalid:1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NameNotFound);
        assert_eq!(error.address(), Some("no-such-host.invalid:1"));
        assert!(error.hint().is_some());
    }
}
