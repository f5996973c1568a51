//! The selector: who is registered, and for what. What waits do with that is in `selecting`.

mod selecting;

use std::fmt;
use std::io;

use crate::backend::{AsSource, Backend, Descriptor, Slots, descriptor_of};
use crate::capabilities::Capabilities;
use crate::interest::{Interest, Trigger};
use crate::mechanism::Mechanism;
use crate::readiness::Event;
use crate::registering::{RegisterError, check_interest, no_such_trigger};
use crate::slab::{Key, Slab};
use crate::waker::Waker;

/// Waits for many sources at once.
///
/// `S` is the source: anything with a descriptor, owned (`TcpStream`, `TcpListener`) or lent (`&TcpStream`,
/// `BorrowedFd<'_>`, `Arc<TcpStream>`). `T` is data of your choice that goes with it. Sources are lent as `&S`, never
/// as `&mut S`: replacing a source would leave the mechanism with a descriptor that is gone.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
/// use trunkline_selectors::{Interest, Selector};
///
/// # fn main() -> std::io::Result<()> {
/// let mut selector = Selector::new()?;
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let key = selector.register(listener, Interest::READ, 0)?; // counts connections
///
/// let _client = TcpStream::connect(address)?;
/// let selected = selector.select(Some(Duration::from_secs(5)))?;
/// assert_eq!(selected.events, 1);
/// while let Some(event) = selector.next_event() {
///     if let Some((listener, count)) = selector.pair_mut(event.key) {
///         let (_stream, _peer) = listener.accept()?;
///         *count += 1;
///     }
/// }
/// let (_listener, count) = selector.unregister(key).expect("registered above");
/// assert_eq!(count, 1);
/// # Ok(())
/// # }
/// ```
pub struct Selector<S: AsSource, T = ()> {
    registrations: Slab<Registration<S, T>>,
    /// The slot of the registration of each descriptor.
    slots: Slots,
    /// Registrations whose interest was modified since the last wait.
    changed: Vec<Key>,
    /// Registrations whose change the mechanism refused.
    failed: Vec<Event>,
    /// Whether the mechanism reported somebody who is not registered and may go on doing so.
    strays: bool,
    /// Whether changes were applied after the current batch was found.
    outdated: bool,
    /// Whether there is anything in the four above: one question instead of four, twice a turn.
    chores: bool,
    backend: Backend,
    waker: Waker,
    mechanism: Mechanism,
}

struct Registration<S, T> {
    source: S,
    data: T,
    /// The source's descriptor. A number to look things up by: nothing is done through it but what the mechanism's
    /// own calls do, and to them the number of a closed descriptor is just an error.
    descriptor: Descriptor,
    /// What the user wants.
    wanted: Interest,
    /// What the mechanism was told.
    applied: Interest,
    trigger: Trigger,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Settled,
    /// The key is in the list of changes.
    Changed,
    /// The descriptor was closed behind our back, and nothing is watched.
    Closed,
}

impl<S: AsSource, T> Selector<S, T> {
    /// A selector over the best mechanism that works here, or over the one that the environment variable
    /// `TRUNKLINE_MECHANISM` names.
    ///
    /// # Errors
    ///
    /// When that variable names no mechanism or one that does not work here, or the system has no descriptors left.
    pub fn new() -> io::Result<Selector<S, T>> {
        Selector::with_mechanism(Mechanism::choose()?)
    }

    /// A selector over this mechanism.
    ///
    /// # Errors
    ///
    /// `Unsupported`, with the reason, when the mechanism does not work here.
    pub fn with_mechanism(mechanism: Mechanism) -> io::Result<Selector<S, T>> {
        let waker = Waker::new()?;
        let backend = Backend::new(mechanism, waker.descriptor())?;
        Ok(Selector {
            registrations: Slab::new(),
            slots: Slots::default(),
            changed: Vec::new(),
            failed: Vec::new(),
            strays: false,
            outdated: false,
            chores: false,
            backend,
            waker,
            mechanism,
        })
    }

    /// The mechanism in use.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// In what the mechanism in use differs from others.
    pub fn capabilities(&self) -> Capabilities {
        self.mechanism.capabilities()
    }

    /// Something that ends a wait from any thread.
    ///
    /// # Errors
    ///
    /// None today; left open for platforms where a waker needs a descriptor of its own.
    pub fn waker(&self) -> io::Result<Waker> {
        Ok(self.waker.clone())
    }

