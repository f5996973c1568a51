//! The real network: non-blocking TCP and Unix-domain sockets of the kernel, readiness from a [`Selector`].

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, Shutdown, SocketAddrUnix, sockopt};
use trunkline_selectors::{Key, Mechanism, Selector, Waker};

use super::system;
use super::{
    Address, Apart, Bound, Event, Interest, Network, Reading, Socket, Token, Trigger, UnixAddress,
    Wake,
};
use crate::net::unix::SocketFile;
use crate::net::{self, Binding};

mod alarm;

use alarm::Alarm;

/// What an edge-triggered stream is registered for, once. Priority is among it because a read stops short at
/// an urgent byte: the event tells the engine not to take that short read for an empty socket.
const EDGE_INTEREST: Interest = Interest::READ
    .with(Interest::WRITE)
    .with(Interest::PRIORITY);

/// Sockets of the kernel, over any mechanism.
pub struct Kernel {
    /// The files of Unix-domain listeners (none for an abstract name). They go before the sockets.
    unix_listeners: Vec<(Key, Option<SocketFile>)>,
    selector: Selector<OwnedFd, Token>,
    waker: Waker,
    trigger: Trigger,
    reserve: Option<OwnedFd>,
    alarm: Alarm,
    /// Connections of ours come from these addresses by turns; where there is none, the kernel chooses.
    sources: Vec<IpAddr>,
    next_source: usize,
}

impl Kernel {
    /// Over the best mechanism here (the variable `TRUNKLINE_MECHANISM` overrides it).
    ///
    /// # Errors
    /// When the mechanism is not available, or descriptors have run out.
    pub fn new() -> io::Result<Self> {
        Self::over(Selector::new()?)
    }

    /// Over `mechanism`.
    ///
    /// # Errors
    /// When the mechanism is not available here, or descriptors have run out.
    pub fn with_mechanism(mechanism: Mechanism) -> io::Result<Self> {
        Self::over(Selector::with_mechanism(mechanism)?)
    }

    /// The mechanism that tells which socket is ready.
    pub fn mechanism(&self) -> Mechanism {
        self.selector.mechanism()
    }

    /// Lets connections of ours come from these addresses of this machine, by turns: more than one address has ports for.
    #[must_use]
    pub fn with_sources(mut self, sources: Vec<IpAddr>) -> Self {
        self.sources = sources;
        self
    }

    fn over(mut selector: Selector<OwnedFd, Token>) -> io::Result<Self> {
        // Edge-triggered registration is done once and never changed: no call per event or pause. Not where priority input
        // cannot be told (the kqueue of FreeBSD and NetBSD): see above.
        let capabilities = selector.capabilities();
        let trigger = if capabilities.supports(Trigger::Edge) && capabilities.priority {
            Trigger::Edge
        } else {
            Trigger::Level
        };
        let waker = selector.waker()?;
        let alarm = Alarm::new(&mut selector);
        Ok(Self {
            selector,
            waker,
            trigger,
            reserve: None,
            unix_listeners: Vec::new(),
            alarm,
            sources: Vec::new(),
            next_source: 0,
        })
    }

    fn register_stream(
        &mut self,
        stream: OwnedFd,
        level: Interest,
        token: Token,
    ) -> io::Result<Key> {
        let interest = if self.trigger == Trigger::Edge {
            EDGE_INTEREST
        } else {
            level
        };
        Ok(self
            .selector
            .register_with(stream, interest, self.trigger, token)?)
    }

    /// Takes one connection from the backlog.
    fn accept_stream(&mut self, listener: Socket) -> io::Result<(OwnedFd, Address)> {
        let listening = self.socket(listener)?;
        let (stream, peer) = uninterrupted(|| system::accept(listening))?;
        let is_unix = |&(key, _): &(Key, _)| key == self::key(listener);
        if self.unix_listeners.iter().any(is_unix) {
            let peer = peer.and_then(|peer| SocketAddrUnix::try_from(peer).ok());
            let peer = peer.map_or_else(UnixAddress::unnamed, UnixAddress::from);
            return Ok((stream, peer.into()));
        }
        // A peer that was gone before we accepted may have no address any more.
        let peer = peer
            .and_then(|peer| SocketAddr::try_from(peer).ok())
            .ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        Ok((stream, peer.into()))
    }

