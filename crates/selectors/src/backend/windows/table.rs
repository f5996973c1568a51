//! The table of sockets that both of Windows's mechanisms are, and the two ways to wait for it.
//!
//! `WSAPoll` tells more, `select` tells only what it was asked about; each needs the other where it falls short:
//!
//! - `WSAPoll` tells of the peer's half-close whether one asks or not, so that somebody who only writes would be woken
//!   for ever. From the first such answer on, and until the table changes, the wait is left to `select`.
//! - `select` knows no end of input and no errors, so `WSAPoll` is asked what the sockets found are ready for.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use windows_sys::Win32::Networking::WinSock::{
    self, FD_SET, SO_ERROR, SOCKET, SOCKET_ERROR, TIMEVAL, WSAENOTSOCK, WSAPOLLFD,
};

use super::super::batch::Batch;
use super::super::one_shots::OneShots;
use super::super::{BATCH, Flags};
use super::{Borrowed, Descriptor, check_open, descriptor_of, last_error, option};
use crate::interest::{Interest, Trigger};
use crate::slab::Key;

/// Which of the two ways a mechanism waits.
pub(crate) trait Way: Sized {
    fn wait(
        table: &mut Table<Self>,
        batch: &mut Batch,
        timeout: Option<Duration>,
    ) -> io::Result<()>;
}

/// A mechanism of Windows, with the functions of the contract.
pub(crate) struct Table<W> {
    /// The system's table. The waker is its first row.
    rows: Vec<WSAPOLLFD>,
    /// Whose each row is.
    owners: Vec<Owner>,
    /// The row of each key's slot.
    places: Vec<u32>,
    one_shots: OneShots,
    /// The rows that `select` found, and a part of the table for `WSAPoll` to say what they are ready for.
    found: Vec<u32>,
    part: Vec<WSAPOLLFD>,
    sets: [Set; 3],
    /// The row at which the next batch begins.
    start: usize,
    /// Whether `WSAPoll` would tell of a half-close that nobody wants to hear of.
    talkative: bool,
    way: PhantomData<W>,
}

#[derive(Clone, Copy)]
struct Owner {
    key: Key,
    /// Whether `select` is asked about exceptions for the sake of a failed connect. Not so once it answered with
    /// out-of-band data instead.
    connecting: bool,
}

/// The indices of the sets for input, output and exceptions.
const INPUT: usize = 0;
const OUTPUT: usize = 1;
const EXCEPTION: usize = 2;

/// Marks a slot that has no row.
const NO_ROW: u32 = u32::MAX;

impl<W: Way> Table<W> {
    pub(crate) fn new(waker: Borrowed<'_>) -> io::Result<Table<W>> {
        let mut table = Table {
            rows: Vec::new(),
            owners: Vec::new(),
            places: Vec::new(),
            one_shots: OneShots::default(),
            found: Vec::with_capacity(BATCH),
            part: Vec::with_capacity(BATCH),
            sets: Default::default(),
            start: 0,
            talkative: false,
            way: PhantomData,
        };
        table.push(row(descriptor_of(&waker), Interest::READ), Key::NOTHING);
        Ok(table)
    }

    pub(crate) fn register(
        &mut self,
        descriptor: Descriptor,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        check_open(descriptor)?;
        if !interest.is_empty() {
            self.put(descriptor, key, interest, trigger);
        }
        Ok(())
    }

    pub(crate) fn modify(
        &mut self,
        descriptor: Descriptor,
        key: Key,
        (old, new): (Interest, Interest),
        trigger: Trigger,
    ) -> io::Result<()> {
        if new.is_empty() {
            self.unregister(descriptor, key, old);
        } else {
            self.put(descriptor, key, new, trigger);
        }
        Ok(())
    }

    pub(crate) fn unregister(&mut self, _descriptor: Descriptor, key: Key, interest: Interest) {
        if interest.is_empty() {
            return;
        }
        self.one_shots.forget(key);
        self.remove(key);
    }

    /// The system is told everything by the wait itself.
    pub(crate) fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// A number is all that it has: whose it is now it cannot tell.
    pub(crate) fn holds(&self, _descriptor: Descriptor, _key: Key, _interest: Interest) -> bool {
        true
    }

    pub(crate) fn has_fired(&self, key: Key) -> bool {
        self.one_shots.has_fired(key)
    }

    pub(crate) fn may_report_strays(&self) -> bool {
        false
    }

    pub(crate) fn wait(&mut self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        W::wait(self, batch, timeout)
    }

