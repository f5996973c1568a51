//! The raw door: each mechanism by itself, over descriptors that it does not own. For those who build something else on
//! the mechanisms, such as a module for another language; everybody else is better served by
//! [`Selector`](crate::Selector), which is safe.
//!
//! What is different from a `Selector`:
//!
//! - Descriptors are numbers, named in events by a token of the caller's choice. They have to stay open while they are
//!   registered, which is why [`register`](RawSelector::register) is unsafe.
//! - All functions take `&self`. A change made while another thread waits takes effect in that very wait, which
//!   goes on. On `epoll` the kernel does that; elsewhere the waiting thread is nudged, takes the changes up and
//!   waits for what is left of its time, without returning.
//! - Changes are told to the system at once, and so are its errors, by their numbers: `EBADF` for what is not open, `EEXIST`
//!   for what is registered, `ENOENT` for what is not, `EPERM` for regular files on `epoll`.
//! - Readiness is not masked by interest: what the system says besides is passed on. A hang-up makes a source
//!   readable and writable, whatever it is watched for, and is reported for as long as it lasts.
//! - A signal ends the wait with an error of the kind `Interrupted`, so that its handler can be run. On Linux being
//!   stopped and continued may do so too, without any handler (signal(7)).
//!
//! In what mechanisms differ, [`Capabilities`] says here too.
//!
//! ```
//! use std::io::Write;
//! use std::os::fd::AsRawFd;
//! use std::os::unix::net::UnixStream;
//! use trunkline_selectors::raw::{Events, RawSelector};
//! use trunkline_selectors::{Interest, Mechanism, Trigger};
//!
//! # fn main() -> std::io::Result<()> {
//! let (mut ours, theirs) = UnixStream::pair()?;
//! let selector = RawSelector::new(Mechanism::best())?;
//! let descriptor = theirs.as_raw_fd();
//! // SAFETY: `theirs` is closed at the end, after it was unregistered.
//! unsafe { selector.register(descriptor, 7, Interest::READ, Trigger::Level)? };
//!
//! ours.write_all(b"hello")?;
//! let mut events = Events::new();
//! assert_eq!(selector.select(&mut events, None)?.events, 1);
//! let event = events.iter().next().expect("one event");
//! assert!(event.token == 7 && event.readiness.is_readable());
//!
//! selector.unregister(descriptor)?;
//! # Ok(())
//! # }
//! ```

#[cfg(all(test, target_os = "linux"))]
mod cost;
mod table;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::fmt;
use std::io;
use std::time::Duration;

use self::table::Table;
pub use crate::backend::Descriptor;
use crate::backend::{self, BATCH, Entries, Native, WAKER};
use crate::capabilities::Capabilities;
use crate::deadline::Deadline;
use crate::interest::{Interest, Trigger};
use crate::mechanism::Mechanism;
use crate::readiness::{Readiness, Selected};
use crate::registering::{check_interest, no_such_trigger};
use crate::waker::Waker;

/// A mechanism over descriptors that it does not own. The module's page says what is different from a
/// [`Selector`](crate::Selector).
pub struct RawSelector {
    mechanism: Mechanism,
    waker: Waker,
    door: Door,
}

enum Door {
    /// The kernel takes registrations while a thread waits.
    Native(Native),
    /// We have to.
    Table(Table),
}

impl RawSelector {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// `Unsupported`, with the reason, when the mechanism does not work here; or the system has no descriptors left.
    pub fn new(mechanism: Mechanism) -> io::Result<RawSelector> {
        let waker = Waker::new()?;
        let door = match backend::native(mechanism, waker.descriptor())? {
            Some(native) => Door::Native(native),
            None => Door::Table(Table::new(mechanism, waker.clone())?),
        };
        Ok(RawSelector {
            mechanism,
            waker,
            door,
        })
    }

    /// The mechanism in use.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// In what it differs from others.
    pub fn capabilities(&self) -> Capabilities {
        self.mechanism.capabilities()
    }

    /// Something that ends a wait from any thread: that of one thread at least, if several wait.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Watches a descriptor, and reports it by `token`.
    ///
    /// A token may be used more than once. An event may be on its way while its descriptor is unregistered by another
    /// thread; who closes and opens while somebody waits tells them apart by a token that is not used again.
    ///
    /// # Errors
    ///
    /// The system's, at once: `EBADF`, `EEXIST`, `EPERM` (see [`Capabilities::regular_files`]), `ENOMEM`, `ENOSPC`.
    /// `Unsupported` for a trigger the mechanism does not have. `InvalidInput` for an empty interest, which would have
    /// to be reported for ever once the descriptor hangs up, and for the token `u64::MAX`, which is the waker's.
    ///
    /// # Safety
    ///
    /// The descriptor must stay open until it is unregistered or the selector is dropped. Otherwise the system may
    /// give its number to a file that somebody else opens, and which then is watched and reported on their behalf.
    pub unsafe fn register(
        &self,
        descriptor: Descriptor,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.check(descriptor, token, interest, trigger)?;
        match &self.door {
            Door::Native(set) => Ok(set.add(descriptor, token, interest, trigger)?),
            Door::Table(table) => table.register(descriptor, token, interest, trigger),
        }
    }

