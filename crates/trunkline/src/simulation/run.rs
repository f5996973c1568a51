//! One run of a loop in a simulated world: turns, with what must hold after each; rest; and the end.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::{Duration, Instant};

use super::case::{Case, End, Life};
use super::invariants::Invariants;
use super::witness::Witness;
use super::{client, echo, several, wild};
use crate::network::simulated::{Faults, Simulated, World};
use crate::{EventLoop, Handler};

const TURNS_MAX: u32 = 300_000;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Every promise that was broken.
    pub(super) wrong: Vec<String>,
    /// The fingerprint of all that happened.
    pub(super) hash: u64,
}

thread_local! {
    /// Whether this thread's panics are told by what they make fail, and not printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Panics inside a run are told with its outcome; hundreds of them while a case is made smaller would hide it.
fn be_quiet(quiet: bool) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                usual(panic);
            }
        }));
    });
    QUIET.set(quiet);
}

/// Runs `case`. A panic is a failure like any other.
pub(super) fn run(case: &Case) -> Outcome {
    be_quiet(!super::runner::is_replay());
    let outcome = run_case(case);
    be_quiet(false);
    outcome
}

fn run_case(case: &Case) -> Outcome {
    let run = || match case.life {
        Life::Echo => echo::run(case),
        Life::Client => client::run(case),
        Life::Wild => wild::run(case),
        Life::Several => several::run(case),
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome {
            wrong: vec![format!("panic: {}", text.unwrap_or_default())],
            hash: 0,
        }
    })
}

/// A handler that watches what it is told.
pub(super) trait Watching: Handler {
    /// What it found wrong so far.
    fn wrong(&self) -> &[String];
    /// Whether a timer should have come by now.
    fn is_overdue(&self, now: Instant) -> bool;
    /// How many connections are open as far as it knows.
    fn live(&self) -> usize;
}

/// A server loop at work.
pub(super) struct Run<H: Watching> {
    pub(super) world: World,
    pub(super) server: EventLoop<H, Simulated>,
    pub(super) wrong: Vec<String>,
    invariants: Invariants,
    witness: Witness,
    /// From the wish to stop to the end at the latest.
    stop_max: Duration,
}

impl<H: Watching> Run<H> {
    pub(super) fn new(case: &Case, world: World, witness: &Witness, handler: H) -> Self {
        if super::runner::is_replay() {
            world.keep_log();
        }
        let options = case.options();
        let stop_max = options.drain_lag + options.drain;
        let server = EventLoop::over(world.network(), handler, options);
        Self {
            world,
            server,
            wrong: Vec::new(),
            invariants: Invariants::new(case),
            witness: witness.clone(),
            stop_max,
        }
    }

    /// Lives through the case. `rests` is called when everything is at rest, `stops` when the loop is about to drain.
    pub(super) fn live(
        mut self,
        case: &Case,
        calms: impl FnOnce(&mut Self),
        stops: impl FnOnce(&mut Self),
    ) -> Outcome {
        match case.end {
            End::AtRest => {
                self.storm();
                self.calm_down();
                calms(&mut self);
                self.rest();
                if !self.is_wrong() {
                    self.wrong = self.world.check_at_rest();
                }
                stops(&mut self);
                self.stop();
            }
            End::Stop(turns) => {
                self.turns(turns);
                stops(&mut self);
                self.stop();
            }
            End::Kill(turns) => {
                self.turns(turns);
                self.witness.kill_is_asked();
                self.server.remote().kill();
                self.turns(3);
                self.check_end();
            }
        }
        self.outcome()
    }