    /// Waits by `WSAPoll` as long as that is possible.
    pub(crate) fn wait_by_poll(
        &mut self,
        batch: &mut Batch,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if self.talkative {
            return self.wait_by_select(batch, timeout);
        }
        let mut left = poll(&mut self.rows, timeout)?;
        let rows = self.rows.len();
        let mut position = self.start % rows;
        for _ in 0..rows {
            if batch.len() == BATCH || left == 0 {
                break;
            }
            let row = self.rows[position];
            if row.revents != 0 {
                left -= 1;
                let flags = told(row);
                if flags.0 == 0 {
                    self.talkative = true;
                } else {
                    batch.push(self.owners[position].key, flags);
                }
            }
            position = if position + 1 == rows {
                0
            } else {
                position + 1
            };
        }
        self.start = position;
        self.disarm(batch);
        Ok(())
    }

    /// Waits by `select`.
    pub(crate) fn wait_by_select(
        &mut self,
        batch: &mut Batch,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.fill_sets();
        match select(&mut self.sets, timeout) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // One of them is not open, and the call does not say which: `WSAPoll` does, so all are asked about.
            Err(error) if error.raw_os_error() == Some(WSAENOTSOCK) => self.fill_sets(),
            Err(error) => return Err(error),
        }
        self.collect();
        if !self.part.is_empty() {
            poll(&mut self.part, Some(Duration::ZERO))?;
        }
        for place in 0..self.part.len() {
            self.classify(batch, place);
        }
        self.disarm(batch);
        Ok(())
    }

    /// Takes out of the table what is one-shot and in the batch.
    fn disarm(&mut self, batch: &Batch) {
        if self.one_shots.is_empty() {
            return;
        }
        for (key, _) in batch.iter() {
            if self.one_shots.fire(key) {
                self.remove(key);
            }
        }
    }

    /// Puts every row into the sets that its interest needs.
    fn fill_sets(&mut self) {
        self.sets.iter_mut().for_each(Set::clear);
        for (row, owner) in self.rows.iter().zip(&self.owners) {
            let asks = |flag: u16| row.events.cast_unsigned() & flag != 0;
            if asks(Flags::IN) {
                self.sets[INPUT].push(row.fd);
            }
            if asks(Flags::OUT) {
                self.sets[OUTPUT].push(row.fd);
            }
            if asks(Flags::PRIORITY) || asks(Flags::OUT) && owner.connecting {
                self.sets[EXCEPTION].push(row.fd);
            }
        }
    }

    /// Lists the rows that `select` has found, from where the last batch ended, as far as there is room.
    fn collect(&mut self) {
        self.sets.iter_mut().for_each(Set::sort);
        self.found.clear();
        self.part.clear();
        let rows = self.rows.len();
        let start = self.start % rows;
        for position in (start..rows).chain(0..start) {
            if self.found.len() == BATCH {
                self.start = position;
                return;
            }
            let row = self.rows[position];
            if self.sets.iter().any(|set| set.contains(row.fd)) {
                self.found.push(position as u32);
                self.part.push(WSAPOLLFD { revents: 0, ..row });
            }
        }
        self.start = 0;
    }

    /// Says what a socket that `select` found is ready for: what `WSAPoll` says, or else what `select` said.
    fn classify(&mut self, batch: &mut Batch, place: usize) {
        let row = self.part[place];
        let position = self.found[place] as usize;
        let mut flags = told(row).0;
        if flags == 0 {
            let asked = row.events.cast_unsigned();
            for (set, flag) in [
                (INPUT, Flags::IN),
                (OUTPUT, Flags::OUT),
                (EXCEPTION, Flags::PRIORITY),
            ] {
                if self.sets[set].contains(row.fd) {
                    flags |= asked & flag;
                }
            }
        }
        if flags == 0 {
            // Only the exception that somebody who writes did not ask for is left: a connect that failed, which
            // `WSAPoll` keeps to itself before Windows 10 2004, or out-of-band data.
            if option(row.fd as Descriptor, SO_ERROR).is_ok_and(|error| error != 0) {
                flags = Flags::ERROR | Flags::HANG_UP;
            } else {
                self.owners[position].connecting = false;
                return;
            }
        }
        batch.push(self.owners[position].key, Flags(flags));
    }

    /// The key's row from now on, new or not.
    fn put(&mut self, descriptor: Descriptor, key: Key, interest: Interest, trigger: Trigger) {
        if trigger == Trigger::OneShot {
            self.one_shots.arm(key);
        }
        self.remove(key);
        let slot = key.index() as usize;
        if self.places.len() <= slot {
            self.places.resize(slot + 1, NO_ROW);
        }
        self.places[slot] = self.rows.len() as u32;
        self.push(row(descriptor, interest), key);
    }

    fn push(&mut self, row: WSAPOLLFD, key: Key) {
        self.talkative = false;
        self.rows.push(row);
        self.owners.push(Owner {
            key,
            connecting: true,
        });
        self.sets
            .iter_mut()
            .for_each(|set| set.reserve(self.rows.len()));
    }

    /// Takes the key's row out, if it has one: a one-shot that has fired does not.
    fn remove(&mut self, key: Key) {
        let Some(place) = self.places.get_mut(key.index() as usize) else {
            return;
        };
        let hole = std::mem::replace(place, NO_ROW);
        if hole == NO_ROW {
            return;
        }
        self.talkative = false;
        self.rows.swap_remove(hole as usize);
        self.owners.swap_remove(hole as usize);
        if let Some(moved) = self.owners.get(hole as usize) {
            self.places[moved.key.index() as usize] = hole;
        }
    }
}

