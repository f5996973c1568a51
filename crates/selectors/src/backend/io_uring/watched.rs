//! What is watched: a row for each source, and which of them are to be asked about with the next wait.

use std::os::fd::RawFd;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::super::Flags;
use super::super::platform::borrow;
use super::queues::{Answer, Name};
use super::ring::Ring;
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

pub(super) struct Watched {
    /// By the slot of the key.
    rows: Vec<Row>,
    /// The slots of the rows that are to be asked about, and of those that have been left out since. None is in it twice.
    pub(super) queue: Vec<u32>,
    /// The names of requests that are to be cancelled.
    unwanted: Vec<Name>,
    waker: RawFd,
    /// Whether the kernel has a request for the waker's descriptor.
    waker_asked: bool,
    /// Whether the next wait may have more to do than to ask about what is in the queue: one question instead of six.
    pub(super) special: bool,
}

/// A source that is watched, or was.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Of the key.
    generation: u32,
    /// Goes into the names of requests. It changes when a request is cancelled, so that what the old one may still
    /// answer is nobody's.
    sequence: u32,
    pub(super) descriptor: RawFd,
    /// What is asked, and told: errors and hang-ups come without asking.
    pub(super) wanted: Flags,
    request: Request,
    state: State,
}

/// What is asked of the kernel about a source, and so what becomes of it after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// One answer, and then the next question: level trigger.
    Level,
    /// An answer at each change: edge trigger.
    Edge,
    /// One answer.
    OneShot,
    /// The first change that is of interest: instead of the first or the third if something holds that nobody wants to
    /// know, which would be the answer to each request that looks at the state.
    LevelByChange,
    OneShotByChange,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not watched: unregistered, without interest, or never to be ready again.
    Idle,
    /// In the queue.
    Queued,
    /// Not watched either, but still in the queue.
    LeftOut,
    /// The kernel has a request, or is about to be given one.
    Asked,
}

/// The name of the waker's request. Its slot, like that of [`Key::NOTHING`], is nobody's.
const WAKER: Name = Name {
    slot: u32::MAX,
    sequence: u32::MAX,
};

/// `POLLRDBAND`, which sockets' wake-ups carry and their state does not.
const BAND: u16 = 0x80;

impl Watched {
    pub(super) fn new(waker: RawFd) -> Watched {
        Watched {
            rows: Vec::new(),
            queue: Vec::new(),
            unwanted: Vec::new(),
            waker,
            waker_asked: false,
            special: true,
        }
    }

    /// The row that a key names.
    #[inline]
    pub(super) fn row(&self, key: Key) -> Option<&Row> {
        self.rows
            .get(key.index() as usize)
            .filter(|row| row.generation == key.generation())
    }

    /// How many rows there are: the most sources there were at once.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Watches a source from the next wait on.
    pub(super) fn add(
        &mut self,
        descriptor: RawFd,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) {
        let slot = key.index() as usize;
        if self.rows.len() <= slot {
            if self.rows.capacity() <= slot {
                self.rows
                    .reserve_exact((slot + 1 - self.rows.len()).max(self.rows.len() / 4));
            }
            self.rows.resize(slot + 1, Row::VACANT);
        }
        let row = &mut self.rows[slot];
        *row = Row {
            generation: key.generation(),
            sequence: row.sequence.wrapping_add(1),
            descriptor,
            wanted: wanting(interest),
            request: match trigger {
                Trigger::Level | Trigger::Exclusive => Request::Level,
                Trigger::Edge => Request::Edge,
                Trigger::OneShot => Request::OneShot,
            },
            state: row.state,
        };
        self.enqueue(key.index());
    }

    /// Watches a source for something else from the next wait on.
    pub(super) fn change(&mut self, key: Key, interest: Interest) {
        self.stop(key);
        if let Some(row) = self.rows.get_mut(key.index() as usize)
            && row.generation == key.generation()
            && !interest.is_empty()
        {
            row.wanted = wanting(interest);
            row.request = row.request.by_state();
            self.enqueue(key.index());
        }
    }

