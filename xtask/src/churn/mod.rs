//! `cargo xtask churn`: clients come, talk and vanish in every way there is; in the end the server must be as it was.

use std::fmt;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::chance::Chance;
use crate::programs::build_trunkline;
use crate::served::Served;

mod ways;

use ways::WAYS;

const MECHANISMS: [&str; 4] = ["epoll", "io_uring", "poll", "select"];
const SERVICES: [&str; 3] = ["echo", "ack", ROOMS];
const ROOMS: &str = "rooms";
/// All of 127.0.0.0/8: one address has too few ports for the connections that the system remembers for a minute after
/// they ended.
const ANYWHERE: &str = "0.0.0.0:0";
/// Clients at work at the same time.
const CLIENTS: u64 = 2;
/// The part of the time that goes before what was there "before" is looked at: by then what grows once has grown.
const WARM_UP_PART: u32 = 10;
const WARM_UP_MIN: Duration = Duration::from_secs(1);
/// A connection that lingers does so for ten seconds at most.
const SETTLING_MAX: Duration = Duration::from_secs(30);
/// glibc keeps freed memory for the next who asks, and more of it the larger the blocks are that come and go (mallopt(3),
/// `M_MMAP_THRESHOLD`): a room's queues do so. With these it gives back what is free, so that what is left is in use.
const GIVE_BACK: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];
/// Pages that the allocator happens to keep. In ten minutes a leak of one byte per connection would exceed it.
const GROWTH_MAX: u64 = 256 * 1024;
/// Those of a room, whose members say nothing and read nothing: their queues grow to megabytes, and a small block that
/// stays above them keeps the allocator from giving back what was below. That ends where the queues' limits do, while a
/// leak of a block per connection would go on: in ten minutes it would exceed this.
const GROWTH_OF_ROOMS_MAX: u64 = 8 * 1024 * 1024;

/// As the command line says: for how long, on which mechanisms, and with which services.
struct Wanted {
    duration: Duration,
    mechanisms: Vec<String>,
    services: Vec<String>,
}

impl Wanted {
    fn from_options(options: &[&str]) -> Result<Self, String> {
        let mut wanted = Self {
            duration: Duration::from_secs(600),
            mechanisms: Vec::new(),
            services: Vec::new(),
        };
        let mut options = options.iter();
        while let Some(&option) = options.next() {
            let value = options.next();
            let value = value.ok_or_else(|| format!("{option} needs a value"))?;
            match option {
                "--minutes" => {
                    let minutes: f64 = value
                        .parse()
                        .map_err(|_| format!("{value:?} is no number of minutes"))?;
                    wanted.duration = Duration::try_from_secs_f64(minutes * 60.0)
                        .map_err(|error| format!("--minutes {value}: {error}"))?;
                }
                "--service" => wanted.services.push((*value).to_string()),
                "--mechanism" => wanted.mechanisms.push((*value).to_string()),
                _ => return Err(format!("unknown option {option}")),
            }
        }
        if wanted.mechanisms.is_empty() {
            wanted.mechanisms = MECHANISMS.map(str::to_string).to_vec();
        }
        if wanted.services.is_empty() {
            wanted.services = SERVICES.map(str::to_string).to_vec();
        }
        Ok(wanted)
    }
}

/// Runs the command with what follows its name.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let wanted = Wanted::from_options(options)?;
    let trunkline = build_trunkline()?;
    let mut failures = Vec::new();
    for mechanism in &wanted.mechanisms {
        let (rooms, others): (Vec<_>, Vec<_>) = wanted
            .services
            .iter()
            .map(String::as_str)
            .partition(|&name| name == ROOMS);
        for (services, growth_max) in [(others, GROWTH_MAX), (rooms, GROWTH_OF_ROOMS_MAX)] {
            if services.is_empty() {
                continue;
            }
            let name = format!("{mechanism}, {}", services.join(" and "));
            let mut arguments: Vec<_> = services
                .iter()
                .flat_map(|service| [service, ANYWHERE])
                .collect();
            arguments.extend(["--mechanism", mechanism]);
            let mut command = Command::new(&trunkline);
            command.envs(GIVE_BACK);
            let server = Served::start_with(command, &arguments, services.len())?;
            if let Err(reason) = churn(&name, server, wanted.duration, growth_max) {
                eprintln!("{name}: {reason}");
                failures.push(name);
            }
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "churn left something behind on {}",
            failures.join(", ")
        ))
    }
}

/// What the server holds.
#[derive(Clone, Copy)]
struct State {
    descriptors: usize,
    memory: u64,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            descriptors,
            memory,
        } = self;
        write!(
            formatter,
            "{descriptors} descriptors, {} KiB",
            memory / 1024
        )
    }
}

fn look_at(server: &Served) -> Result<State, String> {
    Ok(State {
        descriptors: server.descriptors()?,
        memory: server.anonymous_memory()?,
    })
}

fn churn(name: &str, server: Served, duration: Duration, growth_max: u64) -> Outcome {
    let fresh = server.descriptors()?;
    vanish_for(&server, (duration / WARM_UP_PART).max(WARM_UP_MIN), 1)?;
    let before = settled(&server, fresh)?;
    let counts = vanish_for(&server, duration, 2)?;
    let after = settled(&server, before.descriptors)?;
    println!(
        "{name}: {} connections in {} s; before: {before}; after: {after}",
        counts.iter().sum::<u64>(),
        duration.as_secs(),
    );
    let each: Vec<_> = WAYS
        .iter()
        .zip(counts)
        .map(|(way, count)| format!("{} {count}", way.name))
        .collect();
    println!("  {}", each.join(", "));
    server.stop()?;
    if after.memory > before.memory + growth_max {
        return Err(format!("memory grew from {before} to {after}"));
    }
    Ok(())
}

/// Waits until no more than these descriptors are open.
fn settled(server: &Served, descriptors: usize) -> Result<State, String> {
    let give_up = Instant::now() + SETTLING_MAX;
    loop {
        let state = look_at(server)?;
        if state.descriptors <= descriptors {
            return Ok(state);
        }
        if Instant::now() > give_up {
            return Err(format!(
                "{state} are left; {descriptors} descriptors were there"
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Lets clients come and vanish; says how many did so in each way.
fn vanish_for(server: &Served, duration: Duration, seed: u64) -> Result<[u64; WAYS.len()], String> {
    let end = Instant::now() + duration;
    let counts = [const { AtomicU64::new(0) }; WAYS.len()];
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (counts, addresses) = (&counts, server.addresses());
                scope.spawn(move || client(addresses, end, seed * CLIENTS + number, counts))
            })
            .collect();
        let ended = clients.into_iter().map(|client| {
            client
                .join()
                .unwrap_or_else(|_| Err("a client panicked".into()))
        });
        ended.collect::<Outcome>()
    })?;
    Ok(counts.map(AtomicU64::into_inner))
}

/// One client after the other, in ways that follow from the seed.
fn client(addresses: &[SocketAddr], end: Instant, seed: u64, counts: &[AtomicU64]) -> Outcome {
    let mut chance = Chance::new(seed);
    let mut silent = ways::Silent::default();
    while Instant::now() < end {
        let mut address = addresses[chance.below(addresses.len() as u64) as usize];
        let [_, b, c, _] = (chance.next() as u32).to_be_bytes();
        address.set_ip([127, b, c, 1].into());
        let way = chance.below(WAYS.len() as u64) as usize;
        (WAYS[way].vanish)(address, &mut silent).map_err(|error| {
            format!("a client that would vanish by {}: {error}", WAYS[way].name)
        })?;
        counts[way].fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
