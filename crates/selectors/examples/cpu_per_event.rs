//! What an event and a registration cost each mechanism, in CPU time of this process, kernel included.
//!
//!     cargo run --release -p trunkline-selectors --example cpu_per_event -- [REGISTERED [ACTIVE]]
//!
//! A turn writes one byte to each of ACTIVE socket pairs (1), waits until all of them were reported, and reads the bytes,
//! as a server would. The rounds of the mechanisms alternate, and each is compared with the round of a bare
//! level-triggered `epoll` loop next to it; the figure is the median of these ratios. The cost of writing and reading is
//! in all of them.

use std::hint::black_box;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{ClockId, clock_gettime};
use trunkline_selectors::{Interest, Key, Mechanism, Selector, Trigger};

const ROUNDS: usize = 301;
const EVENTS_PER_ROUND: usize = 4_000;

fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Socket pairs: the near ends are watched, the far ends written to.
struct Pairs {
    near: Vec<OwnedFd>,
    far: Vec<OwnedFd>,
    /// Which is written to next.
    next: usize,
}

impl Pairs {
    fn new(count: usize) -> Pairs {
        let pair = |_| {
            let (near, far) = std::os::unix::net::UnixStream::pair().expect("descriptors enough");
            near.set_nonblocking(true).expect("a socket");
            (near.into(), far.into())
        };
        let (near, far) = (0..count).map(pair).unzip();
        Pairs { near, far, next: 0 }
    }

    fn write(&mut self) {
        self.next = (self.next + 7919) % self.far.len();
        rustix::io::write(&self.far[self.next], b"x").expect("room");
    }
}

fn read(source: impl AsFd) {
    let mut byte = [0; 16];
    assert_eq!(rustix::io::read(source, &mut byte), Ok(1));
}

/// Something that is told of `active` writes and reads what was written.
trait Subject {
    fn name(&self) -> String;
    fn turn(&mut self, active: usize);
}

struct BareEpoll {
    pairs: Pairs,
    set: OwnedFd,
    events: Vec<epoll::Event>,
}

impl BareEpoll {
    fn new(count: usize) -> BareEpoll {
        let pairs = Pairs::new(count);
        let set = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
        for (index, near) in pairs.near.iter().enumerate() {
            let flags = EventFlags::IN | EventFlags::RDHUP;
            epoll::add(&set, near, EventData::new_u64(index as u64), flags).expect("added");
        }
        let events = Vec::with_capacity(1024);
        BareEpoll { pairs, set, events }
    }
}

impl Subject for BareEpoll {
    fn name(&self) -> String {
        "bare epoll, level".to_owned()
    }

    fn turn(&mut self, active: usize) {
        (0..active).for_each(|_| self.pairs.write());
        let mut told = 0;
        while told < active {
            self.events.clear();
            let room = rustix::buffer::spare_capacity(&mut self.events);
            epoll::wait(&self.set, room, None).expect("events");
            for event in &self.events {
                let index = event.data.u64() as usize;
                read(&self.pairs.near[index]);
            }
            told += self.events.len();
        }
    }
}

struct Ours {
    selector: Selector<OwnedFd, usize>,
    pairs: Pairs,
    trigger: Trigger,
}

impl Ours {
    fn new(mechanism: Mechanism, trigger: Trigger, count: usize) -> Ours {
        let mut pairs = Pairs::new(count);
        let mut selector = Selector::with_mechanism(mechanism).expect("checked");
        for (index, near) in std::mem::take(&mut pairs.near).into_iter().enumerate() {
            let registered = selector.register_with(near, Interest::READ, trigger, index);
            registered.expect("registered");
        }
        Ours {
            selector,
            pairs,
            trigger,
        }
    }
}

impl Subject for Ours {
    fn name(&self) -> String {
        format!("{}, {:?}", self.selector.mechanism(), self.trigger).to_lowercase()
    }

    fn turn(&mut self, active: usize) {
        (0..active).for_each(|_| self.pairs.write());
        let mut told = 0;
        while told < active {
            self.selector.select(None).expect("events");
            while let Some((_, ())) = self.selector.next_event_with(|source, _| read(source)) {
                told += 1;
            }
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 4], values[values.len() * 3 / 4])
}

/// Runs all subjects in turn, round by round, and prints what each costs beside the first.
fn compare(subjects: &[String], per_round: u32, mut run: impl FnMut(usize)) {
    let mut nanos = vec![Vec::new(); subjects.len()];
    for round in 0..=ROUNDS {
        for (index, nanos) in nanos.iter_mut().enumerate() {
            let start = cpu_nanos();
            run(index);
            // The first round warms up.
            if round > 0 {
                let spent = u32::try_from(cpu_nanos() - start).expect("a short round");
                nanos.push(f64::from(spent) / f64::from(per_round));
            }
        }
    }
    for (name, own) in subjects.iter().zip(&nanos) {
        let ratios: Vec<f64> = own
            .iter()
            .zip(&nanos[0])
            .map(|(own, bare)| own / bare)
            .collect();
        let (low, high) = spread(ratios.clone());
        println!(
            "{name:<28} {:>7.0} ns   {:.3}  ({low:.3} to {high:.3})",
            median(own.clone()),
            median(ratios),
        );
    }
}

fn dispatch(registered: usize, active: usize) {
    println!(
        "dispatch, {registered} registered, {active} active: CPU per event, ratio to the first"
    );
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(BareEpoll::new(registered))];
    for mechanism in [Mechanism::Epoll, Mechanism::IoUring] {
        for trigger in [Trigger::Level, Trigger::Edge] {
            if mechanism.check().is_ok() {
                subjects.push(Box::new(Ours::new(mechanism, trigger, registered)));
            }
        }
    }
    let names: Vec<String> = subjects.iter().map(|subject| subject.name()).collect();
    let turns = (EVENTS_PER_ROUND / active).max(1);
    compare(&names, (turns * active) as u32, |index| {
        for _ in 0..turns {
            subjects[index].turn(active);
        }
    });
}

/// Registers and unregisters; `waits` says whether the selector waits in between, so that the mechanism really knows.
fn register(count: usize, waits: bool) {
    let between = if waits { "a wait for all" } else { "nothing" };
    println!(
        "register + unregister, {count} sources, {between} in between: CPU for both, ratio to the first"
    );
    let mechanisms: Vec<Mechanism> = [Mechanism::Epoll, Mechanism::IoUring]
        .into_iter()
        .filter(|mechanism| mechanism.check().is_ok())
        .collect();
    let names: Vec<String> = mechanisms.iter().map(ToString::to_string).collect();
    let pairs = Pairs::new(count);
    let mut selectors: Vec<Selector<_>> = mechanisms
        .iter()
        .map(|&mechanism| Selector::with_mechanism(mechanism).expect("checked"))
        .collect();
    let mut keys: Vec<Key> = Vec::with_capacity(count);
    compare(&names, count as u32, |index| {
        let selector = &mut selectors[index];
        for near in &pairs.near {
            keys.push(
                selector
                    .register(near.as_fd(), Interest::READ, ())
                    .expect("registered"),
            );
        }
        if waits {
            selector.select(Some(Duration::ZERO)).expect("a wait");
        }
        for key in keys.drain(..) {
            black_box(selector.unregister(key));
        }
    });
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let registered = numbers.next().unwrap_or(1000);
    let active = numbers.next().unwrap_or(1);
    dispatch(registered, active);
    register(registered, false);
    register(registered, true);
}
