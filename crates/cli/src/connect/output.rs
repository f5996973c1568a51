//! Standard output: the servers' answers, with a label before each line when there are several servers.

use std::io::{self, Write};

use trunkline::Address;

/// A line longer than this is shown in pieces, so that a server that never ends a line costs no memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Where answers go.
pub(crate) struct Output {
    labelled: bool,
    /// What arrives are messages, shown as a line each.
    messages: bool,
}

/// What came from one server and is not shown yet: the beginning of a line.
pub(crate) struct Unfinished {
    label: Vec<u8>,
    line: Vec<u8>,
}

impl Output {
    pub(crate) fn new(labelled: bool, messages: bool) -> Self {
        Self { labelled, messages }
    }

    pub(crate) fn begin(&self, peer: &Address) -> Unfinished {
        let label = if self.labelled {
            format!("[{peer}] ").into_bytes()
        } else {
            Vec::new()
        };
        Unfinished {
            label,
            line: Vec::new(),
        }
    }

    /// Shows what has arrived: at once, or by whole lines when lines of several servers must not mix.
    pub(crate) fn arrived(&self, unfinished: &mut Unfinished, bytes: &[u8]) -> io::Result<()> {
        let line;
        let bytes = if self.messages {
            line = [bytes, b"\n"].concat();
            &line
        } else {
            bytes
        };
        if !self.labelled {
            return show(bytes);
        }
        show(&unfinished.take_lines(bytes))
    }

    /// Shows the rest: nothing more will come from this server.
    pub(crate) fn ended(mut unfinished: Unfinished) -> io::Result<()> {
        if unfinished.line.is_empty() {
            return Ok(());
        }
        show(&unfinished.take_lines(b"\n"))
    }
}

impl Unfinished {
    /// All lines that are complete with `bytes`, labelled.
    fn take_lines(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            let whole = piece.ends_with(b"\n");
            if whole || self.line.len() >= LINE_BYTES_MAX {
                lines.extend_from_slice(&self.label);
                lines.append(&mut self.line);
                if !whole {
                    lines.push(b'\n');
                }
            }
        }
        lines
    }
}

/// Flushed, because a person may be waiting for a prompt that no line end follows.
fn show(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn unfinished() -> Unfinished {
        Output::new(true, false).begin(&SocketAddr::from(([127, 0, 0, 1], 7)).into())
    }

    #[test]
    fn every_line_is_labelled_once_however_it_was_cut() {
        let mut from = unfinished();
        assert_eq!(from.take_lines(b"he"), b"");
        assert_eq!(
            from.take_lines(b"llo\n\nwor"),
            b"[127.0.0.1:7] hello\n[127.0.0.1:7] \n"
        );
        assert_eq!(from.take_lines(b"ld\n"), b"[127.0.0.1:7] world\n");
    }

    #[test]
    fn a_line_without_end_is_shown_in_pieces() {
        let mut from = unfinished();
        let shown = from.take_lines(&vec![b'x'; LINE_BYTES_MAX]);
        assert!(shown.ends_with(b"x\n"));
        assert!(from.line.is_empty());
    }
}
