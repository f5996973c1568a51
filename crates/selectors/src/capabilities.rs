//! In what the mechanisms differ for their user.

use crate::backend;
use crate::interest::Trigger;
use crate::mechanism::Mechanism;

/// Everything in which one mechanism differs from another for its user, but for what it costs. What is not in here is
/// the same on all of them, and tested to be.
///
/// From [`Mechanism::capabilities`]; of a mechanism that does not work here, it is what it offers elsewhere.
///
/// ```
/// use trunkline_selectors::{Mechanism, Trigger};
///
/// // The cheapest trigger there is for a server's connections:
/// let capabilities = Mechanism::best().capabilities();
/// let trigger = if capabilities.supports(Trigger::Edge) { Trigger::Edge } else { Trigger::Level };
/// # let _ = trigger;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
#[non_exhaustive]
pub struct Capabilities {
    /// [`Trigger::Level`].
    pub level: Support,
    /// [`Trigger::Edge`].
    pub edge: Support,
    /// [`Trigger::OneShot`].
    pub one_shot: Support,
    /// [`Trigger::Exclusive`].
    pub exclusive: Support,
    /// An edge tells all that holds at the wait, as level trigger does, and it is not told if nothing does any more.
    /// Otherwise it tells what changed, as it was then: it need not be all that holds, and somebody may have taken it
    /// since.
    pub edge_tells_state: bool,
    /// With level and one-shot trigger an event tells what holds at the wait: all of it, and nothing else. Otherwise that
    /// is so for a source that was ready when it was asked about, which is by the first wait after it was registered,
    /// modified or (level) reported. One that becomes ready later is reported with what made it so. If its owner has
    /// read or written it since, without having been told to, the report is stale, once; and what came after the first
    /// news is told by the next wait, or (one-shot) when it is armed again. Who reads and writes only what is reported
    /// seldom sees a stale report, but may: a peer makes its bytes visible a moment before it wakes who waits for them, and
    /// when they have been reported and read in between, the wake-up finds the request that was made after that.
    pub level_tells_state: bool,
    /// A wait keeps its timeout to the nanosecond; otherwise it is rounded up, to a millisecond at most. Tried where it
    /// depends on the kernel.
    pub nanosecond_timeouts: bool,
    /// A source registered for [`Interest::PRIORITY`](crate::Interest::PRIORITY) alone wakes for an error.
    pub error_with_priority_alone: bool,
    /// A source registered for [`Interest::WRITE`](crate::Interest::WRITE), and not for
    /// [`READ`](crate::Interest::READ), wakes for a hang-up even if it has no room for output.
    pub hang_up_with_write_alone: bool,
    /// [`Interest::PRIORITY`](crate::Interest::PRIORITY) can be asked for. Otherwise that is an error.
    pub priority: bool,
    /// The peer's half-close is told as [`READ_CLOSED`](crate::Readiness::READ_CLOSED). Otherwise it is told as
    /// readable, and a read gives the end.
    pub half_close: bool,
    /// The end of input is told while input before it has yet to be read. Otherwise it may be told only after that.
    pub end_beside_data: bool,
    /// A source that was closed behind the selector's back is reported as
    /// [`INVALID`](crate::Readiness::INVALID) at the next wait. Otherwise it falls silent, and is reported as invalid
    /// when its interest is next changed; a regular file, which `epoll` does not watch, is called ready until then. (On
    /// `io_uring`, which holds open what it waits for, "the next wait" is the next one that asks about it: after it was
    /// registered, modified or reported with level trigger.)
    pub reports_closed_sources: bool,
    /// Registering a source that was closed behind the selector's back is an error. Otherwise it is reported as
    /// [`INVALID`](crate::Readiness::INVALID) by the next wait, and no system call is made to find out.
    pub refuses_closed_sources: bool,
    /// When [`unregister`](crate::Selector::unregister) returns, the system has let go of the source, and closing it
    /// closes it. Otherwise the system holds the open file, and with it the connection, the end of the pipe or the
    /// address of the listener, until the next wait, the next [`apply`](crate::Selector::apply) or the selector's end: a
    /// thousand files at most, and none that neither has seen. No event comes of it. With a selector that is used or
    /// dropped by another thread than before, it may be a moment later.
    pub lets_go_at_once: bool,
    /// What is watched is the open file, not whatever has its descriptor's number: the next owner of the number of a
    /// source that was closed behind the selector's back is not mistaken for it. Only what is watched can be told apart: a
    /// source without interest, or a regular file on `epoll`, is known by its number alone.
    pub watches_files: bool,
    /// Behind the [raw door](crate::raw): what never blocks, such as a regular file, can be registered, and is always
    /// ready. Otherwise it is refused with "operation not permitted"; a [`Selector`](crate::Selector) steps in for the
    /// kernel there.
    pub regular_files: bool,
    /// Behind the [raw door](crate::raw): several threads may wait for the same descriptors at once.
    pub several_waiters: bool,
}

/// Who does the work of something that not every kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Support {
    /// The kernel.
    Kernel,
    /// This crate, on top of what the kernel has. What one sees is the same.
    Emulated,
    /// Nobody: asking for it is an error.
    None,
}

impl Capabilities {
    pub(crate) fn of(mechanism: Mechanism) -> Capabilities {
        // The sets of `select` have no place for an error or a hang-up by itself.
        let sets = mechanism == Mechanism::Select;
        // Nor has the filter for priority input.
        let filters = mechanism == Mechanism::Kqueue;
        // A request is answered by what wakes it, and holds its file until the kernel hears that it is cancelled.
        let requests = mechanism == Mechanism::IoUring;
        // Only who hands over numbers anew at every wait shows the kernel a number that is not open.
        let numbers = matches!(
            mechanism,
            Mechanism::IoUring | Mechanism::Poll | Mechanism::Select
        );
        Capabilities {
            level: mechanism.support(Trigger::Level),
            edge: mechanism.support(Trigger::Edge),
            one_shot: mechanism.support(Trigger::OneShot),
            exclusive: mechanism.support(Trigger::Exclusive),
            edge_tells_state: !filters && !requests,
            level_tells_state: !requests,
            nanosecond_timeouts: backend::takes_nanoseconds(mechanism),
            error_with_priority_alone: !sets && !filters,
            hang_up_with_write_alone: !sets && backend::TELLS_HANG_UP,
            priority: backend::tells_priority(mechanism),
            half_close: backend::tells_half_close(mechanism),
            end_beside_data: backend::TELLS_END_BESIDE_DATA,
            reports_closed_sources: numbers,
            refuses_closed_sources: !requests,
            lets_go_at_once: !requests,
            watches_files: !numbers,
            regular_files: mechanism != Mechanism::Epoll,
            several_waiters: mechanism == Mechanism::Epoll,
        }
    }

    /// Who does the work of this trigger.
    pub const fn support(&self, trigger: Trigger) -> Support {
        match trigger {
            Trigger::Level => self.level,
            Trigger::Edge => self.edge,
            Trigger::OneShot => self.one_shot,
            Trigger::Exclusive => self.exclusive,
        }
    }

    /// Whether sources can be registered with this trigger.
    pub fn supports(&self, trigger: Trigger) -> bool {
        self.support(trigger) != Support::None
    }
}
