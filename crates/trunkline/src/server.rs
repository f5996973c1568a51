//! What a server starts with: addresses, settings and a handler.

use std::net::SocketAddr;

use crate::event_loop::EventLoop;
use crate::handler::Handler;
use crate::net::{self, Error, Operation};
use crate::network::kernel::Kernel;
use crate::options::Options;

/// Builds the loop of a server.
///
/// ```
/// use trunkline::{Chunks, Flow, Frame, Handler, Io, Server};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Codec = Chunks;
///     type State = ();
///     type Message = ();
///     fn codec(&self) -> Chunks {
///         Chunks::new()
///     }
///     fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
///         Some(())
///     }
///     fn frame(&mut self, _: &mut (), io: &mut Io<'_, Self>, frame: Frame<'_, Self>) -> Flow {
///         let _ = io.send(frame);
///         Flow::Continue
///     }
/// }
///
/// let server = Server::new(Echo).listen("127.0.0.1:0").max_connections(100).start()?;
/// println!("listening on {}", server.local_addresses()[0]);
/// server.remote().stop(); // from another thread, as a rule
/// let (_echo, stats) = server.run()?;
/// assert_eq!(stats.accepted, 0);
/// # Ok::<(), trunkline::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Server<H> {
    handler: H,
    addresses: Vec<String>,
    options: Options,
}

impl<H: Handler> Server<H> {
    /// A server that will answer with `handler`.
    pub fn new(handler: H) -> Self {
        Self {
            handler,
            addresses: Vec::new(),
            options: Options::default(),
        }
    }

    /// Also listens on `address`: `host:port`, or `:port` for 127.0.0.1. Port 0 takes a free one.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a string, an address or a reference to one"
    )]
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.addresses.push(address.to_string());
        self
    }

    /// Binds the addresses.
    ///
    /// # Errors
    /// When an address cannot be understood or bound, or the mechanism is not available.
    pub fn start(self) -> Result<EventLoop<H, Kernel>, Error> {
        let mut server = EventLoop::over(kernel(&self.options)?, self.handler, self.options);
        for address in &self.addresses {
            server.listen(first(net::resolve(address)?, address)?)?;
        }
        Ok(server)
    }
}

crate::builder::settings!(Server);

pub(crate) fn kernel(options: &Options) -> Result<Kernel, Error> {
    options
        .mechanism
        .map_or_else(Kernel::new, Kernel::with_mechanism)
        .map_err(|error| Error::new(Operation::Wait, None, error))
}

/// A name may stand for several addresses, of both families: the first is the system's own preference.
pub(crate) fn first(addresses: Vec<SocketAddr>, name: &str) -> Result<SocketAddr, Error> {
    let nothing = || {
        Error::new(
            Operation::Resolve,
            Some(name.to_string()),
            std::io::ErrorKind::NotFound.into(),
        )
    };
    addresses.into_iter().next().ok_or_else(nothing)
}
