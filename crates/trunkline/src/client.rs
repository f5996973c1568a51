//! What a client starts with: one server or many, settings and a handler.

use std::path::PathBuf;

use crate::event_loop::EventLoop;
use crate::handler::Handler;
use crate::net::Error;
use crate::network::kernel::Kernel;
use crate::options::Options;
use crate::server::{Place, kernel};

/// Builds the loop of a client: as many connections as asked for, all under one handler, on one thread. The
/// loop ends by itself when none is left.
///
/// ```no_run
/// # use trunkline::{Client, Handler, Error};
/// # fn run<H: Handler>(handler: H) -> Result<(), Error> {
/// let client = Client::new(handler).connect("127.0.0.1:10001").connect("127.0.0.1:10002").start()?;
/// let (_handler, stats) = client.run()?;
/// println!("{} of 2 connections were made", stats.connected);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client<H> {
    handler: H,
    addresses: Vec<Place>,
    options: Options,
}

impl<H: Handler> Client<H> {
    /// A client that will talk through `handler`.
    pub fn new(handler: H) -> Self {
        let options = Options {
            until_idle: true,
            ..Options::default()
        };
        Self {
            handler,
            addresses: Vec::new(),
            options,
        }
    }

    /// Also connects to `address`: `host:port`, or `:port` for 127.0.0.1, or `unix:/path`. Naming it twice makes two connections. Where
    /// a host has several addresses, the first to answer is taken ([`Io::connect_any`](crate::Io::connect_any)).
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a string, an address or a reference to one"
    )]
    pub fn connect(mut self, address: impl ToString) -> Self {
        self.addresses.push(Place::Text(address.to_string()));
        self
    }

    /// Also connects to a socket file.
    #[must_use]
    pub fn connect_unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.addresses.push(Place::Path(path.into()));
        self
    }

    /// Looks the names up; the connections are made as the loop turns.
    ///
    /// # Errors
    /// When an address cannot be understood or found, or the mechanism is not available.
    pub fn start(self) -> Result<EventLoop<H, Kernel>, Error> {
        let mut client = EventLoop::over(kernel(&self.options)?, self.handler, self.options);
        for address in &self.addresses {
            client.connect_first(&address.addresses()?);
        }
        Ok(client)
    }
}

crate::builder::settings!(Client);
