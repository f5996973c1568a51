//! Windows's `WSAPoll`: a table of sockets, handed to the system at every wait.

use std::io;
use std::time::Duration;

use super::batch::Batch;
use super::platform::table::{Table, Way};

pub(crate) type Poll = Table<ByPoll>;

pub(crate) enum ByPoll {}

impl Way for ByPoll {
    fn wait(table: &mut Poll, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        table.wait_by_poll(batch, timeout)
    }
}
