//! The life of a server of several loops, with one acceptor that gives each client to the loop that has the fewest. All loops
//! turn on one thread, in an order that chance decides anew each round; time passes only when none of them has anything to do.
//! So a seed gives the same run again, which threads would not. What is left out with the threads is what only they can do
//! wrong: orders of memory, and waking a wait that has begun.
//!
//! Clients check every byte. The loops send each other numbered notes, and leave some answers to a worker (a stand-in for the
//! pool: a message that comes later).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::case::{Case, End};
use super::echo;
use super::invariants::Invariants;
use super::run::Outcome;
use super::witness::Witness;
use crate::connection::Role;
use crate::limits::Gate;
use crate::network::simulated::{Faults, Random, Simulated, World};
use crate::threads::{Nobody, to_the_least_loaded};
use crate::{EventLoop, Options, Remote};

mod member;

use member::{Job, Note, Several, Shared};

/// Rounds without a step forward, after which time passes all the same.
const EMPTY_ROUNDS_MAX: u32 = 50;
const ROUNDS_MAX: u32 = 300_000;

/// One of the loops that serve.
struct Member {
    server: EventLoop<Several, Simulated>,
    witness: Witness,
    invariants: Invariants,
    ended: bool,
}

/// What was handed over: to how many, and what was wrong with it.
#[derive(Default)]
struct HandedOver {
    count: u64,
    wrong: Vec<String>,
}

struct Driver {
    world: World,
    random: Random,
    acceptor: EventLoop<Nobody, Simulated>,
    acceptor_ended: bool,
    members: Vec<Member>,
    remotes: Vec<Remote<Note>>,
    gate: Arc<Gate>,
    shared: Rc<RefCell<Shared>>,
    handed: Arc<Mutex<HandedOver>>,
    connections_max: usize,
    per_peer_max: usize,
    empty_rounds: u32,
    wrong: Vec<String>,
}

/// What goes wrong in this life.
pub(super) fn run(case: &Case) -> Outcome {
    let world = World::new(case.config());
    if super::runner::is_replay() {
        world.keep_log();
    }
    let mut driver = Driver::new(case, world);
    let (place, address) = echo::door(&driver.world, case);
    match driver.acceptor.listen_on(&place) {
        Ok(_) => {
            for plan in &case.plans {
                echo::seat(&driver.world, address, plan, case);
            }
        }
        Err(error) => driver.wrong.push(format!("listen: {error}")),
    }
    driver.live(case);
    for line in driver.world.log() {
        println!("{line}");
    }
    let mut wrong = driver.wrong;
    wrong.extend(driver.world.violations());
    Outcome {
        wrong,
        hash: driver.world.trace_hash(),
    }
}

impl Driver {
    fn new(case: &Case, world: World) -> Self {
        let options = Options {
            // The gate counts for all, as it does for threads.
            connections_max: usize::MAX,
            ..case.options()
        };
        let gate = Arc::new(Gate::new(case.options().connections_max, &options.limits));
        let shared = Rc::<RefCell<Shared>>::default();
        let remotes = Rc::<RefCell<Vec<Remote<Note>>>>::default();
        // The acceptor keeps the pace, so that no loop is to be held to it.
        let mut of_loop = case.clone();
        of_loop.settings.accept_rate = 0;
        of_loop.settings.connections_max = u64::MAX;
        // When the acceptor drains, it gives away all that wait at once.
        of_loop.settings.accept_budget = u64::from(u32::MAX);
        let mut members = Vec::new();
        for index in 0..case.settings.loops.max(1) as usize {
            let network = world.network();
            let witness = Witness::of_network(&of_loop, &world, network.number());
            let handler = Several {
                index,
                frame_max: case.settings.frame_max as usize,
                random: Random::new(case.seed ^ 0x5e7e ^ (index as u64) << 32),
                world: world.clone(),
                shared: Rc::clone(&shared),
                remotes: Rc::clone(&remotes),
                live: BTreeSet::new(),
                witness: witness.clone(),
            };
            let mut server = EventLoop::over(network, handler, options.clone());
            server.share_gate(Arc::clone(&gate));
            remotes.borrow_mut().push(server.remote());
            members.push(Member {
                server,
                witness,
                invariants: Invariants::new(&of_loop),
                ended: false,
            });
        }
        let all: Arc<[_]> = remotes.borrow().iter().cloned().collect();
        let handed = Arc::<Mutex<HandedOver>>::default();
        let mut acceptor = EventLoop::over(world.network(), Nobody, options.clone());
        acceptor.share_gate(Arc::clone(&gate));
        acceptor.feed(watched_feed(all, &gate, &handed));
        let remotes = remotes.borrow().clone();
        Self {
            random: Random::new(case.seed ^ 0xd417),
            world,
            acceptor,
            acceptor_ended: false,
            members,
            remotes,
            gate,
            shared,
            handed,
            connections_max: case.options().connections_max,
            per_peer_max: options.limits.per_peer_max.unwrap_or(usize::MAX),
            empty_rounds: 0,
            wrong: Vec::new(),
        }
    }

