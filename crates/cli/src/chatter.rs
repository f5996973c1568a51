//! Standard error: what a person wants to know besides the result.

use std::io::Write;

/// Writes one line, whole, even when several threads talk. Nobody listening is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
}
