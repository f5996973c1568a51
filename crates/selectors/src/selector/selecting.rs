//! Waiting: what is told the mechanism before, and what is told the user after.

use std::io;
use std::time::Duration;

use super::{Registration, Selector, State};
use crate::backend::{AsSource, BAD_DESCRIPTOR, Backend, Flags, Found};
use crate::deadline::Deadline;
use crate::interest::Interest;
use crate::readiness::{Event, Readiness, Selected};
use crate::slab::Key;

impl<S: AsSource, T> Selector<S, T> {
    /// Waits until a source is ready, a [`Waker`](crate::Waker) is used or `timeout` has passed (`None`: for ever, zero: not at
    /// all), and collects a new batch of events for [`next_event`](Selector::next_event). What is left of the last
    /// batch is forgotten; level-triggered sources that are still ready are simply found again.
    ///
    /// Timeouts are kept to the nanosecond where the system takes them (on kernels before 5.11 `epoll` rounds up to
    /// a millisecond). A signal does not end the wait.
    ///
    /// # Errors
    ///
    /// What the system says. None is known but for lack of memory, and of a descriptor for a new set: `epoll` needs one
    /// after a source was closed behind the selector's back while a duplicate of it stays open, `io_uring` in another
    /// thread than before. It is needed again by the next call.
    #[inline(always)]
    pub fn select(&mut self, timeout: Option<Duration>) -> io::Result<Selected> {
        // The usual wait: nothing to do before it, no deadline to keep, and something found.
        if timeout.is_none() && !self.chores {
            let woken = false;
            match self.backend.find() {
                Found::Source => return Ok(Selected { events: 1, woken }),
                Found::Entries(0) => {}
                Found::Entries(events) if !self.waker.is_pending() => {
                    return Ok(Selected { events, woken });
                }
                Found::Entries(found) => return Ok(self.selected(found)),
            }
        }
        // What went wrong there, if anything, comes again here.
        self.select_with_care(timeout)
    }

    /// Tells the system now what it would be told by the next [`select`](Selector::select): what was modified, and
    /// what is to be let go of. Collects nothing, and leaves the current batch as it is.
    ///
    /// Nobody needs it who waits again soon. It is for those who do something else for long after a
    /// [`modify`](Selector::modify) or, where [`lets_go_at_once`](crate::Capabilities::lets_go_at_once) is false,
    /// after an [`unregister`](Selector::unregister): a socket that was closed after it is closed for its peer from now
    /// on. Where there is nothing to tell it costs no system call.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::os::unix::net::UnixStream;
    /// use std::time::Duration;
    /// use trunkline_selectors::{Interest, Mechanism, Selector};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, mut peer) = UnixStream::pair()?;
    /// let mut selector = Selector::with_mechanism(Mechanism::best())?;
    /// let key = selector.register(ours, Interest::READ, ())?;
    /// selector.select(Some(Duration::ZERO))?;
    ///
    /// drop(selector.unregister(key)); // closes it
    /// selector.apply()?; // at the latest now
    /// assert_eq!(peer.read(&mut [0])?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the system says; none is known but for lack of memory. A modification that it refuses is no error here: the
    /// next `select` reports it, as ever.
    pub fn apply(&mut self) -> io::Result<()> {
        if !self.changed.is_empty() {
            self.apply_changes();
            // The current batch was found for other interests. The next wait begins with a new one, and looks at this.
            self.outdated = true;
        }
        self.backend.apply()
    }

    #[inline(never)]
    fn select_with_care(&mut self, timeout: Option<Duration>) -> io::Result<Selected> {
        self.apply_changes();
        self.outdated = false;
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
    /// reported. A batch has at most some thousand events, beside those of regular files; the others come with the next.
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
        let unasked =
            readiness.is_empty() && registration.wanted == registration.applied && !self.outdated;
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