fn row(descriptor: Descriptor, interest: Interest) -> WSAPOLLFD {
    WSAPOLLFD {
        fd: descriptor as SOCKET,
        events: Flags::asking(interest).askable(),
        revents: 0,
    }
}

/// What `WSAPoll` told of a row, in the crate's terms and without what was not asked for.
fn told(row: WSAPOLLFD) -> Flags {
    let asked = row.events.cast_unsigned();
    let told = row.revents.cast_unsigned();
    let mut flags = told & (asked | Flags::ERROR | Flags::INVALID);
    if told & Flags::ERROR != 0 {
        flags |= Flags::HANG_UP;
    }
    if told & Flags::READ_HANG_UP != 0 && asked & Flags::IN != 0 {
        flags |= Flags::IN | Flags::READ_HANG_UP;
    }
    Flags(flags)
}

/// `WSAPoll`, in whole milliseconds, rounded up. A timeout too long for it ends early, and the selector waits again.
fn poll(rows: &mut [WSAPOLLFD], timeout: Option<Duration>) -> io::Result<usize> {
    let milliseconds = timeout.map_or(-1, |timeout| {
        i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    });
    // SAFETY: the table has as many rows as is said. A number that is no socket is an answer in its row.
    let ready = unsafe { WinSock::WSAPoll(rows.as_mut_ptr(), rows.len() as u32, milliseconds) };
    usize::try_from(ready).map_err(|_| last_error())
}

/// `select`, in whole microseconds, rounded up. Leaves in the sets who is ready, and says how many that are.
fn select(sets: &mut [Set; 3], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| {
        let microseconds = timeout.as_nanos().div_ceil(1_000);
        TIMEVAL {
            tv_sec: i32::try_from(microseconds / 1_000_000).unwrap_or(i32::MAX),
            tv_usec: (microseconds % 1_000_000) as i32,
        }
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    let [input, output, exception] = sets;
    // SAFETY: each set is laid out as the system wants it, or null; the timeout outlives the call. A number that is no
    // socket is an error.
    let ready = unsafe {
        WinSock::select(
            0,
            input.system(),
            output.system(),
            exception.system(),
            timeout,
        )
    };
    if ready == SOCKET_ERROR {
        return Err(last_error());
    }
    Ok(ready as usize)
}

/// The system's set of sockets: how many there are, and then their numbers. The system's own type ends at 64; the call
/// does not, it goes by the count.
#[derive(Default)]
struct Set(Vec<SOCKET>);

// The count is as wide as half a number or a whole one, and stands before the first number like one.
const _: () = assert!(std::mem::offset_of!(FD_SET, fd_array) == size_of::<SOCKET>());
const _: () = assert!(align_of::<FD_SET>() == align_of::<SOCKET>());
const _: () = assert!(cfg!(target_endian = "little"));

impl Set {
    /// Makes room for so many, so that a wait allocates nothing.
    fn reserve(&mut self, sockets: usize) {
        self.0.reserve((sockets + 1).saturating_sub(self.0.len()));
    }

    fn clear(&mut self) {
        self.0.clear();
        self.0.push(0);
    }

    fn push(&mut self, socket: SOCKET) {
        self.0.push(socket);
        self.0[0] += 1;
    }

    /// What the system left in the set.
    fn members(&self) -> &[SOCKET] {
        let count = self.0.first().map_or(0, |count| *count as u32 as usize);
        self.0.get(1..=count).unwrap_or(&[])
    }

    fn sort(&mut self) {
        let count = self.members().len();
        if let Some(members) = self.0.get_mut(1..=count) {
            members.sort_unstable();
        }
    }

    /// Whether the set, which was sorted, has this socket.
    fn contains(&self, socket: SOCKET) -> bool {
        self.members().binary_search(&socket).is_ok()
    }

    /// The set as the system takes it; null if it is empty.
    fn system(&mut self) -> *mut FD_SET {
        if self.members().is_empty() {
            std::ptr::null_mut()
        } else {
            self.0.as_mut_ptr().cast()
        }
    }
}