    /// Takes `source` in and watches it for `interest`, level-triggered.
    ///
    /// # Errors
    ///
    /// See [`RegisterError`], which gives `source` and `data` back.
    pub fn register(
        &mut self,
        source: S,
        interest: Interest,
        data: T,
    ) -> Result<Key, RegisterError<S, T>> {
        self.register_with(source, interest, Trigger::Level, data)
    }

    /// Takes `source` in and watches it for `interest`, with the given trigger.
    ///
    /// # Errors
    ///
    /// See [`RegisterError`], which gives `source` and `data` back.
    pub fn register_with(
        &mut self,
        source: S,
        interest: Interest,
        trigger: Trigger,
        data: T,
    ) -> Result<Key, RegisterError<S, T>> {
        let descriptor = descriptor_of(&source);
        if let Err(error) = self.admit(descriptor, interest, trigger) {
            return Err(RegisterError {
                source,
                data,
                error,
            });
        }
        let backend = &mut self.backend;
        let key = self.registrations.try_insert_with(|key| {
            match backend.register(descriptor, key, interest, trigger) {
                Ok(()) => Ok(Registration {
                    source,
                    data,
                    descriptor,
                    wanted: interest,
                    applied: interest,
                    trigger,
                    state: State::Settled,
                }),
                Err(error) => Err(RegisterError {
                    source,
                    data,
                    error,
                }),
            }
        })?;
        self.slots.put(descriptor, key.index());
        Ok(key)
    }

    /// Whether the mechanism can be asked to watch this, and everything else has room for it.
    #[inline]
    fn admit(
        &mut self,
        descriptor: Descriptor,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        if !self.mechanism.supports(trigger) {
            return Err(no_such_trigger(self.mechanism, trigger));
        }
        check_interest(self.mechanism, trigger, interest)?;
        self.slots.reserve(descriptor);
        match self.registrations.key_at(self.slots.get(descriptor)) {
            Some(previous) => self.displace(previous),
            None => Ok(()),
        }
    }

