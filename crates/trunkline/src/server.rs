//! What a server starts with: addresses, settings and a handler.

use std::path::PathBuf;

use crate::event_loop::EventLoop;
use crate::handler::Handler;
use crate::net::{Address, Error, Operation, UnixAddress};
use crate::network::kernel::Kernel;
use crate::options::Options;
use crate::threads::{Seat, ThreadedServer};

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
    addresses: Vec<Place>,
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

    /// `n` loops instead of one, each on a thread of its own, with a handler of its own that `factory` makes there: see
    /// [`ThreadedServer`].
    pub fn threads(
        n: usize,
        factory: impl Fn(Seat<H::Message>) -> H + Send + Sync + 'static,
    ) -> ThreadedServer<H>
    where
        H: 'static,
    {
        ThreadedServer::new(n, factory)
    }

    /// Also listens on `address`: `host:port`, or `:port` for 127.0.0.1, or `unix:/path`, or `unix:@name` for an abstract
    /// name (Linux). Port 0 takes a free one.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a string, an address or a reference to one"
    )]
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.addresses.push(Place::Text(address.to_string()));
        self
    }

    /// Also listens in the Unix domain. The socket file is removed when the server no longer listens; one that a dead
    /// server has left behind is replaced, but not one where anybody answers.
    #[must_use]
    pub fn listen_unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.addresses.push(Place::Path(path.into()));
        self
    }

    /// Binds the addresses.
    ///
    /// # Errors
    /// When an address cannot be understood or bound, or the mechanism is not available.
    pub fn start(self) -> Result<EventLoop<H, Kernel>, Error> {
        let mut server = EventLoop::over(kernel(&self.options)?, self.handler, self.options);
        for address in &self.addresses {
            server.listen_on(&address.first()?)?;
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

/// Where to listen, or whom to connect to, as it was said.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Text(String),
    Path(PathBuf),
}

impl Place {
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, Error> {
        match self {
            Self::Text(text) => Address::resolve(text),
            Self::Path(path) => Ok(vec![UnixAddress::from_path(path)?.into()]),
        }
    }

    /// A name may stand for several addresses, of both families: the first is the system's own preference.
    pub(crate) fn first(&self) -> Result<Address, Error> {
        let mut addresses = self.addresses()?;
        // Whoever resolves a name to nothing has said so.
        Ok(addresses.swap_remove(0))
    }
}