    /// Changes what a descriptor is watched for, how, and its token. With [`Trigger::OneShot`] this arms it again, also
    /// if nothing is changed. No descriptor can become [`Trigger::Exclusive`] or cease to be.
    ///
    /// # Errors
    ///
    /// As [`register`](RawSelector::register), but for `EEXIST`; `ENOENT` when the descriptor is not registered. An
    /// exclusive one that the system refuses is not registered any more.
    pub fn modify(
        &self,
        descriptor: Descriptor,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.check(descriptor, token, interest, trigger)?;
        match &self.door {
            Door::Native(set) => Ok(set.modify(descriptor, token, interest, trigger)?),
            Door::Table(table) => table.modify(descriptor, token, interest, trigger),
        }
    }

    /// Stops watching a descriptor. After this it may be closed, even while another thread waits. A mechanism that holds
    /// the file itself then lets go of it as soon as the waiting thread has taken the change up.
    ///
    /// # Errors
    ///
    /// `ENOENT` when the descriptor is not registered, `EBADF` when it is not open, where the mechanism can tell.
    pub fn unregister(&self, descriptor: Descriptor) -> io::Result<()> {
        if !backend::is_descriptor(descriptor) {
            return Err(backend::not_open());
        }
        match &self.door {
            Door::Native(set) => Ok(set.delete(descriptor)?),
            Door::Table(table) => table.unregister(descriptor),
        }
    }

    /// Waits until a descriptor is ready, a [`Waker`] is used or `timeout` has passed (`None`: for ever, zero: not at
    /// all), and fills `events`, of which it forgets what was in there before.
    ///
    /// # Errors
    ///
    /// `Interrupted` after a signal. `ResourceBusy` when another thread waits already, where only one can (see
    /// [`Capabilities::several_waiters`]). Otherwise what the system says; none is known but for lack of memory.
    pub fn select(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<Selected> {
        let mut deadline = Deadline::after(timeout);
        loop {
            let entries = &mut events.entries;
            let selected = match &self.door {
                Door::Native(set) => {
                    set.wait(entries, deadline.remaining())?;
                    self.count(entries)
                }
                Door::Table(table) => table.wait(entries, deadline.remaining())?,
            };
            // Nothing, though time is left: it was a nudge, or somebody else took what woke us.
            if selected != Selected::default() || deadline.has_passed() {
                return Ok(selected);
            }
            deadline.wait_again();
        }
    }

    /// Counts what the kernel found, and takes the wake if there was one.
    fn count(&self, entries: &Entries) -> Selected {
        let raised = entries.iter().any(|(token, _)| token == WAKER);
        Selected {
            events: entries.len() - usize::from(raised),
            woken: raised && self.waker.take(),
        }
    }

    fn check(
        &self,
        descriptor: Descriptor,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        if !backend::is_descriptor(descriptor) {
            return Err(backend::not_open());
        }
        if !self.mechanism.supports(trigger) {
            return Err(no_such_trigger(self.mechanism, trigger));
        }
        check_interest(trigger, interest)?;
        let wrong = if interest.is_empty() {
            "an empty interest cannot be registered; unregister what is not to be watched"
        } else if token == WAKER {
            "the token u64::MAX is the waker's; take another one"
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }
}

impl fmt::Debug for RawSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RawSelector")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

/// Room for the events of one wait, about a thousand of them, to be used for the next one again.
pub struct Events {
    entries: Entries,
}

impl Events {
    /// Room for a batch, empty.
    pub fn new() -> Events {
        Events {
            entries: Entries::with_capacity(BATCH),
        }
    }

    /// The events that the last wait found.
    pub fn iter(&self) -> impl Iterator<Item = Event> {
        self.entries
            .iter()
            .filter(|(token, _)| *token != WAKER)
            .map(|(token, flags)| Event {
                token,
                readiness: flags.readiness(ANY_INTEREST),
            })
    }
}

const ANY_INTEREST: Interest = Interest::READ
    .with(Interest::WRITE)
    .with(Interest::PRIORITY);

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// A descriptor is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What it was registered with.
    pub token: u64,
    /// For what, whether it was asked or not.
    pub readiness: Readiness,
}
