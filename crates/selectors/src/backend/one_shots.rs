//! Which registrations are one-shot, and which of them have fired.
//!
//! Mechanisms that have to do the work themselves take out of their set what fires; those whose kernel does it still
//! have to know it when the set is built anew. A selector without one-shots pays for none of this but one look at
//! whether there are any.

use crate::slab::Key;

#[derive(Default)]
pub(super) struct OneShots {
    /// By the key's slot; [`Key::NOTHING`] where there is no one-shot.
    entries: Vec<OneShot>,
    count: usize,
}

#[derive(Clone, Copy)]
struct OneShot {
    key: Key,
    fired: bool,
}

const VACANT: OneShot = OneShot {
    key: Key::NOTHING,
    fired: false,
};

impl OneShots {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A new one-shot, or one that is armed again.
    pub(super) fn arm(&mut self, key: Key) {
        let slot = key.index() as usize;
        if self.entries.len() <= slot {
            self.entries.resize(slot + 1, VACANT);
        }
        let entry = &mut self.entries[slot];
        self.count += usize::from(entry.key == Key::NOTHING);
        *entry = OneShot { key, fired: false };
    }

    /// The registration is gone, one-shot or not.
    pub(super) fn forget(&mut self, key: Key) {
        if self.count == 0 {
            return;
        }
        if let Some(entry) = self.entry(key) {
            *entry = VACANT;
            self.count -= 1;
        }
    }

    /// The registration was reported: whether it is a one-shot that was armed, and now is not.
    pub(super) fn fire(&mut self, key: Key) -> bool {
        self.entry(key)
            .is_some_and(|entry| !std::mem::replace(&mut entry.fired, true))
    }

    pub(super) fn has_fired(&self, key: Key) -> bool {
        let entry = self.entries.get(key.index() as usize);
        entry.is_some_and(|entry| entry.key == key && entry.fired)
    }

    /// The entry of a key, and not that of an older one which had the same slot. The waker's key has none.
    fn entry(&mut self, key: Key) -> Option<&mut OneShot> {
        self.entries
            .get_mut(key.index() as usize)
            .filter(|entry| entry.key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_shot_fires_once_until_it_is_armed_again() {
        let (first, second) = (Key::from_bits(3), Key::from_bits(1 << 32 | 3));
        let mut one_shots = OneShots::default();
        assert!(one_shots.is_empty() && !one_shots.fire(first) && !one_shots.has_fired(first));
        one_shots.arm(first);
        assert!(!one_shots.is_empty() && !one_shots.has_fired(first));
        assert!(!one_shots.fire(second) && !one_shots.fire(Key::NOTHING));
        assert!(one_shots.fire(first) && !one_shots.fire(first) && one_shots.has_fired(first));
        one_shots.arm(first);
        assert!(!one_shots.has_fired(first) && one_shots.fire(first));
        one_shots.forget(second);
        assert!(!one_shots.is_empty());
        one_shots.forget(first);
        assert!(one_shots.is_empty() && !one_shots.has_fired(first));
    }
}
