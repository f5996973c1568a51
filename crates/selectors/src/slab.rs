//! Generational storage: values by small, dense indices, named by keys that are never given out twice.

use std::convert::Infallible;
use std::fmt;
use std::mem;

/// The name of a value in a [`Slab`] and of a source in a [`Selector`](crate::Selector).
///
/// A key is a slot's index and the slot's generation, so the key of a value that was removed names nothing, even
/// when its slot holds another value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Names nothing: no slot has this index. The waker goes by it inside the mechanisms.
    pub(crate) const NOTHING: Key = Key {
        index: NO_SLOT,
        generation: u32::MAX,
    };

    /// The slot: small and dense, but used again. For tables beside the slab.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How often the slot had been used before.
    #[cfg(target_os = "linux")]
    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }

    /// The key as one number, for interfaces that carry nothing else.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The key that [`to_bits`](Key::to_bits) turned into a number.
    pub const fn from_bits(bits: u64) -> Key {
        Key {
            index: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({}v{})", self.index, self.generation)
    }
}

/// Values in slots that are used again, under keys that are not.
///
/// Insertion, look-up and removal take constant time. When it is full it grows by a quarter, not by doubling, so
/// that among many idle values few slots are wasted.
///
/// ```
/// use trunkline_selectors::Slab;
///
/// let mut slab = Slab::new();
/// let first = slab.insert("first");
/// assert_eq!(slab.get(first), Some(&"first"));
/// assert_eq!(slab.remove(first), Some("first"));
///
/// let second = slab.insert("second");
/// assert_eq!(second.index(), first.index()); // the slot is used again …
/// assert_eq!(slab.get(first), None); // … but the old key names nothing
/// ```
#[derive(Clone)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The slot that was vacated last, where the list of vacant slots begins.
    vacant: u32,
    len: usize,
}

#[derive(Clone)]
struct Entry<T> {
    generation: u32,
    slot: Slot<T>,
}

#[derive(Clone)]
enum Slot<T> {
    Occupied(T),
    /// The next vacant slot.
    Vacant(u32),
}

/// Ends the list of vacant slots.
const NO_SLOT: u32 = u32::MAX;

impl<T> Slab<T> {
    /// An empty slab; it allocates nothing yet.
    pub const fn new() -> Slab<T> {
        Slab {
            entries: Vec::new(),
            vacant: NO_SLOT,
            len: 0,
        }
    }

    /// How many values there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key that the next [`insert`](Slab::insert) will return.
    pub fn vacant_key(&self) -> Key {
        if let Some(entry) = self.entries.get(self.vacant as usize) {
            Key {
                index: self.vacant,
                generation: entry.generation,
            }
        } else {
            Key {
                index: self.entries.len() as u32,
                generation: 0,
            }
        }
    }

    /// Stores `value` and names it.
    ///
    /// # Panics
    ///
    /// With more than four thousand million slots.
    #[inline]
    pub fn insert(&mut self, value: T) -> Key {
        let inserted: Result<Key, Infallible> = self.try_insert_with(|_| Ok(value));
        match inserted {
            Ok(key) => key,
            Err(never) => match never {},
        }
    }

    /// Stores what `make` makes of the key that will name it, or nothing. There is room by then: once it is made,
    /// nothing can go wrong any more.
    #[inline]
    pub(crate) fn try_insert_with<E>(
        &mut self,
        make: impl FnOnce(Key) -> Result<T, E>,
    ) -> Result<Key, E> {
        if self.entries.get(self.vacant as usize).is_none() {
            self.add_vacant_slot();
        }
        let index = self.vacant;
        let entry = &mut self.entries[index as usize];
        let generation = entry.generation;
        let key = Key { index, generation };
        let value = make(key)?;
        if let Slot::Vacant(next) = entry.slot {
            self.vacant = next;
        }
        entry.slot = Slot::Occupied(value);
        self.len += 1;
        Ok(key)
    }

    /// Where no slot is vacant.
    #[cold]
    fn add_vacant_slot(&mut self) {
        let index = self.entries.len();
        assert!(
            index < NO_SLOT as usize,
            "a slab holds fewer than 2^32 values"
        );
        if index == self.entries.capacity() {
            self.entries.reserve_exact((index / 4).max(4));
        }
        self.entries.push(Entry {
            generation: 0,
            slot: Slot::Vacant(NO_SLOT),
        });
        self.vacant = index as u32;
    }

