//! A hierarchical timing wheel: setting and cancelling a timer costs the same however many wait.
//!
//! Time is a number of whatever unit (the loop's own timers count nanoseconds, connections' deadlines count
//! ticks), read as eleven digits of six bits each. A timer lies at the level of the highest digit in which its
//! deadline differs from the wheel's own time, in the slot of that digit. So whatever lies at a lower level is due before all that lies at a
//! higher one, at one level a lower slot is due before a higher one, and a slot of the lowest level holds
//! one exact moment: no timer is early, none is rounded, and equal deadlines keep their order.
//!
//! When the first slot that is not empty comes due and is not of the lowest level, its timers are spread
//! over the levels below: at most ten times in a timer's life, and never for one cancelled in time.

/// Bits of one digit of the time.
const DIGIT_BITS: usize = 6;
/// Slots of one level: one for each value of its digit.
const SLOTS: usize = 1 << DIGIT_BITS;
/// Digits of a 64-bit time.
pub(super) const LEVELS: usize = 64_usize.div_ceil(DIGIT_BITS);
/// The end of a list.
pub(crate) const NONE: u32 = u32::MAX;
/// The slot of an entry that lies in none.
const VACANT: u16 = u16::MAX;

/// Names a timer set with [`Io::after`](crate::Io::after). A timer that has fired or was cancelled leaves
/// a name that no other timer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId {
    pub(crate) index: u32,
    generation: u32,
}

/// Timers, each with a payload.
pub(crate) struct Wheel<K> {
    /// The wheel's own time: no timer that waits is due before it.
    pub(super) elapsed: u64,
    len: usize,
    pub(super) entries: Vec<Entry<K>>,
    /// The first of the vacant entries.
    vacant: u32,
    /// One bit for each level that is not empty.
    levels: u16,
    /// One bit for each slot that is not empty, by level.
    occupied: [u64; LEVELS],
    /// The slots of the lowest level, then those of the next.
    pub(super) slots: Box<[Slot]>,
    /// How often an entry was put into a slot.
    #[cfg(test)]
    pub(super) placements: u64,
}

/// A list of timers in the order they were set.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) first: u32,
    last: u32,
    /// No timer here is due before this. It is exact unless that timer was cancelled: looking for the next
    /// would make cancelling slow, and one turn of the loop for nothing is the cheaper price.
    earliest: u64,
}

/// Two to a cache line, as long as the payload has no more than ten bytes.
pub(super) struct Entry<K> {
    due: u64,
    pub(super) generation: u32,
    previous: u32,
    /// Next in the slot, or the next vacant entry.
    next: u32,
    payload: K,
    /// `VACANT` in a vacant entry.
    slot: u16,
}

const EMPTY: Slot = Slot {
    first: NONE,
    last: NONE,
    earliest: u64::MAX,
};

impl<K: Copy> Wheel<K> {
    pub(crate) fn new() -> Self {
        Self {
            elapsed: 0,
            len: 0,
            entries: Vec::new(),
            vacant: NONE,
            levels: 0,
            occupied: [0; LEVELS],
            slots: vec![EMPTY; LEVELS * SLOTS].into_boxed_slice(),
            #[cfg(test)]
            placements: 0,
        }
    }

    /// Sets a timer. One due before what has expired already is due at once.
    #[inline]
    pub(crate) fn insert(&mut self, due: u64, payload: K) -> TimerId {
        let due = due.max(self.elapsed);
        let index = self.claim(due, payload);
        self.place(index);
        self.len += 1;
        self.id(index)
    }

    /// Takes a timer back. `None` when it has expired or was cancelled before.
    #[inline]
    pub(crate) fn cancel(&mut self, timer: TimerId) -> Option<K> {
        self.is_waiting(timer).then(|| self.remove(timer.index))
    }

    /// Is it still to expire?
    #[inline]
    pub(crate) fn is_waiting(&self, timer: TimerId) -> bool {
        let entry = self.entries.get(timer.index as usize);
        entry.is_some_and(|entry| entry.generation == timer.generation && entry.slot != VACANT)
    }

    /// When the timer at this index is due. It must wait: only who has set a timer, and knows that it has neither
    /// expired nor been cancelled, may name it by its index.
    #[inline]
    pub(crate) fn due_at(&self, index: u32) -> u64 {
        self.entries[index as usize].due
    }

    /// Takes back the timer at this index, which must wait.
    #[inline]
    pub(crate) fn cancel_at(&mut self, index: u32) {
        debug_assert_ne!(self.entries[index as usize].slot, VACANT);
        self.remove(index);
    }

    /// When to call [`Wheel::expire`] next: the earliest deadline. After that timer was cancelled it may
    /// be, once, a time at which nothing is due yet; never one later than the earliest deadline.
    #[inline]
    pub(crate) fn next_due(&self) -> Option<u64> {
        let (_, slot) = self.first_slot()?;
        Some(self.slots[slot].earliest)
    }

