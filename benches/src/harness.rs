//! The harness by itself.

use std::io;
use std::os::fd::BorrowedFd;

use crate::contender::Contender;
use crate::workload::STRIDE;

/// Knows which source is ready without asking, because it counts along: what is left of a turn is what everybody's
/// turn contains. One source is ready in each turn, and nothing else is done.
#[derive(Default)]
pub(crate) struct Harness<'a> {
    sources: Vec<BorrowedFd<'a>>,
    position: usize,
}

impl<'a> Contender<'a> for Harness<'a> {
    fn register(&mut self, _number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        self.sources.push(source);
        Ok(())
    }

    fn modify(
        &mut self,
        _number: usize,
        _source: BorrowedFd<'a>,
        _with_priority: bool,
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn unregister(&mut self, _number: usize, _source: BorrowedFd<'a>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn wait(&mut self, mut ready: impl FnMut(BorrowedFd<'a>)) -> io::Result<usize> {
        self.position = (self.position + STRIDE) % self.sources.len();
        ready(self.sources[self.position]);
        Ok(1)
    }
}
