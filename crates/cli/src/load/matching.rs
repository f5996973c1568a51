//! Which message an answer belongs to, on one connection: lost, repeated, reordered and corrupt ones are told apart.
//!
//! Memory is bounded: answers in order take none; of those that came too early at most [`AHEAD_MAX`] are remembered, and
//! when there are more, the oldest message that waits for an answer is given up as lost.

use std::collections::BTreeSet;
use std::ops::Range;

use super::template::Template;
use super::verify::Verify;

/// Answers remembered that came before those of earlier messages.
pub(crate) const AHEAD_MAX: usize = 1024;

/// What an answer turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Of this message, and none of a later one has come.
    InOrder(u64),
    /// Of this message, after that of a later one.
    OutOfOrder(u64),
    /// Of a message that was answered (or given up) before.
    Duplicate,
    /// Not what was to be expected of any message; taken for an answer to this one.
    Corrupt(u64),
    /// Nothing waited for an answer.
    Unexpected,
}

/// The answers of one connection.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    /// Every message before this is answered or given up.
    next: u64,
    /// Later ones that are answered.
    ahead: Option<BTreeSet<u64>>,
}

impl Matching {
    /// The oldest message that waits for an answer.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether there was an answer at all.
    pub(crate) fn has_any(&self) -> bool {
        self.next > 0 || self.ahead.is_some()
    }

    /// How many of the `sent` messages wait for an answer.
    pub(crate) fn waiting(&self, sent: u64) -> u64 {
        sent - self.next - self.ahead.as_ref().map_or(0, |ahead| ahead.len() as u64)
    }

