//! The two queues of a ring, in memory that the kernel sees too: one side fills a queue and moves its tail, the other
//! empties it and moves its head. What is ours to move is known here without looking, which is most of what a turn
//! would otherwise do.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::io_uring::{
    IORING_OFF_SQ_RING, IORING_OFF_SQES, IoringFeatureFlags, IoringRegisterOp, IoringSetupFlags,
    io_uring_params, io_uring_register, io_uring_setup,
};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

pub(super) struct Queues {
    // Pointers into the mappings below. The heads and tails that are ours to move are here, and a copy is there.
    requests: NonNull<Request>,
    requests_head: NonNull<AtomicU32>,
    requests_tail: NonNull<AtomicU32>,
    state: NonNull<AtomicU32>,
    answers: NonNull<Answer>,
    answers_head: NonNull<AtomicU32>,
    answers_tail: NonNull<AtomicU32>,
    requests_mask: u32,
    answers_mask: u32,
    /// Where the next request goes.
    tail: u32,
    /// Requests that have been added and not been handed over.
    pending: u32,
    /// Where the next answer is.
    head: u32,
    features: IoringFeatureFlags,
    ring: OwnedFd,
    _memory: [Mapping; 2],
}

// SAFETY: the pointers lead to mappings that this owns, which any thread may use, one at a time: nothing here can be
// called by two threads at once without `&mut`, but for reading the atomic numbers.
unsafe impl Send for Queues {}

/// `struct io_uring_sqe`, as far as polls use it; what they do not use is and stays zero.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    opcode: u8,
    flags: u8,
    priority: u16,
    descriptor: RawFd,
    offset: u64,
    address: Name,
    length: u32,
    poll_flags: u32,
    name: Name,
    rest: [u64; 3],
}

/// What a request is called by, and its answers: a number of 64 bits to the kernel, which only compares it, and two
/// numbers here.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) slot: u32,
    pub(super) sequence: u32,
}

/// `struct io_uring_cqe`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// Of the request.
    pub(super) name: Name,
    /// What came of it, or a negative error.
    pub(super) result: i32,
    flags: u32,
}

/// What is in each queue is named here as in the kernel's `io_uring.h`.
const POLL_ADD: u8 = 6;
const POLL_REMOVE: u8 = 7;
const POLL_ADD_MULTI: u32 = 1 << 0;
const CQE_SKIP_SUCCESS: u8 = 1 << 6;
const CQE_F_MORE: u32 = 1 << 1;
const CQ_OVERFLOW: u32 = 1 << 1;
const TASKRUN: u32 = 1 << 2;
const OP_SUPPORTED: u8 = 1 << 0;

impl Queues {
    /// A ring with room for so many requests, a power of two, and answers.
    pub(super) fn new(flags: IoringSetupFlags, requests: u32, answers: u32) -> io::Result<Queues> {
        let mut parameters = io_uring_params::default();
        parameters.flags = flags | IoringSetupFlags::CQSIZE;
        parameters.cq_entries = answers;
        // SAFETY: no other ring is named by the parameters.
        let ring = unsafe { io_uring_setup(requests, &mut parameters) }?;
        let features = parameters.features;
        if !features.contains(IoringFeatureFlags::SINGLE_MMAP) {
            // Before Linux 5.4. It is refused a little later anyway, for what else it lacks.
            return Err(io::ErrorKind::Unsupported.into());
        }
        let (sq, cq) = (parameters.sq_off, parameters.cq_off);
        let (sq_entries, cq_entries) = (parameters.sq_entries, parameters.cq_entries);
        let array_end = sq.array as usize + sq_entries as usize * size_of::<u32>();
        let answers_end = cq.cqes as usize + cq_entries as usize * size_of::<Answer>();
        let queues = Mapping::new(&ring, IORING_OFF_SQ_RING, array_end.max(answers_end))?;
        let room = sq_entries as usize * size_of::<Request>();
        let requests = Mapping::new(&ring, IORING_OFF_SQES, room)?;
        // SAFETY: the kernel gave these offsets for these mappings, and the array has as many places as there are requests.
        // Nobody else writes there before the ring is entered.
        unsafe {
            if !flags.contains(IoringSetupFlags::NO_SQARRAY) {
                // The kernel would have requests in any order. They are handed over in theirs.
                let array = queues.at::<u32>(sq.array);
                for place in 0..sq_entries {
                    array.add(place as usize).write(place);
                }
            }
            Ok(Queues {
                requests: requests.at(0),
                requests_head: queues.at(sq.head),
                requests_tail: queues.at(sq.tail),
                state: queues.at(sq.flags),
                answers: queues.at(cq.cqes),
                answers_head: queues.at(cq.head),
                answers_tail: queues.at(cq.tail),
                requests_mask: sq_entries - 1,
                answers_mask: cq_entries - 1,
                tail: 0,
                pending: 0,
                head: 0,
                features,
                ring,
                _memory: [queues, requests],
            })
        }
    }

