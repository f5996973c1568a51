//! When each message that waits for an answer was written, in bounded memory.
//!
//! Messages that were written together share one entry. When a connection has its share of entries, further messages
//! join the last one: they are taken to have been written when its first one was, so that a service time can come out
//! too long, never too short. How many that were is known.

use std::collections::VecDeque;

/// The messages from `first` up to the next entry's were written at `at`.
#[derive(Debug, Clone, Copy)]
struct Entry {
    first: u64,
    at: u64,
}

/// The times of one connection.
#[derive(Debug, Default)]
pub(crate) struct Written {
    entries: VecDeque<Entry>,
}

impl Written {
    /// Message `sequence` (one more than the last) is written now. `false` when it had to join another.
    #[inline]
    pub(crate) fn push(&mut self, sequence: u64, now: u64, entries_max: usize) -> bool {
        if let Some(last) = self.entries.back() {
            if last.at == now {
                return true;
            }
            if self.entries.len() >= entries_max {
                return false;
            }
        }
        self.entries.push_back(Entry {
            first: sequence,
            at: now,
        });
        true
    }

    /// When this message was written; it must not be older than those forgotten.
    #[inline]
    pub(crate) fn time_of(&self, sequence: u64) -> Option<u64> {
        match self.entries.get(1) {
            // Nearly always: the oldest is asked for.
            None => self.entries.front().map(|entry| entry.at),
            Some(second) if sequence < second.first => self.entries.front().map(|entry| entry.at),
            Some(_) => {
                let behind = self
                    .entries
                    .partition_point(|entry| entry.first <= sequence);
                Some(self.entries.get(behind.checked_sub(1)?)?.at)
            }
        }
    }

    /// Messages before this one will not be asked for again; all of them when all `sent` are answered.
    #[inline]
    pub(crate) fn forget_before(&mut self, sequence: u64, sent: u64) {
        if sequence == sent {
            self.entries.clear();
            return;
        }
        while self
            .entries
            .get(1)
            .is_some_and(|second| second.first <= sequence)
        {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_until_they_are_forgotten() {
        let mut written = Written::default();
        for (sequence, now) in [(0, 10), (1, 10), (2, 20), (3, 30)] {
            assert!(written.push(sequence, now, 8));
        }
        let times =
            |written: &Written| [0, 1, 2, 3].map(|sequence| written.time_of(sequence).unwrap());
        assert_eq!(times(&written), [10, 10, 20, 30]);
        written.forget_before(2, 4);
        assert_eq!(written.time_of(2), Some(20));
        assert_eq!(written.entries.len(), 2);
        written.forget_before(4, 4);
        assert_eq!(written.time_of(4), None);
    }

    #[test]
    fn at_its_limit_a_time_is_too_early_and_never_too_late() {
        let mut written = Written::default();
        let joined = (0..1_000)
            .filter(|&sequence| !written.push(sequence, sequence * 5, 16))
            .count();
        assert_eq!(joined, 984);
        assert_eq!(written.entries.len(), 16);
        for sequence in 0..1_000 {
            let time = written.time_of(sequence).unwrap();
            assert!(time <= sequence * 5);
            assert!(sequence >= 16 || time == sequence * 5);
        }
    }
}
