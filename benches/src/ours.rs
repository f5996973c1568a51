//! The selector of this project, on any mechanism.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use trunkline_selectors::{Interest, Key, Mechanism, Selector, Trigger};

use crate::contender::Contender;

pub(crate) struct Ours<'a> {
    selector: Selector<BorrowedFd<'a>, usize>,
    trigger: Trigger,
    keys: Vec<Option<Key>>,
}

impl Ours<'_> {
    pub(crate) fn new(mechanism: Mechanism, trigger: Trigger) -> io::Result<Self> {
        Ok(Self {
            selector: Selector::with_mechanism(mechanism)?,
            trigger,
            keys: Vec::new(),
        })
    }

    fn key(&self, number: usize) -> io::Result<Key> {
        self.keys[number].ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl<'a> Contender<'a> for Ours<'a> {
    fn register(&mut self, number: usize, source: BorrowedFd<'a>) -> io::Result<()> {
        if self.keys.len() <= number {
            self.keys.resize(number + 1, None);
        }
        let key = self
            .selector
            .register_with(source, Interest::READ, self.trigger, number)?;
        self.keys[number] = Some(key);
        Ok(())
    }

    fn modify(
        &mut self,
        number: usize,
        _source: BorrowedFd<'a>,
        with_priority: bool,
    ) -> io::Result<()> {
        let interest = if with_priority {
            Interest::READ | Interest::PRIORITY
        } else {
            Interest::READ
        };
        self.selector.modify(self.key(number)?, interest)
    }

    fn apply(&mut self) -> io::Result<()> {
        self.selector.select(Some(Duration::ZERO)).map(drop)
    }

    fn unregister(&mut self, number: usize, _source: BorrowedFd<'a>) -> io::Result<()> {
        let key = self.key(number)?;
        self.selector.unregister(key);
        Ok(())
    }

    fn wait(&mut self, mut ready: impl FnMut(BorrowedFd<'a>)) -> io::Result<usize> {
        self.selector.select(None)?;
        let mut count = 0;
        while let Some((_, source)) = self.selector.next_event_with(|source, _| *source) {
            ready(source);
            count += 1;
        }
        Ok(count)
    }
}
