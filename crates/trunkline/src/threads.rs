//! One server on several threads: loops that share their listeners, or are fed by one acceptor.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use trunkline_selectors::Mechanism;

use crate::event_loop::EventLoop;
use crate::handler::Handler;
use crate::limits::Gate;
use crate::net::{self, Address, Binding, Bound, Error, Operation};
use crate::network::Network;
use crate::network::kernel::Kernel;
use crate::options::Options;
use crate::pool::Panicked;
use crate::remote::Remote;
use crate::server::{Place, kernel};
use crate::stats::Stats;

mod acceptor;
mod handle;

#[cfg(test)]
pub(crate) use acceptor::{Nobody, to_the_least_loaded};

pub use handle::{LoopError, Remotes, Seat, Threads, ThreadsFailed};

/// How connections come to the loops of a [`ThreadedServer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Every loop listens by itself, on the same port: the kernel deals the clients out, by chance and evenly in the long
    /// run, and no thread waits for another. In the Unix domain there is no such thing: with a socket file among the
    /// addresses all of them go by the acceptor.
    #[default]
    ReusePort,
    /// One more thread accepts, and gives each connection to the loop that has the fewest: even when connections are few
    /// and long.
    Acceptor,
}

/// Builds a server of several loops, each on a thread of its own with a handler of its own: by
/// [`Server::threads`](crate::Server::threads).
///
/// `connections_max` and the other limits hold for all loops together. When one loop ends, for whatever reason, the others
/// drain and end too: a server that is half gone is for its supervisor to start again.
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
/// let threads = Server::threads(2, |_seat| Echo).listen("127.0.0.1:0").start()?;
/// println!("listening on {}", threads.addresses()[0]);
/// threads.remotes().stop();
/// let stats = threads.join()?;
/// assert_eq!(stats.accepted, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ThreadedServer<H: Handler> {
    count: usize,
    factory: Factory<H>,
    addresses: Vec<Place>,
    sharing: Sharing,
    options: Options,
}

type Factory<H> = Arc<dyn Fn(Seat<<H as Handler>::Message>) -> H + Send + Sync>;

/// What a thread says before it serves.
enum Birth<M> {
    /// Its network is there, and this is how to reach its loop.
    Made(usize, Remote<M>, Mechanism),
    /// Its loop listens.
    Started,
    Failed(LoopError),
}

/// What a thread says at its end.
struct Ended {
    /// `None` is the acceptor.
    index: Option<usize>,
    result: Result<Stats, LoopError>,
}

impl<H: Handler + 'static> ThreadedServer<H> {
    pub(crate) fn new(
        count: usize,
        factory: impl Fn(Seat<H::Message>) -> H + Send + Sync + 'static,
    ) -> Self {
        Self {
            count: count.max(1),
            factory: Arc::new(factory),
            addresses: Vec::new(),
            sharing: Sharing::default(),
            options: Options::default(),
        }
    }

    /// Also listens on `address`: as [`Server::listen`](crate::Server::listen).
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a string, an address or a reference to one"
    )]
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.addresses.push(Place::Text(address.to_string()));
        self
    }

    /// Also listens in the Unix domain: as [`Server::listen_unix`](crate::Server::listen_unix).
    #[must_use]
    pub fn listen_unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.addresses.push(Place::Path(path.into()));
        self
    }

    /// How connections come to the loops.
    #[must_use]
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// Binds the addresses and starts the threads; returns when all of them listen.
    ///
    /// # Errors
    /// When an address cannot be understood or bound, the mechanism is not available, the system gives no more threads, or
    /// the factory panics.
    pub fn start(self) -> Result<Threads<H::Message>, Error> {
        let mut addresses = Vec::new();
        for place in &self.addresses {
            addresses.push(place.first()?);
        }
        let unix = addresses.iter().any(Address::is_unix);
        let fed = self.sharing == Sharing::Acceptor || unix;
        let binds = if fed { 1 } else { self.count };
        let mut listeners = bind_all(&addresses, binds, &self.options)?;
        let addresses = listeners[0].iter().map(|bound| bound.address().clone());
        let addresses: Vec<_> = addresses.collect();
        let gate = Gate::new(self.options.connections_max, &self.options.limits);
        let gate = Arc::new(gate);
        let (born_sender, born) = channel();
        let (ended_sender, ended) = channel();
        let mut seats = Vec::new();
        for index in 0..self.count {
            let (seat_sender, seat) = channel();
            seats.push(seat_sender);
            let thread = LoopThread {
                index,
                factory: Arc::clone(&self.factory),
                listeners: if fed {
                    Vec::new()
                } else {
                    listeners.pop().unwrap_or_default()
                },
                gate: Arc::clone(&gate),
                options: Options {
                    // The gate counts for all.
                    connections_max: usize::MAX,
                    ..self.options.clone()
                },
                born: born_sender.clone(),
                seat,
            };
            let ended = ended_sender.clone();
            spawn(format!("loop {index}"), move || thread.live(&ended))?;
        }
        let (mut loops, mut mechanism) = (Vec::new(), None);
        for _ in 0..self.count {
            let Birth::Made(index, remote, chosen) = next_birth(&born)? else {
                continue;
            };
            loops.push((index, remote));
            mechanism = Some(chosen);
        }
        loops.sort_by_key(|(index, _)| *index);
        let loops: Arc<[_]> = loops.into_iter().map(|(_, remote)| remote).collect();
        let acceptor = if fed {
            let listeners = listeners.pop().unwrap_or_default();
            let options = &self.options;
            let (loops, gate) = (Arc::clone(&loops), Arc::clone(&gate));
            Some(acceptor::start(
                loops,
                listeners,
                gate,
                options,
                ended_sender.clone(),
            )?)
        } else {
            None
        };
        let remotes = Remotes::new(loops, acceptor);
        for (index, seat) in seats.into_iter().enumerate() {
            // One that has died in the meantime has said so, which is read next.
            let _ = seat.send(Seat::new(index, remotes.clone()));
        }
        for _ in 0..self.count {
            if let Err(error) = next_birth(&born) {
                remotes.kill();
                return Err(error);
            }
        }
        Ok(Threads {
            addresses,
            mechanism,
            remotes,
            ended,
        })
    }
}

