//! The yardsticks: what a program would do that needs no library.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use trunkline_selectors::Trigger;

use crate::contender::Contender;

/// How many events a wait may bring; everybody else's limit too.
const BATCH: usize = 1024;

/// `epoll_wait`, whose timeouts are in milliseconds.
pub(crate) struct Bare<'a> {
    set: Epoll,
    events: Vec<EpollEvent>,
    sources: Vec<BorrowedFd<'a>>,
    flags: EpollFlags,
}

impl Bare<'_> {
    pub(crate) fn new(trigger: Trigger) -> io::Result<Self> {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLET, trigger == Trigger::Edge);
        Ok(Self {
            set: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); BATCH],
            sources: Vec::new(),
            flags,
        })
    }
}

impl<'a> Contender<'a> for Bare<'a> {
    fn register(&mut self, number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        if self.sources.len() <= number {
            self.sources.resize(number + 1, source);
        }
        self.sources[number] = source;
        let event = EpollEvent::new(self.flags, number as u64);
        Ok(self.set.add(source, event)?)
    }

    fn modify(
        &mut self,
        number: usize,
        source: BorrowedFd<'a>,
        with_priority: bool,
    ) -> io::Result<()> {
        let mut flags = self.flags;
        flags.set(EpollFlags::EPOLLPRI, with_priority);
        let mut event = EpollEvent::new(flags, number as u64);
        Ok(self.set.modify(source, &mut event)?)
    }

    fn unregister(&mut self, _number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        Ok(self.set.delete(source)?)
    }

    fn wait(&mut self, mut ready: impl FnMut(BorrowedFd<'a>)) -> io::Result<usize> {
        let count = self.set.wait(&mut self.events, EpollTimeout::NONE)?;
        for event in &self.events[..count] {
            ready(self.sources[event.data() as usize]);
        }
        Ok(count)
    }
}

/// `epoll_pwait2`, whose timeouts are in nanoseconds, and which costs the kernel a little more.
pub(crate) struct BareNanoseconds<'a> {
    set: OwnedFd,
    events: Vec<Event>,
    sources: Vec<BorrowedFd<'a>>,
}

impl BareNanoseconds<'_> {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            set: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(BATCH),
            sources: Vec::new(),
        })
    }
}

impl<'a> Contender<'a> for BareNanoseconds<'a> {
    fn register(&mut self, number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        if self.sources.len() <= number {
            self.sources.resize(number + 1, source);
        }
        self.sources[number] = source;
        let data = EventData::new_u64(number as u64);
        Ok(epoll::add(&self.set, source, data, EventFlags::IN)?)
    }

    fn modify(
        &mut self,
        number: usize,
        source: BorrowedFd<'a>,
        with_priority: bool,
    ) -> io::Result<()> {
        let mut flags = EventFlags::IN;
        flags.set(EventFlags::PRI, with_priority);
        let data = EventData::new_u64(number as u64);
        Ok(epoll::modify(&self.set, source, data, flags)?)
    }

    fn unregister(&mut self, _number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        Ok(epoll::delete(&self.set, source)?)
    }

    fn wait(&mut self, mut ready: impl FnMut(BorrowedFd<'a>)) -> io::Result<usize> {
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        epoll::wait(&self.set, room, None)?;
        for event in &self.events {
            let Event { data, .. } = *event;
            ready(self.sources[data.u64() as usize]);
        }
        Ok(self.events.len())
    }
}