    #[inline(always)]
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    pub(super) fn features(&self) -> IoringFeatureFlags {
        self.features
    }

    /// How many requests there is room for.
    #[inline(always)]
    pub(super) fn room(&self) -> u32 {
        self.requests_mask + 1 - self.pending
    }

    /// A place to put requests, and how many there is room for.
    #[inline(always)]
    pub(super) fn requests(&mut self) -> Requests<'_> {
        Requests {
            tail: self.tail,
            end: self.tail.wrapping_add(self.room()),
            queues: self,
        }
    }

    /// How many requests have been added and not been handed over.
    #[inline(always)]
    pub(super) fn pending(&self) -> u32 {
        self.pending
    }

    /// Sees how many requests a call has taken: all, unless something goes wrong.
    #[inline(always)]
    pub(super) fn note_handed_over(&mut self) {
        // SAFETY: it is in the mapping.
        let head = unsafe { self.requests_head.as_ref() }.load(Ordering::Acquire);
        self.pending = self.tail.wrapping_sub(head);
    }

    /// Whether the kernel may have more answers than are in the queue.
    #[inline(always)]
    pub(super) fn may_have_more(&self) -> bool {
        // SAFETY: it is in the mapping.
        let state = unsafe { self.state.as_ref() }.load(Ordering::Acquire);
        state & (TASKRUN | CQ_OVERFLOW) != 0
    }

    #[inline(always)]
    fn answers_tail(&self) -> u32 {
        // SAFETY: it is in the mapping.
        unsafe { self.answers_tail.as_ref() }.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(super) fn has_answers(&self) -> bool {
        self.answers_tail() != self.head
    }

    /// The answer that has not been taken, if there is exactly one and the kernel has no more. It stays.
    #[inline(always)]
    pub(super) fn only_answer(&self) -> Option<Answer> {
        let is_only = self.answers_tail().wrapping_sub(self.head) == 1 && !self.may_have_more();
        is_only.then(|| self.answer(self.head))
    }

    /// Takes the answer that [`only_answer`](Queues::only_answer) gave.
    #[inline(always)]
    pub(super) fn take_answer(&mut self) {
        self.let_go_of_answers(self.head.wrapping_add(1));
    }

    /// The answer at a place between the head and the tail.
    #[inline(always)]
    fn answer(&self, place: u32) -> Answer {
        let place = (place & self.answers_mask) as usize;
        // SAFETY: the mask keeps the place within the queue, and the kernel, which has moved the tail past it, does not
        // write there again before the head has moved.
        let answer = unsafe { self.answers.add(place).as_ref() };
        // One by one, for they go their own ways.
        Answer {
            name: answer.name,
            result: answer.result,
            flags: answer.flags,
        }
    }

    /// Lets the kernel fill the places before this one again.
    #[inline(always)]
    fn let_go_of_answers(&mut self, head: u32) {
        self.head = head;
        // SAFETY: it is in the mapping.
        unsafe { self.answers_head.as_ref() }.store(head, Ordering::Release);
    }

    /// The answers that have not been taken. Those that are not taken from this either stay.
    #[inline(always)]
    pub(super) fn answers(&mut self) -> Answers<'_> {
        Answers {
            head: self.head,
            tail: self.answers_tail(),
            queues: self,
        }
    }

    /// Lets a ring be entered that was made disabled.
    pub(super) fn enable(&self) -> Result<(), Errno> {
        // SAFETY: this takes no argument.
        let enabled = unsafe {
            io_uring_register(
                &self.ring,
                IoringRegisterOp::RegisterEnableRings,
                std::ptr::null(),
                0,
            )
        };
        enabled.map(drop)
    }

    /// Why the requests that are made here cannot be made, if so.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        /// `struct io_uring_probe` with an entry for each request there could be.
        const HEAD: usize = 16;
        const ENTRY: usize = 8;
        const ENTRIES: u32 = 256;
        let mut probe = [0_u64; (HEAD + ENTRY * ENTRIES as usize) / 8];
        let operation = IoringRegisterOp::RegisterProbe;
        let pointer = std::ptr::from_mut(&mut probe).cast::<c_void>();
        // SAFETY: there is room for as many entries, and the kernel writes no more.
        if unsafe { io_uring_register(&self.ring, operation, pointer, ENTRIES) }.is_err() {
            return Some("cannot be asked what it can do (Linux 5.6 can)");
        }
        let is_supported = |opcode: u8| {
            // The number, nothing, flags (of which all that are known are in the first byte), nothing.
            let entry = probe[HEAD / 8 + usize::from(opcode)].to_ne_bytes();
            let flags = u16::from_ne_bytes([entry[2], entry[3]]);
            flags & u16::from(OP_SUPPORTED) != 0
        };
        if !is_supported(POLL_ADD) {
            return Some("has no poll request");
        }
        (!is_supported(POLL_REMOVE)).then_some("has no request to cancel a poll")
    }
}

