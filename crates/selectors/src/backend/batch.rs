//! What a wait has found, for all mechanisms: the kernel's own events where one of them lets the kernel fill it in.

#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::event::epoll::{Event, EventData, EventFlags};

use super::Flags;
use crate::slab::Key;

/// What a wait has found, and how much of it has been taken.
pub(crate) struct Batch {
    entries: Entries,
    taken: usize,
}

impl Batch {
    /// Nothing, and room for so many.
    pub(super) fn with_capacity(capacity: usize) -> Batch {
        Batch {
            entries: Entries::with_capacity(capacity),
            taken: 0,
        }
    }

    /// Forgets what it has.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.taken = 0;
    }

    /// Makes room for so many altogether.
    pub(super) fn make_room(&mut self, capacity: usize) {
        let entries = &mut self.entries.0;
        entries.reserve(capacity.saturating_sub(entries.len()));
    }

    /// The entries, for a kernel that fills them in.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline(always)]
    pub(super) fn entries(&mut self) -> &mut Entries {
        &mut self.entries
    }

    #[inline(always)]
    pub(super) fn push(&mut self, key: Key, flags: Flags) {
        self.entries.push(key.to_bits(), flags);
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    ))]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at this position.
    #[inline(always)]
    pub(super) fn get(&self, position: usize) -> Option<(Key, Flags)> {
        let (token, flags) = self.entries.get(position)?;
        Some((Key::from_bits(token), flags))
    }

    /// Has the entry at this position, if there is one, say something else.
    #[cfg(any(
        target_os = "linux",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    ))]
    pub(super) fn set(&mut self, position: usize, flags: Flags) {
        if let Some((token, _)) = self.entries.get(position) {
            self.entries.0[position] = entry(token, flags);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, Flags)> {
        self.entries
            .iter()
            .map(|(token, flags)| (Key::from_bits(token), flags))
    }

    /// Whether the waker is in it.
    pub(super) fn has_waker(&self) -> bool {
        self.iter().any(|(key, _)| key == Key::NOTHING)
    }

    /// Takes the next entry.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<(Key, Flags)> {
        let next = self.get(self.taken)?;
        self.taken += 1;
        Some(next)
    }

    /// Makes one entry of several about the same source.
    #[cfg(target_os = "linux")]
    pub(super) fn merge(&mut self) {
        let entries = &mut self.entries.0;
        entries.sort_unstable_by_key(|entry| read(*entry).0);
        entries.dedup_by(|later, earlier| {
            let ((token, more), (same, flags)) = (read(*later), read(*earlier));
            if token == same {
                *earlier = entry(token, Flags(flags.0 | more.0));
            }
            token == same
        });
    }

    /// Forgets the entries that say nothing.
    #[cfg(target_os = "linux")]
    pub(super) fn drop_empty(&mut self) {
        self.entries.0.retain(|entry| !read(*entry).1.is_empty());
    }
}

/// Tokens with flags.
pub(crate) struct Entries(pub(super) Vec<Entry>);

#[cfg(any(target_os = "linux", target_os = "android"))]
type Entry = Event;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
type Entry = (u64, Flags);

// SAFETY: the kernel's type can carry a pointer, which is why it is not sent to other threads by itself. These carry
// nothing but numbers: they are made, here and by the kernel from what the set's `add` and `modify` hand it, with
// `new_u64`.
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe impl Send for Entries {}
// SAFETY: as above.
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe impl Sync for Entries {}

impl Entries {
    /// None yet, and room for so many.
    pub(crate) fn with_capacity(capacity: usize) -> Entries {
        Entries(Vec::with_capacity(capacity))
    }

    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, token: u64, flags: Flags) {
        self.0.push(entry(token, flags));
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn get(&self, position: usize) -> Option<(u64, Flags)> {
        self.0.get(position).copied().map(read)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Flags)> {
        self.0.iter().copied().map(read)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline(always)]
fn read(Event { flags, data }: Entry) -> (u64, Flags) {
    (data.u64(), Flags(flags.bits() as u16))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline(always)]
fn entry(token: u64, flags: Flags) -> Entry {
    Event {
        flags: EventFlags::from_bits_retain(flags.0.into()),
        data: EventData::new_u64(token),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn read(entry: Entry) -> (u64, Flags) {
    entry
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn entry(token: u64, flags: Flags) -> Entry {
    (token, flags)
}
