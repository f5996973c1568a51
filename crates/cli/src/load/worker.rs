//! One thread: makes its connections, waits for the start, drives them to the end.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use trunkline::network::kernel::Kernel;
use trunkline::{Error, EventLoop, Operation, Options, Remote, Stats};

use super::driver::{Driver, Word};
use super::pace::{Schedule, nanoseconds};
use super::plan::Plan;
use super::record::Record;

/// How long a thread may wait before it looks whether the time is up or somebody has interrupted.
pub(crate) const LOOK_AROUND: Duration = Duration::from_millis(20);
/// Connections being made at once, over all threads: servers' backlogs are finite, and what does not fit costs a second.
const PENDING_MAX: usize = 128;
/// Connections that have nothing under way are closed in order within this.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a thread is given.
pub(crate) struct Task {
    pub(crate) index: usize,
    pub(crate) plan: Plan,
    /// This thread's connections.
    pub(crate) connections: usize,
    pub(crate) progress: Arc<Progress>,
    pub(crate) interrupted: Arc<AtomicBool>,
    pub(crate) reports: Sender<Report>,
}

/// What others may see while a thread works.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) connected: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// What a thread says.
pub(crate) enum Report {
    /// Every connection is made, or one could not be.
    Ready {
        index: usize,
        made: usize,
        outcome: Result<Remote<Word>, Error>,
    },
    Done(Result<Box<Part>, Error>),
}

/// What a thread has measured.
pub(crate) struct Part {
    pub(crate) record: Record,
    pub(crate) first_loss: Option<String>,
    /// How long it sent, in nanoseconds, without the warm-up.
    pub(crate) sending: u64,
    pub(crate) effort: Effort,
    pub(crate) stats: Stats,
}

/// What the load cost the thread, from the start to the end of the run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Effort {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Ready to go on, but another had the processor. Linux alone knows.
    pub(crate) kept_waiting: Option<Duration>,
}

/// Does all of a thread's work.
pub(crate) fn work(task: Task) {
    let reports = task.reports.clone();
    // Nobody listens any more when the coordinator has failed.
    if let Some(result) = connect_and_drive(task) {
        let _ = reports.send(Report::Done(result));
    }
}

/// `None` when the run never began.
fn connect_and_drive(task: Task) -> Option<Result<Box<Part>, Error>> {
    // A timer may be late by the thread's slack, 50 µs unless set otherwise; that would be our own noise.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let index = task.index;
    let mut work = match Work::new(task) {
        Ok(work) => work,
        Err((reports, error)) => {
            let _ = reports.send(Report::Ready {
                index,
                made: 0,
                outcome: Err(error),
            });
            return None;
        }
    };
    let outcome = work.connect();
    let failed = outcome.is_err();
    let made = work.client.handler().made();
    let outcome = outcome.map(|()| work.client.remote());
    let _ = work.task.reports.send(Report::Ready {
        index,
        made,
        outcome,
    });
    if failed {
        return None;
    }
    Some(work.drive())
}

struct Work {
    task: Task,
    client: EventLoop<Driver>,
}

impl Work {
    fn new(task: Task) -> Result<Self, (Sender<Report>, Error)> {
        let made = task
            .plan
            .mechanism
            .map_or_else(Kernel::new, Kernel::with_mechanism);
        let kernel = match made {
            Ok(kernel) => kernel.with_sources(task.plan.sources.clone()),
            Err(error) => return Err((task.reports, Error::new(Operation::Start, None, error))),
        };
        let options = options(&task.plan);
        let client = EventLoop::over(kernel, Driver::new(task.plan.clone()), options);
        Ok(Self { task, client })
    }