    /// Whether `key` names a value.
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// The value that `key` names.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.entries.get(key.index as usize) {
            Some(Entry {
                generation,
                slot: Slot::Occupied(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value that `key` names, to change it.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entries.get_mut(key.index as usize) {
            Some(Entry {
                generation,
                slot: Slot::Occupied(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The key of the value in the slot `index`, for tables that keep only the [`index`](Key::index).
    pub fn key_at(&self, index: u32) -> Option<Key> {
        let entry = self.entries.get(index as usize)?;
        matches!(entry.slot, Slot::Occupied(_)).then_some(Key {
            index,
            generation: entry.generation,
        })
    }

    /// Takes the value that `key` names out; from now on the key names nothing.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation || matches!(entry.slot, Slot::Vacant(_)) {
            return None;
        }
        let slot = mem::replace(&mut entry.slot, Slot::Vacant(self.vacant));
        // A slot whose generations are used up is left out of the list: better to lose it than to repeat a key.
        if let Some(generation) = key.generation.checked_add(1) {
            entry.generation = generation;
            self.vacant = key.index;
        }
        self.len -= 1;
        match slot {
            Slot::Occupied(value) => Some(value),
            Slot::Vacant(_) => None,
        }
    }

    /// All values with their keys, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| match &entry.slot {
                Slot::Occupied(value) => Some((
                    Key {
                        index: index as u32,
                        generation: entry.generation,
                    },
                    value,
                )),
                Slot::Vacant(_) => None,
            })
    }

    /// All values with their keys, by slot, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.entries
            .iter_mut()
            .enumerate()
            .filter_map(|(index, entry)| match &mut entry.slot {
                Slot::Occupied(value) => Some((
                    Key {
                        index: index as u32,
                        generation: entry.generation,
                    },
                    value,
                )),
                Slot::Vacant(_) => None,
            })
    }

    /// All keys, by slot.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.iter().map(|(key, _)| key)
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Slab<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_way_through_a_number() {
        let key = Key {
            index: 7,
            generation: 0x1234_5678,
        };
        assert_eq!(Key::from_bits(key.to_bits()), key);
        assert_eq!(Key::NOTHING.to_bits(), u64::MAX);
        assert_eq!(format!("{key:?}"), "Key(7v305419896)");
    }

    #[test]
    fn the_key_of_nothing_names_nothing() {
        let mut slab = Slab::new();
        slab.insert(());
        assert!(!slab.contains(Key::NOTHING));
        assert_eq!(slab.remove(Key::NOTHING), None);
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_not_used_again() {
        let mut slab = Slab::new();
        let key = slab.insert('a');
        slab.entries[0].generation = u32::MAX;
        let last = Key {
            generation: u32::MAX,
            ..key
        };
        assert_eq!(slab.remove(last), Some('a'));
        let next = slab.insert('b');
        assert_eq!(next.index(), 1);
        assert!(!slab.contains(last) && slab.len() == 1);
    }

    #[test]
    fn it_grows_by_a_quarter() {
        let mut slab = Slab::new();
        for value in 0..10_000 {
            slab.insert(value);
        }
        assert!(
            slab.entries.capacity() <= 12_500,
            "{}",
            slab.entries.capacity()
        );
    }

    #[cfg(target_os = "linux")] // as all property tests are: the crate that runs them is large
    mod against_a_map {
        use std::collections::HashMap;

        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// Whatever is done to it, a slab holds what a map under ever new names would hold.
            #[test]
            fn it_agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..200)) {
                let mut slab = Slab::new();
                let mut model = HashMap::new();
                let mut names: Vec<Key> = Vec::new();
                for (step, (insert, which)) in steps.into_iter().enumerate() {
                    if insert || names.is_empty() {
                        let expected = slab.vacant_key();
                        let key = slab.insert(step);
                        prop_assert_eq!(key, expected);
                        prop_assert_eq!(model.insert(key, step), None, "a key came twice");
                        names.push(key);
                    } else {
                        let key = *which.get(&names);
                        prop_assert_eq!(slab.remove(key), model.remove(&key));
                    }
                    prop_assert_eq!(slab.len(), model.len());
                    for key in &names {
                        prop_assert_eq!(slab.get(*key), model.get(key));
                        prop_assert_eq!(slab.key_at(key.index()) == Some(*key), model.contains_key(key));
                    }
                }
                let listed: HashMap<Key, usize> = slab.iter_mut().map(|(key, value)| (key, *value)).collect();
                prop_assert_eq!(slab.keys().count(), slab.len());
                prop_assert_eq!(listed, model);
            }
        }
    }
}