    fn live(&mut self, case: &Case) {
        match case.end {
            End::AtRest => {
                let end = self.world.elapsed() + Duration::from_secs(1);
                for _ in 0..20_000 {
                    if self.world.elapsed() > end || !self.round() {
                        break;
                    }
                }
                self.calm_down();
                self.rest();
                self.stop();
            }
            End::Stop(rounds) => {
                self.rounds(rounds);
                self.stop();
            }
            End::Kill(rounds) => {
                self.rounds(rounds);
                for member in &self.members {
                    member.witness.kill_is_asked();
                    member.server.remote().kill();
                }
                self.acceptor.remote().kill();
                self.rounds(20);
                self.check_end(true);
            }
        }
    }

    fn rounds(&mut self, count: u64) {
        for _ in 0..count {
            if !self.round() {
                return;
            }
        }
    }

    /// Each loop has a turn; then time passes, if there was nothing to do. `false` when something is wrong or all have ended.
    fn round(&mut self) -> bool {
        let before = self.world.progress();
        let mut order: Vec<_> = (0..=self.members.len()).collect();
        self.random.shuffle(&mut order);
        for index in order {
            if index == self.members.len() {
                self.turn_acceptor();
            } else {
                self.turn(index);
            }
        }
        self.work();
        self.check_limits();
        let asked = |member: &Member| !member.ended && member.server.core().asked;
        let woken = |member: &Member| !member.ended && member.server.network().is_woken();
        let busy = self
            .members
            .iter()
            .any(|member| asked(member) || woken(member))
            || !self.acceptor_ended
                && (self.acceptor.core().asked || self.acceptor.network().is_woken())
            || self.world.progress() != before;
        self.empty_rounds = if busy { self.empty_rounds + 1 } else { 0 };
        if !busy || self.empty_rounds > EMPTY_ROUNDS_MAX {
            self.empty_rounds = 0;
            self.pass_time();
        }
        let ended = self.acceptor_ended && self.members.iter().all(|member| member.ended);
        self.wrong.append(&mut self.shared.borrow_mut().wrong);
        if let Ok(mut handed) = self.handed.lock() {
            self.wrong.append(&mut handed.wrong);
        }
        self.wrong.is_empty() && self.world.violations().is_empty() && !ended
    }

    fn turn_acceptor(&mut self) {
        if self.acceptor_ended {
            return;
        }
        match self.acceptor.turn(Some(Duration::ZERO)) {
            Ok(true) => {}
            Ok(false) => {
                // As the acceptor's thread does at its end: what it has given them is theirs by now.
                self.acceptor_ended = true;
                for member in &self.members {
                    member.witness.stop_is_asked(&member.server);
                    member.server.remote().stop();
                }
            }
            Err(error) => self.wrong.push(format!("the acceptor's turn: {error}")),
        }
    }

    fn turn(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.ended {
            return;
        }
        match member.server.turn(Some(Duration::ZERO)) {
            Ok(true) => {
                let wrong = member.invariants.check(&self.world, &member.server);
                self.wrong.extend(wrong);
            }
            Ok(false) => member.ended = true,
            Err(error) => self.wrong.push(format!("turn of loop {index}: {error}")),
        }
        if !member.ended {
            member.witness.turn_ends(&member.server);
        }
        self.wrong.extend(member.witness.take_wrong());
    }

    /// The worker gives the answers that are due.
    fn work(&mut self) {
        let now = self.world.elapsed();
        let mut shared = self.shared.borrow_mut();
        let (due, later) = std::mem::take(&mut shared.jobs)
            .into_iter()
            .partition(|job: &Job| job.due <= now);
        shared.jobs = later;
        drop(shared);
        for Job { to, id, line, .. } in due {
            // A loop that has ended needs no answer.
            let _ = self.remotes[to].post(Note::Answer { id, line });
        }
    }

    /// Moves the clock to when the next thing happens, in the world or in a loop.
    fn pass_time(&mut self) {
        let now = self.world.now();
        let left = |alarm: Option<Instant>| alarm.map(|at| at.saturating_duration_since(now));
        let live = self.members.iter().filter(|member| !member.ended);
        let alarms = live.filter_map(|member| left(member.server.core().alarm));
        let acceptor = left(self.acceptor.core().alarm).filter(|_| !self.acceptor_ended);
        let elapsed = self.world.elapsed();
        let shared = self.shared.borrow();
        let jobs = shared
            .jobs
            .iter()
            .map(|job| job.due.saturating_sub(elapsed));
        let soonest = alarms.chain(acceptor).chain(jobs).min();
        let soonest = soonest.unwrap_or(Duration::MAX).min(Duration::from_secs(1));
        match self.world.time_to_next() {
            Some(next) if next <= soonest => drop(self.world.advance_to_next()),
            _ => self.world.advance(soonest),
        }
    }

