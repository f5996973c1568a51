//! Registrations for mechanisms that are one thread's at a time: what is registered, under a lock, and the changes that
//! the waiting thread has yet to take up.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backend::{Backend, Descriptor, Entries, Flags, Slots, check_open, exists, not_found};
use crate::interest::{Interest, Trigger};
use crate::mechanism::Mechanism;
use crate::readiness::Selected;
use crate::slab::{Key, Slab};
use crate::waker::Waker;

pub(super) struct Table {
    state: Mutex<State>,
    waker: Waker,
}

struct State {
    /// None while a thread waits with it: then changes are written down, and that thread is nudged.
    backend: Option<Box<Backend>>,
    changes: Vec<Change>,
    registrations: Slab<Registration>,
    /// The slot of the registration of each descriptor.
    slots: Slots,
}

struct Registration {
    descriptor: Descriptor,
    token: u64,
    /// Empty if the mechanism refused it after the fact, which has been reported.
    interest: Interest,
    trigger: Trigger,
}

/// A registration's interest, before and after: empty before it is registered and after it is unregistered.
struct Change {
    descriptor: Descriptor,
    key: Key,
    interest: (Interest, Interest),
    trigger: Trigger,
}

impl Table {
    pub(super) fn new(mechanism: Mechanism, waker: Waker) -> io::Result<Table> {
        let backend = Backend::new(mechanism, waker.descriptor())?;
        let state = State {
            backend: Some(Box::new(backend)),
            changes: Vec::new(),
            registrations: Slab::new(),
            slots: Slots::default(),
        };
        Ok(Table {
            state: Mutex::new(state),
            waker,
        })
    }

    pub(super) fn register(
        &self,
        descriptor: Descriptor,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        let mut state = self.lock();
        if state.key_of(descriptor).is_some() {
            return Err(exists());
        }
        let change = Change {
            descriptor,
            key: state.registrations.vacant_key(),
            interest: (Interest::NONE, interest),
            trigger,
        };
        state.change(change, &self.waker)?;
        state.insert(Registration {
            descriptor,
            token,
            interest,
            trigger,
        });
        Ok(())
    }

    pub(super) fn modify(
        &self,
        descriptor: Descriptor,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        let mut state = self.lock();
        let key = state.registered(descriptor)?;
        let Some(registration) = state.registrations.get(key) else {
            return Err(not_found());
        };
        let mut change = Change {
            descriptor,
            key,
            interest: (registration.interest, interest),
            trigger,
        };
        // Another trigger is another registration to the mechanism; and a modified edge is told again what holds.
        let anew = trigger != registration.trigger || trigger == Trigger::Edge;
        if anew && !registration.interest.is_empty() {
            let stop = Change {
                interest: (registration.interest, Interest::NONE),
                trigger: registration.trigger,
                ..change
            };
            state.change(stop, &self.waker)?;
            change.interest.0 = Interest::NONE;
        }
        let changed = state.change(change, &self.waker);
        if let Some(registration) = state.registrations.get_mut(key) {
            // What the mechanism refused it does not watch.
            registration.interest = changed.as_ref().map_or(Interest::NONE, |()| interest);
            registration.token = token;
            registration.trigger = trigger;
        }
        changed
    }

    pub(super) fn unregister(&self, descriptor: Descriptor) -> io::Result<()> {
        let mut state = self.lock();
        let key = state.registered(descriptor)?;
        if let Some(registration) = state.registrations.remove(key) {
            state.slots.remove(descriptor);
            let change = Change {
                descriptor,
                key,
                interest: (registration.interest, Interest::NONE),
                trigger: registration.trigger,
            };
            state.change(change, &self.waker)?;
        }
        Ok(())
    }