    /// Takes out the earliest timer due at `now`: by deadline, equal ones in the order they were set.
    /// After `None`, [`Wheel::next_due`] is later than `now`.
    ///
    /// A timer set between two calls with the same `now` may be due at once: who sets one in answer to
    /// each that expires never reaches the end.
    pub(crate) fn expire(&mut self, now: u64) -> Option<(TimerId, u64, K)> {
        while let Some((level, slot)) = self.first_slot() {
            let Slot {
                first, earliest, ..
            } = self.slots[slot];
            if earliest > now {
                // The wheel's time may move up to the first slot without moving what lies in any.
                let digits_above = level * DIGIT_BITS;
                if now >> digits_above < earliest >> digits_above {
                    self.elapsed = self.elapsed.max(now);
                }
                return None;
            }
            if level == 0 {
                return Some(self.pop(first));
            }
            self.spread(slot, now);
        }
        self.elapsed = self.elapsed.max(now);
        None
    }

    /// How many timers wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn pop(&mut self, index: u32) -> (TimerId, u64, K) {
        let timer = self.id(index);
        self.elapsed = self.entries[index as usize].due;
        (timer, self.elapsed, self.remove(index))
    }

    /// Moves the timers of the first slot that is not empty, some of which may be due at `now`, to lower
    /// levels, and so that the earliest of them is at the lowest if it is due.
    fn spread(&mut self, slot: usize, now: u64) {
        let first = self.slots[slot].first;
        self.slots[slot] = EMPTY;
        self.mark_empty(slot);
        let mut earliest = u64::MAX;
        let mut index = first;
        while index != NONE {
            let entry = &self.entries[index as usize];
            earliest = earliest.min(entry.due);
            index = entry.next;
        }
        self.elapsed = earliest.min(now);
        let mut index = first;
        while index != NONE {
            let next = self.entries[index as usize].next;
            self.place(index);
            index = next;
        }
    }

    /// The first slot that is not empty, and its level.
    #[inline]
    fn first_slot(&self) -> Option<(usize, usize)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        let digit = self.occupied[level].trailing_zeros() as usize;
        Some((level, level * SLOTS + digit))
    }

    /// Appends an entry to the slot where its deadline belongs now.
    #[inline]
    fn place(&mut self, index: u32) {
        #[cfg(test)]
        {
            self.placements += 1;
        }
        let due = self.entries[index as usize].due;
        let position = slot_of(self.elapsed, due);
        let slot = &mut self.slots[position];
        let last = std::mem::replace(&mut slot.last, index);
        slot.earliest = slot.earliest.min(due);
        if last == NONE {
            slot.first = index;
            self.levels |= 1 << (position / SLOTS);
            self.occupied[position / SLOTS] |= 1 << (position % SLOTS);
        } else {
            self.entries[last as usize].next = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.slot = position as u16;
        entry.previous = last;
        entry.next = NONE;
    }

    /// Takes an entry out of its slot and leaves it vacant.
    #[inline]
    fn remove(&mut self, index: u32) -> K {
        let entry = &mut self.entries[index as usize];
        let (previous, next, slot) = (entry.previous, entry.next, usize::from(entry.slot));
        let payload = entry.payload;
        entry.slot = VACANT;
        // An entry whose generations are used up stays out of use, so that no name is given twice.
        if let Some(generation) = entry.generation.checked_add(1) {
            entry.generation = generation;
            entry.next = self.vacant;
            self.vacant = index;
        }
        match previous {
            NONE => self.slots[slot].first = next,
            previous => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => self.slots[slot].last = previous,
            next => self.entries[next as usize].previous = previous,
        }
        if self.slots[slot].first == NONE {
            self.slots[slot] = EMPTY;
            self.mark_empty(slot);
        }
        self.len -= 1;
        payload
    }

    #[inline]
    fn mark_empty(&mut self, slot: usize) {
        let level = slot / SLOTS;
        self.occupied[level] &= !(1 << (slot % SLOTS));
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// Fills a vacant entry, or a new one.
    #[inline]
    fn claim(&mut self, due: u64, payload: K) -> u32 {
        let index = self.vacant;
        if let Some(entry) = self.entries.get_mut(index as usize) {
            self.vacant = entry.next;
            entry.due = due;
            entry.payload = payload;
            return index;
        }
        let index = self.entries.len() as u32;
        assert!(
            self.entries.len() < NONE as usize,
            "more than four billion timers"
        );
        self.entries.push(Entry {
            due,
            generation: 0,
            previous: NONE,
            next: NONE,
            payload,
            slot: VACANT,
        });
        index
    }

    #[inline]
    fn id(&self, index: u32) -> TimerId {
        let generation = self.entries[index as usize].generation;
        TimerId { index, generation }
    }
}

/// The slot of a timer due at `due` when the wheel's time is `elapsed`, not later.
#[inline]
fn slot_of(elapsed: u64, due: u64) -> usize {
    let highest_bit = ((elapsed ^ due) | 1).ilog2() as usize;
    let level = highest_bit / DIGIT_BITS;
    let digit = (due >> (level * DIGIT_BITS)) as usize % SLOTS;
    level * SLOTS + digit
}
