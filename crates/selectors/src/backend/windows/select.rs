//! Windows's `select`: three lists of sockets, as long as it takes, handed to the system at every wait.

use std::io;
use std::time::Duration;

use super::batch::Batch;
use super::platform::table::{Table, Way};

pub(crate) type Select = Table<BySelect>;

pub(crate) enum BySelect {}

impl Way for BySelect {
    fn wait(table: &mut Select, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        table.wait_by_select(batch, timeout)
    }
}

/// Why `select` does not work here: it does.
pub(super) fn check() -> io::Result<()> {
    Ok(())
}
