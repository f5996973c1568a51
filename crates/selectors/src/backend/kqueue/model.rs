//! A `kqueue` for the tests, in memory and over Linux's own calls, faithful where the backend looks.
//!
//! Each filter is an `epoll` set with one descriptor in it: that gives the level and the edge of one direction, and a
//! descriptor to wait for. What the BSDs do otherwise than Linux is done here as they do it: filters are named by
//! descriptor and die with it, whoever has duplicates; each direction reports by itself, and an end is a flag of its
//! own direction, also the broken end of a pipe.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::entry::{Action, Entry, Filter, Queue};
use crate::backend::platform::{borrow, timespec};

pub(crate) struct Model {
    /// The filters, those that reported last at the end.
    filters: Mutex<VecDeque<Watch>>,
    /// Whether this system has a filter for a pipe whose other end is gone.
    refuses_broken_pipes: bool,
}

/// One filter of one descriptor.
struct Watch {
    descriptor: RawFd,
    filter: Filter,
    token: u32,
    /// The file that the descriptor stood for: if it stands for another, this one was closed.
    file: (u64, u64),
    set: OwnedFd,
    /// Whether it is disabled by what it reports.
    dispatch: bool,
    disabled: bool,
}

impl Queue for Model {
    type Raw = Entry;

    fn open() -> io::Result<Model> {
        Ok(Model {
            filters: Mutex::default(),
            refuses_broken_pipes: false,
        })
    }

    fn write(entry: &Entry) -> Entry {
        *entry
    }

    fn read(entry: &Entry) -> Entry {
        *entry
    }

    fn kevent(
        &self,
        changes: &[Entry],
        found: &mut Vec<Entry>,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let room = found.capacity();
        for change in changes {
            let error = self
                .change(&mut filters, change)
                .map_or_else(Errno::raw_os_error, |()| 0);
            if error != 0 || change.action & Action::RECEIPT != 0 {
                assert!(found.len() < room, "no room for a receipt");
                let action = Action::ERROR;
                found.push(Entry {
                    action,
                    error,
                    ..*change
                });
            }
        }
        if found.is_empty() && room > 0 {
            filters.retain(Watch::is_open);
            sleep(&filters, timeout)?;
            report(&mut filters, found, room)?;
        }
        Ok(())
    }
}

impl Model {
    /// A system that does not watch a pipe whose other end is gone, as macOS and FreeBSD do not.
    pub(super) fn refusing_broken_pipes(mut self) -> Model {
        self.refuses_broken_pipes = true;
        self
    }

    fn change(&self, filters: &mut VecDeque<Watch>, change: &Entry) -> Result<(), Errno> {
        let Entry {
            descriptor,
            filter,
            action,
            token,
            ..
        } = *change;
        let file = file_of(descriptor)?;
        filters.retain(|watch| watch.descriptor != descriptor || watch.file == file);
        let known = filters
            .iter()
            .position(|watch| (watch.descriptor, watch.filter) == (descriptor, filter));
        if action & Action::DELETE != 0 {
            filters.remove(known.ok_or(Errno::NOENT)?);
            return Ok(());
        }
        if action & Action::ADD == 0 {
            let watch = &mut filters[known.ok_or(Errno::NOENT)?];
            watch.token = token;
            watch.disabled |= action & Action::DISABLE != 0;
            return Ok(());
        }
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        let wanted = match filter {
            Filter::Read => EventFlags::IN | EventFlags::RDHUP,
            Filter::Write => EventFlags::OUT,
            Filter::Priority => EventFlags::PRI,
        };
        let edge = if action & Action::CLEAR == 0 {
            EventFlags::empty()
        } else {
            EventFlags::ET
        };
        match epoll::add(
            &set,
            borrow(descriptor),
            EventData::new_u64(0),
            wanted | edge,
        ) {
            // What never blocks; no kqueue watches `/dev/null`.
            Err(Errno::PERM) => return Err(Errno::NODEV),
            result => result?,
        }
        let watch = Watch {
            descriptor,
            filter,
            token,
            file,
            set,
            dispatch: action & Action::DISPATCH != 0,
            disabled: false,
        };
        if self.refuses_broken_pipes
            && filter == Filter::Write
            && watch.glance()?.contains(EventFlags::ERR)
        {
            return Err(Errno::PIPE);
        }
        if let Some(known) = known {
            filters[known] = watch;
        } else {
            filters.push_back(watch);
        }
        Ok(())
    }
}

impl Watch {
    /// Whether the descriptor still stands for the file.
    fn is_open(&self) -> bool {
        file_of(self.descriptor) == Ok(self.file)
    }

    /// The set's news, without waiting; empty if there are none.
    fn glance(&self) -> Result<EventFlags, Errno> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // The old call, which emulators have too.
        // SAFETY: there is room for one event, as is said.
        let count = unsafe { libc::epoll_wait(self.set.as_raw_fd(), &raw mut event, 1, 0) };
        match count {
            0 => Ok(EventFlags::empty()),
            1 => Ok(EventFlags::from_bits_retain(event.events)),
            _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
        }
    }

    /// What the filter reports, if it is what it is for.
    fn news(&self) -> Result<Option<Entry>, Errno> {
        let flags = self.glance()?;
        let has = |wanted: EventFlags| flags.intersects(wanted);
        let (reports, ended) = match self.filter {
            Filter::Read => {
                let end = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                (has(EventFlags::IN | end), has(end))
            }
            Filter::Write => {
                let end = EventFlags::HUP | EventFlags::ERR;
                (has(EventFlags::OUT | end), has(end))
            }
            Filter::Priority => (has(EventFlags::PRI), false),
        };
        let is_socket = rustix::net::sockopt::socket_type(borrow(self.descriptor)).is_ok();
        let error = if has(EventFlags::ERR) && is_socket {
            Errno::CONNRESET.raw_os_error()
        } else {
            0
        };
        Ok(reports.then_some(Entry {
            descriptor: self.descriptor,
            filter: self.filter,
            action: if ended { Action::EOF } else { 0 },
            error,
            token: self.token,
        }))
    }
}

/// Which file a descriptor stands for.
fn file_of(descriptor: RawFd) -> Result<(u64, u64), Errno> {
    let status = rustix::fs::fstat(borrow(descriptor))?;
    Ok((status.st_dev, status.st_ino))
}

/// Waits until one of the sets has news.
fn sleep(filters: &VecDeque<Watch>, timeout: Option<Duration>) -> Result<(), Errno> {
    let mut table: Vec<PollFd<'_>> = filters
        .iter()
        .filter(|watch| !watch.disabled)
        .map(|watch| PollFd::new(&watch.set, PollFlags::IN))
        .collect();
    rustix::event::poll(&mut table, timeout.map(timespec).as_ref())?;
    Ok(())
}

/// Reports as much as there is room for; who has reported goes to the end.
fn report(filters: &mut VecDeque<Watch>, found: &mut Vec<Entry>, room: usize) -> Result<(), Errno> {
    let mut reported = Vec::new();
    let mut silent = VecDeque::new();
    while let Some(mut watch) = filters.pop_front() {
        if found.len() < room
            && !watch.disabled
            && let Some(entry) = watch.news()?
        {
            watch.disabled = watch.dispatch;
            found.push(entry);
            reported.push(watch);
        } else {
            silent.push_back(watch);
        }
    }
    silent.extend(reported);
    *filters = silent;
    Ok(())
}
