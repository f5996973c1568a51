//! `mio::Poll`: edge-triggered, one array of events.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::contender::Contender;

pub(crate) struct MioPoll<'a> {
    poll: Poll,
    events: Events,
    sources: Vec<BorrowedFd<'a>>,
}

impl MioPoll<'_> {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            sources: Vec::new(),
        })
    }
}

impl<'a> Contender<'a> for MioPoll<'a> {
    fn register(&mut self, number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        if self.sources.len() <= number {
            self.sources.resize(number + 1, source);
        }
        self.sources[number] = source;
        let registry = self.poll.registry();
        registry.register(
            &mut SourceFd(&source.as_raw_fd()),
            Token(number),
            Interest::READABLE,
        )
    }

    fn modify(
        &mut self,
        number: usize,
        source: BorrowedFd<'a>,
        with_priority: bool,
    ) -> io::Result<()> {
        let interest = if with_priority {
            Interest::READABLE | Interest::PRIORITY
        } else {
            Interest::READABLE
        };
        let registry = self.poll.registry();
        registry.reregister(&mut SourceFd(&source.as_raw_fd()), Token(number), interest)
    }

    fn unregister(&mut self, _number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.deregister(&mut SourceFd(&source.as_raw_fd()))
    }

    fn wait(&mut self, mut ready: impl FnMut(BorrowedFd<'a>)) -> io::Result<usize> {
        self.poll.poll(&mut self.events, None)?;
        let mut count = 0;
        for event in &self.events {
            if event.is_readable() {
                ready(self.sources[event.token().0]);
                count += 1;
            }
        }
        Ok(count)
    }
}
