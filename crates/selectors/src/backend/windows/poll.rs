//! Windows's `WSAPoll`: a table of sockets, handed to the system at every wait.

use std::io;
use std::time::Duration;

use super::platform::table::Table;
use super::{Borrowed, Descriptor, Flags};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

pub(crate) struct Poll(Table);

impl Poll {
    pub(super) fn new(waker: Borrowed<'_>) -> Poll {
        Poll(Table::new(waker))
    }

    pub(super) fn register(
        &mut self,
        descriptor: Descriptor,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.0.register(descriptor, key, interest, trigger)
    }

    pub(super) fn modify(
        &mut self,
        descriptor: Descriptor,
        key: Key,
        change: (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        self.0.modify(descriptor, key, change, trigger);
        Ok(())
    }

    pub(super) fn unregister(&mut self, _descriptor: Descriptor, key: Key, interest: Interest) {
        self.0.unregister(key, interest);
    }

    /// The system knows everything already, or is told by the wait itself.
    pub(super) fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// A number is all that it has: whose it is now it cannot tell.
    pub(super) fn holds(&self, _descriptor: Descriptor, _key: Key, _interest: Interest) -> bool {
        true
    }

    pub(super) fn has_fired(&self, key: Key) -> bool {
        self.0.has_fired(key)
    }

    pub(super) fn may_report_strays(&self) -> bool {
        false
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.0.wait_by_poll(timeout)
    }

    pub(super) fn saw_waker(&self) -> bool {
        self.0.saw_waker()
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<(Key, Flags)> {
        self.0.next()
    }
}
