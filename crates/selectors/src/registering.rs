//! Why a registration failed, with everything handed back.

use std::error::Error;
use std::fmt;
use std::io;

use crate::backend;
use crate::interest::{Interest, Trigger};
use crate::mechanism::Mechanism;

/// A source could not be registered. Nothing is lost: the source and its data come back.
///
/// | [`kind`](RegisterError::kind) | Meaning |
/// |---|---|
/// | `AlreadyExists` | a source with this descriptor is registered |
/// | `Unsupported` | the mechanism has no such trigger, or it or the trigger does not watch for this interest |
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
#[cold]
pub(crate) fn no_such_trigger(mechanism: Mechanism, trigger: Trigger) -> io::Error {
    let offers = Trigger::ALL
        .iter()
        .filter(|other| mechanism.supports(**other));
    let others = Mechanism::all()
        .iter()
        .filter(|other| other.supports(trigger));
    let message = format!(
        "{mechanism} has no {trigger} trigger, it offers {}; {trigger} is offered by {}",
        list(offers),
        list(others)
    );
    io::Error::new(io::ErrorKind::Unsupported, message)
}

/// Whether an interest can be watched for: the kernel takes no `EPOLLPRI` together with `EPOLLEXCLUSIVE`, and some
/// systems' `kqueue` has no filter for priority input.
#[inline]
pub(crate) fn check_interest(
    mechanism: Mechanism,
    trigger: Trigger,
    interest: Interest,
) -> io::Result<()> {
    if interest.contains(Interest::PRIORITY) {
        check_priority(mechanism, trigger)
    } else {
        Ok(())
    }
}

#[cold]
fn check_priority(mechanism: Mechanism, trigger: Trigger) -> io::Result<()> {
    if !backend::tells_priority(mechanism) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("this system's {mechanism} cannot tell of priority input; poll and select can"),
        ));
    }
    if trigger == Trigger::Exclusive {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the exclusive trigger watches for input and output, not for priority input; level and one-shot do",
        ));
    }
    Ok(())
}

fn list(names: impl Iterator<Item = impl fmt::Display>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Selector;

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
        let text = "poll has no edge trigger, it offers level, one-shot; edge is offered by epoll, io_uring, kqueue";
        assert_eq!(failed.error.to_string(), text);
    }
}
