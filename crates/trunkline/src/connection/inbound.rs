//! Bytes read but not yet consumed: the start of a frame, or frames that wait while the handler is paused.

/// Holds nothing, and owns no heap memory, while every byte read has become a frame: then it is one empty pointer.
#[derive(Debug, Default)]
pub(crate) struct Inbound(Option<Box<Waiting>>);

/// Never without bytes.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbound {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0
            .as_ref()
            .map_or(&[], |waiting| &waiting.bytes[waiting.start..])
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds bytes behind those that wait.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let waiting = self.0.get_or_insert_default();
        // Moved to the front only when at least half is used up, so that each byte is moved at most once
        // on average, however the frames were cut.
        if waiting.start > waiting.bytes.len() / 2 {
            waiting.bytes.drain(..waiting.start);
            waiting.start = 0;
        }
        waiting.bytes.extend_from_slice(bytes);
    }

    /// Forgets the first `count` bytes; gives the memory back when none are left.
    pub(crate) fn consume(&mut self, count: usize) {
        let Some(waiting) = &mut self.0 else {
            debug_assert_eq!(count, 0, "a codec consumed more than it was shown");
            return;
        };
        waiting.start += count;
        debug_assert!(
            waiting.start <= waiting.bytes.len(),
            "a codec consumed more than it was shown"
        );
        if waiting.start == waiting.bytes.len() {
            self.0 = None;
        }
    }

    /// Forgets everything and says how many bytes that were.
    pub(crate) fn clear(&mut self) -> usize {
        let unread = self.bytes().len();
        self.0 = None;
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
        assert!(inbound.0.is_none());
    }

    #[test]
    fn clear_counts_what_was_not_read() {
        let mut inbound = Inbound::default();
        inbound.extend(b"abc");
        inbound.consume(1);
        assert_eq!(inbound.clear(), 2);
    }
}
