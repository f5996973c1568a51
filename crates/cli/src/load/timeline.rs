//! How a run went over time, in bounded memory: at most [`SLOTS_MAX`] slots, which become twice as wide when the run
//! outgrows them. Latencies are kept to 4 % here; the histograms of the whole run are exact to a thousandth.

/// Slots at most. An even number: two make one.
pub(crate) const SLOTS_MAX: usize = 256;

/// Parts of an octave.
const PARTS_BITS: u32 = 4;
/// The first bucket is everything below 2^10 ns, the last one everything above 2^42 ns (more than an hour).
const OCTAVE_FIRST: u32 = 10;
const OCTAVES: u32 = 32;
const BUCKETS: usize = ((OCTAVES << PARTS_BITS) + 1) as usize;

/// A run over time.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    /// In nanoseconds.
    width: u64,
    slots: Vec<Slot>,
}

/// What happened in one stretch of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    /// Messages sent in it.
    pub(crate) sent: u64,
    /// Answers that came in it.
    pub(crate) answered: u64,
    /// The longest response of a message that was due in it.
    pub(crate) max: u64,
    /// Responses of the messages due in it, by bucket; empty until there is one.
    buckets: Vec<u32>,
}

impl Timeline {
    /// For a run that is expected to last so long, if it is known.
    pub(crate) fn new(expected: Option<u64>) -> Self {
        const WIDTH_MIN: u64 = 10_000_000;
        let width = expected.map_or(WIDTH_MIN, |expected| expected / (SLOTS_MAX as u64 - 56));
        Self {
            width: width.max(WIDTH_MIN),
            slots: Vec::new(),
        }
    }

    /// How much time a slot stands for, in nanoseconds.
    pub(crate) fn width(&self) -> u64 {
        self.width
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of this time after the start.
    #[inline]
    pub(crate) fn at(&mut self, time: u64) -> &mut Slot {
        let mut index = (time / self.width) as usize;
        if index >= self.slots.len() {
            index = self.grow(time);
        }
        &mut self.slots[index]
    }

    #[inline(never)]
    fn grow(&mut self, time: u64) -> usize {
        while time / self.width >= SLOTS_MAX as u64 {
            self.coarsen();
        }
        let index = (time / self.width) as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        index
    }

    fn coarsen(&mut self) {
        self.width = self.width.saturating_mul(2);
        let slots = std::mem::take(&mut self.slots);
        for (index, slot) in slots.into_iter().enumerate() {
            if index % 2 == 0 {
                self.slots.push(slot);
            } else if let Some(last) = self.slots.last_mut() {
                last.add(&slot);
            }
        }
    }

    /// Adds another thread's part of the run.
    pub(crate) fn add(&mut self, mut other: Self) {
        while self.width < other.width {
            self.coarsen();
        }
        while other.width < self.width {
            other.coarsen();
        }
        if self.slots.len() < other.slots.len() {
            self.slots.resize_with(other.slots.len(), Slot::default);
        }
        for (slot, others) in self.slots.iter_mut().zip(&other.slots) {
            slot.add(others);
        }
    }
}

impl Slot {
    /// Of a message that was due in this slot.
    #[inline]
    pub(crate) fn response(&mut self, nanoseconds: u64, count: u32) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        let bucket = &mut self.buckets[bucket(nanoseconds)];
        *bucket = bucket.saturating_add(count);
        self.max = self.max.max(nanoseconds);
    }

    /// The response time that this share (0 to 1) of the messages does not exceed; `None` without a message.
    pub(crate) fn quantile(&self, share: f64) -> Option<u64> {
        let total: u64 = self.buckets.iter().map(|&count| u64::from(count)).sum();
        if total == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "to 4 % in any case"
        )]
        let wanted = ((share * total as f64).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted {
                return Some(middle(index).min(self.max));
            }
        }
        Some(self.max)
    }

    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.max = self.max.max(other.max);
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count = count.saturating_add(*more);
        }
    }
}

/// Octaves in sixteen parts each.
#[inline]
fn bucket(nanoseconds: u64) -> usize {
    if nanoseconds < 1 << OCTAVE_FIRST {
        return 0;
    }
    let octave = nanoseconds.ilog2();
    let part = (nanoseconds >> (octave - PARTS_BITS)) & ((1 << PARTS_BITS) - 1);
    let bucket = (u64::from(octave - OCTAVE_FIRST) << PARTS_BITS) + part + 1;
    (bucket as usize).min(BUCKETS - 1)
}

fn middle(bucket: usize) -> u64 {
    let Some(bucket) = bucket.checked_sub(1) else {
        return 1 << (OCTAVE_FIRST - 1);
    };
    let octave = (bucket >> PARTS_BITS) as u32 + OCTAVE_FIRST;
    let part = (bucket & ((1 << PARTS_BITS) - 1)) as u64;
    let width = 1_u64 << (octave - PARTS_BITS);
    (1 << octave) + part * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_kept_to_four_percent() {
        let mut nanoseconds = 2_000_u64;
        while nanoseconds < 1 << 41 {
            let kept = middle(bucket(nanoseconds));
            assert!(
                kept.abs_diff(nanoseconds) * 100 <= nanoseconds * 4,
                "{nanoseconds} {kept}"
            );
            nanoseconds += nanoseconds / 7;
        }
        assert!(bucket(u64::MAX) < BUCKETS && bucket(0) == 0);
    }

    #[test]
    fn a_long_run_has_wider_slots_and_loses_nothing() {
        let mut timeline = Timeline::new(None);
        let width = timeline.width();
        for time in 0..10_000 {
            timeline.at(time * width).sent += 1;
            timeline.at(time * width).response(5_000 + time, 1);
        }
        assert!(timeline.slots().len() <= SLOTS_MAX);
        assert_eq!(
            timeline.slots().iter().map(|slot| slot.sent).sum::<u64>(),
            10_000
        );
        let first = timeline.slots().first().unwrap();
        assert!(first.quantile(0.5).unwrap().abs_diff(5_000) < 250);
    }

    #[test]
    fn threads_are_added_whatever_their_slots() {
        let mut one = Timeline::new(None);
        let mut other = Timeline::new(Some(100_000_000_000));
        one.at(0).sent = 1;
        one.at(1_000_000_000).sent = 1;
        other.at(90_000_000_000).sent = 1;
        other.at(0).response(1_000_000, 3);
        one.add(other);
        assert_eq!(one.slots().iter().map(|slot| slot.sent).sum::<u64>(), 3);
        assert_eq!(one.slots()[0].max, 1_000_000);
    }

    #[test]
    fn an_empty_slot_has_no_latency() {
        assert_eq!(Slot::default().quantile(0.5), None);
    }
}