    /// One wait. It may end with nothing before its time, when it was nudged.
    pub(super) fn wait(
        &self,
        entries: &mut Entries,
        timeout: Option<Duration>,
    ) -> io::Result<Selected> {
        entries.clear();
        let Some(mut backend) = self.lock().backend.take() else {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another thread waits already, and this mechanism serves one at a time",
            ));
        };
        let found = backend.wait(timeout);
        let mut state = self.lock();
        let mut woken = false;
        if found.is_ok() {
            woken = backend.saw_waker() && self.waker.take();
            state.collect(&mut backend, entries);
        }
        state.take_up_changes(&mut backend, entries);
        state.backend = Some(backend);
        if entries.len() == 0 {
            found?;
        }
        Ok(Selected {
            events: entries.len(),
            woken,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way; and if it did, every field would still be what it says.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn key_of(&self, descriptor: Descriptor) -> Option<Key> {
        self.registrations.key_at(self.slots.get(descriptor))
    }

    /// The same where there must be one; says whether that is because it is not even open.
    fn registered(&self, descriptor: Descriptor) -> io::Result<Key> {
        if let Some(key) = self.key_of(descriptor) {
            return Ok(key);
        }
        check_open(descriptor)?;
        Err(not_found())
    }

    fn insert(&mut self, registration: Registration) {
        let descriptor = registration.descriptor;
        self.slots.reserve(descriptor);
        let key = self.registrations.insert(registration);
        self.slots.put(descriptor, key.index());
    }

    /// Makes a change, or has the waiting thread make it.
    fn change(&mut self, change: Change, waker: &Waker) -> io::Result<()> {
        // Not every mechanism would say so, and none does while a thread waits.
        if change.interest.0.is_empty() && !change.interest.1.is_empty() {
            check_open(change.descriptor)?;
        }
        if let Some(backend) = &mut self.backend {
            return change.make(backend);
        }
        if self.changes.is_empty() {
            waker.nudge()?;
        }
        self.changes.push(change);
        Ok(())
    }

    /// What the mechanism found, without what was unregistered in the meantime or is not wanted any more.
    fn collect(&self, backend: &mut Backend, entries: &mut Entries) {
        while let Some((key, flags)) = backend.next() {
            if let Some(registration) = self.registrations.get(key) {
                let flags = flags.asked_by(registration.interest);
                if !flags.is_empty() {
                    entries.push(registration.token, flags);
                }
            }
        }
    }

    /// Makes the changes of the time of the wait. They were found to be in order; what the mechanism refuses all
    /// the same is reported as the error it would have been.
    fn take_up_changes(&mut self, backend: &mut Backend, entries: &mut Entries) {
        for change in std::mem::take(&mut self.changes) {
            let Err(error) = change.make(backend) else {
                continue;
            };
            if let Some(registration) = self.registrations.get_mut(change.key) {
                registration.interest = Interest::NONE;
                entries.push(registration.token, Flags::refused(&error));
            }
        }
    }
}

impl Change {
    fn make(&self, backend: &mut Backend) -> io::Result<()> {
        let (old, new) = self.interest;
        if new.is_empty() {
            // The mechanism may never have heard of what it refused.
            if !old.is_empty() {
                backend.unregister(self.descriptor, self.key, old);
            }
            Ok(())
        } else if old.is_empty() {
            backend.register(self.descriptor, self.key, new, self.trigger)
        } else if old != new || self.trigger == Trigger::OneShot {
            backend.modify(self.descriptor, self.key, self.interest, self.trigger)
        } else {
            Ok(())
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::pipe::pipe;

    use super::*;

    const NO_TIME: Option<Duration> = Some(Duration::ZERO);

    fn tables() -> impl Iterator<Item = Table> {
        [Mechanism::Poll, Mechanism::Select]
            .map(|mechanism| Table::new(mechanism, Waker::new().unwrap()).unwrap())
            .into_iter()
    }

    fn ready_pipe() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = pipe().unwrap();
        rustix::io::write(&writer, b"x").unwrap();
        (reader, writer)
    }

    /// What one wait tells, if `act` happens after the mechanism has looked and before the table takes it over.
    fn wait_and(table: &Table, act: impl FnOnce()) -> Vec<(u64, Flags)> {
        let mut entries = Entries::with_capacity(8);
        let mut backend = table.lock().backend.take().unwrap();
        backend.wait(NO_TIME).unwrap();
        act();
        let mut state = table.lock();
        state.collect(&mut backend, &mut entries);
        state.take_up_changes(&mut backend, &mut entries);
        state.backend = Some(backend);
        entries.iter().collect()
    }

    fn tokens(told: &[(u64, Flags)]) -> Vec<u64> {
        told.iter().map(|(token, _)| *token).collect()
    }

    #[test]
    fn what_is_changed_behind_a_looks_back_is_told_as_it_is_now() {
        for table in tables() {
            let pipes: Vec<_> = (0..4).map(|_| ready_pipe()).collect();
            let number = |position: usize| pipes[position].0.as_raw_fd();
            for (token, position) in (0..).zip(0..pipes.len()) {
                let (read, level) = (Interest::READ, Trigger::Level);
                table
                    .register(number(position), token, read, level)
                    .unwrap();
            }
            let told = wait_and(&table, || {
                table.unregister(number(0)).unwrap();
                table.unregister(number(1)).unwrap();
                table
                    .register(number(1), 11, Interest::READ, Trigger::Level)
                    .unwrap();
                table
                    .modify(number(2), 2, Interest::PRIORITY, Trigger::Level)
                    .unwrap();
                table
                    .modify(number(3), 13, Interest::READ, Trigger::OneShot)
                    .unwrap();
            });
            // One is nobody's, one is another registration's, one is not wanted, and one has another token.
            assert_eq!(tokens(&told), [13]);
            // The one-shot was made one after the look, so it has its shot.
            let mut told = tokens(&wait_and(&table, || ()));
            told.sort_unstable();
            assert_eq!(told, [11, 13]);
            assert_eq!(tokens(&wait_and(&table, || ())), [11]);
        }
    }

    #[test]
    fn what_is_refused_after_the_fact_is_reported_once() {
        for table in tables() {
            let (reader, _writer) = ready_pipe();
            // A number that other tests do not get from the system, so that it stays free once it is closed.
            let high =
                rustix::io::fcntl_dupfd_cloexec(&reader, crate::backend::tests::free_number(5))
                    .unwrap();
            let number = high.as_raw_fd();
            let told = wait_and(&table, || {
                table
                    .register(number, 5, Interest::READ, Trigger::Level)
                    .unwrap();
                drop(high);
            });
            let closed = io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error());
            assert_eq!(told, [(5, Flags::refused(&closed))]);
            assert_eq!(wait_and(&table, || ()), []);
            table.unregister(number).unwrap();
            assert_eq!(wait_and(&table, || ()), []);
        }
    }
}
