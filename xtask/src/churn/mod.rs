//! `cargo xtask churn`: clients come, talk and vanish in every way there is; in the end the server must be as it was.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::programs::{build_trunkline, is_installed};
use crate::served::Served;
use crate::{Outcome, heap};

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
/// How often what is there "after" is looked at, for growth with time shows in each look; a short run is looked at once.
const LOOKS: u32 = 5;
const SHORT: Duration = Duration::from_secs(60);
/// A connection that lingers does so for ten seconds at most.
const SETTLING_MAX: Duration = Duration::from_secs(30);
/// What a loop may keep for its next connections, of bytes allocated and of resident memory, and at one time has more of
/// than at another: two buffers of 64 KiB, and 32 queues with 4 KiB and 64 places for segments each, and some pages that
/// a block of them holds. There is a loop for each service. In ten minutes a leak of two bytes per connection would
/// exceed it.
const KEPT_MAX: u64 = 384 * 1024;
/// A room resets whoever reads too slowly, and on a busy machine that may be a client which waits for its turn. So many
/// connections may fare so, in a thousand.
const CUT_OFF_MAX_PER_MILLE: u64 = 1;

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
    if !is_installed("gdb") {
        return Err("to see what the server has allocated, `gdb` is needed".into());
    }
    let trunkline = build_trunkline()?;
    let mut failures = Vec::new();
    for mechanism in &wanted.mechanisms {
        let (rooms, others): (Vec<_>, Vec<_>) = wanted
            .services
            .iter()
            .map(String::as_str)
            .partition(|&name| name == ROOMS);
        for (services, cut_off_max_per_mille) in [(others, 0), (rooms, CUT_OFF_MAX_PER_MILLE)] {
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
            command.envs([heap::COUNT_EXACTLY]);
            let server = Served::start_with(command, &arguments, services.len())?;
            if let Err(reason) = churn(&name, server, wanted.duration, cut_off_max_per_mille) {
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
    /// Bytes allocated and not freed.
    allocated: u64,
    /// Bytes of memory, once the allocator has given back what is free.
    resident: u64,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            descriptors,
            allocated,
            resident,
        } = self;
        write!(
            formatter,
            "{descriptors} descriptors, {allocated} bytes allocated, {} KiB resident",
            resident / 1024
        )
    }
}

fn churn(name: &str, server: Served, duration: Duration, cut_off_max_per_mille: u64) -> Outcome {
    let fresh = server.descriptors()?;
    vanish_for(&server, (duration / WARM_UP_PART).max(WARM_UP_MIN), 0)?;
    let before = at_rest(&server, fresh)?;
    println!("{name}, {} s: before: {before}", duration.as_secs());
    let looks = if duration < SHORT { 1 } else { LOOKS };
    let mut counts = Counts::default();
    let mut grown = None;
    for look in 1..=looks {
        counts += vanish_for(&server, duration / looks, look.into())?;
        let after = at_rest(&server, before.descriptors)?;
        println!("  after {:>9} connections: {after}", counts.all());
        let kept_max = KEPT_MAX * server.addresses().len() as u64;
        if after.allocated > before.allocated + kept_max
            || after.resident > before.resident + kept_max
        {
            grown = Some(after);
        }
    }
    println!("  {counts}");
    server.stop()?;
    if let Some(after) = grown {
        return Err(format!("memory grew from {before} to {after}"));
    }
    if counts.cut_off * 1000 > counts.all() * cut_off_max_per_mille {
        return Err("too many were cut off".into());
    }
    Ok(())
}

/// Waits until no more than these descriptors are open, and says what is held then.
fn at_rest(server: &Served, descriptors: usize) -> Result<State, String> {
    let give_up = Instant::now() + SETTLING_MAX;
    loop {
        let open = server.descriptors()?;
        if open <= descriptors {
            return Ok(State {
                descriptors: open,
                allocated: server.allocated_memory()?,
                resident: server.anonymous_memory()?,
            });
        }
        if Instant::now() > give_up {
            return Err(format!(
                "{open} descriptors are left; {descriptors} were there"
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// How many clients vanished in each way, and how many of them did so when the server had cut them off.
#[derive(Default)]
struct Counts {
    vanished: [u64; WAYS.len()],
    cut_off: u64,
}

impl Counts {
    fn all(&self) -> u64 {
        self.vanished.iter().sum()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.vanished.iter_mut().zip(other.vanished) {
            *count += more;
        }
        self.cut_off += other.cut_off;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (way, count) in WAYS.iter().zip(self.vanished) {
            write!(formatter, "{} {count}, ", way.name)?;
        }
        write!(formatter, "of these cut off by the server {}", self.cut_off)
    }
}

/// Lets clients come and vanish; each round has a number of its own.
fn vanish_for(server: &Served, duration: Duration, round: u64) -> Result<Counts, String> {
    let end = Instant::now() + duration;
    thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|number| {
                let addresses = server.addresses();
                scope.spawn(move || client(addresses, end, round * CLIENTS + number))
            })
            .collect();
        let mut counts = Counts::default();
        for client in clients {
            counts += client
                .join()
                .unwrap_or_else(|_| Err("a client panicked".into()))?;
        }
        Ok(counts)
    })
}

/// One client after the other, in ways that follow from the seed.
fn client(addresses: &[SocketAddr], end: Instant, seed: u64) -> Result<Counts, String> {
    let mut chance = Chance::new(seed);
    let mut silent = ways::Silent::default();
    let mut counts = Counts::default();
    while Instant::now() < end {
        let mut address = addresses[chance.below(addresses.len() as u64) as usize];
        let [_, b, c, _] = (chance.next() as u32).to_be_bytes();
        address.set_ip([127, b, c, 1].into());
        let way = chance.below(WAYS.len() as u64) as usize;
        match (WAYS[way].vanish)(address, &mut silent) {
            Ok(()) => {}
            Err(error) if is_cut_off(&error) => counts.cut_off += 1,
            Err(error) => {
                let name = WAYS[way].name;
                return Err(format!("a client that would vanish by {name}: {error}"));
            }
        }
        counts.vanished[way] += 1;
    }
    Ok(counts)
}

/// Did the server reset the connection?
fn is_cut_off(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected
    )
}
