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
//!
//! A timer set anew for later stays where it lies, with its new deadline noted: it is moved when the slot comes due, if
//! it still waits then. Deadlines that every message puts off thus cost one write a message.

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
    /// Cancelled timers that are still in the lists of their slots.
    cancelled: usize,
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

/// The timers of one slot in the order they were set, and among them some that were cancelled since: to take a timer
/// out of the middle would touch its neighbours, which lie anywhere in memory. When there are as many as there are
/// places for timers, lists of which they are the most are cleared of them.
#[derive(Default)]
pub(super) struct Slot {
    list: Vec<TimerId>,
    /// Those before this have expired.
    start: usize,
    /// Timers in it that wait.
    waiting: u32,
    /// No timer here is due before this, which is one of the slot's moments. It is exact unless that timer was cancelled
    /// or postponed: looking for the next would make that slow, and one turn of the loop for nothing is the cheaper price.
    earliest: u64,
}

/// A timer, or the place of one that was.
pub(super) struct Entry<K> {
    /// When it is due, which may be later than the moments of its slot; in a vacant entry the next vacant one.
    due: u64,
    pub(super) generation: u32,
    payload: K,
    /// `VACANT` in a vacant entry.
    slot: u16,
}

/// A list as long as this may keep timers that were cancelled, and the memory of this many when it is empty.
const LIST_MIN: usize = 16;
/// A longer one is cleared when not one in so many waits.
const WAITING_MIN: usize = 4;

impl<K> Entry<K> {
    /// Does that timer wait here?
    #[inline]
    fn is(&self, timer: TimerId) -> bool {
        self.generation == timer.generation && self.slot != VACANT
    }
}

#[cfg(test)]
impl Slot {
    pub(super) fn listed(&self) -> usize {
        self.list.len()
    }

    pub(super) fn owns_little(&self) -> bool {
        self.list.is_empty() && self.list.capacity() <= LIST_MIN
    }
}

impl<K: Copy> Wheel<K> {
    pub(crate) fn new() -> Self {
        Self {
            elapsed: 0,
            len: 0,
            cancelled: 0,
            entries: Vec::new(),
            vacant: NONE,
            levels: 0,
            occupied: [0; LEVELS],
            slots: (0..LEVELS * SLOTS).map(|_| Slot::default()).collect(),
            #[cfg(test)]
            placements: 0,
        }
    }

    /// Sets a timer. One due before what has expired already is due at once.
    #[inline]
    pub(crate) fn insert(&mut self, due: u64, payload: K) -> TimerId {
        let due = due.max(self.elapsed);
        let index = self.claim(due, payload);
        let timer = self.id(index);
        self.place(timer);
        self.len += 1;
        timer
    }

    /// Takes a timer back. `None` when it has expired or was cancelled before.
    #[inline]
    pub(crate) fn cancel(&mut self, timer: TimerId) -> Option<K> {
        self.is_waiting(timer)
            .then(|| self.cancel_waiting(timer.index))
    }

    /// Sets a timer that waits for `due` instead, if that is not before its deadline. `false` when it is, or when the
    /// timer has expired or was cancelled: then nothing has changed.
    #[inline]
    pub(crate) fn postpone(&mut self, timer: TimerId, due: u64) -> bool {
        match self.entries.get_mut(timer.index as usize) {
            Some(entry) if entry.is(timer) && entry.due <= due => {
                entry.due = due;
                true
            }
            _ => false,
        }
    }

    /// Is it still to expire?
    #[inline]
    pub(crate) fn is_waiting(&self, timer: TimerId) -> bool {
        let entry = self.entries.get(timer.index as usize);
        entry.is_some_and(|entry| entry.is(timer))
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
        self.cancel_waiting(index);
    }

    /// When to call [`Wheel::expire`] next: the earliest deadline. After that timer was cancelled or postponed it may
    /// be, once, a time at which nothing is due yet; never one later than the earliest deadline.
    #[inline]
    pub(crate) fn next_due(&self) -> Option<u64> {
        let (_, slot) = self.first_slot()?;
        Some(self.slots[slot].earliest)
    }