    /// The limits hold for all loops together.
    fn check_limits(&mut self) {
        let mut hosts = BTreeMap::<IpAddr, usize>::new();
        let mut open = 0;
        for member in &self.members {
            let connections = member.server.core().connections.iter();
            for (_, connection) in connections.filter(|(_, each)| each.role == Role::Accepted) {
                open += 1;
                if let Some(host) = connection.peer.ip() {
                    *hosts.entry(host).or_default() += 1;
                }
            }
        }
        let most_of_host = hosts.values().copied().max().unwrap_or(0);
        if open > self.connections_max || most_of_host > self.per_peer_max {
            self.wrong.push(format!(
                "{open} connections, {} may be; of one host {most_of_host}, {} may be",
                self.connections_max, self.per_peer_max
            ));
        }
    }

    fn calm_down(&mut self) {
        self.world.set_faults(Faults::none());
        let mut limits = self.world.limits();
        limits.descriptors = 10_000;
        self.world.set_limits(limits);
        self.shared.borrow_mut().calm = true;
    }

    /// Rounds until nothing moves any more; then everybody must have what is his.
    fn rest(&mut self) {
        // Longer than an acceptor waits that may take one client a second.
        const STILL: Duration = Duration::from_secs(2);
        let (mut before, mut moved_at) = (Vec::new(), self.world.elapsed());
        for _ in 0..ROUNDS_MAX {
            if !self.round() {
                return;
            }
            let stats = self.members.iter().map(|member| member.server.stats());
            let moved: Vec<_> = stats
                .map(|stats| {
                    [
                        stats.bytes_in,
                        stats.bytes_out,
                        stats.accepted,
                        stats.closed,
                    ]
                })
                .collect();
            if moved != before || !self.world.is_quiet() {
                before = moved;
                moved_at = self.world.elapsed();
            }
            if self.world.elapsed() > moved_at + STILL {
                self.wrong.extend(self.world.check_at_rest());
                let shared = self.shared.borrow();
                for (way, posted) in &shared.posted {
                    let arrived = shared.arrived.get(way).copied().unwrap_or(0);
                    if arrived != *posted {
                        let text = format!("{posted} notes on the way {way:?}, {arrived} came");
                        self.wrong.push(text);
                    }
                }
                return;
            }
        }
        self.wrong
            .push(format!("no rest after {ROUNDS_MAX} rounds"));
    }

    /// Stops as [`Remotes::stop`](crate::Remotes::stop) does: the acceptor first, and the loops when it has ended.
    fn stop(&mut self) {
        if !self.wrong.is_empty() {
            return;
        }
        self.acceptor.remote().stop();
        for _ in 0..ROUNDS_MAX {
            if !self.round() {
                return self.check_end(false);
            }
        }
        self.wrong.push("the loops do not end".into());
    }

    /// Nothing is left, and nobody who was accepted was lost on the way.
    fn check_end(&mut self, killed: bool) {
        let ended = self.acceptor_ended && self.members.iter().all(|member| member.ended);
        if !self.wrong.is_empty() {
            return;
        }
        let open = self.world.open_streams();
        if !ended || open > 0 {
            self.wrong
                .push(format!("ended {ended}, {open} sockets are left"));
        }
        let accepted: u64 = self
            .members
            .iter()
            .map(|each| each.server.stats().accepted)
            .sum();
        let handed = self.handed.lock().map_or(0, |handed| handed.count);
        if !killed && accepted != handed {
            self.wrong.push(format!(
                "{handed} clients were handed over, {accepted} came"
            ));
        }
        if !killed && !self.gate.is_empty() {
            self.wrong
                .push("nobody is in, and somebody is counted".into());
        }
    }
}

/// The feed of the acceptor, watched: each client goes to one loop, and to one that has the fewest.
fn watched_feed(
    loops: Arc<[Remote<Note>]>,
    gate: &Arc<Gate>,
    handed_over: &Arc<Mutex<HandedOver>>,
) -> crate::event_loop::Feed {
    let mut feed = to_the_least_loaded(Arc::clone(&loops), Arc::clone(gate));
    let handed_over = Arc::clone(handed_over);
    Box::new(move |handed| {
        let loads = || loops.iter().map(Remote::load).collect::<Vec<_>>();
        let gone = loops.iter().any(Remote::is_gone);
        let before = loads();
        feed(handed);
        let after = loads();
        let Ok(mut noted) = handed_over.lock() else {
            return;
        };
        let grown: Vec<_> = (0..before.len())
            .filter(|&index| after[index] > before[index])
            .collect();
        noted.count += grown.len() as u64;
        let fewest = before.iter().min().copied();
        let right = matches!(grown[..], [one] if Some(before[one]) == fewest);
        if !right && !gone {
            noted.wrong.push(format!(
                "a client was handed over: {before:?} became {after:?}"
            ));
        }
    })
}
