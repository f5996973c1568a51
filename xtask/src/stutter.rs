//! `cargo xtask stutter`: every test, in processes that are stopped and continued at random, as a machine does that freezes
//! what runs on it. Neither the program nor a test may fail for that.
//!
//! What is stopped has its waits interrupted without any handler (signal(7): `epoll_wait`, reads with a timeout, and
//! more), and finds that the clock has gone on without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::chance::Chance;
use crate::programs::{self, cargo, target_folder};

/// A program of tests that takes longer hangs: it is ended, and has failed.
const PATIENCE_SECONDS: u64 = 1200;
/// Between one stop and the next, at most.
const RUNNING_MAX: Duration = Duration::from_millis(20);
/// How long a stop lasts at most, usually and now and then.
const STOPPED_MAX: Duration = Duration::from_millis(10);
const STOPPED_LONG_MAX: Duration = Duration::from_millis(200);
/// How long a process may take to be stopped, where the processors are busy.
const TAKING_UP_MAX: Duration = Duration::from_millis(500);
/// One in so many is long, and one in so many is for all processes at once.
const LONG_IN: u64 = 30;
const ALL_IN: u64 = 4;

/// As the command line says.
struct Wanted {
    seed: u64,
    rounds: u64,
    /// Threads that use a processor each, so that nobody has one to itself.
    busy: u64,
}

impl Wanted {
    fn from_options(options: &[&str]) -> Result<Self, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut wanted = Self {
            seed: now.map_or(1, |now| now.as_secs()),
            rounds: 1,
            busy: 0,
        };
        let mut options = options.iter();
        while let Some(&option) = options.next() {
            let value = options.next();
            let value = value.ok_or_else(|| format!("{option} needs a value"))?;
            let number = value.parse().map_err(|_| format!("{value:?} is no number"));
            match option {
                "--seed" => wanted.seed = number?,
                "--rounds" => wanted.rounds = number?,
                "--busy" => wanted.busy = number?,
                _ => return Err(format!("unknown option {option}")),
            }
        }
        Ok(wanted)
    }
}

/// Runs the command with what follows its name.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let wanted = Wanted::from_options(options)?;
    programs::run(cargo().args(["test", "--workspace", "--no-run"]))?;
    let _busy = Busy::with(wanted.busy);
    for seed in (wanted.seed..).take(usize::try_from(wanted.rounds).unwrap_or(usize::MAX)) {
        eprintln!("the stops follow from the seed {seed}");
        let stutter = Stutter::among(target_folder()?, seed);
        let patience = format!(
            "target.'cfg(target_os = \"linux\")'.runner = ['timeout', '{PATIENCE_SECONDS}']"
        );
        let tested = programs::run(cargo().args(["--config", &patience]).args([
            "test",
            "--workspace",
            "--no-fail-fast",
        ]));
        let stops = stutter.end();
        tested.map_err(|reason| format!("{reason} (seed {seed}, {stops} stops)"))?;
        println!("seed {seed}: everything passed, {stops} stops");
    }
    Ok(())
}

/// Stops and continues processes until it is dropped; then nobody is stopped by it.
struct Stutter {
    is_over: Arc<AtomicBool>,
    stops: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Stutter {
    /// Among those whose program lies in this folder, but for this one.
    fn among(folder: PathBuf, seed: u64) -> Self {
        let (is_over, stops) = (Arc::default(), Arc::default());
        let mut stutterer = Stutterer {
            folder,
            chance: Chance::new(seed),
            is_over: Arc::clone(&is_over),
            stops: Arc::clone(&stops),
        };
        let thread = Some(thread::spawn(move || stutterer.go_on()));
        Self {
            is_over,
            stops,
            thread,
        }
    }

    /// Says how many stops there were.
    fn end(self) -> u64 {
        let stops = Arc::clone(&self.stops);
        drop(self);
        stops.load(Ordering::Relaxed)
    }
}

impl Drop for Stutter {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Stutterer {
    folder: PathBuf,
    chance: Chance,
    is_over: Arc<AtomicBool>,
    stops: Arc<AtomicU64>,
}

impl Stutterer {
    fn go_on(&mut self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let mut chosen = processes_in(&self.folder);
            if !chosen.is_empty() && self.chance.below(ALL_IN) > 0 {
                let one = self.chance.below(chosen.len() as u64) as usize;
                chosen = vec![chosen[one]];
            }
            // One that has ended meanwhile is not stopped.
            chosen.retain(|&process| kill_process(process, Signal::STOP).is_ok());
            self.stops.fetch_add(chosen.len() as u64, Ordering::Relaxed);
            let is_long = self.chance.below(LONG_IN) == 0;
            self.sleep_up_to(if is_long {
                STOPPED_LONG_MAX
            } else {
                STOPPED_MAX
            });
            for process in chosen {
                // Whom somebody else has stopped as well is theirs to continue.
                if !(is_stopped_in_time(process) && is_to_stop(process)) {
                    let _ = kill_process(process, Signal::CONT);
                }
            }
            self.sleep_up_to(RUNNING_MAX);
        }
    }

