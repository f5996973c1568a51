//! Why a registration failed, with everything handed back.

use std::error::Error;
use std::fmt;
use std::io;

/// A source could not be registered. Nothing is lost: the source and its data come back.
///
/// | [`kind`](RegisterError::kind) | Meaning |
/// |---|---|
/// | `AlreadyExists` | a source with this descriptor is registered |
/// | `Unsupported` | the mechanism has no such trigger |
/// | others | what the system said |
pub struct RegisterError<S, T> {
    /// The source.
    pub source: S,
    /// Its data.
    pub data: T,
    /// What went wrong.
    pub error: io::Error,
}

impl<S, T> RegisterError<S, T> {
    /// What kind of error it is.
    pub fn kind(&self) -> io::ErrorKind {
        self.error.kind()
    }
}

impl<S, T> fmt::Debug for RegisterError<S, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RegisterError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<S, T> fmt::Display for RegisterError<S, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot register the source: {}", self.error)
    }
}

impl<S, T> Error for RegisterError<S, T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl<S, T> From<RegisterError<S, T>> for io::Error {
    fn from(failed: RegisterError<S, T>) -> io::Error {
        failed.error
    }
}