    /// Does what takes an address. With a mechanism that holds closed sockets until the next wait, the address may be that
    /// of one of them: then they are let go of, and it is done once more.
    fn once_more<T>(
        &mut self,
        taken: io::ErrorKind,
        act: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        match act() {
            Err(error)
                if error.kind() == taken && !self.selector.capabilities().lets_go_at_once =>
            {
                self.selector.apply()?;
                act()
            }
            result => result,
        }
    }

    #[inline(always)]
    fn socket(&self, socket: Socket) -> io::Result<&OwnedFd> {
        self.selector
            .source(key(socket))
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Network for Kernel {
    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[inline(always)]
    fn reading(&self) -> Reading {
        Reading::untaken(Instant::now)
    }

    #[inline(always)]
    fn renew(&self, reading: &mut Reading) {
        reading.forget();
    }

    #[inline(always)]
    fn trigger(&self) -> Trigger {
        self.trigger
    }

    fn listen(
        &mut self,
        address: SocketAddr,
        backlog: u32,
        token: Token,
    ) -> io::Result<(Socket, SocketAddr)> {
        let bind = || net::bind(&address.into(), backlog, &Binding::default());
        let bound = self.once_more(io::ErrorKind::AddrInUse, bind)?;
        let address = bound.address().socket_addr().unwrap_or(address);
        Ok((self.adopt_listener(bound, token)?, address))
    }

    fn listen_unix(
        &mut self,
        address: &UnixAddress,
        backlog: u32,
        mode: Option<u32>,
        token: Token,
    ) -> io::Result<Socket> {
        let binding = Binding {
            unix_mode: mode,
            ..Binding::default()
        };
        let bound = net::bind(&address.clone().into(), backlog, &binding)?;
        self.adopt_listener(bound, token)
    }

    fn adopt_listener(&mut self, listener: Bound, token: Token) -> io::Result<Socket> {
        let (listener, address, file) = listener.into_parts();
        let key = self.selector.register(listener, Interest::READ, token)?;
        if address.is_unix() {
            self.unix_listeners.push((key, file));
        }
        Ok(socket(key))
    }

    fn accept(&mut self, listener: Socket, token: Token) -> io::Result<(Socket, Address)> {
        let (stream, peer) = self.accept_stream(listener)?;
        let key = self.register_stream(stream, Interest::READ, token)?;
        Ok((socket(key), peer))
    }

    fn accept_apart(&mut self, listener: Socket) -> io::Result<(Apart, Address)> {
        let (stream, peer) = self.accept_stream(listener)?;
        Ok((stream.into(), peer))
    }

    fn adopt(&mut self, stream: Apart, token: Token) -> io::Result<Socket> {
        let stream = stream
            .into_descriptor()
            .ok_or(io::ErrorKind::InvalidInput)?;
        let key = self.register_stream(stream, Interest::READ, token)?;
        Ok(socket(key))
    }

    fn connect(&mut self, address: SocketAddr, token: Token) -> io::Result<Socket> {
        let source = self.sources.get(self.next_source).copied();
        self.next_source = (self.next_source + 1) % self.sources.len().max(1);
        let start = || net::connect_from(source, address);
        let stream = self.once_more(io::ErrorKind::AddrNotAvailable, start)?;
        let key = self.register_stream(OwnedFd::from(stream), Interest::WRITE, token)?;
        Ok(socket(key))
    }

    fn connect_unix(&mut self, address: &UnixAddress, token: Token) -> io::Result<Socket> {
        let stream = net::unix::connect(address)?;
        Ok(socket(self.register_stream(
            stream,
            Interest::WRITE,
            token,
        )?))
    }

    fn rename(&mut self, socket: Socket, token: Token) {
        if let Some(known_by) = self.selector.data_mut(key(socket)) {
            *known_by = token;
        }
    }

    fn connected(&mut self, socket: Socket) -> io::Result<bool> {
        let socket = self.socket(socket)?;
        sockopt::socket_error(socket)??;
        // "Writable" alone does not mean connected; having a peer does.
        match rustix::net::getpeername(socket) {
            // A port without a listener, which the system then chose for our own end: TCP connects the socket with itself
            // (RFC 9293, simultaneous open). Nobody listens there, all the same.
            Ok(peer) if peer.is_some() && peer == Some(rustix::net::getsockname(socket)?) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(peer) => Ok(peer.is_some()),
            Err(Errno::NOTCONN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[inline(always)]
    fn read(&mut self, socket: Socket, buffer: &mut [u8]) -> io::Result<usize> {
        let socket = self.socket(socket)?;
        Ok(uninterrupted(|| rustix::io::read(socket, &mut *buffer))?)
    }

    #[inline(always)]
    fn write(&mut self, socket: Socket, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = self.socket(socket)?;
        let flags = system::WRITE_FLAGS;
        let written = match buffers {
            [buffer] => uninterrupted(|| rustix::net::send(socket, buffer, flags)),
            _ => uninterrupted(|| {
                rustix::net::sendmsg(socket, buffers, &mut SendAncillaryBuffer::default(), flags)
            }),
        };
        Ok(written?)
    }

    fn shutdown_write(&mut self, socket: Socket) -> io::Result<()> {
        Ok(rustix::net::shutdown(
            self.socket(socket)?,
            Shutdown::Write,
        )?)
    }

    fn close(&mut self, socket: Socket) {
        if !self.unix_listeners.is_empty() {
            self.unix_listeners
                .retain(|(other, _)| *other != key(socket));
        }
        drop(self.selector.unregister(key(socket)));
    }

    fn abort(&mut self, socket: Socket) {
        if let Some((socket, _)) = self.selector.unregister(key(socket)) {
            // A linger time of zero makes close send a reset (tcp(7), SO_LINGER). Should it fail, the
            // socket is closed all the same.
            let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
        }
    }

    fn set_interest(&mut self, socket: Socket, interest: Interest) {
        // A stale key has no interest to set; the engine never relies on an answer.
        let _ = self.selector.modify(key(socket), interest);
    }

    fn hold_reserve(&mut self) -> io::Result<()> {
        if self.reserve.is_none() {
            self.reserve = Some(OwnedFd::from(std::fs::File::open("/dev/null")?));
        }
        Ok(())
    }

    fn release_reserve(&mut self) {
        self.reserve = None;
    }

    fn set_alarm(&mut self, deadline: Option<Instant>) {
        self.alarm.set(&self.selector, deadline);
    }

    #[inline(always)]
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout = if self.alarm.is_near() {
            self.alarm.timeout(timeout)
        } else {
            timeout
        };
        Ok(self.selector.select(timeout)?.woken)
    }

    #[inline(always)]
    fn next_event(&mut self) -> Option<Event> {
        let Some((event, token)) = self.selector.next_event_with(|_, token| *token) else {
            return self.alarm.is_near().then(|| self.alarm.ring()).flatten();
        };
        Some(Event {
            token,
            readiness: event.readiness,
        })
    }

    fn apply(&mut self) -> io::Result<()> {
        self.selector.apply()
    }

    fn waker(&self) -> Wake {
        let waker = self.waker.clone();
        Arc::new(move || {
            // Only a full counter can make this fail, and then the wait ends anyway.
            let _ = waker.wake();
        })
    }
}

/// A socket goes by the key of its registration.
fn key(socket: Socket) -> Key {
    Key::from_bits(socket.0)
}

fn socket(key: Key) -> Socket {
    Socket(key.to_bits())
}

/// Calls again after a signal. `rustix` has the same, but it is not always put in place, and a call costs as much as the
/// rest of a read.
#[inline(always)]
fn uninterrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
