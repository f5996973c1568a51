//! `polling::Poller`, with the trigger it is asked for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use polling::{Event, Events, PollMode, Poller};

use crate::contender::Contender;

pub(crate) struct PollingPoller<'a> {
    poller: Poller,
    mode: PollMode,
    events: Events,
    sources: Vec<BorrowedFd<'a>>,
}

impl PollingPoller<'_> {
    pub(crate) fn new(mode: PollMode) -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            mode,
            events: Events::new(),
            sources: Vec::new(),
        })
    }
}

impl<'a> Contender<'a> for PollingPoller<'a> {
    // The one place outside the selectors' backend: there is no safe way to add a source to this crate's poller.
    #[allow(unsafe_code)]
    fn register(&mut self, number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        if self.sources.len() <= number {
            self.sources.resize(number + 1, source);
        }
        self.sources[number] = source;
        let interest = Event::readable(number);
        // SAFETY: the source must not be dropped before it is deleted from the poller. It is borrowed for `'a`, which
        // outlives `self` and with it the poller.
        unsafe {
            self.poller
                .add_with_mode(source.as_raw_fd(), interest, self.mode)
        }
    }

    fn modify(
        &mut self,
        number: usize,
        source: BorrowedFd<'a>,
        with_priority: bool,
    ) -> io::Result<()> {
        let mut interest = Event::readable(number);
        interest.set_priority(with_priority);
        self.poller.modify_with_mode(source, interest, self.mode)
    }

    fn unregister(&mut self, _number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        self.poller.delete(source)
    }

    fn wait(&mut self, mut ready: impl FnMut(BorrowedFd<'a>)) -> io::Result<usize> {
        self.events.clear();
        self.poller.wait(&mut self.events, None)?;
        let mut count = 0;
        for event in self.events.iter() {
            let source = self.sources[event.key];
            ready(source);
            count += 1;
            if self.mode == PollMode::Oneshot {
                let again = Event::readable(event.key);
                self.poller.modify_with_mode(source, again, self.mode)?;
            }
        }
        Ok(count)
    }
}
