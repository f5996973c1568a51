//! A fingerprint of everything that was asked of the networks and answered, and the last of it as text.

use std::collections::VecDeque;
use std::io;

/// How many lines of the log are kept.
const LOG_LINES: usize = 400;

/// The fingerprint of a run.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    calls: u64,
    log: Option<VecDeque<String>>,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            calls: 0,
            log: None,
        }
    }

    /// FNV-1a over everything recorded.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Keeps the last lines as text from now on.
    pub(super) fn keep_log(&mut self) {
        self.log.get_or_insert_default();
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.log.iter().flatten().cloned().collect()
    }

    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// A call, what it was about, and what came of it, at a time.
    pub(super) fn call(&mut self, clock: u64, name: &str, about: u64, outcome: i64) {
        self.calls += 1;
        self.mix(name.as_bytes());
        self.mix(&clock.to_le_bytes());
        self.mix(&about.to_le_bytes());
        self.mix(&outcome.to_le_bytes());
        if self.log.is_some() {
            self.note(&format!("{clock:>12} ns  {name} {about} = {outcome}"));
        }
    }

    /// A line for the log only.
    pub(super) fn note(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            if log.len() == LOG_LINES {
                log.pop_front();
            }
            log.push_back(text.to_owned());
        }
    }
}

/// A result as one number: the value, or the negative error number.
pub(super) fn outcome<T>(result: &io::Result<T>, value: impl FnOnce(&T) -> i64) -> i64 {
    match result {
        Ok(good) => value(good),
        Err(error) => -i64::from(error.raw_os_error().unwrap_or(i32::MAX)),
    }
}