    fn sleep_up_to(&mut self, longest: Duration) {
        let microseconds = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        thread::sleep(Duration::from_micros(self.chance.below(microseconds)));
    }
}

/// Those that run programs of this folder and are not stopped, but for this one.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let process = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let program = fs::read_link(entry.path().join("exe")).ok()?;
        let is_meant =
            program.starts_with(folder) && number != rustix::process::getpid().as_raw_pid();
        let process = is_meant.then(|| Pid::from_raw(number))??;
        (state_of(process)? != 'T').then_some(process)
    };
    entries.filter_map(Result::ok).filter_map(process).collect()
}

/// The kernel's letter for what a process does: `T` is stopped.
fn state_of(process: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in brackets may hold anything (proc(5)).
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.chars().next()
}

/// Whether a process takes its stop up before long. One that is traced, or has ended, may never do so.
fn is_stopped_in_time(process: Pid) -> bool {
    let give_up = Instant::now() + TAKING_UP_MAX;
    while Instant::now() < give_up {
        match state_of(process) {
            Some('T') => return true,
            Some('t' | 'X' | 'Z') | None => return false,
            _ => thread::yield_now(),
        }
    }
    false
}

/// Whether yet another stop waits for a process that is stopped already.
fn is_to_stop(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field = |name: &str| {
        Some(
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))?
                .trim(),
        )
    };
    let pending = field("ShdPnd:").and_then(|set| u64::from_str_radix(set, 16).ok());
    let stop = 1 << (Signal::STOP.as_raw() - 1);
    pending.is_some_and(|set| set & stop != 0)
}

/// Threads that do nothing, as fast as they can, until this is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn with(threads: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || while !is_over.load(Ordering::Relaxed) {});
        }
        Self(is_over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A folder with a program in it that only sleeps.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("trunkline-stutter-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            let path = std::env::var_os("PATH").unwrap();
            let programs = std::env::split_paths(&path).map(|folder| folder.join("sleep"));
            let sleep = { programs }.find(|program| program.is_file()).unwrap();
            fs::copy(fs::canonicalize(sleep).unwrap(), folder.join("sleep")).unwrap();
            // As the kernel tells it.
            Self(fs::canonicalize(folder).unwrap())
        }

        fn sleeper(&self) -> Sleeper {
            let mut command = Command::new(self.0.join("sleep"));
            Sleeper(command.arg("600").spawn().unwrap())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    struct Sleeper(Child);

    impl Sleeper {
        fn pid(&self) -> Pid {
            Pid::from_child(&self.0)
        }

        fn await_stopped(&self, is_stopped: bool) {
            let give_up = Instant::now() + PATIENCE;
            while (state_of(self.pid()) == Some('T')) != is_stopped {
                assert!(Instant::now() < give_up, "never stopped: {is_stopped}");
                thread::yield_now();
            }
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn processes_are_stopped_and_continued_but_for_those_that_others_stop() {
        let folder = Folder::new();
        let (stuttering, frozen) = (folder.sleeper(), folder.sleeper());
        let stutter = Stutter::among(folder.0.clone(), 1);
        for _ in 0..5 {
            stuttering.await_stopped(true);
            stuttering.await_stopped(false);
        }
        // In the middle of it: who is stopped by others stays so.
        kill_process(frozen.pid(), Signal::STOP).unwrap();
        frozen.await_stopped(true);
        for _ in 0..5 {
            stuttering.await_stopped(true);
            stuttering.await_stopped(false);
            assert_eq!(state_of(frozen.pid()), Some('T'));
        }
        assert!(stutter.end() >= 10);
        stuttering.await_stopped(false);
        assert_eq!(state_of(frozen.pid()), Some('T'));
    }

    #[test]
    fn options_are_numbers() {
        let wanted = Wanted::from_options(&["--rounds", "3", "--seed", "7"]).unwrap();
        assert_eq!((wanted.seed, wanted.rounds, wanted.busy), (7, 3, 0));
        for wrong in [&["--seed"][..], &["--seed", "x"], &["--sed", "1"]] {
            assert!(Wanted::from_options(wrong).is_err(), "{wrong:?}");
        }
    }
}
