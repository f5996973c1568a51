//! Bytes read but not yet consumed: the start of a frame, or frames that wait while the handler is paused.

/// Holds nothing, and owns no heap memory, while every byte read has become a frame.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbound {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Adds bytes behind those that wait.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        // Moved to the front only when at least half is used up, so that each byte is moved at most once
        // on average, however the frames were cut.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the first `count` bytes; gives the memory back when none are left.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(
            self.start <= self.bytes.len(),
            "a codec consumed more than it was shown"
        );
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Forgets everything and says how many bytes that were.
    pub(crate) fn clear(&mut self) -> usize {
        let unread = self.bytes().len();
        *self = Self::default();
        unread
    }
}

#[cfg(test)]
mod tests {
    use super::Inbound;

    #[test]
    fn keeps_order_and_owns_nothing_when_empty() {
        let mut inbound = Inbound::default();
        inbound.extend(b"abcdef");
        inbound.consume(4);
        inbound.extend(b"ghi");
        assert_eq!(inbound.bytes(), b"efghi");
        inbound.consume(5);
        assert!(inbound.is_empty());
        assert_eq!(inbound.bytes.capacity(), 0);
    }

    #[test]
    fn clear_counts_what_was_not_read() {
        let mut inbound = Inbound::default();
        inbound.extend(b"abc");
        inbound.consume(1);
        assert_eq!(inbound.clear(), 2);
    }
}