crate::builder::settings!(ThreadedServer: Handler);

impl<H: Handler> fmt::Debug for ThreadedServer<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ThreadedServer")
            .field("count", &self.count)
            .field("addresses", &self.addresses)
            .field("sharing", &self.sharing)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Everything that one loop's thread starts with.
struct LoopThread<H: Handler> {
    index: usize,
    factory: Factory<H>,
    listeners: Vec<Bound>,
    gate: Arc<Gate>,
    options: Options,
    born: Sender<Birth<H::Message>>,
    seat: Receiver<Seat<H::Message>>,
}

impl<H: Handler + 'static> LoopThread<H> {
    /// From the first breath to the last. Nothing of the loop is looked at after a panic but its remote, which says that
    /// it is gone.
    fn live(self, ended: &Sender<Ended>) {
        let (index, born) = (self.index, self.born.clone());
        let lived = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let result = match lived {
            Ok(None) => return,
            Ok(Some(result)) => result.map_err(LoopError::Failed),
            Err(payload) => Err(LoopError::Panicked(Panicked::of(&*payload))),
        };
        if let Err(error) = &result {
            // If it had not started yet, somebody waits for it.
            let _ = born.send(Birth::Failed(error.twin()));
        }
        let _ = ended.send(Ended {
            index: Some(index),
            result,
        });
    }

    /// `None` when the server did not come to be, of which others have told.
    fn serve(self) -> Option<Result<Stats, Error>> {
        // The loop is made where it runs, so nothing in it need be able to change threads.
        let network = match kernel(&self.options) {
            Ok(network) => network,
            Err(error) => return Some(Err(error)),
        };
        let remote = Remote::new(network.waker());
        let mechanism = network.mechanism();
        let made = Birth::Made(self.index, remote.clone(), mechanism);
        self.born.send(made).ok()?;
        let seat = self.seat.recv().ok()?;
        // When this loop ends, so do the others: at the end of the scope, a panic included.
        let _stop = StopAll(seat.remotes().clone());
        let event_loop = self.furnish(network, remote, seat);
        Some(event_loop.and_then(EventLoop::run).map(|(_, stats)| stats))
    }

    fn furnish(
        self,
        network: Kernel,
        remote: Remote<H::Message>,
        seat: Seat<H::Message>,
    ) -> Result<EventLoop<H>, Error> {
        let handler = (self.factory)(seat);
        let mut event_loop = EventLoop::with_remote(network, handler, self.options, remote);
        event_loop.share_gate(self.gate);
        for listener in self.listeners {
            event_loop.listen_with(listener)?;
        }
        let _ = self.born.send(Birth::Started);
        Ok(event_loop)
    }
}

struct StopAll<M>(Remotes<M>);

impl<M> Drop for StopAll<M> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn next_birth<M>(born: &Receiver<Birth<M>>) -> Result<Birth<M>, Error> {
    match born.recv() {
        Ok(Birth::Failed(LoopError::Failed(error))) => Err(error),
        Ok(Birth::Failed(LoopError::Panicked(panicked))) => Err(Error::new(
            Operation::Start,
            None,
            std::io::Error::other(panicked),
        )),
        Ok(birth) => Ok(birth),
        Err(_) => Err(Error::new(
            Operation::Start,
            None,
            std::io::Error::other("a thread ended before its loop began"),
        )),
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name).spawn(body);
    spawned
        .map(drop)
        .map_err(|error| Error::new(Operation::Start, None, error))
}

/// For each loop that listens, a socket on each address.
fn bind_all(
    addresses: &[Address],
    loops: usize,
    options: &Options,
) -> Result<Vec<Vec<Bound>>, Error> {
    let binding = Binding {
        shared: loops > 1,
        unix_mode: options.unix_mode,
    };
    let mut all: Vec<Vec<Bound>> = (0..loops).map(|_| Vec::new()).collect();
    for address in addresses {
        let fail = |error| Error::new(Operation::Bind, Some(address.to_string()), error);
        if binding.shared
            && let Address::Ip(ip) = address
        {
            // A shared port would be shared with another server of the same user too, and neither would know.
            net::check_free(*ip).map_err(fail)?;
        }
        let mut actual = address.clone();
        for listeners in &mut all {
            let bound = net::bind(&actual, options.backlog, &binding).map_err(fail)?;
            // With port 0, the others take the port that the first one has found.
            actual = bound.address().clone();
            listeners.push(bound);
        }
    }
    Ok(all)
}