    /// Watches a source no more.
    pub(super) fn stop(&mut self, key: Key) {
        let slot = key.index();
        let Some(row) = self.rows.get_mut(slot as usize) else {
            return;
        };
        if row.generation != key.generation() {
            return;
        }
        match row.state {
            State::Asked => {
                row.state = State::Idle;
                self.unwanted.push(row.name(slot));
                self.special = true;
            }
            State::Queued => row.state = State::LeftOut,
            State::Idle | State::LeftOut => {}
        }
        // What the request may still answer is nobody's.
        row.sequence = row.sequence.wrapping_add(1);
    }

    fn enqueue(&mut self, slot: u32) {
        let row = &mut self.rows[slot as usize];
        if row.state != State::LeftOut {
            // Room for all rows at once, so that a wait allocates nothing.
            let room = self.rows.capacity() - self.queue.len();
            self.queue.reserve_exact(room);
            self.queue.push(slot);
        }
        self.rows[slot as usize].state = State::Queued;
    }

    /// Whether there is anything to tell the kernel but what is in the queue.
    pub(super) fn has_news(&self) -> bool {
        !self.unwanted.is_empty() || !self.waker_asked
    }

    /// Adds all that is due. An error leaves what could not be added for later.
    pub(super) fn tell(&mut self, ring: &mut Ring) -> Result<(), Errno> {
        if !self.waker_asked {
            ring.watch(self.waker, Flags::IN.into(), true, WAKER)?;
            self.waker_asked = true;
        }
        if !self.unwanted.is_empty() {
            self.cancel(ring)?;
        }
        self.ask(ring)
    }

    /// Adds the request for what is in the queue if that is one source, and the usual one. False if not.
    #[inline(always)]
    pub(super) fn ask_one(&mut self, ring: &mut Ring) -> bool {
        let [slot] = self.queue[..] else {
            return false;
        };
        let Some(row) = self.rows.get_mut(slot as usize) else {
            return false;
        };
        if !row.is(Request::Level, State::Queued) {
            return false;
        }
        let Some(mut requests) = ring.requests(1) else {
            return false;
        };
        requests.watch(row.descriptor, row.flags(), false, row.name(slot));
        row.state = State::Asked;
        self.queue.clear();
        true
    }

    /// Adds the requests for what is in the queue.
    #[inline(never)]
    pub(super) fn ask(&mut self, ring: &mut Ring) -> Result<(), Errno> {
        let Some(mut requests) = ring.requests(self.queue.len()) else {
            return self.ask_in_parts(ring);
        };
        for &slot in &self.queue {
            let Some(row) = self.rows.get_mut(slot as usize) else {
                continue;
            };
            if row.state == State::Queued {
                requests.watch(
                    row.descriptor,
                    row.flags(),
                    row.request.goes_on(),
                    row.name(slot),
                );
                row.state = State::Asked;
            } else {
                row.state = State::Idle;
            }
        }
        self.queue.clear();
        Ok(())
    }

    /// The same for more than there is room for.
    #[cold]
    fn ask_in_parts(&mut self, ring: &mut Ring) -> Result<(), Errno> {
        for position in 0..self.queue.len() {
            let slot = self.queue[position];
            let row = &mut self.rows[slot as usize];
            if row.state != State::Queued {
                row.state = State::Idle;
                continue;
            }
            let (flags, multishot) = (row.flags(), row.request.goes_on());
            if let Err(error) = ring.watch(row.descriptor, flags, multishot, row.name(slot)) {
                self.queue.drain(..position);
                return Err(error);
            }
            row.state = State::Asked;
        }
        self.queue.clear();
        Ok(())
    }

    /// Adds the cancellations that are due.
    pub(super) fn cancel(&mut self, ring: &mut Ring) -> Result<(), Errno> {
        while let Some(&name) = self.unwanted.last() {
            ring.cancel(name)?;
            self.unwanted.pop();
        }
        Ok(())
    }

    /// How many requests are to be cancelled that the kernel has not been told of.
    #[inline]
    pub(super) fn unwanted(&self) -> usize {
        self.unwanted.len()
    }

    /// Cancels all requests, but for the waker's. False if there are none.
    pub(super) fn stop_all(&mut self) -> bool {
        for (slot, row) in self.rows.iter_mut().enumerate() {
            if row.state == State::Asked {
                row.state = State::Idle;
                self.unwanted.push(row.name(slot as u32));
            }
        }
        self.special = true;
        !self.unwanted.is_empty()
    }

