//! What it costs to set, to cancel and to set anew a timer while many wait: the engine's wheel beside `DelayQueue` of
//! `tokio-util` (which is tokio's wheel) and the standard library's binary heap.
//!
//!     cargo bench -p trunkline --bench timers
//!
//! Deadlines lie anywhere in the next minute. Timers are cancelled and set anew in the order they were set, and in random
//! order: in a server it is not the oldest connection that speaks next. Their names lie in the order in which they are used, for
//! a server has a timer's name in the connection that it has in hand. Time is processor time, so that
//! other programs disturb less. The heap cannot cancel; what is cancelled there is marked, and left out
//! when it comes up, which is what programs over a heap do.
//!
//! Criterion measures one subject after another. The table at the end is of all subjects in turns, in each of several
//! rounds, and takes the medians.
#![forbid(unsafe_code)]
#![allow(missing_docs)] // criterion's macros make public functions

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use rustix::time::{ClockId, clock_gettime};
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

#[allow(dead_code, unreachable_pub)]
#[path = "../src/timer/wheel.rs"]
mod wheel;

use wheel::{TimerId, Wheel};

const COUNTS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Timers are due within this many nanoseconds.
const SPAN: u64 = 60_000_000_000;
const ROUNDS: usize = 9;

/// Numbers without order, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn deadlines(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next() % SPAN).collect()
    }

    fn order(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            order.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
        order
    }
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("it does not go back")
}

/// Something that keeps timers.
trait Keeper: Default {
    type Name: Copy;
    const NAME: &str;
    fn insert(&mut self, due: u64) -> Self::Name;
    fn cancel(&mut self, name: Self::Name);
    /// Sets it for another time, and says what it is called from now on.
    fn rearm(&mut self, name: Self::Name, due: u64) -> Self::Name {
        self.cancel(name);
        self.insert(due)
    }
    /// Is rid of all timers.
    fn clear(&mut self, names: &[Self::Name]);
}

/// As the engine has it: a number of eight bytes with each.
struct Ours(Wheel<(u32, u32)>);

impl Default for Ours {
    fn default() -> Self {
        Self(Wheel::new())
    }
}

impl Keeper for Ours {
    type Name = TimerId;
    const NAME: &str = "trunkline";

    fn insert(&mut self, due: u64) -> TimerId {
        self.0.insert(due, (1, 2))
    }

    fn cancel(&mut self, name: TimerId) {
        black_box(self.0.cancel(name));
    }

    /// As `Io::rearm` does.
    fn rearm(&mut self, name: TimerId, due: u64) -> TimerId {
        if self.0.postpone(name, due) {
            return name;
        }
        self.cancel(name);
        self.insert(due)
    }

    fn clear(&mut self, names: &[TimerId]) {
        for &name in names {
            self.cancel(name);
        }
    }
}

struct Tokio {
    queue: DelayQueue<(u32, u32)>,
    start: tokio::time::Instant,
}

impl Default for Tokio {
    fn default() -> Self {
        Self {
            queue: DelayQueue::new(),
            start: tokio::time::Instant::now(),
        }
    }
}

impl Keeper for Tokio {
    type Name = Key;
    const NAME: &str = "tokio-util `DelayQueue`";

    fn insert(&mut self, due: u64) -> Key {
        // A minute off, so that none is due while the program runs.
        let due = self.start + Duration::from_nanos(SPAN + due);
        self.queue.insert_at((1, 2), due)
    }

    fn cancel(&mut self, name: Key) {
        black_box(self.queue.remove(&name));
    }

    fn rearm(&mut self, name: Key, due: u64) -> Key {
        let due = self.start + Duration::from_nanos(SPAN + due);
        self.queue.reset_at(&name, due);
        name
    }

    fn clear(&mut self, _: &[Key]) {
        self.queue.clear();
    }
}

#[derive(Default)]
struct Heap {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    cancelled: Vec<bool>,
}

impl Keeper for Heap {
    type Name = u32;
    const NAME: &str = "`BinaryHeap`";

    fn insert(&mut self, due: u64) -> u32 {
        let name = self.cancelled.len() as u32;
        self.cancelled.push(false);
        self.heap.push(Reverse((due, name)));
        name
    }

    fn cancel(&mut self, name: u32) {
        self.cancelled[name as usize] = true;
    }

