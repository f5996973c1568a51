//! Lines of standard input as messages, for servers that are talked to in frames.

use trunkline::{Codec, Decoded, FrameError, Lines};

use super::input::CHUNK_BYTES_MAX;

/// A line of standard input longer than this is refused, so that a line without an end costs no memory.
const LINE_BYTES_MAX: usize = 8 * CHUNK_BYTES_MAX;

/// Cuts chunks into lines, and counts them.
pub(crate) struct Messages {
    lines: Lines,
    /// The beginning of a line.
    pending: Vec<u8>,
    /// Lines taken so far.
    pub(crate) count: u64,
}

impl Messages {
    pub(crate) fn new() -> Self {
        Self {
            lines: Lines::new().limit(LINE_BYTES_MAX),
            pending: Vec::new(),
            count: 0,
        }
    }

    /// Adds a chunk of input, and calls `take` with each line that is complete now.
    pub(crate) fn add(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut(u64, &[u8]),
    ) -> Result<(), FrameError> {
        self.pending.extend_from_slice(chunk);
        let mut used = 0;
        while let Decoded::Frame { frame, consumed } = self.lines.decode(&self.pending[used..])? {
            self.count += 1;
            take(self.count, frame);
            used += consumed;
        }
        self.pending.drain(..used);
        Ok(())
    }

    /// The input has ended: a last line may lack its end.
    pub(crate) fn end(&mut self, mut take: impl FnMut(u64, &[u8])) -> Result<(), FrameError> {
        if let Some(last) = self.lines.finish(&self.pending)? {
            self.count += 1;
            take(self.count, last);
        }
        self.pending.clear();
        Ok(())
    }
}
