//! `--verify`: how much of an answer is held against the message.

use std::str::FromStr;

use crate::suggest;

/// How an answer is known to belong to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// The n-th answer on a connection belongs to its n-th message.
    Order,
    /// By the message's number, somewhere in it.
    Sequence,
    /// It is the message, byte by byte.
    Echo,
}

const NAMES: [(&str, Verify); 3] = [
    ("order", Verify::Order),
    ("sequence", Verify::Sequence),
    ("echo", Verify::Echo),
];

impl Verify {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        let named = NAMES.iter().find(|(_, verify)| *verify == self);
        named.map_or("order", |(name, _)| name)
    }
}

impl FromStr for Verify {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, verify)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*verify);
        }
        Err(match suggest::nearest(text, NAMES.map(|(name, _)| name)) {
            Some(nearest) => format!("expected order, sequence or echo; did you mean {nearest}?"),
            None => "expected order, sequence or echo".to_owned(),
        })
    }
}