    /// Those of the `sent` messages that wait, as stretches, oldest first.
    pub(crate) fn gaps(&self, sent: u64) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut from = self.next;
        for &answered in self.ahead.iter().flat_map(|ahead| ahead.iter()) {
            if answered > from {
                gaps.push(from..answered);
            }
            from = answered + 1;
        }
        if sent > from {
            gaps.push(from..sent);
        }
        gaps
    }

    /// Whether a later message than this one has been answered.
    pub(crate) fn is_passed_over(&self, sequence: u64) -> bool {
        let last = self.ahead.as_ref().and_then(|ahead| ahead.last());
        last.is_some_and(|&last| last > sequence)
    }

    /// An answer has come, when `sent` messages were. Messages given up on the way go to `lost`.
    #[inline]
    pub(crate) fn reply(
        &mut self,
        answer: &[u8],
        template: &mut Template,
        verify: Verify,
        connection: u64,
        sent: u64,
        lost: &mut Vec<u64>,
    ) -> Reply {
        let fits = match verify {
            Verify::Order => true,
            Verify::Echo => self.next < sent && answer == template.message(connection, self.next),
            Verify::Sequence => false,
        };
        if fits && self.ahead.is_none() {
            if self.next == sent {
                return Reply::Unexpected;
            }
            self.next += 1;
            return Reply::InOrder(self.next - 1);
        }
        let sequence = match verify {
            Verify::Order => Some(self.next),
            Verify::Echo => template.sequence_of(answer, connection, self.next),
            Verify::Sequence => template.sequence_in(answer, connection, self.next),
        };
        // Without numbers every message is the same, and a fitting answer is the next one's.
        let sequence = sequence.or(fits.then_some(self.next));
        self.numbered(sequence, sent, lost)
    }

    fn numbered(&mut self, sequence: Option<u64>, sent: u64, lost: &mut Vec<u64>) -> Reply {
        let Some(sequence) = sequence.filter(|&sequence| sequence < sent) else {
            if self.next == sent {
                return Reply::Unexpected;
            }
            let taken = self.next;
            self.advance();
            return Reply::Corrupt(taken);
        };
        if sequence < self.next
            || self
                .ahead
                .as_ref()
                .is_some_and(|ahead| ahead.contains(&sequence))
        {
            return Reply::Duplicate;
        }
        if sequence == self.next {
            let late = self.ahead.is_some();
            self.advance();
            return if late {
                Reply::OutOfOrder(sequence)
            } else {
                Reply::InOrder(sequence)
            };
        }
        let late = self.is_passed_over(sequence);
        let ahead = self.ahead.get_or_insert_default();
        ahead.insert(sequence);
        if ahead.len() > AHEAD_MAX {
            lost.push(self.next);
            self.advance();
        }
        if late {
            Reply::OutOfOrder(sequence)
        } else {
            Reply::InOrder(sequence)
        }
    }

    /// Past the oldest that waited, and those behind it that are answered.
    fn advance(&mut self) {
        self.next += 1;
        let Some(ahead) = &mut self.ahead else {
            return;
        };
        while ahead.first() == Some(&self.next) {
            ahead.pop_first();
            self.next += 1;
        }
        if ahead.is_empty() {
            self.ahead = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Peer {
        matching: Matching,
        template: Template,
        verify: Verify,
        sent: u64,
        lost: Vec<u64>,
    }

    impl Peer {
        fn new(message: &str, verify: Verify, sent: u64) -> Self {
            Self {
                matching: Matching::default(),
                template: Template::typed(Some(message), None).unwrap(),
                verify,
                sent,
                lost: Vec::new(),
            }
        }

        fn says(&mut self, answer: &[u8]) -> Reply {
            let (template, lost) = (&mut self.template, &mut self.lost);
            self.matching
                .reply(answer, template, self.verify, 3, self.sent, lost)
        }

        fn echoes(&mut self, sequence: u64) -> Reply {
            let answer = self.template.message(3, sequence).to_vec();
            self.says(&answer)
        }
    }

    #[test]
    fn by_order_any_answer_will_do_as_long_as_one_is_expected() {
        let mut peer = Peer::new("x", Verify::Order, 2);
        assert_eq!(peer.says(b"anything"), Reply::InOrder(0));
        assert_eq!(peer.says(b""), Reply::InOrder(1));
        assert_eq!(peer.says(b"more"), Reply::Unexpected);
    }

    #[test]
    fn lost_repeated_reordered_and_corrupt_answers_are_told_apart() {
        let mut peer = Peer::new("{conn} {seq}", Verify::Echo, 10);
        assert_eq!(peer.echoes(0), Reply::InOrder(0));
        assert_eq!(peer.echoes(0), Reply::Duplicate);
        assert_eq!(peer.echoes(3), Reply::InOrder(3));
        assert_eq!(peer.echoes(3), Reply::Duplicate);
        assert_eq!(peer.echoes(2), Reply::OutOfOrder(2));
        assert!(peer.matching.is_passed_over(1) && !peer.matching.is_passed_over(4));
        assert_eq!(peer.matching.gaps(10), [1..2, 4..10]);
        assert_eq!(peer.matching.waiting(10), 7);
        assert_eq!(peer.echoes(1), Reply::OutOfOrder(1));
        assert_eq!(peer.matching.next(), 4);
        assert_eq!(peer.says(b"rubbish"), Reply::Corrupt(4));
        // Another connection's answer, and one to a message never sent.
        let others = peer.template.message(4, 5).to_vec();
        assert_eq!(peer.says(&others), Reply::Corrupt(5));
        assert_eq!(peer.echoes(10), Reply::Corrupt(6));
        assert_eq!(peer.echoes(7), Reply::InOrder(7));
        assert_eq!(peer.matching.waiting(10), 2);
    }

    #[test]
    fn without_numbers_the_same_answer_is_the_next_ones() {
        let mut peer = Peer::new("ping", Verify::Echo, 2);
        assert_eq!(peer.says(b"ping"), Reply::InOrder(0));
        assert_eq!(peer.says(b"pong"), Reply::Corrupt(1));
        assert_eq!(peer.says(b"ping"), Reply::Unexpected);
    }

    #[test]
    fn a_number_inside_an_answer_is_enough() {
        let mut peer = Peer::new("n{seq}", Verify::Sequence, 5);
        assert_eq!(peer.says(b"Got n0000000000"), Reply::InOrder(0));
        assert_eq!(peer.says(b"Got n0000000002"), Reply::InOrder(2));
        assert_eq!(peer.says(b"Got nothing"), Reply::Corrupt(1));
        assert_eq!(peer.matching.next(), 3);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_forgotten_is_lost() {
        let count = AHEAD_MAX as u64 * 3;
        let mut peer = Peer::new("{seq}", Verify::Echo, count);
        for odd in (1..count).step_by(2) {
            peer.echoes(odd);
            let remembered = peer.matching.ahead.as_ref().map_or(0, BTreeSet::len);
            assert!(remembered <= AHEAD_MAX);
        }
        assert_eq!(peer.lost.first(), Some(&0));
        assert_eq!(
            peer.lost.len() as u64 + peer.matching.waiting(count),
            count / 2
        );
        assert_eq!(peer.echoes(0), Reply::Duplicate);
    }
}
