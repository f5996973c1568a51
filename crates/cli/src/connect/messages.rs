//! Lines of standard input as messages, for servers that are talked to in frames.

use trunkline::{Codec, Decoded, Delimiter, FrameError, Lines, Unfinished};

use super::input::CHUNK_BYTES_MAX;
use crate::framing::Framing;

/// A line of standard input longer than this is left out, so that a line without an end costs no memory.
pub(crate) const LINE_BYTES_MAX: usize = 8 * CHUNK_BYTES_MAX;

/// Cuts chunks into lines, and counts them.
pub(crate) struct Messages {
    lines: Framing,
    /// The same at the beginning of a line.
    fresh: Framing,
    /// The beginning of a line.
    pending: Vec<u8>,
    /// What comes is the rest of a line that is left out.
    left_out: bool,
    /// Lines so far.
    count: u64,
}

impl Messages {
    /// Lines without their ends.
    pub(crate) fn new() -> Self {
        Self::of(Framing::Lines(Lines::new().limit(LINE_BYTES_MAX)))
    }

    /// Lines with their ends: all that comes, only not cut inside a line.
    pub(crate) fn with_ends() -> Self {
        let lines = Delimiter::new("\n")
            .keep_mark(true)
            .unfinished(Unfinished::Deliver);
        Self::of(Framing::Mark(lines.limit(LINE_BYTES_MAX)))
    }

    fn of(lines: Framing) -> Self {
        Self {
            fresh: lines.clone(),
            lines,
            pending: Vec::new(),
            left_out: false,
            count: 0,
        }
    }

    /// Adds a chunk of input, and calls `take` with each line that is complete now, or is too long for that.
    pub(crate) fn add(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut(u64, Result<&[u8], FrameError>),
    ) {
        self.pending.extend_from_slice(chunk);
        let mut used = 0;
        loop {
            if self.left_out {
                used += self.skip_line(used);
            }
            match self.lines.decode(&self.pending[used..]) {
                Ok(Decoded::Incomplete) => break,
                Ok(Decoded::Frame { frame, consumed }) => {
                    self.count += 1;
                    take(self.count, Ok(frame));
                    used += consumed;
                }
                Err(error) => {
                    self.count += 1;
                    take(self.count, Err(error));
                    self.left_out = true;
                    self.lines = self.fresh.clone();
                }
            }
        }
        self.pending.drain(..used);
    }

    /// The input has ended: a last line may lack its end.
    pub(crate) fn end(&mut self, mut take: impl FnMut(u64, Result<&[u8], FrameError>)) {
        if let Some(last) = self.lines.finish(&self.pending).transpose() {
            self.count += 1;
            take(self.count, last);
        }
        self.pending.clear();
    }

    /// The bytes from `start` on that belong to the line that is left out.
    fn skip_line(&mut self, start: usize) -> usize {
        let rest = &self.pending[start..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        self.left_out = end.is_none();
        end.map_or(rest.len(), |end| end + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_others_are_taken() {
        for (mut messages, ending) in [(Messages::new(), ""), (Messages::with_ends(), "\n")] {
            let long = "x".repeat(LINE_BYTES_MAX + 1);
            let input = format!("one\n{long}\ntwo\n\n{long}{long}");
            let mut taken = Vec::new();
            let mut take = |line, message: Result<&[u8], _>| {
                taken.push((
                    line,
                    message.map(|message| String::from_utf8_lossy(message).into_owned()),
                ));
            };
            for chunk in input.as_bytes().chunks(CHUNK_BYTES_MAX - 1) {
                messages.add(chunk, &mut take);
                assert!(messages.pending.len() <= LINE_BYTES_MAX);
            }
            messages.end(&mut take);
            let too_long = FrameError::TooLong {
                limit: LINE_BYTES_MAX,
            };
            let line = |text| Ok(format!("{text}{ending}"));
            let expected = [
                line("one"),
                Err(too_long),
                line("two"),
                line(""),
                Err(too_long),
            ];
            assert_eq!(taken, (1..).zip(expected).collect::<Vec<_>>());
        }
    }
}
