//! Criterion: times of single contenders, one after the other. For comparisons between them see the binary `ratios`.
#![forbid(unsafe_code)]
#![allow(clippy::cast_precision_loss)] // counts and nanoseconds stay far below 2^52

use std::io;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trunkline_benches::{
    Contender, Flavour, Kind, Sources, Task, raise_descriptor_limit, register_all, turn,
};

const REGISTERED: [usize; 3] = [100, 1_000, 10_000];

/// Dispatch: n registered, a of them ready in each turn.
fn dispatch(criterion: &mut Criterion) {
    let room = raise_descriptor_limit(Flavour::Counter);
    for registered in REGISTERED.into_iter().filter(|count| *count <= room) {
        let sources = Sources::open(Flavour::Counter, registered).expect("sources");
        let mut actives = vec![1, 100, registered];
        actives.dedup();
        for active in actives {
            let name = format!("dispatch/n = {registered}, a = {active}");
            let mut group = criterion.benchmark_group(name);
            group.throughput(Throughput::Elements(active as u64));
            for kind in Kind::all() {
                group.bench_function(BenchmarkId::from_parameter(kind), |bencher| {
                    bencher.iter_custom(|turns| {
                        kind.run(Turns {
                            sources: &sources,
                            active,
                            count: turns,
                        })
                        .expect("turns")
                    });
                });
            }
        }
    }
}

struct Turns<'a> {
    sources: &'a Sources,
    active: usize,
    count: u64,
}

impl<'a> Task<'a> for Turns<'a> {
    type Output = Duration;

    fn run(self, mut contender: impl Contender<'a>) -> io::Result<Duration> {
        let mut position = 0;
        register_all(&mut contender, self.sources)?;
        turn(&mut contender, self.sources, self.active, &mut position)?;
        let start = Instant::now();
        for _ in 0..self.count {
            turn(&mut contender, self.sources, self.active, &mut position)?;
        }
        Ok(start.elapsed())
    }
}

/// Register, modify and unregister, each among n registered sources.
fn operations(criterion: &mut Criterion) {
    let room = raise_descriptor_limit(Flavour::Counter);
    for operation in [
        Operation::Register,
        Operation::Modify,
        Operation::Unregister,
    ] {
        for registered in REGISTERED.into_iter().filter(|count| *count <= room) {
            let sources = Sources::open(Flavour::Counter, registered).expect("sources");
            let mut group = criterion.benchmark_group(format!("{operation:?}/n = {registered}"));
            group.throughput(Throughput::Elements(1));
            for kind in Kind::all() {
                group.bench_function(BenchmarkId::from_parameter(kind), |bencher| {
                    bencher.iter_custom(|times| {
                        let passes = times.div_ceil(registered as u64);
                        let task = Passes {
                            sources: &sources,
                            operation,
                            count: passes,
                        };
                        let each = kind.run(task).expect("operations");
                        // A pass is over all sources; criterion wants the time of just as many as it asked for.
                        each.mul_f64(times as f64)
                    });
                });
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Register,
    Modify,
    Unregister,
}

/// The time of one operation, over that many passes of all sources.
struct Passes<'a> {
    sources: &'a Sources,
    operation: Operation,
    count: u64,
}

impl<'a> Task<'a> for Passes<'a> {
    type Output = Duration;

    fn run(self, mut contender: impl Contender<'a>) -> io::Result<Duration> {
        let sources = self.sources.len();
        let mut total = Duration::ZERO;
        for _ in 0..self.count {
            let mut timed = |operation, act: &mut dyn FnMut() -> io::Result<()>| {
                let start = Instant::now();
                act()?;
                if operation == self.operation {
                    total += start.elapsed();
                }
                io::Result::Ok(())
            };
            timed(Operation::Register, &mut || {
                register_all(&mut contender, self.sources)
            })?;
            timed(Operation::Modify, &mut || {
                for number in 0..sources {
                    contender.modify(number, self.sources.source(number), true)?;
                }
                contender.apply()
            })?;
            timed(Operation::Unregister, &mut || {
                (0..sources).try_for_each(|number| {
                    contender.unregister(number, self.sources.source(number))
                })
            })?;
        }
        let operations = self.count as f64 * sources as f64;
        Ok(total.div_f64(operations))
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = dispatch, operations
}
criterion_main!(benches);
