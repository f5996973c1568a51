//! The `kqueue` of macOS and the BSDs: the kernel keeps the set, and a wait costs in proportion to what is ready.
//!
//! It knows directions, not sources: a *filter* watches a descriptor for input, for room, or for exceptional input, and
//! each reports by itself. Here they are put together again, so that a batch has one entry for each source.
//!
//! The kernel is behind [`Queue`], so that all of this runs against another one, the model of the tests.

mod entry;
#[cfg(all(test, target_os = "linux"))]
mod model;
#[cfg(all(test, target_os = "linux"))]
mod suite;
#[cfg(not(target_os = "linux"))]
mod system;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::io::Errno;

use self::entry::{Action, Entry, Filter, Queue};
use super::batch::Batch;
use super::one_shots::OneShots;
use super::platform::{Borrowed, borrow, check_open};
use super::{BATCH, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

#[cfg(all(test, target_os = "linux"))]
pub(crate) type Kqueue = Filters<model::Model>;
#[cfg(not(target_os = "linux"))]
pub(crate) type Kqueue = Filters<system::System>;

pub(crate) struct Filters<Q: Queue> {
    queue: Q,
    /// What is known of each key's slot.
    slots: Vec<Slot>,
    /// What the kernel refuses to watch, or would not call ready though it is.
    constant: Vec<Constant>,
    one_shots: OneShots,
    /// The other directions of one-shots that have fired, to be disabled with the next wait.
    disarm: Vec<Q::Raw>,
    /// What the kernel found.
    found: Vec<Q::Raw>,
}

#[derive(Clone, Copy)]
struct Slot {
    key: Key,
    /// Where in the batch the key's entry is, if it is there.
    position: u32,
    /// What the kernel was told to watch.
    interest: Interest,
    /// Whether the source is a pipe, whose writer hears of a closed reader as the end, and not as an error.
    pipe: bool,
}

/// A source whose readiness does not change, so that there is nothing to watch: a regular file, a directory, a device
/// like `/dev/null`, all always ready, or a pipe whose reader is gone.
struct Constant {
    key: Key,
    flags: Flags,
    trigger: Trigger,
    /// Whether it is to be reported: always with level trigger, once with edge trigger.
    armed: bool,
}

impl<Q: Queue> Filters<Q> {
    pub(super) fn new(waker: Borrowed<'_>) -> io::Result<Filters<Q>> {
        use std::os::fd::AsRawFd;
        let queue = Q::open()?;
        let filters = Filters {
            queue,
            slots: Vec::new(),
            constant: Vec::new(),
            one_shots: OneShots::default(),
            disarm: Vec::new(),
            found: Vec::with_capacity(BATCH),
        };
        let waker = Watched {
            descriptor: waker.as_raw_fd(),
            key: Key::NOTHING,
            trigger: Trigger::Level,
        };
        filters.submit(&[waker.add(Filter::Read)])?;
        Ok(filters)
    }

    pub(super) fn register(
        &mut self,
        descriptor: RawFd,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        if interest.is_empty() {
            return check_open(descriptor);
        }
        let kind = kind_of(descriptor)?;
        if matches!(kind, FileType::RegularFile | FileType::Directory) {
            self.add_constant(key, Flags::always_ready(interest), trigger);
            return Ok(());
        }
        if trigger == Trigger::OneShot {
            self.one_shots.arm(key);
        }
        self.know(key, interest, kind == FileType::Fifo);
        let watched = Watched {
            descriptor,
            key,
            trigger,
        };
        let changes: Vec<Entry> = filters(interest)
            .map(|filter| watched.add(filter))
            .collect();
        self.submit_or_explain(watched, interest, &changes, kind)
    }

    pub(super) fn modify(
        &mut self,
        descriptor: RawFd,
        key: Key,
        (old, new): (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        let constant = self.constant.iter().any(|constant| constant.key == key);
        if old.is_empty() || new.is_empty() || constant {
            self.unregister(descriptor, key, old);
            return self.register(descriptor, key, new, trigger);
        }
        let watched = Watched {
            descriptor,
            key,
            trigger,
        };
        // The kernel forgets what is closed, and would make anew what it does not know, for the number's next owner.
        // So the old filters are asked about in the same call, and if they are gone the new ones go too.
        self.know(key, new, self.slots[key.index() as usize].pipe);
        self.disarm
            .retain(|change| Q::read(change).token != key.index());
        if trigger == Trigger::OneShot {
            self.one_shots.arm(key);
        }
        let probe = filters(old).take(1).map(|filter| watched.probe(filter));
        let removed = filters(old.without(new)).map(|filter| watched.delete(filter));
        let added = filters(new).map(|filter| watched.add(filter));
        let changes: Vec<Entry> = probe.chain(removed).chain(added).collect();
        let kind = kind_of(descriptor).unwrap_or(FileType::Unknown);
        self.submit_or_explain(watched, new, &changes, kind)
    }

    pub(super) fn unregister(&mut self, descriptor: RawFd, key: Key, interest: Interest) {
        if let Some(position) = self
            .constant
            .iter()
            .position(|constant| constant.key == key)
        {
            self.constant.swap_remove(position);
        }
        self.forget_one_shot(key);
        self.delete(descriptor, key, interest);
    }

    /// The system knows everything already, or is told by the wait itself.
    pub(super) fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn holds(&self, descriptor: RawFd, key: Key, interest: Interest) -> bool {
        let constant = self.constant.iter().any(|constant| constant.key == key);
        let watched = Watched {
            descriptor,
            key,
            trigger: Trigger::Level,
        };
        match filters(interest).next() {
            Some(filter) if !constant => {
                let probe = self.submit(&[watched.probe(filter)]);
                !matches!(probe, Err(Errno::NOENT | Errno::BADF))
            }
            _ => true,
        }
    }

    pub(super) fn has_fired(&self, key: Key) -> bool {
        self.one_shots.has_fired(key)
    }

    /// The kernel names filters by descriptor: closing one ends them, whoever has duplicates.
    pub(super) fn may_report_strays(&self) -> bool {
        false
    }

    pub(super) fn most_entries(&self) -> usize {
        BATCH + self.constant.len()
    }

    pub(super) fn wait(&mut self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        self.found.clear();
        let ready = self.constant.iter().any(|constant| constant.armed);
        let timeout = if ready { Some(Duration::ZERO) } else { timeout };
        let waited = self.queue.kevent(&self.disarm, &mut self.found, timeout);
        // Also when a signal ended it: the changes come first.
        self.disarm.clear();
        waited?;
        for position in 0..self.found.len() {
            let entry = Q::read(&self.found[position]);
            self.collect(batch, entry);
        }
        if !self.one_shots.is_empty() {
            self.fire_one_shots();
        }
        self.collect_constant(batch);
        Ok(())
    }

    /// Remembers what a key's slot stands for.
    fn know(&mut self, key: Key, interest: Interest, pipe: bool) {
        let index = key.index() as usize;
        let slot = Slot {
            key,
            position: 0,
            interest,
            pipe,
        };
        if self.slots.len() <= index {
            self.slots.resize(index + 1, slot);
        }
        self.slots[index] = slot;
    }

    fn add_constant(&mut self, key: Key, flags: Flags, trigger: Trigger) {
        self.know(key, Interest::NONE, false);
        self.constant.push(Constant {
            key,
            flags,
            trigger,
            armed: flags.0 != 0,
        });
    }

    /// Has the kernel apply all changes, and says what it thought of the first one it refused. A probe that fails comes
    /// before all others.
    fn submit(&self, changes: &[Entry]) -> Result<(), Errno> {
        let changes: Vec<Q::Raw> = changes.iter().map(Q::write).collect();
        let mut receipts = Vec::with_capacity(changes.len());
        self.queue
            .kevent(&changes, &mut receipts, Some(Duration::ZERO))?;
        receipts
            .iter()
            .find_map(|receipt| Q::read(receipt).refusal())
            .map_or(Ok(()), Err)
    }

    /// The same for changes that end with the filters of `interest` being watched. If the kernel refuses them, none of
    /// them stays, and the source may yet turn out to be one whose readiness is known without watching.
    fn submit_or_explain(
        &mut self,
        watched: Watched,
        interest: Interest,
        changes: &[Entry],
        kind: FileType,
    ) -> io::Result<()> {
        let Err(error) = self.submit(changes) else {
            return Ok(());
        };
        let Watched {
            descriptor,
            key,
            trigger,
        } = watched;
        self.forget_one_shot(key);
        self.delete(
            descriptor,
            key,
            Interest::READ | Interest::WRITE | Interest::PRIORITY,
        );
        let flags = match error {
            // Some systems refuse to watch a pipe whose other end is gone.
            Errno::PIPE => Flags(Flags::always_ready(interest).0 | Flags::ERROR),
            // What cannot be watched never blocks, except for a terminal on some versions of macOS.
            Errno::INVAL | Errno::NODEV | Errno::OPNOTSUPP | Errno::PERM
                if kind == FileType::CharacterDevice
                    && !rustix::termios::isatty(borrow(descriptor)) =>
            {
                Flags::always_ready(interest)
            }
            error => return Err(error.into()),
        };
        self.add_constant(key, flags, trigger);
        Ok(())
    }

    /// Takes a source's filters away. That a filter is not there is no matter: its descriptor was closed.
    fn delete(&self, descriptor: RawFd, key: Key, interest: Interest) {
        let watched = Watched {
            descriptor,
            key,
            trigger: Trigger::Level,
        };
        let changes: Vec<Entry> = filters(interest)
            .map(|filter| watched.delete(filter))
            .collect();
        if !changes.is_empty() {
            let _ = self.submit(&changes);
        }
    }

    /// Puts what a filter reports into the batch.
    fn collect(&mut self, batch: &mut Batch, entry: Entry) {
        if entry.token == Key::NOTHING.index() {
            batch.push(Key::NOTHING, Flags(Flags::IN));
            return;
        }
        if entry.action & Action::ERROR != 0 {
            // What was to be disabled is gone: its descriptor was closed.
            return;
        }
        let Some(&Slot { key, pipe, .. }) = self.slots.get(entry.token as usize) else {
            return;
        };
        self.put(batch, key, entry.flags(pipe));
    }

    /// The kernel disables a direction that it reports. The others go with it, or they would be a second shot.
    fn fire_one_shots(&mut self) {
        for position in 0..self.found.len() {
            let entry = Q::read(&self.found[position]);
            let Some(&Slot { key, interest, .. }) = self.slots.get(entry.token as usize) else {
                continue;
            };
            if self.one_shots.fire(key) {
                let others = filters(interest).map(|filter| Entry {
                    filter,
                    action: Action::DISABLE,
                    ..entry
                });
                self.disarm.extend(others.map(|change| Q::write(&change)));
            }
        }
    }

    fn forget_one_shot(&mut self, key: Key) {
        self.one_shots.forget(key);
        self.disarm
            .retain(|change| Q::read(change).token != key.index());
    }

    fn collect_constant(&mut self, batch: &mut Batch) {
        for position in 0..self.constant.len() {
            let constant = &mut self.constant[position];
            let (key, flags, armed) = (constant.key, constant.flags, constant.armed);
            constant.armed &= constant.trigger == Trigger::Level;
            if armed {
                self.put(batch, key, flags);
            }
        }
    }

    /// Adds to the batch, to the entry that the key has already if another filter of it has reported.
    fn put(&mut self, batch: &mut Batch, key: Key, flags: Flags) {
        let slot = &mut self.slots[key.index() as usize];
        let position = slot.position as usize;
        match batch.get(position) {
            Some((present, merged)) if present == key => {
                batch.set(position, Flags(merged.0 | flags.0));
            }
            _ => {
                slot.position = batch.len() as u32;
                batch.push(key, flags);
            }
        }
    }
}

/// A source as the kernel is told of it.
#[derive(Clone, Copy)]
struct Watched {
    descriptor: RawFd,
    key: Key,
    trigger: Trigger,
}

impl Watched {
    /// Watches a direction, or watches it anew.
    fn add(self, filter: Filter) -> Entry {
        let action = match self.trigger {
            // There is no exclusive trigger here, and nobody gets this far with it.
            Trigger::Level | Trigger::Exclusive => Action::ADD,
            Trigger::Edge => Action::ADD | Action::CLEAR,
            Trigger::OneShot => Action::ADD | Action::ENABLE | Action::DISPATCH,
        };
        self.change(filter, action)
    }

    fn delete(self, filter: Filter) -> Entry {
        self.change(filter, Action::DELETE)
    }

    /// Asks whether a direction is watched. A change that changes nothing is refused if it is not.
    fn probe(self, filter: Filter) -> Entry {
        self.change(filter, 0)
    }

    fn change(self, filter: Filter, action: u16) -> Entry {
        Entry {
            descriptor: self.descriptor,
            filter,
            action: action | Action::RECEIPT,
            error: 0,
            token: self.key.index(),
        }
    }
}

impl Flags {
    /// What is always ready: for whatever input and output is asked for.
    fn always_ready(interest: Interest) -> Flags {
        Flags(Flags::asking(interest).0 & (Flags::IN | Flags::OUT))
    }
}

/// The filters that an interest needs.
fn filters(interest: Interest) -> impl Iterator<Item = Filter> {
    [
        (Interest::READ, Filter::Read),
        (Interest::WRITE, Filter::Write),
        (Interest::PRIORITY, Filter::Priority),
    ]
    .into_iter()
    .filter(move |(kind, _)| interest.contains(*kind))
    .map(|(_, filter)| filter)
}

/// What kind of file it is; an error if the descriptor is not open.
fn kind_of(descriptor: RawFd) -> io::Result<FileType> {
    let status = rustix::fs::fstat(borrow(descriptor))?;
    Ok(FileType::from_raw_mode(status.st_mode))
}

/// Why `kqueue` does not work here.
#[cfg(not(target_os = "linux"))]
pub(super) fn check() -> io::Result<()> {
    system::System::open()?;
    Ok(())
}

/// The model is for the tests alone, which ask for it by name.
#[cfg(target_os = "linux")]
pub(super) fn check() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