    /// After the requests are gone, with their ring: they are all to be made again.
    pub(super) fn ask_all_again(&mut self) {
        self.special = true;
        self.waker_asked = false;
        self.unwanted.clear();
        for slot in 0..self.rows.len() {
            if self.rows[slot].state == State::Asked {
                self.enqueue(slot as u32);
            }
        }
    }

    /// Asks about a source again that was not ready after all.
    pub(super) fn resume(&mut self, key: Key) {
        if self.row(key).is_some_and(|row| row.state == State::Idle) {
            self.enqueue(key.index());
        }
    }

    /// What is asked about a source that is still watched for edges, and about the waker.
    pub(super) fn edges_of(&self, key: Key) -> Option<Flags> {
        if key == Key::NOTHING {
            return Some(Flags(Flags::IN));
        }
        let row = self.row(key)?;
        (row.request == Request::Edge && row.is_watched()).then_some(row.wanted)
    }

    /// What an answer says, and about whom.
    #[inline(always)]
    pub(super) fn found(&mut self, answer: &Answer) -> Option<(Key, Flags)> {
        self.found_as_usual(answer)
            .or_else(|| self.found_otherwise(answer))
    }

    /// The same if it is the usual answer to such a request: to the question that was asked, with nothing to be done but
    /// to tell it, and saying nothing that has to be checked: input, output or both.
    #[inline(always)]
    pub(super) fn found_usual(&self, answer: &Answer, request: Request) -> Option<(Key, Flags)> {
        let slot = answer.name.slot;
        let row = self.rows.get(slot as usize)?;
        // No error either, which is a negative number.
        let is_clear = answer.result & !i32::from(Flags::IN | Flags::OUT) == 0;
        let told = row.wanted.0 & answer.result.cast_unsigned() as u16;
        let is_usual = is_clear
            && row.sequence == answer.name.sequence
            && row.is(request, State::Asked)
            && told != 0
            && answer.has_more() == request.goes_on();
        is_usual.then(|| (row.key(slot), Flags(told)))
    }

    /// The same if it is an answer to the question that was asked, and nothing is to be done but to tell it.
    #[inline(always)]
    pub(super) fn found_as_usual(&mut self, answer: &Answer) -> Option<(Key, Flags)> {
        let slot = answer.name.slot;
        let row = self.rows.get_mut(slot as usize)?;
        let flags = row.told(answer.result);
        let is_its = row.sequence == answer.name.sequence && row.state == State::Asked;
        if !is_its || flags.0 == 0 {
            return None;
        }
        match row.request {
            Request::Edge if answer.has_more() => {}
            Request::Level => {
                row.state = State::Queued;
                self.queue.push(slot);
            }
            Request::OneShot => row.state = State::Idle,
            _ => return None,
        }
        Some((row.key(slot), flags))
    }

    /// Asks again, with the next wait, about a source that was found by the usual answer to such a request.
    #[inline(always)]
    pub(super) fn ask_again(&mut self, key: Key) {
        if let Some(row) = self.rows.get_mut(key.index() as usize) {
            row.state = State::Queued;
            self.queue.push(key.index());
        }
    }

    /// The same for all other answers.
    #[inline(never)]
    pub(super) fn found_otherwise(&mut self, answer: &Answer) -> Option<(Key, Flags)> {
        let slot = answer.name.slot;
        let Some(row) = self.rows.get(slot as usize) else {
            return self.found_by_nobody(answer);
        };
        if row.sequence != answer.name.sequence || row.state != State::Asked {
            // Cancelled, or unregistered before.
            return None;
        }
        self.found_unusual(slot, answer)
    }

    /// An answer that is an error, or the last of a request that should have gone on, or not to the question.
    #[cold]
    fn found_unusual(&mut self, slot: u32, answer: &Answer) -> Option<(Key, Flags)> {
        let row = &mut self.rows[slot as usize];
        let result = answer.result;
        let mut flags = row.told(result);
        let again = if answer.has_more() {
            // Not an edge: now that there is something, its state is what matters again.
            if flags.0 != 0 {
                self.unwanted.push(row.name(slot));
                self.special = true;
                row.sequence = row.sequence.wrapping_add(1);
                row.request = row.request.by_state();
                row.state = State::Idle;
            }
            flags.0 != 0 && row.request == Request::Level
        } else if result >= 0 && !row.request.goes_on() {
            row.request = row.request.by_change();
            true
        } else {
            row.state = State::Idle;
            let (error, again) = row.outcome(result);
            flags.0 |= error.0;
            again
        };
        let key = row.key(slot);
        if again {
            self.enqueue(slot);
        }
        (flags.0 != 0).then_some((key, flags))
    }

