//! The mark that ends a frame, and how it is found.

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter};

use super::examine;

/// Any bytes, at least one.
///
/// One byte is found faster than several. So the byte that text has least often is looked for, and what is
/// around it compared; where that byte turns out not to be rare, the search is for the whole mark.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    bytes: Box<[u8]>,
    rare: u8,
    /// Where in the mark the rare byte is.
    rare_offset: usize,
    /// The mark's beginning as one number, least significant byte first, and the bits of it that count.
    head: u64,
    head_bits: u64,
    finder: Finder<'static>,
}

/// How much of a mark is compared at once.
const HEAD_BYTES: usize = size_of::<u64>();

/// Bytes that only look like a mark's, before the search is for the whole mark.
const FALSE_ALARMS_MAX: usize = 4;

impl Mark {
    /// # Panics
    /// When there are no bytes: such a mark would be everywhere.
    pub(super) fn new(bytes: &[u8]) -> Self {
        assert!(!bytes.is_empty(), "the mark that ends a frame is empty");
        let rare_offset = rarest(bytes);
        let mut head = [0; HEAD_BYTES];
        let head_bytes = bytes.len().min(HEAD_BYTES);
        head[..head_bytes].copy_from_slice(&bytes[..head_bytes]);
        Self {
            bytes: bytes.into(),
            rare: bytes[rare_offset],
            rare_offset,
            head: u64::from_le_bytes(head),
            head_bits: u64::MAX >> (8 * (HEAD_BYTES - head_bytes)),
            finder: Finder::new(bytes).into_owned(),
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the first mark in `bytes` begins.
    #[inline]
    pub(super) fn find_in(&self, bytes: &[u8]) -> Option<usize> {
        let begin = self.possible_in(bytes)?;
        if self.is_at(bytes, begin) {
            return Some(begin);
        }
        self.find_after_false_alarm(bytes, begin)
    }

    #[cold]
    fn find_after_false_alarm(&self, bytes: &[u8], mut begin: usize) -> Option<usize> {
        for _ in 1..FALSE_ALARMS_MAX {
            begin += 1;
            begin += self.possible_in(&bytes[begin..])?;
            if self.is_at(bytes, begin) {
                return Some(begin);
            }
        }
        let rest = &bytes[begin + 1..];
        let found = self.finder.find(rest);
        examine(found.map_or(rest.len(), |offset| offset + self.bytes.len()));
        Some(begin + 1 + found?)
    }

    /// Where the first mark may begin, judged by its rare byte.
    #[inline]
    fn possible_in(&self, bytes: &[u8]) -> Option<usize> {
        let possible = bytes.get(self.rare_offset..)?;
        let found = memchr(self.rare, possible);
        examine(found.map_or(possible.len(), |offset| offset + 1));
        found
    }

    /// Whether there is a mark at `begin`, where its rare byte is in place.
    #[inline]
    fn is_at(&self, bytes: &[u8], begin: usize) -> bool {
        let length = self.bytes.len();
        if length == 1 {
            return true;
        }
        examine(length);
        let rest = &bytes[begin..];
        if length <= HEAD_BYTES
            && let Some(head) = rest.first_chunk()
        {
            return u64::from_le_bytes(*head) & self.head_bits == self.head;
        }
        rest.starts_with(&self.bytes)
    }
}

/// Where in `mark` the byte is that text has least often, by a rough guess.
fn rarest(mark: &[u8]) -> usize {
    let in_text = |byte| match byte {
        b' ' | b'e' | b'a' | b'o' | b'i' | b'n' | b't' => 4,
        b'a'..=b'z' => 3,
        b'0'..=b'9' | b'A'..=b'Z' | b'.' | b',' | 0 => 2,
        b'\t' | b'\r' | b'\n' | b'"' | b'-' | b':' | b'=' | b'/' => 1,
        _ => 0,
    };
    let in_mark = |byte| memchr_iter(byte, mark).count();
    let frequency = |&offset: &usize| (in_text(mark[offset]), in_mark(mark[offset]));
    (0..mark.len()).min_by_key(frequency).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Mark;

    proptest! {
        #[test]
        fn the_first_mark_is_found_wherever_it_is(
            mark in "[ab]{1,3}|[ab]{7,9}|=[a-]{4,8}",
            before in "[ab=-]{0,40}",
            behind in "[ab]{0,9}",
        ) {
            let bytes = [&before[..], &mark, &behind].concat();
            let expected = bytes.find(&mark);
            prop_assert_eq!(Mark::new(mark.as_bytes()).find_in(bytes.as_bytes()), expected);
            let cut_short = &bytes[..before.len() + mark.len() - 1];
            let expected = cut_short.find(&mark);
            prop_assert_eq!(Mark::new(mark.as_bytes()).find_in(cut_short.as_bytes()), expected);
        }
    }
}
