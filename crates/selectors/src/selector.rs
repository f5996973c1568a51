//! The selector: who is registered, for what, and what the last wait found.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::backend::{AsSource, BAD_DESCRIPTOR, Backend, Descriptor, Flags, Slots, descriptor_of};
use crate::capabilities::Capabilities;
use crate::deadline::Deadline;
use crate::interest::{Interest, Trigger};
use crate::mechanism::Mechanism;
use crate::readiness::{Event, Readiness, Selected};
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
    /// Whether there is anything in the three above: one question instead of three, twice a turn.
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
        let state = State::Settled;
        let registration = Registration {
            source,
            data,
            descriptor,
            wanted: interest,
            applied: interest,
            trigger,
            state,
        };
        let key = self.registrations.insert(registration);
        self.slots.put(descriptor, key.index());
        Ok(key)
    }

    /// Has the mechanism watch a descriptor, under the key that its registration is going to have.
    fn admit(
        &mut self,
        descriptor: Descriptor,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        if !self.mechanism.supports(trigger) {
            return Err(no_such_trigger(self.mechanism, trigger));
        }
        check_interest(trigger, interest)?;
        self.slots.reserve(descriptor);
        if let Some(previous) = self.registrations.key_at(self.slots.get(descriptor)) {
            self.displace(previous)?;
        }
        self.backend.register(
            descriptor,
            self.registrations.vacant_key(),
            interest,
            trigger,
        )
    }

    /// Makes room for the descriptor's next owner if the registered one was closed behind our back and the mechanism
    /// can tell. The old registration stays until it is unregistered, but watches nothing any more.
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
    /// out of memory or watches, that is reported as [`Readiness::ERROR`] and the interest is empty.
    ///
    /// A source with [`Trigger::OneShot`] is armed again by this, also with the interest it has already.
    ///
    /// # Errors
    ///
    /// `NotFound` when `key` names nothing (any more); `Unsupported` when the source's trigger does not watch for this
    /// interest (see [`Trigger::Exclusive`]), and then nothing is changed.
    pub fn modify(&mut self, key: Key, interest: Interest) -> io::Result<()> {
        let Some(registration) = self.registrations.get_mut(key) else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the key names no registered source",
            ));
        };
        check_interest(registration.trigger, interest)?;
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
    /// duplicates of the descriptor stay open.
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

    /// Waits until a source is ready, a [`Waker`] is used or `timeout` has passed (`None`: for ever, zero: not at
    /// all), and collects a new batch of events for [`next_event`](Selector::next_event). What is left of the last
    /// batch is forgotten; level-triggered sources that are still ready are simply found again.
    ///
    /// Timeouts are kept to the nanosecond where the system takes them (on kernels before 5.11 `epoll` rounds up to
    /// a millisecond). A signal does not end the wait.
    ///
    /// # Errors
    ///
    /// What the system says; none is known but for lack of memory.
    #[inline(always)]
    pub fn select(&mut self, timeout: Option<Duration>) -> io::Result<Selected> {
        // The usual wait: nothing to do before it, no deadline to keep, and something found.
        if timeout.is_none()
            && !self.chores
            && let Ok(found @ 1..) = self.backend.wait(None)
        {
            if !self.waker.is_pending() {
                let woken = false;
                let events = found;
                return Ok(Selected { events, woken });
            }
            return Ok(self.selected(found));
        }
        // What went wrong there, if anything, comes again here.
        self.select_with_care(timeout)
    }

    #[inline(never)]
    fn select_with_care(&mut self, timeout: Option<Duration>) -> io::Result<Selected> {
        self.apply_changes();
        if self.strays {
            self.rebuild()?;
        }
        self.chores = !self.failed.is_empty();
        let at_once = Some(Duration::ZERO).filter(|_| self.chores);
        let mut deadline = Deadline::after(at_once.or(timeout));
        loop {
            match self.backend.wait(deadline.remaining()) {
                Ok(found) => {
                    let selected = self.selected(found);
                    // Nothing, though time is left: what woke us was taken away by somebody else.
                    if selected != Selected::default() || deadline.has_passed() {
                        return Ok(selected);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            deadline.wait_again();
        }
    }

    /// Counts what a wait found, and takes the wake if there was one.
    #[inline(always)]
    fn selected(&mut self, found: usize) -> Selected {
        let woken = self.waker.is_pending() && self.backend.saw_waker();
        if woken {
            self.waker.take();
        }
        Selected {
            events: found - usize::from(woken) + self.failed.len(),
            woken,
        }
    }

    /// Tells the mechanism what was modified since the last wait, where it differs.
    fn apply_changes(&mut self) {
        for position in 0..self.changed.len() {
            let key = self.changed[position];
            let Some(registration) = self.registrations.get_mut(key) else {
                continue;
            };
            if registration.state != State::Changed {
                continue;
            }
            registration.state = State::Settled;
            let change = (registration.applied, registration.wanted);
            if !registration.is_due() {
                continue;
            }
            let result = if self.slots.get(registration.descriptor) == key.index() {
                self.backend
                    .modify(registration.descriptor, key, change, registration.trigger)
            } else {
                // The descriptor has a new owner: nothing may be done to it.
                Err(io::ErrorKind::NotFound.into())
            };
            match result {
                Ok(()) => registration.applied = change.1,
                Err(error) => {
                    registration.watch_nothing();
                    self.failed.push(Event {
                        key,
                        readiness: refusal(&error),
                    });
                }
            }
        }
        self.changed.clear();
    }

    /// Starts again with a new set, free of entries that the system does not let go of.
    #[cold]
    fn rebuild(&mut self) -> io::Result<()> {
        let mut backend = Backend::new(self.mechanism, self.waker.descriptor())?;
        for (key, registration) in self.registrations.iter_mut() {
            let Registration {
                descriptor,
                applied,
                trigger,
                ..
            } = *registration;
            if self.backend.has_fired(key) {
                // Out of the old set, and not to be in the new one before it is armed again.
                registration.applied = Interest::NONE;
                continue;
            }
            if applied.is_empty() {
                continue;
            }
            let moved = if self.backend.holds(descriptor, key, applied) {
                backend.register(descriptor, key, applied, trigger)
            } else {
                Err(io::ErrorKind::NotFound.into())
            };
            if let Err(error) = moved {
                registration.watch_nothing();
                self.failed.push(Event {
                    key,
                    readiness: refusal(&error),
                });
            }
        }
        self.backend = backend;
        self.strays = false;
        Ok(())
    }

    /// The next event of the batch that the last [`select`](Selector::select) collected.
    ///
    /// Sources that have been unregistered since are skipped, and an interest that has been taken back since is not
    /// reported. A batch has at most some thousand events, whatever the mechanism; the others come with the next.
    #[inline(always)]
    pub fn next_event(&mut self) -> Option<Event> {
        self.next_event_with(|_, _| ()).map(|(event, ())| event)
    }

    /// As [`next_event`](Selector::next_event), and shows the source and its data to `look` in the same look-up.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use trunkline_selectors::{Interest, Selector};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (near, _far) = UnixStream::pair()?;
    /// let mut selector = Selector::new()?;
    /// selector.register(near, Interest::WRITE, "near")?;
    /// selector.select(None)?;
    /// let (event, name) = selector.next_event_with(|_stream, name| *name).expect("there is room");
    /// assert!(event.readiness.is_writable());
    /// assert_eq!(name, "near");
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn next_event_with<R>(&mut self, look: impl FnOnce(&S, &mut T) -> R) -> Option<(Event, R)> {
        while let Some((key, flags)) = self.backend.next() {
            if let Some(registration) = self.registrations.get_mut(key)
                && let Some(readiness) = flags.usual_readiness(registration.wanted)
                && !readiness.is_empty()
            {
                let answer = look(&registration.source, &mut registration.data);
                return Some((Event { key, readiness }, answer));
            }
            if let Some(event) = self.unusual_event(key, flags) {
                let (event, answer) = self.show(event, look)?;
                return Some((event, answer));
            }
        }
        if !self.chores {
            return None;
        }
        let event = self.next_failed()?;
        let (event, answer) = self.show(event, look)?;
        Some((event, answer))
    }

    #[inline(never)]
    fn show<R>(&mut self, event: Event, look: impl FnOnce(&S, &mut T) -> R) -> Option<(Event, R)> {
        let registration = self.registrations.get_mut(event.key)?;
        Some((event, look(&registration.source, &mut registration.data)))
    }

    /// An entry of the batch that is not simply input or output: a hang-up, an error, or nothing that is wanted.
    #[inline(never)]
    fn unusual_event(&mut self, key: Key, flags: Flags) -> Option<Event> {
        let Some(registration) = self.registrations.get(key) else {
            let stray = key != Key::NOTHING;
            self.note_stray(stray);
            return None;
        };
        let readiness = flags.readiness(registration.wanted);
        let stray = registration.state == State::Closed;
        let unasked = readiness.is_empty() && registration.wanted == registration.applied;
        self.note_stray(stray);
        if unasked || readiness.is_invalid() {
            self.mute(key, readiness);
        }
        (!readiness.is_empty()).then_some(Event { key, readiness })
    }

    fn note_stray(&mut self, stray: bool) {
        if stray && self.backend.may_report_strays() {
            self.strays = true;
            self.chores = true;
        }
    }

    /// Watches a source no more that would be found at every wait from now on: its descriptor is not open, or it hung
    /// up and nobody asked about that, which only happens with an interest in priority alone. The latter is watched
    /// again when its interest is modified. Until then an error that follows the hang-up is not seen: `poll` cannot
    /// leave out the one and keep the other, and here all mechanisms do as it does.
    #[cold]
    fn mute(&mut self, key: Key, readiness: Readiness) {
        let Some(registration) = self.registrations.get_mut(key) else {
            return;
        };
        self.backend
            .unregister(registration.descriptor, key, registration.applied);
        registration.applied = Interest::NONE;
        if readiness.is_invalid() {
            registration.watch_nothing();
        }
    }

    fn next_failed(&mut self) -> Option<Event> {
        while let Some(event) = self.failed.pop() {
            if self.registrations.contains(event.key) {
                return Some(event);
            }
        }
        None
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

/// What to report when the mechanism refused a change: it does not know the descriptor, or something else.
fn refusal(error: &io::Error) -> Readiness {
    let unknown =
        error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(BAD_DESCRIPTOR);
    if unknown {
        Readiness::INVALID
    } else {
        Readiness::ERROR
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