    /// The waker's answer, or that of a cancellation which failed.
    #[cold]
    fn found_by_nobody(&mut self, answer: &Answer) -> Option<(Key, Flags)> {
        self.special = true;
        let name = answer.name;
        if name != WAKER {
            // Else it has ended by itself.
            if answer.result == -libc::EALREADY {
                // It was being woken at that very time, and may go on after that.
                self.unwanted.push(name.of_cancelled());
            }
            return None;
        }
        self.waker_asked = answer.has_more();
        (answer.result > 0).then_some((Key::NOTHING, Flags(Flags::IN)))
    }
}

impl Row {
    const VACANT: Row = Row {
        generation: u32::MAX,
        sequence: 0,
        descriptor: -1,
        wanted: Flags(0),
        request: Request::Level,
        state: State::Idle,
    };

    fn name(&self, slot: u32) -> Name {
        let sequence = self.sequence;
        Name { slot, sequence }
    }

    /// Both in one: the bytes stand side by side, and an array of them is compared at once.
    #[inline(always)]
    fn is(&self, request: Request, state: State) -> bool {
        [self.request as u8, self.state as u8] == [request as u8, state as u8]
    }

    fn is_watched(&self) -> bool {
        matches!(self.state, State::Queued | State::Asked)
    }

    /// What an answer says of what was asked. The kernel tells `RDHUP` to everybody.
    #[inline]
    fn told(&self, result: i32) -> Flags {
        // An error is a negative number.
        let told = if result < 0 { 0 } else { result };
        Flags(told.cast_unsigned() as u16 & self.wanted.0)
    }

    /// What to ask the kernel for.
    fn flags(&self) -> u32 {
        let mut flags = self.wanted.0;
        if flags & Flags::PRIORITY != 0 {
            flags |= BAND;
        }
        flags.into()
    }

    /// What it means that a request ended: what to tell, and whether to ask again.
    fn outcome(&self, result: i32) -> (Flags, bool) {
        match -result {
            // It never blocks, and is never ready for what was asked for.
            libc::EINVAL => (Flags(0), false),
            // The kernel gave it up, with the thread that had asked.
            libc::ECANCELED => (Flags(0), true),
            libc::EBADF => (Flags(Flags::INVALID), true),
            error if error > 0 => (Flags(Flags::ERROR), true),
            // Rings that wake each other end a request like this, and so does a lack of room for answers. But what can
            // never block ends it too, and then it would only end again.
            _ => (Flags(0), may_block(self.descriptor)),
        }
    }

    fn key(&self, slot: u32) -> Key {
        Key::from_bits(u64::from(self.generation) << 32 | u64::from(slot))
    }
}

impl Request {
    /// Whether it has several answers.
    fn goes_on(self) -> bool {
        !matches!(self, Request::Level | Request::OneShot)
    }

    /// Asked about the state first, as ever.
    fn by_state(self) -> Request {
        match self {
            Request::LevelByChange => Request::Level,
            Request::OneShotByChange => Request::OneShot,
            other => other,
        }
    }

    /// Asked about changes instead.
    fn by_change(self) -> Request {
        match self {
            Request::Level => Request::LevelByChange,
            Request::OneShot => Request::OneShotByChange,
            other => other,
        }
    }
}

/// What somebody with this interest is told.
fn wanting(interest: Interest) -> Flags {
    Flags(Flags::asking(interest).0 | Flags::ERROR | Flags::HANG_UP)
}

/// Whether a file has any other state than ready. `epoll` takes those that have. Without a descriptor to find out by, it
/// has: to ask once too often costs less than to forget it.
fn may_block(descriptor: RawFd) -> bool {
    let Ok(set) = epoll::create(CreateFlags::CLOEXEC) else {
        return true;
    };
    let added = epoll::add(
        &set,
        borrow(descriptor),
        EventData::new_u64(0),
        EventFlags::empty(),
    );
    added != Err(Errno::PERM)
}