    /// One turn, and what holds after each. `false` when the loop has ended or failed.
    fn turn(&mut self, wait_max: Duration) -> bool {
        self.witness.turn_begins();
        let goes_on = match self.server.turn(Some(wait_max)) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                self.wrong.push(format!("turn: {error}"));
                false
            }
        };
        if goes_on {
            if self.server.handler().is_overdue(self.world.now()) {
                self.wrong
                    .push("a timer is late by more than a turn".into());
            }
            self.wrong
                .extend(self.invariants.check(&self.world, &self.server));
        }
        self.witness.turn_ends(&self.server);
        self.wrong.extend(self.witness.take_wrong());
        goes_on && !self.is_wrong()
    }

    pub(super) fn turns(&mut self, count: u64) {
        for _ in 0..count {
            if !self.turn(Duration::from_millis(10)) {
                return;
            }
        }
    }

    fn is_wrong(&self) -> bool {
        !(self.wrong.is_empty() && self.server.handler().wrong().is_empty())
    }

    /// A second of trouble.
    fn storm(&mut self) {
        let end = self.world.elapsed() + Duration::from_secs(1);
        for _ in 0..20_000 {
            if self.world.elapsed() > end || !self.turn(Duration::from_millis(100)) {
                return;
            }
        }
    }

    /// Faults stop and room is given: now everything must be delivered.
    fn calm_down(&mut self) {
        self.world.set_faults(Faults::none());
        let mut limits = self.world.limits();
        limits.descriptors = 10_000;
        self.world.set_limits(limits);
    }

    /// Turns until nothing moves any more.
    fn rest(&mut self) {
        // Longer than a listener waits that may take one client a second.
        const STILL: Duration = Duration::from_secs(2);
        let (mut still, mut moved_at) = (0, self.world.elapsed());
        for _ in 0..TURNS_MAX {
            let before = self.moved();
            if !self.turn(Duration::from_secs(1)) {
                return;
            }
            let moves = self.moved() != before || !self.world.is_quiet();
            still = if moves { 0 } else { still + 1 };
            if moves {
                moved_at = self.world.elapsed();
            }
            // Where deadlines tick, turns are short.
            if still > 20 && self.world.elapsed() > moved_at + STILL {
                return;
            }
        }
        self.wrong.push(format!("no rest after {TURNS_MAX} turns"));
    }

    fn moved(&self) -> [u64; 5] {
        let stats = self.server.stats();
        [
            stats.bytes_in,
            stats.bytes_out,
            stats.frames_in,
            stats.accepted,
            stats.closed,
        ]
    }

    /// How long the world has lived, but for its leaps.
    fn waking_time(&self) -> Duration {
        self.world.elapsed().saturating_sub(self.world.leapt())
    }

    /// Drains the loop, and checks that nothing is left of it.
    fn stop(&mut self) {
        if self.is_wrong() {
            return;
        }
        let began = self.waking_time();
        self.witness.stop_is_asked(&self.server);
        self.server.remote().stop();
        let mut turns = 0;
        while self.turn(Duration::from_secs(1)) {
            turns += 1;
            let took = self.waking_time().saturating_sub(began);
            if turns > TURNS_MAX || took > self.stop_max + Duration::from_secs(10) {
                self.wrong
                    .push(format!("still draining after {turns} turns, {took:?}"));
                return;
            }
        }
        let took = self.waking_time().saturating_sub(began);
        // A wait may oversleep, and the last one counts.
        if took > self.stop_max + Duration::from_secs(2) {
            self.wrong.push(format!("the drain took {took:?}"));
        }
        self.check_end();
    }

    /// Nothing is left of a loop that has ended.
    fn check_end(&mut self) {
        if self.is_wrong() {
            return;
        }
        match self.server.turn(Some(Duration::ZERO)) {
            Ok(false) => {}
            other => self
                .wrong
                .push(format!("the loop has not ended: {other:?}")),
        }
        let (live, open) = (self.server.handler().live(), self.world.open_streams());
        if live > 0 {
            self.wrong
                .push(format!("{live} connections were never closed"));
        }
        if open > 0 {
            self.wrong.push(format!("{open} descriptors leaked"));
        }
        let stats = self.server.stats();
        if stats.open > 0 {
            self.wrong.push(format!("{stats:?} after the end"));
        }
    }

    fn outcome(self) -> Outcome {
        // Empty unless a single case is replayed.
        for line in self.world.log() {
            println!("{line}");
        }
        let mut wrong = self.wrong;
        wrong.extend_from_slice(self.server.handler().wrong());
        wrong.extend(self.world.violations());
        Outcome {
            wrong,
            hash: self.world.trace_hash(),
        }
    }
}
