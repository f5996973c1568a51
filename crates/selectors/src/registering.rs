//! Why a registration failed, with everything handed back.

use std::error::Error;
use std::fmt;
use std::io;

use crate::interest::Trigger;
use crate::mechanism::Mechanism;

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

/// The mechanism lacks the trigger; says what it offers instead, and who else has it.
pub(crate) fn no_such_trigger(mechanism: Mechanism, trigger: Trigger) -> io::Error {
    let (lacks, offers) = match trigger {
        Trigger::Level => ("level", "edge"),
        Trigger::Edge => ("edge", "level"),
    };
    let others: Vec<String> = Mechanism::all()
        .iter()
        .filter(|other| other.supports(trigger))
        .map(ToString::to_string)
        .collect();
    let message = format!(
        "{mechanism} has no {lacks} trigger, it offers {offers} only; {lacks} is offered by {}",
        others.join(", ")
    );
    io::Error::new(io::ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interest, Selector};

    #[test]
    fn a_trigger_that_is_not_offered_is_named_with_what_is() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut selector = Selector::with_mechanism(Mechanism::Poll).unwrap();
        let failed = selector
            .register_with(listener, Interest::READ, Trigger::Edge, 'x')
            .unwrap_err();
        assert_eq!(
            (failed.kind(), failed.data),
            (io::ErrorKind::Unsupported, 'x')
        );
        let text =
            "poll has no edge trigger, it offers level only; edge is offered by epoll, kqueue";
        assert_eq!(failed.error.to_string(), text);
    }
}
