//! A mechanism that this platform does not have: nobody can make one.

use std::io;
use std::time::Duration;

use super::{Borrowed, Descriptor, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

pub(crate) enum Absent {}

impl Absent {
    pub(super) fn new(_waker: Borrowed<'_>) -> io::Result<Absent> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn register(
        &mut self,
        _descriptor: Descriptor,
        _key: Key,
        _interest: Interest,
        _trigger: Trigger,
    ) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn modify(
        &mut self,
        _descriptor: Descriptor,
        _key: Key,
        _change: (Interest, Interest),
        _trigger: Trigger,
    ) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn unregister(&mut self, _descriptor: Descriptor, _key: Key, _interest: Interest) {
        match *self {}
    }

    pub(super) fn holds(
        &self,
        _descriptor: Descriptor,
        _key: Key,
        _interest: Interest,
        _trigger: Trigger,
    ) -> bool {
        match *self {}
    }

    pub(super) fn may_report_strays(&self) -> bool {
        match *self {}
    }

    pub(super) fn wait(&mut self, _timeout: Option<Duration>) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn saw_waker(&self) -> bool {
        match *self {}
    }

    pub(super) fn next(&mut self) -> Option<(Key, Flags)> {
        match *self {}
    }
}

/// Why the mechanism does not work here: it belongs elsewhere.
pub(super) fn check() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