    fn clear(&mut self, _: &[u32]) {
        self.heap.clear();
        self.cancelled.clear();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Insert,
    CancelInOrder,
    Cancel,
    /// To any other time.
    RearmInOrder,
    Rearm,
    /// To later times, as deadlines are that each message puts off.
    Postpone,
}

/// Does the work once for each of `count` timers and says how long that took.
fn time<K: Keeper>(work: Work, count: usize, seed: u64) -> Duration {
    let mut random = Random(seed | 1);
    let deadlines = random.deadlines(count);
    let order = match work {
        Work::CancelInOrder | Work::RearmInOrder => (0..count as u32).collect(),
        _ => random.order(count),
    };
    let mut keeper = K::default();
    let mut names = Vec::with_capacity(count);
    // As many have been there before: what is measured is not how the system gives out memory.
    names.extend(
        random
            .deadlines(count)
            .iter()
            .map(|&due| keeper.insert(due)),
    );
    keeper.clear(&names);
    names.clear();
    let begin = processor_time();
    names.extend(deadlines.iter().map(|&due| keeper.insert(due)));
    if work == Work::Insert {
        return processor_time().saturating_sub(begin);
    }
    let other: Vec<u64> = match work {
        Work::Postpone => {
            let before = order.iter().map(|&which| deadlines[which as usize]);
            before.map(|due| due + random.next() % SPAN).collect()
        }
        _ => random.deadlines(count),
    };
    let mut names: Vec<_> = order.iter().map(|&which| names[which as usize]).collect();
    let begin = processor_time();
    for (name, &due) in names.iter_mut().zip(&other) {
        match work {
            Work::RearmInOrder | Work::Rearm | Work::Postpone => *name = keeper.rearm(*name, due),
            _ => keeper.cancel(*name),
        }
    }
    let took = processor_time().saturating_sub(begin);
    black_box(&names);
    took
}

const WORKS: [(Work, &str); 6] = [
    (Work::Insert, "insert"),
    (Work::CancelInOrder, "cancel in order"),
    (Work::Cancel, "cancel at random"),
    (Work::RearmInOrder, "re-arm in order"),
    (Work::Rearm, "re-arm at random"),
    (Work::Postpone, "re-arm at random, for later"),
];

fn subject<K: Keeper>(criterion: &mut Criterion) {
    for (work, name) in WORKS {
        let mut group = criterion.benchmark_group(format!("timers/{name}"));
        group.sample_size(10);
        for count in COUNTS {
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new(K::NAME, count), |bencher| {
                bencher
                    .iter_custom(|times| (0..times).map(|seed| time::<K>(work, count, seed)).sum());
            });
        }
    }
}

fn subjects(criterion: &mut Criterion) {
    subject::<Ours>(criterion);
    subject::<Tokio>(criterion);
    subject::<Heap>(criterion);
}

/// Nanoseconds a piece: the median of several rounds, small counts repeated until they add up to something.
fn print_table() {
    type Timed = (&'static str, fn(Work, usize, u64) -> Duration);
    let subjects: [Timed; 3] = [
        (Ours::NAME, time::<Ours>),
        (Tokio::NAME, time::<Tokio>),
        (Heap::NAME, time::<Heap>),
    ];
    println!("\nNanoseconds a piece, medians of {ROUNDS} rounds\n");
    println!("| | 1 000 wait | 10 000 | 100 000 | 1 000 000 |\n|---|---|---|---|---|");
    for (work, name) in WORKS {
        let mut rows = vec![String::new(); subjects.len()];
        for count in COUNTS {
            let repeats = (100_000 / count).max(1) as u64;
            let mut times = vec![Vec::new(); subjects.len()];
            for round in 0..ROUNDS as u64 {
                for (times, (_, time)) in times.iter_mut().zip(subjects) {
                    let took: Duration = (0..repeats)
                        .map(|repeat| time(work, count, round * repeats + repeat))
                        .sum();
                    times.push(took.as_nanos() / u128::from(repeats) / count as u128);
                }
            }
            for (row, mut times) in rows.iter_mut().zip(times) {
                times.sort_unstable();
                let _ = write!(row, " {} |", times[ROUNDS / 2]);
            }
        }
        for (row, (subject, _)) in rows.iter().zip(subjects) {
            println!("| {name}, {subject} |{row}");
        }
    }
}

criterion_group!(timers, subjects);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    // `DelayQueue` wants one, though nothing is waited for.
    let runtime = runtime.expect("a runtime can be made");
    let _inside = runtime.enter();
    timers();
    // Without the word a test run only asks whether the program works.
    if std::env::args().any(|word| word == "--bench") {
        print_table();
    }
    Criterion::default().configure_from_args().final_summary();
}