    /// Makes room for the descriptor's next owner if the registered one was closed behind our back and the mechanism
    /// can tell. The old registration stays until it is unregistered, but watches nothing any more.
    #[cold]
    fn displace(&mut self, previous: Key) -> io::Result<()> {
        let Some(old) = self.registrations.get_mut(previous) else {
            return Ok(());
        };
        if old.state != State::Closed && self.backend.holds(old.descriptor, previous, old.applied) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "its descriptor is already registered",
            ));
        }
        self.backend
            .unregister(old.descriptor, previous, old.applied);
        self.slots.remove(old.descriptor);
        old.watch_nothing();
        Ok(())
    }

    /// Changes what a source is watched for.
    ///
    /// The change is remembered and told to the system at the next [`select`](Selector::select), once, and only if
    /// it still differs from what the system knows: turning an interest on and off again costs nothing. Events of the
    /// current batch are masked by the new interest at once. If the system refuses the change, which needs it to be
    /// out of memory or watches, that is reported as [`ERROR`](crate::Readiness::ERROR), and the interest is empty.
    ///
    /// A source with [`Trigger::OneShot`] is armed again by this, also with the interest it has already.
    ///
    /// # Errors
    ///
    /// `NotFound` when `key` names nothing (any more); `Unsupported` when the mechanism or the source's trigger does
    /// not watch for this interest (see [`Capabilities::priority`] and [`Trigger::Exclusive`]), and then nothing is
    /// changed.
    pub fn modify(&mut self, key: Key, interest: Interest) -> io::Result<()> {
        let Some(registration) = self.registrations.get_mut(key) else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the key names no registered source",
            ));
        };
        check_interest(self.mechanism, registration.trigger, interest)?;
        registration.wanted = interest;
        if registration.is_due() && registration.state != State::Changed {
            registration.state = State::Changed;
            self.changed.push(key);
            self.chores = true;
        }
        Ok(())
    }

    /// Stops watching a source and gives it back with its data; `None` when `key` names nothing (any more).
    ///
    /// It takes effect at once: no event for `key` is delivered any more, the current batch included, even if
    /// duplicates of the descriptor stay open. Where [`lets_go_at_once`](Capabilities::lets_go_at_once) is false, the
    /// system holds on to the source until the next wait or [`apply`](Selector::apply): closed before that, it is closed
    /// for its peer only then.
    pub fn unregister(&mut self, key: Key) -> Option<(S, T)> {
        let registration = self.registrations.remove(key)?;
        // Not so when the descriptor has a new owner: then it is the new owner's registration.
        if self.slots.get(registration.descriptor) == key.index() {
            self.slots.remove(registration.descriptor);
            self.backend
                .unregister(registration.descriptor, key, registration.applied);
        }
        Some((registration.source, registration.data))
    }

    /// A source and its data.
    pub fn get(&self, key: Key) -> Option<(&S, &T)> {
        self.registrations
            .get(key)
            .map(|registration| (&registration.source, &registration.data))
    }

    /// A source.
    pub fn source(&self, key: Key) -> Option<&S> {
        self.registrations
            .get(key)
            .map(|registration| &registration.source)
    }

    /// A source's data.
    pub fn data(&self, key: Key) -> Option<&T> {
        self.registrations
            .get(key)
            .map(|registration| &registration.data)
    }

    /// A source's data, to change it.
    pub fn data_mut(&mut self, key: Key) -> Option<&mut T> {
        self.registrations
            .get_mut(key)
            .map(|registration| &mut registration.data)
    }

    /// A source, and its data to change it.
    pub fn pair_mut(&mut self, key: Key) -> Option<(&S, &mut T)> {
        self.registrations
            .get_mut(key)
            .map(|registration| (&registration.source, &mut registration.data))
    }

    /// What a source is watched for.
    pub fn interest(&self, key: Key) -> Option<Interest> {
        self.registrations
            .get(key)
            .map(|registration| registration.wanted)
    }

    /// The key of the registered source that has the same descriptor as `source`.
    pub fn key_of(&self, source: &impl AsSource) -> Option<Key> {
        self.registrations
            .key_at(self.slots.get(descriptor_of(source)))
    }

    /// All registered sources with their data.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &S, &T)> {
        self.registrations
            .iter()
            .map(|(key, registration)| (key, &registration.source, &registration.data))
    }

    /// How many sources are registered.
    pub fn len(&self) -> usize {
        self.registrations.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.registrations.is_empty()
    }
}

impl<S, T> Registration<S, T> {
    /// Whether there is a change to tell the mechanism. A one-shot source is always told of, for it may have fired.
    fn is_due(&self) -> bool {
        self.wanted != self.applied || self.trigger == Trigger::OneShot && !self.wanted.is_empty()
    }

    /// The mechanism does not watch this descriptor any more, because it was closed or refused.
    fn watch_nothing(&mut self) {
        self.wanted = Interest::NONE;
        self.applied = Interest::NONE;
        self.state = State::Closed;
    }
}

impl<S: AsSource, T> fmt::Debug for Selector<S, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Selector")
            .field("mechanism", &self.mechanism)
            .field("sources", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    /// What a mechanism adds for each registration, `poll` most: a row, its key, and the row's place by slot.
    #[cfg(unix)]
    const MECHANISM_BYTES: usize = 8 + 8 + 4;

    /// On Windows sockets are twice as wide, and found by a map.
    #[cfg(unix)]
    #[test]
    fn a_registration_costs_at_most_forty_bytes_beyond_source_and_data() {
        let generation = size_of::<u32>();
        let slot_of_descriptor = size_of::<u32>();
        let fields = size_of::<Registration<TcpListener, ()>>() - size_of::<TcpListener>();
        assert!(
            generation + fields + slot_of_descriptor + MECHANISM_BYTES <= 40,
            "{fields}"
        );
    }

    #[test]
    fn a_change_that_is_taken_back_is_not_told_to_the_system() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut selector = Selector::new().unwrap();
        let key = selector.register(listener, Interest::READ, ()).unwrap();
        selector.modify(key, Interest::NONE).unwrap();
        selector.modify(key, Interest::WRITE).unwrap();
        assert_eq!(selector.changed.len(), 1);
        selector.modify(key, Interest::READ).unwrap();
        selector.select(Some(Duration::ZERO)).unwrap();
        assert!(selector.changed.is_empty() && selector.failed.is_empty());
        assert_eq!(
            selector.registrations.get(key).unwrap().applied,
            Interest::READ
        );
    }
}
