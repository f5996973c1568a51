//! How a command fails: one line what and why, one line what next, and the exit code.

use std::process::ExitCode;

use trunkline::{Error, ErrorKind};

use crate::chatter::say;

/// A command could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    exit_code: u8,
}

impl Failure {
    /// The request was understood but could not be carried out.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            exit_code: 1,
        }
    }

    /// The request makes no sense as it was typed.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            exit_code: 2,
        }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells the person, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        say(&format!("trunkline: {}", self.message));
        if let Some(hint) = &self.hint {
            say(&format!("hint: {hint}"));
        }
        ExitCode::from(self.exit_code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = match error.kind() {
            ErrorKind::BadAddress => Self::usage(error.to_string()),
            _ => Self::failed(error.to_string()),
        };
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}