    /// Takes out the earliest timer due at `now`: by deadline, equal ones in the order they were set, those that were
    /// postponed before or after them.
    /// After `None`, [`Wheel::next_due`] is later than `now`.
    ///
    /// A timer set between two calls with the same `now` may be due at once: who sets one in answer to
    /// each that expires never reaches the end.
    pub(crate) fn expire(&mut self, now: u64) -> Option<(TimerId, u64, K)> {
        while let Some((level, slot)) = self.first_slot() {
            let earliest = self.slots[slot].earliest;
            if earliest > now {
                // The wheel's time may move up to the first slot without moving what lies in any.
                let digits_above = level * DIGIT_BITS;
                if now >> digits_above < earliest >> digits_above {
                    self.elapsed = self.elapsed.max(now);
                }
                return None;
            }
            if level > 0 {
                self.spread(slot, now);
            } else if let Some(expired) = self.pop(slot) {
                return Some(expired);
            }
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

    /// Takes out the first timer of a slot of the lowest level. `None` when all there were postponed.
    fn pop(&mut self, slot: usize) -> Option<(TimerId, u64, K)> {
        self.elapsed = self.slots[slot].earliest;
        while let Some(&timer) = self.slots[slot].list.get(self.slots[slot].start) {
            self.slots[slot].start += 1;
            if !self.is_waiting(timer) {
                self.cancelled -= 1;
                continue;
            }
            let postponed = self.entries[timer.index as usize].due > self.elapsed;
            let payload = if postponed {
                self.slots[slot].waiting -= 1;
                self.place(timer);
                None
            } else {
                Some(self.vacate(timer.index).1)
            };
            if self.slots[slot].waiting == 0 {
                self.mark_empty(slot);
            }
            if let Some(payload) = payload {
                return Some((timer, self.elapsed, payload));
            }
        }
        None
    }

    /// Moves the timers of the first slot that is not empty, some of which may be due at `now`, to lower
    /// levels, and so that the earliest of them is at the lowest if it is due. Postponed ones may go anywhere.
    fn spread(&mut self, slot: usize, now: u64) {
        let end = self.slots[slot].earliest | low_digits(slot / SLOTS);
        let mut list = std::mem::take(&mut self.slots[slot].list);
        list.drain(..self.slots[slot].start);
        self.cancelled -= list.len() - self.slots[slot].waiting as usize;
        self.mark_empty(slot);
        list.retain(|&timer| self.is_waiting(timer));
        let dues = list
            .iter()
            .map(|timer| self.entries[timer.index as usize].due);
        // Not beyond the slot, even if all here were postponed: others may be due next.
        self.elapsed = dues.min().unwrap_or(now).min(now).min(end);
        for &timer in &list {
            self.place(timer);
        }
        // A slot that will be used again soon need not begin with nothing.
        if list.capacity() <= LIST_MIN && self.slots[slot].list.capacity() == 0 {
            list.clear();
            self.slots[slot].list = list;
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

    /// Appends a timer to the slot where its deadline belongs now.
    #[inline]
    fn place(&mut self, timer: TimerId) {
        #[cfg(test)]
        {
            self.placements += 1;
        }
        let entry = &mut self.entries[timer.index as usize];
        let position = slot_of(self.elapsed, entry.due);
        entry.slot = position as u16;
        let slot = &mut self.slots[position];
        if slot.waiting == 0 {
            slot.earliest = entry.due;
            self.levels |= 1 << (position / SLOTS);
            self.occupied[position / SLOTS] |= 1 << (position % SLOTS);
        }
        slot.earliest = slot.earliest.min(entry.due);
        slot.waiting += 1;
        slot.list.push(timer);
    }

    /// Takes back a timer that waits.
    #[inline]
    fn cancel_waiting(&mut self, index: u32) -> K {
        let (slot, payload) = self.vacate(index);
        self.cancelled += 1;
        let Slot { list, waiting, .. } = &self.slots[slot];
        let waiting = *waiting as usize;
        if waiting == 0 {
            self.mark_empty(slot);
        } else if self.cancelled > self.entries.len()
            && list.len() > LIST_MIN
            && waiting < list.len() / WAITING_MIN
        {
            self.clear_of_cancelled(slot);
        }
        payload
    }

    /// Leaves an entry vacant, and its slot with one fewer that waits.
    #[inline]
    fn vacate(&mut self, index: u32) -> (usize, K) {
        let entry = &mut self.entries[index as usize];
        let (slot, payload) = (usize::from(entry.slot), entry.payload);
        entry.slot = VACANT;
        // An entry whose generations are used up stays out of use, so that no name is given twice.
        if let Some(generation) = entry.generation.checked_add(1) {
            entry.generation = generation;
            entry.due = u64::from(self.vacant);
            self.vacant = index;
        }
        self.len -= 1;
        self.slots[slot].waiting -= 1;
        (slot, payload)
    }

    /// Forgets the cancelled timers of a slot, at least three of four that it looks at.
    #[cold]
    #[inline(never)]
    fn clear_of_cancelled(&mut self, slot: usize) {
        let Slot { list, start, .. } = &mut self.slots[slot];
        list.drain(..std::mem::take(start));
        let (entries, before) = (&self.entries, list.len());
        list.retain(|timer| entries[timer.index as usize].is(*timer));
        self.cancelled -= before - list.len();
        list.shrink_to(2 * list.len());
    }

    /// No timer waits in this slot any more.
    #[inline]
    fn mark_empty(&mut self, slot: usize) {
        let emptied = &mut self.slots[slot];
        // Of a list that was taken out, those that were cancelled have been counted already.
        self.cancelled -= emptied.list.len().saturating_sub(emptied.start);
        emptied.start = 0;
        emptied.waiting = 0;
        emptied.list.clear();
        if emptied.list.capacity() > LIST_MIN {
            emptied.list = Vec::new();
        }
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
            self.vacant = entry.due as u32;
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

/// All bits of the digits below this one.
fn low_digits(level: usize) -> u64 {
    (1 << (level * DIGIT_BITS)) - 1
}
