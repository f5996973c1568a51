//! Events for `tracing`, with the feature of that name; without it every function here is empty. Nothing in the
//! engine depends on what a subscriber does with them.

#![cfg_attr(
    not(feature = "tracing"),
    allow(unused_variables, clippy::missing_const_for_fn)
)]

use std::fmt::Display;

use crate::handler::{Cause, Panic};
use crate::io::ConnectionId;
use crate::stats::Refusal;

/// Emits an event for this target, if anybody can listen.
macro_rules! event {
    ($level:ident, $($fields:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::$level!(target: "trunkline", $($fields)*);
    };
}

/// A connection is there.
#[inline]
pub(crate) fn opened(id: ConnectionId, peer: impl Display, accepted: bool) {
    event!(debug, connection = %id, %peer, accepted, "opened");
}

/// A connection has ended.
#[inline]
pub(crate) fn closed(id: ConnectionId, cause: &Cause, unsent: u64, unread: u64) {
    event!(debug, connection = %id, cause = cause.kind().name(), detail = ?cause, unsent, unread, "closed");
}

/// A connection of ours could not be made.
#[inline]
pub(crate) fn connect_failed(id: ConnectionId, error: impl Display) {
    event!(debug, connection = %id, %error, "not connected");
}

/// A client was turned away.
#[inline]
pub(crate) fn refused(reason: Refusal) {
    event!(warn, reason = reason.name(), "refused");
}

/// Messages of a connection are lost, the new one or older ones.
#[inline]
pub(crate) fn dropped(id: ConnectionId, newest: bool, count: u32) {
    event!(debug, connection = %id, newest, count, "dropped");
}

/// The handler panicked.
#[inline]
pub(crate) fn panicked(id: ConnectionId, panic: &Panic) {
    event!(error, connection = %id, callback = %panic.callback, message = %panic.message, "panicked");
}

/// New clients wait in the backlog.
#[inline]
pub(crate) fn accepting_paused(open: usize) {
    event!(warn, open, "accepting paused");
}

/// They are accepted again.
#[inline]
pub(crate) fn accepting_resumed(open: usize) {
    event!(info, open, "accepting resumed");
}

/// How far stopping has come.
#[inline]
pub(crate) fn stopping(phase: &'static str, open: usize) {
    event!(info, phase, open, "stopping");
}