    /// Makes every connection, at most so many at once, and at the rate that was asked for.
    fn connect(&mut self) -> Result<(), Error> {
        let plan = self.task.plan.clone();
        let pending_max = (PENDING_MAX / plan.threads).max(1);
        let threads = plan.threads as u64;
        let schedule = plan
            .connect_rate
            .map(|rate| Schedule::new(rate, threads, u64::MAX));
        let begin = Instant::now();
        let mut asked = 0;
        loop {
            let made = self.client.handler().made();
            self.task
                .progress
                .connected
                .store(made as u64, Ordering::Relaxed);
            if made == self.task.connections {
                return Ok(());
            }
            let mut wait = LOOK_AROUND;
            while asked < self.task.connections && asked - made < pending_max {
                let due = schedule.map_or(0, |schedule| {
                    schedule.due(self.task.index as u64, asked as u64)
                });
                let early = due.saturating_sub(nanoseconds(begin.elapsed()));
                if early > 0 {
                    wait = wait.min(Duration::from_nanos(early));
                    break;
                }
                self.client.connect_any(&plan.addresses);
                asked += 1;
            }
            self.client.turn(Some(wait))?;
            if let Some(error) = self.client.handler_mut().connect_error.take() {
                return Err(error);
            }
            if self.interrupted() {
                return Ok(());
            }
        }
    }

    /// Waits for the start, and turns until all is done.
    fn drive(mut self) -> Result<Box<Part>, Error> {
        let mut begin = None;
        let mut driving = true;
        while driving {
            driving = self.client.turn(None)?;
            let driver = self.client.handler();
            if begin.is_none() && driver.has_begun() {
                begin = Some((Instant::now(), Effort::spent()));
            }
            let counts = &driver.record.counts;
            self.task
                .progress
                .sent
                .store(counts.sent, Ordering::Relaxed);
            self.task
                .progress
                .answered
                .store(counts.answered, Ordering::Relaxed);
            self.task
                .progress
                .lost
                .store(counts.lost, Ordering::Relaxed);
            if driver.is_done() {
                break;
            }
            if self.interrupted() {
                self.client.handler_mut().interrupt();
            }
        }
        let effort = begin.map(|(at, before)| Effort::spent().since(before, at.elapsed()));
        let (sending, under_way) = self.client.handler_mut().finish();
        // In order where nothing is under way; a reset, which leaves no trace in the kernel, for the others.
        let remote = self.client.remote();
        if under_way {
            remote.kill();
        } else {
            remote.stop();
        }
        let (driver, stats) = self.client.run()?;
        Ok(Box::new(Part {
            record: driver.record,
            first_loss: driver.first_loss,
            sending,
            effort: effort.unwrap_or_default(),
            stats,
        }))
    }

    fn interrupted(&self) -> bool {
        self.task.interrupted.load(Ordering::Relaxed)
    }
}

fn options(plan: &Plan) -> Options {
    let options = Options::default();
    let depth = match plan.pace {
        super::pace::Pace::Closed { depth } => usize::try_from(depth).unwrap_or(usize::MAX),
        super::pace::Pace::Open(_) => 1,
    };
    // Never reached: with a schedule nothing is added above the high watermark, and without one no more is under way.
    let most = plan.message_bytes.saturating_mul(depth.saturating_add(1));
    Options {
        hard_limit_bytes: options.high_watermark_bytes.saturating_add(most),
        drain: GOODBYE,
        linger: GOODBYE,
        ..options
    }
}

impl Effort {
    /// Of this thread since it began.
    fn spent() -> Self {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        // proc(5): the second number is the time spent waiting on a run queue, in nanoseconds.
        let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let waited = schedule.and_then(|numbers| numbers.split(' ').nth(1)?.parse().ok());
        Self {
            wall: Duration::ZERO,
            cpu: Duration::try_from(time).unwrap_or_default(),
            kept_waiting: waited.map(Duration::from_nanos),
        }
    }

    fn since(self, before: Self, wall: Duration) -> Self {
        Self {
            wall,
            cpu: self.cpu.saturating_sub(before.cpu),
            kept_waiting: self
                .kept_waiting
                .zip(before.kept_waiting)
                .map(|(now, then)| now.saturating_sub(then)),
        }
    }

    /// The share of the time in which it worked, or would have if it had been let.
    pub(crate) fn busy(&self) -> f64 {
        let busy = self.cpu + self.kept_waiting.unwrap_or_default();
        if self.wall.is_zero() {
            0.0
        } else {
            (busy.as_secs_f64() / self.wall.as_secs_f64()).min(1.0)
        }
    }
}
