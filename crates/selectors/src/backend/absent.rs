//! A mechanism that this platform does not have: nobody can make one.

use std::io;
use std::time::Duration;

#[cfg(not(target_os = "linux"))]
use super::Flags;
use super::batch::Batch;
use super::{Borrowed, Descriptor};
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

    pub(super) fn apply(&mut self) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn holds(&self, _descriptor: Descriptor, _key: Key, _interest: Interest) -> bool {
        match *self {}
    }

    pub(super) fn has_fired(&self, _key: Key) -> bool {
        match *self {}
    }

    pub(super) fn may_report_strays(&self) -> bool {
        match *self {}
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn find(&mut self) -> Option<(Key, Flags)> {
        match *self {}
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn find_more(&mut self, _batch: &mut Batch) -> usize {
        match *self {}
    }

    pub(super) fn most_entries(&self) -> usize {
        match *self {}
    }

    pub(super) fn wait(
        &mut self,
        _batch: &mut Batch,
        _timeout: Option<Duration>,
    ) -> io::Result<()> {
        match *self {}
    }
}

/// Why the mechanism does not work here: it belongs elsewhere.
pub(super) fn check() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// In place of the kernel's set that takes registrations from one thread while another waits.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) mod set {
    use std::io;
    use std::time::Duration;

    use super::super::batch::Entries;
    use super::super::{Borrowed, Descriptor};
    use crate::interest::{Interest, Trigger};

    pub(in super::super) use super::check;

    pub(crate) enum Set {}

    impl Set {
        pub(crate) fn new(_waker: Borrowed<'_>) -> io::Result<Set> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn add(
            &self,
            _descriptor: Descriptor,
            _token: u64,
            _interest: Interest,
            _trigger: Trigger,
        ) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn modify(
            &self,
            _descriptor: Descriptor,
            _token: u64,
            _interest: Interest,
            _trigger: Trigger,
        ) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn delete(&self, _descriptor: Descriptor) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn wait(
            &self,
            _entries: &mut Entries,
            _timeout: Option<Duration>,
        ) -> io::Result<()> {
            match *self {}
        }
    }

    pub(in super::super) fn takes_nanoseconds() -> bool {
        true
    }
}