impl Name {
    const NONE: Name = Name {
        slot: 0,
        sequence: 0,
    };
}

impl Request {
    const EMPTY: Request = Request {
        opcode: 0,
        flags: 0,
        priority: 0,
        descriptor: 0,
        offset: 0,
        address: Name::NONE,
        length: 0,
        poll_flags: 0,
        name: Name::NONE,
        rest: [0; 3],
    };
}

impl Answer {
    /// Whether the request will have more of them.
    #[inline(always)]
    pub(super) fn has_more(&self) -> bool {
        self.flags & CQE_F_MORE != 0
    }
}

/// Takes requests, which the kernel sees when this is dropped.
pub(super) struct Requests<'a> {
    queues: &'a mut Queues,
    tail: u32,
    end: u32,
}

impl Requests<'_> {
    /// Adds a request to watch a descriptor, once or (`multishot`) until it is cancelled. False if there is no room.
    #[inline(always)]
    pub(super) fn watch(
        &mut self,
        descriptor: RawFd,
        flags: u32,
        multishot: bool,
        name: Name,
    ) -> bool {
        // The kernel swaps the halves of this word where their order in memory is the other one.
        let poll_flags = if cfg!(target_endian = "big") {
            flags.rotate_left(16)
        } else {
            flags
        };
        self.push(Request {
            opcode: POLL_ADD,
            descriptor,
            length: u32::from(multishot) * POLL_ADD_MULTI,
            poll_flags,
            name,
            ..Request::EMPTY
        })
    }

    /// Adds a request to cancel the one of that `name`, silently if it succeeds. False if there is no room.
    #[inline(always)]
    pub(super) fn cancel(&mut self, name: Name, own_name: Name) -> bool {
        // Not the request to cancel anything: that one looks everywhere, and costs twice as much.
        self.push(Request {
            opcode: POLL_REMOVE,
            flags: CQE_SKIP_SUCCESS,
            address: name,
            name: own_name,
            ..Request::EMPTY
        })
    }

    #[inline(always)]
    fn push(&mut self, request: Request) -> bool {
        if self.tail == self.end {
            return false;
        }
        let place = (self.tail & self.queues.requests_mask) as usize;
        // SAFETY: the mask keeps the place within the queue, and the kernel does not read there before the tail has
        // moved past it: fewer are pending than there are places. The requests hold no pointer to anything.
        unsafe {
            let place = self.queues.requests.add(place).as_ptr();
            (*place).opcode = request.opcode;
            (*place).flags = request.flags;
            (*place).descriptor = request.descriptor;
            (*place).address = request.address;
            (*place).length = request.length;
            (*place).poll_flags = request.poll_flags;
            (*place).name = request.name;
        }
        self.tail = self.tail.wrapping_add(1);
        true
    }
}

impl Drop for Requests<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let queues = &mut *self.queues;
        queues.pending += self.tail.wrapping_sub(queues.tail);
        queues.tail = self.tail;
        // SAFETY: it is in the mapping.
        unsafe { queues.requests_tail.as_ref() }.store(self.tail, Ordering::Release);
    }
}

/// Gives the answers, whose places the kernel may fill again when this is dropped.
pub(super) struct Answers<'a> {
    queues: &'a mut Queues,
    head: u32,
    tail: u32,
}

impl Iterator for Answers<'_> {
    type Item = Answer;

    #[inline(always)]
    fn next(&mut self) -> Option<Answer> {
        if self.head == self.tail {
            return None;
        }
        let answer = self.queues.answer(self.head);
        self.head = self.head.wrapping_add(1);
        Some(answer)
    }
}

impl Drop for Answers<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.queues.let_go_of_answers(self.head);
    }
}

/// Memory of the ring, as long as this lives.
struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

impl Mapping {
    fn new(ring: &OwnedFd, offset: u64, length: usize) -> io::Result<Mapping> {
        // SAFETY: this is new memory, at an address that the kernel chooses.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                ring,
                offset,
            )
        }?;
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Mapping { start, length };
        // A child process has no business with it, and must not change it.
        // SAFETY: this changes nothing in this process.
        unsafe { madvise(start.as_ptr(), length, Advice::LinuxDontFork) }?;
        Ok(mapping)
    }

    /// # Safety
    ///
    /// The kernel must have said that there is such a thing at this offset.
    unsafe fn at<T>(&self, offset: u32) -> NonNull<T> {
        // SAFETY: the caller says that it is within the mapping.
        unsafe { self.start.byte_add(offset as usize) }.cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nobody has a pointer into it who outlives it. That it fails is not to be expected, and would only
        // leave the memory.
        let _ = unsafe { munmap(self.start.as_ptr(), self.length) };
    }
}
